//! Who asks, as the cluster tells it: tokens by the API server, pods by a watch.
//!
//! A token is looked at by the API server once, and then remembered until it expires or its pod ends: the watch tells of that
//! at once, a second review would only later. When the watch can't be trusted any more, nobody new is let in.

mod fresh;
mod replicas;
mod secrets;
mod table;
mod token;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use ccos_profile::egress::{AUDIENCE, EXECUTION_LABEL};
use futures::StreamExt as _;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PostParams};
use kube::client::ClientBuilder;
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::identify::{Execution, Identify, Unknown};
use crate::metrics::Metrics;
pub use fresh::Fresh;
pub use replicas::OfCluster;
pub use secrets::OfApi;
use table::Table;
use token::{Claims, Tokens};

/// The audience of the tokens that replicas show to each other.
const REPLICA_AUDIENCE: &str = "ccos-egress-replica";

/// How long the API server keeps one watch open. Each new one shows that changes still arrive.
const WATCH: Duration = Duration::from_secs(20);

/// A watch that did not begin anew for so long can't be trusted: three of its rounds.
pub const STALE: Duration = Duration::from_mins(1);

/// How long a token waits for its pod to be seen: a pod can be faster than the watch.
const PATIENCE: Duration = Duration::from_secs(3);

/// Reviews at one time: who shows tokens of nobody must not turn the proxy against the API server.
const REVIEWS: usize = 8;

/// For one review.
const REVIEW: Duration = Duration::from_secs(5);

/// The cluster, as far as the proxy sees it.
pub struct Cluster {
    reviews: Api<TokenReview>,
    tickets: Semaphore,
    tokens: Tokens,
    table: Arc<Table>,
    fresh: Fresh,
    metrics: Metrics,
}

impl Cluster {
    /// Begins to watch the pods of executions. The second part resolves when the watch ends, which it never should.
    /// # Errors
    /// If no client can be made of the configuration.
    pub fn watch(config: kube::Config, metrics: Metrics) -> Result<(Self, impl Future<Output = ()>), kube::Error> {
        let fresh = Fresh::default();
        let client = ClientBuilder::try_from(config)?.with_layer(&fresh.layer()).build();
        let table = Arc::new(Table::new(metrics.clone()));
        let watched = watched(Api::all(client.clone()), Arc::clone(&table), fresh.clone());
        let cluster = Self {
            reviews: Api::all(client),
            tickets: Semaphore::new(REVIEWS),
            tokens: Tokens::default(),
            table,
            fresh,
            metrics,
        };
        Ok((cluster, watched))
    }

    /// Whether it can tell who runs.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.fresh.is_within(STALE)
    }

    /// When the watch was last known to live.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.fresh.age()
    }

    /// The UID of the pod of this account whose token for other replicas this is.
    pub(crate) async fn replica(&self, token: &str, account: &str) -> Option<String> {
        let status = self.review(token, REPLICA_AUDIENCE).await.ok()?;
        let user = status.user.as_ref().and_then(|user| user.username.as_deref());
        let (_, uid) = token::pod_of(&status)?;
        (user == Some(account)).then_some(uid)
    }

    /// The running execution of this pod.
    pub(crate) fn running(&self, uid: &str) -> Option<Arc<Execution>> {
        self.table.running(uid)
    }

    /// All running executions.
    pub(crate) fn all(&self) -> Vec<Arc<Execution>> {
        self.table.all()
    }

    async fn review(&self, token: &str, audience: &str) -> Result<TokenReviewStatus, Unknown> {
        let review = TokenReview {
            spec: TokenReviewSpec { token: token.to_owned(), audiences: Some(vec![audience.to_owned()]) },
            ..TokenReview::default()
        };
        let ask = async {
            // Closed never: it lives as long as this.
            let _ticket = self.tickets.acquire().await;
            self.metrics.reviewed();
            self.reviews.create(&PostParams::default(), &review).await
        };
        let asked = timeout(REVIEW, ask).await;
        let Ok(Ok(TokenReview { status: Some(status), .. })) = asked else {
            if let Ok(Err(error)) = asked {
                warn!(error = %error, "the API server does not review a token");
            }
            return Err(Unknown::not_ready("the API server does not answer who this is"));
        };
        let ours = status.audiences.iter().flatten().any(|each| each == audience);
        if status.authenticated == Some(true) && ours {
            Ok(status)
        } else {
            Err(Unknown::unidentified("the API server does not accept this token for the egress proxy"))
        }
    }
}

impl Identify for Cluster {
    async fn identify(&self, token: &str) -> Result<Arc<Execution>, Unknown> {
        if !self.is_ready() {
            let age = self.age().as_secs();
            let message = format!("the watch of pods has been silent for {age}s: it can't be told who still runs");
            return Err(Unknown::not_ready(&message));
        }
        if let Some(uid) = self.tokens.known(token) {
            return self.table.running(&uid).ok_or_else(|| Unknown::unidentified("the pod of this token has ended"));
        }
        // Only to save the API server the rest: what it says of a pod is believed, not what the token says.
        let claimed = Claims::read(token).ok_or_else(|| Unknown::unidentified("this is no token of a pod"))?;
        if timeout(PATIENCE, self.table.appears(&claimed.pod)).await.is_err() {
            return Err(Unknown::unidentified("no execution runs in the pod of this token"));
        }
        let status = self.review(token, AUDIENCE).await?;
        let (namespace, uid) =
            token::pod_of(&status).ok_or_else(|| Unknown::unidentified("the token is not bound to a pod"))?;
        let execution = self.table.running(&uid).filter(|execution| execution.namespace == namespace);
        let execution = execution.ok_or_else(|| Unknown::unidentified("no execution runs in the pod of this token"))?;
        self.tokens.remember(token, &uid, claimed.expires);
        Ok(execution)
    }
}

async fn watched(pods: Api<Pod>, table: Arc<Table>, fresh: Fresh) {
    let seconds = u32::try_from(WATCH.as_secs()).unwrap_or(u32::MAX);
    let config = watcher::Config::default().labels(EXECUTION_LABEL).timeout(seconds);
    let mut events = Box::pin(watcher(pods, config).default_backoff());
    let mut listed = HashSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init) => listed.clear(),
            Ok(watcher::Event::InitApply(pod)) => {
                listed.extend(pod.metadata.uid.clone());
                table.seen(&pod);
            }
            Ok(watcher::Event::InitDone) => {
                table.only(&std::mem::take(&mut listed));
                fresh.listed();
                info!("the pods of executions are listed");
            }
            Ok(watcher::Event::Apply(pod)) => table.seen(&pod),
            Ok(watcher::Event::Delete(pod)) => table.gone(pod.metadata.uid.as_deref().unwrap_or_default()),
            Err(error) => warn!(%error, "the watch of pods failed; it is begun anew"),
        }
    }
}
