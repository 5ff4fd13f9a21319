//! One HTTP connection: TLS, its requests one after the other, and its end.

use std::{convert::Infallible, io, sync::Arc};

use axum::{
    Router,
    extract::Request,
    http::header,
    response::{IntoResponse, Response},
};
use fanwire_proto::ErrorCode;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::{net::TcpStream, sync::watch};
use tower::ServiceExt;

use super::{
    client,
    front::{Front, facts},
    gate::{Full, Permit},
    origin,
    patience::{Patience, Patient},
    routes::find_address,
    stream::Stream,
    throttle::Denied,
};
use crate::{
    defaults,
    doors::{
        errors::Failure,
        http::{Sender, bearer},
        webhook::Peer,
    },
};

/// Serves a connection to its end.
pub(super) async fn serve_connection(front: Arc<Front>, tcp: TcpStream, permit: Arc<Permit>, routes: Router) {
    if let Err(error) = tune(&tcp) {
        return tracing::debug!(%error, "a client left at once");
    }
    let connected = tokio::time::Instant::now();
    // Taken once: a reload while the handshake goes on must not mix two configurations.
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
            // Finishes the request at hand, then closes; dropping the connection would cut its answer off.
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
    // First, since what follows looks at the path.
    find_address(request.uri_mut());
    let settings = front.settings.load();
    let address = client::address(permit.address(), request.headers(), &settings.trusted_proxies);
    // The cheapest refusal comes first: a flood costs one look into a table for each request.
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
    // Not held across the request, which may take minutes: a guard of an `ArcSwap` keeps the old configuration alive.
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
    // What is not in the kernel yet can still be replaced by something newer.
    SockRef::from(tcp).set_tcp_notsent_lowat(defaults::UNSENT_BYTES)
}
