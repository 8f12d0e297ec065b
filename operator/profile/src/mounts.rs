//! Where volumes may be mounted: said once, so that no context is admitted whose pods the runner refuses.

use std::path::Path;

/// Folders that every program has, and that the runner makes itself, with all that is below them.
const OWN: [&str; 2] = ["/proc", "/dev"];

/// Scratch space of the runner's; below it, a volume is one more folder.
const SCRATCH: &str = "/tmp";

/// How deep a volume may be mounted, in segments: less deep than the runner
/// ([`runner_volume`](crate::place::runner_volume) says why).
pub const MAX_SEGMENTS: usize = 8;

/// Whether a volume may be mounted at an absolute path that is normalised.
#[must_use]
pub fn may_be_at(path: &str) -> bool {
    path != "/" && path != SCRATCH && OWN.iter().all(|own| !Path::new(path).starts_with(own)) && !is_too_deep(path)
}

/// Whether it is deeper than [`MAX_SEGMENTS`].
#[must_use]
pub fn is_too_deep(path: &str) -> bool {
    depth(path) > MAX_SEGMENTS
}

fn depth(path: &str) -> usize {
    path.split('/').filter(|segment| !segment.is_empty()).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::{VOLUMES, runner_volume};

    #[test]
    fn the_runner_is_deeper_than_any_volume() {
        assert!(may_be_at("/1/2/3/4/5/6/7/8") && !may_be_at("/1/2/3/4/5/6/7/8/9"));
        assert_eq!(depth(&runner_volume("0")), MAX_SEGMENTS + 1);
        // In isolation Kata volumes are there, by their names.
        assert!(depth(VOLUMES) < MAX_SEGMENTS);
    }
}
