//! The socket under a connection, bare or with TLS.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use socket2::{Domain, Protocol, Socket, Type};

/// How to speak TLS with a server.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Whom to trust.
    pub config: Arc<rustls::ClientConfig>,
    /// What the certificate has to be for.
    pub name: ServerName<'static>,
}

/// An open or opening socket.
#[derive(Debug)]
pub(super) struct Stream {
    tcp: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl Stream {
    /// Starts to connect, from `source` where one is given.
    pub(super) fn open(to: SocketAddr, source: Option<IpAddr>, tls: Option<&Tls>) -> io::Result<Self> {
        let tcp = match source {
            None => TcpStream::connect(to)?,
            Some(source) => connect_from(source, to)?,
        };
        let start = |tls: &Tls| ClientConnection::new(Arc::clone(&tls.config), tls.name.clone());
        let tls = tls.map(start).transpose().map_err(io::Error::other)?.map(Box::new);
        Ok(Self { tcp, tls })
    }

    /// The socket itself, to register and to ask.
    pub(super) fn tcp(&mut self) -> &mut TcpStream {
        &mut self.tcp
    }

    /// Whether a read that filled its buffer only in part has emptied the socket.
    pub(super) fn short_read_is_all(&self) -> bool {
        self.tls.is_none()
    }

    /// Whether it has something of its own to send.
    pub(super) fn wants_write(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Ends it, whatever is under way.
    pub(super) fn cut(&self) {
        let _ = self.tcp.shutdown(Shutdown::Both);
    }
}

/// Connecting from an address of one's own gives each address its own range of ports. The port is chosen when the
/// destination is known, not before: a port that is taken for all destinations is one less for everyone on the machine.
fn connect_from(source: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::IpBindAddressNoPort, &true)?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    match socket.connect(&to.into()) {
        Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {
            Err(error)
        }
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.tcp.read(buffer) };
        loop {
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // A server that ends without saying so in TLS has ended all the same.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                outcome => return outcome,
            }
            // Only when no plain bytes are left: rustls takes no more from the socket while it holds some.
            if tls.read_tls(&mut self.tcp)? == 0 {
                return Ok(0);
            }
            let state = tls.process_new_packets();
            // The next step of the handshake, or what was wrong with it.
            send(tls, &mut self.tcp)?;
            state.map_err(io::Error::other)?;
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.tcp.write(bytes) };
        send(tls, &mut self.tcp)?;
        let taken = tls.writer().write(bytes)?;
        send(tls, &mut self.tcp)?;
        // rustls holds so much and no more; the socket has to take some of it first.
        if taken == 0 && !bytes.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(taken) }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => send(tls, &mut self.tcp),
            None => Ok(()),
        }
    }
}

/// Sends what TLS has ready, as far as the socket takes it.
fn send(tls: &mut ClientConnection, tcp: &mut TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        match tls.write_tls(tcp) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
