//! The listening socket.

use std::{io, net::SocketAddr};

use tokio::net::TcpListener;

/// Connections the kernel may hold until they are accepted.
const ACCEPT_BACKLOG: i32 = 4096;

/// Listens on an address. To be called within a runtime.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    // Or a restart could not listen while connections of the process before are in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(ACCEPT_BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}
