//! The standard metrics of the process. They are available only on Linux.

use std::fmt;

#[cfg(target_os = "linux")]
use procfs::process::LimitValue;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
#[cfg(target_os = "linux")]
use prometheus_client::registry::Unit;

#[cfg(target_os = "linux")]
use super::current::Families;

/// This process.
#[derive(Debug)]
pub(super) struct Process;

#[cfg(not(target_os = "linux"))]
impl Collector for Process {
    fn encode(&self, _: DescriptorEncoder<'_>) -> fmt::Result {
        Ok(())
    }
}

#[cfg(target_os = "linux")]
impl Collector for Process {
    /// A value that cannot be read is omitted.
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Families(&mut encoder);
        let Ok(process) = procfs::process::Process::myself() else { return Ok(()) };
        if let Ok(stat) = process.stat() {
            let seconds = |ticks: u64| ticks as f64 / procfs::ticks_per_second() as f64;
            let cpu = seconds(stat.utime + stat.stime);
            page.counter("process_cpu", "CPU time that the process used", Some(&Unit::Seconds), cpu)?;
            let help = "Resident memory of the process";
            page.gauge("process_resident_memory", help, Some(&Unit::Bytes), stat.rss * procfs::page_size())?;
            let help = "Virtual memory of the process";
            page.gauge("process_virtual_memory", help, Some(&Unit::Bytes), stat.vsize)?;
            page.gauge("process_threads", "Threads of the process", None, stat.num_threads)?;
            if let Ok(boot) = procfs::boot_time_secs() {
                let start = boot as f64 + seconds(stat.starttime);
                page.gauge("process_start_time", "When the process started", Some(&Unit::Seconds), start)?;
            }
        }
        if let Ok(open) = process.fd_count() {
            page.gauge("process_open_fds", "File descriptors that are open", None, open as u64)?;
        }
        if let Ok(limits) = process.limits() {
            let most = match limits.max_open_files.soft_limit {
                LimitValue::Value(most) => most,
                LimitValue::Unlimited => u64::MAX,
            };
            page.gauge("process_max_fds", "File descriptors that may be open", None, most)?;
        }
        Ok(())
    }
}
