//! Beside a double of the API server.

use std::collections::BTreeMap;
use std::convert::Infallible;

use ccos_cli::can_i::{Answer, CanIError, Common, Question, Who, answer, print};
use ccos_cli::{Format, Streams};
use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use crate::WORLD;

/// Where lists of malicious providers are.
const LISTS: &str = "/api/v1/namespaces/ccos-system/configmaps";

/// What the double answers: objects by path, and rights as `user verb resource namespace/name`.
#[derive(Clone, Default)]
struct Cluster {
    objects: BTreeMap<String, Value>,
    rights: Vec<&'static str>,
    /// SubjectAccessReviews are refused.
    closed: bool,
}

impl Cluster {
    fn usual(rights: &[&'static str]) -> Self {
        let mut objects = BTreeMap::new();
        for object in serde_saphyr::from_multiple::<Value>(WORLD).unwrap() {
            let text = |pointer: &str| object.pointer(pointer).unwrap().as_str().unwrap();
            let resource = format!("{}s", text("/kind").to_lowercase());
            let path = format!("{}/{resource}/{}", text("/metadata/namespace"), text("/metadata/name"));
            objects.insert(format!("/apis/security.ccos.dev/v1alpha1/namespaces/{path}"), object.clone());
        }
        objects.insert(
            LISTS.to_owned(),
            json!({"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {}, "items": []}),
        );
        Self { objects, rights: rights.to_vec(), closed: false }
    }

    fn respond(&self, path: &str, body: &[u8]) -> (u16, Value) {
        let status = |code: u16, reason: &str| {
            (code, json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason}))
        };
        let Some(review) = path.strip_prefix("/apis/authorization.k8s.io/v1/") else {
            return self.objects.get(path).map_or_else(|| status(404, "NotFound"), |object| (200, object.clone()));
        };
        let asked: Value = serde_json::from_slice(body).unwrap();
        let who = match review {
            "selfsubjectaccessreviews" => "me",
            "subjectaccessreviews" if self.closed => return status(403, "Forbidden"),
            "subjectaccessreviews" => {
                assert_eq!(asked["spec"]["groups"], json!(["team", "system:authenticated"]));
                asked["spec"]["user"].as_str().unwrap()
            }
            other => panic!("{other}"),
        };
        let wants = &asked["spec"]["resourceAttributes"];
        assert_eq!(wants["group"], "security.ccos.dev");
        let text = |field: &str| wants[field].as_str().unwrap_or("*");
        let right = format!("{who} {} {} {}/{}", text("verb"), text("resource"), text("namespace"), text("name"));
        (201, json!({"spec": asked["spec"], "status": {"allowed": self.rights.contains(&right.as_str())}}))
    }

    fn client(self) -> Client {
        let service = tower::service_fn(move |request: Request<Body>| {
            let cluster = self.clone();
            async move {
                let (head, body) = request.into_parts();
                let (code, answer) = cluster.respond(head.uri.path(), &body.collect_bytes().await.unwrap());
                let body = Body::from(serde_json::to_vec(&answer).unwrap());
                Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap())
            }
        });
        Client::new(service, "data")
    }

    fn says(self, question: &Question) -> Result<Answer, CanIError> {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        // The client has a buffer that is a task of its own.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { answer(&self.client(), question, now).await })
    }
}

fn ann() -> Common {
    Common { user: Some("ann".to_owned()), groups: vec!["team".to_owned()], ..Common::default() }
}

fn uses(context: &str, common: Common) -> Question {
    Question::Use { context: context.to_owned(), common }
}

fn executes(capability: &str, common: Common) -> Question {
    let (capability, context) = (capability.to_owned(), "analysts".to_owned());
    Question::Execute { capability, context, system_namespace: "ccos-system".to_owned(), common }
}

fn answered(allowed: bool, reasons: &[&str]) -> Answer {
    Answer { allowed, reasons: reasons.iter().map(|text| (*text).to_owned()).collect() }
}

#[test]
fn use_is_a_right_of_the_one_that_is_asked_for() {
    let cluster =
        || Cluster::usual(&["ann use securitycontexts data/analysts", "me use clustersecuritycontexts */base"]);
    assert_eq!(cluster().says(&uses("analysts", ann())).unwrap(), answered(true, &[]));
    assert_eq!(cluster().says(&uses("ClusterSecurityContext/base", Common::default())).unwrap(), answered(true, &[]));
    assert_eq!(
        cluster().says(&uses("analysts", Common::default())).unwrap(),
        answered(
            false,
            &[r#"you may not use SecurityContext "analysts" of namespace "data": needs the RBAC verb `use` on it"#]
        )
    );
    let elsewhere = Common { namespace: Some("other".to_owned()), ..ann() };
    assert!(!cluster().says(&uses("analysts", elsewhere)).unwrap().allowed);
}

const NOTE: &str =
    "note: ConfigMap ccos-system/ccos-profile does not exist: the chart's default isolations are assumed";

#[test]
fn execute_takes_the_rights_and_the_decision() {
    let rights = ["ann use securitycontexts data/analysts", "ann create capabilityexecutions data/*"];
    let question = executes("tools/csv.summary", ann());
    assert_eq!(Cluster::usual(&rights).says(&question).unwrap(), answered(true, &[NOTE]));
    let said = Cluster::usual(&rights[1..]).says(&question).unwrap();
    assert_eq!(
        said,
        answered(
            false,
            &[
                r#"UseForbidden: contextRef: user "ann" may not use SecurityContext "analysts": needs the verb `use` on it"#,
                NOTE
            ]
        )
    );
    let said = Cluster::usual(&rights[..1]).says(&question).unwrap();
    assert_eq!(said, answered(false, &[r#"user "ann" may not create CapabilityExecutions in namespace "data""#, NOTE]));
    let said = Cluster::usual(&rights).says(&executes("tools/no.such", ann())).unwrap();
    assert!(said.reasons[0].starts_with("CapabilityNotFound: capabilityRef: "), "{said:?}");
}

#[test]
fn lists_of_malicious_providers_are_asked() {
    let rights = ["ann use securitycontexts data/analysts", "ann create capabilityexecutions data/*"];
    let mut cluster = Cluster::usual(&rights);
    let list = json!({"id": "MAL-2026-1", "affected": [{"package": {"ecosystem": "ccos", "name": "data/tools"}, "versions": ["1.0.0"]}]});
    let map = json!({"metadata": {"name": "bad", "namespace": "ccos-system"}, "data": {"list.json": list.to_string()}});
    cluster.objects.get_mut(LISTS).unwrap()["items"] = json!([map]);
    let said = cluster.says(&executes("tools/csv.summary", ann())).unwrap();
    assert!(said.reasons.iter().any(|reason| reason.contains("MAL-2026-1")), "{said:?}");
}

#[test]
fn the_clusters_profile_decides_what_it_can_isolate() {
    let rights = ["ann use securitycontexts data/analysts", "ann create capabilityexecutions data/*"];
    let mut cluster = Cluster::usual(&rights);
    let profile = |text: &str| json!({"metadata": {"name": "ccos-profile"}, "data": {"profile.yaml": text}});
    let path = "/api/v1/namespaces/ccos-system/configmaps/ccos-profile".to_owned();
    let kata = "runnerImage: r\npriorityClassName: p\nisolations: {Kata: {runtimeClass: kata, userNamespaces: true}}\n";
    cluster.objects.insert(path.clone(), profile(kata));
    let said = cluster.clone().says(&executes("tools/csv.summary", ann())).unwrap();
    assert_eq!(
        said,
        answered(false, &[r#"Unenforceable: isolation "GVisor": the cluster does not have it; use Kata"#])
    );
    cluster.objects.insert(path, profile("isolations: 7"));
    let error = cluster.says(&executes("tools/csv.summary", ann())).unwrap_err();
    assert!(error.to_string().starts_with("the ConfigMap ccos-system/ccos-profile can't be understood: "), "{error}");
}

#[test]
fn who_may_not_ask_for_others_is_told_what_it_takes() {
    let cluster = Cluster { closed: true, ..Cluster::default() };
    let error = cluster.says(&uses("analysts", ann())).unwrap_err().to_string();
    assert!(error.starts_with(r#"cannot ask what user "ann" may do: "#), "{error}");
    assert!(error.ends_with("to ask for somebody else takes the right to create subjectaccessreviews"), "{error}");
}

#[test]
fn a_reference_that_is_none_is_refused() {
    for question in [
        uses("Pod/x", ann()),
        uses("a/b/c", ann()),
        uses("", ann()),
        executes("weather", ann()),
        executes("a/b/c", ann()),
    ] {
        let error = Cluster::default().says(&question).unwrap_err();
        assert!(matches!(error, CanIError::Reference { .. }), "{error}");
    }
}

#[test]
fn groups_follow_from_the_name_as_the_api_server_has_them() {
    let groups = |user: &str| match Who::of(Some(user), &[]) {
        Who::User { name: _, groups } => groups,
        Who::Me => panic!("not me"),
    };
    assert_eq!(groups("ann"), ["system:authenticated"]);
    assert_eq!(groups("system:anonymous"), ["system:unauthenticated"]);
    assert_eq!(
        groups("system:serviceaccount:data:runner"),
        ["system:serviceaccounts", "system:serviceaccounts:data", "system:authenticated"]
    );
    assert_eq!(Who::of(None, &[]), Who::Me);
}

#[test]
fn the_answer_is_a_word_and_its_reasons() {
    let printed = |format| {
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        let mut streams = Streams { out: &mut out, notes: &mut notes };
        print(&answered(false, &["because \u{1b}"]), format, &mut streams).unwrap();
        String::from_utf8(out).unwrap()
    };
    assert_eq!(printed(Format::Text), "no\n  because \\u{1b}\n");
    let value: Value = serde_json::from_str(&printed(Format::Json)).unwrap();
    assert_eq!(value, json!({"allowed": false, "reasons": ["because \u{1b}"]}));
}

#[test]
fn inputs_that_nobody_gave_are_not_missed() {
    let rights = ["ann use securitycontexts data/analysts", "ann create capabilityexecutions data/*"];
    let mut cluster = Cluster::usual(&rights);
    let path = "/apis/security.ccos.dev/v1alpha1/namespaces/data/capabilityproviders/tools";
    let provider = cluster.objects.get_mut(path).unwrap();
    provider["spec"]["capabilities"][0]["inputSchema"] = json!({"required": ["city"]});
    assert_eq!(cluster.says(&executes("tools/csv.summary", ann())).unwrap(), answered(true, &[NOTE]));
}
