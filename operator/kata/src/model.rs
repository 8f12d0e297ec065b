//! The tables and keys of Kata 4.1.0, of both its runtimes: the Go one and runtime-rs. Every key is optional, since a
//! drop-in may hold any part; a key that neither knows is kept.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::Table;

/// Declares a table by the runtimes that read each key. The others ignore it in silence.
macro_rules! table {
    ($(#[$head:meta])* $name:ident {
        both { $($both:ident: $of_both:ty),* $(,)? }
        go { $($go:ident: $of_go:ty),* $(,)? }
        rust { $($rust:ident: $of_rust:ty),* $(,)? }
    }) => {
        $(#[$head])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[allow(missing_docs, reason = "Kata's own keys, which its templates explain")]
        pub struct $name {
            $(#[serde(skip_serializing_if = "Option::is_none")] pub $both: Option<$of_both>,)*
            $(#[serde(skip_serializing_if = "Option::is_none")] pub $go: Option<$of_go>,)*
            $(#[serde(skip_serializing_if = "Option::is_none")] pub $rust: Option<$of_rust>,)*
            /// Keys that neither runtime knows.
            #[serde(flatten)]
            pub unknown: Table,
        }

        impl $name {
            /// Keys that only the Go runtime reads.
            pub const GO_ONLY: &[&str] = &[$(stringify!($go)),*];
            /// Keys that only runtime-rs reads.
            pub const RUST_ONLY: &[&str] = &[$(stringify!($rust)),*];
        }
    };
}

/// A whole configuration, or a part of one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// By name: `qemu`, `clh`, `dragonball`, `firecracker`, `openvmm`, `remote`, `stratovirt`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hypervisor: BTreeMap<String, Hypervisor>,
    /// By name: `kata`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub agent: BTreeMap<String, Agent>,
    /// What is no matter of the virtual machine.
    #[serde(default, skip_serializing_if = "is_default")]
    pub runtime: Runtime,
    /// Of the Go runtime; runtime-rs has it in the hypervisor's table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub factory: Option<Factory>,
    /// What neither runtime knows.
    #[serde(flatten)]
    pub unknown: Table,
}

fn is_default(runtime: &Runtime) -> bool {
    *runtime == Runtime::default()
}

table! {
    /// The virtual machine, and the programs around it.
    Hypervisor {
        both {
            path: String, valid_hypervisor_paths: Vec<String>, jailer_path: String, valid_jailer_paths: Vec<String>,
            kernel: String, initrd: String, image: String, rootfs_type: String, firmware: String,
            guest_extension_images: Vec<GuestExtensionImage>, kernel_params: String, kernel_verity_params: String,
            machine_type: String, machine_accelerators: String, pflashes: Vec<String>, cpu_features: String,
            default_vcpus: Number, default_maxvcpus: u32, default_memory: u32, default_maxmemory: u64, memory_slots: u32,
            memory_offset: u64, enable_virtio_mem: bool, enable_mem_prealloc: bool, enable_hugepages: bool,
            reclaim_guest_freed_memory: bool, enable_guest_swap: bool, default_bridges: u32,
            block_device_driver: String, block_device_aio: String, disable_block_device_use: bool,
            block_device_cache_set: bool, block_device_cache_direct: bool, block_device_cache_noflush: bool,
            block_device_logical_sector_size: u32, block_device_physical_sector_size: u32, disable_image_nvdimm: bool,
            enable_vhost_user_store: bool, vhost_user_store_path: String, valid_vhost_user_store_paths: Vec<String>,
            shared_fs: String, virtio_fs_daemon: String, valid_virtio_fs_daemon_paths: Vec<String>,
            virtio_fs_extra_args: Vec<String>, virtio_fs_cache: String, virtio_fs_cache_size: u32,
            virtio_fs_queue_size: u32, enable_iothreads: bool, indep_iothreads: u32, entropy_source: String,
            valid_entropy_sources: Vec<String>, enable_annotations: Vec<String>, guest_hook_path: String,
            enable_debug: bool, extra_monitor_socket: String, guest_memory_dump_path: String,
            guest_memory_dump_paging: bool, disable_nesting_checks: bool, disable_vhost_net: bool,
            rx_rate_limiter_max_rate: u64, tx_rate_limiter_max_rate: u64, disk_rate_limiter_bw_max_rate: i64,
            disk_rate_limiter_bw_one_time_burst: i64, disk_rate_limiter_ops_max_rate: i64,
            disk_rate_limiter_ops_one_time_burst: i64, enable_iommu: bool, enable_iommu_platform: bool,
            cold_plug_vfio: String, pcie_root_port: u32, pcie_switch_port: u32, confidential_guest: bool,
            sev_snp_guest: bool, snp_id_block: String, snp_id_auth: String, snp_guest_policy: u64,
            tdx_quote_generation_service_socket_port: u32, rootless: bool, disable_seccomp: bool, disable_selinux: bool,
            disable_guest_selinux: bool,
        }
        go {
            firmware_volume: String, remote_hypervisor_socket: String, remote_hypervisor_timeout: u32,
            measurement_algo: String, seccompsandbox: String, net_rate_limiter_bw_max_rate: i64,
            net_rate_limiter_bw_one_time_burst: i64, net_rate_limiter_ops_max_rate: i64,
            net_rate_limiter_ops_one_time_burst: i64, hypervisor_loglevel: u32, msize_9p: u32,
            vhost_user_reconnect_timeout_sec: u32, enable_numa: bool, numa_mapping: Vec<String>, hot_plug_vfio: String,
            use_legacy_serial: bool,
        }
        rust {
            ctlpath: String, valid_ctlpaths: Vec<String>, vm_rootfs_driver: String, overhead_vcpus: Number,
            overhead_memory: u32, disable_nested_virtualization: bool, queue_size: u32, num_queues: u32,
            network_queues: u32, hugepage_type: String, guest_swap_path: String, guest_swap_size_percent: u64,
            guest_swap_create_threshold_secs: u64, virtio_fs_is_dax: bool, log_level: String, dbg_monitor_socket: String,
            rootless_user: RootlessUser, initdata: String, seccomp_sandbox: String, selinux_label: String,
            hypervisor_socket: String, hypervisor_timeout: i32, default_gpus: u32, default_gpu_model: String,
            boot_to_be_template: bool, boot_from_template: bool, memory_path: String, device_state_path: String,
            factory: Factory, prefetch_list_path: String,
        }
    }
}

table! {
    /// A file system beside the guest's own.
    GuestExtensionImage { both { name: String, path: String, verity_params: String } go {} rust {} }
}

table! {
    /// Who the hypervisor runs as.
    RootlessUser { both {} go {} rust { uid: u32, gid: u32, groups: Vec<u32>, user_name: String } }
}

table! {
    /// Virtual machines made ahead of their pods.
    Factory {
        both { enable_template: bool, template_path: String }
        go { vm_cache_number: u32, vm_cache_endpoint: String }
        rust {}
    }
}

table! {
    /// The agent in the guest, and how it is spoken to.
    Agent {
        both {
            enable_debug: bool, enable_tracing: bool, debug_console_enabled: bool, kernel_modules: Vec<String>,
            launch_process_timeout: u32, visible_cdi_devices: bool,
        }
        go { dial_timeout: u32, cdh_api_timeout: u32 }
        rust {
            log_level: String, server_port: u32, log_port: u32, passfd_listener_port: u32, dial_timeout_ms: u32,
            reconnect_timeout_ms: u32, cdh_api_timeout_ms: u32, create_container_timeout: u32,
            health_check_request_timeout_ms: u32, container_pipe_size: u32, mem_agent: MemAgent, policy: String,
        }
    }
}

table! {
    /// Reclaims memory in the guest.
    MemAgent {
        both {}
        go {}
        rust {
            enable: bool, mem_agent_enable: bool, memcg_disable: bool, memcg_swap: bool, memcg_swappiness_max: u8,
            memcg_period_secs: u64, memcg_period_psi_percent_limit: u8, memcg_eviction_psi_percent_limit: u8,
            memcg_eviction_run_aging_count_min: u64, compact_disable: bool, compact_period_secs: u64,
            compact_period_psi_percent_limit: u8, compact_psi_percent_limit: u8, compact_sec_max: i64,
            compact_order: u8, compact_threshold: u64, compact_force_times: u64,
        }
    }
}

table! {
    /// What is no matter of the virtual machine.
    Runtime {
        both {
            enable_debug: bool, enable_tracing: bool, jaeger_endpoint: String, jaeger_user: String,
            jaeger_password: String, internetworking_model: String, disable_new_netns: bool,
            disable_guest_seccomp: bool, enable_vcpus_pinning: bool, sandbox_cgroup_only: bool,
            static_sandbox_resource_mgmt: bool, sandbox_bind_mounts: Vec<String>, vfio_mode: String,
            emptydir_mode: String, experimental: Vec<String>, enable_pprof: bool, dan_conf: String,
            pod_resource_api_sock: String,
        }
        go {
            guest_selinux_label: String, disable_guest_empty_dir: bool, create_container_timeout: u64,
            experimental_force_guest_pull: bool, kubelet_root_dir: String,
        }
        rust {
            name: String, hypervisor_name: String, agent_name: String, log_level: String, keep_abnormal: bool,
            shared_mounts: Vec<SharedMount>, use_passfd_io: bool, passfd_listener_port: u32,
        }
    }
}

table! {
    /// A folder of one container in another.
    SharedMount {
        both {}
        go {}
        rust { name: String, src_ctr: String, src_path: String, dst_ctr: String, dst_path: String }
    }
}

/// A number that templates write as an integer and the runtimes read as a float.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// As written.
    Integer(i64),
    /// As written.
    Float(f64),
}

impl Number {
    /// In thousandths, rounded up; a negative number, which means "all", is zero.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` of floats saturates")]
    pub fn millis(self) -> u64 {
        match self {
            Self::Integer(whole) => u64::try_from(whole).unwrap_or(0).saturating_mul(1000),
            Self::Float(float) => (float * 1000.0).ceil() as u64,
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(whole) => whole.fmt(f),
            Self::Float(float) => float.fmt(f),
        }
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Integer(whole) => serializer.serialize_i64(*whole),
            Self::Float(float) => serializer.serialize_f64(*float),
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Number;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }
            fn visit_i64<E: de::Error>(self, whole: i64) -> Result<Number, E> {
                Ok(Number::Integer(whole))
            }
            fn visit_f64<E: de::Error>(self, float: f64) -> Result<Number, E> {
                Ok(Number::Float(float))
            }
        }
        deserializer.deserialize_any(Either)
    }
}
