//! Registries: only those that an administrator allows. A provider's author chooses what is asked for, and must not make
//! the controller speak to whatever its network reaches, nor read without end what a hostile registry sends.

use std::time::Duration;

use ccos_plan::trust::Resolution;
use ccos_supply::image::{self, Digest, Image};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};

use crate::chain;

/// For all that is asked of a registry for one image.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Which registries may be spoken to, and how.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registries {
    /// Their hosts, each with its port where it has one.
    pub(crate) allowed: Vec<String>,
    /// Those of them that are spoken to without TLS.
    pub(crate) insecure: Vec<String>,
    /// Certificates of authorities, in PEM, besides the system's.
    pub(crate) authorities: Vec<Vec<u8>>,
}

/// Why a registry said nothing that helps.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    #[error("the registry {0:?} is not allowed: ask an administrator to add it to registries.allowed of the chart")]
    NotAllowed(String),
    #[error("{0} is not in its registry, or not for everybody to read")]
    NoImage(String),
    #[error("cannot ask the registry {registry:?}: {why}")]
    Failed { registry: String, why: String },
}

impl RegistryError {
    /// The reason of a condition.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::NotAllowed(_) => "RegistryNotAllowed",
            Self::NoImage(_) => "NoImage",
            Self::Failed { .. } => "RegistryFailed",
        }
    }
}

impl From<RegistryError> for Resolution {
    fn from(error: RegistryError) -> Self {
        Self::Unresolved { reason: error.reason(), why: error.to_string() }
    }
}

impl Registries {
    /// Whether an image's registry may be spoken to.
    pub(crate) fn allow(&self, image: &Image) -> Result<(), RegistryError> {
        let allowed = self.allowed.iter().any(|host| image::host(host) == image.registry());
        if allowed { Ok(()) } else { Err(RegistryError::NotAllowed(image.registry().to_owned())) }
    }

    /// What a reference names now.
    pub(crate) async fn digest(&self, image: &Image, reference: &str) -> Result<Digest, RegistryError> {
        self.allow(image)?;
        let failed = |why: String| RegistryError::Failed { registry: image.registry().to_owned(), why };
        let parsed: Reference = reference.parse().map_err(|error| failed(chain(&error)))?;
        // Not Client::new, which makes another client than was asked for where it can't make this one.
        let client = Client::try_from(self.config()).map_err(|error| failed(chain(&error)))?;
        let answer = client.fetch_manifest_digest(&parsed, &RegistryAuth::Anonymous);
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(text)) => Digest::parse(&text).map_err(|error| failed(format!("it says {text:?}: {error}"))),
            Ok(Err(error)) if is_absent(&error) => Err(RegistryError::NoImage(reference.to_owned())),
            Ok(Err(error)) => Err(failed(chain(&error))),
            Err(_) => Err(failed(format!("it did not answer within {PATIENCE:?}"))),
        }
    }

    fn config(&self) -> oci_client::client::ClientConfig {
        self.cosign_config().into()
    }

    /// The same, for the library that reads signatures.
    pub(crate) fn cosign_config(&self) -> sigstore::registry::ClientConfig {
        use sigstore::registry::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol};
        let certificate = |data: &Vec<u8>| Certificate { encoding: CertificateEncoding::Pem, data: data.clone() };
        ClientConfig {
            protocol: ClientProtocol::HttpsExcept(self.insecure.clone()),
            extra_root_certificates: self.authorities.iter().map(certificate).collect(),
            ..ClientConfig::default()
        }
    }
}

fn is_absent(error: &OciDistributionError) -> bool {
    use OciErrorCode::{Denied, ManifestUnknown, NameUnknown, NotFound, Unauthorized};
    match error {
        OciDistributionError::ImageManifestNotFoundError(_)
        | OciDistributionError::UnauthorizedError { .. }
        | OciDistributionError::ServerError { code: 401 | 403 | 404, .. } => true,
        // What a registry says in the words of the specification.
        OciDistributionError::RegistryError { envelope, .. } => envelope
            .errors
            .iter()
            .any(|error| matches!(error.code, Denied | ManifestUnknown | NameUnknown | NotFound | Unauthorized)),
        _ => false,
    }
}
