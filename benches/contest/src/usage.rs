//! What a process has used.

use std::fs;

use anyhow::{Context as _, Result};
use nix::sys::resource::{UsageWho, getrusage};

/// CPU time and writes of this process up to now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Used {
    cpu_us: i64,
    peak_mib: f64,
    /// What the kernel has sent to the disk for it, or will; `None` where it does not say.
    disk_bytes: Option<u64>,
}

impl Used {
    pub(crate) fn now() -> Result<Self> {
        Ok(Self { cpu_us: cpu_microseconds()?, peak_mib: peak_mib()?, disk_bytes: disk_bytes() })
    }

    /// CPU time since then, in microseconds, in user and kernel.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(crate) const fn cpu_us_since(&self, before: &Self) -> f64 {
        (self.cpu_us - before.cpu_us) as f64
    }

    /// The most memory the program ever had, in MiB.
    pub(crate) const fn peak_mib(&self) -> f64 {
        self.peak_mib
    }

    pub(crate) fn disk_bytes_since(&self, before: &Self) -> Option<u64> {
        Some(self.disk_bytes? - before.disk_bytes?)
    }
}

/// The CPU time of this process up to now, in microseconds, in user and kernel.
///
/// # Errors
///
/// Where the system does not tell.
pub fn cpu_microseconds() -> Result<i64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let (user, system) = (usage.user_time(), usage.system_time());
    Ok((user.tv_sec() + system.tv_sec()) * 1_000_000 + user.tv_usec() + system.tv_usec())
}

/// The most memory this program had since it began, in MiB.
///
/// The count in the usage of a process can be that of whoever started it.
///
/// # Errors
///
/// On anything but Linux.
pub fn peak_mib() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status").context("the peak of memory is known on Linux only")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("there is no VmHWM")?;
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes / 1_024.0)
}

fn disk_bytes() -> Option<u64> {
    let counts = fs::read_to_string("/proc/self/io").ok()?;
    counts.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.trim().parse().ok()
}
