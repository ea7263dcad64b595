//! File descriptors: the system's limit, and how many of them connections may use.
//!
//! Without a free descriptor, connections and file writes fail. So the sum of all connection limits is below the
//! system's limit: the rest is for files, and connections cannot use it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Reserved for files, listeners and runtimes: three runtimes take a dozen, a credential program three, and no more than
/// two files are written at a time. The rest is for name lookups.
const RESERVED: usize = 64;

/// If the system's limit is low, no more than this share is reserved.
const RESERVED_SHARE: usize = 4;

/// The most client connections: more than Prometheus servers and people need, and few enough to be cheap.
const CLIENTS: usize = 1024;

/// A request can use two for a while: it tries an address of each IP version, and a new connection may be opened while
/// another becomes free.
const OF_A_REQUEST: usize = 2;

/// The number of AWS hosts: ECS, EC2, Systems Manager, STS and SQS in each of forty regions.
const HOSTS: usize = 5 * 40;

/// The concurrent requests of one operation of a source; more idle connections are rarely used again.
const IDLE_PER_HOST: usize = 8;

/// More than any system needs; used if the system has no limit.
const MOST: usize = 1 << 20;

/// The limits of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptors {
    /// Connections of HTTP clients.
    pub(crate) clients: usize,
    /// Concurrent requests to AWS.
    pub(crate) requests: usize,
    /// Idle connections that are kept for each AWS host.
    pub(crate) idle_per_host: usize,
}

impl Descriptors {
    /// Raises the limit to the system's maximum, as Go programs do, and divides it.
    pub(crate) fn raised() -> Self {
        let mut limit = getrlimit(Resource::Nofile);
        if limit.current != limit.maximum {
            let raised = Rlimit { current: limit.maximum, ..limit };
            if setrlimit(Resource::Nofile, raised).is_ok() {
                limit.current = limit.maximum;
            }
        }
        Self::of(limit.current.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(MOST))
    }

    fn of(limit: usize) -> Self {
        let limit = limit.min(MOST);
        let connections = limit - RESERVED.min(limit / RESERVED_SHARE);
        let clients = CLIENTS.min(connections / 2);
        let aws = connections - clients;
        Self {
            clients: clients.max(1),
            requests: (aws / 2 / OF_A_REQUEST).max(1),
            idle_per_host: IDLE_PER_HOST.min(aws / 2 / HOSTS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_files() {
        for limit in [64, 100, 256, 1024, 4096, 65_536, usize::MAX] {
            let Descriptors { clients, requests, idle_per_host } = Descriptors::of(limit);
            let taken = clients + requests * OF_A_REQUEST + idle_per_host * HOSTS;
            let reserved = RESERVED.min(limit / RESERVED_SHARE);
            assert!(clients >= 16 && requests >= 6 && taken + reserved <= limit, "{limit}: {taken}");
        }
        let usual = Descriptors { clients: 480, requests: 120, idle_per_host: 1 };
        assert_eq!(Descriptors::of(1024), usual);
        assert_eq!(Descriptors::of(65_536).clients, CLIENTS);
        assert_eq!(Descriptors::of(65_536).idle_per_host, IDLE_PER_HOST);
    }
}
