//! `ccos check --explain`.

use std::path::Path;

use ccos_cli::Outcome;
use ccos_cli::check::CheckArgs;

use crate::WORLD;
use crate::check::{Said, args, check, only};

fn explained(text: &str) -> Said {
    check(&CheckArgs { explain: true, ..args(&[Path::new("-")]) }, text)
}

#[test]
fn an_allowed_one_shows_what_covers_it_and_what_it_is_confined_to() {
    let text = only(&["\nkind: SecurityContext", "\nkind: CapabilityProvider", "name: good"])
        .replace(r#"{read: ["/data/**"]}}}"#, r#"{read: ["/data/in", "/data/out"]}}}"#)
        .replace(
            "name: good, namespace: data}\nspec:",
            "name: good, namespace: data}\nspec:\n  requires: {limits: {threads: 8}}",
        );
    let said = explained(&text);
    assert_eq!(said.outcome, Outcome::Done, "{}", said.notes);
    assert_eq!(
        said.out,
        r#"data/good: allowed
  context
    ok     SecurityContext "analysts": level Controlled, expires at 2026-01-01T01:00:00Z, and stops what runs
  use
    -      not asked: only the cluster knows, see `ccos can-i`
  capability
    ok     csv.summary of CapabilityProvider "tools"
  requirements
    ok     requires.permissions.filesystem.read[0] "/data/in" of the capability: granted by /data/**
    ok     requires.permissions.filesystem.read[1] "/data/out" of the capability: granted by /data/**
  limits
    ok     memory 256Mi, the context's: at most 256Mi, the context's
    ok     cpu 500m, by default: at most 500m, by default
    ok     cpuTime 1m, by default: at most 1m, by default
    ok     wallTime 5m, by default: at most 5m, by default
    ok     disk 64Mi, by default: at most 64Mi, by default
    ok     fileDescriptors 256, by default: at most 256, by default
    ok     threads 8, the execution's own: at most 64, by default
  isolation
    ok     GVisor, by default, RuntimeClass "gvisor"; allowed: GVisor, Kata
  confined to
    permissions.filesystem               read /data/in, /data/out; write nothing; execute nothing; blocked nothing (mount namespace)
    permissions.network                  none of the pod's (network namespace)
    permissions.system.commands          the capability's own, and nothing else (noexec, seccomp)
    permissions.system.processCreation   no new processes (seccomp)
    permissions.environment              nothing of its own (built from nothing)
    permissions.ipc                      sockets nothing (ipc namespace)
    limits.disk                          64Mi (sized tmpfs)
    limits.fileDescriptors               256 (RLIMIT_NOFILE)
    limits.threads                       8 (RLIMIT_NPROC)
    limits.cpuTime                       1m (RLIMIT_CPU, sum)
    limits.wallTime                      5m (timer, pid namespace)
    limits.memory                        256Mi (the pod's limits)
    limits.cpu                           500m (the pod's limits)
"#
    );
}

#[test]
fn a_denied_one_shows_where_it_fails_and_what_it_passes() {
    let text = WORLD.replace(r#"{read: ["/data/**"]}}}"#, r#"{read: ["/data/in", "/etc"]}}}"#);
    let said = explained(&text);
    assert_eq!(said.outcome, Outcome::Denied);
    let greedy = said.out.split("\n\n").nth(1).unwrap();
    let lines: Vec<&str> = greedy.lines().collect();
    assert_eq!(lines[0], "data/greedy: denied");
    let after = |head: &str| {
        let at = lines.iter().position(|line| line.trim() == head).unwrap();
        lines[at + 1..].iter().take_while(|line| line.starts_with("    ")).copied().collect::<Vec<_>>()
    };
    assert_eq!(
        after("requirements"),
        [
            r#"    ok     requires.permissions.filesystem.read[0] "/data/in" of the capability: granted by /data/**"#,
            r#"    DENIED FileReadDenied: requires.permissions.filesystem.read[1] "/etc": not granted; granted: /data/**; required by csv.summary of CapabilityProvider "tools""#,
        ]
    );
    let limits = after("limits");
    assert_eq!(limits.last(), Some(&"    DENIED LimitExceeded: requires.limits.memory 512Mi: exceeds 256Mi"));
    assert!(!limits.iter().any(|line| line.contains("ok     memory")), "{limits:?}");
    assert!(!lines.contains(&"  confined to"), "{greedy}");

    let lost = said.out.split("\n\n").nth(2).unwrap();
    assert!(lost.contains("  requirements\n    -      not looked at: what it depends on is missing\n"), "{lost}");
}

#[test]
fn nothing_is_explained_of_what_is_invalid() {
    let said = explained(&WORLD.replace("level: Controlled", "level: Wild"));
    assert_eq!((said.outcome, said.out.as_str()), (Outcome::Invalid, ""));
}
