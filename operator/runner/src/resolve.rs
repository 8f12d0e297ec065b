//! Symbolic links, followed inside a tree that is not (yet) the root.
//!
//! `openat2(RESOLVE_IN_ROOT)` would do this in one call, but gVisor doesn't have it, and the chain is wanted too: the
//! view repeats each link of it. The trees are hostile (an image is made by whoever wrote the capability, a volume by
//! whoever writes to it): `..` stops at the root, and a chain has an end.

use thiserror::Error;

use crate::path::AbsolutePath;

/// As many as Linux follows (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// What is at a path, without following a link anywhere on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing, or something that can't be looked at.
    Missing,
    /// A directory.
    Folder,
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A socket, pipe or device.
    Other,
}

/// A tree of files to look at.
pub trait Tree {
    /// What is there.
    fn kind(&self, path: &AbsolutePath) -> Kind;
    /// Where the link there points to.
    fn target(&self, path: &AbsolutePath) -> Option<String>;
    /// Names in the folder there, sorted; those that are not UTF-8 are left out, so they can't be shown.
    fn names(&self, path: &AbsolutePath) -> Vec<String>;
    /// Whether anybody may execute the file there.
    fn is_executable(&self, path: &AbsolutePath) -> bool;
    /// The first bytes of the file there, at most `length`.
    fn head(&self, path: &AbsolutePath, length: usize) -> Vec<u8>;
}

/// A path whose links were followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Each link on the way and its target, in order.
    pub links: Vec<(AbsolutePath, String)>,
    /// Where it ends: a path that has no links in it.
    pub end: AbsolutePath,
    /// What is there.
    pub kind: Kind,
}

/// The links never end.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{path}: expected at most {MOST_LINKS} symbolic links, but found more")]
pub struct TooManyLinks {
    path: AbsolutePath,
}

/// Follows the links of `path` inside `tree`. A path that leads to nothing is not an error: its kind is
/// [`Kind::Missing`], and its end is where it would have been.
///
/// # Errors
/// [`TooManyLinks`] for a loop.
pub fn resolve(tree: &dyn Tree, path: &AbsolutePath) -> Result<Resolved, TooManyLinks> {
    let mut links: Vec<(AbsolutePath, String)> = Vec::new();
    let mut current = AbsolutePath::root();
    let mut kind = Kind::Folder;
    let mut ahead: Vec<String> = path.segments().map(str::to_owned).collect();
    ahead.reverse();
    while let Some(segment) = ahead.pop() {
        if segment == ".." {
            current = current.parent();
            kind = Kind::Folder;
            continue;
        }
        let Some(next) = current.child(&segment) else { continue }; // "." and the empty segment of "a//b"
        kind = if kind == Kind::Folder { tree.kind(&next) } else { Kind::Missing };
        if kind != Kind::Link {
            current = next;
            continue;
        }
        let Some(target) = tree.target(&next) else {
            kind = Kind::Missing;
            current = next;
            continue;
        };
        if links.len() == MOST_LINKS {
            return Err(TooManyLinks { path: path.clone() });
        }
        ahead.extend(target.split('/').rev().map(str::to_owned));
        if target.starts_with('/') {
            current = AbsolutePath::root();
        }
        kind = Kind::Folder;
        links.push((next, target));
    }
    Ok(Resolved { links, end: current, kind })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A tree written down: folders end in `/`, links have ` -> `, programs start with `*`.
    #[derive(Clone, Default)]
    pub(crate) struct Written(pub(crate) BTreeMap<String, (Kind, String)>);

    impl Written {
        pub(crate) fn new(lines: &[&str]) -> Self {
            let mut map = BTreeMap::from([("/".to_owned(), (Kind::Folder, String::new()))]);
            for line in lines {
                let (path, kind, text) = match line.split_once(" -> ") {
                    Some((path, target)) => (path, Kind::Link, target),
                    None if line.ends_with('/') => (line.trim_end_matches('/'), Kind::Folder, ""),
                    None => (line.trim_start_matches('*'), Kind::File, if line.starts_with('*') { "x" } else { "" }),
                };
                let mut parent = AbsolutePath::parse(path).unwrap().parent();
                while !map.contains_key(parent.as_str()) {
                    map.insert(parent.to_string(), (Kind::Folder, String::new()));
                    parent = parent.parent();
                }
                map.insert(path.to_owned(), (kind, text.to_owned()));
            }
            Self(map)
        }
    }

    impl Tree for Written {
        fn kind(&self, path: &AbsolutePath) -> Kind {
            self.0.get(path.as_str()).map_or(Kind::Missing, |(kind, _)| *kind)
        }
        fn target(&self, path: &AbsolutePath) -> Option<String> {
            self.0.get(path.as_str()).map(|(_, target)| target.clone())
        }
        fn names(&self, path: &AbsolutePath) -> Vec<String> {
            let all = self.0.keys().map(|key| AbsolutePath::parse(key).unwrap());
            all.filter(|key| key.parent() == *path && key != path)
                .filter_map(|key| key.segments().last().map(str::to_owned))
                .collect()
        }
        fn is_executable(&self, path: &AbsolutePath) -> bool {
            self.0.get(path.as_str()).is_some_and(|(_, text)| !text.is_empty())
        }
        fn head(&self, path: &AbsolutePath, _: usize) -> Vec<u8> {
            self.0.get(path.as_str()).map_or(Vec::new(), |(_, text)| text.as_bytes().to_vec())
        }
    }

    fn resolved(tree: &Written, path: &str) -> String {
        match resolve(tree, &AbsolutePath::parse(path).unwrap()) {
            Ok(found) => {
                let chain: Vec<_> = found.links.iter().map(|(at, to)| format!("{at} -> {to}; ")).collect();
                format!("{}{} {:?}", chain.concat(), found.end, found.kind)
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn links_are_followed_inside_the_tree() {
        let tree = Written::new(&[
            "/lib -> usr/lib",
            "/usr/lib/x.so",
            "/usr/bin/python3 -> python3.11",
            "*/usr/bin/python3.11",
            "/usr/bin/vi -> /etc/alternatives/vi",
            "/etc/alternatives/vi -> /usr/bin/vim",
            "/usr/bin/vim",
            "/escape -> ../../../../etc/alternatives/../../usr/bin/vim",
            "/dots -> ./usr/.//bin",
            "/dangling -> /nowhere/at/all",
            "/through -> /usr/bin/vim/more",
        ]);
        for (path, expected) in [
            ("/", "/ Folder"),
            ("/lib/x.so", "/lib -> usr/lib; /usr/lib/x.so File"),
            ("/usr/bin/python3", "/usr/bin/python3 -> python3.11; /usr/bin/python3.11 File"),
            (
                "/usr/bin/vi",
                "/usr/bin/vi -> /etc/alternatives/vi; /etc/alternatives/vi -> /usr/bin/vim; /usr/bin/vim File",
            ),
            ("/escape", "/escape -> ../../../../etc/alternatives/../../usr/bin/vim; /usr/bin/vim File"),
            ("/dots/vim", "/dots -> ./usr/.//bin; /usr/bin/vim File"),
            ("/dangling", "/dangling -> /nowhere/at/all; /nowhere/at/all Missing"),
            ("/through", "/through -> /usr/bin/vim/more; /usr/bin/vim/more Missing"),
            ("/none/at/all", "/none/at/all Missing"),
        ] {
            assert_eq!(resolved(&tree, path), expected);
        }
    }

    #[test]
    fn a_loop_of_links_ends() {
        let tree = Written::new(&["/a -> b", "/b -> a", "/self -> self/self"]);
        for path in ["/a", "/self", "/self/x"] {
            assert_eq!(resolved(&tree, path), format!("{path}: expected at most 40 symbolic links, but found more"));
        }
    }
}
