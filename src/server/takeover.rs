//! Taking a connection out of the HTTP server's hands once the head of a response is written: the body is somebody
//! else's, who gets the socket.
//!
//! The server is given a body that never comes. It writes the head, asks for the body, and flushes; when nothing of it is
//! left to be written, the socket goes. So the server has written all of the head, and nothing else.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use axum::body::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use parking_lot::Mutex;

use crate::shard::{Awaited, Socket};

/// Where a connection's stream and whoever answers a request on it meet.
#[derive(Default)]
pub(super) struct Takeover {
    wanted: AtomicBool,
    by: Mutex<Option<Awaited>>,
}

impl Takeover {
    /// Who gets the socket now, if anybody wants it.
    pub(super) fn taker(&self) -> Option<Awaited> {
        // The flag spares the lock, since this is asked at every flush of every connection; it is set after what it
        // announces.
        match self.wanted.load(Ordering::Acquire) {
            true => self.by.lock().take(),
            false => None,
        }
    }

    fn want(&self, taker: Awaited) {
        *self.by.lock() = Some(taker);
        self.wanted.store(true, Ordering::Release);
    }
}

/// The body of a response that a shard goes on with.
pub(super) fn body(takeover: Arc<Takeover>, taker: Awaited) -> axum::body::Body {
    axum::body::Body::new(Handover { takeover, taker: Some(taker) }.map_err(axum::Error::new))
}

struct Handover {
    takeover: Arc<Takeover>,
    taker: Option<Awaited>,
}

impl Body for Handover {
    type Data = Bytes;
    type Error = io::Error;

    /// Asked for once the head is on its way.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.taker.take() {
            Some(taker) => {
                self.takeover.want(taker);
                // Without a waker: nothing wakes this body but the end of its connection, which is what `poll_flush`
                // brings about.
                Poll::Pending
            }
            // The socket is gone; the server has nothing more to do.
            None => Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into()))),
        }
    }
}

/// Gives the socket away.
pub(super) fn hand_over(taker: Awaited, socket: io::Result<Socket>) {
    match socket {
        Ok(socket) => taker.attach(socket),
        Err(error) => tracing::warn!(%error, "a connection could not be handed to a shard"),
    }
}
