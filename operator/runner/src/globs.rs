//! Globs, expanded once to what there is.
//!
//! What comes out are paths like any others, so that nothing after this knows of patterns: a view or Landlock gives them
//! and nothing beside them. The trees are hostile: no link is followed but those of the image on the way to the first
//! wildcard, as for every listed path, and all that is looked at and found is bounded.

use std::collections::BTreeSet;

use ccos_policy::PathPattern;
use ccos_policy::pattern::glob::is_like;
use ccos_policy::pattern::path::MAX_SEGMENTS;
use ccos_profile::MAX_EXPANDED;
use thiserror::Error;

use crate::path::AbsolutePath;
use crate::request::Request;
use crate::resolve::{Kind, TooManyLinks, Tree, resolve};

/// A place in a pattern is a bit, and its end another one.
const _: () = assert!(MAX_SEGMENTS < u64::BITS as usize);

/// More is a pattern over a whole distribution, and seconds of looking.
const MOST_NAMES: usize = 65_536;

/// Of the machine's and the runner's own, where the image is the container's root.
const OWN: [&str; 4] = ["/ccos", "/dev", "/proc", "/sys"];

/// A pattern of paths: `*` and `?` within a segment, `**` for any segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    text: String,
    /// Before the first segment with a wildcard.
    base: AbsolutePath,
    /// From there on.
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    /// Any segments, none too.
    Any,
    /// One that is like this.
    Like(String),
}

/// The globs of a profile.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the fields are those of ccos_profile::Globs")]
pub struct Globs {
    pub read: Vec<Glob>,
    pub execute: Vec<Glob>,
    pub blocked: Vec<Glob>,
    pub programs: Vec<Glob>,
}

/// Why a text is no [`Glob`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("expected an absolute path with *, ? or ** and at most {MAX_SEGMENTS} segments, but found {found:?}")]
pub struct GlobError {
    found: String,
}

/// Why a glob can't be expanded.
#[derive(Debug, Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ExpandError {
    #[error(
        "{glob}: expected at most {MAX_EXPANDED} paths with those of all other globs, but found more; name a folder"
    )]
    TooMany { glob: String },
    #[error(
        "{glob}: expected at most {MOST_NAMES} names to look at, but found more; write more of the path before its first wildcard"
    )]
    TooLarge { glob: String },
    #[error(
        "blocked {glob}: expected a folder of the image before its first wildcard, but found a symbolic link into the volume {volume}, whose files may change"
    )]
    Changing { glob: String, volume: AbsolutePath },
    #[error(transparent)]
    Links(#[from] TooManyLinks),
}

impl Glob {
    /// Parses; what the decision would not have let through is refused.
    ///
    /// # Errors
    /// [`GlobError`] for anything else.
    pub fn parse(text: &str) -> Result<Self, GlobError> {
        let wrong = || GlobError { found: text.to_owned() };
        let pattern: PathPattern = text.parse().map_err(|_| wrong())?;
        let base = AbsolutePath::parse(pattern.literal_base()).map_err(|_| wrong())?;
        let segments: Vec<_> = pattern.segments().skip(base.segments().count()).map(Segment::of).collect();
        if segments.is_empty() {
            return Err(wrong());
        }
        Ok(Self { text: text.to_owned(), base, segments })
    }

    /// Whether all that lies below what it means is meant, too, whatever it is a list of.
    fn is_folder(&self) -> bool {
        self.segments.last() == Some(&Segment::Any)
    }

    /// Where one is before the first name: places in the pattern, as bits.
    fn start(&self) -> u64 {
        self.closed(1)
    }

    /// `**` may be no segment at all.
    fn closed(&self, mut places: u64) -> u64 {
        for (place, segment) in self.segments.iter().enumerate() {
            if *segment == Segment::Any && places >> place & 1 == 1 {
                places |= 1 << (place + 1);
            }
        }
        places
    }

    /// Where one is after a name.
    fn after(&self, places: u64, name: &str) -> u64 {
        let mut next = 0;
        for (place, segment) in self.segments.iter().enumerate().filter(|(place, _)| places >> place & 1 == 1) {
            match segment {
                Segment::Any => next |= 1 << place,
                Segment::Like(pattern) if is_like(pattern, name) => next |= 1 << (place + 1),
                Segment::Like(_) => {}
            }
        }
        self.closed(next)
    }

    /// The places without the end.
    const fn unmet(&self, places: u64) -> u64 {
        places & !(1 << self.segments.len())
    }

    fn is_met(&self, places: u64) -> bool {
        places >> self.segments.len() & 1 == 1
    }
}

impl Segment {
    fn of(text: &str) -> Self {
        if text == "**" { Self::Any } else { Self::Like(text.to_owned()) }
    }
}

/// Of what is a list.
#[derive(Clone, Copy)]
enum List {
    /// Files and folders, which are had with all below them.
    Files,
    /// Programs: a folder is none.
    Programs,
}

/// The request with paths in place of its globs.
///
/// # Errors
/// [`ExpandError`] for what is too much, never a part of it.
pub fn expand(request: &Request, tree: &dyn Tree) -> Result<Request, ExpandError> {
    let mut expanded = request.clone();
    let Globs { read, execute, blocked, programs } = std::mem::take(&mut expanded.globs);
    let mut search = Search { tree, request, names: 0, found: 0 };
    for glob in &blocked {
        let found = search.find(glob, List::Files)?;
        if let Some(volume) = found.into_volume {
            return Err(ExpandError::Changing { glob: glob.text.clone(), volume });
        }
        // Of a link it is blocked where it leads to, too: see `Rules`.
        expanded.blocked.extend(found.files.into_iter().chain(found.folders).chain(found.links));
    }
    let mut links = Vec::new();
    for glob in &read {
        let found = search.find(glob, List::Files)?;
        expanded.read.extend(found.files.into_iter().chain(found.folders));
        links.extend(found.links.into_iter().chain(found.way));
    }
    for glob in &execute {
        let found = search.find(glob, List::Files)?;
        expanded.execute.extend(found.files.into_iter().chain(found.folders));
        links.extend(found.links.into_iter().chain(found.way));
    }
    for glob in &programs {
        let found = search.find(glob, List::Programs)?;
        expanded.programs.extend(found.files);
        expanded.program_folders.extend(found.folders);
        links.extend(found.links.into_iter().chain(found.way));
    }
    links.retain(|at| !expanded.blocked.iter().any(|blocked| at.is_within(blocked)));
    expanded.links = links.into_iter().filter_map(|at| Some((at.clone(), tree.target(&at)?))).collect();
    Ok(expanded)
}

/// What a glob means.
#[derive(Debug, Default)]
struct Found {
    files: Vec<AbsolutePath>,
    /// With all below them.
    folders: Vec<AbsolutePath>,
    /// They lead only to what is listed besides.
    links: Vec<AbsolutePath>,
    /// Links of the image on the way to the base.
    way: Vec<AbsolutePath>,
    /// An image must not choose what a list means: the volume that a link of it leads into, where nothing is looked for.
    into_volume: Option<AbsolutePath>,
}

struct Search<'a> {
    tree: &'a dyn Tree,
    request: &'a Request,
    names: usize,
    found: usize,
}

impl Search<'_> {
    fn find(&mut self, glob: &Glob, of: List) -> Result<Found, ExpandError> {
        let mut found = Found::default();
        let mut base = glob.base.clone();
        if self.volume_of(&base).is_none() {
            let resolved = resolve(self.tree, &base)?;
            found.way = resolved.links.into_iter().map(|(at, _)| at).collect();
            base = resolved.end;
            if let Some(volume) = self.volume_of(&base) {
                found.into_volume = Some(volume.clone());
                return Ok(found);
            }
        }
        if self.kind(&base) == Kind::Folder && !self.is_own(&base) {
            self.walk(glob, of, &base, glob.start(), &mut found)?;
        }
        Ok(found)
    }

    fn walk(
        &mut self,
        glob: &Glob,
        of: List,
        folder: &AbsolutePath,
        places: u64,
        found: &mut Found,
    ) -> Result<(), ExpandError> {
        if glob.is_met(places) {
            // Then the pattern ends in `**`, or this is no base: all below comes with it.
            self.count(glob)?;
            found.folders.push(folder.clone());
            return Ok(());
        }
        for name in self.names(folder) {
            self.names += 1;
            if self.names > MOST_NAMES {
                return Err(ExpandError::TooLarge { glob: glob.text.clone() });
            }
            let Some(child) = folder.child(&name).filter(|child| !self.is_own(child)) else { continue };
            let next = glob.after(places, &name);
            if next == 0 {
                continue;
            }
            let is_met = glob.is_met(next);
            match (self.kind(&child), of) {
                (Kind::Folder, List::Files) => self.walk(glob, of, &child, next, found)?,
                (Kind::Folder, List::Programs) if glob.is_folder() => self.walk(glob, of, &child, next, found)?,
                // A folder is no program, but some may be below it.
                (Kind::Folder, List::Programs) => self.walk(glob, of, &child, glob.unmet(next), found)?,
                (Kind::Missing, _) | (Kind::Other, List::Programs) => {}
                (_, _) if !is_met => {}
                (Kind::Link, _) => {
                    self.count(glob)?;
                    found.links.push(child);
                }
                (Kind::File | Kind::Other, _) => {
                    self.count(glob)?;
                    found.files.push(child);
                }
            }
        }
        Ok(())
    }

    fn count(&mut self, glob: &Glob) -> Result<(), ExpandError> {
        self.found += 1;
        if self.found > MAX_EXPANDED { Err(ExpandError::TooMany { glob: glob.text.clone() }) } else { Ok(()) }
    }

    /// With the folders on the way to a volume, which the image need not have.
    fn names(&self, folder: &AbsolutePath) -> BTreeSet<String> {
        let steps = self.mounts().filter_map(|mount| mount.step_below(folder));
        let steps = steps.filter_map(|step| step.segments().last().map(str::to_owned));
        self.tree.names(folder).into_iter().chain(steps).collect()
    }

    fn kind(&self, path: &AbsolutePath) -> Kind {
        match self.tree.kind(path) {
            Kind::Missing if self.mounts().any(|mount| mount.is_below(path)) => Kind::Folder,
            kind => kind,
        }
    }

    fn mounts(&self) -> impl Iterator<Item = &AbsolutePath> {
        self.request.volumes.iter().map(|volume| &volume.mount_path)
    }

    fn volume_of(&self, path: &AbsolutePath) -> Option<&AbsolutePath> {
        self.mounts().filter(|mount| path.is_within(mount)).max()
    }

    fn is_own(&self, path: &AbsolutePath) -> bool {
        self.request.image_root == AbsolutePath::root()
            && OWN.into_iter().any(|own| path.is_within(&AbsolutePath::literal(own)))
    }
}

#[cfg(test)]
mod tests;
