//! Into the view.

use ccos_profile::place;

use crate::kernel::Call;
use crate::view::Step;

const PAGE: u64 = 4096;

/// For what else a kernel may count. Not more: gVisor lets the owner of a file change its size and mode on a tmpfs
/// that is mounted read-only (measured), so that the workload may grow the view's texts up to this, beyond its disk.
const SPARE_BYTES: u64 = 64 * 1024;

/// The old root goes before the new one is sealed, and the scratch space's own root before that: through it every
/// scratch folder would have a second name, without the covers on it.
pub(super) fn enter_view(disk_bytes: u64, steps: &[Step]) -> impl Iterator<Item = Call> {
    let texts =
        steps.iter().filter_map(|step| if let Step::Text { text, .. } = step { Some(text.len()) } else { None });
    let bytes = texts.map(|length| (length as u64).next_multiple_of(PAGE)).sum::<u64>() + SPARE_BYTES;
    [Call::MountView { at: place::VIEW, bytes }, Call::MountScratch { bytes: disk_bytes }]
        .into_iter()
        .chain(steps.iter().cloned().map(Call::Build))
        .chain([Call::HideScratchRoot, Call::Pivot, Call::SealRoot])
}
