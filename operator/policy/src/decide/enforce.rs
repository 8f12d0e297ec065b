//! What this release can hold exactly: everything else is refused, with what to write instead.

use super::connections;
use super::container;
use super::globs;
use super::inbound;
use super::required::{BLOCKED, COMMANDS, EXECUTE, Kind, READ, Required, WRITE};
use super::sockets;
use crate::decision::{Cause, Denial};
use crate::isolation::{Isolation, Isolations};
use crate::pattern::PathPattern;
use crate::pattern::budget::Budget;
use crate::pattern::path::is_at_or_below;
use crate::request::{Context, Level, Request};

/// What every program needs, and so what none may write: the baseline's places. A tree that contains one is refused,
/// too, since a view can't give the tree and keep the place. `/tmp` is not among them: it is the execution's own.
pub(super) const BASELINE: [&str; 21] = [
    "/proc",
    "/dev",
    "/sys",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libx32",
    "/usr/local/lib",
    "/usr/share/zoneinfo",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/nsswitch.conf",
    "/etc/localtime",
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/passwd",
    "/etc/group",
];

const IN_CONTAINER: &str = "Landlock can't hold it; use GVisor";
const LOADER: &str = "a loader that can be executed runs what was written; use GVisor";
const ISOLATION: &str = "does not hold file, command, process, environment, IPC and limit rules yet";

/// What this release refuses as unenforceable though it can be granted: a field and what to do, for `docs/status.md`.
pub const UNENFORCED: [(&str, &str); 18] = [
    globs::UNENFORCED[0],
    globs::UNENFORCED[1],
    ("requires.permissions.network.outbound where the cluster has no egress proxy", connections::NO_PROXY),
    ("requires.permissions.network.outbound[].cidr of IPv6", connections::IPV6),
    ("requires.permissions.network.outbound[].cidr within 127.0.0.0/8 or 0.0.0.0/8", connections::NO_HOST),
    ("isolation Container: requires.permissions.network.outbound[].cidr", connections::IN_THE_POD),
    ("requires.permissions.network.outbound with many ports", connections::TOO_MANY_PORTS),
    inbound::UNENFORCED[0],
    inbound::UNENFORCED[1],
    inbound::UNENFORCED[2],
    inbound::UNENFORCED[3],
    inbound::UNENFORCED[4],
    inbound::UNENFORCED[5],
    sockets::UNENFORCED,
    ("isolation Wasm", ISOLATION),
    super::guest::UNENFORCED,
    ("isolation Container: blocked in a granted path; write in a part of a volume", IN_CONTAINER),
    (
        "isolation Container: write beside execute, a folder of commands, or a program that is dynamically linked",
        LOADER,
    ),
];

/// Places that every program may write: so nothing in them may be executed.
pub(super) const SCRATCH: [&str; 2] = ["/tmp", "/dev/shm"];

/// Which isolation, and whether it is allowed and able.
pub(super) fn isolation(
    request: &Request,
    context: Option<&Context>,
    isolations: &Isolations,
    denials: &mut Vec<Denial>,
) -> Isolation {
    let by_default = context.and_then(|context| context.isolation_default);
    let chosen = request.isolation.or(by_default).unwrap_or(Isolation::GVisor);
    if context.is_none() && request.isolation.is_none() {
        // The context would choose: nothing is known of its choice.
        return chosen;
    }
    let mut deny = |cause| denials.push(Denial::new("isolation", cause));
    if let Some(context) = context {
        let allowed = self::allowed(context);
        if !allowed.contains(&chosen) {
            let level = (!of_level(context.level).contains(&chosen)).then_some(context.level);
            let by_default = request.isolation.is_none() && by_default.is_none();
            deny(Cause::IsolationNotAllowed { isolation: chosen, allowed, level, by_default });
        }
    }
    let able = |isolation: Isolation| match isolation {
        Isolation::GVisor | Isolation::Kata => isolations.0.get(&isolation).is_some_and(|p| p.user_namespaces),
        Isolation::Container => isolations.0.get(&isolation).is_some_and(|p| container::lacks(p).is_none()),
        Isolation::Wasm => false,
    };
    if !able(chosen) {
        let instead = [Isolation::GVisor, Isolation::Kata].into_iter().find(|&other| able(other));
        let advice = match (chosen, isolations.0.get(&chosen)) {
            (_, None) => "the cluster does not have it".to_owned(),
            (Isolation::GVisor | Isolation::Kata, Some(_)) => {
                "the cluster's can't hold file rules: its processes can't make user namespaces".to_owned()
            }
            (Isolation::Container, Some(profile)) => container::lacks(profile).unwrap_or_default(),
            (Isolation::Wasm, Some(_)) => ISOLATION.to_owned(),
        };
        let instead = instead.or(matches!(chosen, Isolation::Container | Isolation::Wasm).then_some(Isolation::GVisor));
        deny(Cause::Unenforceable { value: Some(chosen.to_string()), advice, instead, required_by: None });
    }
    chosen
}

/// The isolations of a context: those of its level, and of its list where there is one.
pub(super) fn allowed(context: &Context) -> Vec<Isolation> {
    let listed = &context.isolations_allowed;
    let of_level = of_level(context.level).iter().copied();
    of_level.filter(|isolation| listed.is_empty() || listed.contains(isolation)).collect()
}

/// What a level allows that lists none.
pub(super) const fn of_level(level: Level) -> &'static [Isolation] {
    match level {
        Level::Sandboxed => &[Isolation::GVisor, Isolation::Kata, Isolation::Wasm],
        Level::Pure | Level::Controlled | Level::Full => {
            &[Isolation::GVisor, Isolation::Kata, Isolation::Container, Isolation::Wasm]
        }
    }
}

/// What can be held is a rule of syntax, so that the same file means the same on every cluster.
pub(super) fn syntax(
    required: &Required,
    context: Option<&Context>,
    (isolation, isolations): (Isolation, &Isolations),
    budget: &mut Budget,
    denials: &mut Vec<Denial>,
) {
    globs::check(required, context, isolation, budget, denials);
    sockets::check(required, context, isolation, budget, denials);
    connections::check(required, isolation, isolations, denials);
}

/// What a view made of mounts can't hold: writing without reading in a volume, writing what every program needs, and
/// anything that is both writable and executable.
pub(super) fn places(required: &Required, context: Option<&Context>, denials: &mut Vec<Denial>) {
    for (index, pattern) in (WRITE.of)(&required.permissions).iter().enumerate() {
        let Some(path) = pattern.literal() else { continue };
        let mut deny = |advice| denials.push(unenforceable(required, &WRITE, index, pattern, advice));
        if let Some(place) = BASELINE.into_iter().find(|place| overlap(path, place).is_some()) {
            deny(format!("{place} is every program's and never writable; write to a folder apart from it"));
        }
        for volume in context.map_or(&[][..], |context| &context.volumes) {
            let mount = volume.mount_path.literal_base();
            let Some(shared) = open_overlap(required, path, mount) else { continue };
            if !volume.writable {
                deny(format!("the volume at {mount} is read-only; write to a folder apart from it"));
            } else if !(READ.of)(&required.permissions).iter().any(|read| read.contains_literal(shared)) {
                deny(format!("a volume can't be writable without being readable; also require read \"{shared}\""));
            }
        }
        for kind in [EXECUTE, COMMANDS] {
            for executable in (kind.of)(&required.permissions) {
                let executed = executable.literal_base();
                if open_overlap(required, path, executed).is_some() {
                    let field = kind.field();
                    deny(format!(
                        "{field} has \"{executable}\": nothing may be writable and executable; keep them apart"
                    ));
                }
            }
        }
        let command = required.capability.map(|capability| capability.command.literal_base());
        if let Some(command) = command.filter(|command| overlap(path, command).is_some()) {
            deny(format!("the capability's own command is {command}, which may not be writable; keep them apart"));
        }
    }
    for kind in [EXECUTE, COMMANDS] {
        for (index, pattern) in (kind.of)(&required.permissions).iter().enumerate() {
            let scratch =
                SCRATCH.into_iter().find(|place| open_overlap(required, pattern.literal_base(), place).is_some());
            if let Some(place) = scratch {
                let advice = format!("{place} is every program's to write, and so never executable; keep them apart");
                denials.push(unenforceable(required, &kind, index, pattern, advice));
            }
        }
    }
}

/// Where two trees meet: the deeper of them, if it lies in the other.
fn overlap<'a>(left: &'a str, right: &'a str) -> Option<&'a str> {
    if is_at_or_below(left, right) {
        Some(left)
    } else if is_at_or_below(right, left) {
        Some(right)
    } else {
        None
    }
}

/// Where two trees meet, unless the requirement itself blocks it there.
pub(super) fn open_overlap<'a>(required: &Required, left: &'a str, right: &'a str) -> Option<&'a str> {
    let blocked = (BLOCKED.of)(&required.permissions);
    overlap(left, right).filter(|shared| !blocked.iter().any(|blocked| blocked.contains_literal(shared)))
}

fn unenforceable(
    required: &Required,
    kind: &Kind<PathPattern>,
    index: usize,
    pattern: &PathPattern,
    advice: String,
) -> Denial {
    let required_by = required.required_by(kind);
    let cause = Cause::Unenforceable { value: Some(pattern.to_string()), advice, instead: None, required_by };
    Denial::new(kind.field().index(index), cause)
}
