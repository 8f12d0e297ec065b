//! The proof where the namespaces are the pod's, and Landlock takes the place of the view.

use super::fence::Fenced;
use super::{
    COMMANDS, ConfinementFailed, DISK, FILES, IPC, NAMES, NETWORK, Outbound, PAGE, PROBE_FILE, Probes, Prover, equal,
};
use crate::kernel::Attempt;
use crate::path::AbsolutePath;
use ccos_profile::{mechanism, place};
use std::net::SocketAddr;

/// What of a process of the runner is its own.
const INSIDE: [&str; 6] = ["environ", "mem", "maps", "fd", "root", "cwd"];

/// What only the runner knows.
#[derive(Clone, Copy, Debug)]
pub struct PodProbes {
    /// The process that takes the place of an init.
    pub init: i32,
    /// How many filters there must be: those of the container, and our own.
    pub filters: usize,
    /// Whether scratch space may be written.
    pub is_scratch_writable: bool,
    /// What was seen of the network policy, where the workload may use the pod's network.
    pub fenced: Option<Fenced>,
}

/// How many seccomp filters a process has, by its `/proc/PID/status`.
#[must_use]
pub fn filters(status: &str) -> Option<usize> {
    status.lines().find_map(|line| line.strip_prefix("Seccomp_filters:"))?.trim().parse().ok()
}

impl Prover<'_> {
    pub(super) fn pod(&mut self, probes: &Probes, pod: &PodProbes) -> Result<(), ConfinementFailed> {
        self.privileges()?;
        // The runtime has filters of its own, so that there is one proves nothing.
        let found = filters(&self.text(FILES, "/proc/self/status")?).unwrap_or_default();
        equal(FILES, "Seccomp_filters", &pod.filters.to_string(), &found.to_string())?;
        self.files_by_landlock(probes, pod)?;
        self.proven(mechanism::FILES);
        // Where scratch space is not writable, the file can't even be made.
        self.refused(COMMANDS, &Attempt::Execute(AbsolutePath::literal(PROBE_FILE).at(&probes.scratch)))?;
        self.refused(COMMANDS, &Attempt::AnonymousFile)?;
        self.proven(mechanism::COMMANDS);
        match &probes.outbound {
            None => self.network(&probes.outside)?,
            Some(outbound) => self.relayed(&probes.outside, outbound, pod.fenced)?,
        }
        self.processes(probes.process_creation)?;
        self.environment(probes)?;
        for attempt in [
            Attempt::SharedMemory(probes.shared_memory),
            Attempt::MessageQueue,
            Attempt::Signal(1),
            Attempt::Signal(pod.init),
        ] {
            self.refused(IPC, &attempt)?;
        }
        self.proven(mechanism::IPC);
        self.rlimits(probes)?;
        // A kubelet makes it smaller than it was asked for where the pod has less memory.
        let (most, total) = (probes.disk_bytes.next_multiple_of(PAGE), self.scratch(probes)?);
        equal(DISK, "scratch space is at most what is granted", "true", &(1..=most).contains(&total).to_string())?;
        self.proven(mechanism::DISK);
        self.child_of(pod.init)
    }

    /// The workload has the pod's network, and of that TCP to ports that are granted. That those lead nowhere but to the relay is the
    /// network policy's: it was seen to hold.
    fn relayed(
        &mut self,
        outside: &[SocketAddr],
        Outbound { named, closed }: &Outbound,
        fenced: Option<Fenced>,
    ) -> Result<(), ConfinementFailed> {
        equal(NAMES, "the network policy is in force", "true", &fenced.is_some().to_string())?;
        for address in outside.iter().map(|address| SocketAddr::new(address.ip(), closed.port())).chain([*closed]) {
            self.refused(NETWORK, &Attempt::ConnectHere(address))?;
        }
        for attempt in [
            Attempt::FastOpen(*closed),
            Attempt::BindHere,
            Attempt::Listen,
            Attempt::MultipathSocket,
            Attempt::RawSocket,
            Attempt::PacketSocket,
        ] {
            self.refused(NETWORK, &attempt)?;
        }
        self.proven(mechanism::NETWORK);
        self.names(named.as_ref())
    }

    fn files_by_landlock(&mut self, probes: &Probes, pod: &PodProbes) -> Result<(), ConfinementFailed> {
        let runner = [1, pod.init].map(|process| format!("/proc/{process}"));
        let roots = runner.iter().flat_map(|of| [format!("{of}/root"), format!("{of}/cwd")]);
        let roots: Vec<_> = roots.chain(["/proc/self/root".to_owned()]).collect();
        for canary in &probes.canaries {
            self.refused(FILES, &Attempt::Open(canary.clone()))?;
            for root in roots.iter().filter_map(|root| AbsolutePath::parse(root).ok()) {
                self.refused(FILES, &Attempt::Open(canary.at(&root)))?;
            }
        }
        for path in &probes.blocked {
            self.refused(FILES, &Attempt::Open(path.clone()))?;
        }
        for of in &runner {
            for path in INSIDE.into_iter().filter_map(|name| AbsolutePath::parse(&format!("{of}/{name}")).ok()) {
                self.refused(FILES, &Attempt::Open(path))?;
            }
            // Of a process that can't be dumped, they are root's.
            let file = format!("{of}/environ");
            let owner = self.kernel.owner(&file);
            let probe = format!("read owner of {file}");
            let owner = owner.map_err(|errno| ConfinementFailed::Unclear { field: FILES, probe, errno })?;
            equal(FILES, &format!("owner of {file}"), "0", &owner.to_string())?;
        }
        let unwritable = ["/", place::RUN].map(AbsolutePath::literal).into_iter();
        let scratch = (!pod.is_scratch_writable).then(|| probes.scratch.clone());
        for folder in unwritable.chain(scratch) {
            self.refused(FILES, &Attempt::Create(AbsolutePath::literal(PROBE_FILE).at(&folder)))?;
        }
        self.refused(FILES, &Attempt::Mount(probes.scratch.clone()))
    }
}
