//! The seed's rules, each sentence of it that decides something as a row, from the objects that a user writes to the
//! reasons; and what it forgets or gets wrong, which is decided here all the same.

use ccos_crds::{CapabilityExecution, CapabilityProvider, SecurityContext};
use ccos_plan::review::{Verdict, review};
use ccos_policy::{Decision, Reason};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::world::{cluster, found, now};

/// What is asked: parts of specs, as a user writes them.
struct Row {
    /// The seed's sentence, or what it lacks.
    says: &'static str,
    level: &'static str,
    /// Of the context.
    grants: &'static str,
    /// Of the capability.
    requires: &'static str,
    /// The reasons, but for what this release does not hold yet.
    expected: &'static [Reason],
}

const fn row(
    says: &'static str,
    level: &'static str,
    grants: &'static str,
    requires: &'static str,
    expected: &'static [Reason],
) -> Row {
    Row { says, level, grants, requires, expected }
}

use Reason::{
    CommandDenied, ContextNotFound, EnvironmentReadDenied, EnvironmentWriteDenied, FileExecuteDenied, FileReadDenied,
    FileWriteDenied, InboundDenied, IpcDenied, LimitExceeded, LimitUnreasonable, NetworkDenied, ProcessCreationDenied,
    ProviderInvalid,
};

const C: &str = "Controlled";

#[rustfmt::skip] // a row is a line
const ROWS: &[Row] = &[
    // SecurityLevel
    row("Pure RTFS functions only: nothing required", "Pure", "{}", "{}", &[]),
    row("Pure RTFS functions only: a file", "Pure", "{}", "{permissions: {filesystem: {read: [/data]}}}", &[FileReadDenied]),
    row("Limited capabilities with explicit permissions", C, "{permissions: {filesystem: {read: [/data]}}}", "{permissions: {filesystem: {read: [/data]}}}", &[]),
    row("explicit, not implicit", C, "{}", "{permissions: {filesystem: {read: [/data]}}}", &[FileReadDenied]),
    row("Full system access", "Full", "{}", "{permissions: {filesystem: {read: [/data], write: [/work]}, environment: {read: ['*']}}}", &[]),
    row("Full system access: blocked takes precedence", "Full", "{permissions: {filesystem: {blocked: [/data]}}}", "{permissions: {filesystem: {read: [/data]}}}", &[FileReadDenied]),
    row("Sandboxed execution: what is listed", "Sandboxed", "{permissions: {filesystem: {read: [/data]}}}", "{permissions: {filesystem: {read: [/data], write: [/work]}}}", &[FileWriteDenied]),
    // Permission: those that check_permission looks at, each without its grant and with it
    row("FileRead", C, "{permissions: {filesystem: {write: [/data]}}}", "{permissions: {filesystem: {read: [/data]}}}", &[FileReadDenied]),
    row("FileWrite", C, "{permissions: {filesystem: {read: [/work]}}}", "{permissions: {filesystem: {write: [/work]}}}", &[FileWriteDenied]),
    row("FileWrite, granted", C, "{permissions: {filesystem: {write: [/work]}}}", "{permissions: {filesystem: {write: [/work]}}}", &[]),
    row("NetworkAccess", C, "{}", "{permissions: {network: {outbound: [{host: x.com, ports: [{port: 443}]}]}}}", &[NetworkDenied]),
    row("EnvironmentRead", C, "{permissions: {environment: {write: [LANG]}}}", "{permissions: {environment: {read: [LANG]}}}", &[EnvironmentReadDenied]),
    row("EnvironmentRead, granted", C, "{permissions: {environment: {read: [LANG]}}}", "{permissions: {environment: {read: [LANG]}}}", &[]),
    row("SystemCommand", C, "{permissions: {filesystem: {execute: [/app]}}}", "{permissions: {system: {commands: [/app/fetch]}}}", &[CommandDenied]),
    row("SystemCommand, granted", C, "{permissions: {system: {commands: ['/app/*']}}}", "{permissions: {system: {commands: [/app/fetch]}}}", &[]),
    // and those that it forgets, of which each would pass
    row("forgotten: FileExecute", C, "{permissions: {filesystem: {read: [/opt]}}}", "{permissions: {filesystem: {execute: [/opt]}}}", &[FileExecuteDenied]),
    row("forgotten: FileExecute, granted", C, "{permissions: {filesystem: {execute: [/opt]}}}", "{permissions: {filesystem: {execute: [/opt]}}}", &[]),
    row("forgotten: EnvironmentWrite", C, "{permissions: {environment: {read: [LANG]}}}", "{permissions: {environment: {write: [LANG]}}}", &[EnvironmentWriteDenied]),
    row("forgotten: EnvironmentWrite, granted", C, "{permissions: {environment: {write: [LANG]}}}", "{permissions: {environment: {write: [LANG]}}}", &[]),
    row("forgotten: ProcessCreate", C, "{}", "{permissions: {system: {processCreation: Allowed}}}", &[ProcessCreationDenied]),
    row("forgotten: ProcessCreate, granted", C, "{permissions: {system: {processCreation: Allowed}}}", "{permissions: {system: {processCreation: Allowed}}}", &[]),
    row("forgotten: IPCConnect", C, "{}", "{permissions: {ipc: {connect: [/run/app.sock]}}}", &[IpcDenied]),
    row("forgotten: IPCConnect, granted", C, "{permissions: {ipc: {connect: [/run/app.sock]}}}", "{permissions: {ipc: {connect: [/run/app.sock]}}}", &[]),
    row("forgotten: inbound", C, "{}", "{permissions: {network: {inbound: [{cidr: 10.0.0.0/8, ports: [{port: 80}]}]}}}", &[InboundDenied]),
    row("forgotten: inbound, granted", C, "{permissions: {network: {inbound: [{cidr: 10.0.0.0/8, ports: [{port: 80}]}]}}}", "{permissions: {network: {inbound: [{cidr: 10.1.0.0/16, ports: [{port: 80}]}]}}}", &[]),
    // PathPattern
    row("no wildcard: the path and what it begins", C, "{permissions: {filesystem: {read: [/data]}}}", "{permissions: {filesystem: {read: [/data/x/y]}}}", &[]),
    row("starts_with, by whole segments", C, "{permissions: {filesystem: {read: [/data]}}}", "{permissions: {filesystem: {read: [/database]}}}", &[FileReadDenied]),
    row("a wildcard", C, "{permissions: {filesystem: {read: ['/data/*.csv']}}}", "{permissions: {filesystem: {read: [/data/a.csv]}}}", &[]),
    row("a wildcard stays in its segment", C, "{permissions: {filesystem: {read: ['/data/*.csv']}}}", "{permissions: {filesystem: {read: [/data/x/a.csv]}}}", &[FileReadDenied]),
    row("** is recursive", C, "{permissions: {filesystem: {read: ['/data/**/a.csv']}}}", "{permissions: {filesystem: {read: [/data/x/y/a.csv]}}}", &[]),
    row("blocked paths take precedence", C, "{permissions: {filesystem: {read: [/data], blocked: [/data/private]}}}", "{permissions: {filesystem: {read: [/data/private/key]}}}", &[FileReadDenied]),
    row("blocked paths take precedence, also inside of what is required", C, "{permissions: {filesystem: {read: [/data], blocked: [/data/private]}}}", "{permissions: {filesystem: {read: [/data]}}}", &[FileReadDenied]),
    row("blocked for writing, too", C, "{permissions: {filesystem: {write: [/work], blocked: [/work/.git]}}}", "{permissions: {filesystem: {write: [/work/.git]}}}", &[FileWriteDenied]),
    row("forgotten: blocked for executing", C, "{permissions: {filesystem: {execute: [/opt], blocked: [/opt/x]}}}", "{permissions: {filesystem: {execute: [/opt/x]}}}", &[FileExecuteDenied]),
    row("forgotten: blocked for commands", C, "{permissions: {filesystem: {blocked: [/app]}, system: {commands: ['/app/**']}}}", "{permissions: {system: {commands: [/app/x]}}}", &[CommandDenied]),
    row("trap: an invalid wildcard in blocked matches nothing there", C, "{permissions: {filesystem: {read: [/data], blocked: ['/data/[x']}}}", "{permissions: {filesystem: {read: [/data]}}}", &[ContextNotFound]),
    row("trap: '..' in a grant", C, "{permissions: {filesystem: {read: [/data/../etc]}}}", "{permissions: {filesystem: {read: [/etc]}}}", &[ContextNotFound]),
    row("trap: '..' in a requirement", C, "{permissions: {filesystem: {read: [/data]}}}", "{permissions: {filesystem: {read: [/data/../etc]}}}", &[ProviderInvalid]),
    row("trap: case", C, "{permissions: {filesystem: {read: [/data]}}}", "{permissions: {filesystem: {read: [/Data]}}}", &[FileReadDenied]),
    row("trap: a slash at the end", C, "{permissions: {filesystem: {read: [/data/]}}}", "{permissions: {filesystem: {read: [/data]}}}", &[ContextNotFound]),
    // NetworkPattern
    row("no wildcard: the very host", C, "{permissions: {network: {outbound: [{host: x.com, ports: [{port: 443}]}]}}}", "{permissions: {network: {outbound: [{host: a.x.com, ports: [{port: 443}]}]}}}", &[NetworkDenied]),
    row("*.domain: the domain", C, "{permissions: {network: {outbound: [{host: '*.x.com', ports: [{port: 443}]}]}}}", "{permissions: {network: {outbound: [{host: x.com, ports: [{port: 443}]}]}}}", &[]),
    row("*.domain: what is below it", C, "{permissions: {network: {outbound: [{host: '*.x.com', ports: [{port: 443}]}]}}}", "{permissions: {network: {outbound: [{host: a.b.x.com, ports: [{port: 443}]}]}}}", &[]),
    row("*.domain: by whole labels", C, "{permissions: {network: {outbound: [{host: '*.x.com', ports: [{port: 443}]}]}}}", "{permissions: {network: {outbound: [{host: badx.com, ports: [{port: 443}]}]}}}", &[NetworkDenied]),
    row("trap: any other wildcard matches nothing, also in blocked", C, "{permissions: {network: {outbound: [{host: '*.com', ports: [{port: 443}]}], blocked: [{host: 'x.*.com'}]}}}", "{permissions: {network: {outbound: [{host: x.com, ports: [{port: 443}]}]}}}", &[ContextNotFound]),
    row("blocked networks take precedence", C, "{permissions: {network: {outbound: [{host: '*.x.com', ports: [{port: 443}]}], blocked: [{host: a.x.com}]}}}", "{permissions: {network: {outbound: [{host: a.x.com, ports: [{port: 443}]}]}}}", &[NetworkDenied]),
    row("trap: case and a trailing dot of a blocked host", C, "{permissions: {network: {outbound: [{host: '*.x.com', ports: [{port: 443}]}], blocked: [{host: A.X.COM.}]}}}", "{permissions: {network: {outbound: [{host: a.x.com, ports: [{port: 443}]}]}}}", &[NetworkDenied]),
    row("trap: case and a trailing dot of a required host", C, "{permissions: {network: {outbound: [{host: x.com, ports: [{port: 443}]}]}}}", "{permissions: {network: {outbound: [{host: X.com., ports: [{port: 443}]}]}}}", &[]),
    row("trap: IPv4 in IPv6, blocked", C, "{permissions: {network: {outbound: [{cidr: 10.0.0.0/8, ports: [{port: 1}]}], blocked: [{cidr: '::ffff:10.1.0.0/112'}]}}}", "{permissions: {network: {outbound: [{cidr: 10.1.2.0/24, ports: [{port: 1}]}]}}}", &[NetworkDenied]),
    row("trap: IPv4 in IPv6, required", C, "{permissions: {network: {outbound: [{cidr: 10.0.0.0/8, ports: [{port: 1}]}], blocked: [{cidr: 10.1.0.0/16}]}}}", "{permissions: {network: {outbound: [{cidr: '::ffff:10.1.2.0/120', ports: [{port: 1}]}]}}}", &[NetworkDenied]),
    row("forgotten: ports", C, "{permissions: {network: {outbound: [{host: x.com, ports: [{port: 443}]}]}}}", "{permissions: {network: {outbound: [{host: x.com, ports: [{port: 80}]}]}}}", &[NetworkDenied]),
    row("max_connections", C, "{permissions: {network: {maxConnections: 4}}}", "{permissions: {network: {maxConnections: 5}}}", &[LimitExceeded]),
    // ResourceLimits
    row("memory requirement exceeds limit", C, "{limits: {memory: 64Mi}}", "{limits: {memory: 65Mi}}", &[LimitExceeded]),
    row("memory requirement within limit", C, "{limits: {memory: 64Mi}}", "{limits: {memory: 64Mi}}", &[]),
    row("CPU time requirement exceeds limit", C, "{limits: {cpuTime: 10s}}", "{limits: {cpuTime: 11s}}", &[LimitExceeded]),
    row("forgotten: wall time", C, "{limits: {wallTime: 10s}}", "{limits: {wallTime: 11s}}", &[LimitExceeded]),
    row("forgotten: disk", C, "{limits: {disk: 1Mi}}", "{limits: {disk: 2Mi}}", &[LimitExceeded]),
    row("forgotten: file descriptors", C, "{limits: {fileDescriptors: 64}}", "{limits: {fileDescriptors: 65}}", &[LimitExceeded]),
    row("forgotten: threads", C, "{limits: {threads: 4}}", "{limits: {threads: 5}}", &[LimitExceeded]),
    row("trap: no limit in the context is no limit at all there", C, "{}", "{limits: {memory: 1Gi}}", &[LimitExceeded]),
    row("memory limits are reasonable up to 1 GiB", "Full", "{}", "{limits: {memory: 1Gi}}", &[]),
    row("requests excessive memory", "Full", "{}", "{limits: {memory: 1025Mi}}", &[LimitUnreasonable]),
    row("CPU time limits are reasonable up to 5 minutes", "Full", "{}", "{limits: {cpuTime: 5m}}", &[]),
    row("requests excessive CPU time", "Full", "{}", "{limits: {cpuTime: 5m1s}}", &[LimitUnreasonable]),
];

#[test]
fn each_sentence_that_decides_something() {
    for Row { says, level, grants, requires, expected } in ROWS {
        let context = context(level, grants);
        let soon = "2026-11-24T06:01:00Z".parse().unwrap();
        let reasons = asked(&context, &provider("csv.summary", "1.0.0", requires), &json!({}), soon);
        let held: Vec<Reason> = reasons.into_iter().filter(|reason| *reason != Reason::Unenforceable).collect();
        assert_eq!(held, *expected, "{says}");
    }
}

#[test]
fn a_context_expires() {
    let cases: [(&str, &str, &str, bool); 8] = [
        ("expires_at: None", "Full", "{}", false),
        ("pure: expires_at None", "Pure", "{}", false),
        ("controlled: an hour", C, "{}", true),
        ("sandboxed: ten minutes", "Sandboxed", "{}", true),
        ("no expiry, said so", "Sandboxed", "{expiry: {type: Never}}", false),
        ("after", "Full", "{expiry: {type: After, after: 30m}}", true),
        ("at, past", "Full", "{expiry: {type: At, at: '2026-11-24T06:30:00Z'}}", true),
        ("at, to come", C, "{expiry: {type: At, at: '2027-11-24T06:30:00Z'}}", false),
    ];
    // All were created at six o'clock.
    let late: Timestamp = "2026-11-24T07:00:01Z".parse().unwrap();
    for (says, level, spec, expires) in cases {
        let expected: &[Reason] = if expires { &[Reason::ContextExpired] } else { &[] };
        assert_eq!(
            asked(&context(level, spec), &provider("csv.summary", "1.0.0", "{}"), &json!({}), late),
            expected,
            "{says}"
        );
    }
    let ten: Timestamp = "2026-11-24T06:10:00Z".parse().unwrap();
    let sandboxed = context("Sandboxed", "{}");
    for (moment, expected) in [(ten, &[Reason::ContextExpired][..]), ("2026-11-24T06:09:59Z".parse().unwrap(), &[])] {
        assert_eq!(
            asked(&sandboxed, &provider("csv.summary", "1.0.0", "{}"), &json!({}), moment),
            expected,
            "{moment}"
        );
    }
}

#[test]
fn an_isolation_is_chosen_by_level() {
    for (level, isolation, expected) in [
        ("Controlled", "GVisor", &[][..]),
        ("Sandboxed", "GVisor", &[]),
        ("Sandboxed", "Kata", &[]),
        ("Sandboxed", "Container", &[Reason::IsolationNotAllowed]),
    ] {
        let spec = json!({"isolation": isolation});
        let created = "2026-11-24T06:01:00Z".parse().unwrap();
        let reasons = asked(&context(level, "{}"), &provider("csv.summary", "1.0.0", "{}"), &spec, created);
        let held: Vec<_> = reasons.into_iter().filter(|reason| *reason != Reason::Unenforceable).collect();
        assert_eq!(held, expected, "{level} {isolation}");
    }
}

#[test]
fn a_provider_is_well_formed() {
    for (says, id, version, valid) in [
        ("capability ID must be namespaced", "summary", "1.0.0", false),
        ("invalid capability ID format: ..", "csv..summary", "1.0.0", false),
        ("invalid capability ID format: /", "csv.sum/mary", "1.0.0", false),
        ("provider version cannot be empty", "csv.summary", "", false),
        ("forgotten: a version is more than any text", "csv.summary", "latest", false),
        ("all well", "csv.summary", "1.0.0-rc.1", true),
    ] {
        let mut spec = json!({});
        spec["capabilityRef"] = json!({"kind": "CapabilityProvider", "name": "csv", "id": id});
        let expected: &[Reason] = if valid { &[] } else { &[ProviderInvalid] };
        assert_eq!(asked(&context(C, "{}"), &provider(id, version, "{}"), &spec, now()), expected, "{says}");
    }
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn context(level: &str, spec: &str) -> SecurityContext {
    let mut spec = yaml(spec);
    spec["level"] = json!(level);
    let metadata = json!({"name": "analysts", "namespace": "data", "uid": "c0", "generation": 1, "creationTimestamp": "2026-11-24T06:00:00Z"});
    serde_json::from_value(
        json!({"apiVersion": "security.ccos.dev/v1alpha1", "kind": "SecurityContext", "metadata": metadata, "spec": spec}),
    )
    .unwrap()
}

fn provider(id: &str, version: &str, requires: &str) -> CapabilityProvider {
    let image = format!("registry.test/python@sha256:{}", "0".repeat(64));
    serde_json::from_value(json!({
        "apiVersion": "security.ccos.dev/v1alpha1",
        "kind": "CapabilityProvider",
        "metadata": {"name": "csv", "namespace": "data", "uid": "p0", "generation": 1},
        "spec": {
            "version": version,
            "source": {"image": {"reference": image}},
            "capabilities": [{"id": id, "command": ["/usr/bin/run"], "requires": yaml(requires)}],
        },
    }))
    .unwrap()
}

/// The reasons of the answer, in order; none if it is admitted.
fn asked(context: &SecurityContext, provider: &CapabilityProvider, spec: &Value, now: Timestamp) -> Vec<Reason> {
    let mut object = json!({
        "apiVersion": "security.ccos.dev/v1alpha1",
        "kind": "CapabilityExecution",
        "metadata": {"name": "summary", "namespace": "data"},
        "spec": {
            "contextRef": {"kind": "SecurityContext", "name": "analysts"},
            "capabilityRef": {"kind": "CapabilityProvider", "name": "csv", "id": "csv.summary"},
        },
    });
    for (key, value) in spec.as_object().into_iter().flatten() {
        object["spec"][key] = value.clone();
    }
    let object: CapabilityExecution = serde_json::from_value(object).unwrap();
    match review(&object, &found(context.clone(), provider.clone()), &cluster().isolations, now) {
        Verdict::Decided(Decision::Admitted(_)) => Vec::new(),
        Verdict::Decided(Decision::Denied(denials)) => denials.iter().map(ccos_policy::Denial::reason).collect(),
        Verdict::Invalid(errors) => panic!("{errors}"),
    }
}
