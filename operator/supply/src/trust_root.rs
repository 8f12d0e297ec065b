//! Sigstore's trust root: `trusted_root.json` of an instance, such as `cosign trusted-root create` or a TUF repository has
//! it. Whoever gives it vouches for it; nothing is fetched.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;

/// Who may vouch for identities, and which logs may say when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustRoot {
    /// Certificates of authorities, in DER.
    pub authorities: Vec<Vec<u8>>,
    /// Public keys of transparency logs, in DER, by their ids in lower-case hexadecimal.
    pub logs: BTreeMap<String, Vec<u8>>,
}

/// Why a text is no trust root.
#[derive(Debug, thiserror::Error)]
#[error("is no trusted_root.json: {0}")]
pub struct TrustRootError(String);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    tlogs: Vec<Log>,
    certificate_authorities: Vec<Authority>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Log {
    public_key: Bytes,
    log_id: LogId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogId {
    key_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Authority {
    cert_chain: Chain,
}

#[derive(Deserialize)]
struct Chain {
    certificates: Vec<Bytes>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bytes {
    raw_bytes: String,
}

impl TrustRoot {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it. Without an authority or without a log it would vouch for nobody, and be a mistake.
    pub fn parse(text: &str) -> Result<Self, TrustRootError> {
        let wire: Wire = serde_json::from_str(text).map_err(|error| TrustRootError(error.to_string()))?;
        let certificates = wire.certificate_authorities.iter().flat_map(|authority| &authority.cert_chain.certificates);
        let authorities: Vec<Vec<u8>> =
            certificates.map(|bytes| decode("certificateAuthorities", &bytes.raw_bytes)).collect::<Result<_, _>>()?;
        let logs = wire.tlogs.iter().map(|log| {
            let id = decode("tlogs.logId", &log.log_id.key_id)?;
            Ok((hexadecimal(&id), decode("tlogs.publicKey", &log.public_key.raw_bytes)?))
        });
        let logs: BTreeMap<String, Vec<u8>> = logs.collect::<Result<_, TrustRootError>>()?;
        if authorities.is_empty() || logs.is_empty() {
            return Err(TrustRootError("expected at least one of certificateAuthorities and one of tlogs".to_owned()));
        }
        Ok(Self { authorities, logs })
    }
}

fn decode(what: &str, text: &str) -> Result<Vec<u8>, TrustRootError> {
    BASE64.decode(text).map_err(|error| TrustRootError(format!("{what}: {error}")))
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
