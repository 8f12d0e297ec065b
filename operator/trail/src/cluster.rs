//! What the cluster keeps for a writer: its private key in a Secret, its public keys and the heads of its chains in a
//! ConfigMap. The chart makes both, empty, so that no writer needs the right to make Secrets.

use std::collections::BTreeMap;

use ccos_audit::{Head, Writer, keys};
use ed25519_dalek::SigningKey;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

/// The entry of the Secret. A key that is removed is replaced by a new one at the next start; the lines of the old one
/// stay good, since its public half stays in the ConfigMap.
const SEED: &str = "seed";

/// How many heads are kept, the newest: a ConfigMap has room for 1 MiB.
const HEADS: usize = 1000;

/// Why the cluster has no key for us, or takes no head.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum ClusterError {
    #[error("cannot {what} {kind} {name}")]
    Api { what: &'static str, kind: &'static str, name: &'static str, source: kube::Error },
    #[error("no randomness for a key")]
    Random(#[from] getrandom::Error),
    #[error("Secret {0} has something else than 32 bytes in {SEED:?}: remove that, and a new key is made")]
    Malformed(&'static str),
    #[error("cannot write a head")]
    Head(#[from] serde_json::Error),
}

/// The key of a writer, made if there is none, and published: nobody could verify lines that come earlier.
///
/// # Errors
/// If the API server does not let us.
pub async fn key(client: &Client, namespace: &str, writer: Writer) -> Result<SigningKey, ClusterError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let key = match seed(&secrets, writer).await? {
        (_, Some(key)) => key,
        (secret, None) => make(&secrets, secret, writer).await?,
    };
    publish(client, namespace, writer, &key).await?;
    Ok(key)
}

async fn seed(secrets: &Api<Secret>, writer: Writer) -> Result<(Secret, Option<SigningKey>), ClusterError> {
    let name = writer.object_name();
    let secret = secrets.get(name).await.map_err(api("read", "Secret", writer))?;
    let key = match secret.data.as_ref().and_then(|data| data.get(SEED)) {
        None => None,
        Some(ByteString(seed)) => {
            let seed: [u8; 32] = seed.as_slice().try_into().map_err(|_| ClusterError::Malformed(name))?;
            Some(SigningKey::from_bytes(&seed))
        }
    };
    Ok((secret, key))
}

async fn make(secrets: &Api<Secret>, mut secret: Secret, writer: Writer) -> Result<SigningKey, ClusterError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    secret.data.get_or_insert_default().insert(SEED.to_owned(), ByteString(seed.to_vec()));
    // With its resourceVersion: of two replicas that see none, one makes it.
    match secrets.replace(writer.object_name(), &PostParams::default(), &secret).await {
        Ok(_) => Ok(SigningKey::from_bytes(&seed)),
        Err(kube::Error::Api(status)) if status.code == 409 => {
            self::seed(secrets, writer).await?.1.ok_or(ClusterError::Malformed(writer.object_name()))
        }
        Err(source) => Err(api("write", "Secret", writer)(source)),
    }
}

async fn publish(client: &Client, namespace: &str, writer: Writer, key: &SigningKey) -> Result<(), ClusterError> {
    let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let (entry, text) = keys::entry(&key.verifying_key());
    let data = data(&config_maps, writer).await?;
    let mut changes: BTreeMap<String, Value> = stale(&data).map(|name| (name, Value::Null)).collect();
    if data.get(&entry) != Some(&text) {
        changes.insert(entry, text.into());
    }
    if changes.is_empty() {
        return Ok(());
    }
    patch(&config_maps, writer, &changes).await
}

/// The oldest heads, that there are too many of.
fn stale(data: &BTreeMap<String, String>) -> impl Iterator<Item = String> {
    let mut heads: Vec<Head> = keys::anchors(data).collect();
    heads.sort_by_key(|head| std::cmp::Reverse(head.time));
    heads.into_iter().skip(HEADS).map(|head| keys::anchor_name(&head.chain))
}

async fn data(config_maps: &Api<ConfigMap>, writer: Writer) -> Result<BTreeMap<String, String>, ClusterError> {
    let found = config_maps.get(writer.object_name()).await.map_err(api("read", "ConfigMap", writer))?;
    Ok(found.data.unwrap_or_default())
}

/// Says how long a chain is.
///
/// # Errors
/// If the API server does not let us.
pub async fn anchor(client: &Client, namespace: &str, writer: Writer, head: &Head) -> Result<(), ClusterError> {
    let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let (name, text) = keys::anchor(head)?;
    patch(&config_maps, writer, &BTreeMap::from([(name, text.into())])).await
}

/// A merge patch, not an apply: it adds to what is there, and other replicas write here too.
async fn patch(
    config_maps: &Api<ConfigMap>,
    writer: Writer,
    changes: &BTreeMap<String, Value>,
) -> Result<(), ClusterError> {
    let patch = Patch::Merge(json!({"data": changes}));
    let patched = config_maps.patch(writer.object_name(), &PatchParams::default(), &patch).await;
    patched.map(|_| ()).map_err(api("write", "ConfigMap", writer))
}

fn api(what: &'static str, kind: &'static str, writer: Writer) -> impl FnOnce(kube::Error) -> ClusterError {
    move |source| ClusterError::Api { what, kind, name: writer.object_name(), source }
}
