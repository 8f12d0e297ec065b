//! What follows from a setting.

use ccos_kata::{Basis, Finding, PREFIX, Verdict, admitted, findings, user_namespaces};

use crate::node;

/// The findings about a key.
fn about<'f>(found: &'f [Finding], key: &str) -> Vec<&'f Finding> {
    found.iter().filter(|finding| finding.key == key).collect()
}

/// What is refused in a template with a drop-in.
fn refused(template: &str, drop_in: &str) -> Vec<String> {
    let found = findings(&node(template, &[("drop-in", drop_in)]));
    let refused = found.into_iter().filter(|finding| finding.verdict == Verdict::Refused);
    refused.map(|finding| finding.key).collect()
}

/// What is weak there and is not without the drop-in.
fn newly_weak(template: &str, drop_in: &str) -> Vec<String> {
    let before = findings(&node(template, &[]));
    let after = findings(&node(template, &[("drop-in", drop_in)]));
    let news = after.into_iter().filter(|finding| finding.verdict == Verdict::Weak);
    news.filter(|finding| !before.iter().any(|old| old.key == finding.key && old.consequence == finding.consequence))
        .map(|finding| finding.key)
        .collect()
}

const RS: &str = "rust/qemu-runtime-rs";

#[test]
fn upstreams_default_for_qemu_holds_what_executions_rely_on_and_the_go_one_does_not() {
    assert_eq!(refused(RS, ""), Vec::<String>::new());
    assert_eq!(refused("go/qemu", ""), ["runtime.sandbox_cgroup_only"]);
    assert_eq!(refused("go/remote", ""), ["runtime.disable_new_netns", "runtime.sandbox_cgroup_only"]);
}

#[test]
fn what_executions_rely_on_is_refused_without_it() {
    for (drop_in, key) in [
        ("[runtime]\nsandbox_cgroup_only = false", "runtime.sandbox_cgroup_only"),
        ("[runtime]\ndisable_guest_seccomp = false", "runtime.disable_guest_seccomp"),
        ("[runtime]\ndisable_new_netns = true", "runtime.disable_new_netns"),
        ("[runtime]\ninternetworking_model = \"macvtap\"", "runtime.internetworking_model"),
        ("[runtime]\ninternetworking_model = \"bridge\"", "runtime.internetworking_model"),
        ("[hypervisor.qemu]\nvirtio_fs_extra_args = [\"--sandbox=none\"]", "hypervisor.qemu.virtio_fs_extra_args"),
        ("[hypervisor.qemu]\nvirtio_fs_extra_args = [\"--seccomp\", \"none\"]", "hypervisor.qemu.virtio_fs_extra_args"),
        ("[hypervisor.qemu]\nenable_annotations = [\"virtio_fs\"]", "hypervisor.qemu.enable_annotations"),
        (
            "[hypervisor.qemu]\nenable_annotations = [\"path\"]\nvalid_hypervisor_paths = [\"/opt/*\"]",
            "hypervisor.qemu.valid_hypervisor_paths",
        ),
        ("[agent.kata]\nmade_up = 1", "agent.kata.made_up"),
    ] {
        assert_eq!(refused(RS, drop_in), [key], "{drop_in}");
    }
}

#[test]
fn a_main_file_alone_does_not_tell() {
    let kata = node(RS, &[("50-seccomp.toml", "[runtime]\ndisable_guest_seccomp = false")]);
    let found = findings(&kata);
    let [seccomp] = about(&found, "runtime.disable_guest_seccomp")[..] else { panic!("{found:#?}") };
    assert_eq!((seccomp.file.as_deref(), seccomp.value.as_deref()), (Some("50-seccomp.toml"), Some("false")));
    assert!(!user_namespaces(&kata));
    assert!(user_namespaces(&node(RS, &[])));
    // Absent is false, for both runtimes.
    let absent = "[hypervisor.qemu]\n[runtime]\nname = \"x\"\nhypervisor_name = \"qemu\"\n";
    let kata = ccos_kata::read(crate::source("c", absent), Vec::new()).unwrap();
    assert!(!user_namespaces(&kata));
}

#[test]
fn what_a_runtime_parses_and_never_applies_is_found() {
    let limited = |table: &str| {
        format!(
            "[hypervisor.{table}]\nrx_rate_limiter_max_rate = 1\ntx_rate_limiter_max_rate = 1\ndisk_rate_limiter_bw_max_rate = 1\ndisk_rate_limiter_ops_max_rate = 1\n"
        )
    };
    let key = |table: &str, key: &str| format!("hypervisor.{table}.{key}");
    let (rx, tx) = ("rx_rate_limiter_max_rate", "tx_rate_limiter_max_rate");
    let (bytes, operations) = ("disk_rate_limiter_bw_max_rate", "disk_rate_limiter_ops_max_rate");
    let all: Vec<String> = [rx, tx, bytes, operations].map(|name| key("qemu", name)).into();
    assert_eq!(newly_weak(RS, &limited("qemu")), all);
    // Cloud Hypervisor's disks are limited, and the Go runtime applies all but QEMU's disks.
    assert_eq!(newly_weak("rust/clh-runtime-rs", &limited("clh")), [key("clh", rx), key("clh", tx)]);
    assert_eq!(newly_weak("go/qemu", &limited("qemu")), [key("qemu", bytes), key("qemu", operations)]);
    assert_eq!(newly_weak("go/clh", &limited("clh")), Vec::<String>::new());
    let of_clh = "[hypervisor.qemu]\nnet_rate_limiter_bw_max_rate = 1";
    assert_eq!(newly_weak("go/qemu", of_clh), ["hypervisor.qemu.net_rate_limiter_bw_max_rate"]);
    assert_eq!(newly_weak("go/clh", "[hypervisor.clh]\nnet_rate_limiter_bw_max_rate = 1"), Vec::<String>::new());
}

#[test]
fn ways_in_are_found() {
    for (drop_in, key) in [
        ("[agent.kata]\ndebug_console_enabled = true", "agent.kata.debug_console_enabled"),
        ("[hypervisor.qemu]\nkernel_params = \"quiet agent.debug_console\"", "hypervisor.qemu.kernel_params"),
        ("[hypervisor.qemu]\nextra_monitor_socket = \"qmp\"", "hypervisor.qemu.extra_monitor_socket"),
        ("[hypervisor.qemu]\nguest_hook_path = \"/usr/share/oci/hooks\"", "hypervisor.qemu.guest_hook_path"),
        ("[hypervisor.qemu]\nguest_memory_dump_path = \"/var/crash\"", "hypervisor.qemu.guest_memory_dump_path"),
        ("[runtime]\nsandbox_bind_mounts = [\"/srv\"]", "runtime.sandbox_bind_mounts"),
        ("[runtime]\nexperimental = [\"x\"]", "runtime.experimental"),
        ("[runtime]\nenable_pprof = true", "runtime.enable_pprof"),
        ("[hypervisor.qemu.factory]\nenable_template = true", "hypervisor.qemu.factory.enable_template"),
        ("[runtime]\nemptydir_mode = \"block-plain\"", "runtime.emptydir_mode"),
        ("[hypervisor.qemu]\nshared_fs = \"none\"", "hypervisor.qemu.shared_fs"),
        ("[hypervisor.qemu]\ndefault_memroy = 1", "hypervisor.qemu.default_memroy"),
    ] {
        assert_eq!(newly_weak(RS, drop_in), [key], "{drop_in}");
    }
    assert_eq!(
        newly_weak("rust/clh-runtime-rs", "[hypervisor.clh]\ndisable_seccomp = true"),
        ["hypervisor.clh.disable_seccomp"]
    );
    assert_eq!(newly_weak("go/clh", "[factory]\nenable_template = true"), ["factory.enable_template"]);
}

#[test]
fn patterns_of_annotations_are_searched_for_anywhere() {
    let patterns = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
    assert_eq!(admitted(&[]), Ok(vec![]));
    assert_eq!(admitted(&patterns(&["^cc_init_data$"])), Ok(vec!["cc_init_data"]));
    let by_path = admitted(&patterns(&["path"])).unwrap();
    assert!(
        ["path", "jailer_path", "guest_hook_path", "vhost_user_store_path"].iter().all(|name| by_path.contains(name))
    );
    assert_eq!(admitted(&patterns(&["^path$"])), Ok(vec!["path"]));
    assert!(admitted(&patterns(&["."])).unwrap().len() > 70);
    let bad = admitted(&patterns(&["^ok$", "("])).unwrap_err();
    assert_eq!(bad.len(), 1);
    assert_eq!(bad[0].0, "(");
    // As large as one can write it: it is refused, not compiled.
    assert!(admitted(&patterns(&["((a{100}){100}){100}"])).is_err());
}

#[test]
fn an_agent_policy_is_said_to_do_nothing_or_to_fail_open() {
    let policy = |template: &str, drop_in: &str| {
        let found = findings(&node(template, &[("drop-in", drop_in)]));
        let told = found.into_iter().find(|finding| finding.consequence.contains("agent policy")).unwrap();
        assert_eq!(told.verdict, Verdict::Weak);
        told
    };
    let ignored = policy(RS, "");
    assert!(ignored.consequence.contains("ignored in silence"), "{ignored:?}");
    assert_eq!(ignored.basis, Basis::Measured);
    let refused = policy("go/qemu", "");
    assert!(refused.consequence.contains("is refused"), "{refused:?}");
    assert_eq!(refused.basis, Basis::Documented);
    let open = policy(RS, "[hypervisor.qemu]\nenable_annotations = [\"^cc_init_data$\"]");
    assert!(open.consequence.contains("fails open") && open.consequence.contains("virtio-scsi"), "{open:?}");
    let of_the_node = policy(RS, "[agent.kata]\npolicy = \"package agent_policy\"");
    assert_eq!(of_the_node.key, "agent.kata.policy");
}

#[test]
fn annotations_that_nothing_gates_are_always_said() {
    for template in [RS, "go/qemu"] {
        let found = findings(&node(template, &[("a", "[hypervisor.qemu]\nenable_annotations = []")]));
        let told = about(&found, &format!("{PREFIX}config.{{runtime,agent}}.*"));
        assert_eq!(told.len(), 1);
        assert_eq!(about(&found, "hypervisor.qemu.enable_annotations")[0].verdict, Verdict::Holds);
    }
}

#[test]
fn each_finding_says_what_follows_and_what_to_do() {
    for template in [RS, "go/qemu", "go/remote", "rust/dragonball", "rust/qemu-nvidia-gpu-runtime-rs"] {
        for finding in findings(&node(template, &[])) {
            assert!(!finding.consequence.is_empty(), "{finding:?}");
            assert_eq!(finding.advice.is_empty(), finding.verdict == Verdict::Holds, "{finding:?}");
        }
    }
}
