//! What the workload may do at a path: a pure function of the lists, the volumes and the links of the image.

use std::collections::{BTreeMap, BTreeSet};

use crate::path::AbsolutePath;
use crate::request::Request;
use crate::resolve::{Kind, Resolved, TooManyLinks, Tree, resolve};

/// Library folders of the image: without them no dynamic program starts. `libexec` is not one: it holds programs.
const LIBRARIES: [&str; 7] = ["/lib", "/lib32", "/lib64", "/libx32", "/usr/lib", "/usr/lib64", "/usr/local/lib"];

/// Files of the image that the C library reads by itself.
const CONFIGURATION: [&str; 7] = [
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld-musl-x86_64.path",
    "/etc/nsswitch.conf",
    "/etc/localtime",
    "/usr/share/zoneinfo",
];

/// Devices that do nothing but read and write bytes.
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

const DEVICE_LINKS: [(&str, &str); 4] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];

/// Folders that anyone may write to, from scratch space.
pub const SHARED_SCRATCH: [&str; 2] = ["/tmp", "/dev/shm"];

/// Where the workload finds the input document.
pub const INPUT_FILE: &str = "/run/ccos/input.json";

/// Where the workload may write its result.
pub const RESULT_FILE: &str = "/tmp/ccos-result.json";

/// The relay's. No search domains: a name means itself, and one dot or none makes no difference.
const RESOLVER: &str =
    "# Answers for the names that this execution requires, and for no other.\nnameserver 127.0.0.53\noptions ndots:1\n";

const NO_RESOLVER: &str = "# No name server: this workload has no network.\n";

/// What a tree may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Reading.
    Read,
    /// Reading and executing.
    Execute,
    /// Reading, creating, changing and deleting, never executing.
    Write,
}

/// Where the content comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backing {
    /// The capability's image.
    Image,
    /// The volume that is mounted at this path.
    Volume(AbsolutePath),
    /// An empty scratch folder for this path: also where the image has something there, which stays hidden.
    Scratch(AbsolutePath),
}

/// The answer for one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// It does not exist for the workload.
    Hidden,
    /// It is shown.
    Shown(Rights, Backing),
}

/// Something in the view that comes from no tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fixed {
    /// `/proc`.
    Processes,
    /// A device node.
    Device,
    /// A generated file.
    Text(String),
    /// A link on the way to a listed path.
    Link(String),
}

#[derive(Clone, Debug)]
struct Grant {
    path: AbsolutePath,
    rights: Rights,
}

/// All lists of a profile, with the links of the image followed.
#[derive(Debug)]
pub struct Rules {
    baseline: Vec<Grant>,
    command: AbsolutePath,
    listed: Vec<Grant>,
    blocked: BTreeSet<AbsolutePath>,
    volumes: Vec<AbsolutePath>,
    /// What comes from no tree, by its path.
    pub fixed: BTreeMap<AbsolutePath, Fixed>,
}

impl Rules {
    /// Follows the links of every list in `tree`, which is the image with the volumes at their places.
    ///
    /// # Errors
    /// [`TooManyLinks`] where a listed path never ends.
    pub fn new(request: &Request, command: &Resolved, tree: &dyn Tree) -> Result<Self, TooManyLinks> {
        let mut rules = Self {
            baseline: Vec::new(),
            command: command.end.clone(),
            listed: Vec::new(),
            blocked: BTreeSet::new(),
            volumes: request.volumes.iter().map(|volume| volume.mount_path.clone()).collect(),
            fixed: BTreeMap::new(),
        };
        rules.add_fixed(request);
        for text in LIBRARIES {
            rules.add_baseline(text, Rights::Execute, tree)?;
        }
        for text in CONFIGURATION {
            rules.add_baseline(text, Rights::Read, tree)?;
        }
        for path in SHARED_SCRATCH.map(AbsolutePath::literal) {
            rules.baseline.push(Grant { path, rights: Rights::Write });
        }
        rules.add_links(&command.links);
        rules.add_links(&request.links);
        for path in &request.write {
            // Not followed: scratch space hides the image, and a volume's links are its writers'.
            rules.listed.push(Grant { path: path.clone(), rights: Rights::Write });
        }
        for path in request.execute.iter().chain(&request.programs).chain(&request.program_folders) {
            rules.add_listed(path, Rights::Execute, tree)?;
        }
        for path in &request.read {
            rules.add_listed(path, Rights::Read, tree)?;
        }
        for path in &request.blocked {
            // Both names: the one that was blocked, and the one that it leads to.
            rules.blocked.insert(path.clone());
            rules.blocked.insert(resolve(tree, path)?.end);
        }
        Ok(rules)
    }

    fn add_fixed(&mut self, request: &Request) {
        let text = |text: &str| Fixed::Text(text.to_owned());
        let (uid, gid) = (request.uid, request.gid);
        let passwd = format!("root:x:0:0:root:/:/sbin/nologin\nccos:x:{uid}:{gid}:ccos:/tmp:/sbin/nologin\n");
        let fixed = [
            ("/proc", Fixed::Processes),
            ("/etc/passwd", Fixed::Text(passwd)),
            ("/etc/group", Fixed::Text(format!("root:x:0:\nccos:x:{gid}:\n"))),
            ("/etc/hosts", text("127.0.0.1 localhost\n::1 localhost\n")),
            ("/etc/resolv.conf", text(if request.egress.is_some() { RESOLVER } else { NO_RESOLVER })),
            (INPUT_FILE, text(&request.input)),
        ];
        let devices = DEVICES.map(|path| (path, Fixed::Device));
        let links = DEVICE_LINKS.map(|(path, to)| (path, Fixed::Link(to.to_owned())));
        for (path, what) in fixed.into_iter().chain(devices).chain(links) {
            self.fixed.insert(AbsolutePath::literal(path), what);
        }
    }

    fn add_links(&mut self, links: &[(AbsolutePath, String)]) {
        for (at, to) in links {
            self.fixed.entry(at.clone()).or_insert_with(|| Fixed::Link(to.clone()));
        }
    }

    fn add_baseline(&mut self, text: &'static str, rights: Rights, tree: &dyn Tree) -> Result<(), TooManyLinks> {
        let path = AbsolutePath::literal(text);
        // An image may hold anything: a library folder that links into /proc, a volume or a generated file is no
        // library folder.
        let found = resolve(tree, &path)?;
        let own = self.volume_of(&found.end).is_none() && !self.is_ours(&found.end);
        if own && found.kind != Kind::Missing && found.end != AbsolutePath::root() {
            self.add_links(&found.links);
            self.baseline.push(Grant { path: found.end, rights });
        }
        Ok(())
    }

    fn add_listed(&mut self, path: &AbsolutePath, rights: Rights, tree: &dyn Tree) -> Result<(), TooManyLinks> {
        if self.volume_of(path).is_some() {
            if tree.kind(path) != Kind::Missing {
                self.listed.push(Grant { path: path.clone(), rights });
            }
            return Ok(());
        }
        let found = resolve(tree, path)?;
        self.add_links(&found.links);
        // An image must not widen a list: its link into a volume is shown as the link that it is.
        if self.volume_of(&found.end).is_none() {
            let holds_volume = self.volumes.iter().any(|volume| volume.is_within(&found.end));
            if found.kind != Kind::Missing || holds_volume {
                self.listed.push(Grant { path: found.end, rights });
            }
        }
        Ok(())
    }

    fn is_ours(&self, path: &AbsolutePath) -> bool {
        self.fixed.keys().any(|fixed| path.is_within(fixed))
            || SHARED_SCRATCH.map(AbsolutePath::literal).iter().any(|own| path.is_within(own))
    }

    fn volume_of(&self, path: &AbsolutePath) -> Option<&AbsolutePath> {
        // All that hold one path are prefixes of it, so the longest is the last in order.
        self.volumes.iter().filter(|mount| path.is_within(mount)).max()
    }

    fn backing(&self, path: &AbsolutePath) -> Backing {
        self.volume_of(path).map_or(Backing::Image, |mount| Backing::Volume(mount.clone()))
    }

    /// Whether a baseline path reaches to `path`; it does not reach into a volume that is mounted below it.
    fn reaches(&self, baseline: &AbsolutePath, path: &AbsolutePath) -> bool {
        path.is_within(baseline) && self.volume_of(path).is_none_or(|mount| baseline.is_within(mount))
    }

    /// Whether `path` is blocked, and no baseline path between the blocked one and it says otherwise.
    #[must_use]
    pub fn is_blocked(&self, path: &AbsolutePath) -> bool {
        let kept = |blocked: &AbsolutePath| {
            let baseline = self.baseline.iter().map(|grant| &grant.path);
            let unlinked = self.fixed.iter().filter(|(_, what)| !matches!(what, Fixed::Link(_))).map(|(path, _)| path);
            baseline
                .chain(unlinked)
                .chain([&self.command])
                .any(|base| base.is_within(blocked) && self.reaches(base, path))
        };
        self.blocked.iter().any(|blocked| path.is_within(blocked) && !kept(blocked))
    }

    /// What the workload may do at `path`. Says nothing about [`Rules::fixed`].
    #[must_use]
    pub fn access(&self, path: &AbsolutePath) -> Access {
        if self.is_blocked(path) {
            return Access::Hidden;
        }
        if *path == self.command {
            return Access::Shown(Rights::Execute, self.backing(path));
        }
        if let Some(grant) = self.baseline.iter().find(|grant| self.reaches(&grant.path, path)) {
            let scratch = grant.rights == Rights::Write;
            let backing = if scratch { Backing::Scratch(grant.path.clone()) } else { Backing::Image };
            return Access::Shown(grant.rights, backing);
        }
        let holding =
            |rights| self.listed.iter().filter(move |grant| grant.rights == rights && path.is_within(&grant.path));
        if let Some(outermost) = holding(Rights::Write).map(|grant| &grant.path).min() {
            let backing = match self.backing(path) {
                Backing::Image => Backing::Scratch(outermost.clone()),
                volume => volume,
            };
            return Access::Shown(Rights::Write, backing);
        }
        for rights in [Rights::Execute, Rights::Read] {
            if holding(rights).next().is_some() {
                return Access::Shown(rights, self.backing(path));
            }
        }
        Access::Hidden
    }

    /// What every workload has, but for [`Rules::fixed`] and the command.
    pub fn baseline(&self) -> impl Iterator<Item = (&AbsolutePath, Rights)> {
        self.baseline.iter().map(|grant| (&grant.path, grant.rights))
    }

    /// What the lists say, with the links of the image followed.
    pub fn listed(&self) -> impl Iterator<Item = (&AbsolutePath, Rights)> {
        self.listed.iter().map(|grant| (&grant.path, grant.rights))
    }

    /// What is blocked, by both names where one is a link.
    pub fn blocked(&self) -> impl Iterator<Item = &AbsolutePath> {
        self.blocked.iter()
    }

    /// Whether `path` is in a volume.
    #[must_use]
    pub fn is_in_volume(&self, path: &AbsolutePath) -> bool {
        self.volume_of(path).is_some()
    }

    /// Whether `path` is in a library folder of the image.
    #[must_use]
    pub fn is_library(&self, path: &AbsolutePath) -> bool {
        let libraries = self.baseline.iter().filter(|grant| grant.rights == Rights::Execute);
        libraries.into_iter().any(|grant| self.reaches(&grant.path, path))
    }

    /// Whether `path` may be executed.
    #[must_use]
    pub fn is_executable(&self, path: &AbsolutePath) -> bool {
        matches!(self.access(path), Access::Shown(Rights::Execute, _))
    }

    /// Each path at which the answer may differ from its parent's, in order.
    #[must_use]
    pub fn points(&self) -> BTreeSet<AbsolutePath> {
        let grants = self.baseline.iter().chain(&self.listed).map(|grant| &grant.path);
        let rest = self.blocked.iter().chain(&self.volumes).chain(self.fixed.keys()).chain([&self.command]);
        grants.chain(rest).cloned().collect()
    }

    /// Each blocked path that the baseline does not keep, in order.
    pub fn out_of_reach(&self) -> impl Iterator<Item = &AbsolutePath> {
        self.blocked.iter().filter(|path| self.is_blocked(path))
    }
}
