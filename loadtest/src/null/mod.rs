//! A naive broker that does nothing but fan out. It shows the tester's own ceiling (and, told to misbehave, that the
//! tester notices), and lets everything here be tested without fanwire.

pub mod fault;
pub mod peer;
pub mod topics;

use std::io;
use std::net::SocketAddr;

use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};

use crate::error::{Context, Error, Result};
use crate::options::{Fault, NullOptions};
use peer::Peer;
use socket2::{Domain, Socket, Type};
use topics::Topics;

/// Testers connect in hordes.
const BACKLOG: i32 = 4096;
const LISTENER: Token = Token(usize::MAX);

/// Listens on a port of its own, prints its URL and serves until it is killed.
///
/// # Errors
/// When it cannot listen or wait.
pub fn serve(options: &NullOptions) -> Result<()> {
    if options.fault == Fault::Document {
        return Err(Error::Usage(
            "a null broker has no documents: `loadtest relay` can spoil a real one's".into(),
        ));
    }
    crate::memory::raise_descriptor_limit()?;
    let mut broker = Broker::new(options)?;
    let address = broker.address()?;
    for _ in 1..options.processes {
        let own = std::env::current_exe().context("finding loadtest itself")?;
        // Of the same process group, so that a signal for the group ends all of them.
        let port = address.port().to_string();
        let stdout = std::process::Stdio::null();
        let another = std::process::Command::new(own).args(["null", "--port", &port]).stdout(stdout).spawn();
        another.context("starting another null broker")?;
    }
    println!("null broker at ws://{address}/ws");
    loop {
        broker.turn()?;
    }
}

/// Several brokers may listen at one port; the system divides the clients among them.
fn listen(options: &NullOptions) -> io::Result<TcpListener> {
    let address = SocketAddr::from(([127, 0, 0, 1], options.port.unwrap_or(0)));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(options.processes > 1 || options.port.is_some())?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
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
        let mut listener = listen(options).context("listening")?;
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
        // Copied, since handling one may change any of the connections.
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
        // Until there is none left: mio is told of changes only, and who is passed over here would never be mentioned
        // again.
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("accepting"),
            };
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(self.peers.len()), interest).context("epoll")?;
            let _ = stream.set_nodelay(true);
            // A number is not used again, since `turn` may still have events of a connection that was closed a moment
            // ago.
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
