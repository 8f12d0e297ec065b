//! Watches, and how long ago each was last heard of: one that died looks healthy from outside.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watching};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

/// Each watch begins anew, with a list, this often. A watch of kube's tells nothing of bookmarks or of its own restarts,
/// so in a quiet cluster only a list shows that it lives; and a cache that missed an event is right again.
const RELIST: Duration = Duration::from_mins(4);

/// A watch that was not heard of for so long is dead: a list and its retries fit between.
pub const DEAD: Duration = Duration::from_mins(6);

/// All watches.
#[derive(Clone, Debug, Default)]
pub struct Pulses(Arc<Mutex<Vec<Arc<Pulse>>>>);

/// When a watch was last heard of.
#[derive(Debug)]
pub struct Pulse {
    kind: &'static str,
    started: Instant,
    last_millis: AtomicU64,
}

impl Pulse {
    /// It was heard of.
    pub fn beat(&self) {
        let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_millis.store(millis, Ordering::Relaxed);
    }

    /// The time since then; from the start, if it never was.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.started.elapsed().saturating_sub(Duration::from_millis(self.last_millis.load(Ordering::Relaxed)))
    }
}

impl Pulses {
    /// Another watch.
    #[must_use]
    pub fn add(&self, kind: &'static str) -> Arc<Pulse> {
        let pulse = Arc::new(Pulse { kind, started: Instant::now(), last_millis: AtomicU64::new(0) });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&pulse));
        pulse
    }

    /// The age of each, by its kind.
    #[must_use]
    pub fn ages(&self) -> Vec<(&'static str, Duration)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|pulse| (pulse.kind, pulse.age())).collect()
    }
}

/// Watches for ever.
pub async fn run<K>(api: Api<K>, config: watcher::Config, pulse: Arc<Pulse>, mut each: impl FnMut(Event<K>))
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    loop {
        let mut events = watching(api.clone(), config.clone()).default_backoff().boxed();
        let relist = tokio::time::sleep(RELIST);
        tokio::pin!(relist);
        loop {
            let event = tokio::select! {
                () = &mut relist => break,
                event = events.next() => event,
            };
            match event {
                // Said before anything is asked of the API server: no sign of life.
                Some(Ok(event @ Event::Init)) => each(event),
                Some(Ok(event)) => {
                    pulse.beat();
                    each(event);
                }
                Some(Err(error)) => tracing::warn!(kind = pulse.kind, %error, "a watch failed; it is tried again"),
                None => break,
            }
        }
    }
}

/// Watches one object, and tells when something happened to it.
pub async fn one<K>(api: Api<K>, name: &str, pulse: Arc<Pulse>, changed: Arc<tokio::sync::Notify>)
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    run(api, config, pulse, |event| match event {
        Event::Apply(_) | Event::Delete(_) | Event::InitDone => changed.notify_one(),
        Event::Init | Event::InitApply(_) => {}
    })
    .await;
}
