//! From an identified request to a connection that may be used.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ccos_profile::egress::Refusal;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::answer::Refused;
use super::{Check, Proxy};
use crate::classify::{AddressClass, Vetted, vet};
use crate::connect::Connect;
use crate::count::{NoSeat, Seat};
use crate::decide::{Host, Verdict, decide};
use crate::dial::dial;
use crate::identify::{Execution, Identify};
use crate::pin::{NotHere, Pin};
use crate::resolve::Resolve;

/// What was opened.
pub(super) struct Connection {
    pub(super) seat: Option<Seat>,
    pub(super) slot: OwnedSemaphorePermit,
    pub(super) server: TcpStream,
    pub(super) host: Host,
}

impl<I: Identify, R: Resolve, P: Pin> Proxy<I, R, P> {
    /// Everything that has to be so before the client hears a yes.
    pub(super) async fn open(&self, request: &Connect, execution: &Execution) -> Result<Connection, Refused> {
        let grants = match &execution.grants {
            Ok(grants) => grants,
            Err(message) => return Err(Refused::new(Refusal::BadRules, message.clone())),
        };
        let host = Host::parse(&request.host)
            .map_err(|error| Refused::new(Refusal::NotGranted, format!("{} is no host: {error}", request.host)))?;
        match decide(&host, request.port, grants) {
            Verdict::Denied { refusal, message } if self.holds(Check::Rules) => {
                return Err(Refused::new(refusal, message));
            }
            Verdict::Denied { .. } | Verdict::Granted => {}
        }
        let seat = self.seat(execution).await?;
        let slot = Arc::clone(&self.slots).try_acquire_owned().map_err(|_| {
            Refused::new(Refusal::TooManyConnections, "the proxy has as many connections as it may".to_owned())
        })?;
        let vetted = self.vetted(&host, request.port, execution).await?;
        #[cfg(feature = "sabotage")]
        let vetted = if self.holds(Check::Pinned) {
            vetted
        } else {
            let again = self.addresses(&host).await?;
            again.into_iter().map(|address| Vetted::unvetted(SocketAddr::new(address, request.port))).collect()
        };
        let dialled = self.dial(&vetted).await;
        let server =
            dialled.map_err(|(refusal, what)| Refused::new(refusal, format!("{host}:{} {what}", request.port)))?;
        // Small requests and answers are most of what passes.
        server.set_nodelay(true).map_err(|_| Refused::new(Refusal::Unreachable, format!("{host} is gone")))?;
        Ok(Connection { seat, slot, server, host })
    }

    /// Makes sure that the execution is served here.
    pub(super) async fn claim(&self, execution: &Execution) -> Result<(), Refused> {
        self.pin.claim(execution).await.map_err(|not_here| match not_here {
            NotHere::Elsewhere(owner) => Refused::elsewhere(owner),
            NotHere::NotReady(message) => Refused::new(Refusal::NotReady, message),
        })
    }

    /// A place among the connections that the execution may have at one time, at all replicas together.
    async fn seat(&self, execution: &Execution) -> Result<Option<Seat>, Refused> {
        #[cfg(feature = "sabotage")]
        if !self.holds(Check::Claims) {
            let full = |_| Refused::new(Refusal::TooManyConnections, String::new());
            return execution.account.forced_seat().map(Some).map_err(full);
        }
        let again = || Refused::new(Refusal::NotReady, "another replica has just taken this execution over".to_owned());
        self.claim(execution).await?;
        match execution.account.seat() {
            Ok(seat) => Ok(Some(seat)),
            Err(NoSeat::NotHeld) => Err(again()),
            Err(NoSeat::Full) if self.holds(Check::Connections) => {
                let most = execution.account.seats.max();
                let message =
                    format!("there are {most} connections, as many as permissions.network.maxConnections allows");
                Err(Refused::new(Refusal::TooManyConnections, message))
            }
            Err(NoSeat::Full) => Ok(None),
        }
    }

    /// `Err`: what is to be said of the host.
    async fn dial(&self, to: &[Vetted]) -> Result<TcpStream, (Refusal, String)> {
        let Some(upstream) = &self.upstream else {
            return dial(to, self.bounds.dial).await.map_err(|refusal| {
                let what = if refusal == Refusal::TimedOut { "does not answer" } else { "refuses the connection" };
                (refusal, what.to_owned())
            });
        };
        let not_reached = |why: &dyn Display| format!("is not reached: the upstream proxy {why}");
        let at = self.addresses(&upstream.host).await;
        let at = at.map_err(|refused| (refused.refusal, not_reached(&format!("is not found: {}", refused.message))))?;
        let at: Vec<SocketAddr> = at.into_iter().map(|address| SocketAddr::new(address, upstream.port)).collect();
        let dialled = upstream.dial(&at, to, self.bounds.dial).await;
        dialled.map_err(|failed| (failed.refusal(), not_reached(&failed)))
    }

    /// The host's addresses that may be dialled.
    async fn vetted(&self, host: &Host, port: u16, execution: &Execution) -> Result<Vec<Vetted>, Refused> {
        let grants = execution.grants.as_ref().map_err(|error| Refused::new(Refusal::BadRules, error.clone()))?;
        let (mut vetted, mut worst): (Vec<Vetted>, Option<(IpAddr, AddressClass)>) = (Vec::new(), None);
        for address in self.addresses(host).await? {
            let address = SocketAddr::new(address, port);
            match vet(address, grants, &self.ranges) {
                Ok(passed) if !vetted.contains(&passed) => vetted.push(passed),
                Ok(_) => {}
                #[cfg(feature = "sabotage")]
                Err(_) if !self.holds(Check::Addresses) => vetted.push(Vetted::unvetted(address)),
                Err(class) => {
                    if worst.is_none() || matches!(class, AddressClass::Blocked(_)) {
                        worst = Some((address.ip(), class));
                    }
                }
            }
        }
        match worst {
            Some((address, class)) if vetted.is_empty() => {
                Err(Refused::new(class.refusal(), format!("{host} leads to {address}: {}", class.words())))
            }
            Some(_) | None => Ok(vetted),
        }
    }

    async fn addresses(&self, host: &Host) -> Result<Vec<IpAddr>, Refused> {
        let name = match host {
            Host::Address(address) => return Ok(vec![*address]),
            Host::Name(name) => name,
        };
        let found = timeout(self.bounds.resolve, self.resolve.resolve(name)).await.unwrap_or(Err(Refusal::TimedOut));
        match found {
            Ok(addresses) if addresses.is_empty() => {
                Err(Refused::new(Refusal::NotResolved, format!("{name} has no address")))
            }
            Ok(addresses) => Ok(addresses),
            Err(refusal) => {
                let what =
                    if refusal == Refusal::TimedOut { "the name servers don't answer for" } else { "no address for" };
                Err(Refused::new(refusal, format!("{what} {name}")))
            }
        }
    }
}
