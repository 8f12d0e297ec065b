//! Into the view.

use ccos_profile::place;

use crate::kernel::Call;
use crate::view::Step;

/// The old root goes before the new one is sealed, and the scratch space's own root before that: through it every
/// scratch folder would have a second name, without the covers on it.
pub(super) fn enter_view(disk_bytes: u64, steps: &[Step]) -> impl Iterator<Item = Call> {
    [Call::MountView { at: place::VIEW }, Call::MountScratch { bytes: disk_bytes }]
        .into_iter()
        .chain(steps.iter().cloned().map(Call::Build))
        .chain([Call::HideScratchRoot, Call::Pivot, Call::SealRoot])
}
