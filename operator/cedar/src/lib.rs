//! ExecutionPolicies: texts in Cedar that forbid what is otherwise granted.
//!
//! [`Text`] is one of them, parsed and validated against the [`SCHEMA`]; [`PolicySet`] is all of a cluster's; a
//! [`Question`] holds them against one execution, as [`ccos_policy::decide()`] asks it to. Nothing here knows Kubernetes,
//! reads a clock or does IO. What can't be parsed, validated or evaluated forbids: nothing fails open.

mod depth;
mod facts;
mod fault;
mod question;
mod schema;
mod set;
mod text;

pub use facts::{Facts, Principal, Provider, Signature, Version};
pub use fault::Fault;
pub use question::Question;
pub use schema::SCHEMA;
pub use set::{Mode, PolicySet, Stored, TOTAL_LIMIT};
pub use text::{TEXT_LIMIT, Text};
