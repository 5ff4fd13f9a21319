//! The front: accepts connections, speaks HTTP and TLS to them, and gives WebSockets to the shards. Runs on a small
//! ordinary runtime of its own.

mod client;
mod configuration;
mod cors;
mod gate;
mod jwks;
mod lifecycle;
mod origin;
mod patience;
mod seldom;
mod stream;
mod takeover;
mod throttle;
mod tls;
mod upgrade;

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use axum::{
    Router,
    extract::{Request, State},
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};
use fanwire_proto::ErrorCode;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
pub use lifecycle::{Server, StartError};
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use self::{
    gate::{Full, Gate, Permit},
    origin::{Foreign, Pages},
    patience::{Patience, Patient},
    seldom::Seldom,
    stream::Stream,
    throttle::{Denied, Throttle},
};
use crate::{
    broker::Broker,
    config::DoorLimits,
    defaults,
    doors::{
        Entrance,
        errors::Failure,
        http::{Sender, bearer, method_not_allowed},
        webhook::Peer,
    },
    wire::websocket::Deflation,
};

/// The part of the front's settings that can be reloaded.
struct FrontSettings {
    pages: Pages,
    trusted_proxies: Vec<IpNet>,
    limits: DoorLimits,
    tls: Option<TlsAcceptor>,
    throttle: Throttle,
    ping_s: u64,
    /// How connections that offer it are compressed, if at all.
    deflate: Option<Deflation>,
    /// Every setting with its value in force, without secrets.
    effective: serde_json::Value,
}

/// What connections on their way in share.
struct Front {
    broker: Arc<Broker>,
    settings: ArcSwap<FrontSettings>,
    gate: Arc<Gate>,
    /// What strangers can fill the log with.
    noise: Noise,
    /// True once HTTP connections are to end after the request at hand.
    ending: watch::Sender<bool>,
}

/// Counts of what is logged now and then only.
#[derive(Default)]
struct Noise {
    foreign: Seldom,
    turned_away: Seldom,
    not_accepted: Seldom,
}

impl Front {
    /// Refuses a page to connect, subscribe or do anything else with an effect.
    fn may_act(&self, request: &Request) -> Result<(), Failure> {
        let facts = facts(request);
        self.settings.load().pages.may_act(&facts).map_err(|foreign| self.refuse_page(&foreign))
    }

    /// Whether there is a shard for a new connection.
    fn takes_sockets(&self) -> Result<(), Failure> {
        if self.broker.is_draining() {
            return Err(Failure::new(ErrorCode::Draining, "the broker is draining"));
        }
        match self.broker.least_loaded_shard() {
            Some(_) => Ok(()),
            None => Err(Failure::new(ErrorCode::Overloaded, "no shard is at work, see `/readyz`")),
        }
    }

    /// Says why, to the page and now and then to the log: the one is seen by whoever wrote the page, the other by whoever
    /// can change the setting.
    fn refuse_page(&self, foreign: &Foreign) -> Failure {
        if let Some(count) = self.noise.foreign.count(Instant::now()) {
            tracing::warn!(count, "a page was refused: {foreign}");
        }
        Failure::new(ErrorCode::Forbidden, foreign.to_string())
    }
}

/// What tells of a request which page it is from.
fn facts(request: &Request) -> origin::Request<'_> {
    origin::Request { headers: request.headers(), method: request.method(), path: request.uri().path() }
}

/// Connections the kernel may hold until they are accepted.
const ACCEPT_BACKLOG: i32 = 4096;

/// Wait after a failed `accept`, which mostly means that there are no descriptors left.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// How long, and how much, is read from a client that is turned away.
const FAREWELL: Duration = Duration::from_secs(1);
const FAREWELL_BYTES: u64 = 16_384;

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(ACCEPT_BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

fn routes(front: &Arc<Front>, ways_in: Vec<Arc<dyn Entrance>>, http: Router, webhooks: Router) -> Router {
    ways_in
        .into_iter()
        .fold(Router::new(), with_entrance)
        .route("/v1/config", get(configuration::show))
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(front.clone())
        .merge(http)
        .layer(cors::layer(front))
        .merge(webhooks)
}

fn with_entrance(routes: Router<Arc<Front>>, entrance: Arc<dyn Entrance>) -> Router<Arc<Front>> {
    entrance.paths().iter().fold(routes, |routes, path| {
        let entrance = entrance.clone();
        routes.route(
            path,
            get(move |State(front): State<Arc<Front>>, request: Request| {
                let entrance = entrance.clone();
                async move { upgrade::enter(&front, &*entrance, request).await }
            }),
        )
    })
}

/// Accepts until the task is stopped.
async fn accept_all(front: Arc<Front>, listener: TcpListener, routes: Router) {
    loop {
        match listener.accept().await {
            Ok((tcp, peer)) => admit(&front, tcp, peer.ip().to_canonical(), &routes),
            Err(error) => {
                if let Some(count) = front.noise.not_accepted.count(Instant::now()) {
                    tracing::warn!(%error, count, "connections could not be accepted");
                }
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

fn admit(front: &Arc<Front>, tcp: TcpStream, address: IpAddr, routes: &Router) {
    let settings = front.settings.load();
    let limits = settings.limits;
    // The clients behind a proxy are told apart when they ask for something.
    let per_address = match client::is_trusted(address, &settings.trusted_proxies) {
        true => usize::MAX,
        false => limits.max_connections_per_address,
    };
    match front.gate.enter(address, limits.max_connections, per_address) {
        Ok(permit) => {
            tokio::spawn(serve_connection(front.clone(), tcp, Arc::new(permit), routes.clone()));
        }
        Err(full) => {
            front.broker.metrics.turned_away.increment(1);
            if let Some(count) = front.noise.turned_away.count(Instant::now()) {
                tracing::warn!(%address, count, "connections were turned away: {full}");
            }
            tokio::spawn(turn_away(tcp, full));
        }
    }
}

/// Says why in the least possible words; a TLS client will only see the end.
async fn turn_away(mut tcp: TcpStream, full: Full) {
    let problem = format!(
        r#"{{"type":"/docs/errors#overloaded","title":"Service Unavailable","status":503,"code":"overloaded","detail":"{full}","retry":true}}"#
    );
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\n\
         content-type: application/problem+json\r\ncontent-length: {}\r\n\r\n{problem}",
        problem.len()
    );
    let farewell = async {
        tcp.write_all(answer.as_bytes()).await?;
        tcp.shutdown().await?;
        // Until the request is read, closing would reset the connection and lose the answer.
        tokio::io::copy(&mut tcp.take(FAREWELL_BYTES), &mut tokio::io::sink()).await
    };
    // Whoever is turned away may also just leave.
    let _ = tokio::time::timeout(FAREWELL, farewell).await;
}

async fn serve_connection(front: Arc<Front>, tcp: TcpStream, permit: Arc<Permit>, routes: Router) {
    if let Err(error) = tune(&tcp) {
        return tracing::debug!(%error, "a client left at once");
    }
    let connected = tokio::time::Instant::now();
    let settings = front.settings.load_full();
    let timeout = settings.limits.handshake_timeout;
    let stream = match &settings.tls {
        None => Stream::plain(tcp),
        Some(acceptor) => match tokio::time::timeout(timeout, acceptor.accept(tcp)).await {
            Ok(Ok(tls)) => Stream::tls(tls),
            Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => return tracing::debug!("a TLS handshake took too long"),
        },
    };
    let takeover = stream.takeover();
    let front_ending = front.ending.subscribe();
    let patience = Patience::new(connected, timeout, settings.limits.keep_alive);
    let stream = Patient::new(stream, patience.clone());
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        patience.begin();
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(takeover.clone());
        let answer = answer(front.clone(), permit.clone(), routes.clone(), request);
        let patience = patience.clone();
        async move {
            let response: Response = answer.await?;
            Ok::<_, Infallible>(response.map(|body| patience.until_written(body)))
        }
    });
    let connection = http1::Builder::new()
        // Waiting for heads is a matter of `patience`.
        .header_read_timeout(None)
        .max_buf_size(defaults::HTTP_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = ordered(front_ending) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "an HTTP connection ended");
    }
}

/// Waits for the order to end.
async fn ordered(mut ending: watch::Receiver<bool>) {
    // Without anybody who could give the order, it is over anyway.
    let _ = ending.wait_for(|ending| *ending).await;
}

async fn answer(
    front: Arc<Front>,
    permit: Arc<Permit>,
    routes: Router,
    mut request: Request,
) -> Result<Response, Infallible> {
    let settings = front.settings.load();
    let address = client::address(permit.address(), request.headers(), &settings.trusted_proxies);
    if let Err(denied) = settings.throttle.check(address, bearer(request.headers())) {
        return Ok(too_many_requests(&denied));
    }
    front.broker.metrics.http_requests.increment(1);
    if !origin::names_one_host(request.version(), request.headers()) {
        let failure = Failure::new(ErrorCode::BadRequest, "a request needs one `Host` header");
        return Ok(failure.into_response());
    }
    if let Err(foreign) = settings.pages.may_call(&facts(&request)) {
        return Ok(front.refuse_page(&foreign).into_response());
    }
    let proxy = Peer { address: permit.address(), tls: settings.tls.is_some() };
    let through_proxy = settings.pages.is_through_proxy(request.headers());
    let Ok(permit) = permit.of_client(address, settings.limits.max_connections_per_address) else {
        let failure = Failure::new(ErrorCode::Overloaded, Full::Address.to_string());
        return Ok(failure.into_response());
    };
    drop(settings);
    let extensions = request.extensions_mut();
    extensions.insert(proxy);
    extensions.insert(Sender { address, through_proxy });
    extensions.insert(permit);
    routes.oneshot(request).await
}

fn too_many_requests(denied: &Denied) -> Response {
    let failure = Failure::new(ErrorCode::RateLimited, denied.to_string());
    let mut response = failure.into_response();
    // Whole seconds, rounded up (RFC 9110 §10.2.3).
    let seconds = denied.wait.as_secs() + u64::from(denied.wait.subsec_nanos() > 0);
    response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    response
}

/// Small writes leave at once, and the kernel holds little that is unsent.
fn tune(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    SockRef::from(tcp).set_tcp_notsent_lowat(defaults::UNSENT_BYTES)
}
