//! The network policy engine of the local cluster, held still.

use std::path::PathBuf;
use std::process::Command;

use crate::cluster;

/// Goes on by itself after this, even where the test that stopped it was killed.
const AT_MOST_SECONDS: u32 = 60;

/// Cilium's agent, stopped: no policy is applied, and no pod gets a network. Goes on when this is dropped, by a panic, too.
#[derive(Debug)]
#[must_use = "it goes on when this is dropped"]
pub struct Stopped(());

/// Stops it. By the number that e2e/cluster/up.sh wrote down, in the cluster's own namespace of processes.
#[track_caller]
pub fn stop() -> Stopped {
    // In the cluster's namespace of processes, and not only its signal: it ends with the cluster, and leaves no trace.
    let later = script("CONT", AT_MOST_SECONDS);
    let apart = "setsid sh -c \"$1\" </dev/null >/dev/null 2>&1 &";
    assert!(Command::new("sh").args(["-c", apart, "sh", &later]).status().unwrap().success());
    signal("STOP");
    Stopped(())
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal("CONT");
    }
}

#[track_caller]
fn signal(name: &str) {
    let status = Command::new("sh").args(["-c", &script(name, 0)]).status().unwrap();
    assert!(status.success(), "SIG{name} to cilium-agent: {status}");
}

/// Exactly this process, and only while it is the agent.
fn script(name: &str, after_seconds: u32) -> String {
    let run = run();
    let (init, pid) = (run.join("init"), run.join("cilium-agent.pid"));
    format!(
        "read -r init start <{init} && read -r pid <{pid} && nsenter --target $init --mount --pid -- \
         sh -c 'sleep {after_seconds}; [ \"$(cat /proc/'$pid'/comm)\" = cilium-agent ] && kill -{name} '$pid",
        init = init.display(),
        pid = pid.display(),
    )
}

fn run() -> PathBuf {
    cluster::folder().join("run")
}
