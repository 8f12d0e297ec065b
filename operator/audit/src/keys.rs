//! The keys of writers. They are no receipt keys, and can't be taken for such: another name, another place, and what
//! they sign begins otherwise.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::line::{Head, hex};

/// Who writes. Each has keys of its own, which it alone may publish: the controller can't speak for the webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Writer {
    /// Registrations and decisions.
    Webhook,
    /// Starts and ends.
    Controller,
}

impl Writer {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Webhook, Self::Controller];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Controller => "controller",
        }
    }

    /// The Secret with its private key, and the ConfigMap with its public keys and with the heads of its chains.
    #[must_use]
    pub const fn object_name(self) -> &'static str {
        match self {
            Self::Webhook => "ccos-audit-webhook",
            Self::Controller => "ccos-audit-controller",
        }
    }
}

impl fmt::Display for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How entries of the ConfigMap that hold keys begin.
const KEY: &str = "key.";
/// How entries that hold heads of chains begin.
const CHAIN: &str = "chain.";

/// The name of a key. Not that of the same key as a receipt key: an entry copied from one ConfigMap to the other is
/// left out there.
#[must_use]
pub fn kid(key: &VerifyingKey) -> String {
    let digest = Sha256::new().chain_update("ccos audit key 1\n").chain_update(key.as_bytes()).finalize();
    hex(digest.iter().take(8))
}

/// A public key as an entry of the ConfigMap.
#[must_use]
pub fn entry(key: &VerifyingKey) -> (String, String) {
    (format!("{KEY}{}", kid(key)), BASE64.encode(key.as_bytes()))
}

/// The head of a chain as an entry of the ConfigMap: how long it is at least, as its writer says in the cluster.
///
/// # Errors
/// If it is no JSON.
pub fn anchor(head: &Head) -> Result<(String, String), serde_json::Error> {
    Ok((anchor_name(&head.chain), serde_json::to_string(head)?))
}

/// The name of a chain's entry.
#[must_use]
pub fn anchor_name(chain: &str) -> String {
    format!("{CHAIN}{chain}")
}

/// The heads that a ConfigMap has.
pub fn anchors<'a>(data: impl IntoIterator<Item = (&'a String, &'a String)>) -> impl Iterator<Item = Head> {
    data.into_iter().filter_map(|(name, text)| {
        let head: Head = serde_json::from_str(text).ok()?;
        (name.strip_prefix(CHAIN)? == head.chain).then_some(head)
    })
}

/// Public keys by writer and name, and the heads of chains.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    writers: BTreeMap<(Writer, String), VerifyingKey>,
    anchors: Vec<(Writer, Head)>,
    /// To say of a line that it is signed by one of these.
    receipts: Vec<VerifyingKey>,
}

impl Keys {
    /// Takes what a writer's ConfigMap holds. A key that does not have the name of its entry is left out: its writer
    /// could not have made that entry.
    pub fn add<'a>(&mut self, writer: Writer, data: impl IntoIterator<Item = (&'a String, &'a String)> + Clone) {
        self.writers.extend(data.clone().into_iter().filter_map(|(name, text)| {
            let name = name.strip_prefix(KEY)?;
            let key = decode(text)?;
            (kid(&key) == name).then_some(((writer, name.to_owned()), key))
        }));
        self.anchors.extend(anchors(data).map(|head| (writer, head)));
    }

    /// Takes the ConfigMap of receipt keys: nothing that they sign is a line.
    pub fn add_receipt_keys<'a>(&mut self, data: impl IntoIterator<Item = (&'a String, &'a String)>) {
        self.receipts.extend(data.into_iter().filter_map(|(_, text)| decode(text)));
    }

    /// Whether no line can be verified.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writers.is_empty()
    }

    /// The heads of chains that are in the cluster.
    #[must_use]
    pub fn anchors(&self) -> &[(Writer, Head)] {
        &self.anchors
    }

    pub(crate) fn get(&self, writer: Writer, kid: &str) -> Result<&VerifyingKey, Foreign> {
        if let Some(key) = self.writers.get(&(writer, kid.to_owned())) {
            return Ok(key);
        }
        let other = Writer::ALL.into_iter().find(|other| self.writers.contains_key(&(*other, kid.to_owned())));
        if let Some(other) = other {
            return Err(Foreign::Writer(other));
        }
        // By either name: whoever forges a line may call the key as receipts do.
        let receipt =
            |key: &&VerifyingKey| self::kid(key) == kid || hex(Sha256::digest(key.as_bytes()).iter().take(8)) == kid;
        Err(if self.receipts.iter().any(|key| receipt(&key)) { Foreign::ReceiptKey } else { Foreign::Unknown })
    }
}

/// Why a key is none of the writer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Foreign {
    Unknown,
    Writer(Writer),
    ReceiptKey,
}

fn decode(text: &str) -> Option<VerifyingKey> {
    let bytes: [u8; 32] = BASE64.decode(text).ok()?.try_into().ok()?;
    VerifyingKey::from_bytes(&bytes).ok()
}
