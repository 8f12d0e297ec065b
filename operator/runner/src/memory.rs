//! The most memory that was used.
//!
//! The limit is the pod's, and counts what no process has: files in memory, the page cache, the sandbox itself. So where
//! that can be read it is read: from gVisor now and then, from the container's cgroup at the end, which knows the most by
//! itself. Elsewhere it is the largest resident set that one process had.

use crate::kernel::Kernel;

/// By version 2 and 1 of cgroups, of the container itself.
const CGROUP: [&str; 2] = ["/sys/fs/cgroup/memory.peak", "/sys/fs/cgroup/memory/memory.max_usage_in_bytes"];

/// What was seen so far, in bytes.
#[derive(Debug, Default)]
pub struct Peak(u64);

impl Peak {
    /// Looks again.
    pub fn look(&mut self, kernel: &mut dyn Kernel) {
        self.0 = self.0.max(of_sandbox(kernel).unwrap_or_default());
    }

    /// The most of all.
    pub fn most(&mut self, kernel: &mut dyn Kernel, largest_process: u64) -> u64 {
        self.look(kernel);
        let mut of_container = || {
            let text = CGROUP.into_iter().find_map(|path| kernel.read(path).ok())?;
            text.trim().parse().ok()
        };
        let most = if self.0 > 0 { self.0 } else { of_container().unwrap_or_default() };
        most.max(largest_process)
    }
}

/// All that gVisor holds for the pod, and its own.
fn of_sandbox(kernel: &mut dyn Kernel) -> Option<u64> {
    let own = field(&kernel.read("/proc/sentry-meminfo").ok()?, "Sys")?;
    let all = kernel.read("/proc/meminfo").ok()?;
    Some(field(&all, "MemTotal")?.saturating_sub(field(&all, "MemFree")?).saturating_add(own))
}

/// `NAME: NUMBER kB`, in bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let mut words = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?.split_whitespace();
    let number: u64 = words.next()?.parse().ok()?;
    (words.next() == Some("kB")).then(|| number.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_read_in_its_unit() {
        let text = "MemTotal:       24684092 kB\nMemFree:        24681460 kB\nHugePages_Total:       0\nSys:  x kB\n";
        assert_eq!(field(text, "MemFree"), Some(24_681_460 * 1024));
        for name in ["Mem", "HugePages_Total", "Sys", "Swap"] {
            assert_eq!(field(text, name), None, "{name}");
        }
    }
}
