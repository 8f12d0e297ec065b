//! Whether the watch can be trusted. An idle one has no events, so their age says nothing: what counts is when the API server last
//! agreed to a watch, which it is asked for again and again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use http::{Request, Response};
use kube::client::Body;
use tower::layer::layer_fn;
use tower::{Layer, Service};

/// When the watch was last known to live.
#[derive(Clone, Debug)]
pub struct Fresh(Arc<Mutex<Known>>);

#[derive(Debug)]
struct Known {
    at: Instant,
    /// Whether all pods were listed at least once.
    listed: bool,
}

impl Default for Fresh {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Known { at: Instant::now(), listed: false })))
    }
}

impl Fresh {
    /// Since it was last known to live.
    pub(super) fn age(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).at.elapsed()
    }

    /// Whether there was a list, and the watch behind it is no older than this.
    pub(super) fn is_within(&self, bound: Duration) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.listed && known.at.elapsed() <= bound
    }

    /// All pods were listed.
    pub(super) fn listed(&self) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Known { at: Instant::now(), listed: true };
    }

    fn note(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).at = Instant::now();
    }

    /// A layer of the client that notes each watch to which the API server agrees.
    pub(super) fn layer<S>(&self) -> impl Layer<S, Service = Noting<S>> + use<S> {
        let fresh = self.clone();
        layer_fn(move |inner| Noting { inner, fresh: fresh.clone() })
    }
}

/// Notes watches.
#[derive(Clone)]
pub(super) struct Noting<S> {
    inner: S,
    fresh: Fresh,
}

impl<S, B> Service<Request<Body>> for Noting<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let watches =
            request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("watch=")));
        let answer = self.inner.call(request);
        let fresh = self.fresh.clone();
        Box::pin(async move {
            let answer = answer.await?;
            if watches && answer.status().is_success() {
                fresh.note();
            }
            Ok(answer)
        })
    }
}
