//! A kernel with one mechanism left out, named by `CCOS_SABOTAGE`, so that a test can see an attack on it succeed and
//! the proof fail. `CCOS_SABOTAGE_PROOF=off` leaves the proof out as well, so that the attack gets to run.
//!
//! Only with the feature `sabotage`, which no image has.

use std::net::SocketAddr;
use std::time::Duration;

use rustix::io::Errno;
use rustix::mount::MountFlags;

use super::{Attempt, Call, Kernel, Limit, Resource, Space};
use crate::path::AbsolutePath;
use crate::view::{Mode, Step};

/// The kernel with a hole.
#[derive(Debug)]
pub struct Sabotaged<K> {
    kernel: K,
    without: String,
}

/// Whether the proof is left out too.
#[must_use]
pub fn is_unproven() -> bool {
    std::env::var("CCOS_SABOTAGE_PROOF").is_ok_and(|value| value == "off")
}

/// Whether this mechanism, which is none of the kernel's, is left out.
#[must_use]
pub fn is_without(mechanism: &str) -> bool {
    std::env::var("CCOS_SABOTAGE").is_ok_and(|without| without == mechanism)
}

/// The namespaces but one.
#[must_use]
pub fn namespaces(all: i32) -> i32 {
    match std::env::var("CCOS_SABOTAGE").as_deref() {
        Ok("network") => all & !libc::CLONE_NEWNET,
        Ok("ipc") => all & !libc::CLONE_NEWIPC,
        Ok("pid") => all & !libc::CLONE_NEWPID,
        Ok(_) | Err(_) => all,
    }
}

/// A bound that is never reached, without its mechanism.
#[must_use]
pub fn time(mechanism: &str, bound: Duration) -> Duration {
    if is_without(mechanism) { Duration::from_hours(1) } else { bound }
}

/// With all of the runner's own, without its mechanism.
#[must_use]
pub fn environment(mut texts: Vec<(String, String)>) -> Vec<(String, String)> {
    if is_without("environment") {
        texts.extend(std::env::vars().filter(|(name, _)| name != "PATH"));
    }
    texts
}

impl<K: Kernel> Sabotaged<K> {
    /// As the environment says.
    pub fn new(kernel: K) -> Self {
        Self { kernel, without: std::env::var("CCOS_SABOTAGE").unwrap_or_default() }
    }

    fn changed(&self, call: &Call) -> Option<Call> {
        match (self.without.as_str(), call) {
            // gVisor can't bring the pod's own loopback up, which would end this before the proof.
            ("network", Call::LoopbackUp)
            | ("seal", Call::SealRoot)
            | ("limits", Call::Limit(_))
            | ("descriptors", Call::Limit(Limit { resource: Resource::FileDescriptors, .. }))
            | ("threads", Call::Limit(Limit { resource: Resource::Processes, .. }))
            | ("cpu-time", Call::Limit(Limit { resource: Resource::CpuSeconds, .. }))
            | ("capabilities", Call::DropCapabilities | Call::DropBounding | Call::ClearAmbient)
            | ("filters", Call::Filter { .. })
            | ("init" | "hide", Call::Hide)
            | ("landlock", Call::Handle | Call::Allow(_) | Call::AllowConnect(_) | Call::Restrict)
            | ("pin", Call::Build(Step::Pin { .. })) => None,
            ("blocked", Call::Build(Step::Cover { at })) if at.as_str() != "/proc/1" => None,
            ("init", Call::Build(Step::Cover { at })) if at.as_str() == "/proc/1" => None,
            ("read-only", Call::Build(Step::Show { source, at, mode: Mode::ReadOnly })) => {
                Some(Call::Build(Step::Show { source: source.clone(), at: at.clone(), mode: Mode::Writable }))
            }
            ("scratch-size", Call::MountScratch { bytes }) => Some(Call::MountScratch { bytes: bytes * 64 }),
            _ => Some(call.clone()),
        }
    }
}

impl<K: Kernel> Kernel for Sabotaged<K> {
    fn call(&mut self, call: &Call) -> Result<(), Errno> {
        self.changed(call).map_or(Ok(()), |call| self.kernel.call(&call))?;
        match (self.without.as_str(), call) {
            // No mode says writable and executable, so this takes a mount of its own.
            ("noexec", Call::SealRoot) => {
                rustix::mount::mount_remount("/tmp", MountFlags::BIND | MountFlags::NOSUID, c"")
            }
            ("old-root", Call::HideScratchRoot) => {
                let at = AbsolutePath::literal("/ccos/profile");
                let source = crate::view::Source { root: "/".to_owned(), path: at.clone() };
                // Before the root goes: HideScratchRoot is the last call with both.
                self.kernel.call(&Call::Build(Step::Show { source, at, mode: Mode::ReadOnly }))
            }
            _ => Ok(()),
        }
    }

    fn attempt(&mut self, attempt: &Attempt) -> Result<(), Errno> {
        self.kernel.attempt(attempt)
    }

    fn ask(&mut self, server: SocketAddr, question: &[u8]) -> Result<Vec<u8>, Errno> {
        self.kernel.ask(server, question)
    }

    fn read(&mut self, path: &str) -> Result<String, Errno> {
        self.kernel.read(path)
    }

    fn limit(&mut self, resource: Resource) -> Limit {
        self.kernel.limit(resource)
    }

    fn space(&mut self, at: &AbsolutePath) -> Result<Space, Errno> {
        self.kernel.space(at)
    }

    fn owner(&mut self, path: &str) -> Result<u32, Errno> {
        self.kernel.owner(path)
    }

    fn identity(&mut self) -> (i32, i32) {
        self.kernel.identity()
    }
}
