//! How long an HTTP connection is waited for: a short while for a request that has begun to come, a longer one for the
//! next, so that the pools of proxies and back ends do not meet a connection that is just being closed. While a request is
//! being answered, whoever answers it does the waiting.
//!
//! ```text
//!  First ──head complete──► Busy ──answer written──► Idle ──first byte──► Head
//!    │ handshake time        ▲                        │ keep-alive time    │ handshake time
//!    ▼                       └────────────────────────┼─── head complete ──┤
//!  cut off                                          closed              cut off
//! ```

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// What a connection is waited for.
#[derive(Clone, Copy, Debug)]
enum Wait {
    /// The first request, since the client connected.
    First(Instant),
    /// The rest of a request's head.
    Head(Instant),
    /// Nothing: a request is being answered.
    Busy,
    /// The next request.
    Idle(Instant),
}

/// What a connection's reader and those who answer its requests share.
#[derive(Clone)]
pub(super) struct Patience {
    wait: Arc<Mutex<Wait>>,
    handshake: Duration,
    keep_alive: Duration,
}

impl Patience {
    /// For a client that connected at `since`.
    pub(super) fn new(since: Instant, handshake: Duration, keep_alive: Duration) -> Self {
        Self { wait: Arc::new(Mutex::new(Wait::First(since))), handshake, keep_alive }
    }

    /// A request is complete but for its body.
    pub(super) fn begin(&self) {
        *self.wait.lock() = Wait::Busy;
    }

    /// The body of an answer, with which waiting begins again.
    pub(super) fn until_written(&self, body: Body) -> Body {
        Body::new(Written { body, patience: self.clone() })
    }

    /// Something came.
    fn hear(&self) {
        let mut wait = self.wait.lock();
        // Only the first byte counts: were every byte heard, sending one now and then would keep the connection for ever.
        if let Wait::Idle(_) = *wait {
            *wait = Wait::Head(Instant::now());
        }
    }

    /// When waiting ends, and whether there is nothing to be missed.
    fn deadline(&self) -> Option<(Instant, bool)> {
        match *self.wait.lock() {
            Wait::First(since) | Wait::Head(since) => Some((since + self.handshake, false)),
            Wait::Idle(since) => Some((since + self.keep_alive, true)),
            Wait::Busy => None,
        }
    }
}

/// An answer's body; dropped when it is written, or cannot be.
struct Written {
    body: Body,
    patience: Patience,
}

impl Drop for Written {
    fn drop(&mut self) {
        *self.patience.wait.lock() = Wait::Idle(Instant::now());
    }
}

impl HttpBody for Written {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection that is read with patience.
pub(super) struct Patient<S> {
    stream: S,
    patience: Patience,
    /// Is set back only where it would ring too late; where it rings too early it is set again.
    alarm: Pin<Box<Sleep>>,
}

impl<S> Patient<S> {
    pub(super) fn new(stream: S, patience: Patience) -> Self {
        let first = patience.deadline().map_or_else(Instant::now, |(at, _)| at);
        Self { stream, alarm: Box::pin(sleep_until(first)), patience }
    }

    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    /// Nothing came: whether that is so for too long.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let deadline = self.patience.deadline();
            if let Some((at, _)) = deadline
                && self.alarm.deadline() > at
            {
                self.alarm.as_mut().reset(at);
            }
            if self.alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            match deadline {
                // To the HTTP server, the client has ended in order.
                Some((at, true)) if at <= now => return Poll::Ready(Ok(())),
                Some((at, false)) if at <= now => return Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                Some((at, _)) => self.alarm.as_mut().reset(at),
                // Nothing runs out while a request is answered. But an alarm that has rung wakes nobody any more, so it
                // is set on.
                None => self.alarm.as_mut().reset(now + self.patience.keep_alive),
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_read(cx, buffer);
        match outcome {
            // Only where nothing came: bytes that are there are taken, however late they are looked at.
            Poll::Pending => this.poll_deadline(cx),
            ready => {
                this.patience.hear();
                ready
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const HANDSHAKE: Duration = Duration::from_secs(10);
    const KEEP_ALIVE: Duration = Duration::from_secs(120);

    /// The clock jumps whenever nothing else can happen; how long until the connection is over, and how.
    async fn waited(stream: &mut Patient<tokio::io::DuplexStream>) -> (Duration, io::Result<usize>) {
        let start = Instant::now();
        let outcome = stream.read(&mut [0; 8]).await;
        (start.elapsed(), outcome)
    }

    #[tokio::test(start_paused = true)]
    async fn each_wait_has_its_own_end() {
        let (mut client, ours) = duplex(64);
        let patience = Patience::new(Instant::now(), HANDSHAKE, KEEP_ALIVE);
        let mut stream = Patient::new(ours, patience.clone());
        let near = |time: Duration, expect: Duration| time.abs_diff(expect) < Duration::from_millis(10);
        let (time, outcome) = waited(&mut stream).await;
        assert!(near(time, HANDSHAKE) && outcome.is_err(), "the first request");

        patience.begin();
        let pause = tokio::time::timeout(KEEP_ALIVE * 3, stream.read(&mut [0; 8])).await;
        assert!(pause.is_err(), "an answer may take as long as it takes");

        drop(patience.until_written(Body::empty()));
        let (time, outcome) = waited(&mut stream).await;
        assert!(near(time, KEEP_ALIVE) && outcome.unwrap() == 0, "the next request");

        drop(patience.until_written(Body::empty()));
        client.write_all(b"GET").await.unwrap();
        assert_eq!(waited(&mut stream).await.1.unwrap(), 3);
        let (time, outcome) = waited(&mut stream).await;
        assert!(near(time, HANDSHAKE) && outcome.is_err(), "the rest of a head");
    }

    #[tokio::test]
    async fn a_body_keeps_its_size() {
        let patience = Patience::new(Instant::now(), HANDSHAKE, KEEP_ALIVE);
        let body = patience.until_written(Body::from("twelve bytes"));
        assert_eq!(body.size_hint().exact(), Some(12));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "twelve bytes");
    }
}
