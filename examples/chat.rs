//! A chat in the terminal: `cargo run --example chat -- alice lobby`.
//!
//! Shows the last messages, who is there, who comes and goes; a line typed is a message sent. After a lost connection
//! it comes back with everything that was said meanwhile. `--url ws://HOST:PORT/ws` names another broker.

use std::time::Duration;

use futures_util::{SinkExt, Stream, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};
use tokio_tungstenite::{connect_async, tungstenite::Message};

type Fault = Box<dyn std::error::Error>;

struct Chat {
    name: String,
    topic: String,
    /// The epoch of the topic.
    epoch: String,
    /// Where to resume: epoch and offset of the last message seen.
    position: Option<(String, u64)>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fault> {
    let mut words = Vec::new();
    let mut url = "ws://127.0.0.1:7400/ws".to_owned();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--url" => url = arguments.next().ok_or("--url needs an address")?,
            _ => words.push(argument),
        }
    }
    let name = words.first().cloned().unwrap_or_else(|| "guest".into());
    let room = words.get(1).cloned().unwrap_or_else(|| "lobby".into());
    let mut chat = Chat { name, topic: format!("chat:{room}"), epoch: String::new(), position: None };
    let mut typed = BufReader::new(tokio::io::stdin()).lines();
    loop {
        match chat.talk(&url, &mut typed).await {
            Ok(()) => return Ok(()),
            Err(fault) => eprintln!("({fault}; coming back in a second)"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

impl Chat {
    /// One connection; ends well when standard input ends.
    async fn talk(&mut self, url: &str, typed: &mut Lines<BufReader<Stdin>>) -> Result<(), Fault> {
        let (socket, _) = connect_async(url).await?;
        let (mut out, mut events) = socket.split();
        out.send(Message::text(self.subscribe().to_string())).await?;
        loop {
            tokio::select! {
                line = typed.next_line() => match line? {
                    Some(text) => {
                        let data = json!({ "name": self.name, "text": text });
                        let publish = json!({ "type": "publish", "id": 2, "topic": self.topic, "data": data });
                        out.send(Message::text(publish.to_string())).await?;
                    }
                    None => return self.hear_the_rest(&mut events).await,
                },
                event = events.next() => self.hear(event.ok_or("the broker is gone")??)?,
            }
        }
    }

    /// What was piped in is answered before we leave.
    async fn hear_the_rest<S>(&mut self, events: &mut S) -> Result<(), Fault>
    where
        S: Stream<Item = Result<Message, tokio_tungstenite::tungstenite::Error>> + Unpin,
    {
        while let Ok(Some(event)) = tokio::time::timeout(Duration::from_millis(200), events.next()).await {
            self.hear(event?)?;
        }
        Ok(())
    }

    fn subscribe(&self) -> Value {
        let mut subscribe = json!({ "type": "subscribe", "id": 1, "topic": self.topic, "presence": true });
        match &self.position {
            Some((epoch, offset)) => subscribe["since"] = json!({ "epoch": epoch, "offset": offset }),
            None => subscribe["last"] = json!(20),
        }
        subscribe
    }

    fn hear(&mut self, message: Message) -> Result<(), Fault> {
        let Message::Text(text) = message else { return Ok(()) };
        let event: Value = serde_json::from_str(&text)?;
        match event["type"].as_str().unwrap_or_default() {
            "ok" if event["id"] == 1 => {
                let here = event["members"].as_array().map_or(0, Vec::len);
                println!("— {} with {here} here —", self.topic);
                if event["recovered"] == false {
                    println!("— too much was said meanwhile; some of it is gone —");
                }
                self.epoch = event["epoch"].as_str().unwrap_or_default().into();
                if event["recovered"] != true {
                    // Known again with the first message; until then we would ask for the last ones anew.
                    self.position = None;
                }
            }
            "message" => {
                let (name, text) = (&event["data"]["name"], &event["data"]["text"]);
                match (name.as_str(), text.as_str()) {
                    (Some(name), Some(text)) => println!("{name}: {text}"),
                    _ => println!("{}", event["data"]),
                }
                if let Some(offset) = event["offset"].as_u64() {
                    self.position = Some((self.epoch.clone(), offset));
                }
            }
            "join" => println!("— {} came —", event["client"].as_str().unwrap_or("somebody")),
            "leave" => println!("— {} left —", event["client"].as_str().unwrap_or("somebody")),
            "error" => println!("! {}", event["message"].as_str().unwrap_or_default()),
            "goodbye" => return Err("the broker says goodbye".into()),
            _ => {}
        }
        Ok(())
    }
}
