//! From the request to what the inside needs, while everything can still be seen.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use ccos_profile::{End, ProcessCreation, place};
use thiserror::Error;

use crate::canary::SharedMemory;
use crate::globs::{ExpandError, expand};
use crate::grants::{Grant, GrantError, Grants, grants, in_place};
use crate::init::Plan;
use crate::kernel::{Kernel, Linux, landlock_abi};
use crate::lockdown::syscalls::{self, FilterError, Namespaces};
use crate::lockdown::{Beside, Confinement, Inside, Isolation, limits};
use crate::path::AbsolutePath;
use crate::pipes::Pipes;
use crate::prove::{Named, Outbound, PodProbes, Probes, filters, mounts};
use crate::relay::{self, blocks, dns};
use crate::request::{RESULT_VARIABLE, Request};
use crate::resolve::{Kind, Resolved, TooManyLinks, Tree, resolve};
use crate::view::plan::{PlanError, plan};
use crate::view::rules::{INPUT_FILE, Rules, SHARED_SCRATCH};
use crate::view::{Outside, OutsideError, Step};
use crate::workload::Command;
use std::os::fd::{AsRawFd, OwnedFd};

/// `#!`, a path and one argument: what Linux reads of a script (execve(2)).
const SCRIPT_HEAD_BYTES: usize = 256;

/// Where its pod has this program: only the pod knows.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// A network address that belongs to nobody (RFC 5737), where there is no API server to be refused.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 443);

/// More of them, where others may be connected to.
const ELSEWHERE: [SocketAddr; 3] = [
    NOWHERE,
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), 443),
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)), 443),
];

/// Why there is nothing to run.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum PrepareError {
    #[error(transparent)]
    Outside(#[from] OutsideError),
    #[error(transparent)]
    Links(#[from] TooManyLinks),
    #[error(transparent)]
    Expand(#[from] ExpandError),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Grant(#[from] GrantError),
    #[error(transparent)]
    Filter(#[from] FilterError),
    #[error(
        "landlockAbi: expected at least {expected}, as the profile of the cluster says, but found {found} on this node"
    )]
    Landlock { expected: u32, found: String },
    #[error("/proc/self/mountinfo: expected where there are mounts, but found none")]
    Mounts,
    #[error("/proc/self/status: expected the number of seccomp filters, but found none")]
    Filters,
    #[error("command {program}: expected a file in the image, but found {found}")]
    Command { program: AbsolutePath, found: String },
    #[error("command {program}: expected an executable file, but found one without permission to execute")]
    NotExecutable { program: AbsolutePath },
    #[error("command {program}: expected its interpreter {interpreter} to be granted; list it in `commands` too")]
    Interpreter { program: AbsolutePath, interpreter: String },
    #[error("command {program}: expected a file, but found a folder; write \"{program}/**\" for all below it")]
    Folder { program: AbsolutePath },
    #[error("egress: expected something that may be connected to, but all of it is blocked, or this host's own")]
    NoName,
    #[error("canary {path}: expected a file to keep out of reach, but found none, so nothing could be proven")]
    Canary { path: &'static str },
}

impl PrepareError {
    /// Why, for machines: a command that can't start is no failure of the confinement.
    #[must_use]
    pub const fn end(&self) -> End {
        match self {
            Self::Outside(_)
            | Self::Links(_)
            | Self::Expand(_)
            | Self::Plan(_)
            | Self::Grant(_)
            | Self::Filter(_)
            | Self::Landlock { .. }
            | Self::Filters
            | Self::Mounts
            | Self::Folder { .. }
            | Self::NoName
            | Self::Canary { .. } => End::ConfinementFailed,
            // As shells say it: 127 for what is not there.
            Self::Command { .. } | Self::NotExecutable { .. } | Self::Interpreter { .. } => End::NonZeroExit,
        }
    }
}

/// Looks at the image and the volumes, and plans all that the inside will do.
///
/// # Errors
/// [`PrepareError`], before anything was changed.
pub fn prepare(request: &Request, pipes: &Pipes, hand_out: Option<&OwnedFd>) -> Result<Plan, PrepareError> {
    let outside = Outside::open(request)?;
    let request = &expand(request, &outside)?;
    let command = find_command(request, &outside)?;
    check_programs(&request.programs, &outside)?;
    let rules = Rules::new(request, &command, &outside)?;
    check_interpreter(&command.end, &rules, &outside)?;
    let confined = match request.landlock_abi {
        None => by_view(request, hand_out, &rules, &outside)?,
        Some(abi) => by_landlock(request, (abi, hand_out), &command, &rules, &outside)?,
    };
    let mut environment = request.environment.clone();
    if !confined.is_scratch_writable {
        // A result goes to standard output then.
        environment.remove(RESULT_VARIABLE);
    }
    let texts: Vec<_> = environment.iter().map(|(name, text)| (name.clone(), text.clone())).collect();
    #[cfg(feature = "sabotage")]
    let texts = crate::kernel::sabotage::environment(texts);
    let no_text = || PrepareError::Command { program: request.program.clone(), found: "NUL".to_owned() };
    // By its listed name: programs look at argv[0] and at the name that they were found by.
    let started = Command::new(request.program.as_str(), &request.arguments, &texts).ok_or_else(no_text)?;
    let limits = limits(request);
    Ok(Plan {
        probes: Probes {
            canaries: canaries()?,
            blocked: confined.blocked,
            steps: confined.steps,
            pod: confined.pod,
            outside: outside_addresses(request.egress.as_ref()),
            outbound: request.egress.as_ref().map(outbound).transpose()?,
            shared_memory: SharedMemory::KEY,
            scratch: AbsolutePath::literal(SHARED_SCRATCH[0]),
            disk_bytes: request.disk_bytes,
            limits: limits.clone(),
            process_creation: request.process_creation,
            granted_names: environment.keys().cloned().collect(),
            given_names: started.names().collect::<BTreeSet<_>>(),
        },
        isolation: confined.isolation,
        confinement: Confinement {
            input: AbsolutePath::literal(INPUT_FILE),
            outputs: (pipes.output.1.as_raw_fd(), pipes.error.1.as_raw_fd()),
            setup: pipes.setup.1.as_raw_fd(),
            limits,
            working_dir: request.working_dir.clone(),
            landlock: confined.landlock,
            connects: confined.connects,
            filters: syscalls::compile(filtered(request.process_creation), confined.namespaces)?,
        },
        command: started,
        #[cfg(not(feature = "sabotage"))]
        cpu_time: request.cpu_time,
        #[cfg(feature = "sabotage")]
        cpu_time: crate::kernel::sabotage::time("cpu-time", request.cpu_time),
        cpu_millis: request.cpu_millis,
    })
}

#[cfg(not(feature = "sabotage"))]
const fn filtered(creation: ProcessCreation) -> ProcessCreation {
    creation
}

#[cfg(feature = "sabotage")]
fn filtered(creation: ProcessCreation) -> ProcessCreation {
    if crate::kernel::sabotage::is_without("processes") { ProcessCreation::Allowed } else { creation }
}

/// What depends on the kind of confinement.
struct Confined {
    isolation: Isolation,
    namespaces: Namespaces,
    landlock: Option<Vec<Grant>>,
    connects: Vec<u16>,
    blocked: Vec<AbsolutePath>,
    steps: Vec<Step>,
    pod: Option<PodProbes>,
    is_scratch_writable: bool,
}

fn by_view(
    request: &Request,
    hand_out: Option<&OwnedFd>,
    rules: &Rules,
    outside: &Outside,
) -> Result<Confined, PrepareError> {
    let steps = plan(rules, outside)?;
    let Request { uid, gid, disk_bytes, .. } = *request;
    let relay = request.egress.as_ref().zip(hand_out).map(|(order, to)| Inside {
        addresses: blocks::addresses(order.names.blocks()),
        ports: order.ports.clone(),
        to: to.as_raw_fd(),
    });
    Ok(Confined {
        isolation: Isolation::View { uid, gid, disk_bytes, relay, steps: steps.clone() },
        namespaces: Namespaces::Own,
        landlock: None,
        connects: Vec::new(),
        blocked: rules.out_of_reach().cloned().collect(),
        steps,
        pod: None,
        is_scratch_writable: true,
    })
}

fn by_landlock(
    request: &Request,
    (abi, hand_out): (u32, Option<&OwnedFd>),
    command: &Resolved,
    rules: &Rules,
    outside: &Outside,
) -> Result<Confined, PrepareError> {
    let found = landlock_abi();
    if found.is_ok_and(|found| found < abi) || found.is_err() {
        let found = found.map_or_else(|errno| errno.to_string(), |found| found.to_string());
        return Err(PrepareError::Landlock { expected: abi, found });
    }
    let mounted = Linux::default().read("/proc/self/mountinfo").map_err(|_| PrepareError::Mounts)?;
    let placed = in_place(request, &own_program()?.parent(), outside, &mounts(&mounted).into_keys().collect());
    #[cfg(feature = "sabotage")]
    let placed = if crate::kernel::sabotage::is_without("places") { Ok(()) } else { placed };
    placed?;
    let Grants { grants, blocked, is_scratch_writable } = grants(request, command, rules, outside)?;
    let filters = Linux::default().read("/proc/self/status").ok().and_then(|text| filters(&text));
    let relay = request.egress.as_ref().zip(hand_out).map(|(order, to)| Beside {
        ports: order.ports.clone(),
        to: to.as_raw_fd(),
        proxy: order.proxy,
    });
    // Names are asked for by TCP, too, where an answer is long.
    let ports = request.egress.iter().flat_map(|order| &order.ports).copied().chain([dns::SERVER.port()]);
    let connects = if relay.is_some() { ports.collect::<BTreeSet<_>>() } else { BTreeSet::new() };
    Ok(Confined {
        isolation: Isolation::Pod { input: AbsolutePath::literal(INPUT_FILE), text: request.input.clone(), relay },
        namespaces: Namespaces::Pod { connects: !connects.is_empty() },
        landlock: Some(grants),
        connects: connects.into_iter().collect(),
        blocked,
        steps: Vec::new(),
        // The init adds what is not known yet.
        pod: Some(PodProbes {
            init: 0,
            filters: filters.ok_or(PrepareError::Filters)?,
            is_scratch_writable,
            fenced: None,
        }),
        is_scratch_writable,
    })
}

fn find_command(request: &Request, outside: &Outside) -> Result<Resolved, PrepareError> {
    let program = request.program.clone();
    let found = resolve(outside, &program)?;
    let wrong = |found: &str| Err(PrepareError::Command { program: program.clone(), found: found.to_owned() });
    let crosses = |path: &AbsolutePath| request.volumes.iter().any(|volume| path.is_within(&volume.mount_path));
    match found.kind {
        Kind::Missing => wrong("nothing there"),
        Kind::Folder => wrong("a folder"),
        Kind::Link | Kind::Other => wrong("a device, socket or pipe"),
        Kind::File if found.links.iter().any(|(at, _)| crosses(at)) => wrong("a symbolic link in a volume"),
        Kind::File if !found.links.is_empty() && crosses(&found.end) => wrong("a symbolic link into a volume"),
        Kind::File if !outside.is_executable(&found.end) => Err(PrepareError::NotExecutable { program }),
        Kind::File => Ok(found),
    }
}

/// A program is a file: as a folder it would be a grant of all below it, which nobody gave.
fn check_programs(programs: &[AbsolutePath], tree: &dyn Tree) -> Result<(), PrepareError> {
    for program in programs {
        if tree.kind(program) == Kind::Folder || resolve(tree, program)?.kind == Kind::Folder {
            return Err(PrepareError::Folder { program: program.clone() });
        }
    }
    Ok(())
}

/// Found here for its message: execve(2) says `ENOENT` as if the script were missing.
fn check_interpreter(script: &AbsolutePath, rules: &Rules, outside: &Outside) -> Result<(), PrepareError> {
    let head = outside.head(script, SCRIPT_HEAD_BYTES);
    let Some(line) = head.strip_prefix(b"#!").and_then(|rest| rest.split(|byte| *byte == b'\n').next()) else {
        return Ok(());
    };
    let text = String::from_utf8_lossy(line);
    let interpreter = text.split_whitespace().next().unwrap_or_default();
    let executable = match AbsolutePath::parse(interpreter) {
        Ok(path) => rules.is_executable(&resolve(outside, &path)?.end),
        Err(_) => false,
    };
    let interpreter = interpreter.to_owned();
    if executable { Ok(()) } else { Err(PrepareError::Interpreter { program: script.clone(), interpreter }) }
}

/// Files that are certainly there, outside. The first two are always: without them the proof would prove nothing.
fn canaries() -> Result<Vec<AbsolutePath>, PrepareError> {
    let runner = own_program()?;
    let must = [(place::PROFILE, place::PROFILE), (OWN_PROGRAM, runner.as_str())];
    if let Some((path, _)) = must.into_iter().find(|(_, at)| !Path::new(at).exists()) {
        return Err(PrepareError::Canary { path });
    }
    let may = [
        place::TERMINATION_LOG,
        place::IMAGE,
        place::VOLUMES,
        place::REFERENCES,
        place::REPORT_TOKEN,
        place::EGRESS_TOKEN,
        "/var/run/secrets/kubernetes.io/serviceaccount/token",
    ];
    let all = [place::PROFILE].into_iter().chain(may.into_iter().filter(|path| Path::new(path).exists()));
    Ok(all.map(AbsolutePath::literal).chain([runner]).collect())
}

/// The path of this program.
fn own_program() -> Result<AbsolutePath, PrepareError> {
    let path = std::env::current_exe().ok().and_then(|path| path.into_os_string().into_string().ok());
    path.and_then(|path| AbsolutePath::parse(&path).ok()).ok_or(PrepareError::Canary { path: OWN_PROGRAM })
}

/// What the proof asks the relay for: one name, if there is one, and a port that nobody may connect to.
fn outbound(order: &relay::Order) -> Result<Outbound, PrepareError> {
    let mut names = order.names.clone();
    let asked = match names.sample() {
        Some((name, address)) => {
            let question = dns::question(&name).ok_or(PrepareError::NoName)?;
            Some(Named { name, address, question })
        }
        None => None,
    };
    let of_block = || blocks::addresses(names.blocks()).first().map(|first| first.address);
    let address = asked.as_ref().map(|named| named.address).or_else(of_block).ok_or(PrepareError::NoName)?;
    let granted = |port: &u16| order.ports.contains(port) || *port == dns::SERVER.port();
    let closed = (1..=u16::MAX).rev().find(|port| !granted(port)).unwrap_or(u16::MAX);
    Ok(Outbound { named: asked, closed: SocketAddr::from((address, closed)) })
}

/// What must be out of reach. An address that may be connected to is the loopback's own, and shows nothing.
fn outside_addresses(order: Option<&relay::Order>) -> Vec<SocketAddr> {
    let blocks = order.map_or(&[][..], |order| order.names.blocks());
    let all = [outside_address()].into_iter().chain(order.map(|order| order.proxy)).chain(ELSEWHERE);
    let apart: Vec<SocketAddr> = all.filter(|address| !blocks::holds(blocks, address.ip())).collect();
    // The API server's and the proxy's, or one of elsewhere.
    apart.into_iter().take(if order.is_some() { 2 } else { 1 }).collect()
}

/// The API server's, where there is one.
pub(crate) fn outside_address() -> SocketAddr {
    let host = std::env::var("KUBERNETES_SERVICE_HOST").ok().and_then(|host| host.parse().ok());
    let port = std::env::var("KUBERNETES_SERVICE_PORT").ok().and_then(|port| port.parse().ok());
    host.map_or(NOWHERE, |host| SocketAddr::new(host, port.unwrap_or(443)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::tests::Written;

    #[test]
    fn a_program_that_is_a_folder_is_refused_also_behind_a_link() {
        let tree = Written::new(&["*/app/run", "/bin -> usr/bin", "*/usr/bin/sh", "/way -> app", "/usr/bin/ash -> sh"]);
        let check = |program: &str| check_programs(&[AbsolutePath::parse(program).unwrap()], &tree);
        for program in ["/app/run", "/bin/sh", "/bin/ash", "/app/none"] {
            check(program).unwrap();
        }
        for program in ["/app", "/bin", "/way", "/"] {
            let error = check(program).unwrap_err();
            assert_eq!(error.end(), End::ConfinementFailed, "{program}");
            assert!(error.to_string().ends_with(&format!("write \"{program}/**\" for all below it")), "{error}");
        }
    }
}
