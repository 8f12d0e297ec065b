//! `ccos doctor --probe`: short pods that see whether the profile is true.
//!
//! They are made of the runner's image, as restricted as executions, and are taken away however this ends; where not even
//! that is possible, they end by themselves.

mod judge;
mod pods;

use std::collections::BTreeMap;
use std::time::Duration;

use ccos_plan::ClusterProfile;
use ccos_policy::{Isolation, IsolationProfile};
use ccos_profile::probe::{PORT, Seen};
use k8s_openapi::api::core::v1::{Event, Namespace, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use tokio::time::{Instant, sleep};

use super::line::{Line, State};
pub(super) use judge::{Told, Untold};
use pods::Shape;

/// From the creation of a pod to its end.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK_AGAIN: Duration = Duration::from_millis(300);
/// For taking all away.
const CLEAN: Duration = Duration::from_secs(30);

/// Somebody wants it to end.
#[derive(Debug, thiserror::Error)]
#[error("interrupted: what was made for the probes is taken away, and nothing is known")]
pub struct Interrupted;

/// What to probe.
pub(super) struct Probing<'a> {
    pub(super) client: &'a Client,
    pub(super) profile: &'a ClusterProfile,
    /// Those whose runtime there is.
    pub(super) isolations: Vec<(Isolation, &'a IsolationProfile)>,
    /// The kernels of the nodes.
    pub(super) kernels: Vec<String>,
    /// Where; absent: in a namespace of its own.
    pub(super) namespace: Option<&'a str>,
}

impl Probing<'_> {
    /// Probes, and takes away what that needed.
    pub(super) async fn lines(&self) -> Result<Vec<Line>, Interrupted> {
        let place = match Place::find(self.client, self.namespace).await {
            Ok(place) => place,
            Err(why) => return Ok(vec![Line::new("probes", State::Unknown, why, "give --probe-namespace NAME")]),
        };
        let found = tokio::select! {
            found = self.probe(&place) => Ok(found),
            () = interrupted() => Err(Interrupted),
        };
        let left = tokio::time::timeout(CLEAN, place.clean()).await;
        let mut lines = found?;
        if let Some(why) = left.unwrap_or_else(|_| Some("it takes too long".to_owned())) {
            let found = format!("in namespace {}: {why}", place.namespace);
            let advice = format!("delete what has the label {}", pods::RUN);
            lines.push(Line::new("what the probes left", State::Warn, found, &advice));
        }
        Ok(lines)
    }

    async fn probe(&self, place: &Place) -> Vec<Line> {
        let image = &self.profile.runner_image;
        let other_end = match place.other_end(image).await {
            Ok(address) => address,
            Err(why) => {
                let found = format!("the pod that the others connect to: {why}");
                return vec![Line::new(
                    "probes",
                    State::Unknown,
                    found,
                    "look at what the API server or the node says",
                )];
            }
        };
        // All at one time: most of it is waiting.
        let mut pods = Vec::new();
        for (isolation, profile) in &self.isolations {
            let shape = Shape {
                image,
                profile,
                isolation: *isolation,
                canary: Some(&other_end),
                denied: false,
                annotated: false,
            };
            pods.push((
                *isolation,
                [
                    Some(place.start(shape).await),
                    Some(place.start(Shape { denied: true, ..shape }).await),
                    match isolation {
                        Isolation::GVisor => Some(place.start(Shape { annotated: true, canary: None, ..shape }).await),
                        Isolation::Container | Isolation::Kata | Isolation::Wasm => None,
                    },
                ],
            ));
        }
        let mut lines = Vec::new();
        for ((isolation, [looks, denied, annotated]), (_, profile)) in pods.into_iter().zip(&self.isolations) {
            let told = judge::Isolation {
                name: isolation,
                profile,
                kernels: &self.kernels,
                looks: place.told(looks).await,
                denied: place.told(denied).await,
                annotated: match annotated {
                    Some(pod) => Some(place.told(Some(pod)).await),
                    None => None,
                },
            };
            lines.extend(told.lines());
        }
        lines
    }
}

/// Where the pods are.
struct Place {
    client: Client,
    namespace: String,
    is_ours: bool,
    run: BTreeMap<String, String>,
}

impl Place {
    async fn find(client: &Client, given: Option<&str>) -> Result<Self, String> {
        let run = pods::run();
        let namespace = if let Some(name) = given {
            name.to_owned()
        } else {
            let all = Api::<Namespace>::all(client.clone());
            let made = all.create(&PostParams::default(), &pods::namespace(&run)).await;
            made.map_err(|error| format!("cannot make a namespace for the probes: {error}"))?.name_any()
        };
        let place = Self { client: client.clone(), namespace, is_ours: given.is_none(), run };
        let policies: Api<NetworkPolicy> = Api::namespaced(client.clone(), &place.namespace);
        // Before the pods: it must hold from their first packet.
        if let Err(error) = policies.create(&PostParams::default(), &pods::deny(&place.run)).await {
            let left = place.clean().await.map(|why| format!("; what is left: {why}")).unwrap_or_default();
            return Err(format!("cannot make a NetworkPolicy in namespace {}: {error}{left}", place.namespace));
        }
        Ok(place)
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    async fn start(&self, shape: Shape<'_>) -> Result<String, Untold> {
        self.create(&shape.pod(&self.run)).await
    }

    async fn create(&self, pod: &Pod) -> Result<String, Untold> {
        // A namespace that was just made has no service account yet, and its pods are refused.
        let made = until(Duration::from_secs(10), LOOK_AGAIN, async || {
            match self.pods().create(&PostParams::default(), pod).await {
                Err(kube::Error::Api(status)) if status.code == 403 && status.message.contains("serviceaccount") => {
                    None
                }
                other => Some(other),
            }
        });
        match made.await {
            Some(Ok(made)) => Ok(made.name_any()),
            Some(Err(error)) => Err(Untold::Refused(error.to_string())),
            None => Err(Untold::Refused("the namespace gets no service account".to_owned())),
        }
    }

    /// Starts the pod that the others connect to, and waits for its address.
    async fn other_end(&self, image: &str) -> Result<String, Untold> {
        let name = self.create(&pods::other_end(image, &self.run)).await?;
        let address = until(PATIENCE, LOOK_AGAIN, async || {
            let pod = self.pods().get(&name).await.ok()?;
            let status = pod.status?;
            (status.phase.as_deref() == Some("Running")).then_some(status.pod_ip).flatten()
        });
        match address.await {
            Some(address) if address.contains(':') => Ok(format!("[{address}]:{PORT}")),
            Some(address) => Ok(format!("{address}:{PORT}")),
            None => Err(self.why_not(&name).await),
        }
    }

    /// What a pod says in the end.
    async fn told(&self, pod: Option<Result<String, Untold>>) -> Told {
        let name = pod.unwrap_or_else(|| Err(Untold::Refused("it was not asked".to_owned())))?;
        let message = until(PATIENCE, LOOK_AGAIN, async || {
            let pod = self.pods().get(&name).await.ok()?;
            let state = pod.status?.container_statuses?.into_iter().next()?.state?;
            let ended = state.terminated?;
            Some(ended.message.unwrap_or_else(|| format!("nothing, and exit code {}", ended.exit_code)))
        });
        match message.await {
            Some(message) => serde_json::from_str::<Seen>(message.trim())
                .map_err(|_| Untold::Odd(message.chars().take(200).collect())),
            None => Err(self.why_not(&name).await),
        }
    }

    /// Why a pod does not run, as its events tell.
    async fn why_not(&self, pod: &str) -> Untold {
        let events: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let about = ListParams::default().fields(&format!("involvedObject.name={pod},type=Warning")).limit(50);
        let last = events.list(&about).await.ok().and_then(|list| list.items.into_iter().next_back());
        let why = last.and_then(|event| event.message).unwrap_or_else(|| "no event says why".to_owned());
        Untold::NotRun(why.chars().take(300).collect())
    }

    /// Takes all away. Answers with what stays, and why.
    async fn clean(&self) -> Option<String> {
        let now = DeleteParams::default().grace_period(0);
        let ours = ListParams::default().labels(&format!("{}={}", pods::RUN, self.run.get(pods::RUN)?));
        let mut left = Vec::new();
        if let Err(error) = self.pods().delete_collection(&now, &ours).await {
            left.push(format!("pods: {error}"));
        }
        let policies: Api<NetworkPolicy> = Api::namespaced(self.client.clone(), &self.namespace);
        if let Err(error) = policies.delete_collection(&DeleteParams::default(), &ours).await {
            left.push(format!("network policies: {error}"));
        }
        if self.is_ours {
            let namespaces: Api<Namespace> = Api::all(self.client.clone());
            if let Err(error) = namespaces.delete(&self.namespace, &DeleteParams::default()).await {
                left.push(format!("the namespace: {error}"));
            }
        }
        (!left.is_empty()).then(|| left.join("; "))
    }
}

/// Ctrl-C, or SIGTERM.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// Asks again and again, until there is an answer or it took too long.
async fn until<T>(limit: Duration, between: Duration, ask: impl AsyncFn() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = ask().await {
            return Some(answer);
        }
        if Instant::now() >= end {
            return None;
        }
        sleep(between).await;
    }
}
