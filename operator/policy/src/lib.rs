//! The decision: does what an execution requires lie inside what its context grants?
//!
//! [`decide()`] is pure and total: no IO, no clock but [`Request::now`], no Kubernetes. The webhook, the controller and
//! `ccos check` all call it, so that what one of them says is what the others do. A denial is a value, never an
//! `Err`; an `Err` here means that a text could not be parsed into a domain type.

pub mod decide;
pub mod decision;
pub mod isolation;
pub mod limits;
pub mod pattern;
pub mod permissions;
mod places;
pub mod policies;
pub mod reason;
pub mod request;

pub use decide::ceiling::{Ceiling, exceeds};
pub use decide::decide;
pub use decide::difference::{Beyond, Over, all, beyond};
pub use decide::trace::{Trace, trace};
pub use decision::text::is_invisible;
pub use decision::{Admitted, Cause, Decision, Denial, Denials, FieldPath};
pub use isolation::{Isolation, IsolationProfile, Isolations};
pub use limits::{Amount, AmountError, Bytes, Cores, LimitKind, Limits, LimitsInForce, Millis};
pub use pattern::host::HostName;
pub use pattern::{Cidr, HostPattern, List, NamePattern, PathPattern, PatternError, PortRange, Reach, Selectors};
pub use permissions::{
    Environment, Filesystem, Inbound, InboundPeer, Ipc, Network, Outbound, Peer, Permissions, ProcessCreation,
    RequiredPermissions, System,
};
pub use policies::{NoPolicies, Policies, Remark};
pub use reason::Reason;
pub use request::{
    Capability, Context, Expiry, Found, Level, OnExpiry, Request, Requires, Snapshot, Unheld, Use, VolumeMount,
};
