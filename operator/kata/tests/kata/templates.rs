//! Each template of upstream is understood whole.

use std::collections::BTreeMap;

use ccos_kata::{Shim, Source, overhead, read};
use toml::Table;

use crate::node;

/// All of them: folder and name.
fn all() -> Vec<(&'static str, String)> {
    let folder = |folder: &'static str| {
        let path = format!("{}/tests/templates/{folder}", env!("CARGO_MANIFEST_DIR"));
        let mut names: Vec<String> = std::fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap().replace(".toml", ""))
            .collect();
        names.sort();
        names.into_iter().map(move |name| (folder, name))
    };
    folder("go").chain(folder("rust")).collect()
}

#[test]
fn each_template_round_trips() {
    let all = all();
    assert_eq!(all.len(), 29);
    for (folder, name) in all {
        let text = crate::template(&format!("{folder}/{name}"));
        let kata = read(Source { name: name.clone(), text: text.clone() }, Vec::new()).unwrap();
        let written = toml::to_string(&kata.configuration).unwrap();
        assert_eq!(written.parse::<Table>().unwrap(), text.parse::<Table>().unwrap(), "{folder}/{name}");
    }
}

#[test]
fn each_template_is_for_its_own_runtime() {
    for (folder, name) in all() {
        let kata = node(&format!("{folder}/{name}"), &[]);
        let shim = if folder == "go" { Shim::Go } else { Shim::RuntimeRs };
        assert_eq!(kata.shim, shim, "{folder}/{name}");
    }
}

/// Upstream's own slips: what its templates hold that the runtime that they are for does not read.
#[test]
fn hardly_any_template_has_a_key_that_its_runtime_does_not_know() {
    let mut slips = BTreeMap::new();
    for (folder, name) in all() {
        let kata = node(&format!("{folder}/{name}"), &[]);
        let unread = kata.unknown().into_iter().chain(kata.of_the_other());
        let found: Vec<String> = unread.map(|path| path[path.len() - 1].clone()).collect();
        if !found.is_empty() {
            slips.insert(format!("{folder}/{name}"), found.join(" "));
        }
    }
    let nvidia = "firmware_volume vhost_user_reconnect_timeout_sec use_legacy_serial kubelet_root_dir";
    let names = ["cpu", "gpu", "gpu-snp", "gpu-tdx"].map(|name| format!("rust/qemu-nvidia-{name}-runtime-rs"));
    let mut known: BTreeMap<String, String> = names.into_iter().map(|name| (name, nvidia.to_owned())).collect();
    // Written with the names of the Go runtime: runtime-rs looks for hypervisor_socket and hypervisor_timeout.
    known.insert("rust/remote".to_owned(), "remote_hypervisor_socket remote_hypervisor_timeout".to_owned());
    assert_eq!(slips, known);
}

#[test]
fn a_placeholder_that_upstream_leaves_is_found() {
    for (folder, name) in all() {
        let kata = node(&format!("{folder}/{name}"), &[]);
        let left = kata.placeholders();
        if name == "qemu-nvidia-gpu-runtime-rs" {
            assert_eq!(left.len(), 1);
            assert_eq!(left[0].0.join("."), "hypervisor.qemu.firmware_volume");
        } else {
            assert_eq!(left, [], "{folder}/{name}");
        }
    }
}

/// kata-deploy's own, by the name of the shim, in MiB and millicores.
#[test]
fn the_overhead_is_at_least_what_upstream_ships() {
    for (folder, name) in all() {
        let (memory, cpu) = match name.trim_end_matches("-runtime-rs") {
            "qemu" | "qemu-nvidia-cpu" => (320, 250),
            "qemu-coco-dev" => (if folder == "go" { 160 } else { 320 }, 250),
            "qemu-se" => (1024, 1000),
            "qemu-snp" | "qemu-tdx" => (2048, 1000),
            "qemu-nvidia-gpu" | "qemu-nvidia-gpu-snp" | "qemu-nvidia-gpu-tdx" => (10_240, 1000),
            "remote" => (120, 250),
            "clh" | "clh-azure" | "openvmm-azure" | "dragonball" | "fc" | "rs-fc" | "stratovirt" => (130, 250),
            other => panic!("{other}"),
        };
        let found = overhead(&node(&format!("{folder}/{name}"), &[]));
        assert!(found.memory_mib >= memory && found.cpu_millis >= cpu, "{folder}/{name}: {found:?}");
        assert!(found.least_memory_mib <= found.memory_mib, "{folder}/{name}: {found:?}");
    }
    // Where nothing but the file's own words would do: as was needed when it was run.
    let larger = "[hypervisor.qemu]\noverhead_memory = 512\noverhead_vcpus = 0.5";
    let found = overhead(&node("rust/qemu-runtime-rs", &[("50-ours.toml", larger)]));
    assert_eq!((found.least_memory_mib, found.memory_mib, found.cpu_millis), (576, 576, 500));
}
