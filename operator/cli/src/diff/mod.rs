//! `ccos diff`: what a change of a context lets run, and what it no longer does.

mod compare;
mod print;

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use ccos_plan::AnyContext;
use clap::Args;
use jiff::Timestamp;

use crate::input::world::{Item, Key};
use crate::input::{Fault, Place, World, sources};
use crate::printable::printable;
use crate::{Format, Outcome, PrintError, Streams};
pub use compare::{Change, Difference, Field, compare};

/// Says what one context lets run that another does not, with examples.
///
/// Compares the contexts of two files or folders, such as two versions of one, by kind and name; if each has only one, by
/// whatever names. With --from, OLD and NEW name two contexts in those files. Other words for the same are no difference.
/// Ends with 0 if there is none, 1 if there is one, 2 if the input is unreadable or invalid.
#[derive(Clone, Debug, Args)]
pub struct DiffArgs {
    /// A file, a folder, or `-`; with --from a context: [KIND/][NAMESPACE/]NAME.
    pub old: String,
    /// The same, of what is compared with it.
    pub new: String,
    /// Where OLD and NEW are looked for: files, folders, or `-`.
    #[arg(short, long, value_name = "PATH")]
    pub from: Vec<PathBuf>,
    /// The namespace of objects that name none.
    #[arg(short, long, default_value = "default")]
    pub namespace: String,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// Compares contexts. `stdin` is asked for the text of `-`.
///
/// # Errors
/// If nothing can be written.
pub fn run(
    args: &DiffArgs,
    stdin: impl FnMut() -> io::Result<String>,
    now: Timestamp,
    streams: &mut Streams<'_>,
) -> Result<Outcome, PrintError> {
    let mut faults = Vec::new();
    let differences = differences(args, stdin, now, &mut faults);
    if !faults.is_empty() {
        for fault in faults {
            writeln!(streams.notes, "{}", printable(&fault.to_string()))?;
        }
        return Ok(Outcome::Invalid);
    }
    print::print(&differences, args.output, streams.out)?;
    Ok(if differences.iter().all(Difference::is_none) { Outcome::Done } else { Outcome::Denied })
}

/// A context; absent: only the other side has it.
type Side = Option<Item<AnyContext>>;

fn differences(
    args: &DiffArgs,
    mut stdin: impl FnMut() -> io::Result<String>,
    now: Timestamp,
    faults: &mut Vec<Fault>,
) -> Vec<Difference> {
    let DiffArgs { old, new, from, namespace, output: _ } = args;
    let mut world = |paths: &[PathBuf]| {
        let (texts, mut unreadable) = sources::read(paths, &mut stdin);
        faults.append(&mut unreadable);
        World::read(&texts, namespace, faults)
    };
    let pairs: Vec<(Side, Side)> = if from.is_empty() {
        let (mut old, mut new) = (world(&[old.into()]).contexts, world(&[new.into()]).contexts);
        for (contexts, path) in [(&old, &args.old), (&new, &args.new)] {
            if contexts.is_empty() {
                faults.push(Fault::at(Place::file(path), "there is no context in it"));
            }
        }
        if let (1, 1) = (old.len(), new.len()) {
            vec![(old.pop_first().map(|(_, item)| item), new.pop_first().map(|(_, item)| item))]
        } else {
            let keys: BTreeSet<Key> = old.keys().chain(new.keys()).cloned().collect();
            keys.into_iter().map(|key| (old.remove(&key), new.remove(&key))).collect()
        }
    } else {
        let world = world(from);
        let mut named = |name: &str| {
            let found = find(&world, name, namespace);
            if let Err(message) = &found {
                faults.push(Fault::at(Place::default(), message));
            }
            found.ok()
        };
        vec![(named(old), named(new))]
    };
    if !faults.is_empty() {
        return Vec::new();
    }
    let compared = pairs.iter().filter_map(|(old, new)| compare(old.as_ref(), new.as_ref(), now, faults));
    compared.collect()
}

/// A context by `[KIND/][NAMESPACE/]NAME`.
fn find(world: &World, name: &str, namespace: &str) -> Result<Item<AnyContext>, String> {
    let parts: Vec<&str> = name.split('/').collect();
    let of = |kind: &str, name: &str| match kind.to_ascii_lowercase().as_str() {
        "securitycontext" | "secctx" => Some(format!("SecurityContext {name}")),
        "clustersecuritycontext" | "csecctx" => Some(format!("ClusterSecurityContext {name}")),
        _ => None,
    };
    let key = match parts[..] {
        [name] => Some(format!("SecurityContext {namespace}/{name}")),
        [first, name] => match of(first, name) {
            Some(key) if key.starts_with("Cluster") => Some(key),
            Some(_) => of(first, &format!("{namespace}/{name}")),
            None => Some(format!("SecurityContext {first}/{name}")),
        },
        [kind, namespace, name] => of(kind, &format!("{namespace}/{name}")),
        _ => None,
    };
    let key = key.ok_or_else(|| {
        format!("{name:?}: expected a context such as analysts, data/analysts or ClusterSecurityContext/base")
    })?;
    world.contexts.get(&(key.clone(), 0)).cloned().ok_or_else(|| {
        let known: Vec<&str> = world.contexts.keys().map(|(key, _)| key.as_str()).collect();
        format!("there is no {key}; there is {}", if known.is_empty() { "none".to_owned() } else { known.join(", ") })
    })
}
