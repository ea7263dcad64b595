//! Reads files that the user names, if they are regular files of limited size and the disk answers in time.
//!
//! A pipe blocks until something is written into it, and a network file system whose server is gone blocks too. Neither
//! may block the start or a reload.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// Much more than a hundred sources, a thousand users or a chain of certificates need.
pub(crate) const MOST: u64 = 1 << 20;

/// A local disk answers within milliseconds, a network file system that fails over within seconds.
const WITHIN: Duration = Duration::from_secs(10);

/// The number of reads that may be blocked at the same time. Each uses a thread until the disk answers.
const BLOCKED: usize = 8;

static READING: AtomicUsize = AtomicUsize::new(0);

/// The file's text, or the reason why it cannot be read.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    let path = path.to_owned();
    within(WITHIN, move || text(path))
}

fn text(path: PathBuf) -> Result<String, String> {
    let words = |error: io::Error| error.to_string();
    if !path.metadata().map_err(words)?.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MOST + 1).read_to_string(&mut text));
    match read.map_err(words)? as u64 {
        read if read > MOST => Err("it is longer than a megabyte".to_owned()),
        _ => Ok(text),
    }
}

/// The result of `read`, unless it takes longer than `limit`.
fn within(
    limit: Duration,
    read: impl FnOnce() -> Result<String, String> + Send + 'static,
) -> Result<String, String> {
    if READING.fetch_add(1, Ordering::Relaxed) >= BLOCKED {
        READING.fetch_sub(1, Ordering::Relaxed);
        return Err("earlier reads are still blocked; the disk does not answer".to_owned());
    }
    let (sender, receiver) = channel();
    let reader = move || {
        let text = read();
        READING.fetch_sub(1, Ordering::Relaxed);
        // The caller may have given up.
        let _ = sender.send(text);
    };
    if let Err(error) = thread::Builder::new().name("file".to_owned()).spawn(reader) {
        READING.fetch_sub(1, Ordering::Relaxed);
        return Err(error.to_string());
    }
    let timed_out = |_| Err(format!("the disk did not answer within {limit:?}"));
    receiver.recv_timeout(limit).unwrap_or_else(timed_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_a_megabyte_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.yml");
        let check = || read(&path);
        assert!(check().unwrap_err().contains("No such file"));
        std::fs::write(&path, "interval: 30s\n").unwrap();
        assert_eq!(check().unwrap(), "interval: 30s\n");
        std::fs::write(&path, "x".repeat(MOST as usize + 1)).unwrap();
        assert_eq!(check().unwrap_err(), "it is longer than a megabyte");
        std::fs::remove_file(&path).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        assert_eq!(check().unwrap_err(), "it is not a regular file");
        assert_eq!(read(directory.path()).unwrap_err(), "it is not a regular file");
    }

    #[test]
    fn reads_from_a_disk_that_does_not_answer_time_out_and_use_few_threads() {
        let mut blocked = Vec::new();
        let mut hang = || {
            let (release, released) = channel();
            blocked.push(release);
            let read = move || released.recv().map_err(|_| "released".to_owned());
            within(Duration::from_millis(1), read).unwrap_err()
        };
        for _ in 0..BLOCKED {
            assert_eq!(hang(), "the disk did not answer within 1ms");
        }
        assert_eq!(hang(), "earlier reads are still blocked; the disk does not answer");
        drop(blocked);
        while READING.load(Ordering::Relaxed) > 0 {
            thread::yield_now();
        }
        assert_eq!(within(WITHIN, || Ok("there".to_owned())), Ok("there".to_owned()));
    }
}
