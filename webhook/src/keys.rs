//! The key that signs receipts: made once, shared by the replicas, its public half published.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use ccos_plan::receipt::{Keys, encode_key, kid};
use ed25519_dalek::SigningKey;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::ObjectMeta;
use kube::{Api, Client};
use sha2::{Digest as _, Sha256};

use crate::receipt::random;

/// The Secret with the private half. Deleting it makes the webhook use a new one; receipts of the old one stay good.
pub const SECRET: &str = "ccos-receipt-key";
/// The ConfigMap with the public halves of this key and of all before it.
pub const CONFIG_MAP: &str = "ccos-receipt-keys";
const SECRET_TYPE: &str = "security.ccos.dev/receipt-key";
const SEED: &str = "seed";

/// The key that signs, and those that are known.
#[derive(Debug)]
pub struct Signing {
    /// Signs.
    pub key: SigningKey,
    /// Verify.
    pub known: Keys,
}

/// How long a path is used, in seconds. The API server shows it to a requester whenever a call fails, so that it can't stay
/// a secret for long.
const PATH_LIFETIME: i64 = 600;

impl Signing {
    /// The last segment of the paths at which the API server calls, now. Nothing else authenticates it: any pod that
    /// reaches the Service could have a review answered, and signed, in anybody's name. So the paths are a secret between
    /// the webhook and its configurations, where the webhook itself writes them, anew every ten minutes. Whoever may read
    /// those configurations is an administrator of the cluster.
    #[must_use]
    pub fn path_secret(&self, now: Timestamp) -> String {
        self.secret_of(now.as_second().div_euclid(PATH_LIFETIME))
    }

    /// Whether a caller knows the paths: those of now, of just before, and of a replica whose clock is ahead.
    #[must_use]
    pub fn is_called_by(&self, secret: &str, now: Timestamp) -> bool {
        let turn = now.as_second().div_euclid(PATH_LIFETIME);
        // By digests: how long the comparison takes tells nothing about the secret.
        let given = Sha256::digest(secret);
        [turn - 1, turn, turn + 1].into_iter().any(|turn| Sha256::digest(self.secret_of(turn)) == given)
    }

    /// Whether a path is fresh enough to stay where it is: of now, or of a replica whose clock is ahead. Otherwise two
    /// replicas would change it back and forth.
    #[must_use]
    pub fn is_fresh(&self, secret: &str, now: Timestamp) -> bool {
        let turn = now.as_second().div_euclid(PATH_LIFETIME);
        [turn, turn + 1].into_iter().any(|turn| self.secret_of(turn) == secret)
    }

    fn secret_of(&self, turn: i64) -> String {
        use std::fmt::Write as _;
        let digest = Sha256::new()
            .chain_update("ccos admission path 1")
            .chain_update(self.key.to_bytes())
            .chain_update(turn.to_be_bytes())
            .finalize();
        digest.iter().fold(String::new(), |mut text, byte| {
            // Writing to a String can't fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// The keys, once they are there.
#[derive(Clone, Debug, Default)]
pub struct Shared(Arc<RwLock<Option<Arc<Signing>>>>);

impl Shared {
    /// The keys.
    #[must_use]
    pub fn get(&self) -> Option<Arc<Signing>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Uses these from now on.
    pub fn set(&self, signing: Signing) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(signing));
    }
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum KeyError {
    #[error("cannot {what}")]
    Api { what: &'static str, source: kube::Error },
    #[error("no randomness for a key")]
    Random(#[from] getrandom::Error),
    #[error("Secret {SECRET:?} has no 32 bytes in {SEED:?}: delete it to have a new one made")]
    Malformed,
}

/// The keys, made and published if need be. Published first: nobody could verify a receipt that comes earlier.
///
/// # Errors
/// If the API server does not let us.
pub async fn ensure(client: &Client, namespace: &str) -> Result<Signing, KeyError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let key = match seed(&secrets).await? {
        Some(seed) => SigningKey::from_bytes(&seed),
        None => make(&secrets).await?,
    };
    let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let known = publish(&config_maps, &key).await?;
    Ok(Signing { key, known })
}

async fn seed(secrets: &Api<Secret>) -> Result<Option<[u8; 32]>, KeyError> {
    let api = |source| KeyError::Api { what: "read Secret \"ccos-receipt-key\"", source };
    let Some(secret) = secrets.get_opt(SECRET).await.map_err(api)? else { return Ok(None) };
    let ByteString(seed) = secret.data.and_then(|mut data| data.remove(SEED)).ok_or(KeyError::Malformed)?;
    Ok(Some(seed.try_into().map_err(|_| KeyError::Malformed)?))
}

async fn make(secrets: &Api<Secret>) -> Result<SigningKey, KeyError> {
    let seed = random()?;
    let secret = Secret {
        metadata: ObjectMeta { name: Some(SECRET.to_owned()), ..ObjectMeta::default() },
        type_: Some(SECRET_TYPE.to_owned()),
        data: Some(BTreeMap::from([(SEED.to_owned(), ByteString(seed.to_vec()))])),
        // A changed seed would be another key under replicas that hold this one.
        immutable: Some(true),
        ..Secret::default()
    };
    match secrets.create(&PostParams::default(), &secret).await {
        Ok(_) => Ok(SigningKey::from_bytes(&seed)),
        // Another replica was faster; its key it is.
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            Ok(SigningKey::from_bytes(&self::seed(secrets).await?.ok_or(KeyError::Malformed)?))
        }
        Err(source) => Err(KeyError::Api { what: "create Secret \"ccos-receipt-key\"", source }),
    }
}

async fn publish(config_maps: &Api<ConfigMap>, key: &SigningKey) -> Result<Keys, KeyError> {
    let public = key.verifying_key();
    let (name, text) = (kid(&public), encode_key(&public));
    let read = |source| KeyError::Api { what: "read ConfigMap \"ccos-receipt-keys\"", source };
    let write = |source| KeyError::Api { what: "write ConfigMap \"ccos-receipt-keys\"", source };
    let data = BTreeMap::from([(name.clone(), text.clone())]);
    let found = match config_maps.get_opt(CONFIG_MAP).await.map_err(read)? {
        Some(found) => found,
        None => create(config_maps, data.clone()).await?,
    };
    let published = found.data.as_ref().and_then(|data| data.get(&name)) == Some(&text);
    // A merge patch, not an apply: it adds to what is there, and an apply would take the keys before this one away,
    // with which receipts were signed that are still to be verified.
    let found = if published {
        found
    } else {
        let patch = Patch::Merge(serde_json::json!({"data": data}));
        config_maps.patch(CONFIG_MAP, &PatchParams::default(), &patch).await.map_err(write)?
    };
    Ok(Keys::read(&found.data.unwrap_or_default()))
}

async fn create(config_maps: &Api<ConfigMap>, data: BTreeMap<String, String>) -> Result<ConfigMap, KeyError> {
    let metadata = ObjectMeta { name: Some(CONFIG_MAP.to_owned()), ..ObjectMeta::default() };
    let fresh = ConfigMap { metadata, data: Some(data), ..ConfigMap::default() };
    match config_maps.create(&PostParams::default(), &fresh).await {
        Ok(created) => Ok(created),
        Err(kube::Error::Api(status)) if status.is_already_exists() => config_maps
            .get(CONFIG_MAP)
            .await
            .map_err(|source| KeyError::Api { what: "read ConfigMap \"ccos-receipt-keys\"", source }),
        Err(source) => Err(KeyError::Api { what: "write ConfigMap \"ccos-receipt-keys\"", source }),
    }
}
