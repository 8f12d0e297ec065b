//! What a guest of Kata does not hold though its node does: what is bounded by the node's kernel alone.

use super::enforce::open_overlap;
use super::required::{Required, WRITE};
use crate::decision::{Cause, Denial};
use crate::isolation::{Isolation, Isolations};
use crate::request::Context;

const MEMORY: &str = "Kata's guests ignore the sizeLimit of an emptyDir of medium Memory";

/// For `docs/status.md`.
pub(super) const UNENFORCED: (&str, &str) =
    ("requires.permissions.filesystem.write[] in an emptyDir of medium Memory, under Kata", MEMORY);

/// The guest's agent mounts an emptyDir of medium `Memory` without its size: 64 MiB were written into one of 16 MiB. gVisor
/// answers that the disk is full.
pub(super) fn memory(
    required: &Required,
    context: Option<&Context>,
    isolation: Isolation,
    isolations: &Isolations,
    denials: &mut Vec<Denial>,
) {
    if isolation != Isolation::Kata {
        return;
    }
    let instead = isolations.0.contains_key(&Isolation::GVisor).then_some(Isolation::GVisor);
    for (index, pattern) in (WRITE.of)(&required.permissions).iter().enumerate() {
        let Some(path) = pattern.literal() else { continue };
        for volume in context.map_or(&[][..], |context| &context.volumes).iter().filter(|volume| volume.in_memory) {
            let mount = volume.mount_path.literal_base();
            if open_overlap(required, path, mount).is_none() {
                continue;
            }
            let advice = format!("{MEMORY}, and {mount} is one; write to scratch space, or to a claim");
            let (value, required_by) = (Some(pattern.to_string()), required.required_by(&WRITE));
            let cause = Cause::Unenforceable { value, advice, instead, required_by };
            denials.push(Denial::new(WRITE.field().index(index), cause));
        }
    }
}
