//! A connection before a shard has it: TCP or TLS over it, for the HTTP server. Whoever does not read its answers is
//! cut off after a while, so that it does not hold its place for ever.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};
use tokio_rustls::server::TlsStream;

use super::takeover::{self, Takeover};
use crate::{defaults, shard::Socket};

enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// Somebody has taken it over.
    Gone,
}

/// What the HTTP server reads from and writes to.
pub(super) struct Stream {
    transport: Transport,
    /// Runs while the peer takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    takeover: Arc<Takeover>,
}

impl Transport {
    /// Leaves the async runtime.
    fn into_socket(self) -> io::Result<Socket> {
        match self {
            Self::Plain(tcp) => Ok(Socket::plain(tcp.into_std()?)),
            Self::Tls(tls) => {
                let (tcp, session) = tls.into_inner();
                Ok(Socket::tls(tcp.into_std()?, session))
            }
            Self::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl Stream {
    pub(super) fn plain(tcp: TcpStream) -> Self {
        Self { transport: Transport::Plain(tcp), stalled: None, takeover: Arc::default() }
    }

    pub(super) fn tls(tls: TlsStream<TcpStream>) -> Self {
        Self { transport: Transport::Tls(Box::new(tls)), stalled: None, takeover: Arc::default() }
    }

    /// How somebody gets the socket in the middle of a response.
    pub(super) fn takeover(&self) -> Arc<Takeover> {
        self.takeover.clone()
    }

    /// Leaves the async runtime.
    pub(super) fn into_socket(self) -> io::Result<Socket> {
        self.transport.into_socket()
    }

    /// Passes on what a write came to, unless the peer has taken nothing for too long.
    fn watch<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        // Any progress starts the time anew: slow is not gone.
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| {
            Box::pin(sleep_until(Instant::now() + std::time::Duration::from_secs(defaults::WRITE_TIMEOUT_S)))
        });
        match stalled.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Transport::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
            // The end, for the server.
            Transport::Gone => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = match &mut this.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Transport::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
            Transport::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        };
        this.watch(cx, written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = match &mut this.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Transport::Tls(tls) => Pin::new(tls).poll_flush(cx),
            Transport::Gone => return Poll::Ready(Ok(())),
        };
        let flushed = this.watch(cx, flushed);
        // Only when all of the head has left: the shard writes to the same socket from here on.
        if matches!(flushed, Poll::Ready(Ok(())))
            && let Some(taker) = this.takeover.taker()
        {
            let transport = std::mem::replace(&mut this.transport, Transport::Gone);
            takeover::hand_over(taker, transport.into_socket());
            // The server is to see that it has nothing more to do.
            cx.waker().wake_by_ref();
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Transport::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
            Transport::Gone => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    #[tokio::test]
    async fn a_peer_that_takes_nothing_is_cut_off() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut stream = Stream::plain(listener.accept().await.unwrap().0);
        stream.write_all(b"hello").await.unwrap();
        peer.read_exact(&mut [0; 5]).await.unwrap();
        // From here on the clock jumps whenever nothing else can happen.
        tokio::time::pause();
        let error = stream.write_all(&vec![0; 64 * 1024 * 1024]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
