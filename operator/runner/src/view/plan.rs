//! From rules to steps: walks the view from `/` down to where the rules change, and mounts as little as it can.
//!
//! A tree in which nothing differs is one mount. Where something differs below a read-only tree, the tree becomes a
//! folder of the view, each child shown by itself: what is blocked is simply never put there, whatever appears in
//! the source later. In a writable tree that can't be done (new children must reach the source), so there what is
//! blocked is covered.

use std::collections::BTreeSet;

use thiserror::Error;

use super::rules::{Access, Backing, Fixed, Rights, Rules, SHARED_SCRATCH};
use super::{Mode, Source, Step};
use crate::path::AbsolutePath;
use crate::resolve::{Kind, Tree};

/// Mounts are kernel memory and time before the start; a plan that needs more has a blocked path in a folder with
/// thousands of children.
const MOST_STEPS: usize = 4096;

/// Why there is no view for these rules.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PlanError {
    /// More than [`MOST_STEPS`].
    #[error(
        "{at}: expected a view of at most {MOST_STEPS} mounts and folders, but found more; block a folder, not single files of a large one"
    )]
    TooManySteps {
        /// Where it became too many.
        at: AbsolutePath,
    },
    /// The baseline's own files would have to be created in somebody's volume.
    #[error("{at}: expected a writable volume elsewhere, but found that it would hold this path of the baseline")]
    BaselineInVolume {
        /// The path of the baseline.
        at: AbsolutePath,
    },
    /// A blocked path that holds parts of the baseline, inside a writable tree.
    #[error(
        "{at}: expected a blocked path without parts of the baseline below it, but found some inside a writable tree"
    )]
    BaselineUnderBlocked {
        /// The blocked path.
        at: AbsolutePath,
    },
    /// Something is to be shown behind a link of the image, where nothing can be mounted.
    #[error(
        "{at}: expected no symbolic link of the image on the way to a writable path or volume, but found one; list the path that it leads to"
    )]
    BehindLink {
        /// The link.
        at: AbsolutePath,
    },
    /// A writable path in a volume is a link or device.
    #[error("{at}: expected a folder or file to write to, but found a link or device in its volume")]
    NotWritable {
        /// The path.
        at: AbsolutePath,
    },
}

/// The tree to look at, and where its parts are outside of the view.
pub trait Sources: Tree {
    /// Where `path` is, outside of the view. `whole`: it is shown with all below it.
    fn source(&self, path: &AbsolutePath, whole: bool) -> Source;
    /// The file system that holds `path`.
    fn device(&self, path: &AbsolutePath) -> Option<u64>;
}

/// Plans the view.
///
/// # Errors
/// [`PlanError`] for what can't be held, never a weaker view.
pub fn plan(rules: &Rules, sources: &dyn Sources) -> Result<Vec<Step>, PlanError> {
    let mut planner = Planner { rules, sources, points: rules.points(), steps: Vec::new() };
    planner.show(&AbsolutePath::root())?;
    Ok(planner.steps)
}

struct Planner<'a> {
    rules: &'a Rules,
    sources: &'a dyn Sources,
    points: BTreeSet<AbsolutePath>,
    steps: Vec<Step>,
}

impl Planner<'_> {
    fn push(&mut self, at: &AbsolutePath, step: Step) -> Result<(), PlanError> {
        if self.steps.len() == MOST_STEPS {
            return Err(PlanError::TooManySteps { at: at.clone() });
        }
        self.steps.push(step);
        Ok(())
    }

    fn show(&mut self, path: &AbsolutePath) -> Result<(), PlanError> {
        if let Some(fixed) = self.rules.fixed.get(path).cloned() {
            return self.show_fixed(path, fixed);
        }
        let different = self.different_below(path);
        match self.rules.access(path) {
            Access::Hidden => self.frame(path, &different),
            Access::Shown(Rights::Write, backing) => self.show_writable(path, &backing),
            Access::Shown(Rights::Read, _) => self.show_read_only(path, Mode::ReadOnly, &different),
            Access::Shown(Rights::Execute, _) => self.show_read_only(path, Mode::Executable, &different),
        }
    }

    fn show_fixed(&mut self, path: &AbsolutePath, fixed: Fixed) -> Result<(), PlanError> {
        let at = path.clone();
        match fixed {
            Fixed::Text(text) => self.push(path, Step::Text { at, text }),
            Fixed::Link(_) if self.different_below(path).iter().any(|point| self.is_visible(point)) => {
                Err(PlanError::BehindLink { at })
            }
            Fixed::Link(to) => self.push(path, Step::Link { at, to }),
            Fixed::Device => {
                let source = Source { root: "/".to_owned(), path: path.clone() };
                self.push(path, Step::Show { source, at, mode: Mode::Device })
            }
            Fixed::Processes => {
                self.push(path, Step::Processes { at })?;
                // The init of the same uid: gVisor lets anyone of that uid list and open its descriptors, one of
                // which is the pipe over which it reports (measured).
                if let Some(at) = path.child("1") {
                    self.push(path, Step::Cover { at })?;
                }
                let blocked: Vec<_> = self.rules.out_of_reach().filter(|inner| inner.is_below(path)).cloned().collect();
                blocked.into_iter().try_for_each(|at| self.push(&at.clone(), Step::Cover { at }))
            }
        }
    }

    /// A folder of the view that shows only what is listed below it; nothing where nothing is.
    fn frame(&mut self, path: &AbsolutePath, different: &[AbsolutePath]) -> Result<(), PlanError> {
        if !different.iter().any(|point| self.is_visible(point)) {
            return Ok(());
        }
        self.folder(path)?;
        steps_below(path, different).iter().try_for_each(|child| self.show(child))
    }

    fn folder(&mut self, path: &AbsolutePath) -> Result<(), PlanError> {
        if *path == AbsolutePath::root() { Ok(()) } else { self.push(path, Step::Folder { at: path.clone() }) }
    }

    fn show_read_only(&mut self, path: &AbsolutePath, mode: Mode, different: &[AbsolutePath]) -> Result<(), PlanError> {
        let at = path.clone();
        let uniform = different.is_empty() && *path != AbsolutePath::root();
        match self.sources.kind(path) {
            Kind::Folder if !uniform => {
                self.folder(path)?;
                let listed = self.sources.names(path);
                let mut children: BTreeSet<_> = listed.iter().filter_map(|name| path.child(name)).collect();
                children.extend(steps_below(path, different));
                children.iter().try_for_each(|child| self.show(child))
            }
            Kind::Folder | Kind::File | Kind::Other if uniform => {
                self.push(path, Step::Show { source: self.sources.source(path, true), at, mode })
            }
            Kind::Link if uniform => match self.sources.target(path) {
                Some(to) => self.push(path, Step::Link { at, to }),
                None => Ok(()),
            },
            // A mount inside hides what the tree has on the way to it, as everywhere.
            Kind::Missing | Kind::Folder | Kind::File | Kind::Link | Kind::Other => self.frame(path, different),
        }
    }

    fn show_writable(&mut self, path: &AbsolutePath, backing: &Backing) -> Result<(), PlanError> {
        let at = path.clone();
        match backing {
            Backing::Scratch(_) | Backing::Image => {
                let shared = SHARED_SCRATCH.contains(&path.as_str());
                self.push(path, Step::Scratch { at, bits: if shared { 0o1777 } else { 0o755 } })?;
            }
            Backing::Volume(_) => {
                let source = self.sources.source(path, true);
                match self.sources.kind(path) {
                    Kind::Missing => self.push(path, Step::Provide { source: source.clone() })?,
                    Kind::Folder | Kind::File => {}
                    Kind::Link | Kind::Other => return Err(PlanError::NotWritable { at }),
                }
                self.push(path, Step::Show { source, at, mode: Mode::Writable })?;
            }
        }
        self.show_inside_writable(path)
    }

    fn show_inside_writable(&mut self, path: &AbsolutePath) -> Result<(), PlanError> {
        let access = self.rules.access(path);
        let in_volume = matches!(access, Access::Shown(_, Backing::Volume(_)));
        for child in steps_below(path, &self.different_below(path)) {
            let inner = self.rules.access(&child);
            let fixed = self.rules.fixed.contains_key(&child);
            if inner == Access::Hidden && !fixed {
                if self.different_below(&child).iter().any(|point| self.is_visible(point)) {
                    return Err(PlanError::BaselineUnderBlocked { at: child });
                }
                self.push(&child, Step::Cover { at: child.clone() })?;
            } else if inner == access && !fixed {
                self.folder(&child)?;
                if self.different_below(&child).iter().any(|point| self.rules.access(point) == Access::Hidden) {
                    self.push(&child, Step::Pin { at: child.clone() })?;
                }
                self.show_inside_writable(&child)?;
            } else if in_volume && (fixed || !matches!(inner, Access::Shown(Rights::Write, _))) {
                return Err(PlanError::BaselineInVolume { at: child });
            } else {
                self.show(&child)?;
            }
        }
        Ok(())
    }

    fn is_visible(&self, point: &AbsolutePath) -> bool {
        self.rules.fixed.contains_key(point) || self.rules.access(point) != Access::Hidden
    }

    /// The points below `path` that one mount of it would get wrong.
    fn different_below(&self, path: &AbsolutePath) -> Vec<AbsolutePath> {
        let access = self.rules.access(path);
        let differs = |point: &&AbsolutePath| match self.rules.fixed.get(point) {
            // A link that the tree itself holds comes with it.
            Some(Fixed::Link(_)) => match &access {
                Access::Shown(Rights::Read | Rights::Execute, Backing::Image) => self.sources.kind(point) != Kind::Link,
                Access::Shown(..) | Access::Hidden => true,
            },
            Some(Fixed::Processes | Fixed::Device | Fixed::Text(_)) => true,
            None => self.rules.access(point) != access,
        };
        self.points.iter().filter(|point| point.is_below(path)).filter(differs).cloned().collect()
    }
}

fn steps_below(path: &AbsolutePath, points: &[AbsolutePath]) -> BTreeSet<AbsolutePath> {
    points.iter().filter_map(|point| point.step_below(path)).collect()
}

#[cfg(test)]
mod tests;
