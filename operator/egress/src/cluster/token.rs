//! Tokens: what they claim, and which were reviewed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use k8s_openapi::api::authentication::v1::TokenReviewStatus;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// Bytes of a token.
const MAX_TOKEN: usize = 4096;

/// Reviewed tokens that are remembered. A pod has one at a time, and a new one every hour or so.
const MAX_TOKENS: usize = 8192;

/// What a token says of itself. Nothing of it is believed before the API server said that the token is good.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Claims {
    /// The UID of the pod that it is bound to.
    pub(super) pod: String,
    /// When it expires.
    pub(super) expires: SystemTime,
}

#[derive(Deserialize)]
struct Payload {
    exp: u64,
    #[serde(rename = "kubernetes.io")]
    kubernetes: Bound,
}

#[derive(Deserialize)]
struct Bound {
    pod: BoundPod,
}

#[derive(Deserialize)]
struct BoundPod {
    uid: String,
}

impl Claims {
    /// Of a JSON Web Token (RFC 7519).
    pub(super) fn read(token: &str) -> Option<Self> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let mut parts = token.split('.');
        let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return None;
        };
        let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let Payload { exp, kubernetes } = serde_json::from_slice(&payload).ok()?;
        Some(Self { pod: kubernetes.pod.uid, expires: UNIX_EPOCH.checked_add(Duration::from_secs(exp))? })
    }
}

/// The namespace and the UID of the pod that a good token is bound to.
pub(super) fn pod_of(status: &TokenReviewStatus) -> Option<(String, String)> {
    let user = status.user.as_ref()?;
    let account = user.username.as_deref()?.strip_prefix("system:serviceaccount:")?;
    let (namespace, _) = account.split_once(':')?;
    let uids = user.extra.as_ref()?.get("authentication.kubernetes.io/pod-uid")?;
    match uids.as_slice() {
        [uid] => Some((namespace.to_owned(), uid.clone())),
        _ => None,
    }
}

/// Reviewed tokens, by their digest: the tokens themselves are nowhere.
#[derive(Default)]
pub(super) struct Tokens(Mutex<HashMap<[u8; 32], Reviewed>>);

struct Reviewed {
    pod: String,
    expires: SystemTime,
}

impl Tokens {
    /// The UID of the pod of a token that was reviewed and has not expired.
    pub(super) fn known(&self, token: &str) -> Option<String> {
        let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let reviewed = tokens.get(&digest(token))?;
        (SystemTime::now() < reviewed.expires).then(|| reviewed.pod.clone())
    }

    /// Remembers a token that was reviewed.
    pub(super) fn remember(&self, token: &str, pod: &str, expires: SystemTime) {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= MAX_TOKENS {
            let now = SystemTime::now();
            tokens.retain(|_, reviewed| now < reviewed.expires);
            // Then all are reviewed once more, which is slower, not wrong.
            if tokens.len() >= MAX_TOKENS {
                tokens.clear();
            }
        }
        tokens.insert(digest(token), Reviewed { pod: pod.to_owned(), expires });
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(payload: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn claims_are_those_of_a_token_bound_to_a_pod() {
        let claims = Claims::read(&token(r#"{"exp":60,"aud":["x"],"kubernetes.io":{"pod":{"name":"p","uid":"u"}}}"#));
        assert_eq!(claims, Some(Claims { pod: "u".to_owned(), expires: UNIX_EPOCH + Duration::from_mins(1) }));
        for odd in [
            String::new(),
            "a.b".to_owned(),
            "a.b.c.d".to_owned(),
            "a.!.c".to_owned(),
            token("{}"),
            token(r#"{"exp":60}"#),
            token(r#"{"exp":60,"kubernetes.io":{"namespace":"n"}}"#),
            token(&format!(r#"{{"exp":60,"kubernetes.io":{{"pod":{{"uid":"u"}}}},"x":"{}"}}"#, "x".repeat(MAX_TOKEN))),
        ] {
            assert_eq!(Claims::read(&odd), None, "{odd}");
        }
    }

    #[test]
    fn a_review_of_anybody_but_a_pod_is_nobody() {
        let status = |username: &str, uids: &[&str]| {
            let extra = serde_json::json!({"authentication.kubernetes.io/pod-uid": uids});
            let user = serde_json::json!({"username": username, "extra": extra});
            pod_of(&serde_json::from_value(serde_json::json!({"authenticated": true, "user": user})).unwrap())
        };
        assert_eq!(status("system:serviceaccount:n:default", &["u"]), Some(("n".to_owned(), "u".to_owned())));
        assert_eq!(status("system:serviceaccount:n:default", &[]), None);
        assert_eq!(status("system:serviceaccount:n:default", &["u", "v"]), None);
        assert_eq!(status("alice", &["u"]), None);
    }

    #[test]
    fn a_token_is_known_until_it_expires_and_their_number_is_bounded() {
        let tokens = Tokens::default();
        let hour = SystemTime::now() + Duration::from_hours(1);
        tokens.remember("a", "u", hour);
        assert_eq!(tokens.known("a").as_deref(), Some("u"));
        assert_eq!(tokens.known("b"), None);
        tokens.remember("old", "u", SystemTime::now() - Duration::from_secs(1));
        assert_eq!(tokens.known("old"), None);
        for number in 0..2 * MAX_TOKENS {
            tokens.remember(&format!("t{number}"), "u", hour);
        }
        assert!(tokens.0.lock().unwrap().len() <= MAX_TOKENS);
    }
}
