//! What the controller finds out about providers, beyond the cluster: what a tag names, and whose signature an image has.
//! It is written into the status of providers, by which the webhook and this controller decide.

pub(crate) mod lists;
pub(crate) mod look;
pub(crate) mod reconcile;
pub(crate) mod registry;
pub(crate) mod verify;
