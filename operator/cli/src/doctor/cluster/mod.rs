//! A cluster, by what its API server shows. What can't be read is unknown, never well.

mod install;
mod read;
mod rights;
mod runtimes;

use kube::Client;

use super::line::{Line, Report, State};
use super::probe::{Interrupted, Probing};
use read::Cluster;

/// Looks at the cluster. What it refuses to show is a check of state `unknown`, and so is not an error.
pub async fn examine(client: &Client, system_namespace: &str) -> Report {
    let cluster = Cluster::read(client, system_namespace).await;
    report(
        &cluster,
        vec![Line::new(
            "enforcement of NetworkPolicies",
            State::Unknown,
            "not verified here: no object tells whether the CNI enforces them. Executions without outbound hosts have no network of their own to reach it with",
            "try it: ccos doctor --probe",
        )],
    )
}

/// The same, and runs pods that see whether the profile is true.
///
/// # Errors
/// If somebody wants it to end.
pub async fn examine_and_probe(
    client: &Client,
    system_namespace: &str,
    namespace: Option<&str>,
) -> Result<Report, Interrupted> {
    let cluster = Cluster::read(client, system_namespace).await;
    let probed = match &cluster.profile {
        Err(why) => vec![unread("probes", why)],
        Ok(profile) => {
            let isolations = runtimes::probed(&cluster, profile);
            Probing { client, profile, isolations, kernels: runtimes::kernels(&cluster), namespace }.lines().await?
        }
    };
    Ok(report(&cluster, probed))
}

fn report(cluster: &Cluster, probed: Vec<Line>) -> Report {
    let mut checks = install::checks(cluster);
    checks.extend(runtimes::checks(cluster));
    checks.extend(probed);
    checks.extend(rights::checks(cluster));
    Report { checks, kata: None }
}

/// A check of something that could not be read.
fn unread(check: &str, why: &str) -> Line {
    Line::new(check, State::Unknown, why, "ask somebody who may read it, such as a cluster administrator")
}
