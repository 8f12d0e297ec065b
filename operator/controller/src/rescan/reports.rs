//! Reports in the cluster, where their kinds are installed: found out by watching the definitions of the kinds, so that they
//! may come and go while the controller runs.

use std::sync::{Arc, Mutex, PoisonError};

use ccos_crds::CapabilityExecution;
use ccos_plan::build::names::MANAGED_BY;
use ccos_plan::report::{self, Finding, Outcome, Report};
use ccos_plan::rescan::{self, NAME};
use jiff::Timestamp;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::reflector::Store;
use kube::runtime::reflector::store::Writer;
use kube::runtime::{reflector, watcher};
use kube::{Client, ResourceExt as _};
use tokio::task::AbortHandle;
use tracing::info;

use super::stale::{Scope, Stale};
use crate::apply::FIELD_MANAGER;
use crate::watches::{Alive, Cache, Exists, Touched, keep, strip_managed_fields, watch};

const GROUP: &str = "openreports.io";
const VERSION: &str = "v1alpha1";

/// A report that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {0} the report")]
pub(crate) struct WriteError(&'static str, #[source] kube::Error);

/// The reports that there are.
#[derive(Clone, Debug)]
pub(crate) struct Reports {
    of_namespaces: Installed,
    of_cluster: Installed,
}

/// A kind of report, and the reports of that kind, where it is installed.
#[derive(Clone, Debug)]
struct Installed {
    resource: ApiResource,
    stored: Arc<Mutex<Option<Store<DynamicObject>>>>,
}

impl Reports {
    /// Begins to watch. Whatever happens to a report of ours makes it stale.
    pub(crate) fn start(client: &Client, stale: &Arc<Stale>, alive: &Alive) -> Self {
        let all = Self::none();
        for kind in [&all.of_namespaces, &all.of_cluster] {
            kind.watch_definition(client, stale, alive);
        }
        all
    }

    /// None is installed, as far as is known.
    pub(crate) fn none() -> Self {
        let kind = |namespace, plural| Installed {
            resource: ApiResource::from_gvk_with_plural(
                &GroupVersionKind::gvk(GROUP, VERSION, report::kind(namespace)),
                plural,
            ),
            stored: Arc::default(),
        };
        Self { of_namespaces: kind(Some(""), "reports"), of_cluster: kind(None, "clusterreports") }
    }

    /// Of what there is a report.
    pub(crate) fn scopes(&self) -> Vec<Scope> {
        let stored = [&self.of_namespaces, &self.of_cluster].into_iter().filter_map(Installed::stored);
        stored.flat_map(|stored| stored.state()).map(|object| object.namespace()).collect()
    }

    /// Whether the report says already that an execution fails for this.
    pub(crate) fn says_fails(&self, object: &CapabilityExecution, reason: &str) -> bool {
        let namespace = object.namespace();
        let found = self.of(namespace.as_deref()).stored().and_then(|stored| find(&stored, namespace.as_deref()));
        let report = found.and_then(|found| read(&found));
        report.is_some_and(|report| {
            report.results.iter().any(|finding| {
                finding.result == Outcome::Fail
                    && finding.rule.as_deref() == Some(reason)
                    && finding.resources.first().is_some_and(|one| one.uid.is_some() && one.uid == object.uid())
            })
        })
    }

    /// Writes a report, if it would say something else than the one that there is; where there is nothing to report, it is
    /// deleted.
    pub(crate) async fn write(
        &self,
        client: &Client,
        namespace: Option<&str>,
        findings: Vec<Finding>,
        now: Timestamp,
    ) -> Result<(), WriteError> {
        let kind = self.of(namespace);
        let Some(stored) = kind.stored() else { return Ok(()) };
        let found = find(&stored, namespace);
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &kind.resource),
            None => Api::all_with(client.clone(), &kind.resource),
        };
        if findings.is_empty() {
            let Some(found) = found.filter(|found| is_ours(found)) else { return Ok(()) };
            let exactly = Preconditions { uid: found.uid(), resource_version: None };
            let params = DeleteParams { preconditions: Some(exactly), ..DeleteParams::default() };
            return match api.delete(NAME, &params).await {
                Ok(_) => Ok(()),
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
                Err(error) => Err(WriteError("delete", error)),
            };
        }
        let before = found.as_deref().and_then(read);
        let report = rescan::report(namespace, findings, before.as_ref(), now);
        let same = before.is_some_and(|before| before.says_as(&report));
        if same && found.is_some_and(|found| is_ours(&found)) {
            return Ok(());
        }
        let params = PatchParams::apply(FIELD_MANAGER).force();
        api.patch(NAME, &params, &Patch::Apply(&report)).await.map_err(|error| WriteError("write", error))?;
        Ok(())
    }

    /// Whether there are reports of this kind.
    #[cfg(test)]
    pub(crate) fn is_kept(&self, namespace: Option<&str>) -> bool {
        self.of(namespace).stored().is_some()
    }

    const fn of(&self, namespace: Option<&str>) -> &Installed {
        if namespace.is_some() { &self.of_namespaces } else { &self.of_cluster }
    }
}

fn find(stored: &Store<DynamicObject>, namespace: Option<&str>) -> Option<Arc<DynamicObject>> {
    stored.find(|object| object.namespace().as_deref() == namespace && object.name_any() == NAME)
}

/// What it says, if it is like ours.
fn read(object: &DynamicObject) -> Option<Report> {
    serde_json::from_value(serde_json::to_value(object).ok()?).ok()
}

fn is_ours(object: &DynamicObject) -> bool {
    object.labels().get(MANAGED_BY.0).is_some_and(|by| by == MANAGED_BY.1)
}

impl Installed {
    /// What there is, once it was listed.
    fn stored(&self) -> Option<Store<DynamicObject>> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, stored: Option<Store<DynamicObject>>) {
        *self.stored.lock().unwrap_or_else(PoisonError::into_inner) = stored;
    }

    /// Watches the definition of the kind; and the reports, for as long as it is there.
    fn watch_definition(&self, client: &Client, stale: &Arc<Stale>, alive: &Alive) {
        let name = format!("{}.{GROUP}", self.resource.plural);
        let only = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let (_, writer) = reflector::store::<CustomResourceDefinition>();
        let (installed, client, stale) = (self.clone(), client.clone(), Arc::clone(stale));
        let mut watching: Option<AbortHandle> = None;
        let api = Api::all(client.clone());
        watch(api, only, strip_definition, writer, alive, move |touched| {
            let is_there = touched.exists == Exists::Yes && serves(&touched.object);
            match (&watching, is_there) {
                (None, true) => {
                    info!(name, "reports are kept");
                    watching = Some(installed.clone().watch_reports(&client, &stale));
                }
                (Some(task), false) => {
                    info!(name, "no reports are kept any more");
                    task.abort();
                    watching = None;
                    installed.set(None);
                }
                (None, false) | (Some(_), true) => {}
            }
        });
    }

    fn watch_reports(self, client: &Client, stale: &Arc<Stale>) -> AbortHandle {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &self.resource);
        let only = watcher::Config::default().fields(&format!("metadata.name={NAME}"));
        let writer = Writer::new(self.resource.clone());
        let (store, cache, stale) = (writer.as_reader(), Cache::of(writer, self.resource.clone()), Arc::clone(stale));
        let on = move |touched: Vec<Touched<DynamicObject>>| {
            if self.stored().is_none() {
                self.set(Some(store.clone()));
                // Nothing was written while it was not known which there are.
                stale.all();
            } else {
                for one in touched {
                    stale.scope(one.object.namespace());
                }
            }
        };
        tokio::spawn(keep(api, only, strip_managed_fields, cache, None, on)).abort_handle()
    }
}

/// Of a definition, nothing but what is looked at.
fn strip_definition(definition: &mut CustomResourceDefinition) {
    strip_managed_fields(definition);
    definition.metadata.annotations = None;
    for version in &mut definition.spec.versions {
        version.schema = None;
    }
}

/// Whether the API server serves the version that is written.
fn serves(definition: &CustomResourceDefinition) -> bool {
    let established = definition.status.as_ref().and_then(|status| status.conditions.as_ref());
    let established =
        established.is_some_and(|all| all.iter().any(|one| one.type_ == "Established" && one.status == "True"));
    established && definition.spec.versions.iter().any(|version| version.name == VERSION && version.served)
}
