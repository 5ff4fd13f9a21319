//! A chat room in a terminal: `cargo run -p fanwire-client --example chat -- ann lobby`, several times over.

use fanwire_client::{Client, Event, Options, Payload, SubscribeOptions};
use futures_util::StreamExt;
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "someone".into());
    let room = format!("chat:{}", arguments.next().unwrap_or_else(|| "lobby".into()));
    let url = std::env::var("FANWIRE_URL").unwrap_or_else(|_| "ws://127.0.0.1:7400/ws".into());

    let client = Client::connect(&url, Options::default())?;
    let mut messages = client.subscribe(&room, SubscribeOptions { last: 20, ..Default::default() }).await?;
    let mut lines = BufReader::new(stdin()).lines();
    loop {
        tokio::select! {
            event = messages.next() => match event {
                Some(Ok(Event::Message(message))) => match message.payload {
                    Payload::Json(json) => println!("{}", json.get()),
                    Payload::Bytes(bytes) => println!("{} bytes", bytes.len()),
                },
                Some(Ok(Event::Recovered { whole: false, .. })) => println!("(something may be missing here)"),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(()),
            },
            line = lines.next_line() => match line? {
                Some(line) => {
                    client.publish(&room, Payload::text(&format!("{name}: {line}"))?).await?;
                }
                None => {
                    client.close().await;
                    return Ok(());
                }
            },
        }
    }
}
