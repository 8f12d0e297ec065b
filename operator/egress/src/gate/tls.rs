//! The server name of a ClientHello, by rustls: however it is split into records and packets.

use ccos_policy::HostName;
use ccos_profile::egress::Refusal;
use rustls::server::Acceptor;

use super::Cut;

/// Reads a ClientHello as it comes.
#[derive(Default)]
pub(super) struct Tls {
    acceptor: Acceptor,
    /// Bytes that it was given.
    fed: usize,
}

/// A ClientHello, as far as it came.
pub(super) enum Hello {
    /// Not all of it.
    Partial,
    /// All, with this server name.
    Named(String),
    /// All, without one.
    Nameless,
}

impl Tls {
    /// What the bytes have of it.
    pub(super) fn hello(&mut self, bytes: &[u8]) -> Result<Hello, Cut> {
        let mut fresh = bytes.get(self.fed..).unwrap_or_default();
        while !fresh.is_empty() {
            let read = self.acceptor.read_tls(&mut fresh).map_err(|error| malformed(&error.to_string()))?;
            if read == 0 {
                break;
            }
            self.fed += read;
            match self.acceptor.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => {
                    let name = accepted.client_hello().server_name().map(ToOwned::to_owned);
                    return Ok(name.map_or(Hello::Nameless, Hello::Named));
                }
                Err((error, _)) => return Err(malformed(&error.to_string())),
            }
        }
        Ok(Hello::Partial)
    }
}

/// Whether the name is the granted one, by the same normalisation.
pub(super) fn check(named: Option<&str>, granted: &HostName) -> Result<(), Cut> {
    let message = match named.map(str::parse::<HostName>) {
        Some(Ok(name)) if name == *granted => return Ok(()),
        Some(Ok(name)) => format!("the TLS server name is {name}, but {granted} was connected to"),
        Some(Err(_)) => format!("the TLS server name is no name, but {granted} was connected to"),
        None => format!("the TLS ClientHello has no server name; {granted} was connected to"),
    };
    Err(Cut { refusal: Refusal::ServerNameMismatch, message })
}

pub(super) fn too_long() -> Cut {
    malformed("it is too long")
}

fn malformed(why: &str) -> Cut {
    let message = format!("the TLS ClientHello can't be read: {why}");
    Cut { refusal: Refusal::ServerNameMismatch, message }
}
