//! A cluster, by what its API server shows. What can't be read is unknown, never well.

mod install;
mod read;
mod rights;
mod runtimes;

use kube::Client;

use super::line::{Line, Report, State};
use read::Cluster;

/// Looks at the cluster. What it refuses to show is a check of state `unknown`, and so is not an error.
pub async fn examine(client: &Client, system_namespace: &str) -> Report {
    let cluster = Cluster::read(client, system_namespace).await;
    let mut checks = install::checks(&cluster);
    checks.extend(runtimes::checks(&cluster));
    checks.push(Line::new(
        "enforcement of NetworkPolicies",
        State::Unknown,
        "not verified here: no object tells whether the CNI enforces them. Executions without outbound hosts have no network of their own to reach it with",
        "try it: a pod under a NetworkPolicy that denies egress must not reach another pod",
    ));
    checks.extend(rights::checks(&cluster));
    Report { checks, kata: None }
}

/// A check of something that could not be read.
fn unread(check: &str, why: &str) -> Line {
    Line::new(check, State::Unknown, why, "ask somebody who may read it, such as a cluster administrator")
}
