//! What policies say of an execution.

use std::sync::Arc;

use ccos_cedar::{Mode, PolicySet, Principal, SCHEMA, Signature, Stored, TOTAL_LIMIT, Text};
use ccos_policy::{Isolation, Level};

use crate::given::{Case, full, least, set, told};

#[test]
fn what_nothing_forbids_passes_and_what_one_forbids_does_not() {
    assert_eq!(full().denials("forbid(principal == User::\"eve\", action, resource);"), Vec::<String>::new());
    assert_eq!(full().denials("forbid(principal == User::\"ann\", action, resource);").len(), 1);
    assert_eq!(full().asked(&Arc::new(PolicySet::new(&[]))).denials, []);
}

#[test]
fn every_forbid_that_holds_is_named_with_its_advice() {
    let text = r#"
        @id("no-eve") forbid(principal == User::"eve", action, resource);
        @id("signed") @advice("sign the image") forbid(principal, action, resource) unless { resource.signature == Signature::"Verified" };
        forbid(principal in Group::"interns", action, resource);
    "#;
    assert_eq!(
        full().denials(text),
        [
            r#"ExecutionPolicy "p" forbids it by policy "signed": sign the image"#,
            r#"ExecutionPolicy "p" forbids it by policy 3"#,
        ]
    );
}

#[test]
fn of_a_thousand_objections_enough_are_told() {
    let text = "forbid(principal, action, resource);".repeat(1000);
    assert_eq!(full().denials(&text).len(), 64);
}

#[test]
fn each_mode_has_its_own_consequence() {
    let always = "forbid(principal, action, resource);";
    let all = set(&[("a", Mode::Audit, always), ("e", Mode::Enforce, always), ("w", Mode::Warn, always)]);
    let said = full().asked(&all);
    assert_eq!(said.denials.iter().map(|one| one.by.as_str()).collect::<Vec<_>>(), ["e"]);
    assert_eq!(
        told(&said.remarks),
        ["audit: ExecutionPolicy \"a\" forbids it by policy 1", "warn: ExecutionPolicy \"w\" forbids it by policy 1"]
    );
}

#[test]
fn each_attribute_says_what_is_so() {
    for (condition, holds) in [
        (r#"principal is User && principal.name == "ann""#, true),
        (r#"principal.groups.contains("team") && principal in Group::"interns" && !(principal in Group::"x")"#, true),
        (r#"resource == Capability::"weather.fetch" && resource.id like "weather.*""#, true),
        (r#"resource.provider.kind == ProviderKind::"CapabilityProvider""#, true),
        (
            r#"resource.provider == {kind: ProviderKind::"CapabilityProvider", namespace: "data", name: "weather"}"#,
            true,
        ),
        (r#"resource.version.text == "1.4.2-rc.1" && resource.version.prerelease != """#, true),
        ("resource.version.major < 1 || (resource.version.major == 1 && resource.version.minor < 4)", false),
        ("resource.version.patch == 2", true),
        (r#"resource.image like "registry.local/*" && resource.sourceDigest like "sha256:0*""#, true),
        (r#"resource.signature == Signature::"Unverified""#, true),
        (r#"resource.requires.filesystem.read == ["/data"]"#, true),
        (
            r#"resource.requires.filesystem.write.contains("/out/**") && resource.requires.filesystem.execute.contains("/opt/lib/**")"#,
            false,
        ),
        ("resource.requires.filesystem.write.isEmpty() || resource.requires.filesystem.execute.isEmpty()", false),
        (
            r#"resource.requires.network.hosts == ["api.example.com"] && resource.requires.network.cidrs == ["203.0.113.0/24"]"#,
            true,
        ),
        ("resource.requires.network.inbound.isEmpty()", true),
        (r#"resource.requires.system.commands == ["/bin/sh"] && resource.requires.system.processCreation"#, true),
        (r#"resource.requires.environment.read == ["APP_*"] && resource.requires.environment.write == ["LANG"]"#, true),
        (r#"resource.requires.ipc.connect == ["/run/app.sock"]"#, true),
        ("resource.requires.limits.memoryBytes == 1073741824 && resource.requires.limits.cpuMillis == 1000", true),
        (
            "resource.requires.limits.cpuTimeMillis == 300000 && resource.requires.limits.wallTimeMillis == 3600000",
            true,
        ),
        ("resource.requires.limits.diskBytes == 268435456 && resource.requires.limits.fileDescriptors == 1024", true),
        ("resource.requires.limits.threads == 256", true),
        (
            "resource.requires.limits has networkBytesPerSecond && resource.requires.limits.networkBytesPerSecond == 1048576",
            true,
        ),
        (r#"context.now == datetime("2026-11-21T10:30:00Z") && context.weekday == Weekday::"Saturday""#, true),
        (r#"context.now.toTime() < duration("8h")"#, false),
        (r#"context.namespace == Namespace::"data" && context.namespace.name == "data""#, true),
        (r#"context.namespace.hasTag("env") && context.namespace.getTag("env") == "prod""#, true),
        (r#"context.namespace.hasTag("team")"#, false),
        (
            r#"context.securityContext.kind == ContextKind::"SecurityContext" && context.securityContext.name == "analysts""#,
            true,
        ),
        (r#"context.level == Level::"Controlled" && context.isolation == Isolation::"GVisor""#, true),
    ] {
        assert_eq!(full().is_forbidden_when(condition), holds, "{condition}");
    }
}

#[test]
fn a_service_account_is_no_user() {
    let mut case = full();
    case.facts.principal = Principal {
        user: "system:serviceaccount:ci:builder".to_owned(),
        groups: vec!["system:serviceaccounts:ci".to_owned()],
    };
    assert!(case.is_forbidden_when(
        r#"principal == ServiceAccount::"ci/builder" && principal.namespace == "ci" && principal.name == "builder""#
    ));
    assert!(case.is_forbidden_when(r#"principal in Group::"system:serviceaccounts:ci""#));
    assert!(!case.is_forbidden_when("principal is User"));
    // The name of a user can't make a service account of it.
    case.facts.principal.user = "ci/builder".to_owned();
    assert!(!case.is_forbidden_when("principal is ServiceAccount"));
}

#[test]
fn names_from_outside_are_values_and_never_text_of_a_policy() {
    let mut case = full();
    let hostile = "\"); permit(principal, action, resource); //\\";
    case.facts.principal = Principal { user: hostile.to_owned(), groups: vec![hostile.to_owned()] };
    case.facts.labels = [(hostile.to_owned(), hostile.to_owned())].into();
    case.facts.namespace = hostile.to_owned();
    assert!(case.is_forbidden_when("principal is User"));
}

#[test]
fn what_cannot_be_evaluated_denies_and_names_the_policy() {
    let overflow = r#"@id("sum") forbid(principal, action, resource) when { resource.requires.limits.memoryBytes * 9223372036854775807 > 0 };"#;
    let denials = full().denials(overflow);
    assert_eq!(denials.len(), 1, "{denials:?}");
    assert!(denials[0].starts_with(r#"ExecutionPolicy "p" can't be decided: policy "sum" fails: "#), "{denials:?}");
    let said = full().asked(&set(&[("p", Mode::Warn, overflow)]));
    assert_eq!((said.denials.len(), said.remarks.len()), (0, 1));
}

#[test]
fn an_object_that_cannot_be_read_denies_everything_and_is_named() {
    let broken = |mode| Stored { name: "old".to_owned(), mode, text: Err("line 1, column 1: no".to_owned()) };
    let said = full().asked(&Arc::new(PolicySet::new(&[broken(Mode::Enforce)])));
    let denials: Vec<String> = said.denials.iter().map(ToString::to_string).collect();
    assert_eq!(denials, [r#"ExecutionPolicy "old" can't be held: line 1, column 1: no; correct or delete it"#]);
    let said = full().asked(&Arc::new(PolicySet::new(&[broken(Mode::Audit)])));
    assert_eq!((said.denials.len(), said.remarks.len()), (0, 1));
}

#[test]
fn more_than_can_be_held_denies_everything() {
    let text = format!("forbid(principal == User::\"eve\", action, resource);//{}", "x".repeat(60_000));
    let text = Arc::new(Text::parse(&text).unwrap());
    let stored = |count: usize| -> Vec<Stored> {
        let one = |at| Stored { name: format!("p{at}"), mode: Mode::Audit, text: Ok(Arc::clone(&text)) };
        (0..count).map(one).collect()
    };
    let fits = TOTAL_LIMIT / 60_100;
    assert_eq!(full().asked(&Arc::new(PolicySet::new(&stored(fits)))).denials, []);
    assert_eq!(full().asked(&Arc::new(PolicySet::new(&stored(fits + 1)))).denials.len(), 1);
}

/// At a request nothing is held to the schema again, so that each question has to fit it: the fullest and the emptiest do.
#[test]
fn what_is_asked_fits_the_published_schema() {
    let every = |case: &Case| {
        // Reads every attribute: one that is missing, or of another type, fails.
        let text = r#"forbid(principal, action, resource) when {
            principal.name == "?" || principal.groups.contains("?") ||
            resource.id == "?" || resource.provider.kind == ProviderKind::"ClusterCapabilityProvider" ||
            resource.provider.namespace like "?*" || resource.provider.name like "?*" ||
            resource.version.text like "?*" || resource.version.prerelease like "?*" ||
            resource.version.major + resource.version.minor + resource.version.patch < 0 ||
            resource.image like "?*" || resource.sourceDigest like "?*" || resource.signature == Signature::"Verified" ||
            resource.requires.filesystem.read.contains("?") || resource.requires.filesystem.write.contains("?") ||
            resource.requires.filesystem.execute.contains("?") || resource.requires.network.hosts.contains("?") ||
            resource.requires.network.cidrs.contains("?") || resource.requires.network.inbound.contains("?") ||
            resource.requires.system.commands.contains("?") || (resource.requires.system.processCreation && false) ||
            resource.requires.environment.read.contains("?") || resource.requires.environment.write.contains("?") ||
            resource.requires.ipc.connect.contains("?") ||
            resource.requires.limits.memoryBytes + resource.requires.limits.cpuMillis + resource.requires.limits.diskBytes +
            resource.requires.limits.cpuTimeMillis + resource.requires.limits.wallTimeMillis +
            resource.requires.limits.fileDescriptors + resource.requires.limits.threads < 0 ||
            (resource.requires.limits has networkBytesPerSecond && resource.requires.limits.networkBytesPerSecond < 0) ||
            context.now < datetime("1970-01-01") || context.weekday == Weekday::"Monday" ||
            context.namespace.name like "?*" || context.namespace.hasTag("?") ||
            context.securityContext.kind == ContextKind::"ClusterSecurityContext" ||
            context.securityContext.name like "?*" || context.level == Level::"Sandboxed" ||
            context.isolation == Isolation::"Wasm"
        };"#;
        assert_eq!(case.denials(text), Vec::<String>::new());
    };
    every(&full());
    every(&least());
    // The attributes that the text above does not read would be missing from it; it names all that the schema has.
    for word in SCHEMA.lines().filter_map(|line| line.trim().split_once(": ")).map(|(name, _)| name) {
        let name = word.trim_end_matches('?');
        if !name.contains(' ') && !["principal", "resource", "context", "//"].contains(&name) {
            assert!(include_str!("questions.rs").contains(name), "{name} is not read by any test");
        }
    }
}

#[test]
fn each_name_of_a_closed_set_is_one_of_the_schemas() {
    for isolation in [Isolation::GVisor, Isolation::Kata, Isolation::Container, Isolation::Wasm] {
        let case = Case { isolation, ..full() };
        assert!(case.is_forbidden_when(&format!("context.isolation == Isolation::\"{isolation}\"")));
    }
    for level in [Level::Pure, Level::Controlled, Level::Full, Level::Sandboxed] {
        let case = Case { level, ..full() };
        assert!(case.is_forbidden_when(&format!("context.level == Level::\"{level}\"")));
    }
    for (signature, name) in
        [(Signature::None, "None"), (Signature::Unverified, "Unverified"), (Signature::Verified, "Verified")]
    {
        let mut case = full();
        case.facts.provider.signature = signature;
        assert!(case.is_forbidden_when(&format!("resource.signature == Signature::\"{name}\"")));
    }
    for (day, name) in [
        ("2026-11-16", "Monday"),
        ("2026-11-17", "Tuesday"),
        ("2026-11-18", "Wednesday"),
        ("2026-11-19", "Thursday"),
        ("2026-11-20", "Friday"),
        ("2026-11-21", "Saturday"),
        ("2026-11-22", "Sunday"),
    ] {
        let case = Case { now: Box::leak(format!("{day}T23:59:59.999999999Z").into_boxed_str()), ..full() };
        assert!(case.is_forbidden_when(&format!("context.weekday == Weekday::\"{name}\"")), "{day}");
    }
}

/// A policy as deep as may be, on as small a stack as a thread of the webhook may have left, and unoptimized.
#[test]
fn the_deepest_policy_is_evaluated() {
    let sum = format!("forbid(principal, action, resource) when {{ {} == 129 }};", vec!["1"; 129].join("+"));
    let small = std::thread::Builder::new().stack_size(1 << 20);
    let denials = small.spawn(move || full().denials(&sum)).unwrap().join().unwrap();
    assert_eq!(denials, [r#"ExecutionPolicy "p" forbids it by policy 1"#]);
}

/// Otherwise whoever writes the provider picks the spelling that the policy does not have.
#[test]
fn a_folder_of_files_is_told_in_one_way() {
    for written in ["/etc", "/etc/**"] {
        let mut case = full();
        case.permissions.filesystem.read = vec![written.parse().unwrap()].into();
        case.permissions.system.commands = vec![written.parse().unwrap()].into();
        assert!(case.is_forbidden_when("resource.requires.filesystem.read.contains(\"/etc\")"), "{written}");
        // Of commands the two are not the same.
        let as_written = format!("resource.requires.system.commands == [{written:?}]");
        assert!(case.is_forbidden_when(&as_written), "{written}");
    }
}
