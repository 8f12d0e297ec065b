//! Between the wire and the decision, and between the decision and the cluster.
//!
//! Functions of values: no `async`, no client, no clock but an argument. The webhook and the CLI use [`wire`] and
//! [`receipt`]; the controller also [`step`], [`build`] and [`status`]. What they do is told by [`record`].

pub mod advice;
pub mod build;
pub mod capacity;
pub mod cluster;
pub mod digest;
pub mod end;
pub mod fence;
pub mod given;
pub mod halt;
pub mod object;
pub mod opening;
pub mod parsed;
pub mod policing;
pub mod read;
pub mod receipt;
pub mod record;
pub mod reference;
pub mod report;
pub mod reported;
pub mod rescan;
pub mod retry;
pub mod review;
pub mod schema;
pub mod status;
pub mod step;
mod text;
pub mod trust;
pub mod wire;

pub use cluster::ClusterProfile;
pub use object::{AnyContext, AnyProvider};
pub use parsed::ParsedContexts;
pub use policing::Policing;
pub use review::{Verdict, review};
pub use trust::Trust;
