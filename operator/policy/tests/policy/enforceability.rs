//! What this release can't hold is refused with what to write instead, never accepted and ignored.

use ccos_policy::Reason::*;
use ccos_policy::{
    Bytes, FieldPath, Inbound, InboundPeer, Isolation, List, RequiredPermissions, Selectors, Unheld, VolumeMount,
};

use crate::given::{Case, case, outbounds, path, paths};

/// A context that grants everything, and an execution that requires this.
fn requires(change: impl FnOnce(&mut RequiredPermissions)) -> Case {
    case().context(|c| c.level = ccos_policy::Level::Full).requires(change)
}

fn writes(write: &[&str]) -> Case {
    requires(|r| r.write = Some(paths(write)))
}

fn volume(mount: &str, writable: bool) -> VolumeMount {
    VolumeMount { mount_path: path(mount), writable, in_memory: false }
}

type Set = fn(&mut RequiredPermissions, &[&str]);

const READ_LIKE: [(&str, Set); 4] = [
    ("filesystem.read", |r, list| r.read = Some(paths(list))),
    ("filesystem.execute", |r, list| r.execute = Some(paths(list))),
    ("filesystem.blocked", |r, list| r.blocked = Some(paths(list))),
    ("system.commands", |r, list| r.commands = Some(paths(list))),
];

#[test]
fn a_glob_over_what_does_not_change_is_held() {
    for (_, set) in READ_LIKE {
        for isolation in [Isolation::GVisor, Isolation::Kata] {
            let case = requires(|r| set(r, &["/out/*.csv", "/opt/**/x/?", "/a/*/**"]));
            let case = case.context(|c| c.volumes = vec![volume("/data", true)]);
            let _ = case.asks(|r| r.isolation = Some(isolation)).admitted();
        }
    }
    // What the requirement blocks by itself is not expanded.
    let blocked = |r: &mut RequiredPermissions| {
        r.read = Some(paths(&["/**/*.csv"]));
        r.blocked = Some(paths(&["/tmp", "/dev/shm", "/data"]));
    };
    let _ = requires(blocked).context(|c| c.volumes = vec![volume("/data", true)]).admitted();
}

#[test]
fn a_glob_over_what_changes_is_refused() {
    let in_volume =
        |set: Set, glob: &str| requires(|r| set(r, &[glob])).context(|c| c.volumes = vec![volume("/data", true)]);
    for (list, set) in READ_LIKE {
        let below = if list == "system.commands" { "/data/**" } else { "/data" };
        in_volume(set, "/data/*.csv").says(&format!(
            r#"requires.permissions.{list}[0] "/data/*.csv": GVisor can't hold a glob where files may change, such as /data/.csv in /data; name each path, such as /data/a.csv, or write "{below}""#
        ));
        // By no name that is before the wildcard.
        let denials = in_volume(set, "/d*/x.csv").denied().to_string();
        assert!(denials.contains("such as /data/x.csv in /data; name each path, such as /da/x.csv"), "{denials}");
    }
    for glob in ["/tmp/*.csv", "/dev/shm/*", "/**/*.csv"] {
        requires(|r| r.read = Some(paths(&[glob])))
            .denied_for(&[(Unenforceable, "requires.permissions.filesystem.read[0]")]);
        requires(|r| r.blocked = Some(paths(&[glob])))
            .denied_for(&[(Unenforceable, "requires.permissions.filesystem.blocked[0]")]);
    }
    let beside_write = |glob: &'static str| writes(&["/out/new"]).narrows(move |r| r.read = Some(paths(&[glob])));
    beside_write("/out/*").denied_for(&[(Unenforceable, "requires.permissions.filesystem.read[0]")]);
    let _ = beside_write("/out/*.csv").admitted();
    writes(&["/out/*.csv"]).says(
        r#"requires.permissions.filesystem.write[0] "/out/*.csv": GVisor can't hold a glob of what may be written: what is created later would be another file; name each path, such as /out/a.csv, or write "/out""#,
    );
}

/// What may be read of a `ConfigMap` stays as it was seen. What must not be read may come with its next version.
#[test]
fn a_glob_in_a_volume_that_is_renewed_may_be_read_but_not_blocked() {
    let renewed = |case: Case| case.context(|c| c.volumes = vec![volume("/config", false)]);
    let _ = renewed(requires(|r| r.read = Some(paths(&["/config/*.csv"])))).admitted();
    for blocked in ["/config/*.csv", "/proc/*/environ"] {
        let case = renewed(requires(|r| r.blocked = Some(paths(&[blocked]))));
        case.denied_for(&[(Unenforceable, "requires.permissions.filesystem.blocked[0]")]);
    }
}

#[test]
fn the_advice_on_a_glob_names_only_what_is_granted() {
    let only = "name each path, such as /data/a.csv";
    let advice = |case: Case| {
        let places = ["/data", "/app"].map(|place| volume(place, true));
        let denials = case.context(|c| c.volumes = places.into()).denied();
        let text = denials.iter().find(|denial| denial.reason() == Unenforceable).unwrap().message();
        let (_, advice) = text.split_once("; name each").unwrap();
        format!("name each{advice}")
    };
    let reads = |granted: &'static str| {
        case().grants(|p| p.filesystem.read = paths(&[granted])).needs(|r| r.read = Some(paths(&["/data/*.csv"])))
    };
    let required_by = "; required by weather.fetch of CapabilityProvider \"weather\"";
    assert_eq!(advice(reads("/data/*.csv")), format!("{only}{required_by}"));
    assert_eq!(advice(reads("/data")), format!("{only}, or write \"/data\"{required_by}"));
    let blocked = reads("/data").grants(|p| p.filesystem.blocked = paths(&["/data/private/x"]));
    assert_eq!(advice(blocked), format!("{only}{required_by}"));
    // An execution is held against its capability, too.
    let narrowed = |own: &'static str| {
        case()
            .grants(|p| p.filesystem.read = paths(&["/data"]))
            .needs(|r| r.read = Some(paths(&[own])))
            .narrows(|r| r.read = Some(paths(&["/data/*.csv"])))
    };
    assert_eq!(advice(narrowed("/data/*.csv")), only);
    assert_eq!(advice(narrowed("/data")), format!("{only}, or write \"/data\""));
    let commands = |granted: &'static str| {
        case().grants(|p| p.system.commands = paths(&[granted])).needs(|r| r.commands = Some(paths(&["/app/*"])))
    };
    assert_eq!(advice(commands("/app/*")), format!("name each path, such as /app/a{required_by}"));
    assert_eq!(
        advice(commands("/app/**")),
        format!("name each path, such as /app/a, or write \"/app/**\"{required_by}")
    );
}

#[test]
fn a_trailing_double_star_is_held() {
    let _ = requires(|r| r.read = Some(paths(&["/data/**", "/**"]))).admitted();
}

#[test]
fn an_execution_connects_to_its_own_sockets_alone() {
    let case = |socket: &str, isolation| {
        let memory = VolumeMount { in_memory: true, ..volume("/cache", true) };
        requires(|r| {
            r.ipc_connect = Some(paths(&[socket]));
            r.write = Some(paths(&["/work"]));
        })
        .context(|c| c.volumes = vec![volume("/work/data", true), volume("/tmp/shared", true), memory])
        .narrows(|r| r.read = Some(paths(&["/work"])))
        .asks(|r| r.isolation = Some(isolation))
    };
    for own in ["/tmp/app.sock", "/dev/shm/*", "/work/app.sock", "/work/run/**"] {
        let _ = case(own, Isolation::GVisor).admitted();
        let _ = case(own, Isolation::Kata).admitted();
    }
    let says = |socket: &str, found: &str| {
        case(socket, Isolation::GVisor).says(&format!(
            r#"requires.permissions.ipc.connect[0] "{socket}": no socket of anybody else's can be connected to from inside a sandbox; those that the execution makes itself need no grant, and {found} is not its own; remove it"#
        ));
    };
    says("/run/app.sock", "/run/app.sock");
    says("/work/data/app.sock", "/work/data/app.sock");
    says("/work", "/work/data");
    says("/tmp/*", "/tmp/shared");
    says("/cache/app.sock", "/cache/app.sock"); // not required to be written
    for other in ["/**/app.sock", "/"] {
        case(other, Isolation::GVisor).denied_for(&[(Unenforceable, "requires.permissions.ipc.connect[0]")]);
    }
}

/// A context that grants all destinations, and an execution that requires these.
fn connects(required: &[&str]) -> Case {
    let granted = ["*.a.test 1-65535", "*.b.test 1-65535", "0.0.0.0/0 1-65535"];
    requires(|r| r.outbound = Some(outbounds(required)))
        .needs(|r| r.outbound = Some(outbounds(&granted)))
        .grants(|p| p.network.outbound = outbounds(&granted))
}

fn with_proxy(case: Case, of: &[Isolation]) -> Case {
    case.sees(|s| {
        if of.contains(&Isolation::Container) {
            let profile = ccos_policy::IsolationProfile {
                landlock_abi: Some(7),
                pod_user_namespaces: true,
                ..ccos_policy::IsolationProfile::default()
            };
            s.isolations.0.insert(Isolation::Container, profile);
        }
        s.isolations.0.iter_mut().for_each(|(isolation, profile)| profile.egress = of.contains(isolation));
    })
}

const OUTBOUND: &str = "requires.permissions.network.outbound";

#[test]
fn destinations_by_name_are_held_where_there_is_an_egress_proxy() {
    let all = [Isolation::GVisor, Isolation::Kata, Isolation::Container];
    let case = || connects(&["a.test 443", "*.b.test 80,8000-8010"]);
    for isolation in all {
        let _ = with_proxy(case(), &all).asks(|r| r.isolation = Some(isolation)).admitted();
    }
    case().says(
        "requires.permissions.network.outbound: GVisor needs the egress proxy, which this cluster has not enabled for it \
         (egress.enabled in the chart's values; in Container isolations.Container.egress, too); or write [], which is held: no network at all",
    );
    let _ = case().narrows(|r| r.outbound = Some(List::default())).admitted();
    with_proxy(case(), &[Isolation::Kata]).says(
        "requires.permissions.network.outbound: GVisor needs the egress proxy, which this cluster has not enabled for it \
         (egress.enabled in the chart's values; in Container isolations.Container.egress, too); or write [], which is held: no network at all; use Kata",
    );
}

#[test]
fn destinations_by_address_are_held_like_those_by_name_and_with_the_same_limits() {
    for isolation in [Isolation::GVisor, Isolation::Kata] {
        let case = connects(&["203.0.113.0/24 5432", "0.0.0.0/0 443"])
            .grants(|p| p.network.max_connections = Some(16))
            .needs(|r| r.max_connections = Some(2));
        let _ = with_proxy(case, &[isolation]).asks(|r| r.isolation = Some(isolation)).admitted();
    }
    // Beside a name, which is held.
    let in_the_pod =
        || with_proxy(connects(&["a.test 443", "203.0.113.0/24 5432"]), &[Isolation::GVisor, Isolation::Container]);
    in_the_pod().asks(|r| r.isolation = Some(Isolation::Container)).says(
        "requires.permissions.network.outbound[1] \"203.0.113.0/24 port 5432\": the pod's loopback can't be given other addresses \
         without a capability, which Container has none of; write a host; use GVisor",
    );
    let _ = in_the_pod().admitted();
    for block in ["127.0.0.0/8", "127.0.0.1/32", "0.0.0.0/8"] {
        with_proxy(connects(&[&format!("{block} 80")]), &[Isolation::GVisor]).says(&format!(
            "requires.permissions.network.outbound[0] \"{block} port 80\": 127.0.0.0/8 is the code's own loopback, and 0.0.0.0/8 \
             no host: neither is reached by the network; remove it"
        ));
    }
    connects(&["203.0.113.0/24 5432"]).says(
        "requires.permissions.network.outbound: GVisor needs the egress proxy, which this cluster has not enabled for it \
         (egress.enabled in the chart's values; in Container isolations.Container.egress, too); or write [], which is held: no network at all",
    );
    with_proxy(connects(&["203.0.113.0/24 1-65"]), &[Isolation::GVisor]).says(
        "requires.permissions.network.outbound: at most 64 different ports can be held; name those that are used",
    );
}

#[test]
fn destinations_by_ipv6_address_are_refused() {
    let case = with_proxy(connects(&["a.test 443", "2001:db8::/32 5432"]), &[Isolation::GVisor]);
    case.says(concat!(
        r#"requires.permissions.network.outbound[1] "2001:db8::/32 port 5432": wider than the capability's, e.g. "#,
        "[2001:db8::]:5432; it requires: *.a.test ports 1-65535, *.b.test ports 1-65535, 0.0.0.0/0 ports 1-65535\n  ",
        r#"requires.permissions.network.outbound[1] "2001:db8::/32 port 5432": destinations by IPv6 address can't be "#,
        "held: what the code's network has is IPv4; write a host, or a block of IPv4",
    ));
}

/// Requires connections in, which are granted.
fn visited(from: &str, ports: &[&str]) -> Case {
    let from = from.parse().map_or_else(|_| InboundPeer::Selectors(Selectors::all()), InboundPeer::Cidr);
    let ports = ports.iter().map(|range| range.parse().unwrap()).collect();
    let inbound: List<Inbound> = [Inbound { from, ports }].into_iter().collect();
    requires(|r| r.inbound = Some(inbound.clone()))
        .needs(|r| r.inbound = Some(inbound.clone()))
        .grants(|p| p.network.inbound = inbound.clone())
}

#[test]
fn connections_in_are_held_where_the_code_has_a_network_of_its_own() {
    for isolation in [Isolation::GVisor, Isolation::Kata] {
        for from in ["10.0.0.0/8", "pods"] {
            let _ = visited(from, &["80", "8000-8062"]).asks(|r| r.isolation = Some(isolation)).admitted();
        }
    }
    let inbound = "requires.permissions.network.inbound";
    visited("pods", &["80"])
        .asks(|r| r.isolation = Some(Isolation::Wasm))
        .denied_for(&[(Unenforceable, "isolation"), (Unenforceable, inbound)]);
    visited("2001:db8::/32", &["80"]).says(&format!(
        "{inbound}[0] \"2001:db8::/32 port 80\": sources by IPv6 address can't be held yet; write a block of IPv4"
    ));
    for ports in [&["1-65"][..], &["1-65535"], &["1-64", "1-64", "100"]] {
        visited("pods", ports)
            .says(&format!("{inbound}: at most 64 different ports can be held; name those that are used"));
    }
    let paced = visited("pods", &["80"]).context(|c| c.limits.network_bytes_per_second = Some(Bytes(1)));
    paced.denied_for(&[(Unenforceable, inbound)]);
}

#[test]
fn a_port_is_connected_to_or_listened_at_and_not_both() {
    let both = |outbound: &str, inbound: &[&str]| {
        let rule = crate::given::outbound(outbound);
        let case = visited("pods", inbound)
            .grants(|p| p.network.outbound = vec![rule.clone()].into())
            .needs(|r| r.outbound = Some(vec![rule.clone()].into()));
        with_proxy(case, &[Isolation::GVisor])
    };
    let _ = both("a.test 443", &["8080"]).admitted();
    for (outbound, inbound) in [
        ("a.test 443", &["443"][..]),
        ("a.test 8000-8010", &["8010-8020"]),
        ("a.test 443", &["53"]),
        ("a.test 443", &["1-50", "54-60", "54-60", "443"]),
    ] {
        both(outbound, inbound).denied_for(&[(Unenforceable, "requires.permissions.network.inbound[0]")]);
    }
    let _ = visited("pods", &["53"]).admitted();
}

#[test]
fn ports_are_counted_together() {
    let held = |required: &[&str]| with_proxy(connects(required), &[Isolation::GVisor]);
    let _ = held(&["a.test 1-60", "b.test 5-64"]).admitted();
    for required in [&["a.test 1-65"][..], &["a.test 1-60", "b.test 5-65"], &["*.b.test 1-65535"]] {
        held(required).says(
            "requires.permissions.network.outbound: at most 64 different ports can be held; name those that are used",
        );
        held(required).denied_for(&[(Unenforceable, OUTBOUND)]);
    }
}

#[test]
fn what_every_program_needs_is_never_writable() {
    for place in [
        "/",
        "/proc",
        "/proc/self",
        "/dev",
        "/dev/shm",
        "/sys/fs",
        "/lib",
        "/lib64",
        "/lib/x86_64-linux-gnu",
        "/usr",
        "/usr/lib",
        "/usr/local",
        "/usr/local/lib/x",
        "/etc",
        "/etc/passwd",
        "/etc/ld.so.cache",
    ] {
        let denials = writes(&[place]).denied();
        assert!(denials.iter().all(|denial| denial.reason() == Unenforceable), "{denials}");
        assert!(denials.to_string().contains("is every program's and never writable"), "{denials}");
    }
    for place in ["/tmp", "/tmp/x", "/libs", "/etc/app", "/usr/share/app", "/var", "/home", "/workspace/**", "/device"]
    {
        let _ = writes(&[place]).admitted();
    }
}

#[test]
fn a_read_only_volume_is_not_writable() {
    let case = |write: &[&str]| writes(write).context(|c| c.volumes = vec![volume("/data/config", false)]);
    for write in ["/data", "/data/config", "/data/config/x"] {
        case(&[write]).says(&format!(
            r#"requires.permissions.filesystem.write[0] "{write}": the volume at /data/config is read-only; write to a folder apart from it"#
        ));
    }
    let _ = case(&["/data/configuration", "/data/other"]).admitted();
    let _ = case(&["/data"]).narrows(|r| r.blocked = Some(paths(&["/data/config"]))).admitted();
}

#[test]
fn a_writable_volume_must_be_readable_where_it_is_written() {
    let case = |write: &[&str], read: &[&str]| {
        writes(write).narrows(|r| r.read = Some(paths(read))).context(|c| c.volumes = vec![volume("/data", true)])
    };
    for (write, read, instead) in [("/data/out", "/data/in", "/data/out"), ("/data", "/data/in", "/data")] {
        case(&[write], &[read]).says(&format!(
            r#"requires.permissions.filesystem.write[0] "{write}": a volume can't be writable without being readable; also require read "{instead}""#
        ));
    }
    for (write, read) in [("/data/out", "/data"), ("/data/out", "/data/out/**"), ("/data", "/"), ("/out", "/in")] {
        let _ = case(&[write], &[read]).admitted();
    }
}

#[test]
fn nothing_is_both_writable_and_executable() {
    let field = "requires.permissions.filesystem.write[0]";
    for (write, execute) in [("/opt", "/opt/lib"), ("/opt/lib", "/opt"), ("/opt", "/opt/**")] {
        let execute = paths(&[execute]);
        writes(&[write]).narrows(|r| r.execute = Some(execute.clone())).denied_for(&[(Unenforceable, field)]);
        writes(&[write]).narrows(|r| r.commands = Some(execute)).denied_for(&[(Unenforceable, field)]);
    }
    let _ = writes(&["/opt"]).narrows(|r| r.execute = Some(paths(&["/option"]))).admitted();
    let _ = writes(&["/opt"])
        .narrows(|r| {
            r.execute = Some(paths(&["/opt/lib"]));
            r.blocked = Some(paths(&["/opt/lib"]));
        })
        .admitted();
    writes(&["/app"]).says(&format!(
        r#"{field} "/app": the capability's own command is /app/fetch, which may not be writable; keep them apart"#
    ));
    requires(|r| r.commands = Some(paths(&["/tmp/run"]))).says(
        r#"requires.permissions.system.commands[0] "/tmp/run": /tmp is every program's to write, and so never executable; keep them apart"#,
    );
}

#[test]
fn fields_that_are_not_held_are_refused_wherever_they_are() {
    let unheld =
        |field: &str| vec![Unheld { field: FieldPath::new(field), advice: "not held yet; remove it".to_owned() }];
    let case = case()
        .context(|c| c.unheld = unheld("context.audit"))
        .capability(|c| c.unheld = unheld("capability.signature"))
        .asks(|r| r.unheld = unheld("inputsFrom"));
    case.denied_for(&[
        (Unenforceable, "capability.signature"),
        (Unenforceable, "context.audit"),
        (Unenforceable, "inputsFrom"),
    ]);
    assert_eq!(case.denied().iter().next().unwrap().message(), "not held yet; remove it");
}

/// The same volume on disk, and the same in gVisor, is held.
#[test]
fn a_memory_volume_is_not_written_to_under_kata() {
    let writes = |isolation, in_memory| {
        requires(|r| {
            r.read = Some(paths(&["/scratch"]));
            r.write = Some(paths(&["/scratch/out"]));
        })
        .context(|c| c.volumes = vec![VolumeMount { in_memory, ..volume("/scratch", true) }])
        .asks(|r| r.isolation = Some(isolation))
    };
    let _ = writes(Isolation::GVisor, true).admitted();
    let _ = writes(Isolation::Kata, false).admitted();
    writes(Isolation::Kata, true).says(
        r#"requires.permissions.filesystem.write[0] "/scratch/out": Kata's guests ignore the sizeLimit of an emptyDir of medium Memory, and /scratch is one; write to scratch space, or to a claim; use GVisor"#,
    );
    // Reading one writes nothing.
    let _ = writes(Isolation::Kata, true).requires(|r| r.read = Some(paths(&["/scratch"]))).admitted();
}
