//! Keeps the certificate that is served, and tells the API server whom to believe.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

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
use crate::keys::{Shared, Signing};
use crate::serve::Webhook;

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
/// An authority in a caBundle that is none of ours stays this long: the other replicas may still serve what it signed,
/// since mounted files reach each at its own time, and a rollout has two sources at once. Without this, replicas of
/// different minds would take each other's authority away, in turns.
const CHANGEOVER: Duration = Duration::from_mins(10);
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
    /// The receipt keys, from which the secret paths come.
    pub keys: Shared,
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
        let mut strangers = Strangers::default();
        loop {
            match self.pass(&config, served.as_ref(), &mut strangers).await {
                Ok(now) => served = Some(now),
                Err(error) => {
                    crate::probes::warn("the certificate could not be looked after; it is tried again", &error);
                }
            }
            tokio::select! {
                () = self.changed.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    async fn pass(
        &self,
        config: &RustlsConfig,
        served: Option<&Served>,
        strangers: &mut Strangers,
    ) -> Result<Served, TlsError> {
        let wanted = self.wanted().await?;
        // Without the key there is nothing to be called for; it tells when it comes.
        if let Some(signing) = self.keys.get() {
            let ours = wanted.bundle.as_ref().map(|bundle| certificates::authorities(bundle, Timestamp::now()));
            self.publish(ours.as_deref(), &signing, strangers).await?;
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

    /// Writes the paths, and the caBundle where it is ours to write, into the configurations.
    async fn publish(
        &self,
        ours: Option<&[String]>,
        signing: &Signing,
        strangers: &mut Strangers,
    ) -> Result<(), TlsError> {
        let kinds = [
            (ApiResource::erase::<MutatingWebhookConfiguration>(&()), Webhook::Mutate),
            (ApiResource::erase::<ValidatingWebhookConfiguration>(&()), Webhook::Validate),
        ];
        for (kind, webhook) in kinds {
            let prefix = format!("/{}/", webhook.as_str());
            let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &kind);
            let read = |source| TlsError::Api { what: "read a webhook configuration", source };
            // The chart may not have made it yet; its watch tells when it has.
            let Some(found) = api.get_opt(CONFIGURATION).await.map_err(read)? else { continue };
            if let Some(ours) = ours {
                strangers.see(&found.data, ours, Instant::now());
            }
            let to_go = strangers.to_go(Instant::now());
            let now = Timestamp::now();
            let present = called_at(&found.data);
            let fresh =
                present.and_then(|path| path.strip_prefix(&prefix)).filter(|secret| signing.is_fresh(secret, now));
            let called = format!("{prefix}{}", fresh.map_or_else(|| signing.path_secret(now), str::to_owned));
            let Some(patch) = client_configs(&kind, &found.data, &called, ours, &to_go) else { continue };
            let write = |source| TlsError::Api { what: "write a webhook configuration", source };
            let params = PatchParams::apply(MANAGER).force();
            api.patch(CONFIGURATION, &params, &Patch::Apply(patch)).await.map_err(write)?;
            tracing::info!(kind = kind.kind, "wrote path and caBundle");
        }
        Ok(())
    }
}

/// Authorities in caBundles that are none of ours, and since when they have been seen.
#[derive(Debug, Default)]
struct Strangers(BTreeMap<String, Instant>);

impl Strangers {
    fn see(&mut self, found: &Value, wanted: &[String], now: Instant) {
        let all = found.get("webhooks").and_then(Value::as_array).into_iter().flatten().flat_map(present);
        for authority in all.filter(|authority| !wanted.contains(authority)) {
            self.0.entry(authority).or_insert(now);
        }
    }

    fn to_go(&self, now: Instant) -> BTreeSet<String> {
        let over = |since: &Instant| now.saturating_duration_since(*since) >= CHANGEOVER;
        self.0.iter().filter(|(_, since)| over(since)).map(|(authority, _)| authority.clone()).collect()
    }
}

/// The path at which the first webhook is called.
fn called_at(found: &Value) -> Option<&str> {
    found.pointer("/webhooks/0/clientConfig/service/path").and_then(Value::as_str)
}

/// The authorities of a webhook's caBundle.
fn present(webhook: &Value) -> Vec<String> {
    let bundle = webhook.pointer("/clientConfig/caBundle").and_then(Value::as_str).unwrap_or_default();
    let bundle = BASE64.decode(bundle).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    certificates::authorities(&bundle, Timestamp::now())
}

/// What has to be applied for all webhooks of a configuration to be called at this path, and to have our authorities and
/// none that has to go; `None`: nothing. Other authorities stay, in whatever order they are: two replicas must not
/// disagree over an order. Without authorities of ours, somebody else writes the caBundle.
fn client_configs(
    kind: &ApiResource,
    found: &Value,
    path: &str,
    ours: Option<&[String]>,
    to_go: &BTreeSet<String>,
) -> Option<Value> {
    let webhooks = found.get("webhooks").and_then(Value::as_array)?;
    let wanted = ours.unwrap_or_default();
    let goes = |authority: &String| to_go.contains(authority) && !wanted.contains(authority);
    let done = |webhook: &Value| {
        let present = present(webhook);
        webhook.pointer("/clientConfig/service/path").and_then(Value::as_str) == Some(path)
            && (ours.is_none()
                || wanted.iter().all(|authority| present.contains(authority)) && !present.iter().any(goes))
    };
    if webhooks.iter().all(done) {
        return None;
    }
    let entry = |webhook: &Value| {
        // Name and namespace are required of whoever writes the service at all.
        let part = |name: &str| webhook.pointer(&format!("/clientConfig/service/{name}")).cloned();
        let service = json!({"name": part("name")?, "namespace": part("namespace")?, "path": path});
        let config = if ours.is_some() {
            let others = present(webhook).into_iter().filter(|one| !wanted.contains(one) && !goes(one));
            let bundle = wanted.iter().cloned().chain(others).collect::<String>();
            json!({"service": service, "caBundle": BASE64.encode(bundle)})
        } else {
            json!({"service": service})
        };
        Some(json!({"name": webhook.get("name")?, "clientConfig": config}))
    };
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

    fn authority() -> String {
        match certificates::plan(None, &["w".to_owned()], Timestamp::now()).unwrap() {
            Plan::Replace(material) => certificates::authorities(&material.bundle, Timestamp::now()).remove(0),
            Plan::Keep(_) => panic!("there is nothing to keep"),
        }
    }

    fn webhook(name: &str, authorities: &[&String]) -> Value {
        let bundle: String = authorities.iter().map(|one| one.as_str()).collect();
        let service = json!({"name": "s", "namespace": "n", "path": "/mutate/x"});
        json!({"name": name, "clientConfig": {"service": service, "caBundle": BASE64.encode(bundle)}})
    }

    fn applied(found: &Value, wanted: &String, to_go: &[&String]) -> Option<Value> {
        let kind = ApiResource::erase::<MutatingWebhookConfiguration>(&());
        let to_go = to_go.iter().map(|one| (*one).clone()).collect();
        client_configs(&kind, found, "/mutate/x", Some(std::slice::from_ref(wanted)), &to_go).map(|patch| {
            assert_eq!(patch["kind"], "MutatingWebhookConfiguration");
            patch["webhooks"].clone()
        })
    }

    #[test]
    fn every_webhook_gets_path_and_authority_and_only_if_one_lacks_them() {
        let ours = authority();
        let bare = json!({"name": "b.x", "clientConfig": {"service": {"name": "s", "namespace": "n"}}});
        let mut astray = webhook("c.x", &[&ours]);
        astray["clientConfig"]["service"]["path"] = json!("/mutate/y");
        let found = json!({"webhooks": [webhook("a.x", &[&ours]), bare, astray]});
        let wanted = json!([webhook("a.x", &[&ours]), webhook("b.x", &[&ours]), webhook("c.x", &[&ours])]);
        assert_eq!(applied(&found, &ours, &[]), Some(wanted.clone()));
        assert_eq!(applied(&json!({"webhooks": wanted}), &ours, &[]), None);
    }

    #[test]
    fn where_somebody_else_writes_the_authority_only_the_path_is_ours() {
        let kind = ApiResource::erase::<MutatingWebhookConfiguration>(&());
        let found =
            json!({"webhooks": [{"name": "b.x", "clientConfig": {"service": {"name": "s", "namespace": "n"}}}]});
        let patch = client_configs(&kind, &found, "/mutate/x", None, &BTreeSet::new()).unwrap();
        let service = json!({"name": "s", "namespace": "n", "path": "/mutate/x"});
        assert_eq!(patch["webhooks"], json!([{"name": "b.x", "clientConfig": {"service": service}}]));
    }

    #[test]
    fn replicas_of_different_minds_do_not_take_each_others_authority_away() {
        let (one, two) = (authority(), authority());
        let found = json!({"webhooks": [webhook("a.x", &[&one])]});
        let both = json!({"webhooks": applied(&found, &two, &[]).unwrap()});
        assert_eq!(both["webhooks"], json!([webhook("a.x", &[&two, &one])]));
        assert_eq!((applied(&both, &one, &[]), applied(&both, &two, &[])), (None, None));
    }

    #[test]
    fn a_stranger_goes_when_the_changeover_is_over() {
        let (ours, old) = (authority(), authority());
        let found = json!({"webhooks": [webhook("a.x", &[&old, &ours])]});
        let (mut strangers, start) = (Strangers::default(), Instant::now());
        strangers.see(&found, std::slice::from_ref(&ours), start);
        strangers.see(&found, std::slice::from_ref(&ours), start + Duration::from_mins(9));
        assert!(strangers.to_go(start + Duration::from_mins(9)).is_empty());
        let to_go = strangers.to_go(start + Duration::from_mins(10));
        assert_eq!(to_go, BTreeSet::from([old.clone()]));
        assert_eq!(applied(&found, &ours, &[&old]), Some(json!([webhook("a.x", &[&ours])])));
    }
}
