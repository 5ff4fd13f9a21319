//! A WebSocket client that speaks either encoding and reads like a transcript.

use std::collections::VecDeque;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error, Message},
};

use super::{Connect, Encoding, PATIENCE, Server, within};

/// How a connection ended.
#[derive(Debug)]
pub(crate) struct Ending {
    /// The server's close code; none when the connection broke off.
    pub(crate) code: Option<u16>,
    /// What the socket says when it broke off.
    #[expect(dead_code, reason = "for the message of a failed test")]
    pub(crate) error: Option<Error>,
}

/// One connection.
pub(crate) struct Client<S = TcpStream> {
    pub(super) socket: WebSocketStream<S>,
    pub(super) encoding: Encoding,
    /// The subprotocol the server chose.
    pub(crate) chosen: Option<String>,
    /// Events read but not yet asked for.
    pub(super) queue: VecDeque<Value>,
    pub(super) last_id: u64,
    /// The first event.
    pub(crate) welcome: Value,
}

impl Client {
    /// A JSON client.
    pub(crate) async fn connect(server: &Server) -> Self {
        Connect::to(server).open().await
    }

    /// Breaks the connection off with a TCP reset.
    pub(crate) fn reset(self) {
        self.socket.get_ref().set_zero_linger().unwrap();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// The server's name for this connection.
    pub(crate) fn id(&self) -> &Value {
        &self.welcome["client"]
    }

    pub(crate) async fn send(&mut self, value: &Value) {
        self.send_frame(self.encoding.encode(value)).await;
    }

    /// Sends a frame of any kind.
    pub(crate) async fn send_frame(&mut self, frame: Message) {
        within(PATIENCE, self.socket.send(frame)).await.unwrap();
    }

    /// Sends a frame to a broker that may have hung up.
    pub(crate) async fn try_send(&mut self, value: &Value) -> Result<(), Error> {
        within(PATIENCE, self.socket.send(self.encoding.encode(value))).await
    }

    /// The next event.
    pub(crate) async fn next(&mut self) -> Value {
        self.next_or_end().await.unwrap_or_else(|end| panic!("the connection ended: {end:?}"))
    }

    /// The next event or how the connection ended.
    pub(crate) async fn next_or_end(&mut self) -> Result<Value, Ending> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Ok(event);
            }
            for event in self.next_frame().await? {
                self.queue.push_back(event);
            }
        }
    }

    /// The events of the next frame, past any that were queued.
    pub(crate) async fn next_frame(&mut self) -> Result<Vec<Value>, Ending> {
        loop {
            match within(PATIENCE, self.socket.next()).await {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(frame))) => {
                    let code = frame.map(|frame| frame.code.into());
                    return Err(Ending { code, error: None });
                }
                Some(Ok(frame)) => {
                    return Ok(match self.encoding.decode(&frame) {
                        Value::Array(events) => events,
                        event => vec![event],
                    });
                }
                Some(Err(error)) => return Err(Ending { code: None, error: Some(error) }),
                None => return Err(Ending { code: None, error: None }),
            }
        }
    }

    /// An event that was read already while waiting for a reply.
    pub(crate) fn queued(&mut self) -> Option<Value> {
        self.queue.pop_front()
    }

    /// The next event, which is of this type.
    pub(crate) async fn expect(&mut self, kind: &str) -> Value {
        let event = self.next().await;
        assert_eq!(event["type"], kind, "{event}");
        event
    }

    /// The `data` of the next event, a message.
    pub(crate) async fn data(&mut self) -> Value {
        self.expect("message").await["data"].take()
    }

    /// Shows that nothing is on its way: the answer to a ping comes next.
    pub(crate) async fn expect_nothing(&mut self) {
        self.last_id += 1;
        let id = self.last_id;
        self.send(&json!({ "type": "ping", "id": id })).await;
        let event = self.next().await;
        assert_eq!(event, json!({ "type": "pong", "id": id }));
    }

    /// Sends a command under a new id and waits for its reply; other events stay queued.
    pub(crate) async fn call(&mut self, mut command: Value) -> Value {
        self.last_id += 1;
        command["id"] = self.last_id.into();
        self.send(&command).await;
        self.reply(self.last_id).await
    }

    /// The reply with this id; other events stay queued.
    pub(crate) async fn reply(&mut self, id: u64) -> Value {
        let is_reply = |event: &Value| event["id"] == id && event["type"] != "message";
        if let Some(at) = self.queue.iter().position(is_reply) {
            return self.queue.remove(at).unwrap();
        }
        loop {
            let events =
                self.next_frame().await.unwrap_or_else(|end| panic!("the connection ended: {end:?}"));
            let mut reply = None;
            for event in events {
                match is_reply(&event) && reply.is_none() {
                    true => reply = Some(event),
                    false => self.queue.push_back(event),
                }
            }
            if let Some(reply) = reply {
                return reply;
            }
        }
    }

    /// A command that succeeds.
    pub(crate) async fn ok(&mut self, command: Value) -> Value {
        let what = command.to_string();
        let reply = self.call(command).await;
        assert_eq!(reply["type"], "ok", "{what} got {reply}");
        reply
    }

    /// A command that fails; its code.
    pub(crate) async fn error(&mut self, command: Value) -> String {
        let what = command.to_string();
        let reply = self.call(command).await;
        assert_eq!(reply["type"], "error", "{what} got {reply}");
        assert!(reply["retry"].is_boolean() && reply["message"].is_string(), "{reply}");
        reply["code"].as_str().unwrap().into()
    }

    pub(crate) async fn subscribe(&mut self, topic: &str) -> Value {
        self.ok(json!({ "type": "subscribe", "topic": topic })).await
    }

    /// Subscribes where another subscription stood.
    pub(crate) async fn resume(&mut self, topic: &str, epoch: &Value, offset: &Value) -> Value {
        let since = json!({ "epoch": epoch, "offset": offset });
        self.ok(json!({ "type": "subscribe", "topic": topic, "since": since })).await
    }

    pub(crate) async fn publish(&mut self, topic: &str, data: impl Into<Value>) -> Value {
        self.ok(json!({ "type": "publish", "topic": topic, "data": data.into() })).await
    }

    /// Publishes a value under a key.
    pub(crate) async fn publish_key(&mut self, topic: &str, key: &str, data: impl Into<Value>) -> Value {
        self.ok(json!({ "type": "publish", "topic": topic, "key": key, "data": data.into() })).await
    }

    /// Says goodbye as RFC 6455 wants it and waits until the server has closed.
    pub(crate) async fn close(mut self) {
        within(PATIENCE, self.socket.close(None)).await.ok();
        while self.next_or_end().await.is_ok() {}
    }
}
