//! TLS that the proxy speaks itself, and the values that it adds there.

use std::io;
use std::sync::Arc;

use ccos_policy::HostName;
use ccos_profile::credential::SecretKey;
use futures::future::BoxFuture;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::inject::{Credential, Secret};

/// Tells the values of Secrets.
pub trait Secrets: Send + Sync {
    /// The value of a key of a Secret of this namespace, or for the log why it can't be told.
    fn value<'a>(&'a self, namespace: &'a str, key: &'a SecretKey) -> BoxFuture<'a, Result<Vec<u8>, String>>;
}

/// Speaks TLS to hosts, for those who are to be told a secret.
#[derive(Clone)]
pub struct Originate {
    connector: TlsConnector,
    secrets: Arc<dyn Secrets>,
}

impl Originate {
    /// Trusts who has a certificate of these authorities, in PEM.
    /// # Errors
    /// If there is none, or one can't be read.
    pub fn new(authorities: &[Vec<u8>], secrets: Arc<dyn Secrets>) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        for pem in authorities {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(io::Error::other)?;
                roots.add(certificate).map_err(io::Error::other)?;
            }
        }
        let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        // What requests are found by is HTTP/1.1.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), secrets })
    }

    /// Shakes hands as a client of this host.
    /// # Errors
    /// If it is not the host, or does not answer so.
    pub async fn shake(&self, host: &HostName, server: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_string()).map_err(io::Error::other)?;
        self.connector.connect(name, server).await
    }

    /// The credentials with their values.
    /// # Errors
    /// For the log, why one has none.
    pub async fn values(&self, namespace: &str, credentials: &[&Credential]) -> Result<Vec<Secret>, String> {
        let mut all = Vec::with_capacity(credentials.len());
        for credential in credentials {
            let SecretKey { name, key } = &credential.secret;
            let value = self.secrets.value(namespace, &credential.secret).await?;
            let secret = Secret::new(credential, &value);
            let why =
                || format!("the key {key:?} of Secret {namespace}/{name} is no line of text that a header can have");
            all.push(secret.ok_or_else(why)?);
        }
        Ok(all)
    }
}
