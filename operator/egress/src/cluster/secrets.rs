//! Values of Secrets, one by one, by name: the proxy may read those that somebody let it, and lists none.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ccos_profile::credential::SecretKey;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use tokio::time::timeout;

use crate::originate::Secrets;

/// How long a value is used without asking again: one that was changed or taken back is not for longer.
const FRESH: Duration = Duration::from_secs(10);

/// For one answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Values that are remembered.
const MAX: usize = 1024;

/// A namespace, and a key of a Secret there.
type Place = (String, SecretKey);

/// When a value was told, and the value.
type Known = (Instant, Vec<u8>);

/// Asks the API server.
pub struct OfApi {
    client: Client,
    known: Mutex<HashMap<Place, Known>>,
}

impl OfApi {
    /// With the rights of the proxy's account.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, known: Mutex::default() }
    }

    async fn ask(&self, namespace: &str, key: &SecretKey) -> Result<Vec<u8>, String> {
        let SecretKey { name, key: entry } = key;
        let secrets = Api::<Secret>::namespaced(self.client.clone(), namespace);
        let found = match timeout(PATIENCE, secrets.get(name)).await {
            Err(_) => return Err(format!("the API server does not tell Secret {namespace}/{name} in time")),
            Ok(Err(kube::Error::Api(status))) if status.code == 403 => {
                return Err(format!(
                    "the proxy may not read Secret {namespace}/{name}; let it: kubectl -n {namespace} create role \
                     ccos-credential-{name} --verb=get --resource=secrets --resource-name={name}, and bind that role to \
                     the service account ccos-egress of the operator's namespace"
                ));
            }
            Ok(Err(error)) => return Err(format!("cannot get Secret {namespace}/{name}: {error}")),
            Ok(Ok(secret)) => secret,
        };
        let value = found.data.and_then(|mut data| data.remove(entry));
        value.map(|value| value.0).ok_or_else(|| format!("Secret {namespace}/{name} has no key {entry:?}"))
    }
}

impl Secrets for OfApi {
    fn value<'a>(&'a self, namespace: &'a str, key: &'a SecretKey) -> BoxFuture<'a, Result<Vec<u8>, String>> {
        async move {
            let place = (namespace.to_owned(), key.clone());
            {
                let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some((at, value)) = known.get(&place)
                    && at.elapsed() < FRESH
                {
                    return Ok(value.clone());
                }
            }
            let value = self.ask(namespace, key).await?;
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= MAX {
                known.clear();
            }
            known.insert(place, (Instant::now(), value.clone()));
            Ok(value)
        }
        .boxed()
    }
}
