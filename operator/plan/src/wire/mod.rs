//! From the wire to the domain. Every fault is collected, with the field's path, what was given and what is allowed.

mod ceiling;
mod context;
mod credentials;
mod execution;
pub(crate) mod faults;
mod inputs;
mod mounts;
mod permissions;
mod policy;
mod provider;
pub(crate) mod selectors;
pub mod unheld;

pub use ceiling::ceiling;
pub use context::context;
pub(crate) use execution::isolation_wire;
pub use execution::{INPUT_LIMIT, request};
pub use faults::{FieldError, FieldErrors};
pub(crate) use inputs::misfits;
pub use policy::{policy, policy_fits};
pub use provider::{Offered, capability, provider, unreasonable};
