//! `ccos-webhook`: starts the watches, the keys, the certificate and the servers, and ends them in order.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum_server::Handle;
use ccos_audit::Writer;
use ccos_crds::ExecutionPolicy;
use ccos_plan::policing::Shelf;
use ccos_plan::{ClusterProfile, ParsedContexts};
use ccos_trail::{Place, Trail};
use ccos_webhook::certificates;
use ccos_webhook::copies;
use ccos_webhook::keys::{self, Shared};
use ccos_webhook::lists;
use ccos_webhook::policies::{self, Kept};
use ccos_webhook::probes::{self, Metrics, Probes};
use ccos_webhook::serve::{self, App};
use ccos_webhook::tls::{self, Keeper, Source};
use ccos_webhook::watch::{self, Pulses};
use ccos_webhook::work::Work;
use clap::Parser;
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::{Api, Client};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, Semaphore};

/// For API servers that have not heard yet that this replica ends.
const LAST_CALLS: Duration = Duration::from_secs(5);
/// For reviews that are under way; more than one takes.
const DRAIN: Duration = Duration::from_secs(10);

/// Admission for security.ccos.dev: decides, signs receipts, and keeps its own certificates.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// What the cluster can do: the file that the chart makes from its values.
    #[arg(long, env = "CCOS_PROFILE", value_name = "FILE")]
    profile: PathBuf,
    /// The namespace of this webhook, with its Secrets and its Service.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE")]
    namespace: String,
    /// The Service by which the API server calls it.
    #[arg(long, env = "CCOS_SERVICE", default_value = "ccos-webhook", value_name = "NAME")]
    service: String,
    /// Where it serves admission, with TLS.
    #[arg(long, env = "CCOS_LISTEN", default_value = "[::]:9443", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where it serves /healthz, /readyz and /metrics.
    #[arg(long, env = "CCOS_PROBES", default_value = "[::]:8080", value_name = "ADDRESS")]
    probes: SocketAddr,
    /// A folder with tls.crt, tls.key and ca.crt, as cert-manager writes them. Absent: it makes and renews its own.
    #[arg(long, env = "CCOS_CERTIFICATE_DIR", value_name = "DIR")]
    certificate_dir: Option<PathBuf>,
    /// A folder of a volume for the audit trail. Absent: it goes to standard output alone.
    #[arg(long, env = "CCOS_AUDIT_DIR", value_name = "DIR")]
    audit_dir: Option<PathBuf>,
    /// What the audit trail calls this process: the pod's name.
    #[arg(long, env = "HOSTNAME", default_value = "ccos-webhook", value_name = "NAME")]
    instance: String,
}

#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("cannot read {path}: {source}")]
    Profile { path: String, source: std::io::Error },
    #[error("cannot use {path}: {source}")]
    ProfileText { path: String, source: ccos_plan::cluster::ProfileError },
    #[error("cannot find the API server: {0}")]
    Client(#[from] kube::Error),
    #[error("cannot serve at {address}: {source}")]
    Serve { address: SocketAddr, source: std::io::Error },
    #[error("cannot listen for signals: {0}")]
    Signal(std::io::Error),
    #[error("this process already has other cryptography")]
    Cryptography,
    #[error("the audit trail can't be written any more")]
    Trail,
}

fn main() -> ExitCode {
    let args = Args::parse();
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "cannot go on");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), StartError> {
    rustls::crypto::aws_lc_rs::default_provider().install_default().map_err(|_| StartError::Cryptography)?;
    let profile = profile(&args.profile)?;
    let ceiling = profile
        .ceiling()
        .map_err(|source| StartError::ProfileText { path: args.profile.display().to_string(), source })?;
    let client = Client::try_default().await?;
    let pulses = Pulses::default();
    let keys = Shared::default();
    let metrics = Metrics::default();
    let (serving, ending) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));

    let ends = Handle::new();
    end(ends.clone(), Arc::clone(&ending))?;
    let probes = probes::router(Probes {
        metrics: metrics.clone(),
        pulses: pulses.clone(),
        keys: keys.clone(),
        serving: Arc::clone(&serving),
        ending: Arc::clone(&ending),
    });
    let probes = axum_server::bind(args.probes).handle(ends.clone()).serve(probes.into_make_service());
    let mut probes = tokio::spawn(probes);

    let parsed = Arc::new(ParsedContexts::default());
    let caches = copies::keep(&client, &pulses, &parsed);
    let policing = keep_policies(&client, &pulses);
    let (policies, namespaces) = (policing.policies.clone(), policing.namespaces.clone());
    let (lists, filled_lists) = lists::keep(&client, &args.namespace, &pulses);
    let configurations = Arc::new(Notify::new());
    keep_keys(&client, &args.namespace, &pulses, keys.clone(), Arc::clone(&configurations));
    let keeper = keep_certificate(&client, &args, &pulses, keys.clone(), configurations);
    let config = tokio::select! {
        config = keeper.first() => config,
        // It ends before it began.
        end = &mut probes => return served(end, args.probes),
    };
    let place = Place {
        writer: Writer::Webhook,
        namespace: args.namespace.clone(),
        instance: args.instance.clone(),
        folder: args.audit_dir.clone(),
    };
    let trail = tokio::select! {
        trail = Trail::opened(&client, &place) => trail,
        end = &mut probes => return served(end, args.probes),
    };
    let kept = config.clone();
    tokio::spawn(async move { keeper.keep(kept).await });

    let app = App {
        client,
        caches: caches.clone(),
        contexts: parsed,
        kept: policing,
        lists,
        isolations: profile.isolations,
        ceiling,
        keys,
        metrics,
        trail: trail.clone(),
        now: Timestamp::now,
        bodies: Semaphore::new(serve::BODIES),
        work: Work::default(),
    };
    let router = serve::router(Arc::new(app));
    let server = axum_server::bind_rustls(args.listen, config).handle(ends.clone());
    let server = tokio::spawn(server.serve(router.into_make_service()));
    tokio::spawn(async move {
        let restricted = policies.wait_until_ready().await.is_ok() && namespaces.wait_until_ready().await.is_ok();
        if restricted && copies::filled(&caches).await && filled_lists.wait_until_ready().await.is_ok() {
            serving.store(true, Ordering::Relaxed);
            tracing::info!("is ready");
        }
    });

    tokio::select! {
        end = server => served(end, args.listen)?,
        // It would refuse everything from here on; the next process may do better.
        () = trail.ended() => return Err(StartError::Trail),
    }
    trail.close().await;
    served(probes.await, args.probes)
}

/// At the first signal: not ready, a while of serving on, then no more connections. Asked for at once, since the first
/// process of a container ignores signals that it has not asked for.
fn end(ends: Handle<SocketAddr>, ending: Arc<AtomicBool>) -> Result<(), StartError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(StartError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::Signal)?;
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        tracing::info!("ends");
        ending.store(true, Ordering::Relaxed);
        tokio::time::sleep(LAST_CALLS).await;
        ends.graceful_shutdown(Some(DRAIN));
    });
    Ok(())
}

fn served(result: Result<std::io::Result<()>, tokio::task::JoinError>, address: SocketAddr) -> Result<(), StartError> {
    let result = result.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    result.map_err(|source| StartError::Serve { address, source })
}

fn profile(path: &std::path::Path) -> Result<ClusterProfile, StartError> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| StartError::Profile { path: name.clone(), source })?;
    ClusterProfile::parse(&text).map_err(|source| StartError::ProfileText { path: name, source })
}

fn keep_policies(client: &Client, pulses: &Pulses) -> Kept {
    let pulse = pulses.add("ExecutionPolicy");
    let age = Arc::clone(&pulse);
    Kept {
        policies: copies::reflect::<ExecutionPolicy>(client, pulse, |object| object.metadata.managed_fields = None),
        age: Box::new(move || age.age()),
        namespaces: copies::reflect::<Namespace>(client, pulses.add("Namespace"), policies::strip),
        shelf: Shelf::default(),
    }
}

/// Makes, publishes and reads the receipt keys, again whenever they change.
/// `configurations` is told, since the paths in them come from the key.
fn keep_keys(client: &Client, namespace: &str, pulses: &Pulses, shared: Shared, configurations: Arc<Notify>) {
    let changed = Arc::new(Notify::new());
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    tokio::spawn(watch::one(secrets, keys::SECRET, pulses.add("receipt key Secret"), Arc::clone(&changed)));
    tokio::spawn(watch::one(config_maps, keys::CONFIG_MAP, pulses.add("receipt keys ConfigMap"), Arc::clone(&changed)));
    let (client, namespace) = (client.clone(), namespace.to_owned());
    tokio::spawn(async move {
        loop {
            match keys::ensure(&client, &namespace).await {
                Ok(signing) => {
                    shared.set(signing);
                    configurations.notify_one();
                    changed.notified().await;
                }
                Err(error) => {
                    probes::warn("no receipt key; it is tried again", &error);
                    tokio::time::sleep(Duration::from_secs(2)).await;
                }
            }
        }
    });
}

/// Watches all that the certificate depends on.
fn keep_certificate(client: &Client, args: &Args, pulses: &Pulses, keys: Shared, changed: Arc<Notify>) -> Keeper {
    let source = if let Some(folder) = &args.certificate_dir {
        Source::Folder(folder.clone())
    } else {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), &args.namespace);
        let pulse = pulses.add("certificate Secret");
        tokio::spawn(watch::one(secrets, tls::SECRET, pulse, Arc::clone(&changed)));
        let names = certificates::names(&args.service, &args.namespace);
        Source::Own { names, namespace: args.namespace.clone() }
    };
    let mutating: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let validating: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    let (one, other) = (pulses.add("MutatingWebhookConfiguration"), pulses.add("ValidatingWebhookConfiguration"));
    tokio::spawn(watch::one(mutating, tls::CONFIGURATION, one, Arc::clone(&changed)));
    tokio::spawn(watch::one(validating, tls::CONFIGURATION, other, Arc::clone(&changed)));
    Keeper { client: client.clone(), source, keys, changed }
}
