//! Fetches the keys that an identity provider publishes (RFC 7517), and fetches them again as it rotates them.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use axum::{body::Bytes, http::Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{
    client::legacy::{Client, connect::Connect},
    rt::TokioExecutor,
};

use crate::auth::{KeySet, Published};

/// How long keys are used before they are fetched again.
const REFRESH: Duration = Duration::from_secs(300);

/// How soon after a fetch a token with an unknown key may cause another.
const REFRESH_EARLY: Duration = Duration::from_secs(5);

/// How often is looked whether either is due.
const POLL: Duration = Duration::from_secs(1);

/// How long a fetch may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Largest set of keys, in bytes: providers have a handful, of about a kilobyte each.
const BYTES_MAX: usize = 256 * 1024;

/// Fetches keys now and then for as long as somebody uses them.
pub(super) fn keep_fetched(url: &str, published: &Arc<Published>) {
    let Ok(url) = url.parse::<Uri>() else { return };
    tokio::spawn(refresh(url, Arc::downgrade(published)));
}

async fn refresh(url: Uri, published: Weak<Published>) {
    let mut age = REFRESH;
    while let Some(published) = published.upgrade() {
        if age >= REFRESH || (published.take_wanted() && age >= REFRESH_EARLY) {
            match fetch(&url).await {
                Ok(keys) => published.replace(keys),
                Err(error) => {
                    tracing::warn!(%url, %error, "keys could not be fetched; the old ones stay in use")
                }
            }
            age = Duration::ZERO;
        }
        drop(published);
        tokio::time::sleep(POLL).await;
        age += POLL;
    }
}

type FetchError = Box<dyn std::error::Error + Send + Sync>;

async fn fetch(url: &Uri) -> Result<KeySet, FetchError> {
    let builder = Client::builder(TokioExecutor::new());
    // The configuration allows `http:` on loopback only.
    if url.scheme_str() == Some("http") {
        return fetch_by(builder.build_http(), url).await;
    }
    let connector = HttpsConnectorBuilder::new().with_native_roots()?.https_only().enable_http1().build();
    fetch_by(builder.build(connector), url).await
}

async fn fetch_by<C>(client: Client<C, Empty<Bytes>>, url: &Uri) -> Result<KeySet, FetchError>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let fetched = async {
        let response = client.get(url.clone()).await?;
        if !response.status().is_success() {
            return Err(format!("the answer was {}", response.status()).into());
        }
        let body = Limited::new(response.into_body(), BYTES_MAX).collect().await?.to_bytes();
        Ok(KeySet::from_jwks(&body)?)
    };
    tokio::time::timeout(TIMEOUT, fetched).await?
}
