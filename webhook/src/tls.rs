//! Keeps the certificate that is served, and tells the API server whom to believe.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum_server::tls_rustls::RustlsConfig;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::ObjectMeta;
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::certificates::{self, CertificateError, Material, Plan};

/// The Secret with our own certificates.
pub const SECRET: &str = "ccos-webhook-tls";
/// The name of both webhook configurations.
pub const CONFIGURATION: &str = "ccos";
/// Of the caBundle, by server-side apply: the rest of the configurations is the chart's.
const MANAGER: &str = "ccos-webhook";

/// Renewal is looked for this often, and mounted files this often: a mounted Secret can't be watched.
const LOOK: Duration = Duration::from_secs(30);
/// API servers hear of a new caBundle by a watch, each at its own time; a certificate that it alone vouches for waits.
const SPREAD: Duration = Duration::from_secs(3);
/// Another replica may be writing the Secret at the same time.
const TRIES: usize = 5;

/// Where certificates come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// We make them.
    Own {
        /// The names that they are for.
        names: Vec<String>,
        /// The namespace of the Secret.
        namespace: String,
    },
    /// Somebody mounts them, such as cert-manager.
    Folder(PathBuf),
}

/// What is served, as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Served {
    certificate: String,
    key: String,
    /// Absent: somebody else sets the caBundle.
    bundle: Option<String>,
}

/// Why a certificate is not served.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum TlsError {
    #[error("cannot {what}")]
    Api { what: &'static str, source: kube::Error },
    #[error(transparent)]
    Make(#[from] CertificateError),
    #[error("other replicas keep changing Secret {SECRET:?}")]
    Contended,
    #[error("cannot read {path}")]
    Read { path: String, source: std::io::Error },
    #[error("cannot use the certificate and its key")]
    Use(#[source] std::io::Error),
}

/// What keeps the certificate.
pub struct Keeper {
    /// Of the API server.
    pub client: Client,
    /// Where certificates come from.
    pub source: Source,
    /// Something that matters changed.
    pub changed: Arc<Notify>,
}

impl Keeper {
    /// The first certificate, tried until there is one.
    pub async fn first(&self) -> RustlsConfig {
        loop {
            match self.load().await {
                Ok(config) => return config,
                Err(error) => crate::probes::warn("no certificate yet", &error),
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    }

    async fn load(&self) -> Result<RustlsConfig, TlsError> {
        let Served { certificate, key, bundle: _ } = self.wanted().await?;
        RustlsConfig::from_pem(certificate.into_bytes(), key.into_bytes()).await.map_err(TlsError::Use)
    }

    /// Keeps it for ever.
    pub async fn keep(&self, config: RustlsConfig) {
        let mut served: Option<Served> = None;
        loop {
            match self.pass(&config, served.as_ref()).await {
                Ok(now) => served = Some(now),
                Err(error) => {
                    crate::probes::warn("the certificate could not be looked after; it is tried again", &error)
                }
            }
            tokio::select! {
                () = self.changed.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    async fn pass(&self, config: &RustlsConfig, served: Option<&Served>) -> Result<Served, TlsError> {
        let wanted = self.wanted().await?;
        if let Some(bundle) = &wanted.bundle {
            self.publish(bundle).await?;
        }
        if served != Some(&wanted) {
            // After the caBundle: the other way round, the API server would refuse what it can't check yet.
            if served.is_some_and(|served| served.bundle != wanted.bundle) {
                tokio::time::sleep(SPREAD).await;
            }
            let Served { certificate, key, bundle: _ } = wanted.clone();
            config.reload_from_pem(certificate.into_bytes(), key.into_bytes()).await.map_err(TlsError::Use)?;
            tracing::info!("serves the current certificate");
        }
        Ok(wanted)
    }

    async fn wanted(&self) -> Result<Served, TlsError> {
        match &self.source {
            Source::Own { names, namespace } => {
                let secrets = Api::namespaced(self.client.clone(), namespace);
                let Material { bundle, authority_key: _, certificate, key } = ensure(&secrets, names).await?;
                Ok(Served { certificate, key, bundle: Some(bundle) })
            }
            Source::Folder(folder) => {
                let certificate = file(&folder.join("tls.crt")).await?;
                let key = file(&folder.join("tls.key")).await?;
                let bundle = match file(&folder.join("ca.crt")).await {
                    Ok(bundle) => Some(bundle).filter(|bundle| !bundle.trim().is_empty()),
                    Err(TlsError::Read { path: _, source }) if source.kind() == std::io::ErrorKind::NotFound => None,
                    Err(error) => return Err(error),
                };
                Ok(Served { certificate, key, bundle })
            }
        }
    }

    async fn publish(&self, bundle: &str) -> Result<(), TlsError> {
        let bundle = BASE64.encode(bundle);
        let kinds = [
            ApiResource::erase::<MutatingWebhookConfiguration>(&()),
            ApiResource::erase::<ValidatingWebhookConfiguration>(&()),
        ];
        for kind in kinds {
            let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &kind);
            let read = |source| TlsError::Api { what: "read a webhook configuration", source };
            // The chart may not have made it yet; its watch tells when it has.
            let Some(found) = api.get_opt(CONFIGURATION).await.map_err(read)? else { continue };
            let Some(wanted) = ca_bundles(&kind, &found.data, &bundle) else { continue };
            let write = |source| TlsError::Api { what: "set the caBundle of a webhook configuration", source };
            let params = PatchParams::apply(MANAGER).force();
            api.patch(CONFIGURATION, &params, &Patch::Apply(wanted)).await.map_err(write)?;
            tracing::info!(kind = kind.kind, "set the caBundle");
        }
        Ok(())
    }
}

/// What has to be applied for all webhooks of a configuration to have this bundle; `None`: nothing, they have.
fn ca_bundles(kind: &ApiResource, found: &Value, bundle: &str) -> Option<Value> {
    let webhooks = found.get("webhooks").and_then(Value::as_array)?;
    if webhooks.iter().all(|one| one.pointer("/clientConfig/caBundle").and_then(Value::as_str) == Some(bundle)) {
        return None;
    }
    let entry = |one: &Value| Some(json!({"name": one.get("name")?, "clientConfig": {"caBundle": bundle}}));
    Some(json!({
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"name": CONFIGURATION},
        "webhooks": webhooks.iter().filter_map(entry).collect::<Vec<_>>(),
    }))
}

/// Our own certificates, made or renewed if need be.
async fn ensure(secrets: &Api<Secret>, names: &[String]) -> Result<Material, TlsError> {
    for _ in 0..TRIES {
        let read = |source| TlsError::Api { what: "read Secret \"ccos-webhook-tls\"", source };
        let found = secrets.get_opt(SECRET).await.map_err(read)?;
        let stored = found.as_ref().and_then(|secret| secret.data.as_ref()).and_then(Material::read);
        let material = match certificates::plan(stored, names, Timestamp::now())? {
            Plan::Keep(material) => return Ok(material),
            Plan::Replace(material) => material,
        };
        let data = Some(material.data());
        let written = match found {
            None => {
                let metadata = ObjectMeta { name: Some(SECRET.to_owned()), ..ObjectMeta::default() };
                let type_ = Some("kubernetes.io/tls".to_owned());
                secrets.create(&PostParams::default(), &Secret { metadata, type_, data, ..Secret::default() }).await
            }
            // With the resourceVersion that was read: two replicas that renew at once must end with one certificate.
            Some(found) => secrets.replace(SECRET, &PostParams::default(), &Secret { data, ..found }).await,
        };
        match written {
            Ok(_) => return Ok(material),
            Err(kube::Error::Api(status)) if status.is_already_exists() || status.is_conflict() => {}
            Err(source) => return Err(TlsError::Api { what: "write Secret \"ccos-webhook-tls\"", source }),
        }
    }
    Err(TlsError::Contended)
}

async fn file(path: &Path) -> Result<String, TlsError> {
    let read = |source| TlsError::Read { path: path.display().to_string(), source };
    tokio::fs::read_to_string(path).await.map_err(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_webhook_gets_the_bundle_and_only_if_one_lacks_it() {
        let kind = ApiResource::erase::<MutatingWebhookConfiguration>(&());
        let found = json!({"webhooks": [
            {"name": "a.x", "clientConfig": {"caBundle": "new"}},
            {"name": "b.x", "clientConfig": {"service": {"name": "s"}}},
        ]});
        let wanted = ca_bundles(&kind, &found, "new").unwrap();
        assert_eq!(
            wanted["webhooks"],
            json!([
                {"name": "a.x", "clientConfig": {"caBundle": "new"}},
                {"name": "b.x", "clientConfig": {"caBundle": "new"}},
            ])
        );
        assert_eq!(wanted["kind"], "MutatingWebhookConfiguration");
        let done = json!({"webhooks": wanted["webhooks"]});
        assert_eq!(ca_bundles(&kind, &done, "new"), None);
    }
}
