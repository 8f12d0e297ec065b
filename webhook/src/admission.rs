//! The wire of admission reviews (`admission.k8s.io/v1`), as far as it matters here.
//!
//! Not `kube::core::admission`: that reads review and object in one go, and loses the uid of a review whose object can't
//! be read, without which the API server understands no answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ccos_plan::receipt::Requester;
use k8s_openapi::api::authentication::v1::UserInfo;
use kube::core::response::Status;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The most that is read of a request: twice what the largest execution weighs, with its copy in an annotation.
pub const BODY_LIMIT: usize = 2 * 1024 * 1024;

/// What the API server asks.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Of this review; the answer repeats it.
    pub uid: String,
    /// The object's kind.
    pub kind: Kind,
    /// `status` and the like; absent: the object itself.
    #[serde(default)]
    pub sub_resource: Option<String>,
    /// The object's name; empty where the API server makes one up.
    #[serde(default)]
    pub name: String,
    /// The object's namespace.
    #[serde(default)]
    pub namespace: Option<String>,
    /// What is done with it.
    pub operation: Operation,
    /// Who does it.
    pub user_info: UserInfo,
    /// As it will be.
    #[serde(default)]
    pub object: Option<Value>,
    /// As it was.
    #[serde(default)]
    pub old_object: Option<Value>,
    /// Nothing will be stored.
    #[serde(default)]
    pub dry_run: Option<bool>,
}

/// A kind with its group and version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Kind {
    /// Its API group.
    pub group: String,
    /// Its version.
    pub version: String,
    /// Its name.
    pub kind: String,
}

/// What is done with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "they explain themselves")]
pub enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

impl Operation {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

impl Request {
    /// Whether nothing will be stored.
    #[must_use]
    pub fn is_dry_run(&self) -> bool {
        self.dry_run == Some(true)
    }

    /// Who asks, as a receipt has it.
    #[must_use]
    pub fn requester(&self) -> Requester {
        let UserInfo { extra, groups, uid, username } = self.user_info.clone();
        Requester {
            user: username.unwrap_or_default(),
            groups: groups.unwrap_or_default(),
            uid: uid.unwrap_or_default(),
            extra: extra.unwrap_or_default(),
        }
    }

    /// Who asks, for messages.
    #[must_use]
    pub fn requester_display(&self) -> String {
        format!("user {:?}", self.user_info.username.as_deref().unwrap_or_default())
    }
}

/// A body that is no review.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Unreadable {
    /// Of the review, where at least that could be read.
    pub uid: Option<String>,
    /// What was wrong.
    pub message: String,
}

/// Reads a review.
///
/// # Errors
/// If it is none.
pub fn read(body: &[u8]) -> Result<Request, Unreadable> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Review {
        api_version: String,
        kind: String,
        request: Request,
    }
    let unreadable = |message: String| Unreadable { uid: uid(body), message };
    let Review { api_version, kind, request } = serde_json::from_slice(body)
        .map_err(|error| unreadable(format!("cannot read the admission review: {error}")))?;
    if (api_version.as_str(), kind.as_str()) != ("admission.k8s.io/v1", "AdmissionReview") {
        return Err(unreadable(format!(
            "expected an AdmissionReview of admission.k8s.io/v1, but found {kind:?} of {api_version:?}"
        )));
    }
    Ok(request)
}

/// The uid alone. What is not asked for is skipped without recursion, so that this reads what is nested too deep too.
fn uid(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Head {
        request: Uid,
    }
    #[derive(Deserialize)]
    struct Uid {
        uid: String,
    }
    serde_json::from_slice::<Head>(body).ok().map(|head| head.request.uid)
}

/// A change of the object, by RFC 6902.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Change {
    /// Sets a value, whether or not there was one.
    Add {
        /// Where.
        path: String,
        /// To what.
        value: Value,
    },
    /// Removes a value.
    Remove {
        /// Where.
        path: String,
    },
}

/// The answer.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    uid: String,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

impl Response {
    /// Yes, with these changes.
    ///
    /// # Errors
    /// If the changes are no JSON.
    pub fn allowed(uid: String, changes: &[Change], warnings: Vec<String>) -> Result<Self, serde_json::Error> {
        let patch = match changes {
            [] => None,
            changes => Some(BASE64.encode(serde_json::to_vec(changes)?)),
        };
        let patch_type = patch.is_some().then_some("JSONPatch");
        Ok(Self { uid, allowed: true, status: None, patch, patch_type, warnings })
    }

    /// No, and why.
    #[must_use]
    pub fn refused(uid: String, status: Status) -> Self {
        Self { uid, allowed: false, status: Some(status), patch: None, patch_type: None, warnings: Vec::new() }
    }

    /// The review that carries it.
    #[must_use]
    pub fn into_review(self) -> Value {
        serde_json::json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": self})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uid_survives_an_object_that_is_nested_too_deep() {
        let body = format!(
            r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{{"uid":"u","object":{}{}}}}}"#,
            "[".repeat(5000),
            "]".repeat(5000)
        );
        let error = read(body.as_bytes()).unwrap_err();
        assert_eq!(error.uid.as_deref(), Some("u"));
        assert!(error.message.starts_with("cannot read the admission review"), "{error}");
    }

    #[test]
    fn a_review_of_another_version_is_named() {
        let body = r#"{"apiVersion":"admission.k8s.io/v2","kind":"AdmissionReview","request":{"uid":"u",
            "kind":{"group":"","version":"","kind":""},"operation":"CREATE","userInfo":{}}}"#;
        let error = read(body.as_bytes()).unwrap_err();
        assert!(error.message.contains(r#"but found "AdmissionReview" of "admission.k8s.io/v2""#), "{error}");
    }

    #[test]
    fn changes_look_as_rfc_6902_has_them() {
        let changes =
            [Change::Add { path: "/a".to_owned(), value: "b".into() }, Change::Remove { path: "/c".to_owned() }];
        let text = serde_json::to_string(&changes).unwrap();
        assert_eq!(text, r#"[{"op":"add","path":"/a","value":"b"},{"op":"remove","path":"/c"}]"#);
    }
}
