//! From a URL to an open WebSocket.

use std::sync::Arc;

use fanwire_proto::Format;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::error::{Code, Error};
use crate::options::{FRAME_BYTES_MAX, Options};

/// A byte stream, bare or with TLS.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

pub(crate) type Socket = WebSocketStream<Box<dyn Io>>;

/// Where the broker is.
#[derive(Clone)]
pub(crate) struct Address {
    url: String,
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    format: Format,
}

impl Address {
    /// Takes a URL apart.
    pub(crate) fn read(url: &str, options: &Options) -> Result<Self, Error> {
        let wrong = |what: &str| Error::new(Code::Invalid, format!("{url}: {what}"));
        let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("no URL"))?;
        let secure = match scheme {
            "ws" => false,
            "wss" => true,
            _ => return Err(wrong("neither ws:// nor wss://")),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let bare = |host: &str| host.trim_matches(['[', ']']).to_owned();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (bare(host), port.parse().map_err(|_| wrong("its port is no number"))?)
            }
            _ => (bare(authority), if secure { 443 } else { 80 }),
        };
        // A user and a password in the address would end up in logs; who the client is belongs into the token.
        if host.is_empty() || host.contains('@') {
            return Err(wrong("no host, or one with a user"));
        }
        let tls = if secure {
            let config = options.tls.clone().ok_or_else(|| wrong("`Options::tls` says whom to trust"))?;
            let name = host.clone().try_into().map_err(|_| wrong("its host is no name for a certificate"))?;
            Some((TlsConnector::from(config), name))
        } else {
            None
        };
        Ok(Self { url: url.to_owned(), host, port, tls, format: options.format })
    }

    /// Connects and shakes hands.
    pub(crate) async fn open(self: Arc<Self>) -> Result<Socket, String> {
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|e| e.to_string())?;
        // Frames are small and written whole: waiting to fill a packet would only delay them.
        tcp.set_nodelay(true).map_err(|error| error.to_string())?;
        let io: Box<dyn Io> = match &self.tls {
            None => Box::new(tcp),
            Some((tls, name)) => {
                Box::new(tls.connect(name.clone(), tcp).await.map_err(|error| error.to_string())?)
            }
        };
        let mut request = self.url.as_str().into_client_request().map_err(|error| error.to_string())?;
        let protocol = HeaderValue::from_static(self.format.subprotocol());
        request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
        let limits = WebSocketConfig::default()
            .max_message_size(Some(FRAME_BYTES_MAX))
            .max_frame_size(Some(FRAME_BYTES_MAX));
        let opened = client_async_with_config(request, io, Some(limits)).await;
        opened.map(|(socket, _)| socket).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart_or_refused() {
        let read = |url| Address::read(url, &Options::default());
        let plain = read("ws://127.0.0.1:7400/ws?x=1").unwrap();
        assert_eq!((plain.host.as_str(), plain.port), ("127.0.0.1", 7400));
        let six = read("ws://[::1]:7400/ws").unwrap();
        assert_eq!((six.host.as_str(), six.port), ("::1", 7400));
        assert_eq!(read("ws://[::1]/ws").unwrap().port, 80);
        for url in ["127.0.0.1:7400", "http://h/ws", "ws:///ws", "ws://h:x/ws", "ws://u:p@h/ws", "wss://h/ws"]
        {
            assert_eq!(read(url).err().map(|error| error.code), Some(Code::Invalid), "{url}");
        }
    }
}
