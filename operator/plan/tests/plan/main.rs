//! From objects as users write them to what a cluster runs, and back from pods to status.

mod children;
mod lifecycle;
mod receipts;
mod world;
