//! What policies may change of a decision, and what not.

use std::sync::Arc;

use ccos_policy::Reason::*;
use ccos_policy::policies::{Ground, Judged, Objection, Opinions, Policies, Remark};
use ccos_policy::{Found, Use};

use crate::given::{Case, case, paths};

/// Says what it is asked, as an objection.
#[derive(Debug)]
struct Parrot {
    warns: bool,
}

impl Policies for Parrot {
    fn judge(&self, judged: &Judged<'_>) -> Opinions {
        let Judged { now, isolation, level, permissions, limits } = judged;
        let said = format!("{now} {isolation} {level} {:?} {}", permissions.filesystem.read, limits.memory);
        let ground = Ground::Forbids { advice: Some(said) };
        let objection = Objection { by: "p".to_owned(), policy: Some("policy 1".to_owned()), ground };
        if self.warns {
            Opinions { denials: Vec::new(), remarks: vec![Remark::Warn(objection)] }
        } else {
            Opinions { denials: vec![objection], remarks: Vec::new() }
        }
    }
}

fn judged(case: Case, warns: bool) -> Case {
    case.sees(|snapshot| snapshot.policies = Arc::new(Parrot { warns }))
}

#[test]
fn policies_are_asked_about_what_is_required_once_inheritance_is_resolved() {
    let case = case()
        .grants(|p| p.filesystem.read = paths(&["/data/**"]))
        .needs(|r| r.read = Some(paths(&["/data/in"])))
        .context(|c| c.limits.memory = Some(ccos_policy::Bytes(1 << 20)));
    let said = judged(case, false).denied().to_string();
    let read = format!("{:?}", paths(&["/data/in"]));
    assert!(said.starts_with("  capabilityRef: ExecutionPolicy \"p\" forbids it by policy 1: 2026-01-01T12:00:00Z GVisor Controlled [PathPattern"), "{said}");
    assert!(said.contains(&read) && said.ends_with(" 1Mi"), "{said}");
}

#[test]
fn policies_are_asked_last_and_hide_no_other_reason() {
    let case = case().needs(|r| r.read = Some(paths(&["/data"])));
    judged(case, false)
        .denied_for(&[(FileReadDenied, "requires.permissions.filesystem.read[0]"), (PolicyDenied, "capabilityRef")]);
}

/// There is no level and no requirement to ask about; and whoever may not use a context learns nothing of it.
#[test]
fn policies_are_not_asked_about_what_nothing_is_known_of() {
    let missing = || Found::Missing("x".to_owned());
    judged(case().sees(|s| s.context = missing()), false).denied_for(&[(ContextNotFound, "contextRef")]);
    judged(case().sees(|s| s.capability = Found::Missing("x".to_owned())), false)
        .denied_for(&[(CapabilityNotFound, "capabilityRef")]);
    judged(case().sees(|s| s.may_use = Use::Forbidden("eve".to_owned())), false)
        .denied_for(&[(UseForbidden, "contextRef")]);
}

#[test]
fn a_remark_denies_nothing_and_is_no_part_of_what_is_confined() {
    let (with, without) = (judged(case(), true).admitted(), case().admitted());
    assert_eq!((with.remarks().len(), without.remarks().len()), (1, 0));
    let json = |admitted| serde_json::to_string(admitted).unwrap();
    assert_eq!(json(&with), json(&without));
}

#[test]
fn an_objection_says_who_objects_and_what_to_do() {
    let objection = |policy: Option<&str>, ground| Objection {
        by: "p\u{1b}".to_owned(),
        policy: policy.map(str::to_owned),
        ground,
    };
    let advice = |text: &str| Ground::Forbids { advice: Some(text.to_owned()) };
    for (objection, says) in [
        (
            objection(Some("policy \"a\""), advice("sign\nit")),
            r#"ExecutionPolicy "p\u{1b}" forbids it by policy "a": sign\u{a}it"#,
        ),
        (
            objection(Some("policy 2"), Ground::Forbids { advice: None }),
            r#"ExecutionPolicy "p\u{1b}" forbids it by policy 2"#,
        ),
        (
            objection(Some("policy 2"), Ground::Failed("overflow".to_owned())),
            r#"ExecutionPolicy "p\u{1b}" can't be decided: policy 2 fails: overflow"#,
        ),
        (
            objection(None, Ground::Unreadable("spec.cedar: no".to_owned())),
            r#"ExecutionPolicy "p\u{1b}" can't be held: spec.cedar: no; correct or delete it"#,
        ),
    ] {
        assert_eq!(objection.to_string(), says);
    }
    assert!(objection(None, advice(&"x".repeat(5000))).to_string().len() < 400);
}
