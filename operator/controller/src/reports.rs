//! The endpoint at which runners report: who they are, is what the API server says of their pod's token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use ccos_crds::CapabilityExecution;
use ccos_plan::reported::{self, Unacceptable};
use ccos_profile::{DELIVERY_LIMIT, Delivery, REPORT_AUDIENCE, Report};
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::Semaphore;
use tracing::{info, warn};

use crate::apply;
use crate::chain;
use crate::ctx::Ctx;

/// Bodies that are read at one time: each may be 2 MiB, and many times that as values.
const BODIES: usize = 4;

/// For a body to arrive.
const BODY: Duration = Duration::from_secs(10);

/// What runners have reported whose pods still live, by the pod's UID. Lost with the process: then the termination
/// message says the same, and a large result is in its ConfigMap already.
#[derive(Debug, Default)]
pub(crate) struct Told(Mutex<HashMap<String, (Report, Timestamp)>>);

impl Told {
    /// What the runner of a pod has said, and when.
    pub(crate) fn of(&self, pod: &Pod) -> Option<(Report, Timestamp)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(pod.metadata.uid.as_deref()?).cloned()
    }

    /// A pod is gone.
    pub(crate) fn forget(&self, pod: &Pod) {
        if let Some(uid) = pod.metadata.uid.as_deref() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
        }
    }

    /// The first word counts.
    fn keep(&self, pod: String, report: Report, at: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(pod).or_insert((report, at));
    }
}

/// The endpoint's routes.
pub(crate) fn router(ctx: Arc<Ctx>) -> Router {
    let endpoint = Endpoint { ctx, bodies: Arc::new(Semaphore::new(BODIES)) };
    Router::new().route("/v1/report", post(take)).with_state(endpoint)
}

#[derive(Clone)]
struct Endpoint {
    ctx: Arc<Ctx>,
    bodies: Arc<Semaphore>,
}

type Refused = (StatusCode, String);

async fn take(State(endpoint): State<Endpoint>, headers: HeaderMap, body: Body) -> Result<(), Refused> {
    let Endpoint { ctx, bodies } = endpoint;
    // Before a byte of the body is read: whoever has no token costs nothing.
    let pod = identify(&ctx, &headers).await?;
    let object = owner(&ctx, &pod)?;
    let _permit =
        bodies.try_acquire().map_err(|_| refused(StatusCode::TOO_MANY_REQUESTS, "too many reports at once"))?;
    let body = tokio::time::timeout(BODY, to_bytes(body, DELIVERY_LIMIT)).await;
    let body = body.map_err(|_| refused(StatusCode::REQUEST_TIMEOUT, "the body took too long"))?;
    let body = body.map_err(|error| refused(StatusCode::PAYLOAD_TOO_LARGE, &error.to_string()))?;
    let checked = {
        let pod = Arc::clone(&pod);
        // A large result is held against a schema: not on a thread that others wait for.
        tokio::task::spawn_blocking(move || accepted(&body, &pod)).await
    };
    let Delivery { report, result } =
        checked.map_err(|error| refused(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()))??;
    if let Some(result) = result {
        apply::result(&ctx.client, &reported::config_map(&pod, result)).await.map_err(|error| {
            warn!(error = chain(&error), pod = pod.name_any(), "cannot keep a result");
            refused(StatusCode::SERVICE_UNAVAILABLE, "the result can't be kept now")
        })?;
    }
    info!(namespace = pod.namespace(), pod = pod.name_any(), end = ?report.end, "has reported");
    ctx.told.keep(pod.uid().unwrap_or_default(), report, Timestamp::now());
    ctx.waker.one(ObjectRef::from_obj(&*object));
    Ok(())
}

fn accepted(body: &[u8], pod: &Pod) -> Result<Delivery, Refused> {
    let delivery: Delivery =
        serde_json::from_slice(body).map_err(|error| refused(StatusCode::BAD_REQUEST, &error.to_string()))?;
    reported::accepted(delivery, pod).map_err(|error| match error {
        Unacceptable::Malformed(why) => refused(StatusCode::BAD_REQUEST, why),
        Unacceptable::Unfit(why) => refused(StatusCode::UNPROCESSABLE_ENTITY, &why),
    })
}

/// The pod whose token it is. Of a pod that is gone there is no valid token.
async fn identify(ctx: &Ctx, headers: &HeaderMap) -> Result<Arc<Pod>, Refused> {
    let unknown = |why: &str| refused(StatusCode::UNAUTHORIZED, why);
    let token = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = token.and_then(|value| value.strip_prefix("Bearer ")).ok_or_else(|| unknown("expected a token"))?;
    let bound = review(&ctx.client, token).await.map_err(|error| {
        warn!(error = chain(&error), "cannot review a token");
        refused(StatusCode::SERVICE_UNAVAILABLE, "the token can't be verified now")
    })?;
    let Bound { namespace, pod: name, uid } =
        bound.ok_or_else(|| unknown("the token is not one of a pod for this endpoint"))?;
    let pod = ctx.stores.pods.get(&ObjectRef::new(&name).within(&namespace));
    // Perhaps the cache is behind.
    pod.filter(|pod| pod.metadata.uid.as_ref() == Some(&uid))
        .ok_or_else(|| refused(StatusCode::NOT_FOUND, "the pod is no execution's"))
}

fn owner(ctx: &Ctx, pod: &Pod) -> Result<Arc<CapabilityExecution>, Refused> {
    let namespace = pod.namespace().unwrap_or_default();
    let owners =
        pod.owner_references().iter().filter_map(|owner| ObjectRef::from_owner_ref(Some(&namespace), owner, ()));
    let mut found = owners.filter_map(|object| ctx.stores.executions.get(&object));
    found
        .find(|object| apply::owned(pod, object))
        .ok_or_else(|| refused(StatusCode::NOT_FOUND, "the pod's execution is gone"))
}

/// Which pod a token is bound to.
#[derive(Debug, PartialEq, Eq)]
struct Bound {
    namespace: String,
    pod: String,
    uid: String,
}

async fn review(client: &Client, token: &str) -> Result<Option<Bound>, kube::Error> {
    let review = TokenReview {
        spec: TokenReviewSpec { audiences: Some(vec![REPORT_AUDIENCE.to_owned()]), token: token.to_owned() },
        ..TokenReview::default()
    };
    let answer = Api::<TokenReview>::all(client.clone()).create(&PostParams::default(), &review).await?;
    Ok(answer.status.and_then(bound))
}

/// Of a token that is authentic, for this endpoint, and bound to a pod.
fn bound(status: TokenReviewStatus) -> Option<Bound> {
    let TokenReviewStatus { authenticated, audiences, user, error: _ } = status;
    let ours = audiences.unwrap_or_default().iter().any(|one| one == REPORT_AUDIENCE);
    let user = user.filter(|_| authenticated == Some(true) && ours)?;
    let mut account = user.username.as_deref()?.strip_prefix("system:serviceaccount:")?.split(':');
    let namespace = account.next()?.to_owned();
    let extra = user.extra.unwrap_or_default();
    let one = |name: &str| extra.get(&format!("authentication.kubernetes.io/{name}"))?.first().cloned();
    Some(Bound { namespace, pod: one("pod-name")?, uid: one("pod-uid")? })
}

fn refused(status: StatusCode, why: &str) -> Refused {
    (status, why.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(change: impl FnOnce(&mut Value)) -> Option<Bound> {
        let mut status = json!({
            "authenticated": true,
            "audiences": ["ccos-report"],
            "user": {
                "username": "system:serviceaccount:data:default",
                "extra": {
                    "authentication.kubernetes.io/pod-name": ["summary-1"],
                    "authentication.kubernetes.io/pod-uid": ["u"],
                },
            },
        });
        change(&mut status);
        bound(serde_json::from_value(status).unwrap())
    }

    #[test]
    fn a_token_counts_if_it_is_a_pods_and_for_us() {
        let expected = Bound { namespace: "data".to_owned(), pod: "summary-1".to_owned(), uid: "u".to_owned() };
        assert_eq!(of(|_| ()), Some(expected));
        assert_eq!(of(|status| status["authenticated"] = json!(false)), None);
        assert_eq!(of(|status| status["audiences"] = json!(["https://kubernetes.default.svc"])), None);
        assert_eq!(of(|status| status["audiences"] = json!(null)), None);
        assert_eq!(of(|status| status["user"]["username"] = json!("alice")), None);
        assert_eq!(of(|status| status["user"]["extra"] = json!({})), None);
    }
}
