//! The client against a server that uses everything RFC 6455 and the protocol allow it to.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use loadtest::adapter::Subscription;
use loadtest::client::connection::Target;
use loadtest::client::pool::Pool;
use loadtest::stamp::Stamp;
use loadtest::tally::Tally;
use loadtest::wire::{Delivery, Encoding};
use loadtest::ws::{frame, handshake};

const JSON: Encoding = Encoding::Json;

fn delivery(sequence: u64) -> String {
    let data = Stamp { run: 1, stream: 0, sequence, intended_ns: 1, lag_ns: 0 }.payload(100);
    String::from_utf8(JSON.encode(&Delivery::new("t", sequence, &data)).unwrap()).unwrap()
}

/// Reads one client frame; its opcode and payload.
fn read_frame(socket: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut bytes = Vec::new();
    loop {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
        if let Some(frame) = frame::parse(&bytes).unwrap() {
            assert!(frame.mask.is_some(), "a client's frame must be masked");
            return (frame.opcode, frame.unmasked());
        }
    }
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (mut socket, _) = listener.accept().unwrap();
    socket.set_nodelay(true).unwrap();
    let mut request = Vec::new();
    let offer = loop {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        request.push(byte[0]);
        if let Some(offer) = handshake::read_request(&request).unwrap() {
            break offer;
        }
    };
    // The welcome comes in the same segment as the handshake's answer.
    let mut answer = offer.response.into_bytes();
    frame::write_server(&mut answer, frame::TEXT, br#"{"type":"welcome","client":"c"}"#);
    socket.write_all(&answer).unwrap();
    socket
}

/// Serves one subscriber; every step is a thing a naive client gets wrong.
fn serve(listener: &TcpListener) {
    let mut socket = accept(listener);
    let (opcode, request) = read_frame(&mut socket);
    assert_eq!(opcode, frame::TEXT);
    assert_eq!(request, br#"{"type":"subscribe","id":1,"topic":"t"}"#);
    let mut bytes = Vec::new();
    frame::write_server(&mut bytes, frame::TEXT, br#"[{"type":"ok","id":1,"topic":"t"}]"#);
    socket.write_all(&bytes).unwrap();
    thread::sleep(Duration::from_millis(100));

    bytes.clear();
    frame::write_server(&mut bytes, frame::PING, b"are you there");
    // Several objects in one frame, then a message in two fragments with a ping between.
    frame::write_server(&mut bytes, frame::TEXT, format!("[{},{}]", delivery(0), delivery(1)).as_bytes());
    let third = delivery(2);
    let (head, tail) = third.as_bytes().split_at(70);
    bytes.extend_from_slice(&[frame::TEXT, 70]);
    bytes.extend_from_slice(head);
    frame::write_server(&mut bytes, frame::PING, b"");
    bytes.extend_from_slice(&[0x80 | frame::CONTINUATION, 126, 0, u8::try_from(tail.len()).unwrap()]);
    bytes.extend_from_slice(tail);
    frame::write_server(&mut bytes, frame::TEXT, br#"{"type":"gap","topic":"t","after":2,"next":6}"#);
    // Cut anywhere.
    for part in bytes.chunks(37) {
        socket.write_all(part).unwrap();
        thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(read_frame(&mut socket), (frame::PONG, b"are you there".to_vec()));
    assert_eq!(read_frame(&mut socket), (frame::PONG, Vec::new()));
    bytes.clear();
    frame::write_server(&mut bytes, frame::CLOSE, &4100_u16.to_be_bytes());
    socket.write_all(&bytes).unwrap();
}

#[test]
fn arrays_fragments_cuts_pings_gaps_and_close_codes_are_understood() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || serve(&listener));
    let target = Target::new(address, "h", "/ws", Rc::new(JSON));
    let mut pool = Pool::new().unwrap();
    pool.open(&Rc::new(target), vec![vec![Subscription::to("t")]], 1).unwrap();

    let mut tally = Tally::new(1, 1).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while pool.ended() == 0 && Instant::now() < deadline {
        pool.turn(Some(Duration::from_millis(10)), &mut tally).unwrap();
    }
    let closed = tally.close(3);
    assert!(closed.faults.is_clean(), "{closed:?}");
    assert_eq!((closed.counts.deliveries, closed.counts.signalled, closed.counts.ended), (3, 3, 1));
    assert!(closed.notes[0].contains("code 4100"), "{:?}", closed.notes);
    server.join().unwrap();
}

#[test]
fn a_refusal_is_passed_on_in_the_servers_words() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let mut socket = accept(&listener);
        read_frame(&mut socket);
        let mut bytes = Vec::new();
        let error = br#"{"type":"error","id":1,"code":"forbidden","message":"no","retry":false}"#;
        frame::write_server(&mut bytes, frame::TEXT, error);
        socket.write_all(&bytes).unwrap();
        let _ = socket.read(&mut [0]);
    });
    let target = Target::new(address, "h", "/ws", Rc::new(JSON));
    let error =
        Pool::new().unwrap().open(&Rc::new(target), vec![vec![Subscription::to("t")]], 1).unwrap_err();
    assert!(error.to_string().contains("forbidden"), "{error}");
    server.join().unwrap();
}
