//! Fetching a small document from an address, within time and size.

use std::{sync::Arc, time::Duration};

use axum::{body::Bytes, http::Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{
    client::legacy::{Client, connect::Connect},
    rt::TokioExecutor,
};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// Why there is no document.
pub type FetchError = Box<dyn std::error::Error + Send + Sync>;

/// Fetches what is at an address, with the authorities that this machine trusts. Redirects are not followed: whoever checked
/// the address checked this one.
pub async fn fetch(url: &Uri, bytes_max: usize, timeout: Duration) -> Result<Bytes, FetchError> {
    fetch_with(url, bytes_max, timeout, &[]).await
}

/// The same with the authorities that are given, in DER; those of this machine if there are none.
pub async fn fetch_with(
    url: &Uri,
    bytes_max: usize,
    timeout: Duration,
    authorities: &[Vec<u8>],
) -> Result<Bytes, FetchError> {
    let builder = Client::builder(TokioExecutor::new());
    // Only for key sets on this machine: the configuration refuses others, and certificates are never asked for without
    // TLS.
    if url.scheme_str() == Some("http") {
        return fetch_by(builder.build_http(), url, bytes_max, timeout).await;
    }
    let connector = match authorities {
        [] => HttpsConnectorBuilder::new().with_native_roots()?,
        own => HttpsConnectorBuilder::new().with_tls_config(trusting(own)?),
    };
    fetch_by(builder.build(connector.https_only().enable_http1().build()), url, bytes_max, timeout).await
}

fn trusting(authorities: &[Vec<u8>]) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.as_slice().into())?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
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
        // Bounded while it is read, since what an answer says of its length need not be so.
        Ok(Limited::new(response.into_body(), bytes_max).collect().await?.to_bytes())
    };
    tokio::time::timeout(timeout, fetched).await?
}
