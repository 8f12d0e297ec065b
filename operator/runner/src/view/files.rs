//! The image with the volumes at their places, as they are outside of the view.
//!
//! Every look walks from an open folder without following links: a volume's other writers can swap a folder for a
//! link at any time, and a look at the wrong place would become a mount of the wrong place.

use std::ffi::CStr;
use std::io::Read;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat};
use thiserror::Error;

use super::Source;
use super::plan::Sources;
use crate::path::AbsolutePath;
use crate::request::{Request, VolumeRequest};
use crate::resolve::{Kind, Tree};

/// The kubelet's atomic writer keeps the files of a `ConfigMap`, Secret or projected volume in a folder of this
/// beginning, behind the link `..data`.
const ATOMIC_LINK: &str = "..data";

/// The image or a volume can't be opened.
#[derive(Debug, Error)]
#[error("{field} {root:?}: cannot open it: {errno}")]
pub struct OutsideError {
    field: &'static str,
    root: String,
    errno: rustix::io::Errno,
}

/// All that a view can be made of.
#[derive(Debug)]
pub struct Outside {
    image: Root,
    volumes: Vec<(AbsolutePath, Root)>,
}

#[derive(Debug)]
struct Root {
    path: String,
    folder: OwnedFd,
    /// Of an atomic writer's volume: where its files really are, as `/..2026_11_24…`.
    files: Option<AbsolutePath>,
}

impl Outside {
    /// Opens the image and each volume.
    ///
    /// # Errors
    /// [`OutsideError`] for one that isn't there: a missing volume must not look like an empty one.
    pub fn open(request: &Request) -> Result<Self, OutsideError> {
        let image = Root::open("imageRoot", request.image_root.as_str())?;
        let volume = |VolumeRequest { source, mount_path }: &VolumeRequest| {
            Ok((mount_path.clone(), Root::open("volumes", source.as_str())?))
        };
        Ok(Self { image, volumes: request.volumes.iter().map(volume).collect::<Result<_, _>>()? })
    }

    /// The root that holds `path`, and the path below it.
    fn locate(&self, path: &AbsolutePath) -> (&Root, AbsolutePath) {
        let volume = self.volumes.iter().filter(|(mount, _)| path.is_within(mount)).max_by_key(|(mount, _)| mount);
        match volume.and_then(|(mount, root)| Some((root, path.rest_in(mount)?))) {
            Some((root, rest)) => (root, root.real(rest)),
            None => (&self.image, path.clone()),
        }
    }

    fn stat(&self, path: &AbsolutePath) -> Option<Stat> {
        let (root, inner) = self.locate(path);
        fstat(walk(&root.folder, &inner).ok()?).ok()
    }

    fn open_to_read(&self, path: &AbsolutePath, kind: OFlags) -> Option<OwnedFd> {
        let (root, inner) = self.locate(path);
        let parent = walk(&root.folder, &inner.parent()).ok()?;
        let name = inner.segments().last().unwrap_or(".").to_owned();
        // Without NONBLOCK a pipe in somebody's volume would stop the runner for ever.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | kind;
        openat(parent, name, flags, Mode::empty()).ok()
    }
}

impl Root {
    fn open(field: &'static str, path: &str) -> Result<Self, OutsideError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat(CWD, path, flags, Mode::empty()).map_err(|errno| OutsideError {
            field,
            root: path.to_owned(),
            errno,
        })?;
        let target = readlinkat(&folder, ATOMIC_LINK, Vec::new()).ok().and_then(|text| text.into_string().ok());
        // One segment that begins with "..": a link that a writer of another kind of volume made can lead no further.
        let files = target.filter(|name| name.starts_with("..")).and_then(|name| AbsolutePath::root().child(&name));
        Ok(Self { path: path.to_owned(), folder, files })
    }

    /// Where a path of an atomic writer's volume really is. The links of its top folder would lead to a folder that
    /// is not in the view unless all of the volume is.
    fn real(&self, inner: AbsolutePath) -> AbsolutePath {
        match &self.files {
            Some(files) => {
                let real = inner.segments().try_fold(files.clone(), |path, name| path.child(name));
                real.unwrap_or(inner)
            }
            None => inner,
        }
    }
}

impl Tree for Outside {
    fn kind(&self, path: &AbsolutePath) -> Kind {
        self.stat(path).map_or(Kind::Missing, |stat| match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Kind::Folder,
            FileType::RegularFile => Kind::File,
            FileType::Symlink => Kind::Link,
            _ => Kind::Other,
        })
    }

    fn target(&self, path: &AbsolutePath) -> Option<String> {
        let (root, inner) = self.locate(path);
        let parent = walk(&root.folder, &inner.parent()).ok()?;
        let name = inner.segments().last()?;
        readlinkat(parent, name, Vec::new()).ok()?.into_string().ok()
    }

    fn names(&self, path: &AbsolutePath) -> Vec<String> {
        let Some(mut folder) = self.open_to_read(path, OFlags::DIRECTORY).and_then(|folder| Dir::new(folder).ok())
        else {
            return Vec::new();
        };
        let text = |name: &CStr| name.to_str().ok().map(str::to_owned);
        let entries = std::iter::from_fn(|| folder.read().and_then(Result::ok));
        let mut names: Vec<_> = entries.filter_map(|entry| text(entry.file_name())).collect();
        names.retain(|name| name != "." && name != "..");
        names.sort();
        names
    }

    fn is_executable(&self, path: &AbsolutePath) -> bool {
        self.stat(path).is_some_and(|stat| stat.st_mode & 0o111 != 0)
    }

    fn head(&self, path: &AbsolutePath, length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let Some(file) = self.open_to_read(path, OFlags::empty()) else { return bytes };
        // A file that can't be read may still be executed; its interpreter is then the kernel's business.
        match std::fs::File::from(file).take(length as u64).read_to_end(&mut bytes) {
            Ok(_) => bytes,
            Err(_) => Vec::new(),
        }
    }
}

impl Sources for Outside {
    fn device(&self, path: &AbsolutePath) -> Option<u64> {
        self.stat(path).map(|stat| stat.st_dev)
    }

    fn source(&self, path: &AbsolutePath, whole: bool) -> Source {
        let (root, inner) = self.locate(path);
        let mounted = self.volumes.iter().any(|(mount, _)| mount == path);
        // All of a volume as it is, so that an update reaches the workload.
        let path = if whole && mounted { AbsolutePath::root() } else { inner };
        Source { root: root.path.clone(), path }
    }
}

/// Opens what is at `path` below `root`, following no link: a link in the middle is `ENOTDIR`, one at the end is
/// opened as itself.
///
/// # Errors
/// What openat(2) says.
pub(crate) fn walk(root: &OwnedFd, path: &AbsolutePath) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut current = openat(root, ".", flags, Mode::empty())?;
    for segment in path.segments() {
        current = openat(&current, segment, flags, Mode::empty())?;
    }
    Ok(current)
}

/// Makes sure that a folder is at `path` below `root`, creating what is missing, following no link.
///
/// # Errors
/// What mkdirat(2) or openat(2) say.
pub(crate) fn walk_creating(root: &OwnedFd, path: &AbsolutePath, mode: Mode) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut current = openat(root, ".", flags, Mode::empty())?;
    for segment in path.segments() {
        current = match openat(&current, segment, flags, Mode::empty()) {
            Err(rustix::io::Errno::NOENT) => {
                rustix::fs::mkdirat(&current, segment, mode)?;
                openat(&current, segment, flags, Mode::empty())?
            }
            found => found?,
        };
    }
    Ok(current)
}

/// Whether something is at `name` in `folder`; a link counts as itself.
pub(crate) fn is_there(folder: &OwnedFd, name: &str) -> bool {
    rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use super::*;

    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("ccos-runner-{name}-{}", std::process::id()));
            fs::create_dir_all(folder.join("real/..2026/inner")).unwrap();
            fs::write(folder.join("real/..2026/key"), "value").unwrap();
            fs::write(folder.join("outside"), "outside").unwrap();
            for (at, to) in [("up", "../outside"), ("loop", "loop"), ("folder", "..2026"), ("..data", "..2026")] {
                symlink(to, folder.join("real").join(at)).unwrap();
            }
            Self(folder)
        }

        fn root(&self) -> Root {
            Root::open("test", self.0.join("real").to_str().unwrap()).unwrap()
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn path(text: &str) -> AbsolutePath {
        AbsolutePath::parse(text).unwrap()
    }

    #[test]
    fn no_link_is_followed() {
        let tree = Tree::new("walk");
        let root = tree.root();
        let kind =
            |at: &str| walk(&root.folder, &path(at)).map(|file| FileType::from_raw_mode(fstat(file).unwrap().st_mode));
        assert_eq!(kind("/..2026/key"), Ok(FileType::RegularFile));
        for link in ["/up", "/loop", "/folder"] {
            assert_eq!(kind(link), Ok(FileType::Symlink), "{link}");
        }
        assert_eq!(kind("/folder/key"), Err(rustix::io::Errno::NOTDIR));
        for link in ["/up/new", "/folder/new", "/loop"] {
            assert!(walk_creating(&root.folder, &path(link), Mode::RWXU).is_err(), "{link}");
        }
        assert!(!tree.0.join("real/..2026/new").exists());
        walk_creating(&root.folder, &path("/..2026/inner/a/b"), Mode::RWXU).unwrap();
        assert!(tree.0.join("real/..2026/inner/a/b").is_dir());
    }

    #[test]
    fn files_of_an_atomic_writer_are_where_its_link_leads_but_no_further() {
        let tree = Tree::new("atomic");
        let root = tree.root();
        assert_eq!(root.real(path("/key")), path("/..2026/key"));
        assert_eq!(root.real(path("/")), path("/..2026"));
        for target in ["..", "../outside", "private", "/etc", "..2026/inner", "."] {
            let link = tree.0.join("real/..data");
            fs::remove_file(&link).unwrap();
            symlink(target, &link).unwrap();
            assert_eq!(tree.root().real(path("/key")), path("/key"), "{target}");
        }
    }
}
