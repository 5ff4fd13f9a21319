//! Fetching a small document from an address, within time and size.

use std::time::Duration;

use axum::{body::Bytes, http::Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{
    client::legacy::{Client, connect::Connect},
    rt::TokioExecutor,
};

/// Why there is no document.
pub type FetchError = Box<dyn std::error::Error + Send + Sync>;

/// Fetches what is at an address, with the certificates this machine trusts. Redirects are not followed: whoever
/// checked the address checked this one.
pub async fn fetch(url: &Uri, bytes_max: usize, timeout: Duration) -> Result<Bytes, FetchError> {
    let builder = Client::builder(TokioExecutor::new());
    if url.scheme_str() == Some("http") {
        return fetch_by(builder.build_http(), url, bytes_max, timeout).await;
    }
    let connector = HttpsConnectorBuilder::new().with_native_roots()?.https_only().enable_http1().build();
    fetch_by(builder.build(connector), url, bytes_max, timeout).await
}

async fn fetch_by<C>(
    client: Client<C, Empty<Bytes>>,
    url: &Uri,
    bytes_max: usize,
    timeout: Duration,
) -> Result<Bytes, FetchError>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let fetched = async {
        let response = client.get(url.clone()).await?;
        if !response.status().is_success() {
            return Err(format!("the answer was {}", response.status()).into());
        }
        Ok(Limited::new(response.into_body(), bytes_max).collect().await?.to_bytes())
    };
    tokio::time::timeout(timeout, fetched).await?
}
