//! PID 1 of an execution's pod: it confines, proves, runs and reports.
//!
//! Three processes. The *runner* stays outside, with the pipes and timers ([`supervise`]). The *init* is the first
//! process of new namespaces: it builds the view and stays to reap, measure and kill ([`init`]). The *workload* starts
//! as the init's child, locks itself down, proves it and becomes the command ([`workload`]). Each has one thread, but for
//! the runner where the workload may connect to something, or others to it: a second and a third are the way out ([`relay`])
//! and the way in ([`inbound`]).
//!
//! Nothing here knows Kubernetes or decides what is granted: a profile comes in, a report goes out
//! ([`ccos_profile`]).

mod canary;
pub mod cpu;
pub mod deliver;
pub mod globs;
pub mod grants;
pub mod inbound;
pub mod init;
mod json;
pub mod kernel;
pub mod linking;
pub mod lockdown;
pub mod memory;
pub mod messages;
pub mod outcome;
pub mod path;
pub mod pipes;
pub mod prepare;
pub mod probe;
pub mod prove;
pub mod relay;
pub mod report;
pub mod request;
pub mod resolve;
pub mod side;
pub mod signals;
pub mod supervise;
pub mod view;
pub mod workload;

use ccos_profile::mechanism;
use ccos_profile::{Delivery, End, Proof, Report, ReportTo, place};
use rustix::io::Errno;
use rustix::process::Pid;

use crate::canary::SharedMemory;
use crate::inbound::{Ports, fence};
use crate::kernel::{Linux, fork, fork_into};
use crate::lockdown::{NAMESPACES, shelter};
use crate::outcome::Granted;
use crate::pipes::Pipes;
use crate::relay::traffic::Traffic;
use crate::side::Side;
use crate::supervise::Supervisor;

/// One attempt, from profile to report. `digest` is the profile's, as the pod's command has it.
#[must_use]
pub fn run(digest: &str) -> Report {
    let (delivery, to) = match attempt(digest) {
        Ok(ended) => ended,
        Err((end, message)) => (report::failed(end, message), None),
    };
    deliver::deliver(delivery, to.as_ref().map(|to| |text: &str, patience| deliver::post(to, text, patience)))
}

fn attempt(digest: &str) -> Result<(Delivery, Option<ReportTo>), (End, String)> {
    let broken = |what: &'static str| move |errno: Errno| (End::InternalError, format!("{what}: {errno}"));
    // Before anything else: a signal that comes early must not be lost.
    let signals = signals::descriptor(&[libc::SIGTERM, libc::SIGINT, libc::SIGCHLD]).map_err(broken("signals"))?;
    let ids = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let request = request::read(place::PROFILE, digest, ids).map_err(|error| (error.end(), chain(&error)))?;
    let pipes = Pipes::new().map_err(broken("pipes"))?;
    // Kept until the end of the attempt: the proof looks for it.
    let _canary = SharedMemory::new().map_err(broken("shared memory"))?;
    let sockets = request.egress.as_ref().map(|_| relay::sockets::pair()).transpose().map_err(broken("sockets"))?;
    let (sockets, hand_out) = sockets.unzip();
    let asking = request.inbound.as_ref().map(|_| inbound::sockets::pair()).transpose();
    let asking = asking.map_err(|error| (End::InternalError, format!("sockets: {error}")))?;
    let (questions, asked) = asking.unzip();
    let plan = prepare::prepare(&request, &pipes, hand_out.as_ref()).map_err(|error| (error.end(), chain(&error)))?;
    let limits = Granted { cpu_time: request.cpu_time, wall_time: request.wall_time, disk_bytes: request.disk_bytes };
    #[cfg(feature = "sabotage")]
    let limits = Granted { wall_time: kernel::sabotage::time("timer", limits.wall_time), ..limits };
    let ports = request.inbound.as_ref().map(|order| {
        // Before there is any code, and before anything listens: see `fence`.
        fence::hold(request.report.as_ref().map(|to| to.address), prepare::outside_address())?;
        Ports::take(order)
    });
    let ports = ports.transpose().map_err(|why| (End::ConfinementFailed, why))?;
    match start(request.landlock_abi.is_some()).map_err(|why| (End::ConfinementFailed, why))? {
        None => init::run(&mut kernel(), plan, &pipes, asked.as_ref()),
        Some(init) => {
            // The init's ends: if it ends without a word, whoever waits for it must see that.
            drop((hand_out, asked));
            let traffic = Traffic::default();
            let relay = request.egress.zip(sockets);
            let relay = relay.map(|(order, from)| relay::start(order, from, traffic.clone())).transpose();
            // With this process, the first of the pod's, the init ends.
            let relay = relay.map_err(|error| (End::InternalError, format!("relay: {error}")))?;
            let inbound = request.inbound.zip(ports).zip(questions);
            let inbound =
                inbound.map(|((order, ports), questions)| inbound::start(order, ports, questions, traffic.clone()));
            let inbound = inbound.transpose().map_err(|error| (End::InternalError, format!("inbound: {error}")))?;
            let Delivery { mut report, result } = Supervisor::new(init, signals, pipes, limits).run();
            // Of code that never started there is nothing to tell.
            let started = report.usage.is_some();
            let is_networked = relay.is_some() || inbound.is_some();
            relay.into_iter().for_each(Side::finish);
            if let Some(inbound) = inbound {
                inbound.finish();
                let proof =
                    Proof { field: mechanism::INBOUND.field.to_owned(), mechanism: mechanism::INBOUND.name.to_owned() };
                // By `fence`, which is where nothing else can be asked.
                report.proven.extend(started.then_some(proof));
            }
            report.network = (is_networked && started).then(|| traffic.now());
            Ok((Delivery { report, result }, request.report))
        }
    }
}

/// The init: in namespaces of its own, or in the pod's.
fn start(in_the_pod: bool) -> Result<Option<Pid>, String> {
    if !in_the_pod {
        return fork_into(namespaces()).map_err(|errno| format!("namespaces: {errno}"));
    }
    // Only process 1 can be stopped by nobody in its namespace, and end all that is in it.
    let own = rustix::process::getpid();
    if own != Pid::INIT {
        return Err(format!("expected to be process 1 of the pod's namespace, but found {own}"));
    }
    shelter(&mut kernel()).map_err(|error| error.to_string())?;
    fork().map_err(|errno| format!("fork: {errno}"))
}

#[cfg(not(feature = "sabotage"))]
fn namespaces() -> i32 {
    NAMESPACES
}

#[cfg(not(feature = "sabotage"))]
fn kernel() -> impl kernel::Kernel {
    Linux::default()
}

#[cfg(feature = "sabotage")]
fn namespaces() -> i32 {
    kernel::sabotage::namespaces(NAMESPACES)
}

#[cfg(feature = "sabotage")]
fn kernel() -> impl kernel::Kernel {
    kernel::sabotage::Sabotaged::new(Linux::default())
}

/// An error with its sources, as one line.
fn chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}
