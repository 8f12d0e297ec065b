//! A pod of the runner in gVisor, without Kubernetes.

#![allow(dead_code, reason = "each lane uses its part")]

mod contained;
mod fence;
mod neighbour;
mod proxy;
mod visitor;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ccos_profile::Report;
use serde_json::{Value, json};

use fence::Fence;
use neighbour::Neighbour;
use proxy::Proxy;
use visitor::Visitor;

const UID: u32 = 1000;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// What is to run.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one thing that a test may ask for, and none depends on another"
)]
pub(crate) struct Pod {
    name: String,
    profile: Value,
    environment: Vec<String>,
    stop_after: Option<f64>,
    networked: bool,
    debian: bool,
    proxy: Option<Proxy>,
    fence: Fence,
    visitor: Option<Visitor>,
    contained: bool,
    linked: bool,
    oversized: u64,
    neighbour: Option<Neighbour>,
    host_sockets: bool,
    many: u32,
    behind_a_shell: bool,
    bare: Option<Vec<String>>,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) report: Report,
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    pub(crate) seconds: f64,
    /// What the proxy was asked for, with the token.
    pub(crate) asked: Vec<String>,
    /// What visitors were answered, port by port.
    pub(crate) visits: Vec<(u16, String)>,
    folder: PathBuf,
}

impl Run {
    /// What a file of the volume `data` holds now.
    pub(crate) fn data(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.folder.join("volumes/data").join(path)).ok()
    }
}

/// Without the mechanism the proof ends the run, and without the proof as well the attack gets through.
pub(crate) fn missed(
    pod: impl Fn() -> Pod,
    without: &str,
    probe: &str,
    attack: &str,
    got_through: impl Fn(&Run, &str) -> bool,
) {
    missed_proof(pod(), without, probe);
    // The twin: with the mechanism it does not.
    let (run, found) = attacked(pod(), attack);
    assert!(!got_through(&run, &found), "{attack}: {run:#?}");
    missed_attack(pod(), without, attack, got_through);
}

pub(crate) fn missed_proof(pod: Pod, without: &str, probe: &str) {
    let run = pod.sabotage(without).attack(&["started"]).run();
    assert_eq!(run.report.end, ccos_profile::End::ConfinementFailed, "{without}: {run:#?}");
    assert!(run.report.message.contains(probe), "{without}: {}", run.report.message);
    assert_eq!(run.report.usage, None, "{without}");
}

pub(crate) fn missed_attack(pod: Pod, without: &str, attack: &str, got_through: impl Fn(&Run, &str) -> bool) {
    let (run, found) = attacked(pod.sabotage(without).unproven(), attack);
    assert!(got_through(&run, &found), "{without}, {attack}: {run:#?}");
}

pub(crate) fn attacked(pod: Pod, attack: &str) -> (Run, String) {
    // What is executed has to be there.
    let copies = if attack == "exec:/tmp/copy" { &["copy:/tmp/copy"][..] } else { &[] };
    let run = pod.attack(&[copies, &[attack]].concat()).run();
    let found = run.report.result.as_ref().and_then(|result| result.get(attack)).cloned().unwrap_or_default();
    let text = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
    (run, text)
}

impl Drop for Run {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            fs::remove_dir_all(&self.folder).unwrap();
        }
    }
}

impl Pod {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: format!("ccos-runner-test-{name}-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)),
            profile: json!({
                "version": 1, "imageRoot": "/ccos/image", "command": ["/app/attack"],
                "files": {"read": [], "write": [], "execute": [], "blocked": []},
                "volumes": [], "programs": [], "programFolders": [], "processCreation": "Denied", "environment": {},
                "inputs": {"document": {"city": "Paris"}, "fields": {}},
                "limits": {"cpuTimeMillis": 10_000, "wallTimeMillis": 20_000, "diskBytes": 64 << 20, "fileDescriptors": 64, "threads": 16},
            }),
            environment: vec!["PATH=/bin".into(), "KUBERNETES_SERVICE_HOST=10.96.0.1".into(), "POD_SECRET=x".into()],
            stop_after: None,
            networked: false,
            debian: false,
            proxy: None,
            fence: Fence::AtOnce,
            visitor: None,
            contained: false,
            linked: false,
            oversized: 1,
            neighbour: None,
            host_sockets: false,
            many: 0,
            behind_a_shell: false,
            bare: None,
        }
    }

    /// Somebody else on the node listens at sockets in the volume `data`, `stream.sock` and `datagram.sock`.
    pub(crate) fn neighbour(mut self) -> Self {
        self.neighbour = Some(Neighbour::default());
        self
    }

    /// Somebody else is process 1.
    pub(crate) fn behind_a_shell(mut self) -> Self {
        self.behind_a_shell = true;
        self
    }

    /// The image has so many files in `/many`.
    pub(crate) fn many(mut self, count: u32) -> Self {
        self.many = count;
        self
    }

    /// gVisor lets sockets of the machine through, which it does not by default.
    pub(crate) fn host_sockets(mut self) -> Self {
        self.host_sockets = true;
        self
    }

    /// Names may be connected to, through a proxy that writes down what it is asked for.
    pub(crate) fn connects(mut self, outbound: &Value, blocked: &Value) -> Self {
        self.networked = true;
        self.proxy = Some(Proxy::default());
        let rules = json!({"outbound": outbound, "blocked": blocked});
        self.profile["egress"] = json!({"proxy": proxy::ADDRESS, "rules": rules});
        self
    }

    /// Others may connect in, and try to at these ports.
    pub(crate) fn visited(mut self, sources: &Value, blocked: &Value, ports: &[u16]) -> Self {
        self.networked = true;
        self.visitor = Some(Visitor::to(ports));
        self.profile["inbound"] = json!({"sources": sources, "blocked": blocked});
        self
    }

    /// At these ports, one after the other.
    pub(crate) fn visits(mut self, ports: &[u16]) -> Self {
        self.visitor = Some(Visitor::to(ports));
        self
    }

    /// Nothing keeps the pod from what it may not reach: somebody answers where the API server would.
    pub(crate) fn unpoliced(mut self) -> Self {
        self.environment.retain(|variable| !variable.starts_with("KUBERNETES_SERVICE_HOST="));
        self.environment.push(format!("KUBERNETES_SERVICE_HOST={}", visitor::WORLD));
        self.visitor.as_mut().unwrap().open = true;
        self
    }

    fn set(mut self, pointer: &str, value: Value) -> Self {
        *self.profile.pointer_mut(pointer).unwrap() = value;
        self
    }

    pub(crate) fn read(self, paths: &[&str]) -> Self {
        self.set("/files/read", json!(paths))
    }

    pub(crate) fn write(self, paths: &[&str]) -> Self {
        self.set("/files/write", json!(paths))
    }

    pub(crate) fn blocked(self, paths: &[&str]) -> Self {
        self.set("/files/blocked", json!(paths))
    }

    /// A list of globs.
    pub(crate) fn globs(mut self, list: &str, patterns: &[&str]) -> Self {
        if self.profile["globs"].is_null() {
            self.profile["globs"] = json!({"read": [], "execute": [], "blocked": [], "programs": []});
        }
        self.profile["globs"][list] = json!(patterns);
        self
    }

    pub(crate) fn programs(self, paths: &[&str]) -> Self {
        self.set("/programs", json!(paths))
    }

    pub(crate) fn program_folders(self, paths: &[&str]) -> Self {
        self.set("/programFolders", json!(paths))
    }

    pub(crate) fn creates_processes(self) -> Self {
        self.set("/processCreation", json!("Allowed"))
    }

    /// A Secret `s3cret`, as environment variables and as fields of the input.
    pub(crate) fn references(mut self, variables: &[&str], fields: &[&str]) -> Self {
        for name in variables {
            self.profile["environment"][name] = json!({"file": "/ccos/references/0/key"});
        }
        for name in fields {
            self.profile["inputs"]["fields"][name] = json!("/ccos/references/0/key");
        }
        self
    }

    pub(crate) fn version(self, version: u32) -> Self {
        self.set("/version", json!(version))
    }

    pub(crate) fn working_dir(mut self, path: &str) -> Self {
        self.profile["workingDir"] = json!(path);
        self
    }

    pub(crate) fn limit(self, name: &str, value: u64) -> Self {
        self.set(&format!("/limits/{name}"), json!(value))
    }

    pub(crate) fn volume(self, name: &str, mount_path: &str) -> Self {
        let source = if self.contained { mount_path.to_owned() } else { format!("/ccos/volumes/{name}") };
        let volume = json!([{"source": source, "mountPath": mount_path}]);
        self.set("/volumes", volume)
    }

    pub(crate) fn command(self, command: &[&str]) -> Self {
        self.set("/command", json!(command))
    }

    pub(crate) fn attack(self, attacks: &[&str]) -> Self {
        let command: Vec<_> = ["/app/attack"].iter().chain(attacks).collect();
        self.set("/command", json!(command))
    }

    /// Leaves one mechanism out.
    pub(crate) fn sabotage(mut self, mechanism: &str) -> Self {
        self.environment.push(format!("CCOS_SABOTAGE={mechanism}"));
        self
    }

    /// Leaves the proof out.
    pub(crate) fn unproven(mut self) -> Self {
        self.environment.push("CCOS_SABOTAGE_PROOF=off".to_owned());
        self
    }

    /// The pod has a network, with a route to everywhere that leads to nobody.
    pub(crate) fn networked(mut self) -> Self {
        self.networked = true;
        self
    }

    /// The image is Debian's: the machine's own `/usr`, with the links of a merged root.
    pub(crate) fn debian(mut self) -> Self {
        self.debian = true;
        self
    }

    /// The runtime starts this, a path of the image, and there is no runner: what one costs is the difference. It reports
    /// nothing, so its report is made up.
    pub(crate) fn bare(mut self, command: &[&str]) -> Self {
        let root = self.profile["imageRoot"].as_str().unwrap().trim_end_matches('/').to_owned();
        let of = |(at, part): (usize, &&str)| if at == 0 { format!("{root}{part}") } else { (*part).to_owned() };
        self.bare = Some(command.iter().enumerate().map(of).collect());
        self
    }

    fn arguments(&self, runner: &str, digest: &str) -> Vec<String> {
        self.bare.clone().unwrap_or_else(|| vec![runner.to_owned(), digest.to_owned()])
    }

    fn first_report(&self) -> &'static str {
        if self.bare.is_some() { r#"{"version":1,"end":"Completed","proven":[]}"# } else { "" }
    }

    /// SIGTERM, as for a pod that is deleted.
    pub(crate) fn stop_after(mut self, seconds: f64) -> Self {
        self.stop_after = Some(seconds);
        self
    }

    /// The scratch space is larger than the profile says.
    pub(crate) fn oversized(mut self) -> Self {
        self.oversized = 4;
        self
    }

    fn make_network(&mut self) {
        ip(&["netns", "add", &self.name]);
        let inside = |arguments: &[&str]| ip(&[&["-n", &self.name], arguments].concat());
        inside(&["link", "add", "pod0", "type", "veth", "peer", "name", "nobody0"]);
        inside(&["address", "add", "10.255.255.2/24", "dev", "pod0"]);
        inside(&["link", "set", "pod0", "up"]);
        inside(&["link", "set", "nobody0", "up"]);
        if self.has_world() {
            // Elsewhere: gVisor takes every interface of the pod's namespace for itself.
            let world = format!("{}-w", self.name);
            ip(&["netns", "add", &world]);
            inside(&["link", "set", "nobody0", "netns", &world]);
            ip(&["-n", &world, "address", "add", "10.255.255.1/24", "dev", "nobody0"]);
            ip(&["-n", &world, "link", "set", "nobody0", "up"]);
            self.proxy.iter().for_each(|proxy| proxy.start(&world));
            self.visitor.iter_mut().for_each(|visitor| visitor.start(&world));
        }
        inside(&["route", "add", "default", "via", "10.255.255.1"]);
    }

    fn remove_network(&self) {
        ip(&["netns", "delete", &self.name]);
        if self.has_world() {
            ip(&["netns", "delete", &format!("{}-w", self.name)]);
        }
    }

    fn has_world(&self) -> bool {
        self.proxy.is_some() || self.visitor.is_some()
    }

    pub(crate) fn run(mut self) -> Run {
        if self.contained {
            return self.run_contained();
        }
        let folder = std::env::temp_dir().join(&self.name);
        self.write_bundle(&folder);
        self.neighbour.as_ref().inspect(|neighbour| neighbour.listen(&folder.join("volumes/data")));
        if self.networked {
            self.make_network();
        }
        let tool = std::env::var("RUNSC").expect("RUNSC: run this by tests/gvisor.sh");
        let runsc = || {
            let mut command = Command::new(&tool);
            command.arg(format!("--root={}", folder.join("state").display()));
            command.arg(if self.networked { "--network=sandbox" } else { "--network=none" });
            command.args(["--ignore-cgroups", "--platform=systrap"]);
            command.arg(if self.host_sockets { "--host-uds=open" } else { "--host-uds=none" });
            command
        };
        let started = Instant::now();
        let mut run = runsc();
        run.arg("run").arg("--bundle").arg(&folder).arg(&self.name);
        let child = run.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        if let Some(seconds) = self.stop_after {
            std::thread::sleep(Duration::from_secs_f64(seconds));
            assert!(runsc().args(["kill", &self.name, "TERM"]).status().unwrap().success());
        }
        let output = child.wait_with_output().unwrap();
        let seconds = started.elapsed().as_secs_f64();
        if self.networked {
            self.remove_network();
        }
        // runsc leaves its empty network namespace mounted there.
        Command::new("umount").args(["--quiet", "--lazy"]).arg(folder.join("state/null-netns")).status().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let log = fs::read_to_string(folder.join("termination-log")).unwrap();
        let report = serde_json::from_str(&log).unwrap_or_else(|error| panic!("{error} in {log:?}; {stderr}"));
        Run {
            report,
            code: output.status.code().unwrap(),
            stdout: output.stdout,
            stderr,
            seconds,
            folder,
            asked: self.proxy.map(Proxy::asked).unwrap_or_default(),
            visits: self.visitor.map(Visitor::answers).unwrap_or_default(),
        }
    }

    fn write_bundle(&self, folder: &Path) {
        let make = |path: &str| fs::create_dir_all(folder.join(path)).unwrap();
        for path in [
            "rootfs/ccos/image",
            "rootfs/ccos/view",
            "rootfs/ccos/profile",
            "rootfs/ccos/references/0",
            "rootfs/ccos/egress",
            "rootfs/ccos/volumes/data",
            "rootfs/ccos/volumes/config",
            "rootfs/proc",
            "rootfs/dev",
            "rootfs/tmp",
            "profile",
            "state",
        ] {
            make(path);
        }
        fs::copy(env!("CARGO_BIN_EXE_ccos-runner"), folder.join("rootfs/ccos-runner")).unwrap();
        let profile = self.profile.to_string();
        let digest = ccos_profile::digest(profile.as_bytes());
        fs::write(folder.join("profile/profile.json"), profile).unwrap();
        fs::write(folder.join("termination-log"), self.first_report()).unwrap();
        fs::set_permissions(folder.join("termination-log"), fs::Permissions::from_mode(0o666)).unwrap();
        self.fill_image(folder);
        make("egress");
        fs::write(folder.join("egress/token"), "t0ken\n").unwrap();
        make("references/0");
        fs::write(folder.join("references/0/key"), "s3cret\n").unwrap();
        Self::write_volumes(&folder.join("volumes"));
        let mut namespaces = ["pid", "mount", "ipc", "uts", "network"].map(|kind| json!({"type": kind}));
        if self.networked {
            namespaces[4]["path"] = json!(format!("/run/netns/{}", self.name));
        }
        let bind = |to: &str, from: &str, how: &str| json!({"destination": to, "type": "bind", "source": folder.join(from), "options": ["bind", how]});
        let mut config = json!({
            "ociVersion": "1.0.0",
            "process": {
                "user": {"uid": UID, "gid": UID}, "args": self.arguments("/ccos-runner", &digest), "env": self.environment, "cwd": "/",
                "noNewPrivileges": true, "capabilities": {}, "rlimits": rlimits(),
            },
            "root": {"path": "rootfs", "readonly": true},
            "mounts": [
                {"destination": "/proc", "type": "proc"},
                {"destination": "/dev", "type": "tmpfs"},
                bind("/dev/termination-log", "termination-log", "rw"),
                bind("/ccos/profile", "profile", "ro"),
                bind("/ccos/image", "image", "ro"),
                bind("/ccos/references/0", "references/0", "ro"),
                bind("/ccos/egress", "egress", "ro"),
                bind("/ccos/volumes/data", "volumes/data", "rw"),
                bind("/ccos/volumes/config", "volumes/config", "ro"),
            ],
            "linux": {"namespaces": namespaces},
        });
        if self.debian {
            let usr =
                json!({"destination": "/ccos/image/usr", "type": "bind", "source": "/usr", "options": ["bind", "ro"]});
            config["mounts"].as_array_mut().unwrap().push(usr);
        }
        fs::write(folder.join("config.json"), config.to_string()).unwrap();
    }

    fn fill_image(&self, folder: &Path) {
        let make = |path: &str| fs::create_dir_all(folder.join(path)).unwrap();
        if self.debian {
            make("image/usr");
            make("image/etc");
            for name in ["bin", "lib", "lib64"] {
                symlink(format!("usr/{name}"), folder.join("image").join(name)).unwrap();
            }
            fs::copy("/etc/ld.so.cache", folder.join("image/etc/ld.so.cache")).unwrap();
        } else {
            Self::write_image(&folder.join("image"));
        }
        if self.many > 0 {
            make("image/many");
        }
        for number in 0..self.many {
            fs::write(folder.join(format!("image/many/{number}")), number.to_string()).unwrap();
        }
    }

    fn write_image(image: &Path) {
        for path in ["app", "etc", "bin"] {
            fs::create_dir_all(image.join(path)).unwrap();
        }
        // Beside the test's own program: target/…/debug/deps/gvisor-….
        let target = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned();
        for name in ["attack", "other", "third"] {
            fs::copy(target.join("examples/attack"), image.join("app").join(name)).unwrap();
        }
        let tools = std::env::var("CCOS_TOOLS").unwrap_or_default();
        fs::copy(Path::new(&tools).join("rootfs/busybox/bin/busybox"), image.join("bin/busybox")).unwrap();
        symlink("busybox", image.join("bin/sh")).unwrap();
        fs::write(image.join("app/script"), "#!/bin/sh\necho '\"from a script\"'\n").unwrap();
        fs::set_permissions(image.join("app/script"), fs::Permissions::from_mode(0o755)).unwrap();
        for path in ["secret", "etc/shadow", "etc/visible", "etc/private.ini"] {
            fs::write(image.join(path), "image").unwrap();
        }
        symlink("../secret", image.join("etc/alias")).unwrap();
        symlink("/proc/1/root/ccos-runner", image.join("etc/escape")).unwrap();
    }

    fn write_volumes(volumes: &Path) {
        let data = volumes.join("data");
        let atomic = volumes.join("config/..2026_11_24_05_35_26.1");
        for folder in [&data.join("private"), &data.join("nested/secret"), &atomic] {
            fs::create_dir_all(folder).unwrap();
        }
        for (path, text) in
            [("open", "open"), ("file", "file"), ("private/key", "private"), ("nested/secret/key", "nested")]
        {
            fs::write(data.join(path), text).unwrap();
        }
        symlink("private/key", data.join("link")).unwrap();
        for path in ["", "private", "nested", "nested/secret", "open", "file", "private/key"] {
            chown(data.join(path), Some(UID), Some(UID)).unwrap();
        }
        symlink("..2026_11_24_05_35_26.1", volumes.join("config/..data")).unwrap();
        for (name, text) in [("key", "value"), ("other", "other")] {
            fs::write(atomic.join(name), text).unwrap();
            symlink(format!("..data/{name}"), volumes.join("config").join(name)).unwrap();
        }
    }
}

/// As the runtime sets them: more than any profile here, and little enough to be used up.
fn rlimits() -> Value {
    json!([
        {"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 1024},
        {"type": "RLIMIT_NPROC", "soft": 128, "hard": 128},
    ])
}

fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status().unwrap();
    assert!(status.success(), "ip {arguments:?}: {status}");
}
