use proptest::prelude::*;

use super::*;

fn grants(annotation: &str) -> Grants {
    Grants::parse(annotation).unwrap()
}

fn verdict(grants: &Grants, host: &str, port: u16) -> Option<Refusal> {
    match decide(&Host::parse(host).unwrap(), port, grants) {
        Verdict::Granted => None,
        Verdict::Denied { refusal, .. } => Some(refusal),
    }
}

fn usual() -> Grants {
    grants(
        r#"{"outbound":[
            {"host":"api.example.com","ports":[{"port":443,"endPort":443},{"port":8000,"endPort":8010}]},
            {"host":"*.wide.example","ports":[{"port":443,"endPort":443}]},
            {"host":"bücher.example","ports":[{"port":443,"endPort":443}]},
            {"cidr":"203.0.113.0/24","ports":[{"port":5432,"endPort":5432}]},
            {"cidr":"2001:db8::/32","ports":[{"port":443,"endPort":443}]}],
          "blocked":[{"host":"secret.wide.example"},{"host":"*.deep.wide.example"},{"cidr":"203.0.113.128/25"}]}"#,
    )
}

#[test]
fn names_are_granted_as_admission_grants_them() {
    let grants = usual();
    for (host, port, expected) in [
        ("api.example.com", 443, None),
        ("API.Example.COM", 443, None),
        ("api.example.com.", 443, None),
        ("api.example.com", 8000, None),
        ("api.example.com", 8010, None),
        ("api.example.com", 8011, Some(Refusal::NotGranted)),
        ("api.example.com", 80, Some(Refusal::NotGranted)),
        ("example.com", 443, Some(Refusal::NotGranted)),
        ("a.api.example.com", 443, Some(Refusal::NotGranted)),
        ("api.example.com.evil.test", 443, Some(Refusal::NotGranted)),
        ("evilapi.example.com", 443, Some(Refusal::NotGranted)),
        ("wide.example", 443, None),
        ("a.wide.example", 443, None),
        ("a.b.wide.example", 443, None),
        ("notwide.example", 443, Some(Refusal::NotGranted)),
        ("secret.wide.example", 443, Some(Refusal::Blocked)),
        ("SECRET.wide.example.", 443, Some(Refusal::Blocked)),
        ("a.secret.wide.example", 443, None),
        ("deep.wide.example", 443, Some(Refusal::Blocked)),
        ("x.deep.wide.example", 443, Some(Refusal::Blocked)),
        ("bücher.example", 443, None),
        ("BÜCHER.example", 443, None),
        ("xn--bcher-kva.example", 443, None),
        ("bucher.example", 443, Some(Refusal::NotGranted)),
    ] {
        assert_eq!(verdict(&grants, host, port), expected, "{host}:{port}");
    }
}

#[test]
fn addresses_are_granted_by_blocks_only() {
    let grants = usual();
    for (host, port, expected) in [
        ("203.0.113.1", 5432, None),
        ("203.0.113.1", 443, Some(Refusal::NotGranted)),
        ("203.0.113.127", 5432, None),
        ("203.0.113.128", 5432, Some(Refusal::Blocked)),
        ("203.0.112.255", 5432, Some(Refusal::NotGranted)),
        ("[2001:db8::1]", 443, None),
        ("[2001:db9::1]", 443, Some(Refusal::NotGranted)),
    ] {
        assert_eq!(verdict(&grants, host, port), expected, "{host}:{port}");
    }
}

#[test]
fn nothing_is_granted_by_nothing() {
    assert_eq!(verdict(&Grants::default(), "example.com", 443), Some(Refusal::NotGranted));
    assert_eq!(
        verdict(&grants(r#"{"outbound":[{"host":"a.example","ports":[]}],"blocked":[]}"#), "a.example", 443),
        Some(Refusal::NotGranted)
    );
}

#[test]
fn an_odd_form_of_an_address_is_no_host() {
    for odd in [
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "127.0.0.01",
        "127.0.0.1.",
        "0x7f.0x0.0x0.0x1",
        "１２７.０.０.１",
        "127。0。0。1",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:0:0:1]",
        "[::0001]",
        "[2001:DB8::1]",
        "[fe80::1%eth0]",
        "[fe80::1%25eth0]",
        "[::1",
        "::1",
        "[127.0.0.1]",
        "[example.com]",
        "",
        ".",
        "a..b",
        "*",
        "*.example.com",
        "a_b.example",
        "user@example.com",
        "example.com/",
        "a b",
        "a%2eb",
        "a\u{0}b",
        "ex\u{200b}ample.com\u{2028}",
    ] {
        assert!(Host::parse(odd).is_err(), "{odd:?} was read as {:?}", Host::parse(odd));
    }
}

#[test]
fn rules_with_anything_odd_in_them_are_no_rules() {
    for odd in [
        "",
        "[]",
        "{}",
        "null",
        r#"{"outbound":[],"blocked":[],"allow":[]}"#,
        r#"{"outbound":[{"host":"*","ports":[]}],"blocked":[]}"#,
        r#"{"outbound":[],"blocked":[{"host":"*."}]}"#,
        r#"{"outbound":[],"blocked":[{"cidr":"10.0.0.1/8"}]}"#,
        r#"{"outbound":[],"blocked":[{"cidr":"010.0.0.0/8"}]}"#,
        r#"{"outbound":[{"host":"a.example","ports":[{"port":0,"endPort":0}]}],"blocked":[]}"#,
        r#"{"outbound":[{"host":"a.example","ports":[{"port":443,"endPort":80}]}],"blocked":[]}"#,
        r#"{"outbound":[{"host":"127.0.0.1","ports":[]}],"blocked":[]}"#,
    ] {
        assert!(Grants::parse(odd).is_err(), "{odd}");
    }
}

/// Names over few labels, so that they meet.
fn name() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "example", "test"]), 1..4)
        .prop_map(|labels| labels.join("."))
}

fn pattern() -> impl Strategy<Value = (bool, String)> {
    (any::<bool>(), name())
}

fn text((domain, name): &(bool, String)) -> String {
    if *domain { format!("*.{name}") } else { name.clone() }
}

/// By labels from the right, which is not how patterns do it.
fn means((domain, pattern): &(bool, String), name: &str) -> bool {
    let (mut pattern, mut name) = (pattern.rsplit('.'), name.rsplit('.'));
    loop {
        match (pattern.next(), name.next()) {
            (None, None) => return true,
            (None, Some(_)) => return *domain,
            (Some(a), Some(b)) if a == b => {}
            (Some(_), _) => return false,
        }
    }
}

proptest! {
    #[test]
    fn a_name_is_granted_iff_a_rule_means_it_and_no_block_does(
        granted in prop::collection::vec((pattern(), 440_u16..446, 0_u16..4), 0..4),
        blocked in prop::collection::vec(pattern(), 0..3),
        host in name(),
        port in 438_u16..452,
    ) {
        let outbound: Vec<_> = granted.iter().map(|(pattern, first, more)| serde_json::json!({
            "host": text(pattern), "ports": [{"port": first, "endPort": first + more}]})).collect();
        let blocks: Vec<_> = blocked.iter().map(|pattern| serde_json::json!({"host": text(pattern)})).collect();
        let grants = grants(&serde_json::json!({"outbound": outbound, "blocked": blocks}).to_string());
        let expected = if blocked.iter().any(|pattern| means(pattern, &host)) {
            Some(Refusal::Blocked)
        } else if granted.iter().any(|(pattern, first, more)| means(pattern, &host) && (*first..=first + more).contains(&port)) {
            None
        } else {
            Some(Refusal::NotGranted)
        };
        prop_assert_eq!(verdict(&grants, &host, port), expected);
    }

    #[test]
    fn what_is_read_as_a_host_is_read_the_same_again(text in "\\PC{0,24}") {
        if let Ok(host) = Host::parse(&text) {
            prop_assert_eq!(Host::parse(&host.to_string()).unwrap(), host);
        }
    }
}
