//! The replicas of this proxy among themselves: at most one gives out seats of an execution, and knows what the others have.
//!
//! Which one that should be is told by [`roster::Roster::owner`]; replicas may differ in that for a moment, and nothing depends
//! on it. What counts is the *claim*: before a replica opens a connection of an execution, each other replica that could have
//! connections of it has promised to open no more, and said how many it has ([`crate::count::Seats`]).
//!
//! A replica that does not answer is waited for, until it is proved to have ended, or has had to cut what it had: each cuts all
//! that it has when it was not sure of its place for the time of a lease. It is sure by the API server, which has its pod as
//! ready (or as one that is being ended), or, while that does not answer, by all other replicas together.

pub mod link;
mod listed;
pub mod roster;
pub mod words;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{interval, sleep, timeout};
use tracing::{info, warn};

use crate::identify::Execution;
use crate::pin::{NotHere, Pin};
pub use listed::watch as watch_list;
use roster::{Roster, Seen, Times};

/// Between two tries of a claim.
const AGAIN: Duration = Duration::from_millis(50);

/// What the fleet has to be told by others.
pub trait Replicas: Send + Sync + 'static {
    /// The running execution of this pod.
    fn running(&self, uid: &str) -> Option<Arc<Execution>>;
    /// All running executions.
    fn all(&self) -> Vec<Arc<Execution>>;
    /// Whether it can be told who runs.
    fn is_fresh(&self) -> bool;
    /// The token that shows other replicas who this one is.
    /// # Errors
    /// If it can't be read.
    fn token(&self) -> std::io::Result<String>;
    /// The UID of the replica's pod whose token this is.
    fn whose(&self, token: &str) -> impl Future<Output = Option<String>> + Send;
}

/// Where replicas listen; the same of all of them.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// For executions.
    pub proxy: u16,
    /// For other replicas.
    pub links: u16,
}

/// An answer to a claim.
#[derive(Clone, Copy)]
pub(crate) struct Given {
    number: u64,
    open: u32,
}

/// This replica among the others.
pub struct Fleet<R> {
    pub(crate) replicas: R,
    pub(crate) times: Times,
    pub(crate) incarnation: String,
    pub(crate) ports: Ports,
    uid: String,
    started: Instant,
    drains: Arc<AtomicBool>,
    roster: Mutex<Roster>,
    /// By the UID of the other replica: executions to claim over the link to it.
    links: Mutex<HashMap<String, mpsc::Sender<(String, u64)>>>,
    keepers: Mutex<HashMap<String, JoinHandle<()>>>,
    /// Claims that wait for an answer.
    waiting: Mutex<HashMap<u64, oneshot::Sender<u32>>>,
    numbers: AtomicU64,
    /// When the API server last had this replica as a member.
    listed: Mutex<Option<Instant>>,
    /// Goes up when all connections have to end.
    cut: watch::Sender<u64>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<R: Replicas> Fleet<R> {
    /// A replica whose pod has this UID. `incarnation` is of its process, and never comes again.
    pub fn new(
        replicas: R,
        uid: String,
        incarnation: String,
        ports: Ports,
        times: Times,
        drains: Arc<AtomicBool>,
    ) -> Self {
        Self {
            replicas,
            times,
            incarnation,
            ports,
            uid,
            started: Instant::now(),
            drains,
            roster: Mutex::default(),
            links: Mutex::default(),
            keepers: Mutex::default(),
            waiting: Mutex::default(),
            numbers: AtomicU64::new(1),
            listed: Mutex::default(),
            cut: watch::Sender::new(0),
        }
    }

    /// What the API server has, as it was asked for at this time.
    pub fn seen(self: &Arc<Self>, mut seen: Vec<Seen>, asked: Instant) {
        let me = seen.iter().position(|one| one.uid == self.uid).map(|at| seen.swap_remove(at));
        if me.is_some_and(|me| me.ready || me.ends_within.is_some()) {
            *lock(&self.listed) = Some(asked);
        }
        lock(&self.roster).listed(&seen, Instant::now());
        self.sweep();
        let known = lock(&self.roster).all();
        let mut keepers = lock(&self.keepers);
        keepers.retain(|_, keeper| !keeper.is_finished());
        for uid in known {
            keepers.entry(uid.clone()).or_insert_with(|| tokio::spawn(link::keep(Arc::clone(self), uid)));
        }
    }

    /// Cuts what is open when this replica can't be sure of its place any more. Never ends.
    pub async fn guard(&self) {
        let mut ticks = interval(self.times.beat.min(Duration::from_millis(100)));
        let mut was_sure = false;
        loop {
            ticks.tick().await;
            let is_sure = self.is_sure();
            if was_sure && !is_sure {
                let lease = self.times.lease.as_secs_f32();
                warn!(
                    "neither the API server nor the other replicas have confirmed this one for {lease}s: it cuts all"
                );
                for execution in self.replicas.all() {
                    execution.account.seats.give();
                }
                self.cut.send_modify(|number| *number += 1);
            }
            was_sure = is_sure;
        }
    }

    /// Whether no other replica can have counted this one out.
    fn is_sure(&self) -> bool {
        let now = Instant::now();
        let listed = *lock(&self.listed);
        let confirmed = listed.max(lock(&self.roster).confirmed(now, &self.times));
        confirmed.is_some_and(|at| now.saturating_duration_since(at) < self.times.lease)
    }

    /// Whether it has run for so long that no one from before, of whom it can't know, has anything left.
    #[must_use]
    pub fn has_waited(&self) -> bool {
        self.started.elapsed() > self.times.lease + self.times.margin
    }

    /// Whether it takes new connections.
    pub(crate) fn serves(&self) -> bool {
        self.has_waited() && !self.drains.load(Relaxed) && self.replicas.is_fresh() && self.is_sure()
    }

    pub(crate) fn address(&self, uid: &str) -> Option<IpAddr> {
        lock(&self.roster).address(uid)
    }

    pub(crate) fn linked(&self, uid: &str, incarnation: &str, claims: mpsc::Sender<(String, u64)>) {
        let another = lock(&self.roster).linked(uid, incarnation, Instant::now());
        for execution in self.replicas.all() {
            let seats = &execution.account.seats;
            if another {
                seats.left(uid, 0);
            } else if seats.has_left(uid) {
                // What it has left is told over the link over which it was asked. Full: it stays as it was known.
                let _ = claims.try_send((execution.uid.clone(), 0));
            }
        }
        lock(&self.links).insert(uid.to_owned(), claims);
    }

    pub(crate) fn broke(&self, uid: &str, ended: bool) {
        lock(&self.links).remove(uid);
        lock(&self.roster).broke(uid, ended);
    }

    pub(crate) fn refused(&self, uid: &str) {
        lock(&self.roster).refused(uid);
        self.sweep();
    }

    fn sweep(&self) {
        let out = lock(&self.roster).sweep(Instant::now(), &self.times);
        for uid in out {
            for execution in self.replicas.all() {
                execution.account.seats.left(&uid, 0);
            }
        }
    }

    pub(crate) fn beat(&self, uid: &str, serves: bool, sent: Instant) {
        lock(&self.roster).beat(uid, serves, sent);
    }

    pub(crate) fn heard(&self, uid: &str, address: IpAddr) {
        lock(&self.roster).heard(uid, address, Instant::now());
    }

    pub(crate) fn promise(&self, uid: &str) -> bool {
        lock(&self.roster).promise(uid, Instant::now(), &self.times)
    }

    /// Opens no more connections of the execution here.
    pub(crate) fn give(&self, execution: &str) -> u32 {
        // Where it is not known yet, it is not held either, and can't be before this replica has asked.
        self.replicas.running(execution).map_or(0, |execution| execution.account.seats.give())
    }

    pub(crate) fn open(&self, execution: &str) -> u32 {
        self.replicas.running(execution).map_or(0, |execution| execution.account.seats.open())
    }

    pub(crate) fn given(&self, uid: &str, execution: &str, given: Given) {
        let Given { number, open } = given;
        if let Some(waiting) = lock(&self.waiting).remove(&number) {
            // Who asked may have given up.
            let _ = waiting.send(open);
        } else {
            self.left(uid, execution, open);
        }
    }

    pub(crate) fn left(&self, uid: &str, execution: &str, open: u32) {
        if let Some(execution) = self.replicas.running(execution) {
            execution.account.seats.left(uid, open);
        }
    }

    /// Asks one replica for an execution: how many connections it has. `None`: it does not answer.
    async fn ask(&self, uid: String, execution: &str, within: Duration) -> Option<(String, u32)> {
        let link = lock(&self.links).get(&uid).cloned()?;
        let number = self.numbers.fetch_add(1, Relaxed);
        let (told, waiting) = oneshot::channel();
        lock(&self.waiting).insert(number, told);
        let asked = async {
            link.send((execution.to_owned(), number)).await.ok()?;
            waiting.await.ok()
        };
        let open = timeout(within, asked).await;
        lock(&self.waiting).remove(&number);
        open.ok()?.map(|open| (uid, open))
    }

    /// One try. `false`: someone did not answer, or asked for it meanwhile.
    async fn try_claim(&self, execution: &Execution) -> bool {
        let seats = &execution.account.seats;
        let generation = seats.generation();
        let to_ask = lock(&self.roster).to_ask(Instant::now(), &self.times);
        let asked = to_ask.into_iter().map(|uid| self.ask(uid, &execution.uid, self.times.claim / 4));
        let Some(given) = join_all(asked).await.into_iter().collect::<Option<Vec<_>>>() else { return false };
        let others: Vec<String> = given.iter().map(|(uid, _)| uid.clone()).collect();
        // Whoever came meanwhile and was not asked has to ask here, and then it is another generation.
        let held = self.is_sure() && seats.hold(generation, given);
        // Who went meanwhile has nothing, and nobody would say so later.
        let still = lock(&self.roster).to_ask(Instant::now(), &self.times);
        for uid in others.iter().filter(|uid| !still.contains(uid)) {
            seats.left(uid, 0);
        }
        held
    }
}

impl<R: Replicas> Pin for Arc<Fleet<R>> {
    async fn claim(&self, execution: &Execution) -> Result<(), NotHere> {
        let until = Instant::now() + self.times.claim;
        loop {
            let me = self.serves().then_some(self.uid.as_str());
            let owner = lock(&self.roster).owner(&execution.uid, me);
            match owner {
                Some(Some(address)) => return Err(NotHere::Elsewhere(SocketAddr::new(address, self.ports.proxy))),
                Some(None) if execution.account.seats.is_held() => return Ok(()),
                Some(None) => {
                    // One at a time: many connections of one execution begin together.
                    let _turn = execution.claiming.lock().await;
                    if execution.account.seats.is_held() || self.try_claim(execution).await {
                        info!(execution = execution.uid, pod = execution.pod, "pinned here");
                        continue;
                    }
                }
                None => {}
            }
            if Instant::now() >= until {
                let others = lock(&self.roster).to_ask(Instant::now(), &self.times).len();
                return Err(NotHere::NotReady(format!(
                    "it can't be made sure that no other replica serves this execution: {others} others could"
                )));
            }
            sleep(AGAIN).await;
        }
    }

    async fn lost(&self) {
        // The sender lives as long as this.
        let _ = self.cut.subscribe().changed().await;
    }
}
