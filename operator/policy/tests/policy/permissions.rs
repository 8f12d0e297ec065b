//! Each kind of permission: granted, not granted, blocked, and what each level makes of it.

use ccos_policy::Reason::*;
use ccos_policy::{Level, Permissions, ProcessCreation, Reason, RequiredPermissions};

use crate::given::{case, names, paths};

/// A permission, as a field, its reason, how it is granted and how it is required.
type Kind = (&'static str, Reason, fn(&mut Permissions), fn(&mut RequiredPermissions));

const KINDS: [Kind; 8] = [
    (
        "requires.permissions.filesystem.read[0]",
        FileReadDenied,
        |p| p.filesystem.read = paths(&["/data/**"]),
        |r| r.read = Some(paths(&["/data/x"])),
    ),
    (
        "requires.permissions.filesystem.write[0]",
        FileWriteDenied,
        |p| p.filesystem.write = paths(&["/data/**"]),
        |r| r.write = Some(paths(&["/data/x"])),
    ),
    (
        "requires.permissions.filesystem.execute[0]",
        FileExecuteDenied,
        |p| p.filesystem.execute = paths(&["/data/**"]),
        |r| r.execute = Some(paths(&["/data/x"])),
    ),
    (
        "requires.permissions.system.commands[0]",
        CommandDenied,
        |p| p.system.commands = paths(&["/data/**"]),
        |r| r.commands = Some(paths(&["/data/x"])),
    ),
    (
        "requires.permissions.system.processCreation",
        ProcessCreationDenied,
        |p| p.system.process_creation = ProcessCreation::Allowed,
        |r| r.process_creation = Some(ProcessCreation::Allowed),
    ),
    (
        "requires.permissions.environment.read[0]",
        EnvironmentReadDenied,
        |p| p.environment.read = names(&["APP_*"]),
        |r| r.environment_read = Some(names(&["APP_MODE"])),
    ),
    (
        "requires.permissions.environment.write[0]",
        EnvironmentWriteDenied,
        |p| p.environment.write = names(&["APP_*"]),
        |r| r.environment_write = Some(names(&["APP_MODE"])),
    ),
    (
        "requires.permissions.ipc.connect[0]",
        IpcDenied,
        |p| p.ipc.connect = paths(&["/data/**"]),
        |r| r.ipc_connect = Some(paths(&["/data/x"])),
    ),
];

#[test]
fn each_kind_is_denied_without_its_own_grant() {
    for (index, (field, reason, _, required)) in KINDS.iter().enumerate() {
        // All other grants are given: none of them helps.
        let others = KINDS.iter().enumerate().filter(|(other, _)| *other != index);
        let case = others.fold(case(), |case, (_, (_, _, grant, _))| case.grants(grant)).requires(required);
        let denials = case.denied();
        let found: Vec<_> = denials.iter().filter(|denial| denial.reason() != Unenforceable).collect();
        assert_eq!(found.len(), 1, "{denials}");
        assert_eq!((found[0].reason(), found[0].field.as_str()), (*reason, *field));
    }
}

#[test]
fn each_kind_is_admitted_with_it() {
    for (field, reason, grant, required) in KINDS {
        let case = case().grants(grant).requires(required);
        if reason == IpcDenied {
            case.denied_for(&[(Unenforceable, field)]);
        } else {
            let _ = case.admitted();
        }
    }
}

#[test]
fn pure_grants_nothing_whatever_its_lists_say() {
    for (field, reason, grant, required) in KINDS {
        let denials = case().context(|c| c.level = Level::Pure).grants(grant).requires(required).denied();
        assert!(denials.iter().any(|d| d.reason() == reason && d.field.as_str() == field), "{denials}");
        assert!(denials.to_string().contains("at level Pure"), "{denials}");
    }
}

#[test]
fn full_grants_what_is_not_listed() {
    for (field, reason, _, required) in KINDS {
        let case = case().context(|c| c.level = Level::Full).requires(required);
        if reason == IpcDenied {
            case.denied_for(&[(Unenforceable, field)]);
        } else {
            let _ = case.admitted();
        }
    }
}

#[test]
fn blocked_wins_over_every_grant_of_a_path_at_every_level() {
    for level in [Level::Controlled, Level::Sandboxed, Level::Full] {
        for (field, reason, grant, required) in KINDS {
            let takes_a_path =
                !matches!(reason, ProcessCreationDenied | EnvironmentReadDenied | EnvironmentWriteDenied);
            let case = case()
                .context(|c| c.level = level)
                .grants(grant)
                .grants(|p| p.filesystem.blocked = paths(&["/data/**/x"]))
                .requires(required);
            if takes_a_path {
                let denials = case.denied();
                let denial = denials.iter().find(|d| d.reason() == reason).unwrap_or_else(|| panic!("{denials}"));
                assert_eq!(denial.to_string(), format!(r#"{field} "/data/x": blocked by /data/**/x"#));
            } else {
                let _ = case.admitted();
            }
        }
    }
}

#[test]
fn data_does_not_grant_database() {
    case()
        .grants(|p| p.filesystem.read = paths(&["/data"]))
        .requires(|r| r.read = Some(paths(&["/database"])))
        .says(r#"requires.permissions.filesystem.read[0] "/database": not granted; granted: /data"#);
}

#[test]
fn reading_is_not_writing_and_writing_is_not_reading() {
    case()
        .grants(|p| p.filesystem.read = paths(&["/data"]))
        .requires(|r| r.write = Some(paths(&["/data"])))
        .denied_for(&[(FileWriteDenied, "requires.permissions.filesystem.write[0]")]);
    case()
        .grants(|p| p.filesystem.write = paths(&["/data"]))
        .requires(|r| r.read = Some(paths(&["/data"])))
        .denied_for(&[(FileReadDenied, "requires.permissions.filesystem.read[0]")]);
}

#[test]
fn a_requirement_may_avoid_what_is_blocked() {
    let case = case()
        .grants(|p| p.filesystem.read = paths(&["/data"]))
        .grants(|p| p.filesystem.blocked = paths(&["/data/private"]));
    case.clone()
        .requires(|r| r.read = Some(paths(&["/data"])))
        .says(r#"requires.permissions.filesystem.read[0] "/data": blocked by /data/private"#);
    let admitted = case
        .requires(|r| {
            r.read = Some(paths(&["/data"]));
            r.blocked = Some(paths(&["/data/private"]));
        })
        .admitted();
    assert_eq!(admitted.permissions().filesystem.blocked, paths(&["/data/private"]));
}

#[test]
fn an_admitted_execution_gets_what_it_requires_not_what_is_granted() {
    let admitted = case()
        .grants(|p| p.filesystem.read = paths(&["/data", "/etc"]))
        .requires(|r| r.read = Some(paths(&["/data/x"])))
        .admitted();
    assert_eq!(admitted.permissions().filesystem.read, paths(&["/data/x"]));
}

#[test]
fn variables_that_an_execution_sets_must_be_required() {
    let case = case()
        .grants(|p| p.environment.read = names(&["*"]))
        .needs(|r| r.environment_read = Some(names(&["LANG", "APP_*"])));
    let _ = case.clone().asks(|r| r.environment = vec!["APP_MODE".to_owned()]).admitted();
    case.clone()
        .asks(|r| r.environment = vec!["LANG".to_owned(), "LD_PRELOAD".to_owned()])
        .says(r#"env[1].name "LD_PRELOAD": not required; requires.permissions.environment has LANG, APP_*; add it to environment.read or environment.write of the capability's requires"#);
    case.asks(|r| r.environment = vec!["APP_\n".to_owned()]).denied_for(&[(EnvironmentWriteDenied, "env[0].name")]);
}

#[test]
fn a_granted_glob_of_files_covers_what_lies_below_its_matches() {
    let case = case().grants(|p| p.filesystem.read = paths(&["/data/*.csv"]));
    for required in ["/data/a.csv", "/data/a.csv/**", "/data/a.csv/part"] {
        let _ = case.clone().requires(|r| r.read = Some(paths(&[required]))).admitted();
    }
    case.requires(|r| r.read = Some(paths(&["/data"])))
        .says(r#"requires.permissions.filesystem.read[0] "/data": not granted; granted: /data/*.csv"#);
}

#[test]
fn a_command_is_a_file() {
    let field = "requires.permissions.system.commands[0]";
    let case = case().grants(|p| p.system.commands = paths(&["/app/fetch", "/app/lib/*", "/opt/tools/**"]));
    let requires = |command: &str| case.clone().requires(|r| r.commands = Some(paths(&[command])));
    for command in ["/app/fetch", "/app/lib/x", "/opt/tools/a/b", "/opt/tools/a/**"] {
        let _ = requires(command).admitted();
    }
    for command in ["/app", "/app/fetch/x", "/app/lib", "/app/lib/x/y"] {
        requires(command).denied_for(&[(CommandDenied, field)]);
    }
    requires("/app/lib/x/**").says(&format!(
        r#"{field} "/app/lib/x/**": not granted, e.g. /app/lib/x/a; granted: /app/fetch, /app/lib/*, /opt/tools/**"#
    ));
}
