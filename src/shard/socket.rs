//! One connection's bytes: plain TCP, or TLS over it, without blocking.

use std::{
    io::{self, IoSlice, Read, Write},
    net::Shutdown,
    time::Duration,
};

use mio::{
    Interest, Registry, Token,
    net::{TcpStream, UnixStream},
};
use socket2::SockRef;
use tokio_rustls::rustls::ServerConnection;

/// Ciphertext that may wait inside a TLS session before it takes no more plaintext.
const TLS_BUFFER_BYTES: usize = 64 * 1024;

/// A nonblocking stream that a shard can own.
pub enum Socket {
    /// TCP.
    Plain(TcpStream),
    /// TLS after its handshake.
    Tls(Box<TlsSocket>),
    /// One end of a pair in this process.
    Local(UnixStream),
    /// Still on its way: whoever has it writes the beginning of the response. It comes with
    /// [`Awaited::attach`](super::Awaited::attach); until then nothing is taken and nothing comes.
    Awaited,
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

    pub(super) fn is_awaited(&self) -> bool {
        matches!(self, Self::Awaited)
    }

    fn source(&mut self) -> Option<&mut dyn mio::event::Source> {
        match self {
            Self::Plain(tcp) => Some(tcp),
            Self::Tls(tls) => Some(&mut tls.tcp),
            Self::Local(end) => Some(end),
            Self::Awaited => None,
        }
    }

    /// Has the system end the connection when the peer acknowledges nothing for so long (`TCP_USER_TIMEOUT`, RFC 5482).
    pub(super) fn give_up_after(&self, silence: Duration) -> io::Result<()> {
        let tcp = match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => &tls.tcp,
            Self::Local(_) | Self::Awaited => return Ok(()),
        };
        // Zero would mean the system's own time, which is a quarter of an hour or more (tcp(7)).
        SockRef::from(tcp).set_tcp_user_timeout(Some(silence.max(Duration::from_millis(1))))
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self.source() {
            // For good, with edges of both directions: nothing has to be changed when a backlog comes or goes.
            Some(source) => source.register(registry, token, Interest::READABLE | Interest::WRITABLE),
            None => Ok(()),
        }
    }

    pub(super) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.source().map_or(Ok(()), |source| source.deregister(registry))
    }

    /// Reads decrypted bytes; `WouldBlock` when there are none yet, 0 at the end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
            Self::Local(end) => end.read(buffer),
            Self::Awaited => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Takes bytes to send; fewer than given when the peer does not keep up.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
            Self::Local(end) => end.write(bytes),
            Self::Awaited => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// The same with bytes that lie apart, in one call where the system has one for it.
    pub(super) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write_vectored(slices),
            Self::Local(end) => end.write_vectored(slices),
            // A session encrypts slice by slice anyway.
            Self::Tls(_) | Self::Awaited => Ok(0),
        }
    }

    /// Sends what a TLS session still holds; true when nothing is left.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        match self {
            Self::Plain(_) | Self::Local(_) => Ok(true),
            Self::Awaited => Ok(false),
            Self::Tls(tls) => tls.send(),
        }
    }

    /// Ends our direction; what was written is still delivered.
    pub(super) fn shutdown(&mut self) {
        // Best effort: a peer that is gone cannot be told.
        let _ = match self {
            Self::Plain(tcp) => tcp.shutdown(Shutdown::Write),
            Self::Local(end) => end.shutdown(Shutdown::Write),
            Self::Awaited => Ok(()),
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
            // An end without `close_notify` (RFC 8446 §6.1) is as good as one with it: frames say where they end.
            if self.session.read_tls(&mut self.tcp)? == 0 {
                return Ok(0);
            }
            if let Err(error) = self.session.process_new_packets() {
                // The alert that says what was wrong.
                let _ = self.send();
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
            // What the session answers by itself, such as a change of keys, waits for no writer.
            if self.session.wants_write() {
                self.send()?;
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // First, since plaintext is refused while ciphertext from before fills the session.
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
                // Or this would go on for ever.
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}
