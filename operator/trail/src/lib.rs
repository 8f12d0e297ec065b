//! Keeps the audit trail of a process. What its lines say is in [`ccos_audit`]; here they are written: to standard output
//! and, if there is one, to a volume.
//!
//! [`Trail::write`] returns when the line is written. Whoever gets an error has to leave undone what the line would have
//! told of: nothing happens that is not on record.

pub mod cluster;
pub mod sink;
mod thread;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ccos_audit::event::{Close, Open};
use ccos_audit::{Chain, Event, Head, Writer};
use kube::Client;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tracing::warn;

use cluster::ClusterError;
use sink::{Sinks, Volume, heads};
pub use thread::Failed;
use thread::Order;

/// How many lines may wait to be written. More wait for room: none is dropped.
const WAITING: usize = 1024;

/// How often the head of the chain is written into the cluster, if it moved. What is cut from the end of the trail within
/// this time is found by receipts alone.
const ANCHORED: Duration = Duration::from_secs(30);

/// How long the end of the process waits for its last head to be in the cluster.
const LAST: Duration = Duration::from_secs(3);

/// How long to wait before what failed is tried again.
const AGAIN: Duration = Duration::from_secs(2);

/// The trail of this process. Clones write to the same chain.
#[derive(Clone, Debug)]
pub struct Trail {
    orders: mpsc::Sender<Order>,
    head: watch::Receiver<Option<Head>>,
    /// Writes heads into the cluster.
    anchoring: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// Whose trail it is, and where it is kept.
#[derive(Clone, Debug)]
pub struct Place {
    /// Who writes.
    pub writer: Writer,
    /// Its namespace, with the key.
    pub namespace: String,
    /// The pod.
    pub instance: String,
    /// A folder of a volume.
    pub folder: Option<PathBuf>,
}

/// Why there is no trail.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum OpenError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("no randomness for the name of a chain")]
    Random(#[from] getrandom::Error),
    #[error("cannot use the audit folder {folder}")]
    Folder { folder: PathBuf, source: std::io::Error },
    #[error("the first line can't be written")]
    First(#[from] Failed),
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

impl Trail {
    /// Begins a chain, with the key of the cluster. Tries until that succeeds: without a trail nothing is to be decided.
    pub async fn opened(client: &Client, place: &Place) -> Self {
        loop {
            match Self::open(client, place).await {
                Ok(trail) => return trail,
                Err(error) => warn!(error = chain_of(&error), "there is no audit trail yet; it is tried again"),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn open(client: &Client, place: &Place) -> Result<Self, OpenError> {
        let Place { writer, namespace, instance, folder } = place;
        let key = cluster::key(client, namespace, *writer).await?;
        let mut random = [0; 16];
        getrandom::fill(&mut random)?;
        let chain = Chain::new(*writer, key, random);
        let mut after = Vec::new();
        let mut volume = None;
        if let Some(folder) = folder {
            let failed = |source| OpenError::Folder { folder: folder.clone(), source };
            after = heads(folder).map_err(failed)?;
            volume = Some(Volume::new(folder, *writer, chain.id()).map_err(failed)?);
        }
        let trail = Self::start(chain, Sinks { volume, out: Box::new(std::io::stdout()) })?;
        let version = env!("CARGO_PKG_VERSION").to_owned();
        trail.write(Event::Open(Open { instance: instance.clone(), version, after })).await?;
        let task = tokio::spawn(anchor(client.clone(), namespace.clone(), *writer, trail.clone()));
        *trail.anchoring.lock().await = Some(task);
        Ok(trail)
    }

    /// Writes a chain to sinks.
    ///
    /// # Errors
    /// If there can't be a thread.
    pub fn start(chain: Chain, sinks: Sinks) -> Result<Self, OpenError> {
        let (orders, given) = mpsc::channel(WAITING);
        let (tell, head) = watch::channel(None);
        let name = "audit trail".to_owned();
        let run = move || thread::run(chain, sinks, given, &tell);
        std::thread::Builder::new().name(name).spawn(run).map_err(OpenError::Thread)?;
        Ok(Self { orders, head, anchoring: Arc::default() })
    }

    /// Writes a line, and returns when it is written.
    ///
    /// # Errors
    /// If it was not.
    pub async fn write(&self, event: Event) -> Result<(), Failed> {
        let (answer, written) = oneshot::channel();
        self.orders.send(Order::Write(Box::new(event), answer)).await.map_err(|_| Failed::Ended)?;
        written.await.unwrap_or(Err(Failed::Ended))
    }

    /// Ends the chain in order. Nothing can be written afterwards.
    pub async fn close(&self) {
        if let Err(error) = self.write(Event::Close(Close {})).await {
            warn!(error = chain_of(&error), "the audit trail could not be closed");
        }
        let (answer, ended) = oneshot::channel();
        // Without a receiver the thread has ended already.
        if self.orders.send(Order::End(answer)).await.is_ok() {
            ended.await.unwrap_or_default();
        }
        if let Some(task) = self.anchoring.lock().await.take()
            && tokio::time::timeout(LAST, task).await.is_err()
        {
            warn!("the last head of the audit trail is not in the cluster");
        }
    }

    /// Returns when nothing can be written any more.
    pub async fn ended(&self) {
        self.orders.closed().await;
    }

    /// The last line that was written.
    #[must_use]
    pub fn head(&self) -> Option<Head> {
        self.head.borrow().clone()
    }
}

/// Writes the head of the chain into the cluster, now and then, until the chain ends.
async fn anchor(client: Client, namespace: String, writer: Writer, mut trail: Trail) {
    let mut anchored = None;
    loop {
        let ended = trail.head.changed().await.is_err();
        let head = trail.head.borrow_and_update().clone();
        if let Some(head) = head.filter(|head| anchored.as_ref() != Some(head)) {
            match cluster::anchor(&client, &namespace, writer, &head).await {
                Ok(()) => anchored = Some(head),
                Err(error) => {
                    warn!(
                        error = chain_of(&error),
                        "the head of the audit trail is not in the cluster; it is tried again"
                    );
                    trail.head.mark_changed();
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
            }
        }
        if ended {
            return;
        }
        // Woken early by the end of the chain alone.
        tokio::select! { () = tokio::time::sleep(ANCHORED) => {}, () = trail.orders.closed() => {} }
    }
}

/// An error with all its causes, as one line.
#[must_use]
pub fn chain_of(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
