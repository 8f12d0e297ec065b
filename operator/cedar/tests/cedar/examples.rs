//! The examples of `docs/policies.md` do what the page says.

use ccos_cedar::{Principal, Signature};

use crate::given::{Case, full};

const PAGE: &str = include_str!("../../../../docs/policies.md");

/// The example in which this is written.
#[track_caller]
fn example(id: &str) -> String {
    let in_yaml = PAGE.split("```yaml\n").skip(1).map(|text| text.split("```").next().unwrap());
    let texts = in_yaml.filter_map(|text| text.split_once("cedar: |\n")).map(|(_, text)| text.to_owned());
    let in_cedar = PAGE.split("```cedar\n").skip(1).map(|text| text.split("```").next().unwrap().to_owned());
    let all: Vec<String> = texts.chain(in_cedar).collect();
    assert_eq!(all.len(), 4, "an example without a test");
    all.into_iter().find(|text| text.contains(&format!("@id(\"{id}\")"))).unwrap()
}

fn forbids(case: &Case, id: &str) -> bool {
    !case.denials(&example(id)).is_empty()
}

#[test]
fn only_signed_capabilities_run_in_production() {
    let mut case = full();
    assert_eq!(
        case.denials(&example("signed")),
        [
            r#"ExecutionPolicy "p" forbids it by policy "signed": sign the image, or run it in a namespace without env=prod"#
        ]
    );
    case.facts.labels.clear();
    assert!(!forbids(&case, "signed"));
    case.facts.labels.insert("env".to_owned(), "prod".to_owned());
    case.facts.provider.signature = Signature::Verified;
    assert!(!forbids(&case, "signed"));
}

#[test]
fn interns_have_no_network_outside_working_hours() {
    let at = |now| Case { now, ..full() };
    for (now, forbidden) in [
        ("2026-11-20T07:59:59Z", true),
        ("2026-11-20T08:00:00Z", false),
        ("2026-11-20T17:59:59Z", false),
        ("2026-11-20T18:00:00Z", true),
        ("2026-11-21T12:00:00Z", true),
        ("2026-11-22T12:00:00Z", true),
        ("2026-11-23T12:00:00Z", false),
    ] {
        assert_eq!(forbids(&at(now), "night"), forbidden, "{now}");
    }
    let mut case = at("2026-11-21T12:00:00Z");
    case.facts.principal.groups = vec!["team".to_owned()];
    assert!(!forbids(&case, "night"));
    let mut case = at("2026-11-21T12:00:00Z");
    case.permissions.network.outbound = Vec::new().into();
    assert!(!forbids(&case, "night"));
}

#[test]
fn nobody_but_the_pipeline_deploys() {
    let mut case = full();
    assert!(!forbids(&case, "deploys"));
    case.facts.capability = "shop.deploy".to_owned();
    assert!(forbids(&case, "deploys"));
    case.facts.principal = Principal { user: "system:serviceaccount:ci:builder".to_owned(), groups: Vec::new() };
    assert!(!forbids(&case, "deploys"));
    case.facts.principal.user = "system:serviceaccount:dev:builder".to_owned();
    assert!(forbids(&case, "deploys"));
}

#[test]
fn images_come_from_our_registry() {
    let mut case = full();
    case.facts.capability = "csv.summary".to_owned();
    assert_eq!(case.denials(&example("registry")).len(), 2);
    case.facts.provider.image = "registry.example.com/csv".to_owned();
    case.facts.provider.version.major = 2;
    assert!(!forbids(&case, "registry"));
    case.facts.provider.image = "registry.example.com.evil.test/csv".to_owned();
    assert_eq!(case.denials(&example("registry")).len(), 1);
}
