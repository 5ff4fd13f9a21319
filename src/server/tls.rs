//! TLS from certificate files.

use std::sync::Arc;

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

use crate::config::TlsFiles;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or holds no PEM of the right kind.
    #[error("`{key}`: {file}: {source}")]
    File {
        /// The setting.
        key: &'static str,
        /// Its value.
        file: String,
        /// What was wrong.
        source: rustls::pki_types::pem::Error,
    },
    /// Certificate and key do not fit together or cannot be used.
    #[error("`tls_cert` and `tls_key`: {0}")]
    Identity(#[from] rustls::Error),
}

/// Reads the files.
pub(super) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, TlsError> {
    let fail = |key, file: &std::path::Path| {
        let file = file.display().to_string();
        move |source| TlsError::File { key, file, source }
    };
    let chain = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(fail("tls_cert", &files.cert))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(fail("tls_key", &files.key))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    // Nothing newer: a shard takes the whole socket over, which HTTP/2 would share with other requests.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
