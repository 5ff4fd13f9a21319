//! A market in the terminal: `cargo run --release --example ticker`.
//!
//! Publishes thousands of price changes a second for eight instruments to `ticker:market`, and shows what a subscriber
//! with `max_rate` 4 sees of it: the newest price of each, four times a second, with the number of changes left out.
//! Options: `--rate 5000` changes a second, `--seconds 10`, `--url ws://HOST:PORT/ws`.

use std::{
    collections::BTreeMap,
    io::IsTerminal,
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::{connect_async, tungstenite::Message};

type Fault = Box<dyn std::error::Error>;

const TOPIC: &str = "ticker:market";

/// Instruments with a starting price and a volatility per change.
const INSTRUMENTS: [(&str, f64, f64); 8] = [
    ("BTC-USD", 97_450.0, 2e-5),
    ("ETH-USD", 3_360.0, 3e-5),
    ("SOL-USD", 255.0, 5e-5),
    ("EUR-USD", 1.0418, 3e-6),
    ("XAU-USD", 2_716.0, 8e-6),
    ("AAPL", 229.87, 1e-5),
    ("NVDA", 141.95, 3e-5),
    ("TSLA", 352.56, 4e-5),
];

struct Options {
    url: String,
    rate: u32,
    seconds: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fault> {
    let options = options()?;
    let feed = feed(&options);
    let board = board(&options.url);
    tokio::select! {
        fed = feed => println!("{} changes published", fed?),
        shown = board => shown?,
    }
    Ok(())
}

fn options() -> Result<Options, Fault> {
    let mut options = Options { url: "ws://127.0.0.1:7400/ws".into(), rate: 5_000, seconds: 10 };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--url" => options.url = value,
            "--rate" => options.rate = value.parse()?,
            "--seconds" => options.seconds = value.parse()?,
            _ => return Err(format!("unknown option {name}").into()),
        }
    }
    Ok(options)
}

/// Publishes random walks in batches of 10 ms, each batch one frame.
async fn feed(options: &Options) -> Result<u64, Fault> {
    let (mut socket, _) = connect_async(&options.url).await?;
    let mut prices = INSTRUMENTS.map(|(_, price, _)| price);
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    let started = Instant::now();
    let mut published = 0;
    while started.elapsed() < Duration::from_secs(options.seconds) {
        ticks.tick().await;
        let due = u64::try_from(started.elapsed().as_millis())? * u64::from(options.rate) / 1_000;
        let batch: Vec<Value> = (published..due).map(|_| change(&mut prices, &mut random)).collect();
        published = due.max(published);
        for part in batch.chunks(500) {
            socket.send(Message::text(serde_json::to_string(part)?)).await?;
        }
    }
    socket.close(None).await?;
    Ok(published)
}

fn change(prices: &mut [f64; 8], random: &mut Random) -> Value {
    let index = (random.next() % 8) as usize;
    let (key, _, volatility) = INSTRUMENTS[index];
    prices[index] *= 1.0 + volatility * random.normal();
    let data = json!({ "price": (prices[index] * 1e4).round() / 1e4, "size": random.next() % 900 + 100 });
    json!({ "type": "publish", "topic": TOPIC, "key": key, "data": data })
}

/// Shows the newest prices as a subscriber gets them.
async fn board(url: &str) -> Result<(), Fault> {
    let (mut socket, _) = connect_async(url).await?;
    let subscribe = json!({ "type": "subscribe", "id": 1, "topic": TOPIC, "max_rate": 4 });
    socket.send(Message::text(subscribe.to_string())).await?;
    let mut rows: BTreeMap<String, (f64, u64)> = BTreeMap::new();
    let mut shown = Instant::now();
    while let Some(message) = socket.next().await {
        let Message::Text(text) = message? else { continue };
        let event: Value = serde_json::from_str(&text)?;
        match event["type"].as_str() {
            Some("message") => {
                let row = rows.entry(event["key"].as_str().unwrap_or_default().into()).or_default();
                row.0 = event["data"]["price"].as_f64().unwrap_or_default();
                row.1 += event["skipped"].as_u64().unwrap_or_default() + 1;
            }
            Some("error") => return Err(event["message"].to_string().into()),
            _ => {}
        }
        if shown.elapsed() > Duration::from_millis(200) && !rows.is_empty() {
            shown = Instant::now();
            show(&rows);
        }
    }
    Ok(())
}

fn show(rows: &BTreeMap<String, (f64, u64)>) {
    if std::io::stdout().is_terminal() {
        print!("\x1b[2J\x1b[H");
    }
    println!("{:<10} {:>14} {:>10}", "", "price", "changes");
    for (key, (price, changes)) in rows {
        println!("{key:<10} {price:>14.4} {changes:>10}");
    }
}

/// Enough randomness for made-up prices (xorshift64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// About a standard normal deviate: a sum of twelve uniform ones (Irwin–Hall).
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.next() as f64 / u64::MAX as f64).sum::<f64>() - 6.0
    }
}
