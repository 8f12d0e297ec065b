use ccos_profile::{Files, Globs, Inputs, Limits, ProcessCreation, Profile, VERSION, Volume};
use serde_json::Value;

use super::*;
use crate::globs::expand;
use crate::request::{self, Request};
use crate::resolve::resolve;
use crate::resolve::tests::Written;

impl Sources for Written {
    fn source(&self, path: &AbsolutePath, _: bool) -> Source {
        Source { root: "outside".to_owned(), path: path.clone() }
    }

    fn device(&self, path: &AbsolutePath) -> Option<u64> {
        // A file system for each folder of the root.
        path.segments().next().map(|first| first.bytes().map(u64::from).sum())
    }
}

fn path(text: &str) -> AbsolutePath {
    AbsolutePath::parse(text).unwrap()
}

fn request(lists: &[(&str, &[&str])], volumes: &[&str]) -> Request {
    let list = |name: &str| -> Vec<String> {
        let of = lists.iter().filter(|(list, _)| *list == name).flat_map(|(_, paths)| paths.iter());
        of.map(|path| (*path).to_owned()).collect()
    };
    let volume = |mount: &&str| Volume { source: format!("/ccos/volumes{mount}"), mount_path: (*mount).to_owned() };
    let profile = Profile {
        version: VERSION,
        image_root: "/ccos/image".to_owned(),
        landlock_abi: None,
        command: vec!["/app/run".to_owned()],
        working_dir: None,
        files: Files { read: list("read"), write: list("write"), execute: list("execute"), blocked: list("blocked") },
        volumes: volumes.iter().map(volume).collect(),
        programs: list("programs"),
        program_folders: list("program folders"),
        globs: Globs {
            read: list("read globs"),
            execute: list("execute globs"),
            blocked: list("blocked globs"),
            programs: list("program globs"),
        },
        process_creation: ProcessCreation::Denied,
        environment: [].into(),
        egress: None,
        inbound: None,
        inputs: Inputs { document: Value::Null, fields: [].into() },
        limits: Limits {
            cpu_time_millis: 1,
            wall_time_millis: 1,
            disk_bytes: 4096,
            file_descriptors: 8,
            threads: 1,
            cpu_millis: None,
        },
        report: None,
    };
    request::parse(profile, (1000, 1000)).unwrap()
}

/// The plan without what is in every view.
fn planned(tree: &[&str], lists: &[(&str, &[&str])], volumes: &[&str]) -> Result<Vec<String>, PlanError> {
    let tree = Written::new(&[tree, &["*/app/run"]].concat());
    let request = expand(&request(lists, volumes), &tree).unwrap();
    let command = resolve(&tree, &request.program).unwrap();
    let rules = Rules::new(&request, &command, &tree).unwrap();
    let steps = plan(&rules, &tree)?;
    let common =
        ["/dev", "/proc", "/run", "/app/run", "/etc/passwd", "/etc/group", "/etc/hosts", "/etc/resolv.conf", "/tmp"];
    let text: Vec<_> = steps.iter().map(ToString::to_string).collect();
    let is_common = |line: &String| {
        let at = line.replace("outside:", "").replace("show /:", "");
        let at = at.split(' ').find(|word| word.starts_with('/')).unwrap_or_default().to_owned();
        common.iter().any(|base| path(&at).is_within(&path(base)))
            || ["folder /app", "folder /etc"].contains(&line.as_str())
    };
    Ok(text.into_iter().filter(|line| !is_common(line)).collect())
}

macro_rules! plans {
    ($($(#[$attribute:meta])* $name:ident: $tree:expr, $lists:expr, $volumes:expr => $expected:expr;)*) => {
        $($(#[$attribute])* #[test] fn $name() {
            let expected: Vec<&str> = $expected.to_vec();
            assert_eq!(planned(&$tree, &$lists, &$volumes).unwrap(), expected);
        })*
    };
}

plans! {
    nothing_listed_shows_the_baseline_only: ["/secret", "/usr/bin/x"], [], [] => [];
    library_folders_are_executable: ["/lib -> usr/lib", "/usr/lib/x.so", "/usr/libexec/y"], [], [] => [
        "link /lib -> usr/lib", "folder /usr", "show outside:/usr/lib at /usr/lib ro,exec",
    ];
    a_library_folder_that_links_elsewhere_is_none: ["/lib -> proc", "/lib64 -> /", "/proc/x"], [], [] => [];
    a_listed_tree_is_one_mount: ["/data/a", "/data/b/c"], [("read", &["/data"][..])], [] => [
        "show outside:/data at /data ro,noexec",
    ];
    a_glob_shows_what_is_like_it_and_links_as_links:
        ["/data/a.csv", "/data/b.txt", "/data/c.csv -> /secret", "/data/d.csv/x", "/secret", "*/app/lib/go", "*/app/lib/no/deep"],
        [("read globs", &["/data/*.csv"][..]), ("program globs", &["/app/lib/*"][..])], [] => [
            "folder /app/lib", "show outside:/app/lib/go at /app/lib/go ro,exec", "folder /data",
            "show outside:/data/a.csv at /data/a.csv ro,noexec", "link /data/c.csv -> /secret",
            "show outside:/data/d.csv at /data/d.csv ro,noexec",
    ];
    a_blocked_glob_takes_what_is_like_it_out_of_a_tree:
        ["/data/a", "/data/b.key", "/data/c/d.key", "/data/c/e", "/data/f.key -> ../g", "/g"],
        [("read", &["/data", "/g"][..]), ("blocked globs", &["/data/**/*.key"][..])], [] => [
            "folder /data", "show outside:/data/a at /data/a ro,noexec",
            "folder /data/c", "show outside:/data/c/e at /data/c/e ro,noexec",
    ];
    a_blocked_path_takes_out_of_what_a_glob_shows: ["/data/a.csv", "/data/d.csv/x", "/data/d.csv/y"],
        [("read globs", &["/data/*.csv"][..]), ("blocked", &["/data/a.csv", "/data/d.csv/x"][..])], [] => [
            "folder /data", "folder /data/d.csv", "show outside:/data/d.csv/y at /data/d.csv/y ro,noexec",
    ];
    what_is_missing_is_not_shown: [], [("read", &["/none/at/all"][..]), ("execute", &["/opt"][..])], [] => [];
    execute_covers_a_read_below_it: ["/opt/lib/x", "/opt/data/y"], [("execute", &["/opt"][..]), ("read", &["/opt/data"][..])], [] => [
        "show outside:/opt at /opt ro,exec",
    ];
    execute_inside_a_read: ["/opt/lib/x", "/opt/data/y"], [("read", &["/opt"][..]), ("execute", &["/opt/lib"][..])], [] => [
        "folder /opt", "show outside:/opt/data at /opt/data ro,noexec", "show outside:/opt/lib at /opt/lib ro,exec",
    ];
    blocked_in_a_read_only_tree_is_never_put_there: ["/data/a", "/data/private/key", "/data/way -> private"],
        [("read", &["/data"][..]), ("blocked", &["/data/private", "/data/later/x"][..])], [] => [
        "folder /data", "show outside:/data/a at /data/a ro,noexec", "link /data/way -> private",
    ];
    blocked_through_a_link_is_blocked_where_it_ends: ["/data/way -> real", "/data/real/key", "/data/real/open"],
        [("read", &["/data"][..]), ("blocked", &["/data/way/key"][..])], [] => [
        "folder /data", "folder /data/real", "show outside:/data/real/open at /data/real/open ro,noexec",
    ];
    blocked_in_a_writable_tree_is_covered_and_pinned: ["/data/a/b/key"],
        [("write", &["/data"][..]), ("blocked", &["/data/a/b", "/data/c"][..])], ["/data"] => [
        "show outside:/data at /data rw,noexec", "folder /data/a", "pin /data/a", "cover /data/a/b", "cover /data/c",
    ];
    write_covers_read_execute_and_programs: ["/w/r", "*/w/x"],
        [("write", &["/w"][..]), ("read", &["/w/r"][..]), ("execute", &["/w/x"][..]), ("programs", &["/w/x"][..])], [] => [
        "scratch /w 755",
    ];
    scratch_hides_the_image: ["/app/cache/old", "/app/code"], [("read", &["/app"][..]), ("write", &["/app/cache"][..])], [] => [
        "scratch /app/cache 755", "show outside:/app/code at /app/code ro,noexec",
    ];
    a_path_above_a_volume_shows_both: ["/mnt/image", "/mnt/data/x", "/mnt/other/y"], [("read", &["/mnt"][..])], ["/mnt/data"] => [
        "folder /mnt", "show outside:/mnt/data at /mnt/data ro,noexec", "show outside:/mnt/image at /mnt/image ro,noexec",
        "show outside:/mnt/other at /mnt/other ro,noexec",
    ];
    only_what_is_listed_of_a_volume_is_shown: ["/data/a", "/data/b"], [("read", &["/data/a"][..])], ["/data"] => [
        "folder /data", "show outside:/data/a at /data/a ro,noexec",
    ];
    links_of_the_image_are_followed: ["/bin -> usr/bin", "/usr/bin/python3 -> python3.11", "*/usr/bin/python3.11", "/usr/bin/x"],
        [("programs", &["/bin/python3"][..])], [] => [
        "link /bin -> usr/bin", "folder /usr", "folder /usr/bin", "link /usr/bin/python3 -> python3.11",
        "show outside:/usr/bin/python3.11 at /usr/bin/python3.11 ro,exec",
    ];
    links_of_a_volume_are_not: ["/data/way -> private/key", "/data/private/key", "/data/up -> private"],
        [("read", &["/data/way", "/data/up/key"][..])], ["/data"] => [
        "folder /data", "link /data/way -> private/key",
    ];
    a_link_of_the_image_into_a_volume_opens_nothing: ["/way -> /data/private", "/data/private/key"], [("read", &["/way"][..])], ["/data"] => [
        "link /way -> /data/private",
    ];
    the_baseline_is_not_blockable: ["/usr/lib/x.so", "/usr/bin/y"], [("read", &["/usr"][..]), ("blocked", &["/usr", "/app", "/tmp", "/usr/lib"][..])], [] => [
        "folder /usr", "show outside:/usr/lib at /usr/lib ro,exec",
    ];
    below_the_baseline_blocked_holds: ["/usr/lib/x.so", "/usr/lib/y.so"], [("blocked", &["/usr/lib/y.so"][..])], [] => [
        "folder /usr", "folder /usr/lib", "show outside:/usr/lib/x.so at /usr/lib/x.so ro,exec",
    ];
    a_volume_below_the_baseline_needs_to_be_listed: ["/usr/lib/x.so", "/usr/lib/data/y"], [], ["/usr/lib/data"] => [
        "folder /usr", "folder /usr/lib", "show outside:/usr/lib/x.so at /usr/lib/x.so ro,exec",
    ];
    a_missing_folder_of_a_volume_is_made_for_writing: [], [("write", &["/data/out"][..])], ["/data"] => [
        "folder /data", "provide outside:/data/out", "show outside:/data/out at /data/out rw,noexec",
    ];
}

#[test]
fn what_cannot_be_held_is_refused() {
    for (tree, lists, volumes, expected) in [
        (
            &["/data/out -> /etc"][..],
            &[("write", &["/data/out"][..])][..],
            &["/data"][..],
            PlanError::NotWritable { at: path("/data/out") },
        ),
        (
            &[][..],
            &[("write", &["/etc"][..])][..],
            &["/etc"][..],
            PlanError::BaselineInVolume { at: path("/etc/group") },
        ),
        (
            &["/lib -> usr/lib", "/usr/lib/x"][..],
            &[("write", &["/lib/cache"][..])][..],
            &[][..],
            PlanError::BehindLink { at: path("/lib") },
        ),
        (
            &["/usr/local/lib/x"][..],
            &[("write", &["/usr"][..]), ("blocked", &["/usr/local"][..])][..],
            &[][..],
            PlanError::BaselineUnderBlocked { at: path("/usr/local") },
        ),
    ] {
        assert_eq!(planned(tree, lists, volumes), Err(expected));
    }
}

#[test]
fn a_view_of_too_many_mounts_is_refused() {
    let many: Vec<String> = (0..5000).map(|number| format!("/data/{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let lists = [("read", &["/data"][..]), ("blocked", &["/data/7"][..])];
    assert!(matches!(planned(&many, &lists, &[]), Err(PlanError::TooManySteps { .. })));
}

/// A plan against an oracle that shares no code with it: the mounts are laid over each other as the kernel would, and
/// what a path then shows is compared with what the lists say, prefix by prefix.
mod law {
    use proptest::prelude::*;

    use super::*;

    const LEAVES: [&str; 8] = ["/a/a/a", "/a/a/b", "/a/b/a", "/a/b/b", "/b/a/a", "/b/a/b", "/b/b/a", "/b/b/b"];

    #[derive(Debug, PartialEq)]
    enum Seen {
        Nothing,
        Scratch,
        File(Mode),
    }

    fn any_path() -> impl Strategy<Value = String> {
        proptest::collection::vec(prop_oneof!["a", "b"], 1..4).prop_map(|names| format!("/{}", names.join("/")))
    }

    fn paths(most: usize) -> impl Strategy<Value = Vec<String>> {
        proptest::collection::vec(any_path(), 0..most)
    }

    fn holds(list: &[String], leaf: &str) -> bool {
        list.iter().any(|path| leaf == path || leaf.starts_with(&format!("{path}/")))
    }

    fn seen(steps: &[Step], leaf: &str) -> Seen {
        let leaf = path(leaf);
        let mut seen = Seen::Nothing;
        for step in steps {
            match step {
                Step::Show { source, at, mode } if leaf.is_within(at) => {
                    // The source is the same path: a mount of anything else would show another file.
                    assert_eq!(source.path, *at);
                    seen = Seen::File(*mode);
                }
                Step::Scratch { at, .. } if leaf.is_within(at) => seen = Seen::Scratch,
                Step::Cover { at } if leaf.is_within(at) => seen = Seen::Nothing,
                _ => {}
            }
        }
        seen
    }

    proptest! {
        #[test]
        fn a_path_shows_what_the_lists_say(
            read in paths(4), write in paths(3), execute in paths(3), blocked in paths(3), volume in proptest::option::of(any_path()),
        ) {
            let borrowed = |list: &'static str, of: &Vec<String>| (list, of.clone());
            let lists = [borrowed("read", &read), borrowed("write", &write), borrowed("execute", &execute), borrowed("blocked", &blocked)];
            let texts: Vec<(&str, Vec<&str>)> = lists.iter().map(|(name, of)| (*name, of.iter().map(String::as_str).collect())).collect();
            let slices: Vec<(&str, &[&str])> = texts.iter().map(|(name, of)| (*name, of.as_slice())).collect();
            let tree = Written::new(&[&LEAVES[..], &["*/app/run"]].concat());
            let volumes: Vec<&str> = volume.iter().map(String::as_str).collect();
            // A volume is a folder: the leaves are files.
            prop_assume!(!LEAVES.iter().any(|leaf| volumes.contains(leaf)));
            let request = request(&slices, &volumes);
            let command = resolve(&tree, &request.program).unwrap();
            let rules = Rules::new(&request, &command, &tree).unwrap();
            let steps = plan(&rules, &tree).unwrap();
            for leaf in LEAVES {
                let in_volume = volume.as_ref().is_some_and(|mount| holds(std::slice::from_ref(mount), leaf));
                let expected = match leaf {
                    leaf if holds(&blocked, leaf) => Seen::Nothing,
                    leaf if holds(&write, leaf) && in_volume => Seen::File(Mode::Writable),
                    leaf if holds(&write, leaf) => Seen::Scratch,
                    leaf if holds(&execute, leaf) => Seen::File(Mode::Executable),
                    leaf if holds(&read, leaf) => Seen::File(Mode::ReadOnly),
                    _ => Seen::Nothing,
                };
                prop_assert_eq!(seen(&steps, leaf), expected, "{}: {:#?}", leaf, steps);
            }
            // What is blocked in a writable tree can't be moved from under its cover: each folder between is a mount.
            for step in &steps {
                if let Step::Cover { at } = step {
                    let mut parent = at.parent();
                    while !matches!(parent.as_str(), "/" | "/proc") {
                        let own = steps.iter().any(|step| match step {
                            Step::Show { at, .. } | Step::Scratch { at, .. } | Step::Pin { at } => *at == parent,
                            _ => false,
                        });
                        let root = steps.iter().any(|step| matches!(step, Step::Folder { at } if *at == parent))
                            && !write.iter().any(|list| parent.is_within(&path(list)));
                        prop_assert!(own || root, "{} above {}: {:#?}", parent, at, steps);
                        parent = parent.parent();
                    }
                }
            }
        }
    }
}
