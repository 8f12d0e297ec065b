//! An execution narrows what its capability requires, and inherits what it does not name.

use ccos_policy::Reason::*;
use ccos_policy::{Level, List, ProcessCreation};

use crate::given::{Case, case, names, outbounds, paths, peer};

/// A context that grants everything, so that only the capability bounds the execution.
fn full() -> Case {
    case().context(|context| context.level = Level::Full)
}

#[test]
fn an_absent_list_inherits_but_an_empty_one_is_none() {
    let case = full().needs(|r| r.read = Some(paths(&["/data"])));
    assert_eq!(case.admitted().permissions().filesystem.read, paths(&["/data"]));
    let none = case.narrows(|r| r.read = Some(List::default()));
    assert_eq!(none.admitted().permissions().filesystem.read, List::default());
}

#[test]
fn a_present_list_replaces_the_capabilitys() {
    let case =
        full().needs(|r| r.read = Some(paths(&["/data", "/etc"]))).narrows(|r| r.read = Some(paths(&["/data/x"])));
    assert_eq!(case.admitted().permissions().filesystem.read, paths(&["/data/x"]));
}

#[test]
fn a_list_wider_than_the_capabilitys_is_denied_by_its_kind() {
    full()
        .needs(|r| r.read = Some(paths(&["/data"])))
        .narrows(|r| r.read = Some(paths(&["/data/x", "/"])))
        .says(r#"requires.permissions.filesystem.read[1] "/": wider than the capability's; it requires: /data"#);
    full()
        .narrows(|r| {
            r.write = Some(paths(&["/out"]));
            r.execute = Some(paths(&["/opt"]));
            r.commands = Some(paths(&["/bin/sh"]));
            r.ipc_connect = Some(List::default());
            r.environment_read = Some(names(&["LANG"]));
            r.environment_write = Some(names(&["LANG"]));
            r.process_creation = Some(ProcessCreation::Allowed);
        })
        .denied_for(&[
            (FileWriteDenied, "requires.permissions.filesystem.write[0]"),
            (FileExecuteDenied, "requires.permissions.filesystem.execute[0]"),
            (CommandDenied, "requires.permissions.system.commands[0]"),
            (ProcessCreationDenied, "requires.permissions.system.processCreation"),
            (EnvironmentReadDenied, "requires.permissions.environment.read[0]"),
            (EnvironmentWriteDenied, "requires.permissions.environment.write[0]"),
        ]);
    full().narrows(|r| r.outbound = Some(outbounds(&["x.com 443"]))).denied_for(&[
        (NetworkDenied, "requires.permissions.network.outbound[0]"),
        (Unenforceable, "requires.permissions.network.outbound"),
    ]);
}

#[test]
fn unblocking_what_the_capability_blocks_is_widening() {
    let case = full().needs(|r| {
        r.read = Some(paths(&["/data"]));
        r.blocked = Some(paths(&["/data/private"]));
    });
    assert_eq!(case.admitted().permissions().filesystem.blocked, paths(&["/data/private"]));
    case.clone()
        .narrows(|r| r.blocked = Some(List::default()))
        .denied_for(&[(FileReadDenied, "requires.permissions.filesystem.blocked")]);
    // Its own list may stay out of it, and then need not block it.
    let _ = case
        .clone()
        .narrows(|r| {
            r.read = Some(paths(&["/data/x"]));
            r.blocked = Some(List::default());
        })
        .admitted();
    // Blocking more is narrowing.
    let _ = case.narrows(|r| r.blocked = Some(paths(&["/data/private", "/data/x"]))).admitted();
}

#[test]
fn unblocking_a_host_is_widening_too() {
    full()
        .needs(|r| {
            r.outbound = Some(outbounds(&["*.b.com 443"]));
            r.network_blocked = Some(vec![peer("c.b.com")].into());
        })
        .narrows(|r| r.network_blocked = Some(List::default()))
        .denied_for(&[
            (NetworkDenied, "requires.permissions.network.blocked"),
            (Unenforceable, "requires.permissions.network.outbound"),
        ]);
}

#[test]
fn what_is_inherited_names_the_capability() {
    case().needs(|r| r.read = Some(paths(&["/data"]))).says(
        r#"requires.permissions.filesystem.read[0] "/data": not granted; granted: nothing; required by weather.fetch of CapabilityProvider "weather""#,
    );
}
