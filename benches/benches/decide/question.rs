//! Questions of `n` patterns a list; 128 is the wire's maximum.

use ccos_policy::{
    Capability, Context, Expiry, Found, HostPattern, Isolation, IsolationProfile, Isolations, Level, Limits, List,
    NamePattern, NoPolicies, OnExpiry, Outbound, PathPattern, Peer, Permissions, PortRange, Request,
    RequiredPermissions, Requires, Snapshot, Use,
};

pub(crate) type Question = (Request, Snapshot);

pub(crate) fn path(text: &str) -> PathPattern {
    text.parse().unwrap()
}

pub(crate) fn paths(patterns: usize, format: impl Fn(usize) -> String) -> List<PathPattern> {
    (0..patterns).map(|n| path(&format(n))).collect()
}

/// What the peers are asked, too.
pub(crate) fn report(n: usize) -> String {
    format!("/data/team-{n}/reports/2026")
}

/// A context that grants and an execution that requires this.
pub(crate) fn question(permissions: Permissions, required: RequiredPermissions) -> Question {
    let context = Context {
        display: "SecurityContext \"analysts\"".to_owned(),
        level: Level::Controlled,
        permissions,
        limits: Limits::default(),
        isolations_allowed: Vec::new(),
        isolation_default: None,
        volumes: Vec::new(),
        expiry: Expiry { at: None, on_expiry: OnExpiry::Stop },
        unheld: Vec::new(),
    };
    let capability = Capability {
        display: "weather.fetch of CapabilityProvider \"weather\"".to_owned(),
        requires: Requires { permissions: required, limits: Limits::default() },
        command: path("/app/fetch"),
        unheld: Vec::new(),
    };
    let request = Request {
        now: "2026-01-01T12:00:00Z".parse().unwrap(),
        requires: Requires::default(),
        environment: Vec::new(),
        isolation: None,
        unheld: Vec::new(),
    };
    let gvisor = IsolationProfile {
        runtime_class: Some("gvisor".to_owned()),
        user_namespaces: true,
        ..IsolationProfile::default()
    };
    let snapshot = Snapshot {
        context: Found::Valid(context),
        may_use: Use::Allowed,
        capability: Found::Valid(capability),
        isolations: Isolations([(Isolation::GVisor, gvisor)].into()),
        policies: std::sync::Arc::new(NoPolicies),
    };
    (request, snapshot)
}

/// `n` required paths against `n` granted trees and `n` blocked globs, one of each for a team.
pub(crate) fn files(n: usize) -> (Permissions, RequiredPermissions) {
    let mut permissions = Permissions::default();
    permissions.filesystem.read = paths(n, |n| format!("/data/team-{n}/**"));
    permissions.filesystem.blocked = paths(n, |n| format!("/data/team-{n}/private-*"));
    (permissions, RequiredPermissions { read: Some(paths(n, report)), ..RequiredPermissions::default() })
}

/// Globs that share no literal beginning, so that no index by beginnings helps.
pub(crate) fn globs(n: usize) -> (Permissions, RequiredPermissions) {
    let mut permissions = Permissions::default();
    permissions.filesystem.read = paths(n, |n| format!("/data/*/2026-*/{n}-*.csv"));
    permissions.filesystem.blocked = paths(n, |n| format!("/data/*/private-{n}/**/*.key"));
    let read = Some(paths(n, |n| format!("/data/team-{n}/2026-01/{n}-a.csv")));
    (permissions, RequiredPermissions { read, ..RequiredPermissions::default() })
}

/// `granted` patterns in every list of the context, `required` ones in every list of the capability.
pub(crate) fn everything(granted: usize, required: usize) -> (Permissions, RequiredPermissions) {
    let names = |n: usize, format: &dyn Fn(usize) -> String| -> List<NamePattern> {
        (0..n).map(|n| format(n).parse().unwrap()).collect()
    };
    let (mut permissions, mut needs) = files(granted);
    let of = |format: fn(usize) -> String| (paths(granted, format), Some(paths(required, format)));
    needs.read = Some(paths(required, report));
    (permissions.filesystem.write, needs.write) = of(|n| format!("/work/{n}/out"));
    (permissions.filesystem.execute, needs.execute) = of(|n| format!("/opt/lib-{n}"));
    (permissions.system.commands, needs.commands) = of(|n| format!("/app/bin/tool-{n}"));
    permissions.environment.read = names(granted, &|n| format!("APP_{n}_*"));
    needs.environment_read = Some(names(required, &|n| format!("APP_{n}_MODE")));
    permissions.environment.write = names(granted, &|n| format!("SET_{n}_*"));
    needs.environment_write = Some(names(required, &|n| format!("SET_{n}_MODE")));
    (permissions, needs)
}

/// Names and blocks of addresses.
pub(crate) fn hosts(n: usize) -> (Permissions, RequiredPermissions) {
    let rule = |host: String| Outbound {
        peer: Peer::Host(host.parse().unwrap()),
        ports: vec![PortRange::new(443, 443).unwrap()],
    };
    let blocked = |n: usize| Peer::Host(format!("internal.team-{n}.example.com").parse::<HostPattern>().unwrap());
    let mut permissions = Permissions::default();
    permissions.network.outbound = (0..n).map(|n| rule(format!("*.team-{n}.example.com"))).collect();
    permissions.network.blocked = (0..n).map(blocked).collect();
    let outbound = (0..n).map(|n| rule(format!("api.team-{n}.example.com"))).collect();
    (permissions, RequiredPermissions { outbound: Some(outbound), ..RequiredPermissions::default() })
}

/// What an attacker may write: globs whose subsets multiply. Each remembers whether its letter came four characters ago;
/// together, the last four characters.
pub(crate) fn hostile() -> (Permissions, RequiredPermissions) {
    let letters = (b'!'..=b'z').filter(|letter| !b"*/?[\\]".contains(letter));
    let mut permissions = Permissions::default();
    permissions.filesystem.read =
        letters.map(|letter| path(&format!("/*{}???", char::from(letter)))).chain([path("/*")]).collect();
    permissions.filesystem.blocked = permissions.filesystem.read.iter().take(40).cloned().collect();
    let read = Some(paths(128, |_| "/?*".to_owned()));
    (permissions, RequiredPermissions { read, ..RequiredPermissions::default() })
}
