//! What the cluster tells the fleet.

use std::path::PathBuf;
use std::sync::Arc;

use super::Cluster;
use crate::fleet::Replicas;
use crate::identify::Execution;

/// The cluster of a proxy in this namespace.
pub struct OfCluster {
    /// The cluster.
    pub cluster: Arc<Cluster>,
    /// The proxy's own.
    pub namespace: String,
    /// The file with the token that is shown to other replicas. The kubelet renews it.
    pub token: PathBuf,
}

impl Replicas for OfCluster {
    fn running(&self, uid: &str) -> Option<Arc<Execution>> {
        self.cluster.running(uid)
    }

    fn all(&self) -> Vec<Arc<Execution>> {
        self.cluster.all()
    }

    fn is_fresh(&self) -> bool {
        self.cluster.is_ready()
    }

    fn token(&self) -> std::io::Result<String> {
        std::fs::read_to_string(&self.token).map(|text| text.trim_end().to_owned())
    }

    async fn whose(&self, token: &str) -> Option<String> {
        let account = format!("system:serviceaccount:{}:ccos-egress", self.namespace);
        self.cluster.replica(token, &account).await
    }
}
