//! Building the view, step by step.
//!
//! Sources and targets are opened segment by segment without following links, and mounted by their descriptors
//! (`/proc/self/fd/N`): between a look at a volume and the mount of it, its other writers can do what they like, and
//! all they get is an error.

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, fstat, open, openat};
use rustix::io::{Errno, write};
use rustix::mount::{MountFlags, mount, mount_bind, mount_remount};

use super::Linux;
use crate::path::AbsolutePath;
use crate::view::{Mode as Rights, Source, Step, is_there, walk, walk_creating};

/// Closed to the workload, whose uid owns it: it has no capability to override that, and the mount is read-only.
const CLOSED: u32 = 0;

/// In the scratch space's root: what covers blocked folders and files.
const VOID_FOLDER: &str = "void";
const VOID_FILE: &str = "none";

const FOLDER: Mode = Mode::from_raw_mode(0o755);

impl Linux {
    pub(super) fn mount_scratch(&mut self, name: &str, bytes: u64) -> Result<(), Errno> {
        let view = self.view.as_ref().ok_or(Errno::BADF)?;
        rustix::fs::mkdirat(view, name, FOLDER)?;
        let at = openat(view, name, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let options = std::ffi::CString::new(format!("size={bytes},mode=0700")).map_err(|_| Errno::INVAL)?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount("tmpfs", by_descriptor(&at), "tmpfs", flags, options.as_c_str())?;
        let scratch = openat(view, name, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        rustix::fs::mkdirat(&scratch, VOID_FOLDER, Mode::from_raw_mode(CLOSED))?;
        openat(&scratch, VOID_FILE, OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC, Mode::from_raw_mode(CLOSED))?;
        self.scratch = Some(scratch);
        Ok(())
    }

    pub(super) fn build(&mut self, step: &Step) -> Result<(), Errno> {
        match step {
            Step::Folder { at } => walk_creating(self.view()?, at, FOLDER).map(drop),
            Step::Text { at, text } => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = openat(self.parent(at)?, name(at)?, flags, Mode::from_raw_mode(0o444))?;
                let mut rest = text.as_bytes();
                while !rest.is_empty() {
                    let count = write(&file, rest)?;
                    rest = rest.get(count..).unwrap_or_default();
                }
                Ok(())
            }
            Step::Link { at, to } => rustix::fs::symlinkat(to.as_str(), self.parent(at)?, name(at)?),
            Step::Provide { source: Source { root, path } } => walk_creating(&open_root(root)?, path, FOLDER).map(drop),
            Step::Show { source: Source { root, path }, at, mode } => {
                let source = walk(&open_root(root)?, path)?;
                self.bind(&source, at, *mode)
            }
            Step::Scratch { at, bits } => {
                let scratch = self.scratch.as_ref().ok_or(Errno::BADF)?;
                let name = self.scratch_folders.to_string();
                rustix::fs::mkdirat(scratch, &name, FOLDER)?;
                // mkdirat minds the umask, and an O_PATH descriptor can't be chmodded.
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let folder = openat(scratch, &name, flags, Mode::empty())?;
                rustix::fs::fchmod(&folder, Mode::from_raw_mode(*bits))?;
                self.scratch_folders += 1;
                self.bind(&folder, at, Rights::Writable)
            }
            Step::Processes { at } => {
                let target = walk_creating(self.view()?, at, FOLDER)?;
                let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
                mount("proc", by_descriptor(&target), "proc", flags, None)
            }
            Step::Pin { at } => {
                let folder = walk(self.view()?, at)?;
                self.bind(&folder, at, Rights::Writable)
            }
            Step::Cover { at } => {
                if !is_there(&self.parent(at)?, name(at)?) {
                    rustix::fs::mkdirat(self.parent(at)?, name(at)?, Mode::from_raw_mode(0o700))?;
                }
                let scratch = self.scratch.as_ref().ok_or(Errno::BADF)?;
                let void = if is_folder(&walk(self.view()?, at)?)? { VOID_FOLDER } else { VOID_FILE };
                let void = openat(scratch, void, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
                self.bind(&void, at, Rights::ReadOnly)
            }
        }
    }

    fn view(&self) -> Result<&OwnedFd, Errno> {
        self.view.as_ref().ok_or(Errno::BADF)
    }

    fn parent(&self, at: &AbsolutePath) -> Result<OwnedFd, Errno> {
        walk(self.view()?, &at.parent())
    }

    fn bind(&self, source: &OwnedFd, at: &AbsolutePath, rights: Rights) -> Result<(), Errno> {
        let target = if is_folder(source)? { walk_creating(self.view()?, at, FOLDER)? } else { self.file(at)? };
        mount_bind(by_descriptor(source), by_descriptor(&target))?;
        // Again, since `target` is still what lies below the mount.
        let mounted = walk(self.view()?, at)?;
        let flags = match rights {
            Rights::ReadOnly => MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC,
            Rights::Executable => MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV,
            Rights::Writable => MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC,
            Rights::Device => MountFlags::NOSUID | MountFlags::NOEXEC,
        };
        mount_remount(by_descriptor(&mounted), MountFlags::BIND | flags, c"")
    }

    fn file(&self, at: &AbsolutePath) -> Result<OwnedFd, Errno> {
        let parent = self.parent(at)?;
        if !is_there(&parent, name(at)?) {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            openat(&parent, name(at)?, flags, Mode::from_raw_mode(0o600))?;
        }
        walk(self.view()?, at)
    }
}

fn name(at: &AbsolutePath) -> Result<&str, Errno> {
    at.segments().last().ok_or(Errno::EXIST)
}

fn open_root(root: &str) -> Result<OwnedFd, Errno> {
    open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// # Errors
/// `ELOOP` for a link: it would be followed when it is mounted.
fn is_folder(file: &OwnedFd) -> Result<bool, Errno> {
    match FileType::from_raw_mode(fstat(file)?.st_mode) {
        FileType::Symlink => Err(Errno::LOOP),
        FileType::Directory => Ok(true),
        _ => Ok(false),
    }
}

fn by_descriptor(file: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}
