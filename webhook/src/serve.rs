//! The webhook's two paths: reads a review, fetches what its answer depends on, answers, and writes it down.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use ccos_crds::CapabilityExecution;
use ccos_plan::{AnyContext, ParsedContexts, Trust};
use ccos_policy::{Ceiling, Isolations, Remark};
use ccos_trail::Trail;
use futures::StreamExt as _;
use jiff::Timestamp;
use kube::Client;
use kube::core::response::Status;
use tokio::sync::Semaphore;

use crate::admission::{self, BODY_LIMIT, Request, Unreadable};
use crate::keys::{Shared, Signing};
use crate::lists::Lists;
use crate::policies::{self, Kept};
use crate::probes::{Metrics, Reviewed};
use crate::receipt;
use crate::references::{Caches, Found, Freshness, default_context, find};
use crate::review::{Allowed, Asked, Refusal, Subject, Verdict, asked, execution, grant, scope};
use crate::rights::{self, Question};
use crate::work::Work;

/// Less than the API server waits (`timeoutSeconds` of the configurations): an answer of ours says what took long.
const PATIENCE: Duration = Duration::from_secs(4);

/// All that answers depend on.
pub struct App {
    /// Of the API server.
    pub client: Client,
    /// Contexts and providers.
    pub caches: Caches,
    /// What was parsed of contexts.
    pub contexts: Arc<ParsedContexts>,
    /// What ExecutionPolicies say.
    pub kept: Kept,
    /// Who is known to be malicious.
    pub lists: Lists,
    /// What the cluster can do.
    pub isolations: Isolations,
    /// What contexts may grant whose author has no right to escalate.
    pub ceiling: Ceiling,
    /// The receipt keys.
    pub keys: Shared,
    /// What is counted.
    pub metrics: Metrics,
    /// Where each answer is written down.
    pub trail: Trail,
    /// The clock.
    pub now: fn() -> Timestamp,
    /// Bytes of bodies that may be worked on at one time: [`BODIES`].
    pub bodies: Semaphore,
    /// Where decisions are made.
    pub work: Work,
}

/// What all bodies that are worked on may weigh. As trees they take up to a hundred times as much memory, and those who
/// may create executions choose them.
pub const BODIES: usize = BODY_LIMIT;

/// Which webhook is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Webhook {
    /// May change the object.
    Mutate,
    /// Sees it as it will be stored.
    Validate,
}

impl Webhook {
    /// Its name, in paths and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mutate => "mutate",
            Self::Validate => "validate",
        }
    }
}

/// Both paths, each with its secret last.
pub fn router(app: Arc<App>) -> Router {
    let path = |webhook: Webhook| {
        post(move |State(app): State<Arc<App>>, Path(secret): Path<String>, body: Body| async move {
            app.respond(webhook, &secret, body).await
        })
    };
    [Webhook::Mutate, Webhook::Validate]
        .into_iter()
        .fold(Router::new(), |router, webhook| {
            router.route(&format!("/{}/{{secret}}", webhook.as_str()), path(webhook))
        })
        .with_state(app)
}

/// Reads to the end, and keeps nothing.
async fn drain(body: Body) {
    let mut frames = body.into_data_stream();
    while let Some(Ok(_)) = frames.next().await {}
}

impl App {
    async fn respond(&self, webhook: Webhook, secret: &str, body: Body) -> Response {
        // Before the body is read: a stranger gets nothing to work with, and makes no work.
        match self.keys.get() {
            None => return nameless(StatusCode::SERVICE_UNAVAILABLE, "the webhook has no receipt key yet"),
            Some(signing) if !signing.is_called_by(secret, (self.now)()) => {
                return nameless(
                    StatusCode::FORBIDDEN,
                    "only the API server is answered, at the path of the configuration",
                );
            }
            Some(_) => {}
        }
        if body.size_hint().lower() > BODY_LIMIT as u64 {
            // Read to its end, and thrown away: a call that breaks off shows its path to whoever made it.
            drain(body).await;
            let message = format!("the admission review is larger than {BODY_LIMIT} bytes");
            return nameless(StatusCode::PAYLOAD_TOO_LARGE, &message);
        }
        // Reserved before it is read, by the most that it can be.
        let most = usize::try_from(body.size_hint().upper().unwrap_or(u64::MAX)).unwrap_or(usize::MAX).min(BODY_LIMIT);
        let room = self.bodies.acquire_many(u32::try_from(most).unwrap_or(u32::MAX));
        // Longer, the API server does not wait either, and those behind would wait for nobody.
        let Ok(Ok(_room)) = tokio::time::timeout(PATIENCE, room).await else {
            return nameless(StatusCode::SERVICE_UNAVAILABLE, "too much is reviewed at one time: try again");
        };
        let Ok(body) = to_bytes(body, BODY_LIMIT).await else {
            let message = format!("the admission review can't be read, or is larger than {BODY_LIMIT} bytes");
            return nameless(StatusCode::PAYLOAD_TOO_LARGE, &message);
        };
        match admission::read(&body) {
            Ok(request) => self.answer(webhook, &request).await,
            Err(Unreadable { uid: None, message }) => nameless(StatusCode::BAD_REQUEST, &message),
            Err(Unreadable { uid: Some(uid), message }) => {
                tracing::warn!(uid, message, "an admission review could not be read");
                let status = Status::failure(&message, "BadRequest").with_code(400);
                axum::Json(admission::Response::refused(uid, status).into_review()).into_response()
            }
        }
    }

    async fn answer(&self, webhook: Webhook, request: &Request) -> Response {
        let started = Instant::now();
        let asked = asked(request);
        let verdict = match &asked {
            Ok(asked) => match tokio::time::timeout(PATIENCE, self.verdict(webhook, request, asked)).await {
                Ok(verdict) => verdict,
                Err(_) => Err(Refusal::TryAgain(format!("the API server did not answer within {PATIENCE:?}"))),
            },
            Err(refusal) => Err(refusal.clone()),
        };
        let verdict = self.recorded(webhook, request, asked.as_ref().ok(), verdict, started).await;
        let uid = request.uid.clone();
        let (verdict, response) = match verdict {
            Ok(Allowed { changes, warnings, remarks }) => {
                match admission::Response::allowed(uid.clone(), &changes, warnings) {
                    Ok(response) => (Ok(remarks), response),
                    Err(error) => refuse(uid, request, Refusal::try_again(&error)),
                }
            }
            Err(refusal) => refuse(uid, request, refusal),
        };
        self.write_down(webhook, request, asked.as_ref().ok(), &verdict, started.elapsed());
        axum::Json(response.into_review()).into_response()
    }

    /// Fetches what the answer depends on, and answers.
    ///
    /// # Errors
    /// Why not.
    async fn verdict(&self, webhook: Webhook, request: &Request, asked: &Asked) -> Verdict {
        let now = (self.now)();
        match (webhook, asked) {
            (_, Asked::Unchanged) => Ok(Allowed::default()),
            (Webhook::Mutate, Asked::Created(object)) => self.admit(request, object, now).await,
            (Webhook::Mutate, Asked::Changed { old, new }) => Ok(execution::restored(old, new)),
            (Webhook::Mutate, Asked::Context(_) | Asked::Provider(_) | Asked::Policy(_)) => {
                Err(Refusal::unreadable(format!("{} is not expected at /mutate", request.kind.kind)))
            }
            (Webhook::Validate, Asked::Created(object)) => self.confirm(request, object, now).await,
            (Webhook::Validate, Asked::Changed { old, new }) => execution::changed(old, new),
            (Webhook::Validate, Asked::Context(object)) => {
                let (written, ceiling) = (object.clone(), self.ceiling.clone());
                let above = self.work.run(move || grant::above(&written, &ceiling, now)).await?;
                let questions = rights::to_grant(object, scope(object, request), above.as_ref());
                let refused = self.refused(request, questions).await?;
                grant::context(object, &request.requester_display(), &refused, above, now)
            }
            (Webhook::Validate, Asked::Provider(object)) => {
                let namespace = match object {
                    ccos_plan::AnyProvider::Namespaced(_) => request.namespace.as_deref(),
                    ccos_plan::AnyProvider::Cluster(_) => None,
                };
                let refused = self.refused(request, rights::to_provide(object, namespace)).await?;
                let (written, requester, lists) = (object.clone(), request.requester_display(), self.lists.now());
                self.work.run(move || grant::provider(&written, &requester, &refused, &lists)).await?
            }
            (Webhook::Validate, Asked::Policy(object)) => {
                let (written, stored) = (object.clone(), self.kept.stored()?);
                self.work.run(move || grant::policy(&written, &stored)).await?
            }
        }
    }

    /// Decides, and stamps a receipt.
    async fn admit(&self, request: &Request, object: &CapabilityExecution, now: Timestamp) -> Verdict {
        let signing = self.signing()?;
        let namespace = request.namespace.as_deref().unwrap_or_default();
        let filled = self.filled(namespace, object).await?;
        let (given, object) = (object, filled.as_ref().unwrap_or(object));
        let mut questions = rights::to_read(namespace, &object.spec);
        // Without a context it is refused; nobody can be asked about it.
        if !object.spec.context_ref.is_absent() {
            questions.push(rights::to_use(namespace, &object.spec.context_ref));
        }
        let (refused, found, policing) = futures::join!(
            self.refused(request, questions),
            self.find(request, object, Freshness::Cached),
            self.kept.policing(&self.client, request)
        );
        let (refused, mut found, policing) = (refused?, found?, policing?);
        let (requester, trust, isolations) = (request.requester_display(), self.trust(), self.isolations.clone());
        let case =
            Arc::new((object.clone(), requester, trust, refused, isolations, policing, Arc::clone(&self.contexts)));
        let decide = |found: &Found| {
            let (case, found) = (Arc::clone(&case), found.clone());
            self.work.run(move || {
                let (object, requester, trust, refused, isolations, policing, contexts) = &*case;
                let rules = (isolations, policing, &**contexts);
                execution::decide(object, requester, &found, trust, refused, rules, now)
            })
        };
        let admitted = match decide(&found).await? {
            Ok(admitted) => admitted,
            // The caches may be a moment behind what the requester has just applied; a no is only said of what is there.
            Err(refusal @ Refusal::Denied { .. }) => {
                let live = self.find(request, object, Freshness::Live).await?;
                if live == found {
                    return Err(refusal);
                }
                found = live;
                decide(&found).await??
            }
            Err(refusal) => return Err(refusal),
        };
        execution::stamped(given, object, request, &found, &admitted, &signing.key, now)
    }

    /// The execution with its namespace's default context, where it names none and there is one.
    async fn filled(
        &self,
        namespace: &str,
        object: &CapabilityExecution,
    ) -> Result<Option<CapabilityExecution>, Refusal> {
        if !object.spec.context_ref.is_absent() {
            return Ok(None);
        }
        let found = default_context(&self.client, namespace).await.map_err(|error| Refusal::try_again(&error))?;
        Ok(found.map(|context_ref| {
            let mut filled = object.clone();
            filled.spec.context_ref = context_ref;
            filled
        }))
    }

    /// Decides again, on the object as it will be stored.
    async fn confirm(&self, request: &Request, object: &CapabilityExecution, now: Timestamp) -> Verdict {
        let signing = self.signing()?;
        let claims = execution::receipt_of(object, request, &signing.known, now)?;
        let mut found = self.find(request, object, Freshness::Cached).await?;
        // The receipt may be of another replica, whose caches are ahead of ours or behind.
        if !receipt::same_state(&claims, found.context.as_ref(), found.provider.as_ref()) {
            found = self.find(request, object, Freshness::Live).await?;
        }
        let (requester, trust, isolations) = (request.requester_display(), self.trust(), self.isolations.clone());
        let policing = self.kept.policing(&self.client, request).await?;
        let case =
            Arc::new((object.clone(), requester, claims, trust, isolations, policing, Arc::clone(&self.contexts)));
        let confirm = |found: &Found| {
            let (case, found) = (Arc::clone(&case), found.clone());
            self.work.run(move || {
                let (object, requester, claims, trust, isolations, policing, contexts) = &*case;
                let rules = (isolations, policing, &**contexts);
                execution::confirmed(object, requester, claims, &found, trust, rules, now)
            })
        };
        match confirm(&found).await? {
            // What the controller found out about a provider changes no generation: our cache may be behind in that.
            Err(refusal @ (Refusal::Denied { .. } | Refusal::Receipt(_))) => {
                let live = self.find(request, object, Freshness::Live).await?;
                if live == found { Err(refusal) } else { confirm(&live).await? }
            }
            answer => answer,
        }
    }

    fn trust(&self) -> Trust {
        Trust::Cluster(self.lists.now())
    }

    fn signing(&self) -> Result<Arc<Signing>, Refusal> {
        self.keys.get().ok_or_else(|| Refusal::TryAgain("the webhook has no receipt key yet".to_owned()))
    }

    async fn find(
        &self,
        request: &Request,
        object: &CapabilityExecution,
        freshness: Freshness,
    ) -> Result<Found, Refusal> {
        let namespace = request.namespace.as_deref().unwrap_or_default();
        find(&self.client, &self.caches, namespace, &object.spec, freshness)
            .await
            .map_err(|error| Refusal::try_again(&error))
    }

    async fn refused(&self, request: &Request, questions: Vec<Question>) -> Result<Vec<Question>, Refusal> {
        rights::refused(&self.client, &request.user_info, questions).await.map_err(|error| Refusal::try_again(&error))
    }

    fn write_down(
        &self,
        webhook: Webhook,
        request: &Request,
        asked: Option<&Asked>,
        verdict: &Result<Vec<Remark>, Refusal>,
        took: Duration,
    ) {
        let causes = verdict.as_ref().err().map(Refusal::causes).unwrap_or_default();
        let reasons: Vec<String> = causes.into_iter().map(|cause| cause.reason).collect();
        let kind = match asked {
            Some(Asked::Created(_) | Asked::Changed { .. }) => "CapabilityExecution",
            Some(Asked::Context(AnyContext::Namespaced(_))) => "SecurityContext",
            Some(Asked::Context(AnyContext::Cluster(_))) => "ClusterSecurityContext",
            Some(Asked::Provider(ccos_plan::AnyProvider::Namespaced(_))) => "CapabilityProvider",
            Some(Asked::Provider(ccos_plan::AnyProvider::Cluster(_))) => "ClusterCapabilityProvider",
            Some(Asked::Policy(_)) => "ExecutionPolicy",
            Some(Asked::Unchanged) => "unchanged",
            None => "unknown",
        };
        let outcome = verdict.as_ref().err().map_or("allowed", Refusal::outcome);
        let operation = request.operation.as_str();
        let labels = Reviewed { kind, operation, webhook: webhook.as_str(), outcome };
        self.metrics.reviewed(&labels, &reasons, took);

        let execution = match asked {
            Some(Asked::Created(object)) => Some(object),
            Some(Asked::Changed { old: _, new }) => Some(new),
            Some(Asked::Context(_) | Asked::Provider(_) | Asked::Policy(_) | Asked::Unchanged) | None => None,
        };
        // Names and reasons only: inputs and values of variables are never written down.
        tracing::info!(
            target: "ccos::review",
            uid = request.uid,
            webhook = webhook.as_str(),
            operation,
            kind = request.kind.kind,
            namespace = request.namespace.as_deref().unwrap_or_default(),
            name = request.name,
            requester = request.user_info.username.as_deref().unwrap_or_default(),
            context = execution.map(|object| object.spec.context_ref.name.as_str()),
            capability = execution.map(|object| object.spec.capability_ref.id.as_str()),
            dry_run = request.is_dry_run(),
            allowed = verdict.is_ok(),
            outcome,
            reasons = reasons.join(","),
            micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            "reviewed"
        );
        for (mode, objection) in policies::objections(verdict) {
            self.metrics.objected(&objection.by, mode);
            if mode != "Enforce" {
                policies::write_down(request, mode, objection);
            }
        }
        if let Err(Refusal::TryAgain(why) | Refusal::Unreadable(why)) = verdict {
            tracing::warn!(uid = request.uid, why, "could not decide");
        }
    }
}

fn refuse(uid: String, request: &Request, refusal: Refusal) -> (Result<Vec<Remark>, Refusal>, admission::Response) {
    let response = admission::Response::refused(uid, refusal.status(&Subject::of(request)));
    (Err(refusal), response)
}

/// The answer to what has no uid to answer to. The API server takes any status but 200 for a failed call, and refuses.
fn nameless(code: StatusCode, message: &str) -> Response {
    tracing::warn!(message, "an admission review could not be read");
    let status = Status::failure(message, "BadRequest").with_code(code.as_u16());
    (code, axum::Json(admission::Response::refused(String::new(), status).into_review())).into_response()
}
