//! An execution to ask about, and what policies say of it.

use std::sync::Arc;

use ccos_cedar::{Facts, Mode, PolicySet, Principal, Provider, Question, Signature, Stored, Text, Version};
use ccos_policy::policies::{Judged, Opinions, Policies as _, Remark};
use ccos_policy::{Isolation, Level, LimitsInForce, Outbound, Peer, Permissions, PortRange, ProcessCreation};

/// Everything that can be asked about.
pub struct Case {
    pub facts: Facts,
    pub permissions: Permissions,
    pub limits: LimitsInForce,
    pub level: Level,
    pub isolation: Isolation,
    pub now: &'static str,
}

/// With as much as there can be to each attribute.
pub fn full() -> Case {
    let mut permissions = Permissions::default();
    permissions.filesystem.read = vec!["/data/**".parse().unwrap()].into();
    permissions.filesystem.write = vec!["/out".parse().unwrap()].into();
    permissions.filesystem.execute = vec!["/opt/lib".parse().unwrap()].into();
    let ports = vec![PortRange::new(443, 443).unwrap()];
    permissions.network.outbound = vec![
        Outbound { peer: Peer::Host("api.example.com".parse().unwrap()), ports: ports.clone() },
        Outbound { peer: Peer::Cidr("203.0.113.0/24".parse().unwrap()), ports },
    ]
    .into();
    permissions.system.commands = vec!["/bin/sh".parse().unwrap()].into();
    permissions.system.process_creation = ProcessCreation::Allowed;
    permissions.environment.read = vec!["APP_*".parse().unwrap()].into();
    permissions.environment.write = vec!["LANG".parse().unwrap()].into();
    permissions.ipc.connect = vec!["/run/app.sock".parse().unwrap()].into();
    let mut limits = Level::Full.default_limits();
    limits.network_bytes_per_second = Some(ccos_policy::Bytes(1 << 20));
    Case {
        facts: Facts {
            principal: Principal { user: "ann".to_owned(), groups: vec!["team".to_owned(), "interns".to_owned()] },
            namespace: "data".to_owned(),
            labels: [("env".to_owned(), "prod".to_owned())].into(),
            context_kind: "SecurityContext",
            context_name: "analysts".to_owned(),
            capability: "weather.fetch".to_owned(),
            provider: Provider {
                kind: "CapabilityProvider",
                namespace: "data".to_owned(),
                name: "weather".to_owned(),
                version: Version {
                    text: "1.4.2-rc.1".to_owned(),
                    major: 1,
                    minor: 4,
                    patch: 2,
                    prerelease: "rc.1".to_owned(),
                },
                image: "registry.local/weather".to_owned(),
                source_digest: format!("sha256:{}", "0".repeat(64)),
                signature: Signature::Unverified,
            },
        },
        permissions,
        limits,
        level: Level::Controlled,
        isolation: Isolation::GVisor,
        now: "2026-11-21T10:30:00Z", // a Saturday
    }
}

/// With as little as there can be.
pub fn least() -> Case {
    let full = full();
    Case {
        facts: Facts {
            principal: Principal::default(),
            labels: [].into(),
            provider: Provider {
                version: Version::default(),
                image: String::new(),
                source_digest: String::new(),
                ..full.facts.provider
            },
            ..full.facts
        },
        permissions: Permissions::default(),
        limits: Level::Pure.default_limits(),
        ..full
    }
}

impl Case {
    pub fn asked(&self, set: &Arc<PolicySet>) -> Opinions {
        let judged = Judged {
            now: self.now.parse().unwrap(),
            isolation: self.isolation,
            level: self.level,
            permissions: &self.permissions,
            limits: &self.limits,
        };
        Question { set: Arc::clone(set), facts: self.facts.clone() }.judge(&judged)
    }

    /// What an enforced policy called `p` says, as texts.
    #[track_caller]
    pub fn denials(&self, text: &str) -> Vec<String> {
        let Opinions { denials, remarks } = self.asked(&set(&[("p", Mode::Enforce, text)]));
        assert_eq!(remarks, []);
        denials.iter().map(ToString::to_string).collect()
    }

    #[track_caller]
    pub fn is_forbidden_when(&self, condition: &str) -> bool {
        let denials = self.denials(&format!("forbid(principal, action, resource) when {{ {condition} }};"));
        assert!(denials.is_empty() || denials == ["ExecutionPolicy \"p\" forbids it by policy 1"], "{denials:?}");
        !denials.is_empty()
    }
}

#[track_caller]
pub fn set(all: &[(&str, Mode, &str)]) -> Arc<PolicySet> {
    let stored: Vec<Stored> = all
        .iter()
        .map(|(name, mode, text)| {
            let parsed = Text::parse(text).unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
            Stored { name: (*name).to_owned(), mode: *mode, text: Ok(Arc::new(parsed)) }
        })
        .collect();
    Arc::new(PolicySet::new(&stored))
}

/// Remarks as texts.
pub fn told(remarks: &[Remark]) -> Vec<String> {
    remarks
        .iter()
        .map(|remark| match remark {
            Remark::Warn(objection) => format!("warn: {objection}"),
            Remark::Audit(objection) => format!("audit: {objection}"),
        })
        .collect()
}
