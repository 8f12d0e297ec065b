use ccos_profile::{Files, Globs, Inputs, Limits, ProcessCreation, Profile, ReportTo, VERSION, Volume};
use serde_json::Value;

use super::*;
use crate::globs::expand;
use crate::linking::tests::elf_file;
use crate::request::parse;
use crate::resolve::tests::Written;

const LOADER: &str = "/lib64/ld.so";

const RUNNER: &str = "/ccos-0123/deeper/than/any/volume/of/a/context/is";

/// Where there are mounts in a pod, but for those of the context.
const MOUNTED: [&str; 6] =
    [RUNNER, "/run/ccos", "/dev/termination-log", "/ccos/profile", "/ccos/references/0", "/data"];

#[test]
fn what_is_mounted_elsewhere_by_a_link_is_refused() {
    let mut request = parse(profile(&[], "/app/run", &["/data"]), (1000, 1000)).unwrap();
    let tree = Written::new(&["/ccos/references/0/"]);
    let check = |request: &Request, tree: &Written, without: &str, instead: &str| {
        let mounted = MOUNTED.into_iter().filter(|path| *path != without).chain([instead]).map(str::to_owned).collect();
        in_place(request, &AbsolutePath::literal(RUNNER), tree, &mounted).map_err(|error| match error {
            GrantError::Elsewhere { path } => path.to_string(),
            other => other.to_string(),
        })
    };
    assert_eq!(check(&request, &tree, "", "/usr/lib/other"), Ok(()));
    for path in MOUNTED {
        assert_eq!(check(&request, &tree, path, "/usr/lib/data"), Err(path.to_owned()));
    }
    for path in ["/tmp/more", "/dev/shm/more", "/tmp/more/and/more"] {
        let foreign = check(&request, &tree, "", path).unwrap_err();
        assert!(foreign.starts_with(&format!("{path}: expected nothing mounted inside")), "{foreign}");
    }
    request.write = vec![AbsolutePath::literal("/tmp/more")];
    assert_eq!(check(&request, &tree, "", "/tmp/more"), Ok(()));
    let linked = Written::new(&["/ccos/references -> ../usr/lib/references"]);
    assert_eq!(check(&request, &linked, "", "/usr/lib/references/0"), Err("/ccos/references".to_owned()));
    request.report = Some(ReportTo { address: ([10, 0, 0, 1], 8443).into(), certificate: String::new() });
    assert_eq!(check(&request, &tree, "", "/usr/lib/tokens"), Err("/ccos/tokens".to_owned()));
}

fn profile(lists: &[(&str, &[&str])], command: &str, volumes: &[&str]) -> Profile {
    let list = |name: &str| -> Vec<String> {
        let of = lists.iter().filter(|(list, _)| *list == name).flat_map(|(_, paths)| paths.iter());
        of.map(|path| (*path).to_owned()).collect()
    };
    let volume = |mount: &&str| Volume { source: (*mount).to_owned(), mount_path: (*mount).to_owned() };
    Profile {
        version: VERSION,
        image_root: "/".to_owned(),
        landlock_abi: Some(LEAST_ABI),
        command: vec![command.to_owned()],
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
        inputs: Inputs { document: Value::Null, fields: [].into() },
        limits: Limits {
            cpu_time_millis: 1,
            wall_time_millis: 1,
            disk_bytes: 4096,
            file_descriptors: 8,
            threads: 1,
            cpu_millis: None,
        },
        egress: None,
        inbound: None,
        report: None,
    }
}

/// The grants without the baseline's, or why there are none; and whether scratch space is writable.
fn granted(tree: &[&str], lists: &[(&str, &[&str])], volumes: &[&str]) -> Result<(Vec<String>, bool), String> {
    let mut tree = Written::new(
        &[tree, &["*/app/run", "/tmp/", "/dev/shm/", "/usr/lib64/ld.so", "/lib64 -> usr/lib64", "/proc/", "/dev/null"]]
            .concat(),
    );
    for (path, (_, text)) in &mut tree.0 {
        let interpreter: &[_] = if path.ends_with("dynamic") { &[(3, LOADER)] } else { &[(1, "")] };
        if path.ends_with("foreign") {
            *text = String::from_utf8(elf_file(&[(3, "/data/ld.so")])).unwrap();
        } else if text == "x" && !path.ends_with("odd") {
            *text = String::from_utf8(elf_file(interpreter)).unwrap();
        }
    }
    let list = |name: &str| -> Vec<String> {
        let of = lists.iter().filter(|(list, _)| *list == name).flat_map(|(_, paths)| paths.iter());
        of.map(|path| (*path).to_owned()).collect()
    };
    let command = list("command").first().cloned().unwrap_or_else(|| "/app/run".to_owned());
    let profile = profile(lists, &command, volumes);
    let request = expand(&parse(profile, (1000, 1000)).unwrap(), &tree).unwrap();
    let command = resolve(&tree, &request.program).unwrap();
    let rules = Rules::new(&request, &command, &tree).unwrap();
    let Grants { grants, is_scratch_writable, .. } =
        grants(&request, &command, &rules, &tree).map_err(|error| error.to_string())?;
    let text = grants.iter().map(|grant| grant.to_string().replace("outside", ""));
    let common = ["/proc", "/tmp", "/dev/", "/usr/lib64/** read", "/run/ccos"];
    Ok((text.filter(|line| !common.iter().any(|of| line.starts_with(of))).collect(), is_scratch_writable))
}

macro_rules! grants {
    ($($name:ident: $tree:expr, $lists:expr, $volumes:expr => $expected:expr, $writable:literal;)*) => {
        $(#[test] fn $name() {
            let (found, writable) = granted(&$tree, &$lists, &$volumes).unwrap();
            let expected: Vec<&str> = $expected.to_vec();
            assert_eq!((found, writable), (expected.into_iter().map(str::to_owned).collect(), $writable));
        })*
    };
}

grants! {
    nothing_listed_grants_the_command_only: ["/secret"], [], [] => ["/app/run read, execute"], true;
    a_tree_is_one_grant: ["/data/a"], [("read", &["/data"][..])], [] => ["/app/run read, execute", "/data/** read"], true;
    a_file_is_no_folder: ["/data/a"], [("read", &["/data/a"][..])], [] => ["/app/run read, execute", "/data/a read"], true;
    a_link_of_the_image_is_followed: ["/etc/alias -> ../data/a", "/data/a"], [("read", &["/etc/alias"][..])], [] =>
        ["/app/run read, execute", "/data/a read"], true;
    a_link_of_a_volume_is_not: ["/data/alias -> /secret", "/secret"], [("read", &["/data/alias"][..])], ["/data"] =>
        ["/app/run read, execute"], true;
    a_glob_grants_what_is_like_it: ["/data/a.csv", "/data/b.txt", "/data/c.csv -> /secret", "/secret", "*/bin/dynamic"],
        [("read globs", &["/data/*.csv"][..]), ("program globs", &["/bin/dyn*"][..])], [] =>
        ["/usr/lib64/ld.so read, execute", "/app/run read, execute", "/bin/dynamic read, execute", "/data/a.csv read"], false;
    what_is_missing_is_not_granted: [], [("read", &["/none"][..])], [] => ["/app/run read, execute"], true;
    a_volume_that_is_written_is_read_by_another_list: ["/data/"], [("write", &["/data"][..]), ("read", &["/data"][..])],
        ["/data"] => ["/app/run read, execute", "/data/** write", "/data/** read"], true;
    scratch_is_read_back: ["/tmp/work/"], [("write", &["/tmp/work"][..])], [] => ["/app/run read, execute"], true;
    programs_are_executed: ["*/bin/ls", "/bin/no"], [("programs", &["/bin/ls"][..])], [] =>
        ["/app/run read, execute", "/bin/ls read, execute"], true;
    a_loader_takes_scratch_space_away: ["*/app/dynamic"], [("command", &["/app/dynamic"][..])], [] =>
        ["/usr/lib64/ld.so read, execute", "/app/dynamic read, execute"], false;
    one_of_another_program_too: ["*/bin/dynamic"], [("programs", &["/bin/dynamic"][..])], [] =>
        ["/usr/lib64/ld.so read, execute", "/app/run read, execute", "/bin/dynamic read, execute"], false;
    one_that_may_be_in_a_folder_too: ["*/bin/x"], [("program folders", &["/bin"][..])], [] =>
        ["/app/run read, execute", "/bin/** read, execute"], false;
    a_blocked_folder_takes_all_in_it: ["/data/a/b"], [("read", &["/data/a"][..]), ("blocked", &["/data"][..])], [] =>
        ["/app/run read, execute"], true;
}

#[test]
fn what_cannot_be_held_is_refused() {
    for (tree, lists, volumes, expected) in [
        (
            &["/data/private/key"][..],
            &[("read", &["/data"][..]), ("blocked", &["/data/private"][..])][..],
            &[][..],
            "blocked /data/private: expected it outside of what is granted, but found it in /data; isolation GVisor can take it out",
        ),
        (
            &["/way -> data/private", "/data/private/key"],
            &[("read", &["/data"]), ("blocked", &["/way"])],
            &[],
            "blocked /data/private: expected it outside of what is granted, but found it in /data; isolation GVisor can take it out",
        ),
        (
            &["*/app/dynamic", "/data/"],
            &[("command", &["/app/dynamic"]), ("write", &["/data"]), ("read", &["/data"])],
            &["/data"],
            "write /data: expected no loader that can be executed, but /app/dynamic is dynamically linked, so /lib64/ld.so is one: \
             it would run what was written; remove it, give a static program, or use isolation GVisor",
        ),
        (
            &["*/opt/x", "/data/"],
            &[("execute", &["/opt"]), ("write", &["/data"]), ("read", &["/data"])],
            &["/data"],
            "write /data: expected no loader that can be executed, but /opt may hold one: it would run what was written; \
             remove it, give a static program, or use isolation GVisor",
        ),
        (
            &["*/app/odd", "/data/"],
            &[("command", &["/app/odd"]), ("write", &["/data"]), ("read", &["/data"])],
            &["/data"],
            "write /data: expected no loader that can be executed, but /app/odd is no 64-bit ELF program that can be read: \
             it would run what was written; remove it, give a static program, or use isolation GVisor",
        ),
        (
            &["*/app/foreign", "/data/ld.so"],
            &[("command", &["/app/foreign"])],
            &["/data"],
            "command /app/foreign: expected its loader /data/ld.so in a library folder of the image, but found it elsewhere",
        ),
        (
            &["/work/"],
            &[("write", &["/work"])],
            &[],
            "write /work: expected a folder of the scratch space or of a volume, but found a folder of another file system than /tmp",
        ),
        (
            &["/work -> tmp"],
            &[("write", &["/work/a"])],
            &[],
            "write /work/a: expected a folder of the scratch space or of a volume, but found nothing, or a symbolic link on the way",
        ),
        (
            &["/usr/lib/data/a", "/lib -> usr/lib"],
            &[("read", &["/usr/lib/data/a"])],
            &["/usr/lib/data"],
            "volume /usr/lib/data: expected it outside of /usr/lib, which every program has with all below it; mount it elsewhere",
        ),
        (
            &["/ccos/profile/profile.json"],
            &[("read", &["/"])],
            &[],
            "/: expected what the runner keeps outside of all grants, but found it in one; grant the folders that are needed",
        ),
        (
            &["/app/way -> /ccos/profile", "/ccos/profile/profile.json"],
            &[("read", &["/app/way"])],
            &[],
            "/ccos/profile: expected what the runner keeps outside of all grants, but found it in one; grant the folders that are needed",
        ),
    ] {
        assert_eq!(granted(tree, lists, volumes).unwrap_err(), expected);
    }
}
