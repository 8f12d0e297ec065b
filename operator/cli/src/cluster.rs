//! The way to a cluster: that of the kubeconfig, as kubectl finds it.

use std::io;

use kube::Client;

/// Why there is no way.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum ConnectError {
    #[error("cannot start: {0}")]
    Start(io::Error),
    #[error("cannot start: this process already has other cryptography")]
    Cryptography,
    #[error(
        "cannot find a cluster: {0}; it is that of the current context of $KUBECONFIG, or of ~/.kube/config: kubectl config use-context NAME chooses it"
    )]
    Client(kube::Error),
}

/// Does something with the cluster of the kubeconfig.
pub(crate) fn with_client<T, E: From<ConnectError>>(work: impl AsyncFnOnce(Client) -> Result<T, E>) -> Result<T, E> {
    rustls::crypto::aws_lc_rs::default_provider().install_default().map_err(|_| ConnectError::Cryptography)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ConnectError::Start)?;
    runtime.block_on(async {
        let client = Client::try_default().await.map_err(ConnectError::Client)?;
        work(client).await
    })
}
