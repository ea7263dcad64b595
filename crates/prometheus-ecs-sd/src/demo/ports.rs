//! Finds free ports on this machine. Programs often listen at all addresses, those of the demo included: a node_exporter
//! at port 9100, a web server at 8080.

use std::collections::btree_map::{BTreeMap, Entry};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The ports that replace the default ones.
#[derive(Debug, Default)]
pub struct Ports(BTreeMap<u16, u16>);

impl Ports {
    /// Selects each default port, or the next higher one that is free. It is not reserved until the demo listens there.
    pub fn choose(usual: &[u16]) -> io::Result<Self> {
        let mut chosen = BTreeMap::new();
        for usual in usual {
            let is_free = |port: &u16| {
                let is_another = chosen.values().all(|chosen| chosen != port);
                is_another && is_free(Ipv4Addr::UNSPECIFIED.into(), *port)
            };
            let port = (*usual..=u16::MAX).find(is_free).ok_or_else(|| {
                io::Error::other(format!(
                    "no port from {usual} up is free; end the programs that listen there"
                ))
            })?;
            chosen.insert(*usual, port);
        }
        Ok(Self(chosen))
    }

    /// The port that replaces a default one.
    pub fn of(&self, usual: u16) -> u16 {
        self.0.get(&usual).copied().unwrap_or(usual)
    }
}

/// Sockets that are bound before a host gives their ports to a task, so that no other program takes them until the task
/// runs and its containers listen there.
#[derive(Clone, Debug, Default)]
pub struct Reserved(Arc<Mutex<BTreeMap<SocketAddr, TcpListener>>>);

impl Reserved {
    /// Binds a socket, unless it is bound already; returns whether it is bound.
    pub fn bind(&self, socket: SocketAddr) -> bool {
        match self.sockets().entry(socket) {
            Entry::Occupied(_) => true,
            Entry::Vacant(vacant) => {
                TcpListener::bind(socket).map(|listener| vacant.insert(listener)).is_ok()
            }
        }
    }

    /// The listener at this socket; if it is not reserved, a new one.
    pub fn take(&self, socket: SocketAddr) -> io::Result<TcpListener> {
        let reserved = self.sockets().remove(&socket);
        let listener = reserved.map_or_else(|| TcpListener::bind(socket), Ok)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    fn sockets(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, TcpListener>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether this port of the address is free; for the unspecified address: of all addresses.
fn is_free(address: IpAddr, port: u16) -> bool {
    TcpListener::bind((address, port)).is_ok()
}
