//! Networks: peers and ports, blocked ones, and an oracle that tries each.

use ccos_policy::Reason::*;
use ccos_policy::decision::{Cause, Why};
use ccos_policy::pattern::selector::Ask;
use ccos_policy::permissions::InboundPeer;
use ccos_policy::{Decision, Inbound, Level, Outbound, Peer, PortRange, Selectors, decide};
use proptest::prelude::*;

use crate::given::{Case, case, outbound, outbounds, peer};

const FIELD: &str = "requires.permissions.network.outbound";

/// Required, granted, blocked, and blocked by the requirement itself.
type Inside<'a> = (&'a str, &'a [&'a str], &'a [&'a str], &'a [&'a str]);
/// And the counterexample.
type Outside<'a> = (&'a str, &'a [&'a str], &'a [&'a str], &'a [&'a str], &'a str);

fn network(required: &[Outbound], granted: &[Outbound], blocked: &[Peer], without: &[Peer]) -> Case {
    case()
        .grants(|p| p.network.outbound = granted.to_vec().into())
        .grants(|p| p.network.blocked = blocked.to_vec().into())
        .needs(|r| {
            r.outbound = Some(required.to_vec().into());
            r.network_blocked = Some(without.to_vec().into());
        })
}

/// Why the first requirement is not granted.
fn why(case: &Case) -> Option<Why> {
    match decide(&case.request, &case.snapshot) {
        Decision::Admitted(_) => panic!("networks are not held yet"),
        Decision::Denied(denials) => denials.into_iter().find_map(|denial| match denial.cause {
            Cause::Network(outside) => Some(outside.why),
            _ => None,
        }),
    }
}

fn counterexample(required: &str, granted: &[&str], blocked: &[&str], without: &[&str]) -> Option<String> {
    let peers = |texts: &[&str]| texts.iter().map(|text| peer(text)).collect::<Vec<_>>();
    let case = network(&[outbound(required)], &outbounds(granted), &peers(blocked), &peers(without));
    match why(&case)? {
        Why::NotGranted { counterexample } | Why::Blocked { counterexample, .. } => Some(counterexample),
        Why::TooComplex => panic!("too complex"),
    }
}

#[test]
fn what_lies_inside() {
    let cases: &[Inside] = &[
        ("api.example.com 443", &["*.example.com 443"], &[], &[]),
        ("example.com 443", &["*.example.com 443"], &[], &[]),
        ("API.Example.com. 443", &["api.example.com 443"], &[], &[]),
        ("*.a.b.com 443", &["*.b.com 1-65535"], &[], &[]),
        ("*.b.com 80,443", &["*.b.com 80", "*.com 443"], &[], &[]),
        ("x.com 1-10", &["x.com 1-4", "*.com 5-10"], &[], &[]),
        ("x.com 65535", &["x.com 65535"], &[], &[]),
        ("*.b.com 443", &["*.b.com 443"], &["c.b.com"], &["c.b.com"]),
        ("*.b.com 443", &["*.b.com 443"], &["c.b.com"], &["*.c.b.com"]),
        // A blocked block of addresses meets a host when it connects, not here.
        ("x.com 443", &["x.com 443"], &["0.0.0.0/0"], &[]),
        ("10.0.0.0/8 1", &["10.0.0.0/8 1"], &[], &[]),
        ("10.0.0.0/8 1", &["10.0.0.0/9 1", "10.128.0.0/9 1"], &[], &[]),
        ("10.0.0.0/8 1", &["0.0.0.0/0 1"], &["11.0.0.0/8"], &[]),
        ("::ffff:10.0.0.0/104 1", &["10.0.0.0/8 1"], &[], &[]),
        ("0.0.0.0/0 1-2", &["0.0.0.0/1 1-2", "128.0.0.0/1 1", "128.0.0.0/2 2", "192.0.0.0/2 2"], &[], &[]),
    ];
    for (required, granted, blocked, without) in cases {
        assert_eq!(counterexample(required, granted, blocked, without), None, "{required} in {granted:?}");
    }
}

#[test]
fn what_does_not_has_a_counterexample() {
    let cases: &[Outside] = &[
        ("example.org 443", &["*.example.com 443"], &[], &[], "example.org:443"),
        ("badexample.com 443", &["*.example.com 443"], &[], &[], "badexample.com:443"),
        ("*.example.com 443", &["example.com 443"], &[], &[], "a.example.com:443"),
        ("*.example.com 443", &["*.a.example.com 443"], &[], &[], "example.com:443"),
        ("*.example.com 443", &["example.com 443", "a.example.com 443"], &[], &[], "b.example.com:443"),
        ("*.b.com 443", &["*.b.com 443"], &["c.b.com"], &[], "c.b.com:443"),
        ("*.b.com 443", &["*.b.com 443"], &["*.c.b.com"], &["c.b.com"], "a.c.b.com:443"),
        ("x.com 80,443", &["x.com 443"], &[], &[], "x.com:80"),
        ("x.com 1-10", &["x.com 1-4", "x.com 6-10"], &[], &[], "x.com:5"),
        ("x.com 65535", &["x.com 1-65534"], &[], &[], "x.com:65535"),
        ("x.com 443", &["0.0.0.0/0 443", "::/0 443"], &[], &[], "x.com:443"),
        ("10.0.0.0/8 443", &["*.com 443"], &[], &[], "10.0.0.0:443"),
        ("10.0.0.0/8 1", &["10.0.0.0/9 1"], &[], &[], "10.128.0.0:1"),
        ("10.0.0.0/8 1", &["10.0.0.0/8 1"], &["10.3.0.0/16"], &[], "10.3.0.0:1"),
        ("2001:db8::/32 1", &["::/1 2", "0.0.0.0/0 1"], &[], &[], "[2001:db8::]:1"),
        ("0.0.0.0/0 1-2", &["0.0.0.0/1 1-2", "128.0.0.0/1 1"], &[], &[], "128.0.0.0:2"),
    ];
    for (required, granted, blocked, without, expected) in cases {
        assert_eq!(counterexample(required, granted, blocked, without).as_deref(), Some(*expected), "{required}");
    }
}

#[test]
fn a_denial_names_what_is_granted() {
    let case = network(&[outbound("x.com 80,443")], &outbounds(&["x.com 443", "10.0.0.0/8 1-9"]), &[], &[]);
    let line = case.denied().first().unwrap().to_string();
    assert_eq!(
        line,
        r#"requires.permissions.network.outbound[0] "x.com ports 80, 443": not granted, e.g. x.com:80; granted: x.com port 443, 10.0.0.0/8 ports 1-9; required by weather.fetch of CapabilityProvider "weather""#
    );
}

#[test]
fn no_network_is_held_but_none_other_is() {
    let _ = network(&[], &outbounds(&["x.com 443"]), &[], &[peer("y.com")]).admitted();
    network(&[outbound("x.com 443")], &outbounds(&["x.com 443"]), &[], &[]).denied_for(&[(Unenforceable, FIELD)]);
}

#[test]
fn full_grants_all_networks_but_the_blocked() {
    let required = [outbound("x.com 443"), outbound("10.0.0.0/8 1"), outbound("blocked.com 1")];
    network(&required, &[], &[peer("blocked.com")], &[])
        .context(|c| c.level = Level::Full)
        .denied_for(&[(NetworkDenied, "requires.permissions.network.outbound[2]"), (Unenforceable, FIELD)]);
}

#[test]
fn inbound_is_by_block_or_by_selectors_at_the_ports_that_are_granted() {
    let rule = |from: &InboundPeer, ports: &str| Inbound { from: from.clone(), ports: vec![ports.parse().unwrap()] };
    let cidr = InboundPeer::Cidr("10.1.0.0/16".parse().unwrap());
    let wide = InboundPeer::Cidr("10.0.0.0/8".parse().unwrap());
    let pods = InboundPeer::Selectors(selectors(None, "a=x"));
    let other = InboundPeer::Selectors(selectors(None, "a=y"));
    let granted = vec![rule(&wide, "80-90"), rule(&pods, "80"), rule(&pods, "81-90")];
    for (required, inside) in [
        (rule(&cidr, "85"), true),
        (rule(&cidr, "91"), false),
        (rule(&pods, "80-90"), true),
        (rule(&pods, "80-91"), false),
        (rule(&other, "80"), false),
    ] {
        let case = case()
            .grants(|p| p.network.inbound = granted.clone().into())
            .needs(|r| r.inbound = Some(vec![required.clone()].into()));
        if inside {
            let _ = case.admitted();
        } else {
            case.denied_for(&[(InboundDenied, "requires.permissions.network.inbound[0]")]);
        }
    }
}

#[test]
fn connections_are_bounded_by_the_context_and_inherited() {
    let field = "requires.permissions.network.maxConnections";
    let bounded = case().grants(|p| p.network.max_connections = Some(16));
    assert_eq!(bounded.admitted().permissions().network.max_connections, Some(16));
    let fewer = bounded.clone().narrows(|r| r.max_connections = Some(4));
    assert_eq!(fewer.admitted().permissions().network.max_connections, Some(4));
    bounded.narrows(|r| r.max_connections = Some(17)).says(&format!("{field} 17: exceeds 16"));
    case()
        .needs(|r| r.max_connections = Some(4))
        .narrows(|r| r.max_connections = Some(5))
        .says(&format!("{field} 5: exceeds 4, the capability's own"));
}

#[test]
fn hostile_rules_end_within_the_budget() {
    let hosts: Vec<Outbound> =
        (0..128).map(|n| outbound(&format!("*.{}h{n}.com 1-65535", "a.".repeat(n % 60)))).collect();
    let many: Vec<PortRange> = (0..32).map(|n| PortRange::new(1 + 2 * n, 1 + 2 * n).unwrap()).collect();
    let required = vec![Outbound { peer: peer("*.com"), ports: many }; 128];
    assert!(why(&network(&required, &hosts, &[], &[])).is_some());
}

// The oracle: a few hosts, addresses and ports, each tried on its own.

fn a_host() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["x", "*.x", "a.x", "*.a.x", "b.a.x", "*.b.x", "b.x", "*.a.b.x"]).prop_map(String::from)
}

fn a_block() -> impl Strategy<Value = String> {
    (0_u8..16, 28_u8..=32).prop_map(|(last, length)| {
        let size = 1_u16 << (32 - length);
        let masked = u16::from(last) / size * size;
        format!("10.0.0.{masked}/{length}")
    })
}

fn a_peer() -> impl Strategy<Value = String> {
    prop_oneof![a_host(), a_block()]
}

fn a_rule() -> impl Strategy<Value = String> {
    (a_peer(), 1_u16..6, 0_u16..4).prop_map(|(peer, first, more)| format!("{peer} {first}-{}", first + more))
}

fn universe() -> Vec<String> {
    let labels = ["a", "b", "c"];
    let mut hosts = vec!["x".to_owned()];
    let mut last = hosts.clone();
    for _ in 0..3 {
        last = last.iter().flat_map(|host| labels.map(|label| format!("{label}.{host}"))).collect();
        hosts.extend(last.iter().cloned());
    }
    hosts.extend((0..16).map(|n| format!("10.0.0.{n}")));
    hosts
}

fn is_in(peer: &str, target: &str) -> bool {
    if let Some((block, length)) = peer.split_once('/') {
        let last = |text: &str| text.strip_prefix("10.0.0.").and_then(|n| n.parse::<u32>().ok());
        let size = 1 << (32 - length.parse::<u32>().unwrap());
        return last(target).is_some_and(|n| n / size == last(block).unwrap() / size);
    }
    match peer.strip_prefix("*.") {
        Some(domain) => target == domain || target.ends_with(&format!(".{domain}")),
        None => target == peer,
    }
}

fn has_port(rule: &str, port: u16) -> bool {
    let (first, last) = rule.split_once(' ').unwrap().1.split_once('-').unwrap();
    (first.parse().unwrap()..=last.parse().unwrap()).contains(&port)
}

proptest! {
    #[test]
    fn included_has_no_counterexample_and_not_included_has_one(
        required in a_rule(),
        granted in prop::collection::vec(a_rule(), 0..6),
        blocked in prop::collection::vec(a_peer(), 0..2),
        without in prop::collection::vec(a_peer(), 0..2),
    ) {
        let to = |rule: &str, target: &str| is_in(rule.split_once(' ').unwrap().0, target);
        let is_counterexample = |target: &str, port: u16| {
            to(&required, target)
                && has_port(&required, port)
                && !without.iter().any(|peer| is_in(peer, target))
                && (!granted.iter().any(|rule| to(rule, target) && has_port(rule, port))
                    || blocked.iter().any(|peer| is_in(peer, target)))
        };
        let texts = |texts: &[String]| texts.iter().map(|text| peer(text)).collect::<Vec<_>>();
        let granted_rules: Vec<Outbound> = granted.iter().map(|text| outbound(text)).collect();
        let case = network(&[outbound(&required)], &granted_rules, &texts(&blocked), &texts(&without));
        let naive = universe().into_iter().find(|target| (1..=10).any(|port| is_counterexample(target, port)));
        match why(&case) {
            None => prop_assert_eq!(naive, None),
            Some(Why::NotGranted { counterexample } | Why::Blocked { counterexample, .. }) => {
                let (target, port) = counterexample.rsplit_once(':').unwrap();
                prop_assert!(is_counterexample(target, port.parse().unwrap()), "{} is not one", counterexample);
                prop_assert!(naive.is_none_or(|naive| target.len() <= naive.len() || naive.starts_with("10.")));
            }
            Some(Why::TooComplex) => prop_assert!(false, "too complex"),
        }
    }
}

fn ask(key: &str, operator: &str, values: &[&str]) -> Ask {
    Ask { key: key.to_owned(), operator: operator.to_owned(), values: values.iter().map(ToString::to_string).collect() }
}

/// What is asked of the label `a`, or of `b` where it begins with `b`; `*` is nothing.
fn selectors(namespaces: Option<&str>, pods: &str) -> Selectors {
    let asks = |text: &str| -> Vec<Ask> {
        let one = |text: &str| match text {
            "b" => ask("b", "Exists", &[]),
            "a" => ask("a", "Exists", &[]),
            "!a" => ask("a", "DoesNotExist", &[]),
            text => {
                match text.split_once("!=").map(|parts| (parts, "NotIn")).or(text.split_once('=').map(|p| (p, "In"))) {
                    Some(((key, values), operator)) => ask(key, operator, &values.split('|').collect::<Vec<_>>()),
                    None => panic!("{text}"),
                }
            }
        };
        text.split(' ').filter(|text| *text != "*").map(one).collect()
    };
    Selectors::new(namespaces.map(asks).as_deref(), &asks(pods)).unwrap()
}

/// What is required, from which namespaces and pods, and what is granted.
type Selected<'a> = ((Option<&'a str>, &'a str), &'a [(Option<&'a str>, &'a str)], bool);

#[test]
fn pods_are_granted_where_each_that_is_selected_is() {
    let cases: &[Selected] = &[
        ((None, "a=x"), &[(None, "*")], true),
        ((None, "*"), &[(None, "a=x")], false),
        ((None, "a=x b=y"), &[(None, "a=x")], true),
        ((None, "a=x|y"), &[(None, "a=x"), (None, "a=y|z")], true),
        ((None, "a=x|y|w"), &[(None, "a=x"), (None, "a=y|z")], false),
        ((None, "*"), &[(None, "a"), (None, "!a")], true),
        ((None, "*"), &[(None, "a!=x"), (None, "a=x")], true),
        ((None, "a"), &[(None, "a!=x")], false),
        ((None, "a a!=x"), &[(None, "a!=x")], true),
        // A label that is absent is not in anything.
        ((None, "!a"), &[(None, "a!=x")], true),
        ((None, "a!=x|y"), &[(None, "a!=x")], true),
        ((None, "a!=x"), &[(None, "a!=x|y")], false),
        ((None, "b"), &[(None, "b a=x"), (None, "b a!=x")], true),
        ((None, "b=y"), &[(None, "a=x"), (None, "a!=x b=z")], false),
        // Of its own namespace nothing is known but that it is one.
        ((None, "*"), &[(Some("*"), "*")], true),
        ((None, "*"), &[(Some("a=x"), "*"), (Some("a!=x"), "*")], true),
        ((None, "*"), &[(Some("a=x"), "*")], false),
        ((Some("*"), "*"), &[(None, "*")], false),
        ((Some("a=x"), "a=y"), &[(Some("a"), "*")], true),
        ((Some("a=x"), "a=y"), &[(Some("*"), "a=x"), (Some("a=y"), "*")], false),
        ((Some("a=x"), "*"), &[], false),
    ];
    for (required, granted, inside) in cases {
        let rule = |(namespaces, pods): &(Option<&str>, &str)| Inbound {
            from: InboundPeer::Selectors(selectors(*namespaces, pods)),
            ports: vec!["80".parse().unwrap()],
        };
        let case = case()
            .grants(|p| p.network.inbound = granted.iter().map(rule).collect())
            .needs(|r| r.inbound = Some(vec![rule(required)].into()));
        if *inside {
            let _ = case.admitted();
        } else {
            case.denied_for(&[(InboundDenied, "requires.permissions.network.inbound[0]")]);
        }
    }
}

#[test]
fn a_denial_of_pods_shows_some_that_are_not_granted() {
    let rule = |pods: &str, ports: &str| Inbound {
        from: InboundPeer::Selectors(selectors(None, pods)),
        ports: vec![ports.parse().unwrap()],
    };
    case()
        .grants(|p| p.network.inbound = vec![rule("a=x", "80-90"), rule("a=y", "80")].into())
        .needs(|r| r.inbound = Some(vec![rule("a=x|y", "80-81")].into()))
        .says(
            "requires.permissions.network.inbound[0] \"pods (a in (\"x\", \"y\")) of its namespace ports 80-81\": not granted, \
             e.g. pods (a=y) of its namespace, port 81; granted: pods (a=x) of its namespace ports 80-90, \
             pods (a=y) of its namespace port 80; required by weather.fetch of CapabilityProvider \"weather\"",
        );
}

#[test]
fn selectors_that_nobody_can_mean_are_refused() {
    let error = |asks: &[Ask]| Selectors::new(None, asks).unwrap_err().to_string();
    for (asks, message) in [
        (vec![ask("a/b/c", "Exists", &[])], "label \"a/b/c\": expected a key"),
        (vec![ask("A.b/c", "Exists", &[])], "label \"A.b/c\": expected a key"),
        (vec![ask("", "Exists", &[])], "expected a key"),
        (vec![ask("a", "In", &["-x"])], "but found \"-x\""),
        (vec![ask("a", "In", &[])], "expected values"),
        (vec![ask("a", "Exists", &["x"])], "expected values"),
        (vec![ask("a", "Gt", &["1"])], "but found \"Gt\""),
        (vec![ask("a", "In", &["x"]), ask("a", "NotIn", &["x", "y"])], "contradicts itself"),
        (vec![ask("a", "Exists", &[]); 17], "but found 17"),
        (vec![ask("a", "In", &["x"; 33])], "but found 33"),
    ] {
        assert!(error(&asks).contains(message), "{asks:?}: {}", error(&asks));
    }
    assert!(Selectors::new(None, &[ask("example.com/a", "In", &[""])]).is_ok());
}

/// A few labels and values, of which all pods are tried.
fn any_selectors() -> impl Strategy<Value = Selectors> {
    let ask = (0..2_usize, 0..4_usize, proptest::collection::btree_set(0..3_usize, 1..3)).prop_map(
        |(key, operator, values)| {
            let values: Vec<&str> = values.into_iter().map(|value| ["x", "y", "z"][value]).collect();
            let operator = ["In", "NotIn", "Exists", "DoesNotExist"][operator];
            ask(["a", "b"][key], operator, if operator.ends_with("In") { &values } else { &[] })
        },
    );
    let asks = || proptest::collection::vec(ask.clone(), 0..3);
    (proptest::option::of(asks()), asks())
        .prop_filter_map("contradicts itself", |(namespaces, pods)| Selectors::new(namespaces.as_deref(), &pods).ok())
}

/// As Kubernetes has it, label by label.
fn selects(selectors: &Selectors, own: bool, namespace: &[Option<&str>], pod: &[Option<&str>]) -> bool {
    let has = |labels: &[Option<&str>], ask: &Ask| {
        let value = labels[usize::from(ask.key == "b")];
        let listed = value.is_some_and(|value| ask.values.iter().any(|one| one == value));
        match ask.operator.as_str() {
            "In" => listed,
            "NotIn" => !listed,
            "Exists" => value.is_some(),
            _ => value.is_none(),
        }
    };
    (own || !selectors.is_own_namespace())
        && selectors.of_namespaces().iter().all(|ask| has(namespace, ask))
        && selectors.of_pods().iter().all(|ask| has(pod, ask))
}

proptest! {
    #[test]
    fn pods_are_granted_if_and_only_if_trying_all_of_them_says_so(
        required in any_selectors(),
        granted in proptest::collection::vec(any_selectors(), 0..4),
    ) {
        // A value that nobody mentions stands for all such.
        let values = [None, Some("x"), Some("y"), Some("z"), Some("other")];
        let labels: Vec<[Option<&str>; 2]> =
            values.iter().flat_map(|a| values.iter().map(|b| [*a, *b])).collect();
        let outside = [true, false].into_iter().any(|own| labels.iter().any(|namespace| labels.iter().any(|pod| {
            selects(&required, own, namespace, pod) && !granted.iter().any(|one| selects(one, own, namespace, pod))
        })));
        let rule = |from: &Selectors| Inbound {
            from: InboundPeer::Selectors(from.clone()),
            ports: vec!["80".parse().unwrap()],
        };
        let case = case()
            .grants(|p| p.network.inbound = granted.iter().map(rule).collect())
            .needs(|r| r.inbound = Some(vec![rule(&required)].into()));
        let denied = matches!(decide(&case.request, &case.snapshot), Decision::Denied(_));
        prop_assert_eq!(denied, outside, "{} within {:?}", required, granted);
    }
}
