//! Who asks. The answer is an [`Execution`], which lives as long as its pod.

use std::sync::Arc;

use ccos_profile::egress::Refusal;
use tokio::sync::{Mutex, watch};

use crate::count::Account;
use crate::decide::{Grants, RulesError};

/// Tells whose token it is.
pub trait Identify: Send + Sync + 'static {
    /// The running execution that the token is of.
    fn identify(&self, token: &str) -> impl Future<Output = Result<Arc<Execution>, Unknown>> + Send;
}

impl<I: Identify> Identify for Arc<I> {
    async fn identify(&self, token: &str) -> Result<Arc<Execution>, Unknown> {
        self.as_ref().identify(token).await
    }
}

/// A token that nobody who runs has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// [`Refusal::Unidentified`] or [`Refusal::NotReady`].
    pub refusal: Refusal,
    /// For people.
    pub message: String,
}

impl Unknown {
    /// A refusal of the token itself.
    #[must_use]
    pub fn unidentified(message: &str) -> Self {
        Self { refusal: Refusal::Unidentified, message: message.to_owned() }
    }

    /// It can't be told now.
    #[must_use]
    pub fn not_ready(message: &str) -> Self {
        Self { refusal: Refusal::NotReady, message: message.to_owned() }
    }
}

/// A pod that runs, what it may, and what it did.
#[derive(Debug)]
pub struct Execution {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's UID.
    pub uid: String,
    /// The annotation as it was first seen.
    pub annotation: Option<String>,
    /// What it may; rules that can't be read grant nothing, and say why.
    pub grants: Result<Grants, String>,
    /// What it did.
    pub account: Arc<Account>,
    /// Held by who asks the other replicas for it.
    pub claiming: Mutex<()>,
    ended: watch::Sender<bool>,
}

impl Execution {
    /// An execution with the rules of this annotation.
    #[must_use]
    pub fn new(namespace: String, pod: String, uid: String, annotation: Option<String>) -> Self {
        let grants = match &annotation {
            Some(text) => Grants::parse(text).map_err(|error| with_sources(&error)),
            None => Ok(Grants::default()),
        };
        let account = Arc::new(Account::new(grants.as_ref().unwrap_or(&Grants::default())));
        let (claiming, ended) = (Mutex::default(), watch::Sender::new(false));
        Self { namespace, pod, uid, annotation, grants, account, claiming, ended }
    }

    /// It is over: its connections are cut, and it gets no new ones.
    pub fn end(&self) {
        self.ended.send_replace(true);
    }

    /// Resolves when it is over.
    pub async fn ended(&self) {
        // An error would mean that the sender is gone, which `self` holds.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// Whether it is over.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }
}

fn with_sources(error: &RulesError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
