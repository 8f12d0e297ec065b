//! Whether there is a context to use at all, and what can still be said if not.

use ccos_policy::Reason::*;
use ccos_policy::{Found, Limits, Use};

use crate::given::{case, paths};

#[test]
fn a_missing_context_and_a_missing_capability_are_both_reported() {
    let case = case().asks(|r| r.isolation = Some(ccos_policy::Isolation::Container)).sees(|s| {
        s.context = Found::Missing(r#"SecurityContext "data/analysts" not found"#.to_owned());
        s.capability = Found::Missing(r#"CapabilityProvider "data/weather" not found"#.to_owned());
    });
    case.denied_for(&[
        (ContextNotFound, "contextRef"),
        (CapabilityNotFound, "capabilityRef"),
        (Unenforceable, "isolation"),
    ]);
    let denials = case.denied();
    assert_eq!(denials.first().unwrap().to_string(), r#"contextRef: SecurityContext "data/analysts" not found"#);
}

#[test]
fn what_can_not_be_understood_says_why() {
    let case = case().sees(|s| {
        s.context = Found::Invalid(
            r#"SecurityContext "analysts": permissions.filesystem.blocked[0] "/a[b]": expected …"#.to_owned(),
        );
        s.capability = Found::Invalid("CapabilityProvider \"weather\": …".to_owned());
    });
    case.denied_for(&[(ContextNotFound, "contextRef"), (ProviderInvalid, "capabilityRef")]);
    assert!(case.denied().to_string().contains("blocked[0]"));
}

#[test]
fn a_context_expires_at_the_moment_itself() {
    let expires = |at: &str| case().context(|c| c.expiry.at = Some(at.parse().unwrap()));
    let _ = expires("2026-01-01T12:00:00.000000001Z").admitted();
    expires("2026-01-01T12:00:00Z").says(r#"contextRef: SecurityContext "analysts" expired at 2026-01-01T12:00:00Z"#);
    expires("2025-01-01T12:00:00Z").denied_for(&[(ContextExpired, "contextRef")]);
}

#[test]
fn an_expired_context_does_not_hide_other_reasons() {
    case()
        .context(|c| c.expiry.at = Some("2025-01-01T12:00:00Z".parse().unwrap()))
        .needs(|r| r.read = Some(paths(&["/data"])))
        .denied_for(&[(ContextExpired, "contextRef"), (FileReadDenied, "requires.permissions.filesystem.read[0]")]);
}

#[test]
fn who_may_not_use_a_context_does_not_learn_what_it_grants() {
    let case = case()
        .grants(|p| p.filesystem.read = paths(&["/secret/project"]))
        .needs(|r| r.read = Some(paths(&["/data"])))
        .asks(|r| r.requires.limits = Limits { threads: Some(1 << 20), ..Limits::default() })
        .sees(|s| s.may_use = Use::Forbidden(r#"user "eve""#.to_owned()));
    case.says(r#"contextRef: user "eve" may not use SecurityContext "analysts": needs the verb `use` on it"#);
}

#[test]
fn offline_there_is_nobody_to_ask() {
    let _ = case().sees(|s| s.may_use = Use::NotAsked).admitted();
}

#[test]
fn the_same_question_has_the_same_answer() {
    let case = case().needs(|r| r.read = Some(paths(&["/b", "/a", "/b"])));
    assert_eq!(case.denied(), case.denied());
    assert_eq!(case.denied().len(), 3);
}
