//! What makes a test in the cluster one sentence.
//!
//! Tests speak kubectl: they create what a user would, wait for conditions and look at what users see. Only refusals are
//! read from the API itself, since kubectl prints their message and not their causes. Every wait is bounded, and a test
//! that fails prints what an administrator would look at.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::return_self_not_must_use,
    clippy::needless_pass_by_value,
    reason = "helpers of tests: they panic to fail the test, and a test reads as a sentence"
)]

pub mod agent;
pub mod api;
pub mod barrier;
pub mod cluster;
pub mod fixture;
pub mod kubectl;
pub mod namespace;
pub mod registry;
pub mod running;
pub mod world;

pub use api::Refused;
pub use barrier::Barrier;
pub use ccos_plan::end::{EndReason, WaitReason};
pub use ccos_policy::Reason;
pub use fixture::{Context, Execution, Provider, context, execution, provider};
pub use kubectl::{kubectl, until};
pub use namespace::{Namespace, User, namespace};
pub use registry::{Key, Repository};
pub use running::{Ended, Running};
