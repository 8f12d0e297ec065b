//! What the cluster can do and what contexts may grant in it, without asking it.

use std::path::Path;

use ccos_plan::ClusterProfile;
use ccos_policy::{Ceiling, Isolation, IsolationProfile, Isolations, Peer, RequiredPermissions};

use serde_json::Value;

use crate::input::{Fault, Place};

/// A cluster, as its profile describes it.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// What its isolations can do.
    pub isolations: Isolations,
    /// What contexts may grant whose author may not escalate.
    pub ceiling: Ceiling,
}

/// One with the chart's defaults.
impl Default for Cluster {
    fn default() -> Self {
        Self { isolations: default_isolations(), ceiling: default_ceiling() }
    }
}

impl Cluster {
    /// By its profile, or else with the chart's defaults.
    #[must_use]
    pub fn of(profile: Option<&Path>, faults: &mut Vec<Fault>) -> Self {
        let Some(path) = profile else { return Self::default() };
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string());
        match text.and_then(|text| Self::parse(&text)) {
            Ok(cluster) => cluster,
            Err(error) => {
                faults.push(Fault::at(Place::file(&path.display().to_string()), error));
                // Nothing is decided by it: a fault ends that.
                Self { isolations: Isolations::default(), ceiling: Ceiling::default() }
            }
        }
    }

    /// By the text of its profile.
    ///
    /// # Errors
    /// If it can't be understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        let object: Option<Value> = serde_saphyr::from_str(text).ok();
        if object.is_some_and(|object| object.get("kind").and_then(Value::as_str) == Some("ConfigMap")) {
            return Err("this is the ConfigMap: give its data[\"profile.yaml\"]".to_owned());
        }
        let profile = ClusterProfile::parse_for_decisions(text);
        let both = profile.and_then(|profile| profile.ceiling().map(|ceiling| (profile.isolations, ceiling)));
        both.map(|(isolations, ceiling)| Self { isolations, ceiling }).map_err(|error| error.to_string())
    }
}

/// The chart's default.
fn default_ceiling() -> Ceiling {
    let peers = DEFAULT_BLOCKED.iter().filter_map(|text| text.parse().ok().map(Peer::Cidr)).collect();
    let permissions = RequiredPermissions { network_blocked: Some(peers), ..RequiredPermissions::default() };
    Ceiling { permissions, ..Ceiling::default() }
}

/// `ceiling.permissions.network.blocked` of the chart.
const DEFAULT_BLOCKED: [&str; 5] = ["127.0.0.0/8", "169.254.0.0/16", "::1/128", "fd00:ec2::/32", "fe80::/10"];

/// The chart's defaults.
fn default_isolations() -> Isolations {
    let able = |class: Option<&str>, user_namespaces| IsolationProfile {
        runtime_class: class.map(str::to_owned),
        user_namespaces,
        // Its default, and what it writes for those in which the code has a network namespace of its own.
        egress: user_namespaces,
        // To be said by who knows the nodes' kernels.
        landlock_abi: None,
        pod_user_namespaces: false,
    };
    Isolations(
        [
            (Isolation::GVisor, able(Some("gvisor"), true)),
            (Isolation::Kata, able(Some("kata"), true)),
            (Isolation::Container, able(None, false)),
        ]
        .into(),
    )
}
