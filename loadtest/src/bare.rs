//! The yardstick: one thread, N plain TCP connections, and per message one `send()` of a ready frame to each.
//!
//! No server that sends each message by itself can be cheaper, so what fanwire spends is stated as a ratio to it.
//! The child obeys lines on its standard input, `run NUMBER RATE MESSAGES START_NS`, and ends with it.

use std::io::{self, BufRead, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;

use crate::affinity::Cores;
use crate::clock;
use crate::error::{Context, Error, Result};
use crate::options::BareOptions;
use crate::server::Process;
use crate::stamp::{self, Stamp};
use crate::wire::{Delivery, Encoding};
use crate::ws::frame;

/// The tester's side: a bare loop in a child process.
#[derive(Debug)]
pub struct Bare {
    process: Process,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Bare {
    /// Starts a bare loop for `connections` receivers.
    ///
    /// # Errors
    /// When the child does not start.
    pub fn start(
        connections: usize,
        encoding: Encoding,
        topic: &str,
        payload: usize,
        cores: Option<Cores>,
    ) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe().context("finding loadtest itself")?);
        command.arg("bare").args([
            "--connections",
            &connections.to_string(),
            "--payload",
            &payload.to_string(),
        ]);
        command.args(["--topic", topic, "--encoding", encoding.protocol().trim_start_matches("fanwire.v1.")]);
        let mut process = Process::start(command, cores)?;
        let address = process.wait_for("its address", |line| line.strip_prefix("bare ")?.parse().ok())?;
        Ok(Self { process, address })
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Waits until the child has accepted all its receivers.
    ///
    /// # Errors
    /// When it does not get them.
    pub fn wait_ready(&mut self) -> Result<()> {
        self.process.wait_for("`ready`", |line| (line == "ready").then_some(()))
    }

    /// Has it send `messages` messages, the first at `start_ns`; returns at once.
    ///
    /// # Errors
    /// When the child is gone.
    pub fn run(&mut self, run: u32, rate: f64, messages: u64, start_ns: u64) -> Result<()> {
        self.process.tell(&format!("run {run} {rate} {messages} {start_ns}"))
    }
}

/// The child's side: accepts, says `ready`, and sends as told until its input ends.
///
/// # Errors
/// When it cannot listen or accept.
pub fn serve(options: &BareOptions) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").context("listening")?;
    println!("bare {}", listener.local_addr().context("listening")?);
    let mut sockets = Vec::with_capacity(options.connections);
    while sockets.len() < options.connections {
        let (socket, _) = listener.accept().context("accepting")?;
        // A full socket must refuse, not hold up all the others: the bare loop is to cost what sending costs.
        socket.set_nonblocking(true).context("accepting")?;
        socket.set_nodelay(true).context("accepting")?;
        sockets.push(socket);
    }
    println!("ready");
    for line in io::stdin().lock().lines() {
        let line = line.context("reading commands")?;
        let order = Order::parse(&line).ok_or_else(|| Error::Usage(format!("not an order: {line}")))?;
        let refused = order.carry_out(&sockets, options)?;
        println!("done, {refused} refused");
    }
    Ok(())
}

struct Order {
    run: u32,
    rate: f64,
    messages: u64,
    start_ns: u64,
}

impl Order {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("run ")?.split(' ');
        Some(Self {
            run: words.next()?.parse().ok()?,
            rate: words.next()?.parse().ok()?,
            messages: words.next()?.parse().ok()?,
            start_ns: words.next()?.parse().ok()?,
        })
    }

    /// Sends everything on schedule; returns how many frames a full socket refused (the ledger misses them too).
    fn carry_out(&self, sockets: &[TcpStream], options: &BareOptions) -> Result<u64> {
        let mut refused = 0;
        let mut stamp = Stamp { run: self.run, stream: 0, sequence: 0, intended_ns: 0, lag_ns: 0 };
        let mut bytes = frame_bytes(options, &stamp)?;
        // The frame is made once and only its stamp rewritten, so that what is measured is sending, not making messages.
        let at = memchr::memmem::find(&bytes, stamp::MARK).unwrap_or(bytes.len());
        let end = (at + options.payload.max(stamp::LENGTH)).min(bytes.len());
        for sequence in 0..self.messages {
            stamp.sequence = sequence;
            stamp.intended_ns = self.start_ns + clock::span_ns(sequence as f64 / self.rate);
            clock::sleep_until(stamp.intended_ns);
            stamp.lag_ns = clock::now_ns().saturating_sub(stamp.intended_ns);
            stamp.write(&mut bytes[at..end]);
            for mut socket in sockets {
                refused += u64::from(!matches!(socket.write(&bytes), Ok(count) if count == bytes.len()));
            }
        }
        Ok(refused)
    }
}

/// The frame the broker would send: the same fields, so the same number of bytes.
fn frame_bytes(options: &BareOptions, stamp: &Stamp) -> Result<Vec<u8>> {
    let data = stamp.payload(options.payload);
    let object = options.encoding.encode(&Delivery::new(&options.topic, 1000, &data))?;
    let mut bytes = Vec::with_capacity(object.len() + 10);
    frame::write_server(&mut bytes, options.encoding.opcode(), &object);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_read_whole_or_not_at_all() {
        let order = Order::parse("run 7 20.5 80 123").unwrap();
        assert_eq!((order.run, order.messages, order.start_ns), (7, 80, 123));
        assert!(Order::parse("run 7 20").is_none());
        assert!(Order::parse("stop").is_none());
    }
}
