//! What Landlock can't hold is refused and names the isolation that can; all else runs in a container, too.

use ccos_policy::Isolation::{Container, GVisor};
use ccos_policy::Reason::*;
use ccos_policy::{IsolationProfile, Level, RequiredPermissions, VolumeMount};

use crate::given::{Case, case, path, paths};

/// A cluster whose containers can hold it, or lack a part of that.
fn on(landlock_abi: Option<u32>, pod_user_namespaces: bool) -> Case {
    let profile = IsolationProfile { landlock_abi, pod_user_namespaces, ..IsolationProfile::default() };
    case()
        .context(|c| c.level = Level::Full)
        .sees(|s| {
            s.isolations.0.insert(Container, profile);
        })
        .asks(|r| r.isolation = Some(Container))
}

fn requires(change: impl FnOnce(&mut RequiredPermissions)) -> Case {
    on(Some(6), true).requires(change)
}

fn in_gvisor(case: Case) -> Case {
    case.asks(|r| r.isolation = Some(GVisor))
}

#[test]
fn it_runs_in_a_container_whose_cluster_says_by_what() {
    assert_eq!(on(Some(6), true).admitted().isolation(), Container);
    assert_eq!(on(Some(7), true).admitted().isolation(), Container);
    for (abi, users, expected) in [
        (None, true, "the cluster's profile names no landlockAbi for it, by which it holds file rules; use GVisor"),
        (Some(5), true, "the cluster's Landlock has ABI 5, and file rules and signals need 6 (Linux 6.12); use GVisor"),
        (Some(0), true, "the cluster's Landlock has ABI 0, and file rules and signals need 6 (Linux 6.12); use GVisor"),
        (Some(7), false, "threads can't be counted where its pods have no user namespace of their own; use GVisor"),
    ] {
        on(abi, users).says(&format!("isolation \"Container\": {expected}"));
    }
}

#[test]
fn nothing_is_taken_out_of_what_is_granted() {
    let blocked = |read: &[&str], blocked: &str| {
        requires(|r| {
            r.read = Some(paths(read));
            r.blocked = Some(paths(&[blocked]));
        })
    };
    for (read, block, granted) in [
        ("/data", "/data/private", "/data"),
        ("/data/**", "/data", "/data"),
        ("/data/in", "/usr/lib/secret", "/usr/lib"),
        ("/data/in", "/tmp/x", "/tmp"),
    ] {
        blocked(&[read], block).says(&format!(
            "requires.permissions.filesystem.blocked[0] \"{block}\": Container can't take a path out of what is granted, \
             here {granted}; grant what is beside it; use GVisor"
        ));
        let _ = in_gvisor(blocked(&[read], block)).admitted();
    }
    for (read, block) in [("/data/in", "/data/private"), ("/data/in", "/data/i"), ("/data/private/x", "/data/private")]
    {
        let _ = blocked(&[read], block).admitted();
    }
    requires(|r| {
        r.write = Some(paths(&["/work"]));
        r.blocked = Some(paths(&["/work/kept"]));
    })
    .denied_for(&[(Unenforceable, "requires.permissions.filesystem.blocked[0]")]);
}

#[test]
fn a_glob_is_expanded_but_not_taken_out() {
    let _ = requires(|r| {
        r.read = Some(paths(&["/data/*.csv"]));
        r.commands = Some(paths(&["/app/lib/*"]));
    })
    .admitted();
    let blocked = || requires(|r| r.blocked = Some(paths(&["/data/*.key"])));
    blocked().says(
        "requires.permissions.filesystem.blocked[0] \"/data/*.key\": Container can't take a glob out of what is granted; \
         name each path, such as /data/a.key, or write \"/data\"; use GVisor",
    );
    let _ = in_gvisor(blocked()).admitted();
}

#[test]
fn sockets_are_of_gvisor() {
    let case = || requires(|r| r.ipc_connect = Some(paths(&["/tmp/app.sock"])));
    case().says(
        "requires.permissions.ipc.connect[0] \"/tmp/app.sock\": Container lets no socket through but pairs, since its \
         Landlock can't hold which; use GVisor",
    );
    let _ = in_gvisor(case()).admitted();
}

#[test]
fn what_comes_with_every_container_is_not_granted() {
    let says = |own: &str| {
        format!(
            "in Container {own} is there too, and no part of the image; grant the folders that are needed; use GVisor"
        )
    };
    for (read, own) in
        [("/", "/ccos"), ("/ccos/profile", "/ccos"), ("/sys/fs", "/sys"), ("/dev", "/dev/termination-log")]
    {
        let case = requires(|r| r.read = Some(paths(&[read])));
        case.clone().says(&format!("requires.permissions.filesystem.read[0] \"{read}\": {}", says(own)));
        let _ = in_gvisor(case).admitted();
    }
    requires(|r| r.write = Some(paths(&["/run"])))
        .says(&format!("requires.permissions.filesystem.write[0] \"/run\": {}", says("/run/ccos")));
    for read in ["/run", "/system", "/ccos-data", "/proc", "/etc"] {
        let _ = requires(|r| r.read = Some(paths(&[read]))).admitted();
    }
}

#[test]
fn a_volume_is_written_as_a_whole() {
    let case = |write: &str, read: &str| {
        requires(|r| {
            r.write = Some(paths(&[write]));
            r.read = Some(paths(&[read]));
        })
        .context(|c| c.volumes = vec![VolumeMount { mount_path: path("/data"), writable: true, in_memory: false }])
    };
    case("/data/out", "/data").says(
        "requires.permissions.filesystem.write[0] \"/data/out\": in Container the attributes of all files of a volume that is \
         written can be changed; write \"/data\"; use GVisor",
    );
    let _ = in_gvisor(case("/data/out", "/data")).admitted();
    let _ = case("/data/**", "/data").admitted();
    let _ = case("/work", "/data").admitted();
}

#[test]
fn a_volume_below_the_baseline_would_come_with_it() {
    let case = |mount: &str, read: &str| {
        requires(|r| r.read = Some(paths(&[read])))
            .context(|c| c.volumes = vec![VolumeMount { mount_path: path(mount), writable: false, in_memory: false }])
    };
    for (mount, read, place) in [
        ("/usr/lib/data", "/usr/lib/data/in", "/usr/lib"),
        ("/tmp/data", "/tmp/data", "/tmp"),
        ("/lib/x", "/lib", "/lib"),
    ] {
        case(mount, read).says(&format!(
            "requires.permissions.filesystem.read[0] \"{read}\": in Container every program has {place} with all below it, and so \
             the volume at {mount}; mount it elsewhere; use GVisor"
        ));
        let _ = in_gvisor(case(mount, read)).admitted();
    }
    // Not mounted, or beside it.
    for (mount, read) in [("/usr/lib/data", "/data"), ("/usr/libs", "/usr/libs"), ("/data", "/data/in")] {
        let _ = case(mount, read).admitted();
    }
}

#[test]
fn nothing_is_written_beside_a_loader() {
    let says = |folder: &str| {
        format!(
            "requires.permissions.filesystem.write[0] \"/work\": {folder} may hold a loader, which in Container runs what was \
             written; list single programs in system.commands; use GVisor"
        )
    };
    let case = |execute: &[&str], commands: &[&str]| {
        requires(|r| {
            r.write = Some(paths(&["/work"]));
            r.execute = Some(paths(execute));
            r.commands = Some(paths(commands));
        })
    };
    case(&["/opt/lib"], &[]).says(&says("/opt/lib"));
    case(&[], &["/opt/bin/**"]).says(&says("/opt/bin/**"));
    let _ = in_gvisor(case(&["/opt/lib"], &["/opt/bin/**"])).admitted();
    let _ = case(&[], &["/opt/bin/tool"]).admitted();
}

#[test]
fn a_path_that_no_pod_can_mount_is_not_written() {
    requires(|r| r.write = Some(paths(&["/work:a"]))).says(
        "requires.permissions.filesystem.write[0] \"/work:a\": Container can't mount a path with a colon; write another; use GVisor",
    );
}
