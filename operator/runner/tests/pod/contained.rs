//! The same pod as a container of the machine's kernel, by runc: the capability's image is its root, the runner a volume
//! of it, and a user namespace stands for `hostUsers: false`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ccos_profile::place;
use serde_json::{Value, json};

use super::proxy::Proxy;
use super::{Pod, Run, UID, ip, rlimits};

/// Where the ids of the container's user namespace begin on the machine.
const FIRST_ID: u32 = 100_000;

/// As a pod has it: see `ccos_profile::place::runner_volume`.
const RUNNER: &str = "/ccos-00112233445566778899aabbccddeeff/deeper/than/any/volume/of/a/context/is";

impl Pod {
    /// A container of the machine's kernel.
    pub(crate) fn contained(name: &str) -> Self {
        let mut pod = Self::new(&format!("contained-{name}"));
        pod.contained = true;
        pod.profile["imageRoot"] = json!("/");
        pod.profile["landlockAbi"] = json!(6);
        pod
    }

    /// With a link of the image where the volume `/data` belongs.
    pub(crate) fn linked(mut self) -> Self {
        self.linked = true;
        self
    }

    /// The profile wants this ABI of Landlock.
    pub(crate) fn landlock(mut self, abi: u32) -> Self {
        self.profile["landlockAbi"] = json!(abi);
        self
    }

    pub(super) fn run_contained(mut self) -> Run {
        let folder = std::env::temp_dir().join(&self.name);
        self.write_contained(&folder);
        self.neighbour.as_ref().inspect(|neighbour| neighbour.listen(&folder.join("volumes/data")));
        let tool = std::env::var("RUNC").expect("RUNC: run this by tests/runc.sh");
        let runc = || {
            let mut command = Command::new(&tool);
            command.arg("--root").arg(folder.join("state"));
            command
        };
        if self.proxy.is_some() {
            self.make_shared_network();
        } else if self.networked {
            ip(&["netns", "add", &self.name]);
            ip(&["-n", &self.name, "link", "set", "lo", "up"]);
        }
        let started = Instant::now();
        let mut run = runc();
        run.arg("run").arg("--bundle").arg(&folder).arg(&self.name);
        let child = run.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        if let Some(seconds) = self.stop_after {
            std::thread::sleep(Duration::from_secs_f64(seconds));
            assert!(runc().args(["kill", &self.name, "TERM"]).status().unwrap().success());
        }
        let output = child.wait_with_output().unwrap();
        let seconds = started.elapsed().as_secs_f64();
        if self.networked {
            self.remove_network();
        }
        assert!(Command::new("umount").arg(folder.join("scratch")).status().unwrap().success());
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let log = fs::read_to_string(folder.join("termination-log")).unwrap();
        let report = serde_json::from_str(&log).unwrap_or_else(|error| panic!("{error} in {log:?}; {stderr}"));
        Run {
            report,
            code: output.status.code().unwrap(),
            stdout: output.stdout,
            stderr,
            seconds,
            asked: self.proxy.map(Proxy::asked).unwrap_or_default(),
            visits: Vec::new(),
            folder,
        }
    }

    fn write_contained(&self, folder: &Path) {
        let make = |path: &str| fs::create_dir_all(folder.join(path)).unwrap();
        for path in ["profile", "state", "scratch", "runner", "references/0", "image", "etc", "egress"] {
            make(path);
        }
        fs::copy(env!("CARGO_BIN_EXE_ccos-runner"), folder.join("runner/ccos-runner")).unwrap();
        let profile = self.profile.to_string();
        let digest = ccos_profile::digest(profile.as_bytes());
        fs::write(folder.join("profile/profile.json"), profile).unwrap();
        fs::write(folder.join("etc/passwd"), "ccos:x:1000:1000:ccos:/tmp:/sbin/nologin\n").unwrap();
        fs::write(folder.join("etc/resolv.conf"), "nameserver 127.0.0.53\n").unwrap();
        fs::write(folder.join("egress/token"), "t0ken\n").unwrap();
        fs::write(folder.join("termination-log"), self.first_report()).unwrap();
        fs::set_permissions(folder.join("termination-log"), fs::Permissions::from_mode(0o666)).unwrap();
        fs::write(folder.join("references/0/key"), "s3cret\n").unwrap();
        self.fill_image(folder);
        if self.linked {
            make("image/usr/lib/data");
            symlink("usr/lib/data", folder.join("image/data")).unwrap();
        }
        Self::write_volumes(&folder.join("volumes"));
        for path in ["", "private", "nested", "nested/secret", "open", "file", "private/key"] {
            chown(folder.join("volumes/data").join(path), Some(FIRST_ID + UID), Some(FIRST_ID + UID)).unwrap();
        }

        let scratch = folder.join("scratch");
        let bytes = self.profile["limits"]["diskBytes"].as_u64().unwrap() * self.oversized;
        let options = format!("size={bytes},mode=0755");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&scratch).status();
        assert!(mount.unwrap().success());
        let mut written = vec!["/tmp".to_owned(), "/dev/shm".to_owned()];
        let in_volume = |path: &str| ["/data", "/config"].iter().any(|volume| path.starts_with(volume));
        let listed = self.profile["files"]["write"].as_array().unwrap();
        written.extend(listed.iter().map(|path| path.as_str().unwrap().to_owned()).filter(|path| !in_volume(path)));
        let bind = |to: &str, from: &Path, how: &str| json!({"destination": to, "type": "bind", "source": from, "options": ["bind", how]});
        let of = |path: &str| folder.join(path);
        let mut mounts = vec![
            json!({"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]}),
            json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]}),
            bind("/dev/termination-log", &of("termination-log"), "rw"),
            bind("/ccos/profile", &of("profile"), "ro"),
            bind(RUNNER, &of("runner"), "ro"),
            bind("/ccos/references/0", &of("references/0"), "ro"),
            bind("/ccos/egress", &of("egress"), "ro"),
            bind("/etc/passwd", &of("etc/passwd"), "ro"),
            bind("/etc/resolv.conf", &of("etc/resolv.conf"), "ro"),
            json!({"destination": "/run/ccos", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=1777", "size=3m"]}),
        ];
        for (at, path) in written.iter().enumerate() {
            let part = scratch.join(at.to_string());
            fs::create_dir(&part).unwrap();
            fs::set_permissions(&part, fs::Permissions::from_mode(0o777)).unwrap();
            mounts.push(bind(path, &part, "rw"));
        }
        for volume in self.profile["volumes"].as_array().unwrap() {
            let at = volume["mountPath"].as_str().unwrap();
            let how = if listed.iter().any(|path| path.as_str().unwrap().starts_with(at)) { "rw" } else { "ro" };
            mounts.push(bind(at, &folder.join("volumes").join(at.trim_start_matches('/')), how));
        }
        // The container's root may not create them in a root that it does not own.
        for mount in &mounts {
            let at = folder.join("image").join(mount["destination"].as_str().unwrap().trim_start_matches('/'));
            if mount["source"].as_str().is_some_and(|source| Path::new(source).is_file()) {
                fs::create_dir_all(at.parent().unwrap()).unwrap();
                fs::write(at, "").unwrap();
            } else {
                fs::create_dir_all(at).unwrap();
            }
        }
        if self.debian {
            mounts.push(bind("/usr", Path::new("/usr"), "ro"));
        }
        let mut namespaces = ["pid", "mount", "ipc", "uts", "user", "network"].map(|kind| json!({"type": kind}));
        if self.networked {
            namespaces[5]["path"] = json!(format!("/run/netns/{}", self.name));
        }
        let mut arguments = self.arguments(&format!("{RUNNER}{}", place::RUNNER), &digest);
        if self.behind_a_shell {
            arguments = vec!["/bin/sh".to_owned(), "-c".to_owned(), format!("{}; exit $?", arguments.join(" "))];
        }
        let ids = json!([{"containerID": 0, "hostID": FIRST_ID, "size": 65536}]);
        let config = json!({
            "ociVersion": "1.0.0",
            "process": {
                "user": {"uid": UID, "gid": UID}, "args": arguments, "env": self.environment,
                "cwd": "/", "noNewPrivileges": true, "capabilities": {}, "rlimits": rlimits(),
            },
            "root": {"path": "image", "readonly": true},
            "mounts": mounts,
            "linux": {"namespaces": namespaces, "uidMappings": ids, "gidMappings": ids},
        });
        fs::write(folder.join("config.json"), Value::to_string(&config)).unwrap();
    }
}
