//! What Landlock in a container's own namespaces can't hold, besides what no isolation holds yet. It only allows, and a
//! right on a folder is a right on all below it: nothing can be taken out of what is granted, nothing be put in a place of
//! its own, and what it does not know (sizes, attributes, code in memory) must not matter.

use super::enforce::{BASELINE, SCRATCH, open_overlap};
use super::required::{BLOCKED, COMMANDS, EXECUTE, Kind, READ, Required, WRITE};
use crate::decision::{Cause, Denial};
use crate::isolation::{Isolation, IsolationProfile};
use crate::pattern::PathPattern;
use crate::pattern::path::is_at_or_below;
use crate::request::Context;

/// The first ABI of Landlock that keeps signals and abstract sockets in (Linux 6.12).
const LEAST_LANDLOCK_ABI: u32 = 6;

/// Where the runner's files are, and the node's that come with every container.
const OWN: [&str; 3] = ["/ccos", "/sys", "/dev/termination-log"];

/// Where the input document is.
const RUN: &str = "/run/ccos";

/// What keeps the cluster's containers from holding anything; nothing where they can.
pub(super) fn lacks(profile: &IsolationProfile) -> Option<String> {
    match profile.landlock_abi {
        None => Some("the cluster's profile names no landlockAbi for it, by which it holds file rules".to_owned()),
        Some(abi) if abi < LEAST_LANDLOCK_ABI => Some(format!(
            "the cluster's Landlock has ABI {abi}, and file rules and signals need {LEAST_LANDLOCK_ABI} (Linux 6.12)"
        )),
        Some(_) if !profile.pod_user_namespaces => {
            Some("threads can't be counted where its pods have no user namespace of their own".to_owned())
        }
        Some(_) => None,
    }
}

/// Rules of syntax, as everywhere. What can't be seen here, such as how a program is linked, the runner looks at before
/// the start, and refuses then.
pub(super) fn holds(required: &Required, context: Option<&Context>, denials: &mut Vec<Denial>) {
    blocked(required, denials);
    own_places(required, denials);
    volumes(required, context, denials);
    writes(required, context, denials);
}

fn deny(
    required: &Required,
    kind: &Kind<PathPattern>,
    (index, pattern): (usize, &PathPattern),
    advice: String,
) -> Denial {
    let (instead, required_by) = (Some(Isolation::GVisor), required.required_by(kind));
    let cause = Cause::Unenforceable { value: Some(pattern.to_string()), advice, instead, required_by };
    Denial::new(kind.field().index(index), cause)
}

fn blocked(required: &Required, denials: &mut Vec<Denial>) {
    for (index, pattern) in (BLOCKED.of)(&required.permissions).iter().enumerate() {
        let Some(path) = pattern.literal() else { continue };
        let lists = [READ, WRITE, EXECUTE, COMMANDS];
        let granted = lists.iter().flat_map(|kind| (kind.of)(&required.permissions)).map(PathPattern::literal_base);
        let mut holding = granted.chain(BASELINE).chain(SCRATCH);
        if let Some(granted) = holding.find(|granted| is_at_or_below(path, granted)) {
            let advice =
                format!("Container can't take a path out of what is granted, here {granted}; grant what is beside it");
            denials.push(deny(required, &BLOCKED, (index, pattern), advice));
        }
    }
}

fn own_places(required: &Required, denials: &mut Vec<Denial>) {
    for kind in [READ, WRITE, EXECUTE, COMMANDS] {
        for (index, pattern) in (kind.of)(&required.permissions).iter().enumerate() {
            let path = pattern.literal_base();
            let meets = |own: &&str| is_at_or_below(path, own) || is_at_or_below(own, path);
            let for_writing = (kind.field() == WRITE.field()).then_some(RUN);
            if let Some(own) = OWN.into_iter().chain(for_writing).find(meets) {
                let advice = format!(
                    "in Container {own} is there too, and no part of the image; grant the folders that are needed"
                );
                denials.push(deny(required, &kind, (index, pattern), advice));
            }
        }
    }
}

/// A right on a folder reaches into what is mounted below it: of the baseline's, every program has one.
fn volumes(required: &Required, context: Option<&Context>, denials: &mut Vec<Denial>) {
    let mounts = context.map_or(&[][..], |context| &context.volumes).iter();
    let mounts: Vec<_> = mounts.map(|volume| volume.mount_path.literal_base()).collect();
    for kind in [READ, WRITE, EXECUTE, COMMANDS] {
        for (index, pattern) in (kind.of)(&required.permissions).iter().enumerate() {
            let path = pattern.literal_base();
            let meets = |mount: &&&str| is_at_or_below(path, mount) || is_at_or_below(mount, path);
            let below = |mount: &&str| BASELINE.into_iter().chain(SCRATCH).find(|place| is_at_or_below(mount, place));
            if let Some((mount, place)) = mounts.iter().filter(meets).find_map(|mount| Some((mount, below(mount)?))) {
                let advice = format!(
                    "in Container every program has {place} with all below it, and so the volume at {mount}; mount it elsewhere"
                );
                denials.push(deny(required, &kind, (index, pattern), advice));
            }
        }
    }
}

fn writes(required: &Required, context: Option<&Context>, denials: &mut Vec<Denial>) {
    let executes = (EXECUTE.of)(&required.permissions)
        .iter()
        .chain((COMMANDS.of)(&required.permissions).iter().filter(|pattern| pattern.is_folder()));
    let folder = executes.map(ToString::to_string).next();
    for (index, pattern) in (WRITE.of)(&required.permissions).iter().enumerate() {
        let Some(path) = pattern.literal() else { continue };
        let mut deny = |advice| denials.push(deny(required, &WRITE, (index, pattern), advice));
        if let Some(folder) = &folder {
            deny(format!(
                "{folder} may hold a loader, which in Container runs what was written; list single programs in system.commands"
            ));
        }
        let volumes = context.map_or(&[][..], |context| &context.volumes);
        let volume =
            volumes.iter().map(|volume| volume.mount_path.literal_base()).filter(|mount| is_at_or_below(path, mount));
        match volume.max_by_key(|mount| mount.len()) {
            Some(mount) if open_overlap(required, path, mount).is_some() && path != mount => {
                deny(format!(
                    "in Container the attributes of all files of a volume that is written can be changed; write \"{mount}\""
                ));
            }
            None if path.contains(':') => deny("Container can't mount a path with a colon; write another".to_owned()),
            Some(_) | None => {}
        }
    }
}
