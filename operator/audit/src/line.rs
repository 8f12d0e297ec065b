//! A line: an event, its place in a chain, and a signature over both. Always canonical JSON (RFC 8785), so that a line
//! has one form, whose bytes the next line's `prev` speaks of.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signature, Signer as _, SigningKey};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::event::Event;
use crate::keys::{Foreign, Keys, Writer, kid};

/// The version of lines.
pub const VERSION: &str = "ccos/1";

/// How each line begins: `audit` is the first of its keys. By this it is found among others, and behind what a collector
/// puts in front.
pub const START: &str = r#"{"audit":"ccos/1","#;

/// What is signed begins so. A receipt's begins with `{`: no signature of one can be one of the other, even if somebody
/// gave both the same key.
const DOMAIN: &[u8] = b"ccos audit line 1\n";

/// `prev` of the first line of a chain.
pub const NONE: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// A line without its event's type being known: a later version may have others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// [`VERSION`].
    pub audit: String,
    /// The chain: a random name, new for each process.
    pub chain: String,
    /// Its place there, from 0.
    pub seq: u64,
    /// Digest of the line before it.
    pub prev: String,
    /// When it was written.
    pub time: Timestamp,
    /// By whom.
    pub writer: Writer,
    /// What happened.
    pub event: Value,
    /// The key's name.
    pub kid: String,
    /// Ed25519, in base64, over all of the above.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sig: String,
}

/// A place in a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Head {
    /// The chain.
    pub chain: String,
    /// The line's number.
    pub seq: u64,
    /// The line's digest.
    pub digest: String,
    /// When the line was written.
    pub time: Timestamp,
}

/// An event that can't be written as canonical JSON.
#[derive(Debug, thiserror::Error)]
#[error("an event can't be written as canonical JSON: {0}")]
pub struct NotCanonical(#[from] serde_json::Error);

/// What is wrong with a line by itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum LineError {
    #[error("it can't be read: {0}")]
    Unreadable(String),
    #[error("it is not written as its writer writes: something was added, taken away or moved within it")]
    NotCanonical,
    #[error("its signature does not fit: something in it was changed")]
    Forged,
    #[error("it is signed by the unknown key {0:?}")]
    UnknownKey(String),
    #[error("it is signed by a key of the {signer}, and says that it is of the {writer}")]
    OtherWriter { signer: Writer, writer: Writer },
    #[error("it is signed by a receipt key, which signs no lines")]
    ReceiptKey,
}

/// Signs a line, and writes it.
pub(crate) fn write(mut line: Line, key: &SigningKey) -> Result<String, NotCanonical> {
    line.sig = BASE64.encode(key.sign(&signed(&line)?).to_bytes());
    Ok(String::from_utf8_lossy(&serde_json_canonicalizer::to_vec(&line)?).into_owned())
}

impl Line {
    pub(crate) fn unsigned(chain: &str, seq: u64, prev: String, writer: Writer, kid: String) -> Self {
        Self {
            audit: VERSION.to_owned(),
            chain: chain.to_owned(),
            seq,
            prev,
            time: Timestamp::UNIX_EPOCH,
            writer,
            event: Value::Null,
            kid,
            sig: String::new(),
        }
    }

    /// The event, if this version knows its type.
    #[must_use]
    pub fn event(&self) -> Option<Event> {
        Event::deserialize(&self.event).ok()
    }

    /// Reads a line and verifies it by itself. `Err` has the line too, where at least its form is right.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str, keys: &Keys) -> Result<Self, (LineError, Option<Box<Self>>)> {
        let line: Self =
            serde_json::from_str(text).map_err(|error| (LineError::Unreadable(error.to_string()), None))?;
        match line.check(text, keys) {
            Ok(()) => Ok(line),
            Err(error) => Err((error, Some(Box::new(line)))),
        }
    }

    fn check(&self, text: &str, keys: &Keys) -> Result<(), LineError> {
        let unreadable = |error: serde_json::Error| LineError::Unreadable(error.to_string());
        // By its bytes: two texts of the same value, such as with a key twice, are read differently by others.
        if serde_json_canonicalizer::to_vec(self).map_err(unreadable)? != text.as_bytes() {
            return Err(LineError::NotCanonical);
        }
        if self.audit != VERSION {
            return Err(LineError::Unreadable(format!("expected version {VERSION:?}, but found {:?}", self.audit)));
        }
        let key = keys.get(self.writer, &self.kid).map_err(|foreign| match foreign {
            Foreign::Unknown => LineError::UnknownKey(self.kid.clone()),
            Foreign::Writer(signer) => LineError::OtherWriter { signer, writer: self.writer },
            Foreign::ReceiptKey => LineError::ReceiptKey,
        })?;
        let signature = BASE64.decode(&self.sig).ok().and_then(|bytes| Signature::from_slice(&bytes).ok());
        let signed = signed(self).map_err(|NotCanonical(error)| unreadable(error))?;
        // Strict: nobody makes a second signature of a line from a first one.
        signature
            .is_some_and(|signature| key.verify_strict(&signed, &signature).is_ok())
            .then_some(())
            .ok_or(LineError::Forged)
    }
}

/// What is signed of a line: all but the signature.
fn signed(line: &Line) -> Result<Vec<u8>, NotCanonical> {
    let unsigned = Line { sig: String::new(), ..line.clone() };
    let mut bytes = DOMAIN.to_vec();
    bytes.extend(serde_json_canonicalizer::to_vec(&unsigned)?);
    Ok(bytes)
}

/// The digest of a line, by which the next one knows it.
#[must_use]
pub fn digest(text: &str) -> String {
    format!("sha256:{}", hex(Sha256::digest(text).iter()))
}

impl Head {
    /// Of a line whose digest is that of this text.
    #[must_use]
    pub fn of(line: &Line, text: &str) -> Self {
        Self { chain: line.chain.clone(), seq: line.seq, digest: digest(text), time: line.time }
    }
}

/// The name of a signing key.
pub(crate) fn kid_of(key: &SigningKey) -> String {
    kid(&key.verifying_key())
}

pub(crate) fn hex<'a>(bytes: impl Iterator<Item = &'a u8>) -> String {
    use std::fmt::Write as _;
    bytes.fold(String::new(), |mut text, byte| {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
