//! What a trail is held against: keys, heads of chains and executions, from the cluster or from files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ccos_audit::{Keys, Writer};
use ccos_crds::CapabilityExecution;
use ccos_plan::receipt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::VerifyArgs;

/// The ConfigMap with the public keys of receipts.
const RECEIPT_KEYS: &str = "ccos-receipt-keys";

/// How many executions are asked for at once: each may have half a MiB of inputs.
const PAGE: u32 = 50;

/// What a trail is held against.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// Keys of the writers, and heads of their chains.
    pub keys: Keys,
    /// Keys of receipts.
    pub receipt_keys: receipt::Keys,
    /// The executions, if they are known.
    pub executions: Option<Vec<Arc<CapabilityExecution>>>,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum EvidenceError {
    #[error("cannot start: {0}")]
    Start(std::io::Error),
    #[error("cannot start: this process already has other cryptography")]
    Cryptography,
    #[error(
        "cannot find a cluster: {0}; it is that of the current context of $KUBECONFIG, or of ~/.kube/config; with --keys and --executions none is needed"
    )]
    Client(kube::Error),
    #[error("cannot read {what}: {source}; with --keys and --executions no cluster is needed")]
    Get { what: String, source: kube::Error },
    #[error("cannot read {path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("cannot read {path} as JSON of {what}: {source}")]
    Json { path: PathBuf, what: &'static str, source: serde_json::Error },
    #[error("{path} has a {found:?}, expected {what}")]
    Kind { path: PathBuf, found: String, what: &'static str },
    #[error(
        "there are no keys of writers of the trail: expected ConfigMaps ccos-audit-webhook and ccos-audit-controller"
    )]
    NoKeys,
}

pub(super) fn evidence(args: &VerifyArgs) -> Result<Evidence, EvidenceError> {
    let VerifyArgs { paths: _, keys, executions, since: _, until: _, strict: _, system_namespace, output: _ } = args;
    let from_file = |path: &PathBuf| {
        items::<CapabilityExecution>(path, "CapabilityExecution").map(|found| found.into_iter().map(Arc::new).collect())
    };
    let executions = executions.as_ref().map(from_file).transpose()?;
    if let Some(path) = keys {
        let (keys, receipt_keys) = sort(items::<ConfigMap>(path, "ConfigMap")?);
        return Ok(Evidence { keys, receipt_keys, executions });
    }
    rustls::crypto::aws_lc_rs::default_provider().install_default().map_err(|_| EvidenceError::Cryptography)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(EvidenceError::Start)?;
    runtime.block_on(fetch(system_namespace, executions))
}

async fn fetch(namespace: &str, executions: Option<Vec<Arc<CapabilityExecution>>>) -> Result<Evidence, EvidenceError> {
    let client = Client::try_default().await.map_err(EvidenceError::Client)?;
    let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let mut found = Vec::new();
    for name in Writer::ALL.map(Writer::object_name).into_iter().chain([RECEIPT_KEYS]) {
        let what = || format!("ConfigMap {namespace}/{name}");
        found.extend(config_maps.get_opt(name).await.map_err(|source| EvidenceError::Get { what: what(), source })?);
    }
    let (keys, receipt_keys) = sort(found);
    let executions = match executions {
        Some(executions) => executions,
        None => all(&Api::all(client)).await?,
    };
    Ok(Evidence { keys, receipt_keys, executions: Some(executions) })
}

async fn all(api: &Api<CapabilityExecution>) -> Result<Vec<Arc<CapabilityExecution>>, EvidenceError> {
    let (mut executions, mut params) = (Vec::new(), ListParams::default().limit(PAGE));
    loop {
        let failed = |source| EvidenceError::Get { what: "the executions".to_owned(), source };
        let page = api.list(&params).await.map_err(failed)?;
        executions.extend(page.items.into_iter().map(Arc::new));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(executions),
        }
    }
}

/// Each ConfigMap is of what its name says: a writer's keys are in its own.
fn sort(config_maps: Vec<ConfigMap>) -> (Keys, receipt::Keys) {
    let (mut keys, mut receipt_keys) = (Keys::default(), receipt::Keys::default());
    for config_map in config_maps {
        let name = config_map.name_any();
        let data: BTreeMap<String, String> = config_map.data.unwrap_or_default();
        if let Some(writer) = Writer::ALL.into_iter().find(|writer| writer.object_name() == name) {
            keys.add(writer, &data);
        } else if name == RECEIPT_KEYS {
            keys.add_receipt_keys(&data);
            receipt_keys = receipt::Keys::read(&data);
        }
    }
    (keys, receipt_keys)
}

/// An object, or a List of such, as kubectl prints it.
fn items<T: DeserializeOwned>(path: &Path, what: &'static str) -> Result<Vec<T>, EvidenceError> {
    let file = |source| EvidenceError::File { path: path.to_owned(), source };
    let json = |source| EvidenceError::Json { path: path.to_owned(), what, source };
    let text = std::fs::read_to_string(path).map_err(file)?;
    let mut value: Value = serde_json::from_str(&text).map_err(json)?;
    let objects = match value.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        Some(_) | None => vec![value],
    };
    let each = objects.into_iter().map(|object| {
        let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
        if kind != what {
            return Err(EvidenceError::Kind { path: path.to_owned(), found: kind.to_owned(), what });
        }
        serde_json::from_value(object).map_err(json)
    });
    each.collect()
}
