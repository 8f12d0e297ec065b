//! Why not, for people and for machines.

use ccos_plan::wire::{FieldError, FieldErrors};
use ccos_policy::Denials;
use kube::core::response::{Status, StatusCause, StatusDetails};

use crate::admission::Request;

/// The object that an answer speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its kind.
    pub kind: String,
    /// Its group.
    pub group: String,
    /// Its name, or the start of one that the API server will make up.
    pub name: String,
}

impl Subject {
    /// Of a request.
    #[must_use]
    pub fn of(request: &Request) -> Self {
        let generated = || {
            let prefix = request.object.as_ref().and_then(|object| object.pointer("/metadata/generateName"));
            prefix.and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
        };
        let name = if request.name.is_empty() { generated() } else { request.name.clone() };
        Self { kind: request.kind.kind.clone(), group: request.kind.group.clone(), name }
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", self.kind, self.name)
    }
}

/// No, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The decision says no.
    Denied {
        /// For people, with all reasons.
        message: String,
        /// For machines.
        denials: Denials,
    },
    /// Fields can't be what they are.
    Invalid(FieldErrors),
    /// The requester may not do what the fields ask for: field and message.
    Forbidden(Vec<FieldError>),
    /// The receipt does not allow it.
    Receipt(String),
    /// It can't be understood.
    Unreadable(String),
    /// It could not be decided now.
    TryAgain(String),
}

impl Refusal {
    /// It can't be understood.
    #[must_use]
    pub fn unreadable(message: impl Into<String>) -> Self {
        Self::Unreadable(message.into())
    }

    /// It could not be decided now, for this reason.
    #[must_use]
    pub fn try_again(error: &dyn std::error::Error) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            let text = error.to_string();
            // kube's errors repeat their sources.
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            source = error.source();
        }
        Self::TryAgain(message)
    }

    /// One word, for metrics and logs.
    #[must_use]
    pub const fn outcome(&self) -> &'static str {
        match self {
            Self::Denied { .. } => "denied",
            Self::Invalid(_) => "invalid",
            Self::Forbidden(_) => "forbidden",
            Self::Receipt(_) => "receipt",
            Self::Unreadable(_) => "unreadable",
            Self::TryAgain(_) => "undecided",
        }
    }

    /// The reasons, each with its field.
    #[must_use]
    pub fn causes(&self) -> Vec<StatusCause> {
        let cause = |reason: &str, field: &str, message: String| StatusCause {
            reason: reason.to_owned(),
            message,
            field: field.to_owned(),
        };
        match self {
            Self::Denied { message: _, denials } => denials
                .iter()
                .map(|denial| cause(denial.reason().as_str(), denial.field.as_str(), denial.message()))
                .collect(),
            // As Kubernetes itself names them, so that its clients print them well.
            Self::Invalid(errors) => {
                each(&errors.0, |error| cause("FieldValueInvalid", &error.field, error.message.clone()))
            }
            Self::Forbidden(errors) => {
                each(errors, |error| cause("FieldValueForbidden", &error.field, error.message.clone()))
            }
            Self::Receipt(message) => vec![cause("ReceiptInvalid", crate::receipt::FIELD, message.clone())],
            Self::Unreadable(_) | Self::TryAgain(_) => Vec::new(),
        }
    }

    /// The status that the API server hands to whoever asked.
    #[must_use]
    pub fn status(&self, subject: &Subject) -> Status {
        let (code, reason, message) = match self {
            Self::Denied { message, denials: _ } => (403, "Forbidden", message.clone()),
            Self::Invalid(errors) => (422, "Invalid", format!("{subject} is invalid:{}", lines(&errors.0))),
            Self::Forbidden(errors) => (403, "Forbidden", format!("{subject} is forbidden:{}", lines(errors))),
            Self::Receipt(why) => (403, "Forbidden", format!("{subject} has no receipt that admits it: {why}")),
            Self::Unreadable(why) => (400, "BadRequest", why.clone()),
            Self::TryAgain(why) => {
                (503, "ServiceUnavailable", format!("{subject} could not be decided: {why}; try again"))
            }
        };
        let details = StatusDetails {
            name: subject.name.clone(),
            group: subject.group.clone(),
            kind: subject.kind.clone(),
            uid: String::new(),
            causes: self.causes(),
            // Clients of Kubernetes try again by themselves when they are told when.
            retry_after_seconds: u32::from(matches!(self, Self::TryAgain(_))),
        };
        Status::failure(&message, reason).with_code(code).with_details(details)
    }
}

fn each<T, U>(items: &[T], map: impl Fn(&T) -> U) -> Vec<U> {
    items.iter().map(map).collect()
}

fn lines(errors: &[FieldError]) -> String {
    errors.iter().fold(String::new(), |text, error| format!("{text}\n  {error}"))
}
