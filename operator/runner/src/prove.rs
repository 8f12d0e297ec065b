//! Proof before code: what must fail is tried, and what was set is read back, by the confined process itself.
//!
//! Reading back what the lock-down just set looks redundant; it is not. A runtime may accept a call and do nothing
//! (gVisor did, more than once), and status lists only what was proven here.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};

use ccos_policy::HostName;
use ccos_profile::mechanism::{self, Mechanism};
use ccos_profile::{ProcessCreation, Proof};
use rustix::io::Errno;
use thiserror::Error;

use crate::kernel::{Attempt, Kernel, Limit, Resource};
use crate::lockdown::Confined;
use crate::path::AbsolutePath;
use crate::relay::dns;
use crate::view::{Mode, Step};

/// Scratch space is a tmpfs, which the kernel rounds up to pages.
const PAGE: u64 = 4096;

/// Created where it must not be, and removed where it was.
const PROBE_FILE: &str = "/.ccos-probe";

/// What is tried.
#[derive(Debug)]
pub struct Probes {
    /// Files outside of the view that are known to exist.
    pub canaries: Vec<AbsolutePath>,
    /// From the profile, those that hold.
    pub blocked: Vec<AbsolutePath>,
    /// What the view was built from.
    pub steps: Vec<Step>,
    /// Addresses that answer, or would, outside.
    pub outside: Vec<SocketAddr>,
    /// What may be connected to, if anything.
    pub outbound: Option<Outbound>,
    /// Shared memory that exists outside.
    pub shared_memory: i32,
    /// A folder of the view that is writable.
    pub scratch: AbsolutePath,
    /// The size of the scratch space, as asked for.
    pub disk_bytes: u64,
    /// As set.
    pub limits: Vec<Limit>,
    /// Whether a child process must be refused.
    pub process_creation: ProcessCreation,
    /// The names that the profile gives, and the runner's own.
    pub granted_names: BTreeSet<String>,
    /// The names that execve(2) will be given.
    pub given_names: BTreeSet<String>,
    /// Where the namespaces are the pod's; otherwise they are its own, with a view.
    pub pod: Option<PodProbes>,
}

/// What of the relay is tried.
#[derive(Debug)]
pub struct Outbound {
    /// A name that may be connected to; `None` where there are only addresses.
    pub named: Option<Named>,
    /// Its address, or one of the addresses, with a port at which nothing may be connected to.
    pub closed: SocketAddr,
}

/// A name that may be connected to.
#[derive(Clone, Debug)]
pub struct Named {
    /// The name.
    pub name: HostName,
    /// What stands for it.
    pub address: Ipv4Addr,
    /// The question for it.
    pub question: Vec<u8>,
}

/// A probe got through, or could not tell. The workload must not start.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ConfinementFailed {
    /// What must fail did not.
    #[error("proof of {field}: {probe}: expected a refusal, but it got through")]
    GotThrough {
        /// What it was to prove.
        field: &'static str,
        /// What was tried.
        probe: String,
    },
    /// It failed in a way that proves nothing.
    #[error("proof of {field}: {probe}: expected a refusal, but found another failure: {errno}")]
    Unclear {
        /// What it was to prove.
        field: &'static str,
        /// What was tried.
        probe: String,
        /// How it failed.
        errno: Errno,
    },
    /// What must succeed, for a refusal beside it to mean something, did not.
    #[error("proof of {field}: {probe}: expected an answer, but found {found}")]
    NoAnswer {
        /// What it was to prove.
        field: &'static str,
        /// What was tried.
        probe: String,
        /// What came of it.
        found: String,
    },
    /// What was read back is not what was set.
    #[error("proof of {field}: {what}: expected {expected}, but found {found}")]
    ReadBack {
        /// What it was to prove.
        field: &'static str,
        /// What was read.
        what: String,
        /// As set.
        expected: String,
        /// As read.
        found: String,
    },
}

/// Confined, and seen to be. The only way to [`crate::workload::execute`].
#[derive(Debug)]
#[must_use]
pub struct Proven {
    proofs: Vec<Proof>,
}

impl Proven {
    /// What was proven, for the report.
    #[must_use]
    pub fn proofs(&self) -> &[Proof] {
        &self.proofs
    }
}

const FILES: &str = mechanism::FILES.field;
const NETWORK: &str = mechanism::NETWORK.field;
const NAMES: &str = mechanism::OUTBOUND.field;
/// In the view.
const INTERFACES: &str = "/proc/net/dev";
const COMMANDS: &str = mechanism::COMMANDS.field;
const PROCESSES: &str = mechanism::PROCESSES.field;
const ENVIRONMENT: &str = mechanism::ENVIRONMENT.field;
const IPC: &str = mechanism::IPC.field;
const DISK: &str = mechanism::DISK.field;
const DESCRIPTORS: &str = mechanism::DESCRIPTORS.field;
const THREADS: &str = mechanism::THREADS.field;
const CPU_TIME: &str = mechanism::CPU_TIME.field;
const WALL_TIME: &str = mechanism::WALL_TIME.field;

/// Tries and reads all of it; stops at the first that fails.
///
/// # Errors
/// [`ConfinementFailed`] with the probe.
pub fn prove(kernel: &mut dyn Kernel, _confined: Confined, probes: &Probes) -> Result<Proven, ConfinementFailed> {
    #[cfg(feature = "sabotage")]
    if crate::kernel::sabotage::is_unproven() {
        return Ok(Proven { proofs: Vec::new() });
    }
    let mut prover = Prover { kernel, proofs: Vec::new(), by_landlock: probes.pod.is_some() };
    if let Some(pod) = &probes.pod {
        prover.pod(probes, pod)?;
        return Ok(Proven { proofs: prover.proofs });
    }
    prover.privileges()?;
    prover.files(probes)?;
    prover.commands(&probes.scratch)?;
    prover.mounts(&probes.steps)?;
    prover.network(&probes.outside)?;
    if let Some(outbound) = &probes.outbound {
        prover.outbound(outbound)?;
    }
    prover.processes(probes.process_creation)?;
    prover.environment(probes)?;
    prover.refused(IPC, &Attempt::SharedMemory(probes.shared_memory))?;
    prover.proven(mechanism::IPC);
    prover.limits(probes)?;
    Ok(Proven { proofs: prover.proofs })
}

struct Prover<'a> {
    kernel: &'a mut dyn Kernel,
    proofs: Vec<Proof>,
    by_landlock: bool,
}

impl Prover<'_> {
    fn proven(&mut self, Mechanism { field, name, by_landlock }: Mechanism) {
        let mechanism = if self.by_landlock { by_landlock } else { name };
        self.proofs.push(Proof { field: field.to_owned(), mechanism: mechanism.to_owned() });
    }

    fn refused(&mut self, field: &'static str, attempt: &Attempt) -> Result<(), ConfinementFailed> {
        let probe = attempt.to_string();
        match self.kernel.attempt(attempt) {
            Ok(()) => Err(ConfinementFailed::GotThrough { field, probe }),
            Err(errno) if attempt.refusals().contains(&errno) => Ok(()),
            Err(errno) => Err(ConfinementFailed::Unclear { field, probe, errno }),
        }
    }

    fn text(&mut self, field: &'static str, path: &str) -> Result<String, ConfinementFailed> {
        let probe = format!("read {path}");
        self.kernel.read(path).map_err(|errno| ConfinementFailed::Unclear { field, probe, errno })
    }

    /// What every other mechanism rests on.
    fn privileges(&mut self) -> Result<(), ConfinementFailed> {
        let status = self.text(FILES, "/proc/self/status")?;
        let none = "0000000000000000";
        let expected = [
            ("CapInh", none),
            ("CapPrm", none),
            ("CapEff", none),
            ("CapBnd", none),
            ("CapAmb", none),
            ("NoNewPrivs", "1"),
            ("Seccomp", "2"),
        ];
        for (name, value) in expected {
            let found =
                status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map_or("nothing", str::trim);
            equal(FILES, name, value, found)?;
        }
        self.refused(FILES, &Attempt::NewUserNamespace)
    }

    fn files(&mut self, probes: &Probes) -> Result<(), ConfinementFailed> {
        for canary in &probes.canaries {
            self.refused(FILES, &Attempt::Open(canary.clone()))?;
            for root in ["/proc/1/root", "/proc/self/root", "/proc/1/cwd"].map(AbsolutePath::literal) {
                self.refused(FILES, &Attempt::Open(canary.at(&root)))?;
            }
        }
        for path in &probes.blocked {
            self.refused(FILES, &Attempt::Open(path.clone()))?;
        }
        for path in ["/proc/1", "/proc/1/fd"].map(AbsolutePath::literal) {
            self.refused(FILES, &Attempt::Open(path))?;
        }
        self.refused(FILES, &Attempt::Create(AbsolutePath::literal(PROBE_FILE)))?;
        self.refused(FILES, &Attempt::Mount(probes.scratch.clone()))
    }

    /// After the attempts, which say more in a message: there is no mount that was not planned, and each has its flags.
    fn mounts(&mut self, steps: &[Step]) -> Result<(), ConfinementFailed> {
        let text = self.text(FILES, "/proc/self/mountinfo")?;
        let (expected, found) = (expected_mounts(steps), mounts(&text));
        for at in expected.keys().chain(found.keys()) {
            let options = |of: &BTreeMap<String, String>| of.get(at).map_or("no mount", String::as_str).to_owned();
            equal(FILES, &format!("mount {at}"), &options(&expected), &options(&found))?;
        }
        self.proven(mechanism::FILES);
        Ok(())
    }

    fn network(&mut self, outside: &[SocketAddr]) -> Result<(), ConfinementFailed> {
        for address in outside {
            self.refused(NETWORK, &Attempt::Connect(*address))?;
            self.refused(NETWORK, &Attempt::Send(*address))?;
        }
        if outside.is_empty() {
            self.interfaces()?;
        }
        self.refused(NETWORK, &Attempt::PacketSocket)?;
        self.proven(mechanism::NETWORK);
        Ok(())
    }

    /// Where every address may be connected to, all of them are the loopback's own, and none shows anything. Then there must be
    /// no other interface.
    fn interfaces(&mut self) -> Result<(), ConfinementFailed> {
        let unclear = |errno| ConfinementFailed::Unclear { field: NETWORK, probe: format!("read {INTERFACES}"), errno };
        let text = self.kernel.read(INTERFACES).map_err(unclear)?;
        let found: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
        equal(NETWORK, "interfaces", "lo", &found.join(" "))
    }

    fn outbound(&mut self, outbound: &Outbound) -> Result<(), ConfinementFailed> {
        self.refused(NAMES, &Attempt::ConnectClosed(outbound.closed))?;
        self.names(outbound.named.as_ref())
    }

    /// Names are answered, by whom they must be: the rest of what the relay does is its own to refuse, and the proxy's.
    fn names(&mut self, named: Option<&Named>) -> Result<(), ConfinementFailed> {
        let Some(Named { name, address, question }) = named else {
            self.proven(mechanism::OUTBOUND);
            return Ok(());
        };
        let probe = format!("ask {} for {name}", dns::SERVER);
        let answer = self.kernel.ask(dns::SERVER, question);
        let answer = answer.map_err(|errno| ConfinementFailed::Unclear { field: NAMES, probe, errno })?;
        let found = dns::address(&answer).map_or("none".to_owned(), |address| address.to_string());
        equal(NAMES, &format!("address of {name}"), &address.to_string(), &found)?;
        self.proven(mechanism::OUTBOUND);
        Ok(())
    }

    fn commands(&mut self, scratch: &AbsolutePath) -> Result<(), ConfinementFailed> {
        let file = AbsolutePath::literal(PROBE_FILE).at(scratch);
        self.refused(COMMANDS, &Attempt::Execute(file.clone()))?;
        self.refused(COMMANDS, &Attempt::MapCode(file))?;
        self.refused(COMMANDS, &Attempt::AnonymousFile)?;
        self.proven(mechanism::COMMANDS);
        Ok(())
    }

    fn processes(&mut self, creation: ProcessCreation) -> Result<(), ConfinementFailed> {
        match creation {
            // Nothing is restricted, so there is nothing to prove.
            ProcessCreation::Allowed => Ok(()),
            ProcessCreation::Denied => {
                self.refused(PROCESSES, &Attempt::Fork)?;
                self.proven(mechanism::PROCESSES);
                Ok(())
            }
        }
    }

    /// Of the runner's own environment (the addresses of every Service, for a start) nothing is handed on.
    fn environment(&mut self, probes: &Probes) -> Result<(), ConfinementFailed> {
        let more: Vec<_> = probes.given_names.difference(&probes.granted_names).cloned().collect();
        equal(ENVIRONMENT, "names beyond the granted ones", "", &more.join(" "))?;
        self.proven(mechanism::ENVIRONMENT);
        Ok(())
    }

    fn limits(&mut self, probes: &Probes) -> Result<(), ConfinementFailed> {
        self.rlimits(probes)?;
        let total = self.scratch(probes)?;
        let expected = probes.disk_bytes.next_multiple_of(PAGE);
        equal(DISK, "scratch space", &expected.to_string(), &total.to_string())?;
        self.proven(mechanism::DISK);
        // The timer kills the init, and with it whatever is in its namespace: this process must be in it.
        self.child_of(1)
    }

    fn child_of(&mut self, init: i32) -> Result<(), ConfinementFailed> {
        let (own, parent) = self.kernel.identity();
        equal(WALL_TIME, "parent process", &init.to_string(), &parent.to_string())?;
        equal(WALL_TIME, "own process is the init", "false", &(own == init).to_string())?;
        self.proven(mechanism::WALL_TIME);
        Ok(())
    }

    /// The size of the scratch space.
    fn scratch(&mut self, probes: &Probes) -> Result<u64, ConfinementFailed> {
        let probe = format!("read space of {}", probes.scratch);
        let space = self.kernel.space(&probes.scratch);
        Ok(space.map_err(|errno| ConfinementFailed::Unclear { field: DISK, probe, errno })?.total)
    }

    fn rlimits(&mut self, probes: &Probes) -> Result<(), ConfinementFailed> {
        for limit in &probes.limits {
            let found = self.kernel.limit(limit.resource);
            let text = |Limit { soft, hard, .. }: &Limit| format!("{soft} {hard}");
            let (field, mechanism) = match limit.resource {
                Resource::FileDescriptors => (DESCRIPTORS, Some(mechanism::DESCRIPTORS)),
                Resource::Processes => (THREADS, Some(mechanism::THREADS)),
                Resource::CpuSeconds => (CPU_TIME, Some(mechanism::CPU_TIME)),
                Resource::FileBytes | Resource::CoreBytes => (DISK, None),
            };
            equal(field, &format!("limit {:?}", limit.resource), &text(limit), &text(&found))?;
            if let Some(mechanism) = mechanism {
                self.proven(mechanism);
            }
        }
        Ok(())
    }
}

fn equal(field: &'static str, what: &str, expected: &str, found: &str) -> Result<(), ConfinementFailed> {
    if expected == found {
        return Ok(());
    }
    let [what, expected, found] = [what, expected, found].map(str::to_owned);
    Err(ConfinementFailed::ReadBack { field, what, expected, found })
}

/// The mounts that the steps make, with the options that matter.
fn expected_mounts(steps: &[Step]) -> BTreeMap<String, String> {
    let options = |mode| match mode {
        Mode::ReadOnly => "ro nosuid nodev noexec",
        Mode::Executable => "ro nosuid nodev",
        Mode::Writable => "rw nosuid nodev noexec",
        Mode::Device => "rw nosuid noexec",
    };
    let mut mounts = BTreeMap::from([("/".to_owned(), options(Mode::ReadOnly).to_owned())]);
    for step in steps {
        let (at, mode) = match step {
            Step::Folder { .. } | Step::Text { .. } | Step::Link { .. } | Step::Provide { .. } => continue,
            Step::Show { at, mode, .. } => (at, *mode),
            Step::Scratch { at, .. } | Step::Processes { at } | Step::Pin { at } => (at, Mode::Writable),
            Step::Cover { at } => (at, Mode::ReadOnly),
        };
        mounts.insert(at.to_string(), options(mode).to_owned());
    }
    mounts
}

/// The mounts of `/proc/PID/mountinfo` (proc(5)): where several lie on each other, the last is what is seen.
pub(crate) fn mounts(text: &str) -> BTreeMap<String, String> {
    let mount = |line: &str| {
        let mut fields = line.split(' ').skip(4);
        let at = unescaped(fields.next()?);
        let found: Vec<_> = fields.next()?.split(',').collect();
        let kept = ["ro", "rw", "nosuid", "nodev", "noexec"].into_iter().filter(|option| found.contains(option));
        Some((at, kept.collect::<Vec<_>>().join(" ")))
    };
    text.lines().filter_map(mount).collect()
}

/// Space, tab, line break and backslash are `\` and three octal digits there.
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .into_iter()
        .fold(text.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

pub mod fence;
mod pod;

pub use pod::{PodProbes, filters};

#[cfg(test)]
mod tests;
