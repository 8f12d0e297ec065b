//! SHA-256 over canonical JSON (RFC 8785): the same value has the same digest, whoever writes it.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// A value that is no JSON, such as one with a number that is not finite.
#[derive(Debug, thiserror::Error)]
#[error("cannot be written as canonical JSON")]
pub struct NotCanonical(#[from] serde_json::Error);

/// The canonical JSON of a value.
///
/// # Errors
/// If the value is no JSON.
pub fn canonical(value: &impl Serialize) -> Result<Vec<u8>, NotCanonical> {
    Ok(serde_json_canonicalizer::to_vec(value)?)
}

/// `sha256:` and the digest of the value's canonical JSON, in lower-case hexadecimal.
///
/// # Errors
/// If the value is no JSON.
pub fn sha256(value: &impl Serialize) -> Result<String, NotCanonical> {
    use std::fmt::Write as _;
    let mut text = String::from("sha256:");
    for byte in Sha256::digest(canonical(value)?) {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}
