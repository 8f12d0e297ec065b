//! Copies of what the cluster has, kept by watches.

use std::collections::HashSet;
use std::sync::Arc;

use ccos_crds::{CapabilityProvider, ClusterCapabilityProvider, ClusterSecurityContext, SecurityContext};
use ccos_plan::ParsedContexts;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, Lookup, Store};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use crate::references::Caches;
use crate::watch::{self, Pulse, Pulses};

/// Of all contexts and providers. What was parsed of a context is forgotten with it.
#[must_use]
pub fn keep(client: &Client, pulses: &Pulses, parsed: &Arc<ParsedContexts>) -> Caches {
    let (contexts, cluster_contexts) = keep_contexts(client, pulses, parsed);
    let (provider, cluster_provider) = (pulses.add("CapabilityProvider"), pulses.add("ClusterCapabilityProvider"));
    Caches {
        contexts,
        cluster_contexts,
        providers: reflect(client, provider, |object: &mut CapabilityProvider| object.metadata.managed_fields = None),
        cluster_providers: reflect(client, cluster_provider, |object: &mut ClusterCapabilityProvider| {
            object.metadata.managed_fields = None;
        }),
    }
}

fn keep_contexts(
    client: &Client,
    pulses: &Pulses,
    parsed: &Arc<ParsedContexts>,
) -> (Store<SecurityContext>, Store<ClusterSecurityContext>) {
    let (contexts, writer) = reflector::store::<SecurityContext>();
    let (cluster_contexts, cluster_writer) = reflector::store::<ClusterSecurityContext>();
    let forget = {
        let (parsed, contexts, cluster_contexts) = (Arc::clone(parsed), contexts.clone(), cluster_contexts.clone());
        move || {
            let of_cluster = cluster_contexts.state().into_iter().filter_map(|object| object.metadata.uid.clone());
            let all = contexts.state().into_iter().filter_map(|object| object.metadata.uid.clone()).chain(of_cluster);
            let there: HashSet<String> = all.collect();
            parsed.retain(|uid| there.contains(uid));
        }
    };
    let strip = |object: &mut SecurityContext| object.metadata.managed_fields = None;
    reflect_into(client, pulses.add("SecurityContext"), strip, writer, forget.clone());
    let strip = |object: &mut ClusterSecurityContext| object.metadata.managed_fields = None;
    reflect_into(client, pulses.add("ClusterSecurityContext"), strip, cluster_writer, forget);
    (contexts, cluster_contexts)
}

/// A copy of all objects of a kind, without what `strip` takes out.
pub fn reflect<K>(client: &Client, pulse: Arc<Pulse>, strip: fn(&mut K)) -> Store<K>
where
    K: Resource<DynamicType = ()>
        + Lookup<DynamicType = ()>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug
        + Send
        + Sync
        + 'static,
{
    let (store, writer) = reflector::store::<K>();
    reflect_into(client, pulse, strip, writer, || {});
    store
}

/// `gone` is called when some may be there no more.
fn reflect_into<K>(
    client: &Client,
    pulse: Arc<Pulse>,
    strip: fn(&mut K),
    mut writer: Writer<K>,
    gone: impl Fn() + Send + 'static,
) where
    K: Resource<DynamicType = ()>
        + Lookup<DynamicType = ()>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug
        + Send
        + Sync
        + 'static,
{
    let api = Api::<K>::all(client.clone());
    tokio::spawn(watch::run(api, watcher::Config::default(), pulse, move |event| {
        let less = matches!(event, Event::Delete(_) | Event::InitDone);
        writer.apply_watcher_event(&event.modify(strip));
        if less {
            gone();
        }
    }));
}

/// Waits until all of them have been read once.
pub async fn filled(caches: &Caches) -> bool {
    let Caches { contexts, cluster_contexts, providers, cluster_providers } = caches;
    contexts.wait_until_ready().await.is_ok()
        && cluster_contexts.wait_until_ready().await.is_ok()
        && providers.wait_until_ready().await.is_ok()
        && cluster_providers.wait_until_ready().await.is_ok()
}
