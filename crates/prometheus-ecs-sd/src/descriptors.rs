//! File descriptors: how many the system allows, and how many connections may take of them.
//!
//! A connection that finds none fails, and so does a file that is to be written. So connections have limits whose sum is
//! less than what there is: the rest is for files, and nothing that connects can take it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For files, for listening and for what the runtime needs: three runtimes take a dozen, a program that provides
/// credentials three, and no more than two files are written at a time. The rest is for looking up names.
const RESERVED: usize = 64;

/// Of a system that allows few, no more than this share is reserved.
const RESERVED_SHARE: usize = 4;

/// Clients' connections: more than any number of Prometheus servers and people needs, and little enough to cost nothing.
const CLIENTS: usize = 1024;

/// A request can hold two for a while: an address of each version of IP is tried, and a new connection is made while one
/// becomes free.
const OF_A_REQUEST: usize = 2;

/// Hosts of AWS: each of forty regions has those of ECS, EC2, Systems Manager and STS.
const HOSTS: usize = 4 * 40;

/// Questions of one operation that a source asks at a time; more connections are seldom used again.
const IDLE_PER_HOST: usize = 8;

/// More than any system needs, where it allows any number.
const MOST: usize = 1 << 20;

/// How many connections there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptors {
    /// From clients, over HTTP.
    pub(crate) clients: usize,
    /// Requests to AWS at a time.
    pub(crate) requests: usize,
    /// Connections that are kept to one of AWS's hosts until they are used again.
    pub(crate) idle_per_host: usize,
}

impl Descriptors {
    /// Raises the limit to what is allowed, as Go's programs do, and shares it out.
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
