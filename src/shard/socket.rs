//! One connection's bytes: plain TCP, or TLS over it, without blocking.

use std::io::{self, Read, Write};

use mio::{Interest, Registry, Token, net::TcpStream};
use tokio_rustls::rustls::ServerConnection;

/// Ciphertext that may wait inside a TLS session before it takes no more plaintext.
const TLS_BUFFER_BYTES: usize = 64 * 1024;

/// A nonblocking stream that a shard can own.
pub enum Socket {
    /// TCP.
    Plain(TcpStream),
    /// TLS after its handshake.
    Tls(Box<TlsSocket>),
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

    fn tcp(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => &mut tls.tcp,
        }
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(self.tcp(), token, Interest::READABLE | Interest::WRITABLE)
    }

    pub(super) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(self.tcp())
    }

    /// Reads decrypted bytes; `WouldBlock` when there are none yet, 0 at the end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }

    /// Takes bytes to send; fewer than given when the peer does not keep up.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    /// Sends what a TLS session still holds; true when nothing is left.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        match self {
            Self::Plain(_) => Ok(true),
            Self::Tls(tls) => tls.send(),
        }
    }

    /// Ends our direction; what was written is still delivered.
    pub(super) fn shutdown(&mut self) {
        if let Self::Tls(tls) = self {
            tls.session.send_close_notify();
            // Best effort: the peer also learns it from the end of the stream.
            let _ = tls.send();
        }
        let _ = self.tcp().shutdown(std::net::Shutdown::Write);
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
