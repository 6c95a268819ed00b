//! What a process has used.

use std::fs;

use anyhow::{Context as _, Result};
use nix::sys::resource::{Usage, UsageWho, getrusage};

/// CPU time and writes of this process up to now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Used {
    cpu_us: i64,
    peak_kib: f64,
    /// What the kernel has sent to the disk for it, or will; `None` where it does not say.
    disk_bytes: Option<u64>,
}

impl Used {
    pub(crate) fn now() -> Result<Self> {
        let usage = getrusage(UsageWho::RUSAGE_SELF)?;
        Ok(Self { cpu_us: cpu_microseconds(&usage), peak_kib: peak_kib()?, disk_bytes: disk_bytes() })
    }

    /// CPU time since then, in microseconds, in user and kernel.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(crate) const fn cpu_us_since(&self, before: &Self) -> f64 {
        (self.cpu_us - before.cpu_us) as f64
    }

    /// The most memory the program ever had, in MiB.
    pub(crate) const fn peak_mib(&self) -> f64 {
        self.peak_kib / 1_024.0
    }

    pub(crate) fn disk_bytes_since(&self, before: &Self) -> Option<u64> {
        Some(self.disk_bytes? - before.disk_bytes?)
    }
}

/// The CPU time of a usage, in microseconds, in user and kernel.
#[must_use]
pub fn cpu_microseconds(usage: &Usage) -> i64 {
    let (user, system) = (usage.user_time(), usage.system_time());
    (user.tv_sec() + system.tv_sec()) * 1_000_000 + user.tv_usec() + system.tv_usec()
}

/// Of this program since it began. The count in the usage of a process can be that of whoever started it.
fn peak_kib() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status").context("the peak of memory is known on Linux only")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("there is no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

fn disk_bytes() -> Option<u64> {
    let counts = fs::read_to_string("/proc/self/io").ok()?;
    counts.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.trim().parse().ok()
}
