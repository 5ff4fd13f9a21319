//! A relay that stands before a real broker and misbehaves: whatever the broker does right arrives wrong. Handshakes,
//! replies and everything a client sends pass untouched; only frames with stamped messages are at risk, and documents
//! that are read over HTTP.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::clock::{self, MILLISECOND};
use crate::error::{Context, Error, Result};
use crate::null::fault::Faulty;
use crate::options::{Fault, RelayOptions, ServerOptions};
use crate::scenario::Subject;
use crate::stamp;
use crate::wire::Encoding;
use crate::ws::{frame, handshake};

const DELAY_NS: u64 = 200 * MILLISECOND;
const STALL: Duration = Duration::from_millis(1500);

/// What all connections share.
#[derive(Debug)]
struct Shared {
    faulty: Faulty,
    fault: Fault,
    every: u64,
    /// Stamped frames so far.
    frames: u64,
    /// The first connection that got one.
    first: Option<usize>,
}

/// Starts the broker (or takes the one there is), prints the relay's own URL and serves until it is killed.
///
/// # Errors
/// When there is no broker, or the fault is not one a relay can make.
pub fn serve(options: &RelayOptions) -> Result<()> {
    if matches!(options.fault, Fault::Gap | Fault::Lie | Fault::Leak | Fault::Invent) {
        return Err(Error::Usage(
            "a relay can drop, duplicate, swap, corrupt, delay, stall and spoil documents".into(),
        ));
    }
    let server = ServerOptions { url: options.to.clone(), no_pin: true, ..ServerOptions::default() };
    let subject = Subject::start(&server, std::rc::Rc::new(Encoding::Json), None)?;
    let listener = TcpListener::bind("127.0.0.1:0").context("listening")?;
    let shared = Arc::new(Mutex::new(Shared {
        faulty: Faulty::new(options.fault, options.fault_every),
        fault: options.fault,
        every: options.fault_every,
        frames: 0,
        first: None,
    }));
    println!("relay at ws://{}/ws", listener.local_addr().context("listening")?);
    for (at, client) in listener.incoming().enumerate() {
        let client = client.context("accepting")?;
        connect(at, client, subject.target.address, &shared).context("relaying")?;
    }
    Ok(())
}

/// Puts a client through to the broker.
fn connect(at: usize, client: TcpStream, to: SocketAddr, shared: &Arc<Mutex<Shared>>) -> io::Result<()> {
    let broker = TcpStream::connect(to)?;
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    let (mut from_client, mut to_broker) = (client.try_clone()?, broker.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_broker);
        let _ = to_broker.shutdown(Shutdown::Both);
    });
    let (sender, receiver) = channel();
    thread::spawn(move || write(client, &receiver));
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        // Either side may end it; the sender's end ends the writer.
        let _ = read(at, broker, &sender, &shared);
    });
    Ok(())
}

/// Writes each piece when its time has come.
fn write(mut client: TcpStream, pieces: &Receiver<(u64, Vec<u8>)>) {
    while let Ok((due_ns, piece)) = pieces.recv() {
        clock::sleep_until(due_ns);
        if client.write_all(&piece).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
}

/// What comes from the broker.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Handshake,
    /// On a WebSocket.
    Frames,
    /// Answers to plain HTTP.
    Answers,
}

/// Reads what the broker sends, frame by frame after the handshake of a WebSocket.
fn read(
    at: usize,
    mut broker: TcpStream,
    sender: &Sender<(u64, Vec<u8>)>,
    shared: &Mutex<Shared>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    let mut bytes = Vec::new();
    let mut stage = Stage::Handshake;
    loop {
        let count = broker.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        bytes.extend_from_slice(&buffer[..count]);
        let mut taken = 0;
        let mut out = Vec::new();
        let mut delay_ns = 0;
        if stage == Stage::Handshake {
            let Some((head, length)) = handshake::head(&bytes).map_err(io::Error::other)? else { continue };
            let upgraded = head.split(' ').nth(1) == Some("101");
            stage = if upgraded { Stage::Frames } else { Stage::Answers };
            out.extend_from_slice(&bytes[..length]);
            taken = length;
        }
        if stage == Stage::Answers {
            let shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
            shared.answer(&mut bytes[taken..]);
            out.extend_from_slice(&bytes[taken..]);
            taken = bytes.len();
        }
        // Only whole frames are passed on or spoiled: half of one would break the framing instead of a message.
        while let Some(frame) = frame::parse(&bytes[taken..]).map_err(io::Error::other)? {
            let whole = &bytes[taken..taken + frame.length];
            if memchr::memmem::find(frame.payload, stamp::MARK).is_some() {
                let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
                // One time for all of a piece, since a stream has an order: what comes behind a frame that is held back
                // waits with it.
                delay_ns = delay_ns.max(shared.pass(at, whole, &mut out));
            } else {
                out.extend_from_slice(whole);
            }
            taken += frame.length;
        }
        bytes.drain(..taken);
        if sender.send((clock::now_ns() + delay_ns, out)).is_err() {
            return Ok(());
        }
    }
}

impl Shared {
    /// Changes a letter of the text in a part of an answer, where that is the fault.
    fn answer(&self, part: &mut [u8]) {
        let stamp = memchr::memmem::find(part, stamp::MARK).filter(|_| self.fault == Fault::Document);
        if let Some(letter) = stamp.and_then(|at| part.get_mut(at)) {
            *letter = b'F';
        }
    }

    /// Passes a frame on, rightly or wrongly; how long to hold it back.
    fn pass(&mut self, at: usize, whole: &[u8], out: &mut Vec<u8>) -> u64 {
        self.frames += 1;
        let first = *self.first.get_or_insert(at);
        if self.fault == Fault::Stall && self.frames == self.every {
            // Under the lock: nobody gets anything meanwhile.
            thread::sleep(STALL);
        }
        self.faulty.deliver(at, whole, out);
        if self.fault == Fault::Delay && first == at { DELAY_NS } else { 0 }
    }
}
