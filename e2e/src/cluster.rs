//! Where the cluster is, and what was built for it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// Addresses of the machine outside of the cluster: `world-a.test` and `world-b.test` of the cluster's DNS.
pub const WORLD_A: &str = "10.245.0.11";
/// The other one.
pub const WORLD_B: &str = "10.245.0.12";

/// Where the operator is installed.
pub const OPERATOR: &str = "ccos-system";
/// Of the API server, for pods.
pub const API_SERVER: &str = "10.96.0.1:443";
/// Of the cluster's DNS, for pods.
pub const DNS: &str = "10.96.0.10:53";
/// Of the node: the API server listens there too.
pub const NODE: &str = "10.245.0.2:6443";

/// Its state.
pub(crate) fn folder() -> PathBuf {
    std::env::var_os("CCOS_CLUSTER").map_or_else(|| PathBuf::from("/var/lib/ccos-e2e"), PathBuf::from)
}

/// The kubeconfig: `KUBECONFIG`, or that of the local cluster. Never `~/.kube/config`: these tests must not act on
/// whatever cluster somebody works with.
pub fn kubeconfig() -> &'static Path {
    static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
        let file = std::env::var_os("KUBECONFIG").map_or_else(|| folder().join("kubeconfig"), PathBuf::from);
        assert!(file.exists(), "no cluster: {} does not exist; run e2e/test.sh, which starts one", file.display());
        file
    });
    &FILE
}

/// An image that `e2e/images.sh` pushed, by the name of its variable.
pub fn image(variable: &str) -> String {
    static IMAGES: LazyLock<String> = LazyLock::new(|| {
        let file = std::env::var_os("CCOS_IMAGES_ENV").map_or_else(|| folder().join("images.env"), PathBuf::from);
        std::fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("no images: {}: {error}; run e2e/images.sh", file.display()))
    });
    let found = IMAGES.lines().find_map(|line| line.strip_prefix(variable)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("images.env has no {variable}; run e2e/images.sh")).to_owned()
}

/// A tool that `e2e/cluster/build.sh` built, or one of the `PATH`.
pub fn tool(name: &str) -> Command {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache"), PathBuf::from);
    let tools = std::env::var_os("CCOS_TOOLS").map_or_else(|| cache.join("ccos/tools"), PathBuf::from);
    let built = tools.join("bin").join(name);
    let mut command = Command::new(if built.exists() { built } else { PathBuf::from(name) });
    command.env("KUBECONFIG", kubeconfig());
    command
}

/// Kills a process of a pod without a word, as a crash of its node would: SIGKILL, from the machine, which sees all of
/// the cluster's processes.
pub fn kill_processes_of(pod_uid: &str) {
    let mut killed = 0;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        if name.bytes().all(|byte| byte.is_ascii_digit())
            && std::fs::read_to_string(entry.path().join("cgroup")).is_ok_and(|text| text.contains(pod_uid))
            && std::fs::read_link(entry.path().join("exe")).is_ok_and(|exe| !exe.ends_with("pause"))
            && Command::new("kill").args(["-KILL", &name]).status().is_ok_and(|status| status.success())
        {
            killed += 1;
        }
    }
    assert!(killed > 0, "no process of pod {pod_uid} on this machine: does the test run as root beside the cluster?");
}

/// The repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}
