//! One connection's bytes: plain TCP, or TLS over it, without blocking.

use std::{
    io::{self, Read, Write},
    net::Shutdown,
};

use mio::{
    Interest, Registry, Token,
    net::{TcpStream, UnixStream},
};
use tokio_rustls::rustls::ServerConnection;

/// Ciphertext that may wait inside a TLS session before it takes no more plaintext.
const TLS_BUFFER_BYTES: usize = 64 * 1024;

/// A nonblocking stream that a shard can own.
pub enum Socket {
    /// TCP.
    Plain(TcpStream),
    /// TLS after its handshake.
    Tls(Box<TlsSocket>),
    /// A door of this process that speaks for a client elsewhere.
    Local(UnixStream),
}

/// A TLS session and the TCP stream below it.
pub struct TlsSocket {
    tcp: TcpStream,
    session: ServerConnection,
}

impl Socket {
    /// Takes a connected, nonblocking stream.
    pub fn plain(tcp: std::net::TcpStream) -> Self {
        Self::Plain(TcpStream::from_std(tcp))
    }

    /// Takes a stream whose TLS handshake is done.
    pub fn tls(tcp: std::net::TcpStream, mut session: ServerConnection) -> Self {
        session.set_buffer_limit(Some(TLS_BUFFER_BYTES));
        Self::Tls(Box::new(TlsSocket { tcp: TcpStream::from_std(tcp), session }))
    }

    /// Takes one end of a connected pair.
    pub fn local(end: std::os::unix::net::UnixStream) -> io::Result<Self> {
        end.set_nonblocking(true)?;
        Ok(Self::Local(UnixStream::from_std(end)))
    }

    fn source(&mut self) -> &mut dyn mio::event::Source {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => &mut tls.tcp,
            Self::Local(end) => end,
        }
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.source().register(registry, token, Interest::READABLE | Interest::WRITABLE)
    }

    pub(super) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.source().deregister(registry)
    }

    /// Reads decrypted bytes; `WouldBlock` when there are none yet, 0 at the end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
            Self::Local(end) => end.read(buffer),
        }
    }

    /// Takes bytes to send; fewer than given when the peer does not keep up.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
            Self::Local(end) => end.write(bytes),
        }
    }

    /// Sends what a TLS session still holds; true when nothing is left.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        match self {
            Self::Plain(_) | Self::Local(_) => Ok(true),
            Self::Tls(tls) => tls.send(),
        }
    }

    /// Ends our direction; what was written is still delivered.
    pub(super) fn shutdown(&mut self) {
        // Best effort: a peer that is gone cannot be told.
        let _ = match self {
            Self::Plain(tcp) => tcp.shutdown(Shutdown::Write),
            Self::Local(end) => end.shutdown(Shutdown::Write),
            Self::Tls(tls) => {
                tls.session.send_close_notify();
                let _ = tls.send();
                tls.tcp.shutdown(Shutdown::Write)
            }
        };
    }
}

impl TlsSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            if self.session.read_tls(&mut self.tcp)? == 0 {
                return Ok(0);
            }
            if let Err(error) = self.session.process_new_packets() {
                // The alert that says what was wrong.
                let _ = self.send();
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
            if self.session.wants_write() {
                self.send()?;
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send()?;
        let taken = self.session.writer().write(bytes)?;
        self.send()?;
        match taken {
            0 if !bytes.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(taken),
        }
    }

    fn send(&mut self) -> io::Result<bool> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.tcp) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}
