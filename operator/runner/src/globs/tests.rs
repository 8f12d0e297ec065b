use std::time::Duration;

use ccos_profile::ProcessCreation;

use super::*;
use crate::request::VolumeRequest;
use crate::resolve::tests::Written;

fn path(text: &str) -> AbsolutePath {
    AbsolutePath::parse(text).unwrap()
}

fn request(globs: Globs, image_root: &str, volumes: &[&str]) -> Request {
    Request {
        uid: 1000,
        gid: 1000,
        image_root: path(image_root),
        landlock_abi: None,
        program: path("/app/run"),
        arguments: Vec::new(),
        working_dir: AbsolutePath::root(),
        read: Vec::new(),
        write: Vec::new(),
        execute: Vec::new(),
        blocked: Vec::new(),
        globs,
        links: Vec::new(),
        volumes: volumes
            .iter()
            .map(|mount| VolumeRequest { source: path("/ccos/volumes/x"), mount_path: path(mount) })
            .collect(),
        programs: Vec::new(),
        program_folders: Vec::new(),
        process_creation: ProcessCreation::Denied,
        environment: [].into(),
        egress: None,
        inbound: None,
        input: String::new(),
        cpu_time: Duration::from_secs(1),
        wall_time: Duration::from_secs(1),
        disk_bytes: 4096,
        file_descriptors: 8,
        threads: 1,
        cpu_millis: None,
        report: None,
    }
}

fn of(texts: &[&str]) -> Vec<Glob> {
    texts.iter().map(|text| Glob::parse(text).unwrap()).collect()
}

fn texts(paths: &[AbsolutePath]) -> Vec<&str> {
    paths.iter().map(AbsolutePath::as_str).collect()
}

const TREE: [&str; 14] = [
    "/a/x.csv",
    "/a/y.txt",
    "/a/deep/z.csv",
    "/a/deep/er/w.csv",
    "/a/out.csv -> /secret",
    "/a/folder.csv/inside",
    "/a/über.csv",
    "/a/loop -> .",
    "/bin -> usr/bin",
    "*/usr/bin/ls",
    "*/usr/bin/more/less",
    "/way -> /v",
    "/v/key.csv",
    "/secret",
];

fn reads(glob: &str, volumes: &[&str]) -> (Vec<String>, Vec<String>) {
    let globs = Globs { read: of(&[glob]), ..Globs::default() };
    let expanded = expand(&request(globs, "/ccos/image", volumes), &Written::new(&TREE)).unwrap();
    let owned = |paths: &[AbsolutePath]| texts(paths).into_iter().map(str::to_owned).collect();
    let links: Vec<_> = expanded.links.iter().map(|(at, _)| at.clone()).collect();
    (owned(&expanded.read), owned(&links))
}

#[test]
fn a_glob_means_what_there_is_and_no_link_is_followed() {
    for (glob, files, links) in [
        ("/a/*.csv", &["/a/x.csv", "/a/über.csv", "/a/folder.csv"][..], &["/a/out.csv"][..]),
        ("/a/?.csv", &["/a/x.csv"], &[]),
        ("/a/?ber.csv", &["/a/über.csv"], &[]),
        ("/a/**/?.csv", &["/a/deep/er/w.csv", "/a/deep/z.csv", "/a/x.csv"], &[]),
        ("/a/*/?.csv", &["/a/deep/z.csv"], &[]),
        ("/a/d*/**", &["/a/deep"], &[]),
        ("/*/deep/*.csv", &["/a/deep/z.csv"], &[]),
        ("/**/**", &["/"], &[]),
        ("/a/*.csv/x", &[], &[]),
        ("/none/*", &[], &[]),
        ("/bin/*", &["/usr/bin/ls", "/usr/bin/more"], &["/bin"]),
        ("/b*/*", &[], &[]),
        ("/a/x.csv/*", &[], &[]),
    ] {
        let (found, found_links) = reads(glob, &[]);
        let sorted = |list: &[String]| list.iter().cloned().collect::<BTreeSet<_>>();
        let expected = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!((sorted(&found), sorted(&found_links)), (expected(files), expected(links)), "{glob}");
    }
}

#[test]
fn an_image_does_not_choose_a_volume() {
    assert_eq!(reads("/v/*.csv", &["/v"]).0, ["/v/key.csv"]);
    assert_eq!(reads("/*/key.csv", &["/v"]).0, ["/v/key.csv"]);
    assert_eq!(reads("/way/*.csv", &["/v"]), (vec![], vec!["/way".to_owned()]));
    let globs = Globs { blocked: of(&["/way/*.csv"]), ..Globs::default() };
    let error = expand(&request(globs, "/ccos/image", &["/v"]), &Written::new(&TREE)).unwrap_err();
    assert!(error.to_string().ends_with("a symbolic link into the volume /v, whose files may change"), "{error}");
    // Also where the image has nothing on the way to it.
    let globs = Globs { read: of(&["/m*/v/*"]), ..Globs::default() };
    let tree = Written::new(&["/mnt/v/a"]);
    assert_eq!(texts(&expand(&request(globs, "/ccos/image", &["/mnt/v"]), &tree).unwrap().read), ["/mnt/v/a"]);
}

#[test]
fn programs_are_files() {
    for (glob, programs, folders) in [
        ("/bin/*", &["/usr/bin/ls"][..], &[][..]),
        ("/usr/**/l*", &["/usr/bin/ls", "/usr/bin/more/less"], &[]),
        ("/usr/b*/**", &[], &["/usr/bin"]),
    ] {
        let globs = Globs { programs: of(&[glob]), ..Globs::default() };
        let expanded = expand(&request(globs, "/ccos/image", &[]), &Written::new(&TREE)).unwrap();
        assert_eq!(
            (texts(&expanded.programs), texts(&expanded.program_folders)),
            (programs.to_vec(), folders.to_vec())
        );
    }
}

#[test]
fn the_runner_s_own_is_not_found_where_the_image_is_the_root() {
    let tree = Written::new(&["/ccos/tokens/report", "/proc/1/environ", "/etc/report"]);
    let globs = || Globs { read: of(&["/**/report", "/**/environ", "/ccos/*"]), ..Globs::default() };
    assert_eq!(texts(&expand(&request(globs(), "/", &[]), &tree).unwrap().read), ["/etc/report"]);
}

#[test]
fn what_is_too_much_is_refused_and_not_cut() {
    let lines: Vec<_> = (0..=MAX_EXPANDED).map(|number| format!("/many/{number}")).collect();
    let tree = Written::new(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let globs = |text: &str| Globs { read: of(&[text]), ..Globs::default() };
    let error = expand(&request(globs("/many/*"), "/ccos/image", &[]), &tree).unwrap_err();
    let expected = "/many/*: expected at most 1024 paths with those of all other globs, but found more; name a folder";
    assert_eq!(error.to_string(), expected);
    assert_eq!(expand(&request(globs("/many/1*"), "/ccos/image", &[]), &tree).unwrap().read.len(), 136);
    let both = Globs { read: of(&["/many/1*", "/many/*0"]), execute: of(&["/many/?*?"]), ..Globs::default() };
    assert!(matches!(expand(&request(both, "/ccos/image", &[]), &tree), Err(ExpandError::TooMany { .. })));
}

#[test]
fn what_is_no_glob_is_refused() {
    for text in ["a/*", "/a", "/", "/a/../*", "/a//*", "/a/[b]*", "/a/{b}*", "/a/b**", "/a/*\\", ""] {
        assert!(Glob::parse(text).is_err(), "{text}");
    }
    assert!(Glob::parse(&"/x".repeat(MAX_SEGMENTS).replacen("/x", "/*", 1)).is_ok());
    assert!(Glob::parse(&format!("{}/*", "/x".repeat(MAX_SEGMENTS))).is_err());
}

#[test]
fn names_are_compared_by_characters() {
    for (pattern, name, expected) in [
        ("*", "", true),
        ("*", "a", true),
        ("a*b", "ab", true),
        ("a*b", "a-b-b", true),
        ("a*b", "a-b-", false),
        ("*a*b", "xaxb", true),
        ("?", "ü", true),
        ("?", "", false),
        ("??", "ü", false),
        ("a", "A", false),
    ] {
        assert_eq!(is_like(pattern, name), expected, "{pattern} {name}");
    }
}
