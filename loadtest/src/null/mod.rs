//! A naive broker that does nothing but fan out. It shows the tester's own ceiling (and, told to misbehave, that the
//! tester notices), and lets everything here be tested without fanwire.

pub mod fault;
pub mod peer;
pub mod topics;

use std::io;
use std::net::SocketAddr;

use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};

use crate::cli::NullOptions;
use crate::error::{Context, Result};
use peer::Peer;
use topics::Topics;

const LISTENER: Token = Token(usize::MAX);

/// Listens on a port of its own, prints its URL and serves until it is killed.
///
/// # Errors
/// When it cannot listen or wait.
pub fn serve(options: &NullOptions) -> Result<()> {
    crate::memory::raise_descriptor_limit()?;
    let mut broker = Broker::new(options)?;
    println!("null broker at ws://{}/ws", broker.address()?);
    loop {
        broker.turn()?;
    }
}

#[derive(Debug)]
struct Broker {
    poll: Poll,
    events: Events,
    listener: TcpListener,
    peers: Vec<Option<Peer>>,
    topics: Topics,
    buffer: Vec<u8>,
}

impl Broker {
    fn new(options: &NullOptions) -> Result<Self> {
        let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).context("listening")?;
        let poll = Poll::new().context("epoll")?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE).context("epoll")?;
        Ok(Self {
            poll,
            events: Events::with_capacity(1024),
            listener,
            peers: Vec::new(),
            topics: Topics::new(options.eager, options.fault, options.fault_every),
            buffer: vec![0; 64 * 1024],
        })
    }

    fn address(&self) -> Result<SocketAddr> {
        self.listener.local_addr().context("listening")
    }

    fn turn(&mut self) -> Result<()> {
        match self.poll.poll(&mut self.events, self.topics.patience()) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                return Err(error).context("epoll_wait");
            }
            _ => {}
        }
        let events: Vec<_> =
            self.events.iter().map(|e| (e.token(), e.is_readable(), e.is_writable())).collect();
        for (token, readable, writable) in events {
            if token == LISTENER {
                self.accept()?;
                continue;
            }
            if writable {
                self.with_peer(token, Peer::flush);
            }
            if readable {
                self.read(token);
            }
        }
        self.topics.release(&mut self.peers);
        for at in self.topics.take_dirty() {
            self.with_peer(Token(at), Peer::flush);
        }
        Ok(())
    }

    fn accept(&mut self) -> Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("accepting"),
            };
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(self.peers.len()), interest).context("epoll")?;
            let _ = stream.set_nodelay(true);
            self.peers.push(Some(Peer::new(stream)));
        }
    }

    fn read(&mut self, Token(at): Token) {
        let Some(peer) = self.peers.get_mut(at).and_then(Option::as_mut) else { return };
        let Ok(requests) = peer.read(&mut self.buffer) else {
            self.close(at);
            return;
        };
        for request in requests {
            self.topics.handle(at, &request, &mut self.peers);
        }
        self.with_peer(Token(at), Peer::flush);
    }

    fn with_peer(&mut self, Token(at): Token, act: impl Fn(&mut Peer) -> io::Result<()>) {
        let Some(peer) = self.peers.get_mut(at).and_then(Option::as_mut) else { return };
        if act(peer).is_err() {
            self.close(at);
        }
    }

    fn close(&mut self, at: usize) {
        self.peers[at] = None;
        self.topics.forget(at);
    }
}
