//! A door of one's own: every message comes back as it was. `cargo run --example echo -- --listen 127.0.0.1:9001`.
//!
//! The least that a protocol needs: a *dialect* (here it has nothing to say by itself), a *door* (what to do with what
//! comes in), and an entrance (from a handshake to a connection that a shard owns). Messages may have up to 16 MiB, and
//! compression is agreed on with whoever offers it, so that the Autobahn suite can be run against it.

use std::{
    net::{TcpListener, TcpStream},
    time::Duration,
};

use bytes::Bytes;
use fanwire::{
    metrics::Metrics,
    shard::{Cx, Door, Inbound, Newcomer, Origin, ShardHandle, ShardLimits, Shards, Socket},
    wire::{
        Body, Dialect, Dialects, Framing, Limits, Notice, Spoken, Variant,
        websocket::{Deflation, Window, negotiate},
    },
};
use fanwire_proto::{ClientId, Delivery, Member};
use tokio_tungstenite::tungstenite::{
    self,
    handshake::server::{Callback, ErrorResponse, Request, Response},
    http::{HeaderValue, header::SEC_WEBSOCKET_EXTENSIONS},
};

type Fault = Box<dyn std::error::Error>;

/// Largest message, in bytes.
const MESSAGE_BYTES: usize = 16 * 1024 * 1024;

const DEFLATION: Deflation = Deflation { window: Window::Full, level: 6, least: 16 };

/// Nothing is ever said here but what came in.
struct Echoes;

impl Dialect for Echoes {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn reads(&self, limits: &Limits) -> usize {
        limits.max_message_bytes
    }

    /// One echo waits at most, since nothing is read from a client that does not read.
    fn outbox(&self, _: &Limits) -> Option<usize> {
        None
    }

    fn delivery(&self, _: Delivery<'_>, _: Variant) -> Body {
        Body::Nothing
    }

    fn tells_skipped(&self) -> bool {
        false
    }

    fn notice(&self, _: &Notice<'_>) -> Body {
        Body::Nothing
    }
}

/// Says what it hears.
struct Echo;

impl Door for Echo {
    fn opened(&mut self, _: &mut Cx<'_>) {}

    fn received(&mut self, cx: &mut Cx<'_>, frame: Inbound<'_>) {
        cx.send(&match frame {
            Inbound::Text(text) => Body::Text(Bytes::copy_from_slice(text.as_bytes())),
            Inbound::Binary(bytes) => Body::Binary(Bytes::copy_from_slice(bytes)),
        });
    }

    fn tick(&mut self, _: &mut Cx<'_>) {}
}

fn main() -> Result<(), Fault> {
    let mut arguments = std::env::args().skip(1);
    let listen = match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => "127.0.0.1:9001".to_owned(),
        (Some("--listen"), Some(address)) => address,
        _ => return Err("usage: echo [--listen ADDRESS]".into()),
    };
    let listener = TcpListener::bind(listen)?;
    println!("ws://{}", listener.local_addr()?);
    serve(&listener)
}

/// Echoes to everybody who comes.
pub(crate) fn serve(listener: &TcpListener) -> Result<(), Fault> {
    let shards = Shards::prepare(1)?;
    let handles = shards.handles();
    let (metrics, _) = Metrics::new();
    let bytes =
        Limits { max_message_bytes: MESSAGE_BYTES, max_update_bytes: 0, max_outbox_bytes: MESSAGE_BYTES };
    let ping = Duration::from_secs(60);
    shards.start(&ShardLimits { bytes, max_outboxes_bytes: 64 << 20, ping, pong_timeout: ping }, || {
        metrics.clone()
    })?;
    let spoken = Dialects::default().register(Echoes, Framing::WebSocket);
    for (number, tcp) in (0..).zip(listener.incoming()) {
        let (shard, spoken) = (handles[0].clone(), spoken.clone());
        std::thread::spawn(move || {
            if let Err(fault) = tcp.map_err(Fault::from).and_then(|tcp| enter(tcp, &shard, spoken, number)) {
                eprintln!("{fault}");
            }
        });
    }
    Ok(())
}

/// Answers a handshake and gives the connection to the shard.
fn enter(tcp: TcpStream, shard: &ShardHandle, spoken: Spoken, number: u64) -> Result<(), Fault> {
    let origin = Origin { door: "echo", address: tcp.peer_addr()?.ip() };
    tcp.set_nodelay(true)?;
    tcp.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut framing = Framing::WebSocket;
    let tcp = tungstenite::accept_hdr(tcp, Handshake(&mut framing))
        .map_err(|error| error.to_string())?
        .into_inner();
    tcp.set_nonblocking(true)?;
    shard.adopt(Newcomer {
        socket: Socket::plain(tcp),
        spoken: spoken.framed(framing),
        member: Member { client: ClientId(number), user: None, info: None },
        origin,
        door: Box::new(Echo),
        input: Vec::new(),
        permit: None,
    });
    Ok(())
}

/// Agrees on compression.
struct Handshake<'a>(&'a mut Framing);

impl Callback for Handshake<'_> {
    fn on_request(self, request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
        let offers = request.headers().get_all(SEC_WEBSOCKET_EXTENSIONS).iter();
        if let Some(agreement) = negotiate(offers.filter_map(|value| value.to_str().ok()))
            && let Ok(answer) = HeaderValue::try_from(agreement.header())
        {
            response.headers_mut().insert(SEC_WEBSOCKET_EXTENSIONS, answer);
            *self.0 = Framing::Deflated(agreement.apply(DEFLATION));
        }
        Ok(response)
    }
}
