//! No bytes on a connection make the broker panic, and no request to a source is taken that its provider did not sign: the
//! whole way from the socket through HTTP and the pipeline of webhooks to the store, in memory.
//!
//! An input is what a client sends before it hangs up; a lone line feed is read as a line end of HTTP.
#![no_main]

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::LazyLock,
    time::Duration,
};

use fanwire::{
    config::{Settings, Sources},
    server::Server,
};

/// Sources that take nothing without a secret, and answer no question of strangers.
const SOURCES: &str = "
[[source]]
name = 'stripe'
provider = 'stripe'
secret_file = 'FILE'
[[source]]
name = 'github'
provider = 'github'
secret_file = 'FILE'
[[source]]
name = 'slack'
provider = 'slack'
secret_file = 'FILE'
[[source]]
name = 'twilio'
provider = 'twilio'
secret_file = 'FILE'
[[source]]
name = 'mailgun'
provider = 'mailgun'
secret_file = 'FILE'
[[source]]
name = 'bearer'
provider = 'bearer'
secret_file = 'FILE'
";

static ADDRESS: LazyLock<SocketAddr> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("fanwire-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let secret = folder.join("secret");
    std::fs::write(&secret, "what nobody guesses").expect("a file");
    let file = folder.join("fanwire.toml");
    std::fs::write(&file, SOURCES.replace("FILE", &secret.to_string_lossy())).expect("a file");
    let listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let given = Settings { listen, shards: Some(1), ..Settings::default() };
    let config = Sources { given, file: Some(file) }.load().expect("a configuration");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = Box::leak(Box::new(runtime.expect("a runtime")));
    let server = runtime.block_on(async { Server::start(&config) }).expect("a broker");
    Box::leak(Box::new(server)).address()
});

/// Text with the line ends that HTTP wants, up to the body.
fn with_line_ends(input: &[u8]) -> Vec<u8> {
    let end = input.windows(2).position(|pair| pair == b"\n\n").map_or(input.len(), |end| end + 2);
    let mut sent = Vec::with_capacity(input.len() + 64);
    for byte in &input[..end] {
        if *byte == b'\n' && sent.last() != Some(&b'\r') {
            sent.push(b'\r');
        }
        sent.push(*byte);
    }
    sent.extend_from_slice(&input[end..]);
    sent
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let sent = with_line_ends(input);
    let mut stream = TcpStream::connect(*ADDRESS).expect("it still listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    let _ = stream.write_all(&sent);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let to_a_source = sent.starts_with(b"POST /in/") && sent.windows(8).filter(|part| part == b"HTTP/1.1").count() == 1;
    assert!(!to_a_source || !answer.starts_with(b"HTTP/1.1 2"), "it takes what nobody signed");
    assert!(!answer.starts_with(b"HTTP/1.1 500"), "it does not know what to say");
});
