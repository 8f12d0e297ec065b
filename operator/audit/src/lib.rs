//! The audit trail: what a line says, how lines form a chain, and what finds a line that was removed, changed, moved or
//! made by somebody else.
//!
//! Functions of values: no client, no files, no clock but an argument. The webhook and the controller write lines by
//! [`Chain`]; the command line reads them back by [`Verifier`].

pub mod chain;
pub mod event;
pub mod keys;
pub mod line;
pub mod verify;

pub use chain::Chain;
pub use event::{Event, Level};
pub use keys::{Keys, Writer};
pub use line::{Head, Line};
pub use verify::{Finding, Report, Verifier};
