//! From an accepted connection to its end.

mod accept;
mod answer;
mod lobby;
mod open;
mod secured;
mod wanted;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ccos_profile::egress::Refusal;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{debug, info};

use crate::classify::Ranges;
use crate::connect::Connect;
use crate::decide::Host;
use crate::gate::Gate;
use crate::identify::{Execution, Identify};
use crate::metrics::Metrics;
use crate::originate::Originate;
use crate::pin::{Alone, Pin};
use crate::pump::{End, Tunnel, pump};
use crate::resolve::Resolve;
use crate::shown::escaped;
use crate::upstream::Upstream;

pub use accept::{listen, serve};
use answer::{Refused, establish, point, refuse, tell};
use lobby::Lobby;
use open::Connection;
use secured::To;
use wanted::{Wanted, request};

/// Characters of a target or a message in the log.
const MAX_SHOWN: usize = 512;

/// Bounds of time and number.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections of all executions at one time.
    pub connections: usize,
    /// From the accepted connection to the whole request.
    pub request: Duration,
    /// For the name servers.
    pub resolve: Duration,
    /// For the dialled addresses.
    pub dial: Duration,
    /// How long a client's first bytes may leave it open what they are.
    pub first_bytes: Duration,
    /// How long nothing may move in a tunnel.
    pub idle: Duration,
    /// How long established connections live on once the proxy was told to stop.
    pub drain: Duration,
}

/// A proxy.
pub struct Proxy<I, R, P = Alone> {
    identify: I,
    resolve: R,
    pin: P,
    originate: Option<Originate>,
    upstream: Option<Upstream>,
    ranges: Ranges,
    bounds: Bounds,
    metrics: Metrics,
    lobby: Arc<Lobby>,
    slots: Arc<Semaphore>,
    #[cfg(feature = "sabotage")]
    without: Option<Check>,
}

/// Checks that tests take out one by one, to see an attack succeed without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// The rules grant the host.
    Rules,
    /// The address is one that the name may lead to.
    Addresses,
    /// What is dialled is what was looked at.
    Pinned,
    /// The first bytes name the host.
    FirstBytes,
    /// A request is complete within its time.
    RequestTime,
    /// The end of an execution ends its connections.
    End,
    /// No more connections than granted.
    Connections,
    /// Nor over all replicas together.
    Claims,
    /// A credential is for paths that have one reading.
    Prefix,
}

impl<I: Identify, R: Resolve> Proxy<I, R> {
    /// A proxy that knows who asks and where names lead. It is the only one.
    pub fn new(identify: I, resolve: R, ranges: Ranges, bounds: Bounds, metrics: Metrics) -> Self {
        Proxy::among(identify, resolve, Alone, ranges, bounds, metrics)
    }
}

impl<I: Identify, R: Resolve, P: Pin> Proxy<I, R, P> {
    /// A proxy that knows who asks, where names lead, and which replica serves whom.
    pub fn among(identify: I, resolve: R, pin: P, ranges: Ranges, bounds: Bounds, metrics: Metrics) -> Self {
        Self {
            identify,
            resolve,
            pin,
            originate: None,
            upstream: None,
            ranges,
            bounds,
            metrics,
            lobby: Arc::default(),
            slots: Arc::new(Semaphore::new(bounds.connections)),
            #[cfg(feature = "sabotage")]
            without: None,
        }
    }

    /// The same, which adds credentials.
    #[must_use]
    pub fn originates(mut self, originate: Originate) -> Self {
        self.originate = Some(originate);
        self
    }

    /// The same, whose connections all go by way of another proxy.
    #[must_use]
    pub fn behind(mut self, upstream: Upstream) -> Self {
        self.upstream = Some(upstream);
        self
    }

    /// The same without one of its checks.
    #[cfg(feature = "sabotage")]
    #[must_use]
    pub fn without(mut self, check: Check) -> Self {
        self.without = Some(check);
        self
    }

    #[cfg(feature = "sabotage")]
    fn holds(&self, check: Check) -> bool {
        self.without != Some(check)
    }

    #[cfg(not(feature = "sabotage"))]
    #[allow(clippy::unused_self, reason = "the same call, with nothing to take out")]
    const fn holds(&self, _: Check) -> bool {
        true
    }

    /// Who asks.
    #[cfg(feature = "sabotage")]
    pub const fn identifies(&self) -> &I {
        &self.identify
    }

    async fn connection(&self, mut client: TcpStream, from: IpAddr) {
        let Some(waiting) = self.lobby.enter(from) else {
            self.metrics.refused(Refusal::TooManyConnections);
            return;
        };
        let within = if self.holds(Check::RequestTime) { self.bounds.request } else { Duration::from_hours(1) };
        let read = timeout(within, request(&mut client)).await;
        let wanted = match read.unwrap_or_else(|_| Err(Some(Refused::request_timeout()))) {
            Ok(wanted) => wanted,
            Err(None) => return, // gone, or a probe of the kubelet
            Err(Some(refused)) => {
                self.metrics.refused(refused.refusal);
                debug!(reason = refused.refusal.token(), message = refused.message, "refused");
                return refuse(&mut client, &refused).await;
            }
        };
        if matches!(wanted, Wanted::Canary) {
            // Whoever asks: it is asked before the pod of an execution need be known here.
            return point(&mut client).await;
        }
        let identified = self.identify.identify(wanted.token()).await;
        drop(waiting);
        let execution = match identified {
            Ok(execution) => execution,
            Err(unknown) => {
                let refused = Refused::new(unknown.refusal, unknown.message);
                let count = self.metrics.refused(refused.refusal);
                if count.is_power_of_two() {
                    info!(reason = refused.refusal.token(), message = refused.message, %from, count, "refused");
                }
                return refuse(&mut client, &refused).await;
            }
        };
        let (request, early) = match wanted {
            Wanted::Tunnel(request, early) => (request, early),
            Wanted::Refusals(_) => {
                // Another one, where it serves the execution, knows of refusals that this one has not seen.
                return match self.claim(&execution).await {
                    Ok(()) => tell(&mut client, &execution.account.usage()).await,
                    Err(refused) => refuse(&mut client, &refused).await,
                };
            }
            Wanted::Canary => return,
        };
        let tunnel = self.tunnel(client, &request, early, &execution);
        if !self.holds(Check::End) {
            return tunnel.await;
        }
        tokio::select! {
            biased;
            // Dropping the tunnel closes both of its sides.
            () = execution.ended() => {}
            () = self.pin.lost() => {}
            () = tunnel => {}
        }
    }

    async fn tunnel(&self, mut client: TcpStream, request: &Connect, mut early: Vec<u8>, execution: &Execution) {
        let target = format!("{}:{}", request.host, request.port);
        // In this order: what is counted is given back after the connection has ended, however it ends.
        let Connection { seat, slot, mut server, host } = match self.open(request, execution).await {
            Ok(connection) => connection,
            Err(refused) => {
                self.note(execution, &target, &refused);
                return refuse(&mut client, &refused).await;
            }
        };
        if establish(&mut client).await.is_err() {
            return;
        }
        execution.account.connected();
        let open = self.metrics.connected();
        let credentials = execution.grants.as_ref().map(|grants| grants.credentials(&host)).unwrap_or_default();
        let plainly = match &host {
            Host::Name(name) if !credentials.is_empty() => match self.asks_plainly(&mut client, &mut early).await {
                None => return,
                Some(plainly) => Some(name).filter(|_| plainly),
            },
            Host::Name(_) | Host::Address(_) => None,
        };
        let end = if let Some(host) = plainly {
            let to = To { host, port: request.port, credentials: &credentials };
            self.secured(&mut client, server, to, early, execution).await
        } else {
            let mut gate = Gate::new(&host, request.port);
            if !self.holds(Check::FirstBytes) {
                gate = Gate::new(&Host::Address(IpAddr::from([0, 0, 0, 0])), request.port);
            }
            let tunnel = Tunnel {
                early,
                gate,
                account: &execution.account,
                metrics: &self.metrics,
                idle: self.bounds.idle,
                decide_within: self.bounds.first_bytes,
            };
            let end = pump(&mut client, &mut server, tunnel).await;
            drop(server);
            end
        };
        drop((open, seat, slot));
        match end {
            End::Closed | End::Failed => {}
            End::Idle => debug!(target, pod = execution.pod, "nothing moved for too long"),
            End::Cut(cut) => self.note(execution, &target, &Refused::new(cut.refusal, cut.message)),
            End::Undecided => {
                let message = "the first bytes did not show in time what they are".to_owned();
                self.note(execution, &target, &Refused::new(Refusal::HostMismatch, message));
            }
        }
    }

    /// Counts a refusal. Its line is written at the first, second, fourth, eighth time: code that asks for ever can't fill
    /// the log.
    fn note(&self, execution: &Execution, target: &str, refused: &Refused) {
        self.metrics.refused(refused.refusal);
        if refused.refusal == Refusal::Elsewhere {
            return; // a way to go, not a no
        }
        let count = execution.account.refused(refused.refusal, target);
        if count.is_power_of_two() {
            let Execution { namespace, pod, uid, .. } = execution;
            let (target, message) = (escaped(target, MAX_SHOWN), escaped(&refused.message, MAX_SHOWN));
            info!(namespace, pod, uid, target, reason = refused.refusal.token(), message, count, "refused");
        }
    }
}
