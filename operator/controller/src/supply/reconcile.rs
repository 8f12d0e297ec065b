//! Keeps the status of providers: what runs, whether it is signed, and whether a list speaks of it.

use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use ccos_crds::{CapabilityProvider, ClusterCapabilityProvider};
use ccos_plan::AnyProvider;
use ccos_plan::trust::{self, Demand, Found, Resolution, Verification};
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::Api;
use kube::runtime::controller::Action;
use serde::de::DeserializeOwned;
use tracing::warn;

use super::look::look;
use crate::ctx::Ctx;
use crate::update_status::merge_status;

/// How soon what could not be found out, or was not there, is looked for again: whoever waits for it is just pushing it.
const SOON: Duration = Duration::from_secs(20);

/// How often a tag is compared with what runs, and a Secret, which this controller can't watch, with what was verified.
const AGAIN: Duration = Duration::from_mins(1);

/// Looks at a provider of a namespace.
pub(crate) async fn namespaced(object: Arc<CapabilityProvider>, ctx: Arc<Ctx>) -> Result<Action, Infallible> {
    let api = Api::<CapabilityProvider>::namespaced(ctx.client.clone(), &object.namespace().unwrap_or_default());
    Ok(keep(&ctx, &api, &AnyProvider::Namespaced(object)).await)
}

/// Looks at a provider of the cluster.
pub(crate) async fn cluster(object: Arc<ClusterCapabilityProvider>, ctx: Arc<Ctx>) -> Result<Action, Infallible> {
    let api = Api::<ClusterCapabilityProvider>::all(ctx.client.clone());
    Ok(keep(&ctx, &api, &AnyProvider::Cluster(object)).await)
}

async fn keep<K>(ctx: &Ctx, api: &Api<K>, provider: &AnyProvider) -> Action
where
    K: kube::Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    if provider.metadata().deletion_timestamp.is_some() {
        return Action::await_change();
    }
    let found = look(ctx, provider).await;
    let status = trust::status(provider, &found, &ctx.lists.now(), Timestamp::now());
    if provider.status() != Some(&status)
        && let Err(error) = merge_status(api, provider.metadata(), provider.status(), &status).await
    {
        warn!(kind = %K::kind(&()), name = provider.metadata().name, %error, "cannot write the status");
        return Action::requeue(SOON);
    }
    again(provider, &found).map_or_else(Action::await_change, Action::requeue)
}

/// When to look again, if nothing changes.
fn again(provider: &AnyProvider, found: &Found) -> Option<Duration> {
    let Found { resolution, verification } = found;
    let unresolved = matches!(resolution, Resolution::Unresolved { .. });
    let unverified = matches!(verification, Verification::Refused { .. } | Verification::Unknown { .. });
    if unresolved || unverified {
        return Some(SOON);
    }
    let by_tag = matches!(resolution, Resolution::Resolved(_) | Resolution::Moved { .. });
    let by_secret = matches!(trust::demand(provider), Some(Demand::Secret { .. }));
    (by_tag || by_secret).then_some(AGAIN)
}
