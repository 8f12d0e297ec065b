//! Where volumes may be mounted: said once, so that no context is admitted whose pods the runner refuses.

use std::path::Path;

/// Folders that every program has, and that the runner makes itself, with all that is below them.
const OWN: [&str; 2] = ["/proc", "/dev"];

/// Scratch space of the runner's; below it, a volume is one more folder.
const SCRATCH: &str = "/tmp";

/// Whether a volume may be mounted at an absolute path that is normalised.
#[must_use]
pub fn may_be_at(path: &str) -> bool {
    path != "/" && path != SCRATCH && OWN.iter().all(|own| !Path::new(path).starts_with(own))
}
