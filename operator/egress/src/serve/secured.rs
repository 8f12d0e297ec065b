//! Requests to which the proxy adds what the client must not see.

use ccos_policy::HostName;
use ccos_profile::egress::Refusal;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

#[cfg(feature = "sabotage")]
use super::Check;
use super::Proxy;
use super::answer::{Refused, refuse};
use crate::gate::{MAX_HELD, is_plain_http};
use crate::identify::{Execution, Identify};
use crate::inject::{Credential, Injector, Secret};
use crate::pin::Pin;
use crate::pump::{End, Tunnel, pump_halves};
use crate::resolve::Resolve;

/// Where a client's requests go.
pub(super) struct To<'a> {
    pub(super) host: &'a HostName,
    pub(super) port: u16,
    pub(super) credentials: &'a [&'a Credential],
}

impl<I: Identify, R: Resolve, P: Pin> Proxy<I, R, P> {
    /// Whether the client speaks HTTP without TLS, so that headers can be added to its requests; `None`: it is gone, or does not
    /// say. The server does not hear of it before, and says nothing: servers of HTTP wait for requests.
    pub(super) async fn asks_plainly(&self, client: &mut TcpStream, early: &mut Vec<u8>) -> Option<bool> {
        loop {
            if let Some(plainly) = is_plain_http(early).filter(|_| !early.is_empty()) {
                return Some(plainly);
            }
            let within = if early.is_empty() { self.bounds.idle } else { self.bounds.first_bytes };
            let room = MAX_HELD.saturating_sub(early.len()).max(1) as u64;
            let mut limited = (&mut *client).take(room);
            match timeout(within, limited.read_buf(early)).await {
                Ok(Ok(1..)) => {}
                Ok(Ok(0) | Err(_)) | Err(_) => return None,
            }
        }
    }

    /// Passes requests on over TLS, with what is added to them.
    pub(super) async fn secured(
        &self,
        client: &mut TcpStream,
        server: TcpStream,
        to: To<'_>,
        early: Vec<u8>,
        execution: &Execution,
    ) -> End {
        let To { host, port, credentials: _ } = to;
        let (server, secrets) = match self.secure(server, &to, execution).await {
            Ok(secured) => secured,
            Err(refused) => {
                self.note(execution, &format!("{host}:{port}"), &refused);
                // In the tunnel, as the answer to what it asked there.
                refuse(client, &refused).await;
                return End::Failed;
            }
        };
        #[allow(unused_mut, reason = "a test changes it")]
        let mut gate = Injector::new(host.clone(), port, secrets);
        #[cfg(feature = "sabotage")]
        {
            gate.naive = !self.holds(Check::Prefix);
        }
        let tunnel = Tunnel {
            early,
            gate,
            account: &execution.account,
            metrics: &self.metrics,
            idle: self.bounds.idle,
            decide_within: self.bounds.first_bytes,
        };
        let (from_server, to_server) = tokio::io::split(server);
        pump_halves(client, from_server, to_server, tunnel).await
    }

    async fn secure(
        &self,
        server: TcpStream,
        to: &To<'_>,
        execution: &Execution,
    ) -> Result<(TlsStream<TcpStream>, Vec<Secret>), Refused> {
        let To { host, credentials, .. } = to;
        let Some(originate) = &self.originate else {
            return Err(Refused::new(Refusal::NotReady, "this proxy adds no credentials".to_owned()));
        };
        // First what it is told, then whom: a server that is not the host hears nothing.
        let values = originate.values(&execution.namespace, credentials).await.map_err(|why| {
            tracing::warn!(namespace = execution.namespace, pod = execution.pod, why, "no credential");
            let message =
                format!("the credential for {host} can't be read; whoever wrote the SecurityContext can say why");
            Refused::new(Refusal::NotReady, message)
        })?;
        let shaken = timeout(self.bounds.dial, originate.shake(host, server)).await;
        let shaken = shaken.map_err(|_| Refused::new(Refusal::TimedOut, format!("{host} does not answer by TLS")))?;
        let server = shaken.map_err(|error| {
            Refused::new(Refusal::Unreachable, format!("{host} is not reached by TLS as itself: {error}"))
        })?;
        Ok((server, values))
    }
}
