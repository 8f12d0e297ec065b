//! What Landlock allows: from a profile's lists to rights on files and folders.
//!
//! Landlock only allows, and a right on a folder is a right on all below it. So nothing can be taken out of what is
//! listed, nothing has a place of its own, and names stay visible: what a list cannot say exactly is refused here, as
//! it was at admission by its syntax.

use std::collections::BTreeSet;
use std::fmt;

use thiserror::Error;

use ccos_profile::place;

use crate::linking::{Linking, linking};
use crate::path::AbsolutePath;
use crate::request::Request;
use crate::resolve::{Kind, Resolved, TooManyLinks, Tree, resolve};
use crate::view::Source;
use crate::view::plan::Sources;
use crate::view::rules::{Access, Fixed, INPUT_FILE, Rights, Rules, SHARED_SCRATCH};

/// The first with all that is needed: 6 keeps signals and abstract sockets in.
pub const LEAST_ABI: u32 = 6;

/// As many as Linux follows (execve(2)), and one.
const MOST_INTERPRETERS: usize = 6;

/// A right on a file, or on a folder with all below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Reading and listing.
    Read,
    /// Reading, listing and executing.
    Execute,
    /// Creating, changing, renaming and deleting.
    Write,
    /// Reading, and writing as above.
    Scratch,
    /// Reading and writing bytes.
    Device,
}

/// A right at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Where; links on the way are not followed.
    pub source: Source,
    /// Whether it was a folder when it was looked at.
    pub is_folder: bool,
    /// What.
    pub right: Right,
}

/// All grants of an attempt.
#[derive(Debug)]
pub struct Grants {
    /// For Landlock.
    pub grants: Vec<Grant>,
    /// Paths that are blocked, and hold a grant or nothing.
    pub blocked: Vec<AbsolutePath>,
    /// Whether the scratch folders may be written.
    pub is_scratch_writable: bool,
}

/// Why there are no grants for a profile.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum GrantError {
    #[error(transparent)]
    Links(#[from] TooManyLinks),
    #[error(
        "blocked {blocked}: expected it outside of what is granted, but found it in {granted}; isolation GVisor can take it out"
    )]
    Blocked { blocked: AbsolutePath, granted: AbsolutePath },
    #[error(
        "write {write}: expected no loader that can be executed, but {found}: it would run what was written; remove it, give a static program, or use isolation GVisor"
    )]
    Loader { write: AbsolutePath, found: String },
    #[error("command {program}: expected its loader {loader} in a library folder of the image, but found it elsewhere")]
    ForeignLoader { program: AbsolutePath, loader: String },
    #[error("write {path}: expected a folder of the scratch space or of a volume, but found {found}")]
    NotScratch { path: AbsolutePath, found: &'static str },
    #[error(
        "{path}: expected something mounted there, but found it elsewhere: a symbolic link leads it there; mount it at a path without links, or use isolation GVisor"
    )]
    Elsewhere { path: AbsolutePath },
    #[error(
        "{path}: expected nothing mounted inside of what is written but the context's volumes, but found a volume of the image, which nothing bounds; take VOLUME out of the image, or use isolation GVisor"
    )]
    Foreign { path: AbsolutePath },
    #[error(
        "{path}: expected what the runner keeps outside of all grants, but found it in one; grant the folders that are needed"
    )]
    Own { path: AbsolutePath },
    #[error(
        "volume {volume}: expected it outside of {baseline}, which every program has with all below it; mount it elsewhere"
    )]
    Volume { volume: AbsolutePath, baseline: AbsolutePath },
}

/// Turns the lists into grants.
///
/// # Errors
/// [`GrantError`] for what can't be held, never a weaker grant.
pub fn grants(request: &Request, command: &Resolved, rules: &Rules, tree: &dyn Sources) -> Result<Grants, GrantError> {
    for volume in request.volumes.iter().map(|volume| &volume.mount_path) {
        if let Some((baseline, _)) = rules.baseline().find(|(path, _)| volume.is_within(path)) {
            return Err(GrantError::Volume { volume: volume.clone(), baseline: baseline.clone() });
        }
    }
    let loaders = Loaders::find(request, command, rules, tree)?;
    if let (Some(found), Some(write)) = (&loaders.why, request.write.first()) {
        return Err(GrantError::Loader { write: write.clone(), found: found.clone() });
    }
    let is_scratch_writable = loaders.why.is_none();
    let mut all = Collected { tree, grants: Vec::new() };
    for (path, rights) in rules.baseline() {
        match rights {
            Rights::Write if is_scratch_writable => all.add(path, Right::Scratch),
            // Libraries are read. What execve(2) accepts besides what is listed is their loader.
            Rights::Read | Rights::Execute | Rights::Write => all.add(path, Right::Read),
        }
    }
    for (path, fixed) in &rules.fixed {
        match fixed {
            // Written by the init, so not there yet.
            Fixed::Text(_) if path.as_str() == INPUT_FILE => all.grants.push(input()),
            Fixed::Processes | Fixed::Text(_) => all.add(path, Right::Read),
            Fixed::Device => all.add(path, Right::Device),
            Fixed::Link(_) => {} // Landlock asks where it ends
        }
    }
    for loader in &loaders.paths {
        all.add(loader, Right::Execute);
    }
    all.add(&command.end, Right::Execute);
    for (path, rights) in rules.listed() {
        if let Some(blocked) = rules.blocked().find(|blocked| blocked.is_within(path)) {
            return Err(GrantError::Blocked { blocked: blocked.clone(), granted: path.clone() });
        }
        if rules.access(path) == Access::Hidden {
            continue;
        }
        match rights {
            Rights::Read => all.add(path, Right::Read),
            Rights::Execute => all.add(path, Right::Execute),
            Rights::Write => all.add(path, writable(path, rules, tree)?),
        }
    }
    if let Some((path, _)) = rules.baseline().chain(rules.listed()).find(|(path, _)| holds_own(path)) {
        return Err(GrantError::Own { path: path.clone() });
    }
    let baseline =
        rules.baseline().find_map(|(path, _)| Some((rules.blocked().find(|one| one.is_within(path))?, path)));
    if let Some((blocked, granted)) = baseline {
        return Err(GrantError::Blocked { blocked: blocked.clone(), granted: granted.clone() });
    }
    Ok(Grants { grants: all.grants, blocked: rules.out_of_reach().cloned().collect(), is_scratch_writable })
}

/// What is mounted must be where it seems to be. Mounts follow the links of the image and of volumes, and a right on a folder is
/// one on all that is mounted below it: a link where a volume or a token belongs would choose by which right it is had.
///
/// `runner`: the folder of the runner's program. `mounted`: where there are mounts, as the kernel has it.
///
/// # Errors
/// [`GrantError::Elsewhere`].
pub fn in_place(
    request: &Request,
    runner: &AbsolutePath,
    tree: &dyn Tree,
    mounted: &BTreeSet<String>,
) -> Result<(), GrantError> {
    let parent = |path: &'static str| AbsolutePath::literal(path).parent();
    let references = AbsolutePath::literal(place::REFERENCES);
    let each = tree.names(&references).into_iter().filter_map(|name| references.child(&name));
    let own = [place::RUN, place::TERMINATION_LOG].map(AbsolutePath::literal);
    let token = request.report.as_ref().map(|_| parent(place::REPORT_TOKEN));
    let all = request.volumes.iter().map(|volume| volume.mount_path.clone());
    if tree.kind(&references) == Kind::Link {
        return Err(GrantError::Elsewhere { path: references });
    }
    let mut all = all.chain(own).chain([parent(place::PROFILE), runner.clone()]).chain(token).chain(each);
    if let Some(path) = all.find(|path| !mounted.contains(path.as_str())) {
        return Err(GrantError::Elsewhere { path });
    }
    let scratch = SHARED_SCRATCH.map(AbsolutePath::literal);
    let written: Vec<&AbsolutePath> = scratch.iter().chain(&request.write).collect();
    let is_ours = |path: &AbsolutePath| {
        written.contains(&path) || request.volumes.iter().any(|volume| volume.mount_path == *path)
    };
    let mut inside = mounted.iter().filter_map(|path| AbsolutePath::parse(path).ok());
    inside
        .find(|path| written.iter().any(|own| path.is_below(own)) && !is_ours(path))
        .map_or(Ok(()), |path| Err(GrantError::Foreign { path }))
}

/// Whether the runner's own files would come with it: its profile, its program, its references and its report.
fn holds_own(path: &AbsolutePath) -> bool {
    // The node's devices and buses are no part of the image.
    let own = ["/ccos", "/sys", place::TERMINATION_LOG].map(AbsolutePath::literal);
    own.iter().any(|own| own.is_within(path) || path.is_within(own))
}

/// A volume is what its list says: reading is in another list. Scratch space can be read back, and must be the one
/// that is bounded.
fn writable(path: &AbsolutePath, rules: &Rules, tree: &dyn Sources) -> Result<Right, GrantError> {
    let wrong = |found| Err(GrantError::NotScratch { path: path.clone(), found });
    if path.is_within(&AbsolutePath::literal(place::RUN)) {
        return wrong("the input document's folder");
    }
    match (rules.is_in_volume(path), tree.kind(path)) {
        (_, Kind::Link) => wrong("a symbolic link"),
        (_, Kind::Other) => wrong("a device, socket or pipe"),
        // The walk below follows no links: one on the way is "missing", too.
        (_, Kind::Missing) => wrong("nothing, or a symbolic link on the way"),
        (true, Kind::Folder | Kind::File) => Ok(Right::Write),
        (false, Kind::File) => wrong("a file of the image"),
        (false, Kind::Folder) => {
            let scratch = tree.device(&AbsolutePath::literal(SHARED_SCRATCH[0]));
            if scratch.is_some() && tree.device(path) == scratch {
                Ok(Right::Scratch)
            } else {
                wrong("a folder of another file system than /tmp")
            }
        }
    }
}

struct Collected<'a> {
    tree: &'a dyn Sources,
    grants: Vec<Grant>,
}

impl Collected<'_> {
    fn add(&mut self, path: &AbsolutePath, right: Right) {
        let is_folder = match self.tree.kind(path) {
            // Nothing to allow: what appears there later is not allowed, nor where a link of a volume leads.
            Kind::Missing | Kind::Link => return,
            Kind::Folder => true,
            Kind::File | Kind::Other => false,
        };
        self.grants.push(Grant { source: self.tree.source(path, true), is_folder, right });
    }
}

/// The loaders of all that may be executed.
struct Loaders {
    paths: Vec<AbsolutePath>,
    /// Why one can be executed.
    why: Option<String>,
}

impl Loaders {
    fn find(request: &Request, command: &Resolved, rules: &Rules, tree: &dyn Sources) -> Result<Self, GrantError> {
        let mut found = Self { paths: Vec::new(), why: None };
        if let Some(folder) = request.execute.iter().chain(&request.program_folders).next() {
            found.why = Some(format!("{folder} may hold one"));
        }
        found.look(&command.end, rules, tree)?;
        for program in &request.programs {
            found.look(&resolve(tree, program)?.end, rules, tree)?;
        }
        Ok(found)
    }

    fn look(&mut self, program: &AbsolutePath, rules: &Rules, tree: &dyn Sources) -> Result<(), GrantError> {
        let mut at = program.clone();
        for _ in 0..MOST_INTERPRETERS {
            if tree.kind(&at) == Kind::Missing {
                return Ok(()); // nothing that could be executed
            }
            match linking(tree, &at) {
                Linking::Static => return Ok(()),
                Linking::Dynamic(text) => {
                    let loader = AbsolutePath::parse(&text).ok().map(|path| resolve(tree, &path)).transpose()?;
                    let own = loader.filter(|loader| rules.is_library(&loader.end)).map(|loader| loader.end);
                    let foreign = || GrantError::ForeignLoader { program: at.clone(), loader: text.clone() };
                    self.paths.push(own.ok_or_else(foreign)?);
                    self.why = Some(format!("{at} is dynamically linked, so {text} is one"));
                    return Ok(());
                }
                Linking::Script(text) => match AbsolutePath::parse(&text) {
                    Ok(path) => at = resolve(tree, &path)?.end,
                    Err(_) => break,
                },
                Linking::Unknown => break,
            }
        }
        self.why = Some(format!("{at} is no 64-bit ELF program that can be read"));
        Ok(())
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Execute => "read, execute",
            Self::Write => "write",
            Self::Scratch => "read, write",
            Self::Device => "read, write bytes",
        })
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source: Source { root, path }, is_folder, right } = self;
        let (root, below) = (root.trim_end_matches('/'), if *is_folder { "/**" } else { "" });
        write!(f, "{root}{path}{below} {right}")
    }
}

fn input() -> Grant {
    let source = Source { root: "/".to_owned(), path: AbsolutePath::literal(INPUT_FILE) };
    Grant { source, is_folder: false, right: Right::Read }
}

#[cfg(test)]
mod tests;
