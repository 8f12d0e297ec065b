//! Annotations of pods by which Kata's settings are changed, and what `enable_annotations` lets through.

use regex::RegexBuilder;

/// How all of them begin. Of an execution's pod the operator alone writes such ones, and writes none.
pub const PREFIX: &str = "io.katacontainers.";

/// What follows `io.katacontainers.config.hypervisor.` in the annotations of both runtimes, 4.1.0.
const HYPERVISOR: [&str; 72] = [
    "asset_hash_type",
    "blk_logical_sector_size",
    "blk_physical_sector_size",
    "block_device_aio",
    "block_device_cache_direct",
    "block_device_cache_noflush",
    "block_device_cache_set",
    "block_device_driver",
    "block_device_num_queues",
    "block_device_queue_size",
    "cc_init_data",
    "cold_plug_vfio",
    "cpu_features",
    "default_gpu_model",
    "default_gpus",
    "default_max_vcpus",
    "default_memory",
    "default_vcpus",
    "disable_block_device_use",
    "disable_image_nvdimm",
    "disable_vhost_net",
    "enable_guest_swap",
    "enable_hugepages",
    "enable_iommu",
    "enable_iommu_platform",
    "enable_iothreads",
    "enable_mem_prealloc",
    "enable_vhost_user_store",
    "enable_virtio_mem",
    "entropy_source",
    "firmware",
    "firmware_hash",
    "firmware_volume",
    "firmware_volume_hash",
    "guest_hook_path",
    "hot_plug_vfio",
    "hugepage_type",
    "hypervisor_hash",
    "image",
    "image_hash",
    "indep_iothreads",
    "initrd",
    "initrd_hash",
    "jailer_hash",
    "jailer_path",
    "kernel",
    "kernel_hash",
    "kernel_params",
    "kernel_verity_params",
    "machine_accelerators",
    "machine_type",
    "memory_offset",
    "memory_slots",
    "msize_9p",
    "network_queues",
    "numa_mapping",
    "path",
    "path_hash",
    "pcie_root_port",
    "pcie_switch_port",
    "prefetch_files.list",
    "reclaim_guest_freed_memory",
    "rootless",
    "rx_rate_limiter_max_rate",
    "shared_fs",
    "tx_rate_limiter_max_rate",
    "use_legacy_serial",
    "vhost_user_reconnect_timeout_sec",
    "vhost_user_store_path",
    "virtio_fs_cache",
    "virtio_fs_daemon",
    "virtio_fs_extra_args",
];

/// Compiled, a pattern may take this many bytes. Upstream's take a few hundred.
const PATTERN_LIMIT: usize = 64 * 1024;

/// The annotations of the hypervisor that these patterns let a pod set: they are searched for anywhere in the name, so that
/// `path` lets `vhost_user_store_path` through, too.
///
/// # Errors
/// The patterns that can't be understood, with what is wrong. Runtime-rs then lets none through at all, and says nothing.
pub fn admitted(patterns: &[String]) -> Result<Vec<&'static str>, Vec<(String, String)>> {
    let compiled = patterns.iter().map(|pattern| {
        let built = RegexBuilder::new(pattern).size_limit(PATTERN_LIMIT).build();
        built.map_err(|error| (pattern.clone(), error.to_string()))
    });
    let (good, bad): (Vec<_>, Vec<_>) = compiled.partition(Result::is_ok);
    if !bad.is_empty() {
        return Err(bad.into_iter().filter_map(Result::err).collect());
    }
    let good: Vec<_> = good.into_iter().flatten().collect();
    Ok(HYPERVISOR.into_iter().filter(|name| good.iter().any(|pattern| pattern.is_match(name))).collect())
}

/// How many annotations of the hypervisor there are.
pub(crate) const fn known() -> usize {
    HYPERVISOR.len()
}
