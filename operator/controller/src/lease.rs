//! One leader at a time, by a Lease (coordination.k8s.io), as client-go's leaderelection does it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease as Object, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Client;
use kube::api::{Api, PostParams};
use tracing::warn;

const NAME: &str = "ccos-controller";
/// How long a leader that says nothing keeps the Lease.
const DURATION: Duration = Duration::from_secs(15);
/// How often the leader says something, and others look.
const PERIOD: Duration = Duration::from_secs(2);
/// A leader that could not say anything for so long stops before another one may begin.
const DEADLINE: Duration = Duration::from_secs(10);

/// Why this is not the leader.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LeaseError {
    /// Somebody else is.
    #[error("the Lease {NAME} was taken by {0:?}")]
    Taken(String),
    /// It could not be renewed in time.
    #[error("the Lease {NAME} could not be renewed for {}s", DEADLINE.as_secs())]
    Expired(#[source] kube::Error),
    /// It could not be given back.
    #[error("cannot release the Lease {NAME}")]
    Release(#[source] kube::Error),
}

/// The Lease.
pub(crate) struct Lease {
    api: Api<Object>,
    identity: String,
    /// The last renewal of another holder that was seen, and when it was seen here: clocks of two nodes are never
    /// compared.
    seen: Mutex<Option<(MicroTime, Instant)>>,
}

enum Attempt {
    Held,
    HeldBy(String),
}

impl Lease {
    pub(crate) fn new(client: Client, namespace: &str, identity: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), identity: identity.to_owned(), seen: Mutex::default() }
    }

    /// Waits until this is the leader.
    pub(crate) async fn acquire(&self) -> Result<(), LeaseError> {
        loop {
            match self.attempt().await {
                Ok(Attempt::Held) => return Ok(()),
                Ok(Attempt::HeldBy(_)) => {}
                Err(error) => warn!(%error, "cannot ask for the Lease; will try again"),
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    /// Stays the leader. Returns when it no longer is.
    pub(crate) async fn keep(&self) -> LeaseError {
        let mut renewed = tokio::time::Instant::now();
        loop {
            tokio::time::sleep(PERIOD).await;
            match tokio::time::timeout(DEADLINE, self.attempt()).await {
                Ok(Ok(Attempt::Held)) => renewed = tokio::time::Instant::now(),
                Ok(Ok(Attempt::HeldBy(other))) => return LeaseError::Taken(other),
                Ok(Err(error)) if renewed.elapsed() >= DEADLINE => return LeaseError::Expired(error),
                Ok(Err(error)) => warn!(%error, "cannot renew the Lease; will try again"),
                Err(elapsed) => return LeaseError::Expired(kube::Error::Service(Box::new(elapsed))),
            }
        }
    }

    /// Gives it back.
    pub(crate) async fn release(&self) -> Result<(), LeaseError> {
        let Some(mut found) = self.api.get_opt(NAME).await.map_err(LeaseError::Release)? else { return Ok(()) };
        let Some(spec) = found.spec.as_mut().filter(|spec| spec.holder_identity.as_deref() == Some(&self.identity))
        else {
            return Ok(());
        };
        spec.holder_identity = None;
        self.api.replace(NAME, &PostParams::default(), &found).await.map(|_| ()).map_err(LeaseError::Release)
    }

    async fn attempt(&self) -> Result<Attempt, kube::Error> {
        let now = Timestamp::now();
        let mine = |before: Option<&LeaseSpec>| {
            let renewal = before.is_some_and(|spec| spec.holder_identity.as_deref() == Some(&self.identity));
            let transitions = before.and_then(|spec| spec.lease_transitions).unwrap_or(0);
            LeaseSpec {
                holder_identity: Some(self.identity.clone()),
                lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
                acquire_time: if renewal {
                    before.and_then(|spec| spec.acquire_time.clone())
                } else {
                    Some(MicroTime(now))
                },
                renew_time: Some(MicroTime(now)),
                lease_transitions: Some(if renewal { transitions } else { transitions.saturating_add(1) }),
                ..LeaseSpec::default()
            }
        };
        let Some(found) = self.api.get_opt(NAME).await? else {
            let metadata = ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() };
            return Self::written(
                self.api.create(&PostParams::default(), &Object { metadata, spec: Some(mine(None)) }).await,
            );
        };
        let holder = found.spec.as_ref().and_then(|spec| spec.holder_identity.clone()).unwrap_or_default();
        let renewed = found.spec.as_ref().and_then(|spec| spec.renew_time.clone());
        if !holder.is_empty() && holder != self.identity && !self.ran_out(renewed) {
            return Ok(Attempt::HeldBy(holder));
        }
        let spec = mine(found.spec.as_ref());
        // With its resourceVersion: of two that see a free Lease, one wins.
        Self::written(self.api.replace(NAME, &PostParams::default(), &Object { spec: Some(spec), ..found }).await)
    }

    /// Whether another holder has said nothing new for as long as it may.
    fn ran_out(&self, renewed: Option<MicroTime>) -> bool {
        let Some(renewed) = renewed else { return true };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match &*seen {
            Some((last, at)) if *last == renewed => at.elapsed() >= DURATION,
            Some(_) | None => {
                *seen = Some((renewed, Instant::now()));
                false
            }
        }
    }

    fn written(answer: Result<Object, kube::Error>) -> Result<Attempt, kube::Error> {
        match answer {
            Ok(_) => Ok(Attempt::Held),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Attempt::HeldBy("another replica".to_owned())),
            Err(error) => Err(error),
        }
    }
}
