//! Which texts are refused, and what is said of them.

use ccos_cedar::{TEXT_LIMIT, Text};

#[track_caller]
fn refused(text: &str) -> Vec<String> {
    Text::parse(text).expect_err(text).iter().map(ToString::to_string).collect()
}

#[test]
fn a_text_that_cannot_be_parsed_is_refused_with_its_place_and_what_was_expected() {
    let faults = refused("forbid(principal, action, resource)\nwhen { context.level = 1 };");
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].starts_with("line 2, column 8: '=' is not a valid operator"), "{faults:?}");
}

#[test]
fn what_the_schema_does_not_have_is_refused_with_its_place_and_what_there_is() {
    for (condition, says) in [
        ("resource.idd == \"a\"", "did you mean `id`?"),
        ("context.nw > datetime(\"2026-01-01\")", "attribute `nw`"),
        ("principal.mail == \"a\"", "attribute `mail`"),
        ("resource.signature == Signature::\"verified\"", "Verified"),
        ("context.isolation == Isolation::\"gvisor\"", "GVisor"),
        ("context.namespace.getTag(\"env\") == \"prod\"", "hasTag"),
        ("resource.requires.limits.networkBytesPerSecond > 1", "networkBytesPerSecond"),
        ("resource.requires.limits.memoryBytes > \"1Gi\"", "Long"),
        ("principal in Grup::\"a\"", "Group"),
    ] {
        let faults = refused(&format!("forbid(principal is User, action, resource)\n  when {{ {condition} }};"));
        assert!(faults.iter().any(|fault| fault.starts_with("line 2, ")), "{condition}: {faults:?}");
        assert!(faults.iter().any(|fault| fault.contains(says)), "{condition}: expected {says:?}: {faults:?}");
        assert!(faults.iter().all(|fault| !fault.contains("policy0")), "{faults:?}");
    }
}

#[test]
fn a_restriction_that_can_never_hold_is_refused() {
    for text in [
        "forbid(principal, action, resource) when { false };",
        "forbid(principal == Capability::\"a\", action, resource);",
        "forbid(principal, action == Action::\"run\", resource);",
    ] {
        assert!(!refused(text).is_empty());
    }
}

#[test]
fn what_would_do_nothing_is_refused() {
    let permit = refused("@id(\"mine\") permit(principal == User::\"ann\", action, resource);");
    assert_eq!(permit.len(), 1, "{permit:?}");
    assert!(permit[0].starts_with("policy \"mine\": permit would change nothing"), "{permit:?}");
    assert!(refused("forbid(principal == ?principal, action, resource);")[0].contains("template"));
    assert!(refused(" // nothing\n")[0].starts_with("expected at least one policy"));
}

#[test]
fn two_policies_of_one_name_are_refused() {
    let text = "@id(\"a\") forbid(principal, action, resource); @id(\"a\") forbid(principal, action, resource);";
    assert_eq!(refused(text), ["policy \"a\": its @id is given twice: a denial would not say which of them"]);
}

#[test]
fn text_that_does_not_read_as_it_is_is_refused() {
    let text = "forbid(principal, action, resource) when { resource.id == \"user\u{202e} \u{2066}// admin\u{2069} \u{2066}\" };";
    assert!(!refused(text).is_empty());
}

#[test]
fn no_text_is_unbounded() {
    let long = format!("forbid(principal, action, resource);//{}", "x".repeat(TEXT_LIMIT));
    assert!(refused(&long)[0].contains("expected at most 65536"));
    Text::parse(&format!("forbid(principal, action, resource);//{}", "x".repeat(TEXT_LIMIT - 38))).unwrap();
}

/// Each of these ends the process when Cedar's parser gets it as it is.
#[test]
fn what_is_nested_too_deep_is_refused_and_what_is_not_fits_any_stack() {
    let policy = |condition: String| format!("forbid(principal, action, resource) when {{ {condition} }};");
    let nested = |open: &str, depth: usize, middle: &str, close: &str| {
        policy(format!("{}{middle}{}", open.repeat(depth), close.repeat(depth)))
    };
    for text in [
        nested("(", 5000, "true", ")"),
        nested("[", 5000, "1", "]"),
        nested("{a:", 5000, "1", "}"),
        nested("f(", 5000, "1", ")"),
        policy(format!("{}true", "if true then true else ".repeat(2000))),
        policy(vec!["1"; 20_000].join("+") + " == 1"),
        policy(vec!["true"; 8000].join("||")),
        policy("context".to_owned() + &".a".repeat(20_000)),
        // Not hidden by what looks like a string or a comment.
        policy(format!("\"\\\"\" == \"//\" || {}true{}", "(".repeat(5000), ")".repeat(5000))),
    ] {
        let faults = refused(&text);
        assert!(faults[0].contains("more than"), "{faults:?}");
    }
    let deepest = [
        nested("(", 31, "context.level == Level::\"Pure\"", ")"),
        nested("[", 29, "1", "]"),
        policy(format!("{}context has now", "if resource.id == \"a\" then true else ".repeat(30))),
        policy(vec!["1"; 129].join("+") + " == 129"),
        policy(vec!["resource.id == \"a\""; 100].join("||")),
        policy(vec!["\"(((((\" == resource.id"; 50].join(" || // ((((((((\n")),
    ];
    // As small a stack as a thread of the webhook may have left, and unoptimized.
    let small = std::thread::Builder::new().stack_size(1 << 20);
    let parses = move || deepest.iter().filter(|text| Text::parse(text).is_ok()).count();
    assert_eq!(small.spawn(parses).unwrap().join().unwrap(), 5, "all but the set of sets of sets");
}

/// Such a user does not exist: facts have service accounts of a type of their own.
#[test]
fn a_service_account_that_is_written_as_a_user_is_refused() {
    for text in [
        "forbid(principal == User::\"system:serviceaccount:ci:builder\", action, resource);",
        "forbid(principal, action, resource) when { [User::\"system:serviceaccount:ci:builder\"].contains(principal) };",
    ] {
        assert!(refused(text)[0].contains("write ServiceAccount::\"ci/builder\""), "{text}");
    }
    Text::parse("forbid(principal == User::\"system:admin\", action, resource);").unwrap();
}

#[test]
fn a_trailing_pattern_in_a_policy_on_files_is_warned_of() {
    let warned = |condition: &str| {
        let text = format!("forbid(principal, action, resource) when {{ {condition} }};");
        Text::parse(&text).unwrap().warnings().iter().any(|warning| warning.contains("write \"/etc\" for"))
    };
    assert!(warned("resource.requires.filesystem.read.contains(\"/etc/**\")"));
    assert!(!warned("resource.requires.filesystem.read.contains(\"/etc\")"));
    assert!(!warned("resource.requires.system.commands.contains(\"/app/**\")"));
}

/// Where Cedar ends a comment, brackets count again: for each character that could be taken for the end of a line.
#[test]
fn a_comment_ends_where_cedar_ends_it() {
    let deep = format!("forbid(principal, action, resource) when {{ {}true{} }};", "(".repeat(40), ")".repeat(40));
    let ends = ('\0'..=char::MAX).filter(|c| c.is_whitespace() || c.is_control() || matches!(c, '\\' | '/' | '*'));
    for end in ends {
        let faults = refused(&format!("//{end}{deep}"));
        let told = faults[0].contains("more than") || faults[0].starts_with("expected at least one policy");
        assert!(told, "{end:?}: {faults:?}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in r#"(forbid|permit|principal|action|resource|when|unless|if|then|[(){}\[\],;."\\&|=!@/* \n]|context|has|like|User::"a"|é|1){0,40}"#) {
        drop(Text::parse(&text));
    }
}
