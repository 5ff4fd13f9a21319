//! Accepting connections, and turning those away that there is no place for.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::Router;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{client, front::Front, gate::Full, serve::serve_connection};

/// Wait after a failed `accept`, which mostly means that there are no descriptors left.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// How long, and how much, is read from a client that is turned away.
const FAREWELL: Duration = Duration::from_secs(1);
const FAREWELL_BYTES: u64 = 16_384;

/// Accepts until the task is stopped.
pub(super) async fn accept_all(front: Arc<Front>, listener: TcpListener, routes: Router) {
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
            // A task of its own: a slow TLS handshake must not keep the next connection from being accepted.
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
