//! The egress proxy: the only way by which an execution reaches a host by name.
//!
//! A runner asks with `CONNECT host:port` and the token of its pod. Who asks is told by the API server (`identify`); what
//! they may is [`decide::decide`], over the rules that the controller wrote into the pod; which of the name's addresses may be
//! spoken to is [`classify::vet`]; and what was vetted is what is dialled ([`dial`]): a second look-up could answer otherwise.
//! The first bytes then have to name the granted host ([`gate`]).
//!
//! Replicas count together: one of them serves an execution, and knows what the others have left of it ([`fleet`]).
//!
//! Deciding, classifying, parsing and pacing are functions of values. All else is IO around them: [`serve`] tells the story.

pub mod admin;
pub mod classify;
pub mod cluster;
pub mod connect;
pub mod count;
pub mod decide;
pub mod dial;
pub mod fleet;
pub mod gate;
pub mod identify;
pub mod inject;
pub mod metrics;
pub mod originate;
pub mod pace;
pub mod pin;
pub mod pump;
pub mod resolve;
pub mod serve;
mod shown;
pub mod upstream;
