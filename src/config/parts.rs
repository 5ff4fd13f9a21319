//! What parts of the process are told: where things are kept, how connections come in.

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use crate::store::Pace;

/// Where and how things are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    /// The data directory; in memory without one.
    pub data_dir: Option<PathBuf>,
    /// How long a commit waits for company.
    pub pace: Pace,
    /// Bytes that must be free on the disk.
    pub disk_reserve_bytes: u64,
}

/// Files of a TLS identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain in PEM.
    pub cert: PathBuf,
    /// Private key in PEM.
    pub key: PathBuf,
}

/// Bounds of connections on their way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoorLimits {
    /// From connecting to a complete request.
    pub handshake_timeout: Duration,
    /// Until the next request of a connection.
    pub keep_alive: Duration,
    /// In all.
    pub max_connections: usize,
    /// From one address.
    pub max_connections_per_address: usize,
    /// HTTP requests a second from one address.
    pub max_requests_per_second: NonZeroU32,
}
