//! What is read of the cluster.

use ccos_crds::CapabilityExecution;
use ccos_plan::receipt::Keys;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};

use super::ExplainArgs;
use crate::cluster::{ConnectError, with_client};

/// The ConfigMap with the public keys.
const KEYS: &str = "ccos-receipt-keys";

/// An execution and what verifies it.
#[derive(Clone, Debug)]
pub struct Found {
    /// The execution.
    pub object: CapabilityExecution,
    /// The keys.
    pub keys: KeysFound,
}

/// The public keys of receipts.
#[derive(Clone, Debug)]
pub enum KeysFound {
    /// They are these.
    Read(Keys),
    /// They can't be read; the text says why.
    Unreadable(String),
}

/// Why the cluster tells nothing.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum ClusterError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("CapabilityExecution {name:?} does not exist in namespace {namespace:?}")]
    Missing { name: String, namespace: String },
    #[error("cannot read CapabilityExecution {name:?} in namespace {namespace:?}: {source}")]
    Read { name: String, namespace: String, source: kube::Error },
}

/// Reads the execution and the keys.
pub(super) fn fetch(args: &ExplainArgs) -> Result<Found, ClusterError> {
    with_client(async |client| read(args, client).await)
}

async fn read(args: &ExplainArgs, client: Client) -> Result<Found, ClusterError> {
    let ExplainArgs { execution, namespace, system_namespace, output: _ } = args;
    let namespace = namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
    let name = execution.clone();
    let api: Api<CapabilityExecution> = Api::namespaced(client.clone(), &namespace);
    let object = match api.get_opt(execution).await {
        Ok(Some(object)) => object,
        Ok(None) => return Err(ClusterError::Missing { name, namespace }),
        Err(source) => return Err(ClusterError::Read { name, namespace, source }),
    };
    let config_maps: Api<ConfigMap> = Api::namespaced(client, system_namespace);
    let keys = match config_maps.get_opt(KEYS).await {
        Ok(Some(found)) => KeysFound::Read(Keys::read(&found.data.unwrap_or_default())),
        Ok(None) => KeysFound::Unreadable(format!("there is no ConfigMap {KEYS:?} in namespace {system_namespace:?}")),
        // Most users may not read there, which is no fault.
        Err(error) => KeysFound::Unreadable(format!("ConfigMap {system_namespace}/{KEYS} can't be read: {error}")),
    };
    Ok(Found { object, keys })
}
