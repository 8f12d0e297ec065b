//! The wire between the controller, the runner and the egress proxy: what an execution's pod may connect to, as the
//! controller writes it into an annotation of the pod, and the words in which the proxy refuses.
//!
//! Texts are as the API has them; the proxy parses them with the decision's own patterns, so that a rule means there
//! what it meant at admission. What can't be parsed grants nothing.

use serde::{Deserialize, Serialize};

use crate::credential::Credential;

/// The annotation of a pod that holds its [`Rules`] as JSON. Without it, a pod reaches nothing through the proxy.
pub const ANNOTATION: &str = "security.ccos.dev/egress";

/// The label of an execution's pods: the proxy knows of no others.
pub const EXECUTION_LABEL: &str = "security.ccos.dev/execution-uid";

/// The audience of the token that a runner shows to the proxy. No other service takes it.
pub const AUDIENCE: &str = "ccos-egress";

/// The name of the proxy's Service in the operator's namespace.
pub const SERVICE: &str = "ccos-egress";

/// The port of the proxy that executions reach.
pub const PORT: u16 = 3128;

/// A second port of the proxy, which its own policy opens to executions, and no execution's policy does: where the first one answers
/// and this one is silent, the execution's policy holds. What connects is hung up on.
pub const CANARY_PORT: u16 = 3130;

/// The first line of a request for where the canary of the replica that answers is. Anybody may ask, without a token.
pub const CANARY: &str = "GET /v1/canary HTTP/1.1\r\n";

/// The header of the answer with that address and its port: of the pod itself, and not of its Service.
pub const CANARY_HEADER: &str = "ccos-canary";

/// The value of `app.kubernetes.io/component` on the proxy's pods, by which NetworkPolicies select them.
pub const COMPONENT: &str = "egress";

/// The header of a refusal that holds its [`Refusal`] as a token.
pub const REASON_HEADER: &str = "ccos-reason";

/// The first line of a request for the [`Usage`] of the execution whose token is shown.
pub const REFUSALS: &str = "GET /v1/refusals HTTP/1.1\r\n";

/// The header of a refusal with the reason `elsewhere` that holds the address, with its port, of the replica to ask instead.
pub const OWNER_HEADER: &str = "ccos-owner";

/// What one execution may connect to. An empty list is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rules {
    /// Where to.
    pub outbound: Vec<Outbound>,
    /// Wins over `outbound`; a block of addresses also over what a granted name resolves to.
    pub blocked: Vec<Peer>,
    /// Connections at one time; absent: as many as the proxy allows anyone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<u32>,
    /// Bytes for each second and each way, over all its connections together; absent: unbounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
    /// Headers that the proxy adds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<Credential>,
}

/// A destination: `{"host": …, "ports": […]}` or `{"cidr": …, "ports": […]}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Outbound {
    /// By name.
    Host(HostRule),
    /// By address.
    Cidr(CidrRule),
}

/// A destination by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostRule {
    /// A name, or `*.domain`.
    pub host: String,
    /// Its TCP ports; none: none.
    pub ports: Vec<Ports>,
}

/// A destination by address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CidrRule {
    /// A block of addresses. It also allows a granted name to resolve into it where it is private.
    pub cidr: String,
    /// Its TCP ports; none: none.
    pub ports: Vec<Ports>,
}

/// What is blocked: `{"host": …}` or `{"cidr": …}`, on every port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Peer {
    /// A name, or `*.domain`.
    Host(String),
    /// A block of addresses.
    Cidr(String),
}

/// TCP ports from `port` to `endPort`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ports {
    /// The first.
    pub port: u16,
    /// The last; the first one, if it is a single port.
    pub end_port: u16,
}

/// Why the proxy refused or cut a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// The request is no CONNECT, or not one that is understood. Status 400, 405, 408 or 431.
    BadRequest,
    /// No token, or none of a running execution's pod. Status 403.
    Unidentified,
    /// The pod's rules can't be read. Status 403.
    BadRules,
    /// No rule grants this host or address at this port. Status 403.
    NotGranted,
    /// A rule blocks this host, or the address that it resolves to. Status 403.
    Blocked,
    /// The name resolves to addresses only that no name may lead to: private ones, or the cluster's own. Status 403.
    AddressRefused,
    /// The execution has as many connections as it may, or the proxy has. Status 429.
    TooManyConnections,
    /// The name has no address. Status 502.
    NotResolved,
    /// Nothing accepts the connection. Status 502.
    Unreachable,
    /// The proxy can't tell who is running, or it is draining. Status 502.
    NotReady,
    /// Another replica serves this execution: [`OWNER_HEADER`] has its address. Status 421.
    Elsewhere,
    /// The name's servers or the peer did not answer in time. Status 504.
    TimedOut,
    /// The server name in the TLS ClientHello is not the granted host. The connection is cut.
    ServerNameMismatch,
    /// The Host of the HTTP request is not the granted host. The connection is cut.
    HostMismatch,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::BadRequest,
        Self::Unidentified,
        Self::BadRules,
        Self::NotGranted,
        Self::Blocked,
        Self::AddressRefused,
        Self::TooManyConnections,
        Self::NotResolved,
        Self::Unreachable,
        Self::NotReady,
        Self::Elsewhere,
        Self::TimedOut,
        Self::ServerNameMismatch,
        Self::HostMismatch,
    ];

    /// As [`REASON_HEADER`] has it.
    #[must_use]
    pub const fn token(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::Unidentified => "unidentified",
            Self::BadRules => "bad-rules",
            Self::NotGranted => "not-granted",
            Self::Blocked => "blocked",
            Self::AddressRefused => "address-refused",
            Self::TooManyConnections => "too-many-connections",
            Self::NotResolved => "not-resolved",
            Self::Unreachable => "unreachable",
            Self::NotReady => "not-ready",
            Self::Elsewhere => "elsewhere",
            Self::TimedOut => "timed-out",
            Self::ServerNameMismatch => "server-name-mismatch",
            Self::HostMismatch => "host-mismatch",
        }
    }
}

/// What one execution did over the network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Usage {
    /// From the workload to the world, in bytes.
    pub bytes_sent: u64,
    /// From the world to the workload, in bytes.
    pub bytes_received: u64,
    /// Connections that were established.
    pub connections: u64,
    /// Connections of others to the workload.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub connections_in: u64,
    /// What was refused, the first [`MAX_DENIALS`] different ones.
    pub denials: Vec<Denial>,
    /// Refusals that found no room among them.
    pub denied_more: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Different denials that are kept for one execution.
pub const MAX_DENIALS: usize = 32;

/// Characters of a target that are kept.
pub const MAX_TARGET: usize = 256;

/// Refusals of the same target for the same reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Denial {
    /// Why.
    pub reason: Refusal,
    /// `host:port` as it was asked for, escaped, and cut at [`MAX_TARGET`].
    pub target: String,
    /// How often.
    pub count: u64,
    /// When first, in seconds since 1970.
    pub first_seen: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_annotation_reads_as_the_api_does() {
        let rules = Rules {
            outbound: vec![
                Outbound::Host(HostRule {
                    host: "*.example.com".to_owned(),
                    ports: vec![Ports { port: 443, end_port: 443 }],
                }),
                Outbound::Cidr(CidrRule {
                    cidr: "203.0.113.0/24".to_owned(),
                    ports: vec![Ports { port: 5000, end_port: 5010 }],
                }),
            ],
            blocked: vec![Peer::Host("b.example.com".to_owned()), Peer::Cidr("169.254.0.0/16".to_owned())],
            max_connections: Some(16),
            bytes_per_second: None,
            credentials: Vec::new(),
        };
        let text = concat!(
            r#"{"outbound":[{"host":"*.example.com","ports":[{"port":443,"endPort":443}]},"#,
            r#"{"cidr":"203.0.113.0/24","ports":[{"port":5000,"endPort":5010}]}],"#,
            r#""blocked":[{"host":"b.example.com"},{"cidr":"169.254.0.0/16"}],"maxConnections":16}"#
        );
        assert_eq!(serde_json::to_string(&rules).unwrap(), text);
        assert_eq!(serde_json::from_str::<Rules>(text).unwrap(), rules);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            r"{}",
            r#"{"outbound":[],"blocked":[],"more":1}"#,
            r#"{"outbound":[{"host":"a","cidr":"10.0.0.0/8","ports":[]}],"blocked":[]}"#,
            r#"{"outbound":[{"host":"a"}],"blocked":[]}"#,
            r#"{"outbound":[{"ports":[]}],"blocked":[]}"#,
            r#"{"outbound":[],"blocked":[{"host":"a","cidr":"b"}]}"#,
            r#"{"outbound":[],"blocked":[{"path":"a"}]}"#,
            r#"{"outbound":[{"host":"a","ports":[{"port":1}]}],"blocked":[]}"#,
            r#"{"outbound":[{"host":"a","ports":[{"port":-1,"endPort":70000}]}],"blocked":[]}"#,
        ] {
            assert!(serde_json::from_str::<Rules>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_token_is_what_is_serialized() {
        for refusal in Refusal::ALL {
            assert_eq!(serde_json::to_string(&refusal).unwrap(), format!("{:?}", refusal.token()));
        }
    }
}
