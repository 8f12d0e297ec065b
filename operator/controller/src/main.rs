//! `ccos-controller`: one leader turns admitted executions into confined pods, and pods into status.

mod apply;
mod audit;
mod contexts;
mod ctx;
mod dereference;
mod egress;
mod error;
mod fence;
mod lease;
mod metrics;
mod orphans;
mod policies;
mod queue;
mod reconcile;
mod report_tls;
mod reports;
mod rescan;
mod rights;
mod serve;
mod service;
mod supply;
mod triggers;
mod turn;
mod update_status;
mod waker;
mod watches;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use axum_server::tls_rustls::RustlsConfig;
use ccos_audit::Writer;
use ccos_plan::{ClusterProfile, ParsedContexts};
pub(crate) use ccos_trail::chain_of as chain;
use ccos_trail::{Place, Trail};
use clap::Parser;
use kube::client::ClientBuilder;
use kube::runtime::events::{Recorder, Reporter};
use tracing::{error, info};

use crate::ctx::Ctx;
use crate::metrics::Metrics;
use crate::report_tls::Serving;
use crate::reports::Told;
use crate::supply::lists::Lists;
use crate::supply::registry::Registries;
use crate::watches::WatchAges;

/// Runs the controller.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// What the cluster can do: the file that the chart mounts.
    #[arg(long)]
    profile: PathBuf,
    /// The controller's own namespace, for its Lease and the webhook's public keys.
    #[arg(long, env = "POD_NAMESPACE")]
    namespace: String,
    /// Where probes and metrics are served.
    #[arg(long, default_value = "[::]:8080")]
    listen: SocketAddr,
    /// Where runners report.
    #[arg(long, default_value = "[::]:8443")]
    reports: SocketAddr,
    /// Registries that may be asked what a tag names and for signatures: hosts, each with its port where it has one.
    #[arg(long = "registry", value_name = "HOST")]
    registries: Vec<String>,
    /// Those of them that have no TLS.
    #[arg(long = "insecure-registry", value_name = "HOST")]
    insecure_registries: Vec<String>,
    /// Certificates of authorities for registries, in PEM.
    #[arg(long, value_name = "FILE")]
    registry_authorities: Option<PathBuf>,
    /// Who this is in the Lease.
    #[arg(long, env = "HOSTNAME", default_value = "ccos-controller")]
    identity: String,
    /// A folder of a volume for the audit trail. Absent: it goes to standard output alone.
    #[arg(long, env = "CCOS_AUDIT_DIR")]
    audit_dir: Option<PathBuf>,
}

/// What keeps the controller from running.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("cannot read the profile {path}")]
    Profile { path: PathBuf, source: std::io::Error },
    #[error("the profile {path} can't be understood")]
    Parse { path: PathBuf, source: ccos_plan::cluster::ProfileError },
    #[error("cannot use the registries' authorities {path}")]
    Authorities { path: PathBuf, source: std::io::Error },
    #[error("cannot find the cluster")]
    Config(#[source] kube::config::InferConfigError),
    #[error("cannot make a client")]
    Client(#[source] kube::Error),
    #[error("cannot set up TLS: another provider is installed")]
    Tls,
    #[error("cannot serve probes on {address}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error(transparent)]
    Lease(lease::LeaseError),
    #[error("runners can't report")]
    Reports(#[from] report_tls::ReportTlsError),
    #[error("cannot serve reports on {address}")]
    ServeReports { address: SocketAddr, source: std::io::Error },
    #[error("a watch ended")]
    WatchEnded,
    #[error("the audit trail can't be written any more")]
    Trail,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        .init();
    match Box::pin(run(Args::parse())).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(error = chain(&error), "the controller ends");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), StartError> {
    let Args {
        profile: path,
        namespace,
        listen,
        reports: reports_address,
        registries,
        insecure_registries,
        registry_authorities,
        identity,
        audit_dir,
    } = args;
    let text = std::fs::read_to_string(&path).map_err(|source| StartError::Profile { path: path.clone(), source })?;
    let cluster = ClusterProfile::parse(&text);
    let cluster = cluster.and_then(|cluster| cluster.ceiling().map(|ceiling| (cluster, ceiling)));
    let (cluster, ceiling) = cluster.map_err(|source| StartError::Parse { path, source })?;

    let registries = Registries {
        allowed: registries,
        insecure: insecure_registries,
        authorities: registry_authorities.map(authorities).transpose()?.unwrap_or_default(),
    };

    rustls::crypto::aws_lc_rs::default_provider().install_default().map_err(|_| StartError::Tls)?;
    let config = kube::Config::infer().await.map_err(StartError::Config)?;
    let ages = WatchAges::default();
    let client = ClientBuilder::try_from(config).map_err(StartError::Client)?.with_layer(&ages.layer()).build();

    let metrics = Metrics::new(ages.clone());
    let listener =
        tokio::net::TcpListener::bind(listen).await.map_err(|source| StartError::Listen { address: listen, source })?;
    let probes = tokio::spawn(serve::serve(listener, metrics.clone(), ages.clone()));

    let lease = lease::Lease::new(client.clone(), &namespace, &identity);
    let mut stop = std::pin::pin!(serve::terminated());
    tokio::select! {
        () = &mut stop => return Ok(()),
        held = lease.acquire() => held.map_err(StartError::Lease)?,
    }
    info!(identity, "leads");
    metrics.leads();

    let place = Place {
        writer: Writer::Controller,
        namespace: namespace.clone(),
        instance: identity.clone(),
        folder: audit_dir,
    };
    // The Lease is kept meanwhile: whoever else led would miss the key as well.
    let trail = tokio::select! {
        trail = Trail::opened(&client, &place) => trail,
        lost = lease.keep() => return Err(StartError::Lease(lost)),
        () = &mut stop => return lease.release().await.map_err(StartError::Lease),
    };

    let Serving { certificate, key, operator } = report_tls::serving(&client, &namespace).await?;
    let failed = |source| StartError::ServeReports { address: reports_address, source };
    let tls = RustlsConfig::from_pem(certificate.into_bytes(), key.into_bytes()).await.map_err(failed)?;

    let queue = Arc::new(queue::Queue::default());
    let told = Arc::new(Told::default());
    let (lists, changed, stale) = (Lists::default(), Arc::default(), Arc::default());
    let (stores, policies, reports, waker, triggers) =
        triggers::start(&client, &namespace, (&queue, &told), &changed, &lists, &metrics, &stale);
    let reporter = Reporter { controller: "ccos-controller".to_owned(), instance: Some(identity) };
    let ctx = Arc::new(Ctx {
        client: client.clone(),
        namespace,
        cluster,
        operator,
        ceiling,
        stores,
        policies,
        queue,
        told,
        lists,
        registries,
        changed,
        stale,
        reports,
        contexts: ParsedContexts::default(),
        recorder: Recorder::new(client, reporter),
        audit: audit::Audit::new(trail.clone(), metrics.clone()),
        metrics,
        waker,
    });
    // Caches first: with half of them, a pod that exists would look lost.
    ctx.stores.ready().await;
    ctx.policies.ready().await;
    info!("caches are filled");
    ctx.metrics.ready();

    // By the leader alone: nobody else acts on what it hears. Elsewhere a connection is refused, and the runner tries again.
    let endpoint = axum_server::bind_rustls(reports_address, tls);
    let endpoint = endpoint.serve(reports::router(Arc::clone(&ctx)).into_make_service());

    let result = tokio::select! {
        ended = endpoint => Err(failed(ended.err().unwrap_or_else(|| std::io::ErrorKind::Other.into()))),
        () = &mut stop => Ok(()),
        lost = lease.keep() => Err(StartError::Lease(lost)),
        () = triggers.run(ctx) => Err(StartError::WatchEnded),
        () = trail.ended() => Err(StartError::Trail),
    };
    trail.close().await;
    if result.is_ok() {
        // The next leader need not wait for the Lease to run out.
        lease.release().await.map_err(StartError::Lease)?;
    }
    probes.abort();
    result
}

/// Certificates, one by one: a registry's authority and its intermediates may be in one file.
fn authorities(path: PathBuf) -> Result<Vec<Vec<u8>>, StartError> {
    const END: &str = "-----END CERTIFICATE-----";
    let text = std::fs::read_to_string(&path).map_err(|source| StartError::Authorities { path, source })?;
    Ok(text.split_inclusive(END).filter(|part| part.contains(END)).map(|part| part.trim().into()).collect())
}
