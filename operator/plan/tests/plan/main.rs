//! From objects as users write them to what a cluster runs, and back from pods to status.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]
#![allow(clippy::needless_pass_by_value, clippy::similar_names, reason = "short helpers")]
mod attempts;
mod children;
mod contexts;
mod inbound;
mod lifecycle;
mod opening;
mod policing;
mod receipts;
mod records;
mod reports;
mod rescan;
mod schemas;
mod seed;
mod trust;
mod words;
mod world;
