//! The network of a pod that the code shares: the relay beside it, and what keeps the code from all else.

use ccos_profile::End;
use serde_json::{Value, json};

use crate::answers;
use crate::pod::{Pod, missed_attack, missed_proof};

/// May connect to `a.test` at 80 and to all of `b.test` at 8081, but for what is private there.
fn names(name: &str) -> Pod {
    let outbound = json!([
        {"host": "a.test", "ports": [{"port": 80, "endPort": 80}]},
        {"host": "*.b.test", "ports": [{"port": 8081, "endPort": 8081}]},
    ]);
    Pod::contained(name).connects(&outbound, &json!([{"host": "private.b.test"}]))
}

/// At the world, at a port that is granted for names: only the policy is in the way.
const DIRECT: &str = "connect:10.255.255.1:8081";

pub(crate) fn without_the_network_policy() {
    missed_proof(
        names("unfenced").unfenced(),
        "nothing",
        "connect to 10.255.255.1:3130, which the network policy closes",
    );
    let (run, found) = crate::pod::attacked(names("fenced"), DIRECT);
    assert_eq!((found.as_str(), run.asked.len()), ("connection timed out", 0), "{run:#?}");
    missed_attack(names("unfenced").unfenced(), "fence", DIRECT, |run, found| {
        found == "ok" && run.asked == ["direct "]
    });
}

macro_rules! tests {
    ($($(#[$attribute:meta])* $name:ident $body:block)*) => {
        $($(#[$attribute])* #[test] #[ignore = "needs runc and root: tests/runc.sh"] fn $name() $body)*
    };
}

tests! {
    granted_names_are_reached_and_nothing_else {
        let run = answers(names("beside"), &[
            ("descriptors", json!([0, 1, 2])),
            ("resolve:a.test", json!(["127.192.0.1"])),
            ("ask:x.b.test", json!("127.192.0.2")),
            ("ask-tcp:x.b.test", json!("127.192.0.2")),
            ("quick:ask:c.test", json!(["code 3", true])),
            ("quick:ask:private.b.test", json!(["code 3", true])),
            ("fetch:a.test:80", json!("hello from a.test:80")),
            ("fetch:x.b.test:8081", json!("hello from x.b.test:8081")),
            // Another name's port, nobody's address of the loopback, and one of the pod.
            ("quick:fetch:a.test:8081", json!(["ECONNRESET", true])),
            ("quick:fetch:127.0.0.1:80", json!(["ECONNRESET", true])),
            ("quick:fetch:10.255.255.2:80", json!(["ECONNREFUSED", true])),
            ("quick:fetch:blocked.b.test:8081", json!(["ECONNRESET", true])),
            // Ports that are not granted: the proxy's own, its canary, and all others.
            ("quick:connect:10.255.255.1:3128", json!(["EACCES", true])),
            ("quick:connect:10.255.255.1:3130", json!(["EACCES", true])),
            ("quick:connect:a.test:443", json!(["EACCES", true])),
            ("quick:fast:10.255.255.1:3128", json!(["EPERM", true])),
            ("quick:fast:10.255.255.1:8081", json!(["EPERM", true])),
            // What the policy keeps, without a word.
            (DIRECT, json!("connection timed out")),
            ("send:10.255.255.1:8081", json!("ok")),
            ("open:/ccos/egress/token", json!("EACCES")),
            ("open:/proc/1/root/ccos/egress/token", json!("EACCES")),
            ("init:fd", json!("EACCES")),
        ]);
        assert_eq!(run.asked, ["a.test:80 t0ken", "x.b.test:8081 t0ken", "blocked.b.test:8081 t0ken"], "{run:#?}");
        let network = run.report.network.clone().unwrap();
        let denials: Vec<_> = network.denials.iter().map(|one| (one.target.as_str(), one.reason.token())).collect();
        assert_eq!(denials, [
            ("c.test.", "not-granted"), ("private.b.test.", "not-granted"), ("a.test:8081", "not-granted"),
            ("127.0.0.1:80", "not-granted"), ("blocked.b.test:8081", "blocked"),
        ], "{run:#?}");
        assert_eq!(network.connections, 2);
        let proven: Vec<_> = run.report.proven.iter().map(|one| format!("{} {}", one.field, one.mechanism)).collect();
        let expected = "permissions.network.outbound NetworkPolicy, Landlock, egress proxy".to_owned();
        assert!(proven.contains(&expected), "{proven:?}");
    }

    sockets_are_tcp_and_udp_of_ipv4_and_nobody_is_listened_to {
        let mut expected: Vec<(String, Value)> = [
            ("socket:2,1,0", "ok"), ("socket:2,1,6", "ok"), ("socket:2,2,0", "ok"), ("socket:2,2,17", "ok"),
            ("socket:2,526337,0", "ok"), // not blocking, closed on exec
            ("port:8082", "EACCES"), ("port:80", "EACCES"), ("listen:127.0.0.1:0", "EACCES"), ("listen:10.255.255.2:443", "EACCES"), ("listen-anywhere", "EPERM"),
            ("convert:tls", "EPERM"), ("convert:smc", "EPERM"),
            ("abstract:anyone", "EAFNOSUPPORT"), ("socketpair:1", "ok"), ("socketpair:2", "EAFNOSUPPORT"),
        ].map(|(attack, answer)| (attack.to_owned(), json!(answer))).into();
        // Unix, IPv6, netlink, packets, kernel cryptography, Bluetooth, VSOCK, SMC, XDP.
        let families = [1, 10, 16, 17, 38, 31, 40, 43, 44].into_iter().flat_map(|family| {
            [1, 2, 3].map(|kind| format!("socket:{family},{kind},0"))
        });
        // Raw, by sequence, datagrams with congestion; several ways, SCTP, ICMP, UDP-Lite, and all of them at once.
        let others = ["2,3,255", "2,3,1", "2,5,0", "2,6,33", "2,10,0", "2,1,262", "2,1,132", "2,1,256", "2,2,1", "2,2,136", "2,2049,262"];
        let others = others.map(|numbers| format!("socket:{numbers}"));
        expected.extend(families.chain(others).map(|attack| (attack, json!("EAFNOSUPPORT"))));
        let expected: Vec<_> = expected.iter().map(|(attack, answer)| (attack.as_str(), answer.clone())).collect();
        answers(names("sockets"), &expected);
    }

    attacks_on_the_network_succeed_without_their_mechanism {
        for (without, attack, expected) in [
            ("landlock", "connect:10.255.255.1:3128", "ok"),
            ("landlock", "open:/ccos/egress/token", "t0ken"),
            ("landlock", "port:8082", "ok"),
            // Landlock, which is there, does not see it.
            ("filters", "fast:10.255.255.1:3128", "ok"),
            ("filters", "listen-anywhere", "ok"),
            ("filters", "socket:2,1,262", "ok"),
        ] {
            missed_attack(names("without"), without, attack, |_, found| found == expected);
        }
        for (without, probe) in [
            ("landlock", "open /ccos/profile/profile.json: expected a refusal"),
            ("filters", "proof of permissions.filesystem: Seccomp"),
        ] {
            missed_proof(names("unheld"), without, probe);
        }
    }

    a_policy_that_comes_late_is_waited_for {
        let run = answers(names("late").fenced_after(4), &[
            (DIRECT, json!("connection timed out")),
            ("fetch:a.test:80", json!("hello from a.test:80")),
        ]);
        assert!(run.seconds > 4.0, "{run:#?}");
        assert_eq!(run.asked, ["a.test:80 t0ken"], "{run:#?}");
    }

    it_can_be_stopped_while_it_waits_for_the_policy {
        let run = names("stopped").unfenced().stop_after(2.0).attack(&["started"]).run();
        assert_eq!(run.report.end, End::Cancelled, "{run:#?}");
        assert!(run.seconds < 6.0, "{run:#?}");
    }

    what_was_sent_before_the_end_arrives {
        let run = names("fire").attack(&["fire:keeps.b.test:8081"]).run();
        assert_eq!(run.asked, ["keeps.b.test:8081 t0ken", "fire and forget"], "{run:#?}");
    }

    the_relay_takes_no_thread_of_the_workload {
        answers(names("relay-threads").limit("threads", 5), &[("threads", json!("4 then EAGAIN"))]);
    }

    a_block_of_addresses_starts_nothing {
        let outbound = json!([{"cidr": "203.0.113.0/24", "ports": [{"port": 80, "endPort": 80}]}]);
        let run = Pod::contained("block").connects(&outbound, &json!([])).attack(&["started"]).run();
        assert_eq!(run.report.end, End::InternalError, "{run:#?}");
        assert!(run.report.message.contains("egress: expected names alone"), "{run:#?}");
    }
}
