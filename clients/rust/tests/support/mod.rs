//! A broker of one's own, and a proxy before it that breaks connections to order.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;

/// Signs the tests' tokens.
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A broker process. It ends with this.
pub(crate) struct Broker {
    child: Child,
    address: SocketAddr,
    settings: Vec<(String, String)>,
}

/// The fanwire that was built beside these tests, which are worth nothing without it.
fn program() -> PathBuf {
    let deps = std::env::current_exe().unwrap();
    let program = deps.parent().unwrap().with_file_name("fanwire");
    assert!(program.exists(), "no {}: `cargo build --package fanwire` first", program.display());
    program
}

/// A token for everything that lasts so many seconds.
pub(crate) fn token(seconds: u32) -> String {
    token_with(seconds, &[])
}

/// The same with more flags of `fanwire token`.
pub(crate) fn token_with(seconds: u32, flags: &[&str]) -> String {
    let mut command = Command::new(program());
    command.args(["token", "--user", "ann", "--ttl-s", &seconds.to_string()]);
    command.args(flags);
    command.env("FANWIRE_AUTH_HMAC_SECRET", SECRET);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Broker {
    /// Starts one on a free port.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(settings: &[(&str, &str)]) -> Self {
        Self::launch(
            "127.0.0.1:0",
            settings.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
        )
    }

    fn launch(listen: &str, settings: Vec<(String, String)>) -> Self {
        let mut child = Command::new(program())
            .args(["serve", "--shards", "1", "--listen", listen])
            .envs(settings.iter().cloned())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().expect("the broker says where it listens").unwrap();
            if let Some((_, rest)) = line.split_once("ws://") {
                break rest.split('/').next().unwrap().parse().unwrap();
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address, settings }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/ws", self.address)
    }

    /// Ends it with a signal, and waits for that.
    pub(crate) fn end(&mut self, signal: &str) {
        Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it anew at the same address.
    pub(crate) fn again(mut self) -> Self {
        self.child.wait().unwrap();
        Self::launch(&self.address.to_string(), self.settings.clone())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // One that has ended cannot be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What happens to the connections that are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Both sides are closed.
    Cut,
    /// They stay open, but nothing gets through any more.
    Silence,
    /// The client gets bytes that mean nothing.
    Garbage,
    /// The client gets the end of the stream, while what it sends is still taken.
    HalfClose,
}

/// A proxy before a broker.
pub(crate) struct Proxy {
    address: SocketAddr,
    faults: broadcast::Sender<Fault>,
}

impl Proxy {
    pub(crate) async fn start(broker: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (faults, _) = broadcast::channel(16);
        let sender = Arc::new(faults.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let faults = sender.subscribe();
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(broker).await {
                        relay(client, server, faults).await;
                    }
                });
            }
        });
        Self { address, faults }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/ws", self.address)
    }

    /// Does this to every connection that is open.
    pub(crate) fn strike(&self, fault: Fault) {
        // Nobody may be connected at the moment.
        let _ = self.faults.send(fault);
    }
}

async fn relay(client: TcpStream, server: TcpStream, mut faults: broadcast::Receiver<Fault>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (mut up, mut down) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    let mut silent = false;
    loop {
        tokio::select! {
            fault = faults.recv() => match fault {
                Ok(Fault::Silence) => silent = true,
                Ok(Fault::Garbage) => {
                    if to_client.write_all(&[0xff, 0x13, 0x37, 0x00, 0xfe]).await.is_err() {
                        return;
                    }
                }
                Ok(Fault::HalfClose) => {
                    let _ = to_client.shutdown().await;
                    silent = true;
                }
                _ => return,
            },
            count = from_client.read(&mut up) => match count {
                Ok(count) if count > 0 => {
                    if !silent && to_server.write_all(&up[..count]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
            count = from_server.read(&mut down) => match count {
                Ok(count) if count > 0 => {
                    if !silent && to_client.write_all(&down[..count]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
        }
    }
}
