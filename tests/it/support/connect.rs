//! The ways to open a connection.

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
};

use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpSocket,
};
use tokio_tungstenite::{
    client_async_with_config,
    tungstenite::{
        Error, client::IntoClientRequest, http::HeaderValue, http::header, protocol::WebSocketConfig,
    },
};

use super::{Client, Encoding, PATIENCE, Server, within};

/// How to connect.
pub(crate) struct Connect {
    address: SocketAddr,
    subprotocol: Option<&'static str>,
    query: String,
    headers: Vec<(header::HeaderName, String)>,
    local: Option<IpAddr>,
    receive_buffer: Option<u32>,
}

impl Connect {
    pub(crate) fn to(server: &Server) -> Self {
        Self::at(server.address)
    }

    pub(crate) fn at(address: SocketAddr) -> Self {
        Self {
            address,
            subprotocol: Some(Encoding::Json.subprotocol()),
            query: String::new(),
            headers: Vec::new(),
            local: None,
            receive_buffer: None,
        }
    }

    pub(crate) fn encoding(mut self, encoding: Encoding) -> Self {
        self.subprotocol = Some(encoding.subprotocol());
        self
    }

    /// Offers this list of subprotocols, or none.
    pub(crate) fn subprotocol(mut self, offer: Option<&'static str>) -> Self {
        self.subprotocol = offer;
        self
    }

    /// A token in the URL.
    pub(crate) fn token(mut self, token: &str) -> Self {
        self.query = format!("?token={token}");
        self
    }

    pub(crate) fn header(mut self, name: header::HeaderName, value: &str) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Comes from this address of the machine.
    pub(crate) fn from(mut self, local: &str) -> Self {
        self.local = Some(local.parse().unwrap());
        self
    }

    /// A small window, so that not reading is soon felt by the broker.
    pub(crate) fn receive_buffer(mut self, bytes: u32) -> Self {
        self.receive_buffer = Some(bytes);
        self
    }

    /// Connects and reads the welcome.
    pub(crate) async fn open(self) -> Client {
        self.attempt().await.unwrap()
    }

    /// Connects, or says how the broker refused.
    pub(crate) async fn attempt(self) -> Result<Client, Error> {
        let socket = TcpSocket::new_v4()?;
        if let Some(local) = self.local {
            socket.bind((local, 0).into())?;
        }
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        let stream = within(PATIENCE, socket.connect(self.address)).await?;
        stream.set_nodelay(true)?;
        self.over(stream, "ws").await
    }

    /// The handshake over a stream that is connected already.
    pub(crate) async fn over<S>(self, stream: S, scheme: &str) -> Result<Client<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut request = format!("{scheme}://{}/ws{}", self.address, self.query).into_client_request()?;
        for (name, value) in self.headers {
            request.headers_mut().insert(name, HeaderValue::from_str(&value)?);
        }
        if let Some(offer) = self.subprotocol {
            request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(offer));
        }
        let config = WebSocketConfig::default().read_buffer_size(8 * 1024);
        let (socket, response) =
            within(PATIENCE, client_async_with_config(request, stream, Some(config))).await?;
        let chosen = response.headers().get(header::SEC_WEBSOCKET_PROTOCOL);
        let chosen = chosen.map(|name| name.to_str().unwrap().to_owned());
        let encoding = match chosen.as_deref() {
            Some("fanwire.v1.msgpack") => Encoding::MsgPack,
            _ => Encoding::Json,
        };
        let mut client =
            Client { socket, encoding, chosen, queue: VecDeque::new(), last_id: 0, welcome: Value::Null };
        client.welcome = match client.next_or_end().await {
            Ok(welcome) if welcome["type"] == "welcome" => welcome,
            Ok(other) => panic!("not a welcome: {other}"),
            Err(_) => return Err(Error::ConnectionClosed),
        };
        Ok(client)
    }
}
