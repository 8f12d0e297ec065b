//! What of the file system exists for the workload.
//!
//! Two halves, so that the hard one can be tested without a kernel: [`rules`] says for every path what the workload
//! may do there, [`plan`] turns that into a list of [`Step`]s. Applying a step is the kernel's work
//! ([`crate::kernel`]).
//!
//! # Rights
//! The lists are a union: a path has what any list gives it, write before execute before read, with three rules:
//! - **Blocked wins**, whatever else names a path, also for what appears there later. Names are blocked, not inodes:
//!   a hard link made elsewhere by another writer of the volume is another name.
//! - **Write covers everything below it** and is never executable, even where `execute` or `programs` name it too.
//! - **The baseline is not blockable**: a blocked path at or above a baseline path leaves that as it is. One below a
//!   baseline path holds.
//!
//! # Links
//! A listed path is followed inside the image as the kernel would (`/bin` may be `usr/bin`): the links are repeated
//! in the view and the rights hold where they end. Links *found inside* a listed tree lead only to what is listed by
//! itself. Links of a volume are never followed: who may write to a volume must not choose what a list means.

mod files;
pub mod plan;
pub mod rules;

use std::fmt;

pub use files::{Outside, OutsideError};
pub(crate) use files::{is_there, walk, walk_creating};

use crate::path::AbsolutePath;

/// How a tree is mounted. Never with set-uid programs; writable and executable at once can't be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Read-only, nothing in it may be executed or mapped as code.
    ReadOnly,
    /// Read-only, programs and libraries work.
    Executable,
    /// Writable, nothing in it may be executed or mapped as code.
    Writable,
    /// A device node: the only mode in which devices work.
    Device,
}

/// Something outside of the view: a path below a root of the runner's own container. Links below the root are not
/// followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The image, a volume, or `/`.
    pub root: String,
    /// Below it.
    pub path: AbsolutePath,
}

/// One step in building the view. Paths are those that the workload will see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A folder of the view itself, or, inside a writable tree, one that must be there.
    Folder {
        /// Where.
        at: AbsolutePath,
    },
    /// A generated file.
    Text {
        /// Where.
        at: AbsolutePath,
        /// All of it.
        text: String,
    },
    /// A symbolic link.
    Link {
        /// Where.
        at: AbsolutePath,
        /// Its target, as in the image.
        to: String,
    },
    /// A folder that must be there in a volume before it can be shown.
    Provide {
        /// Which.
        source: Source,
    },
    /// A tree or file from outside.
    Show {
        /// Which.
        source: Source,
        /// Where.
        at: AbsolutePath,
        /// How.
        mode: Mode,
    },
    /// An empty writable folder of scratch space.
    Scratch {
        /// Where.
        at: AbsolutePath,
        /// Its permission bits.
        bits: u32,
    },
    /// The process information of the workload's own namespace.
    Processes {
        /// Where.
        at: AbsolutePath,
    },
    /// Makes a folder of a writable tree a mount point, so that it can't be renamed with what is blocked below it.
    Pin {
        /// Which.
        at: AbsolutePath,
    },
    /// Puts an empty, closed, read-only folder or file over a blocked path of a writable tree.
    Cover {
        /// Which.
        at: AbsolutePath,
    },
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadOnly => "ro,noexec",
            Self::Executable => "ro,exec",
            Self::Writable => "rw,noexec",
            Self::Device => "rw,noexec,dev",
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.root, self.path)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder { at } => write!(f, "folder {at}"),
            // The length only: the input document may hold secrets, and steps end up in messages.
            Self::Text { at, text } => write!(f, "text {at} ({} bytes)", text.len()),
            Self::Link { at, to } => write!(f, "link {at} -> {to}"),
            Self::Provide { source } => write!(f, "provide {source}"),
            Self::Show { source, at, mode } => write!(f, "show {source} at {at} {mode}"),
            Self::Scratch { at, bits } => write!(f, "scratch {at} {bits:o}"),
            Self::Processes { at } => write!(f, "processes {at}"),
            Self::Pin { at } => write!(f, "pin {at}"),
            Self::Cover { at } => write!(f, "cover {at}"),
        }
    }
}
