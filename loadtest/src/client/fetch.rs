//! Reading over HTTP as a back end would: one request after the other on one connection, each waited for.

use std::io::{self, ErrorKind, Read, Write};
use std::rc::Rc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::connection::Target;
use super::http;
use super::stream::Stream;
use crate::clock::{self, SECOND};

/// An answer that gets no further for this long will not come.
const PATIENCE_NS: u64 = 15 * SECOND;
/// How long to sleep at most before looking at the clock again.
const POLL: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// A longer answer is refused.
const ANSWER_MAX: usize = 256 << 20;

/// A connection for reading.
#[derive(Debug)]
pub struct Reader {
    target: Rc<Target>,
    stream: Option<Stream>,
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Reader {
    /// A reader that connects when it is first asked.
    #[must_use]
    pub fn new(target: &Rc<Target>) -> Self {
        Self { target: Rc::clone(target), stream: None }
    }

    /// Reads `path` in the form that `accept` says.
    ///
    /// # Errors
    /// When there is no answer, with what happened instead.
    pub fn get(&mut self, path: &str, accept: &str) -> Result<Fetched, String> {
        let host = &self.target.host;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: {accept}\r\n\r\n");
        // Taken out, and put back only after a whole answer: behind one that was broken off the next would not be
        // understood.
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.target.connect().map_err(|error| format!("connecting: {error}"))?,
        };
        let answer = exchange(&mut stream, request.as_bytes())?;
        if !answer.closes {
            self.stream = Some(stream);
        }
        let status = answer.status.parse().map_err(|_| format!("the status `{}`", answer.status))?;
        Ok(Fetched { status, body: answer.body })
    }
}

fn exchange(stream: &mut Stream, request: &[u8]) -> Result<http::Raw, String> {
    let mut unsent = request;
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    let mut progress_ns = clock::now_ns();
    loop {
        if !unsent.is_empty()
            && let Some(count) = unless_later(stream.write(unsent)).map_err(|e| format!("writing: {e}"))?
        {
            unsent = &unsent[count..];
        }
        unless_later(stream.flush()).map_err(|error| format!("writing: {error}"))?;
        match unless_later(stream.read(&mut buffer)).map_err(|error| format!("reading: {error}"))? {
            Some(0) => return Err("the server closed the connection instead of answering".into()),
            Some(count) => {
                bytes.extend_from_slice(&buffer[..count]);
                if let Some(answer) = http::read_raw(&bytes)? {
                    return Ok(answer);
                }
                if bytes.len() > ANSWER_MAX {
                    return Err(format!("an answer of more than {} MiB", ANSWER_MAX >> 20));
                }
                progress_ns = clock::now_ns();
                continue;
            }
            None => {}
        }
        if clock::now_ns() > progress_ns + PATIENCE_NS {
            return Err(format!("no answer within {} s", PATIENCE_NS / SECOND));
        }
        wait(stream, !unsent.is_empty()).map_err(|error| format!("waiting: {error}"))?;
    }
}

/// What was done; `None` when it can only be done later.
fn unless_later<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Ok(done) => Ok(Some(done)),
        Err(error) => match error.kind() {
            // A socket that is still connecting says so in several ways.
            ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::NotConnected => Ok(None),
            _ => Err(error),
        },
    }
}

fn wait(stream: &mut Stream, unsent: bool) -> io::Result<()> {
    let mut events = PollFlags::IN;
    events.set(PollFlags::OUT, unsent || stream.wants_write());
    let tcp = &*stream.tcp();
    match poll(&mut [PollFd::new(tcp, events)], Some(&POLL)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::wire::Encoding;

    #[test]
    fn answers_come_whole_on_one_connection_until_the_server_closes_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Target::new(listener.local_addr().unwrap(), "h", "/ws", Rc::new(Encoding::Json));
        let server = thread::spawn(move || {
            let answers: [&[&str]; 3] = [
                &["HTTP/1.1 200 OK\r\nContent-Le", "ngth: 5\r\n\r\nhe", "llo"],
                &["HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"],
                &["HTTP/1.1 200 OK\r\n"],
            ];
            let (mut socket, _) = listener.accept().unwrap();
            for (nth, parts) in answers.iter().enumerate() {
                if nth == 2 {
                    socket = listener.accept().unwrap().0;
                }
                let mut request = [0; 1024];
                let count = socket.read(&mut request).unwrap();
                assert!(request[..count].starts_with(format!("GET /{nth} HTTP/1.1\r\n").as_bytes()));
                for part in *parts {
                    socket.write_all(part.as_bytes()).unwrap();
                    socket.flush().unwrap();
                }
            }
        });
        let mut reader = Reader::new(&Rc::new(target));
        let fetched = |status, body: &[u8]| Ok(Fetched { status, body: body.to_vec() });
        assert_eq!(reader.get("/0", "text/plain"), fetched(200, b"hello"));
        assert_eq!(reader.get("/1", "text/plain"), fetched(404, b""));
        assert!(reader.get("/2", "text/plain").unwrap_err().contains("instead of answering"));
        server.join().unwrap();
        assert!(reader.get("/3", "text/plain").is_err());
    }
}
