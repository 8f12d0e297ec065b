//! Files are merged as both runtimes do, and what can't be understood is said with its place.

use std::collections::BTreeMap;

use ccos_kata::{DROP_INS_LIMIT, FILE_LIMIT, ReadError, read};
use proptest::prelude::*;

use crate::{errors, node, source, template};

#[test]
fn drop_ins_are_merged_in_the_order_of_their_names_whatever_they_end_with() {
    let off = "[runtime]\nsandbox_cgroup_only = false\n";
    let on = "[runtime]\nsandbox_cgroup_only = true\n";
    let kata = node("rust/qemu-runtime-rs", &[("90-last.conf", off), ("10-first.toml", on)]);
    assert_eq!(kata.configuration.runtime.sandbox_cgroup_only, Some(false));
    assert_eq!(kata.origin(&["runtime", "sandbox_cgroup_only"]), Some("90-last.conf"));
    // All else stays as it was.
    assert_eq!(kata.configuration.runtime.disable_guest_seccomp, Some(true));
    assert_eq!(kata.origin(&["runtime", "disable_guest_seccomp"]), Some("configuration.toml"));
}

#[test]
fn a_list_is_replaced_not_extended() {
    let kata = node("rust/qemu-runtime-rs", &[("a", "[hypervisor.qemu]\nenable_annotations = [\"^cc_init_data$\"]")]);
    assert_eq!(kata.hypervisor.enable_annotations, Some(vec!["^cc_init_data$".to_owned()]));
}

#[test]
fn unknown_keys_are_kept_and_named() {
    let text = "[hypervisor.qemu]\ndefault_memroy = 512\n[runtime]\nsandbox_cgroups_only = true\n[made_up]\na = 1\n";
    let kata = node("go/qemu", &[("typo", text)]);
    let mut unknown: Vec<String> = kata.unknown().iter().map(|path| path.join(".")).collect();
    unknown.sort();
    assert_eq!(unknown, ["hypervisor.qemu.default_memroy", "made_up", "runtime.sandbox_cgroups_only"]);
    let written = toml::to_string(&kata.configuration).unwrap();
    assert!(written.contains("default_memroy = 512") && written.contains("[made_up]"), "{written}");
}

#[test]
fn a_key_of_the_other_runtime_is_told_from_an_unknown_one() {
    let kata = node("rust/qemu-runtime-rs", &[("a", "[hypervisor.qemu]\nseccompsandbox = \"on\"\n[factory]\n")]);
    assert_eq!(kata.unknown(), Vec::<Vec<String>>::new());
    let paths: Vec<String> = kata.of_the_other().iter().map(|path| path.join(".")).collect();
    assert_eq!(paths, ["hypervisor.qemu.seccompsandbox", "factory"]);
    let kata = node("go/qemu", &[("a", "[hypervisor.qemu]\noverhead_memory = 256")]);
    assert_eq!(kata.of_the_other(), [["hypervisor", "qemu", "overhead_memory"].map(str::to_owned)]);
}

#[test]
fn a_wrong_type_is_said_with_file_path_given_and_allowed() {
    let drop_in = source("50-size.toml", "[hypervisor.qemu]\ndefault_memory = \"2048\"\n");
    let found = read(source("configuration.toml", &template("go/qemu")), vec![drop_in]).unwrap_err();
    let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["50-size.toml: hypervisor.qemu.default_memory: invalid type: string \"2048\", expected u32"]);
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let drop_ins = vec![source("b", "[runtime"), source("a", "[runtime]\nenable_debug = 1\n")];
    let found = read(source("configuration.toml", &template("go/qemu")), drop_ins).unwrap_err();
    assert!(matches!(&found[0], ReadError::Type { file, path, .. } if file == "a" && path == "runtime.enable_debug"));
    assert!(matches!(&found[1], ReadError::Syntax { file, .. } if file == "b"));
}

#[test]
fn what_says_not_which_hypervisor_is_used_is_refused() {
    let file = "configuration.toml".to_owned();
    assert_eq!(errors("[runtime]\n"), [ReadError::NoHypervisor { file: file.clone() }]);
    let found = "clh, qemu".to_owned();
    let two = "[hypervisor.qemu]\n[hypervisor.clh]\n";
    assert_eq!(errors(two), [ReadError::ManyHypervisors { file: file.clone(), found: found.clone() }]);
    let other = format!("{two}[runtime]\nhypervisor_name = \"fc\"\n");
    assert_eq!(errors(&other), [ReadError::OtherHypervisor { file, given: "fc".to_owned(), found }]);
    let named = format!("{two}[runtime]\nhypervisor_name = \"clh\"\n");
    assert_eq!(read(source("c", &named), Vec::new()).unwrap().hypervisor_name, "clh");
}

#[test]
fn no_input_is_without_bounds() {
    let long = format!("[hypervisor.qemu]\n# {}\n", "x".repeat(FILE_LIMIT));
    assert_eq!(errors(&long), [ReadError::TooLong { file: "configuration.toml".to_owned() }]);
    let many = (0..=DROP_INS_LIMIT).map(|at| source(&at.to_string(), "")).collect();
    let found = read(source("configuration.toml", &template("go/qemu")), many).unwrap_err();
    assert_eq!(found, [ReadError::TooMany { count: DROP_INS_LIMIT + 1 }]);
    let deep = format!("a = {}1{}\n", "[".repeat(100_000), "]".repeat(100_000));
    assert!(matches!(&errors(&deep)[..], [ReadError::Syntax { .. }]));
    let keys = format!("[{}]\n", vec!["a"; 100_000].join("."));
    assert!(matches!(&errors(&keys)[..], [ReadError::Syntax { .. } | ReadError::NoHypervisor { .. }]));
}

proptest! {
    /// The last file by name that has a key decides, whatever the order in which they are given.
    #[test]
    fn the_last_name_decides(files in prop::collection::btree_map("[a-z]{1,4}", prop::collection::btree_map(0_u8..3, 0_u32..9, 0..3), 0..6), seed in any::<prop::sample::Index>()) {
        let keys = ["memory_slots", "default_bridges", "pcie_root_port"];
        let text = |set: &BTreeMap<u8, u32>| {
            set.iter().fold("[hypervisor.qemu]\n".to_owned(), |text, (key, value)| format!("{text}{} = {value}\n", keys[usize::from(*key)]))
        };
        let mut drop_ins: Vec<_> = files.iter().map(|(name, set)| source(name, &text(set))).collect();
        if !drop_ins.is_empty() {
            let at = seed.index(drop_ins.len());
            drop_ins.rotate_left(at);
        }
        let kata = read(source("configuration.toml", "[hypervisor.qemu]\n"), drop_ins).unwrap();
        let last = |key: u8| files.values().filter_map(|set| set.get(&key)).next_back().copied();
        let hypervisor = &kata.hypervisor;
        prop_assert_eq!([hypervisor.memory_slots, hypervisor.default_bridges, hypervisor.pcie_root_port], [last(0), last(1), last(2)]);
    }
}
