//! Admission for `security.ccos.dev`: decides with [`ccos_plan::review`], signs receipts of what it decided, and keeps
//! its own certificates.
//!
//! What is decided is in [`review`], functions of values; [`serve`] fetches what they need and carries their answers.
//! Whatever can't be understood, read or asked is refused: nothing here fails open.

pub mod admission;
pub mod certificates;
pub mod copies;
pub mod keys;
pub mod lists;
pub mod policies;
pub mod probes;
pub mod receipt;
mod record;
pub mod references;
pub mod review;
pub mod rights;
pub mod serve;
pub mod tls;
pub mod watch;
pub mod work;
