//! What a provider says is checked, and what is believed of it.

use ccos_e2e::namespace::unique;
use ccos_e2e::{
    EndReason, Execution, Key, Namespace, Reason, Repository, cluster, context, execution, kubectl, namespace,
    provider, until,
};
use serde_json::{Value, json};

#[test]
fn inputs_that_do_not_fit_the_schema_are_rejected_by_pointer_and_those_that_do_run() {
    let ns = namespace("inputs");
    ns.apply(context("analysts"));
    let schema = json!({
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "array", "items": {"$ref": "#/$defs/day"}}},
        "required": ["city"],
        "$defs": {"day": {"type": "integer", "minimum": 1}},
    });
    let paris = |name: &str| execution(name).capability("inputSchema", schema.clone());
    ns.rejects(paris("bad").set("inputs", json!({"city": 75, "days": [1, 0]})))
        .with(Reason::InvalidInputs, "inputs/city")
        .with(Reason::InvalidInputs, "inputs/days/1")
        .of(2);
    ns.rejects(paris("none")).with(Reason::InvalidInputs, "inputs").saying("city");
    ns.accepts(paris("good").set("inputs", json!({"city": "Paris", "days": [1]}))).completes();
}

#[test]
fn a_secret_is_a_text_for_the_schema_and_no_more_can_be_asked_of_it() {
    let ns = namespace("unseen");
    ns.apply(context("analysts"));
    ns.kubectl(["create", "secret", "generic", "keys", "--from-literal=key=s3cret"]);
    let secret = |name: &str| {
        execution(name)
            .shell("cat")
            .set("inputsFrom", json!([{"secretKeyRef": {"name": "keys", "key": "key"}, "as": "key"}]))
    };
    let key = |of_key| json!({"properties": {"key": of_key}, "required": ["key"], "additionalProperties": false});
    ns.rejects(secret("long").capability("inputSchema", key(json!({"type": "string", "maxLength": 3}))))
        .with(Reason::InvalidInputs, "inputsFrom[0]")
        .saying("not known at admission");
    let ran = ns.accepts(secret("text").capability("inputSchema", key(json!({"type": "string"})))).completes();
    assert_eq!(*ran.result(), json!({"key": "s3cret"}));
}

#[test]
fn a_result_that_does_not_fit_the_schema_is_no_result() {
    let ns = namespace("outputs");
    ns.apply(context("analysts"));
    let schema = json!({"type": "object", "properties": {"rows": {"type": "integer"}}, "required": ["rows"]});
    let says = |name: &str, text: &str| {
        execution(name).shell(&format!("echo '{text}'")).capability("outputSchema", schema.clone())
    };
    let (good, bad) = (ns.accepts(says("good", r#"{"rows": 3}"#)), ns.accepts(says("bad", r#"{"rows": "three"}"#)));
    assert_eq!(*good.completes().result(), json!({"rows": 3}));
    let bad = bad.ends(EndReason::InvalidResult);
    assert!(bad.message().contains("result/rows: "), "{}", bad.message());
    assert!(bad.result().is_null(), "{}", bad.result());
}

#[test]
fn a_schema_that_leaves_itself_or_is_none_is_refused_when_it_is_applied() {
    let ns = namespace("schemas");
    let of = |schema| provider("weather").capability("inputSchema", schema);
    ns.rejects(of(json!({"type": "objekt"}))).invalid("spec.capabilities[0].inputSchema/type");
    ns.rejects(of(json!({"$ref": "https://registry.local/schema.json"})))
        .invalid("spec.capabilities[0].inputSchema/$ref")
        .saying("nothing outside the schema is read");
    ns.rejects(of(json!({"properties": {"child": {"$ref": "#"}}})))
        .invalid("spec.capabilities[0].inputSchema")
        .saying("refers to itself");
    ns.rejects(of(json!({"pattern": "(a)\\1"}))).invalid("spec.capabilities[0].inputSchema/pattern");
    ns.apply(of(json!({"pattern": "^[a-z]+$"})));
}

/// Waits until a provider's condition has this reason, and answers with its message.
#[track_caller]
fn condition(ns: &Namespace, name: &str, kind: &str, reason: &str) -> String {
    let what = format!("{kind} of {name} is {reason}");
    let mut last = Value::Null;
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        until(&what, 90, || {
            let object = ns.get(&format!("capabilityprovider/{name}"));
            last = object["status"].clone();
            let all = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let found = all.into_iter().find(|one| one["type"] == kind && one["reason"] == reason)?;
            let same = found["observedGeneration"] == object["metadata"]["generation"];
            same.then(|| found["message"].as_str().unwrap_or_default().to_owned())
        })
    }));
    found.unwrap_or_else(|_| panic!("{what}: not so: {last:#}"))
}

/// An execution of a provider that is there.
fn of(name: &str, provider: &str) -> Execution {
    execution(name).of("CapabilityProvider", provider)
}

#[test]
fn unsigned_and_wrongly_signed_providers_are_refused_and_a_signed_one_runs() {
    let ns = namespace("signed");
    ns.apply(context("analysts"));
    let (repository, ours, theirs) = (Repository::new("signed"), Key::new(), Key::new());
    let demands = |name: &str, digest: &str| {
        provider(name)
            .set("source.image.reference", format!("{}@{digest}", repository.reference()))
            .set("signature", json!({"cosign": {"publicKey": ours.public()}}))
    };
    let digests = ["signed", "unsigned", "wrong", "moved"].map(|note| repository.push(note, note));
    let [signed, unsigned, wrong, moved] = &digests;
    repository.sign(signed, &ours);
    repository.sign(wrong, &theirs);
    for (name, digest) in [("signed", signed), ("unsigned", unsigned), ("wrong", wrong)] {
        ns.apply(demands(name, digest));
    }
    // Before anybody has looked, or just after: the twin below shows that it is the signature that is missed.
    assert!(condition(&ns, "unsigned", "Verified", "NotSigned").contains("no signature"));
    ns.rejects(of("unsigned", "unsigned")).with(Reason::ProviderInvalid, "capabilityRef").saying("NotSigned");
    condition(&ns, "wrong", "Verified", "SignatureInvalid");
    ns.rejects(of("wrong", "wrong")).with(Reason::ProviderInvalid, "capabilityRef").saying("SignatureInvalid");
    condition(&ns, "signed", "Verified", "Verified");
    ns.accepts(of("signed", "signed")).completes();

    // The image is changed under a provider that was verified: it is another generation, and not verified.
    ns.apply(demands("signed", moved));
    condition(&ns, "signed", "Verified", "NotSigned");
    ns.rejects(of("swapped", "signed")).with(Reason::ProviderInvalid, "capabilityRef");
    // Signed after all.
    repository.sign(unsigned, &ours);
    condition(&ns, "unsigned", "Verified", "Verified");
    ns.would_accept(of("late", "unsigned"));
}

#[test]
fn a_tag_is_pinned_when_it_is_looked_up_and_what_was_admitted_is_what_runs() {
    let ns = namespace("pinned");
    ns.apply(context("analysts"));
    let repository = Repository::new("pinned");
    let first = repository.push("stable", "first");
    let tools = |version: &str| {
        provider("tools")
            .set("source.image.reference", format!("{}:stable", repository.reference()))
            .set("version", version)
    };
    ns.apply(tools("1.0.0"));
    assert!(condition(&ns, "tools", "Pinned", "Resolved").contains(&first));
    assert_eq!(ns.get("capabilityprovider/tools")["status"]["image"]["digest"], json!(first));
    let held = ns.accepts(of("held", "tools").set("desiredState", "Suspended"));
    let swapped = ns.accepts(of("swapped", "tools").set("desiredState", "Suspended"));

    let second = repository.push("stable", "second");
    assert_ne!(first, second);
    let message = condition(&ns, "tools", "Pinned", "TagMoved");
    assert!(message.contains(&first) && message.contains(&second), "{message}");
    held.desire("Running");
    held.completes();
    let pod = ns.get(&format!("pod/{}", held.child())).to_string();
    assert!(pod.contains(&first) && !pod.contains(&second) && !pod.contains(":stable"), "{pod}");

    // The image is swapped after admission, by a new version of the provider.
    ns.apply(tools("1.0.1"));
    assert!(condition(&ns, "tools", "Pinned", "Resolved").contains(&second));
    swapped.desire("Running");
    let end = swapped.ends(EndReason::ReceiptInvalid);
    assert!(end.message().contains("the provider's source"), "{}", end.message());
    ns.accepts(of("new", "tools")).completes();
}

#[test]
fn a_tag_that_cannot_be_looked_up_runs_nothing() {
    let ns = namespace("unresolved");
    ns.apply(context("analysts"));
    let by = |name: &str, reference: String| provider(name).set("source.image.reference", reference);
    ns.apply(by("absent", format!("{}:none", Repository::new("absent").reference())));
    condition(&ns, "absent", "Pinned", "NoImage");
    ns.rejects(of("absent", "absent")).with(Reason::ProviderInvalid, "capabilityRef").saying("NoImage");
    // The API server's own address: the authors of providers choose the host.
    ns.apply(by("inside", format!("{}/tools:1", cluster::NODE)));
    condition(&ns, "inside", "Pinned", "RegistryNotAllowed");
    ns.rejects(of("inside", "inside")).with(Reason::ProviderInvalid, "capabilityRef").saying("registries.allowed");
}

#[test]
fn a_key_of_a_secret_is_read_once_the_controller_may_and_a_new_one_is_noticed() {
    let ns = namespace("key");
    ns.apply(context("analysts"));
    let (repository, ours, theirs) = (Repository::new("key"), Key::new(), Key::new());
    let digest = repository.push("1", "key");
    repository.sign(&digest, &ours);
    let secret = |key: &Key| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cosign"}, "stringData": {"cosign.pub": key.public()}});
    let put = |key: &Key| kubectl(["apply", "-f", "-"]).inside(&ns.name).input(secret(key).to_string()).succeeds();
    put(&ours);
    ns.apply(
        provider("tools")
            .set("source.image.reference", format!("{}@{digest}", repository.reference()))
            .set("signature.cosign.publicKeySecretRef", json!({"name": "cosign", "key": "cosign.pub"})),
    );
    assert!(condition(&ns, "tools", "Verified", "KeyUnreadable").contains("the verb get"));
    ns.rejects(of("early", "tools")).with(Reason::ProviderInvalid, "capabilityRef").saying("KeyUnreadable");
    let rule = "--resource-name=cosign";
    ns.kubectl(["create", "role", "cosign", "--verb=get", "--resource=secrets", rule]);
    let controller = "--serviceaccount=ccos-system:ccos-controller";
    ns.kubectl(["create", "rolebinding", "cosign", "--role=cosign", controller]);
    condition(&ns, "tools", "Verified", "Verified");
    ns.would_accept(of("now", "tools"));
    put(&theirs);
    condition(&ns, "tools", "Verified", "SignatureInvalid");
    ns.rejects(of("after", "tools")).with(Reason::ProviderInvalid, "capabilityRef").saying("SignatureInvalid");
}

/// Admission believes the status of providers: nobody else writes it, administrators included.
#[test]
fn nobody_forges_a_verified_status() {
    let ns = namespace("forged");
    ns.apply(context("analysts"));
    let (repository, key) = (Repository::new("forged"), Key::new());
    let digest = repository.push("1", "forged");
    ns.apply(
        provider("tools")
            .set("source.image.reference", format!("{}@{digest}", repository.reference()))
            .set("signature.cosign.publicKey", key.public()),
    );
    condition(&ns, "tools", "Verified", "NotSigned");
    let forged = json!({"status": {"verified": {"digest": digest, "against": "sha256:0"}}}).to_string();
    let patch = ["patch", "capabilityprovider", "tools", "--subresource=status", "--type=merge", "-p", &forged];
    let answer = kubectl(patch).inside(&ns.name).run();
    assert!(!answer.ok && answer.err.contains("only the controller writes the status of providers"), "{answer:?}");
    // Brought along at creation, it is dropped.
    let mut object = provider("brought")
        .set("source.image.reference", format!("{}@{digest}", repository.reference()))
        .set("signature.cosign.publicKey", key.public())
        .json();
    object["status"] = json!({"verified": {"digest": digest, "against": "sha256:0"}, "conditions": [{
        "type": "Verified", "status": "True", "reason": "Verified", "message": "", "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]});
    kubectl(["create", "-f", "-"]).inside(&ns.name).input(object.to_string()).succeeds();
    ns.rejects(of("brought", "brought")).with(Reason::ProviderInvalid, "capabilityRef");
}

/// A list, for as long as this lives.
struct List(String);

impl List {
    fn of(record: &Value) -> Self {
        let name = unique("list");
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "labels": {"security.ccos.dev/malicious-list": "true"}},
            "data": {"osv.json": record.to_string()},
        });
        kubectl(["create", "-f", "-"]).inside(cluster::OPERATOR).input(map.to_string()).succeeds();
        Self(name)
    }
}

impl Drop for List {
    fn drop(&mut self) {
        kubectl(["delete", "configmap", &self.0, "--ignore-not-found"]).inside(cluster::OPERATOR).run();
    }
}

#[test]
fn a_provider_that_turns_malicious_is_refused_and_what_it_runs_is_stopped() {
    let ns = namespace("malicious");
    ns.apply(context("analysts").capacity(1));
    let evil = || provider("evil").runs(&["/bin/sleep", "40"]);
    ns.apply(evil());
    ns.apply(provider("good"));
    let runs = ns.accepts(of("runs", "evil"));
    runs.starts();
    let waits = ns.accepts(of("waits", "evil"));

    let list = List::of(&json!({
        "id": "MAL-2026-0042",
        "summary": "steals keys",
        "affected": [{
            "package": {"ecosystem": "ccos", "name": format!("{}/evil", ns.name)},
            "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "2.0.0"}]}],
        }],
    }));
    for running in [&runs, &waits] {
        let ended = running.finishes();
        assert_eq!(ended.reason(), Reason::ProviderInvalid.as_str(), "{}", ended.message());
        assert!(ended.message().contains("MAL-2026-0042"), "{}", ended.message());
    }
    assert!(condition(&ns, "evil", "Valid", "Listed").contains("MAL-2026-0042 by its name: steals keys"));
    ns.rejects(of("again", "evil")).with(Reason::ProviderInvalid, "capabilityRef").saying("MAL-2026-0042");
    ns.rejects(evil().set("version", "1.9.9")).with(Reason::ProviderInvalid, "metadata.name").saying("MAL-2026-0042");
    // Another of the same namespace, and a version that the record leaves out.
    ns.accepts(of("good", "good")).completes();
    ns.apply(evil().set("version", "2.0.0"));
    ns.would_accept(of("fixed", "evil"));
    drop(list);
    condition(&ns, "evil", "Valid", "Valid");
}

#[test]
fn an_image_is_recognised_by_its_digest_whatever_its_provider_is_called() {
    let ns = namespace("digest");
    ns.apply(context("analysts"));
    let repository = Repository::new("digest");
    let digest = repository.push("1", "evil");
    ns.apply(provider("tools").set("source.image.reference", format!("{}:1", repository.reference())));
    condition(&ns, "tools", "Pinned", "Resolved");
    ns.would_accept(of("before", "tools"));
    let _list = List::of(
        &json!([{"id": "MAL-2026-0043", "affected": [{"database_specific": {"ccos": {"digests": [digest]}}}]}]),
    );
    condition(&ns, "tools", "Valid", "Listed");
    ns.rejects(of("after", "tools"))
        .with(Reason::ProviderInvalid, "capabilityRef")
        .saying("listed as MAL-2026-0043 by its digest");
    let copy = provider("copy").set("source.image.reference", format!("{}@{digest}", repository.reference()));
    ns.rejects(copy).with(Reason::ProviderInvalid, "spec.source.image.reference").saying("MAL-2026-0043");
}
