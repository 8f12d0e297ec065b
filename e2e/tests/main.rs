//! The tests in the cluster, a module for each promise. One program, so that what waits for the kubelet waits together, and links
//! once. `e2e/test.sh` runs them side by side, but for those that are ignored since they have to be alone: what measures time, and
//! what takes a part of the cluster away that others need.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests and their helpers"
)]

mod admission;
mod attacks;
mod audit;
mod bandwidth;
mod capacity;
mod clients;
mod container;
mod credentials;
mod doctor;
mod examples;
mod exfiltration;
mod fence;
mod files;
mod inbound;
mod install;
mod languages;
mod late;
mod lifecycle;
mod limits;
mod network;
mod policy;
mod providers;
mod proxy;
mod receipts;
mod relay;
mod replicas;
mod reports;
mod rescan;
mod retries;
mod upstream;
mod usage;
