//! The client against the real broker, through a proxy that breaks connections in every way networks know.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod support;

use std::time::Duration;

use fanwire_client::{
    Client, Code, Event, Format, HistoryOptions, Message, Options, Payload, Publication, State,
    SubscribeOptions, Subscription,
};
use futures_util::{SinkExt, StreamExt};
use support::{Broker, Fault, Proxy};
use tokio::time::timeout;

/// Anything that takes longer has failed.
const LIMIT: Duration = Duration::from_secs(30);

/// Comes back quickly and notices silence quickly.
fn quick() -> Options {
    Options {
        backoff_min: Duration::from_millis(10),
        backoff_max: Duration::from_millis(100),
        ping_interval: Duration::from_millis(300),
        ping_timeout: Duration::from_millis(300),
        connect_timeout: Duration::from_secs(2),
        ..Options::default()
    }
}

fn number(number: u64) -> Payload {
    Payload::json(&number.to_string()).unwrap()
}

fn read(message: &Message) -> u64 {
    match &message.payload {
        Payload::Json(json) => json.get().parse().unwrap(),
        Payload::Bytes(_) => panic!("bytes"),
    }
}

async fn next(subscription: &mut Subscription) -> Event {
    timeout(LIMIT, subscription.next()).await.expect("something comes in time").unwrap().unwrap()
}

/// The next message, whatever comes before it.
async fn message(subscription: &mut Subscription) -> Message {
    loop {
        if let Event::Message(message) = next(subscription).await {
            return message;
        }
    }
}

/// Waits until the broker knows of a subscription, which the client does not tell.
async fn subscribed(client: &Client, topic: &str, clients: usize) {
    while client.presence(topic).await.unwrap().clients < clients {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn everything_once_in_both_formats() {
    let broker = Broker::start();
    for format in Format::ALL {
        let topic = format!("chat:{format:?}");
        let client = Client::connect(&broker.url(), Options { format, ..quick() }).unwrap();
        let options = SubscribeOptions { presence: true, ..SubscribeOptions::default() };
        let mut subscription = client.subscribe(&topic, options).await.unwrap();
        assert!(matches!(next(&mut subscription).await, Event::Join(_)));
        assert_eq!(subscription.members().len(), 1);

        let published = client.publish(&topic, number(7)).await.unwrap();
        let arrived = message(&mut subscription).await;
        assert_eq!((read(&arrived), arrived.offset), (7, published.offset));
        assert_eq!(subscription.position().unwrap().offset, published.offset);
        let bytes = Payload::Bytes(vec![0, 255, 1].into());
        client.publish(&topic, bytes.clone()).await.unwrap();
        assert_eq!(message(&mut subscription).await.payload, bytes);

        let twice = Publication { message_id: Some("same".into()), ..number(8).into() };
        assert!(!client.publish(&topic, twice.clone()).await.unwrap().duplicate);
        assert!(client.publish(&topic, twice).await.unwrap().duplicate);
        let history = client.history(&topic, HistoryOptions::default()).await.unwrap();
        assert_eq!((history.messages.len(), history.more), (3, false));

        let again = client.subscribe(&topic, SubscribeOptions::default()).await.unwrap_err();
        assert_eq!(again.code, Code::AlreadySubscribed);
        assert_eq!(
            client.subscribe("a*", SubscribeOptions::default()).await.unwrap_err().code,
            Code::Invalid
        );
        drop(subscription);
        while client.presence(&topic).await.unwrap().clients > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut later = client
            .subscribe(&topic, SubscribeOptions { last: 2, ..SubscribeOptions::default() })
            .await
            .unwrap();
        assert_eq!(message(&mut later).await.payload, bytes);
        client.close().await;
        assert_eq!(*client.state().borrow(), State::Closed);
        assert_eq!(client.publish(&topic, number(9)).await.unwrap_err().code, Code::Closed);
        while let Some(event) = later.next().await {
            event.unwrap();
        }
    }
}

/// Both clients' connections break again and again, in one way; nothing is lost, repeated or out of order.
async fn survives(fault: Fault) {
    const COUNT: u64 = 200;
    let broker = Broker::start();
    let proxy = Proxy::start(broker.address()).await;
    let subscriber = Client::connect(&proxy.url(), quick()).unwrap();
    let publisher = Client::connect(&proxy.url(), quick()).unwrap();
    let mut subscription = subscriber.subscribe("chat:x", SubscribeOptions::default()).await.unwrap();
    subscribed(&publisher, "chat:x", 1).await;
    let breaking = tokio::spawn(async move {
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(150)).await;
            proxy.strike(fault);
        }
        proxy
    });
    let sending = tokio::spawn(async move {
        for sent in 0..COUNT {
            publisher.publish("chat:x", number(sent)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
    });
    let mut recoveries = 0;
    let mut expected = 0;
    while expected < COUNT {
        match next(&mut subscription).await {
            Event::Message(message) => {
                assert_eq!(read(&message), expected, "{fault:?}");
                expected += 1;
            }
            Event::Recovered { whole, .. } => {
                assert!(whole, "{fault:?}");
                recoveries += 1;
            }
            other => panic!("{fault:?}: {other:?}"),
        }
    }
    timeout(LIMIT, sending).await.unwrap().unwrap();
    assert!(recoveries > 0, "{fault:?} did not break anything");
    drop(breaking.await.unwrap());
}

#[tokio::test]
async fn survives_connections_that_are_cut() {
    survives(Fault::Cut).await;
}

#[tokio::test]
async fn survives_connections_that_fall_silent() {
    survives(Fault::Silence).await;
}

#[tokio::test]
async fn survives_garbage() {
    survives(Fault::Garbage).await;
}

#[tokio::test]
async fn survives_brokers_that_stop_sending_but_listen_on() {
    survives(Fault::HalfClose).await;
}

#[tokio::test]
async fn a_broker_that_drains_or_dies_is_waited_for() {
    let mut broker = Broker::start();
    for signal in ["-TERM", "-KILL"] {
        let client = Client::connect(&broker.url(), quick()).unwrap();
        let mut subscription = client.subscribe("chat:x", SubscribeOptions::default()).await.unwrap();
        client.publish("chat:x", number(1)).await.unwrap();
        assert_eq!(read(&message(&mut subscription).await), 1);
        broker.end(signal);
        let waiting = tokio::spawn({
            let client = client.clone();
            async move { client.publish("chat:x", number(2)).await }
        });
        broker = broker.again();
        timeout(LIMIT, waiting).await.unwrap().unwrap().unwrap();
        // What was in memory is gone, and the client says so.
        assert!(matches!(next(&mut subscription).await, Event::Recovered { whole: false, .. }));
        client.close().await;
    }
}

#[tokio::test]
async fn queues_and_buffers_are_bounded_and_say_so() {
    let broker = Broker::start();
    let client = Client::connect(&broker.url(), quick()).unwrap();
    let options = SubscribeOptions { buffer: 3, ..SubscribeOptions::default() };
    let mut slow = client.subscribe("chat:x", options).await.unwrap();
    subscribed(&client, "chat:x", 1).await;
    for sent in 0..10 {
        client.publish("chat:x", number(sent)).await.unwrap();
    }
    for expected in 0..3 {
        assert_eq!(read(&message(&mut slow).await), expected);
    }
    let error = timeout(LIMIT, slow.next()).await.unwrap().unwrap().unwrap_err();
    assert_eq!(error.code, Code::Overflow);
    assert!(slow.next().await.is_none());
    // It can be taken up again where it was left.
    let options = SubscribeOptions { since: slow.position(), ..SubscribeOptions::default() };
    let mut again = client.subscribe("chat:x", options).await.unwrap();
    assert!(matches!(next(&mut again).await, Event::Recovered { whole: true, .. }));
    assert_eq!(read(&message(&mut again).await), 3);

    let nobody = Client::connect("ws://127.0.0.1:1/ws", Options { queue_count: 1, ..quick() }).unwrap();
    let waits = tokio::spawn({
        let nobody = nobody.clone();
        async move { nobody.publish("chat:x", number(1)).await }
    });
    // The other one is in the queue first.
    tokio::task::yield_now().await;
    let full = loop {
        let outcome = timeout(Duration::from_millis(200), nobody.publish("chat:x", number(2))).await;
        if let Ok(outcome) = outcome {
            break outcome.unwrap_err();
        }
    };
    assert_eq!(full.code, Code::QueueFull);
    let now_or_never = Publication { queue: false, ..number(3).into() };
    assert_eq!(nobody.publish("chat:x", now_or_never).await.unwrap_err().code, Code::Offline);
    nobody.close().await;
    assert_eq!(waits.await.unwrap().unwrap_err().code, Code::Closed);
}

#[tokio::test]
async fn values_come_at_the_rate_asked_for_and_the_last_one_always() {
    let broker = Broker::start();
    let client = Client::connect(&broker.url(), quick()).unwrap();
    let options = SubscribeOptions { max_rate: Some(5.0), ..SubscribeOptions::default() };
    let mut subscription = client.subscribe("ticker:x", options).await.unwrap();
    subscribed(&client, "ticker:x", 1).await;
    for sent in 1..=50 {
        let value = Publication { key: Some("k".into()), ..number(sent).into() };
        client.publish("ticker:x", value).await.unwrap();
    }
    let (mut received, mut skipped) = (0, 0);
    loop {
        let message = message(&mut subscription).await;
        received += 1;
        skipped += message.skipped;
        if read(&message) == 50 {
            break;
        }
    }
    assert!(received < 50 && received + skipped == 50, "{received} and {skipped}");
}

#[tokio::test]
async fn a_sink_publishes_one_after_the_other() {
    let broker = Broker::start();
    let client = Client::connect(&broker.url(), quick()).unwrap();
    let mut sink = client.publisher("chat:x").unwrap();
    for sent in 0..20 {
        sink.send(number(sent)).await.unwrap();
    }
    let history = client.history("chat:x", HistoryOptions::default()).await.unwrap();
    assert_eq!(history.messages.iter().map(read).collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_the_token_names_is_subscribed_to_as_the_program_says() {
    let broker = Broker::start_with(&[("FANWIRE_AUTH_HMAC_SECRET", support::SECRET)]);
    let token = |flags: &[&str]| Some(fanwire_client::Token::Fixed(support::token_with(60, flags)));
    let publisher = Client::connect(&broker.url(), Options { token: token(&[]), ..quick() }).unwrap();
    for sent in 0..3 {
        publisher.publish("chat:x", number(sent)).await.unwrap();
    }
    let named = Options { token: token(&["--subs", "chat:x"]), ..quick() };
    let client = Client::connect(&broker.url(), named).unwrap();
    let options = SubscribeOptions { last: 2, ..SubscribeOptions::default() };
    let mut subscription = client.subscribe("chat:x", options).await.unwrap();
    for sent in 1..3 {
        assert_eq!(read(&message(&mut subscription).await), sent);
    }
    publisher.publish("chat:x", number(3)).await.unwrap();
    assert_eq!(read(&message(&mut subscription).await), 3);
}

#[tokio::test]
async fn tokens_are_asked_for_and_replaced_before_they_end() {
    let broker = Broker::start_with(&[("FANWIRE_AUTH_HMAC_SECRET", support::SECRET)]);
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let token = fanwire_client::Token::callback({
        let asked = std::sync::Arc::clone(&asked);
        move || {
            asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            async { Ok(support::token(3)) }
        }
    });
    let client = Client::connect(&broker.url(), Options { token: Some(token), ..quick() }).unwrap();
    let mut subscription = client.subscribe("chat:x", SubscribeOptions::default()).await.unwrap();
    // Longer than the first token lasts.
    for sent in 0..40 {
        client.publish("chat:x", number(sent)).await.unwrap();
        assert_eq!(read(&message(&mut subscription).await), sent);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(asked.load(std::sync::atomic::Ordering::Relaxed) >= 2);

    let wrong = fanwire_client::Token::Fixed("nonsense".into());
    let stranger = Client::connect(&broker.url(), Options { token: Some(wrong), ..quick() }).unwrap();
    let mut refused = stranger.subscribe("chat:x", SubscribeOptions::default()).await.unwrap();
    let error = timeout(LIMIT, refused.next()).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error.code, Code::Broker(_) | Code::Stopped), "{error:?}");
    assert_eq!(*stranger.state().borrow(), State::Closed);
}
