//! What is believed of a provider: the JSON Schemas of its capabilities, the lists of what is known to be malicious or
//! denied, and the references of its images.
//!
//! Functions of values: nothing here reads a registry, a cluster or a file. What comes in was written by somebody who may
//! be hostile, so everything is bounded, and what can't be understood is refused.

pub mod image;
pub mod schema;
pub mod trust_root;
pub mod watchlist;
