//! Webhooks with a data directory: what was answered with 2xx is published, once, whatever happens in between.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{
    Answer, Client, Launch, Random, Scratch, Server, eventually, get, now_s, post, signing,
};

const SECRET: &str = "It's a Secret to Everybody";

const CONFIG: &str = "[[source]]\nname = 'repo'\nprovider = 'github'\nsecret_env = 'HOOK_SECRET'\n\
    [[rule]]\npattern = 'webhook:**'\ndurable = true\nhistory_count = 100000\nhistory_bytes = 100000000\n";

struct Place {
    data: Scratch,
}

impl Place {
    fn new() -> Self {
        Self { data: Scratch::new() }
    }

    fn launch(&self) -> Launch {
        let path = self.data.path().join("data");
        Launch::default().config(CONFIG).env("HOOK_SECRET", SECRET).flag("--data-dir", path.to_str().unwrap())
    }
}

async fn send(server: &Server, id: &str) -> Answer {
    let body = json!({ "id": id }).to_string();
    let headers = signing::github(SECRET, "push", id, body.as_bytes());
    post(server.address, "/in/repo", &headers, body.as_bytes()).await
}

async fn kill(mut server: Server) {
    server.signal("KILL");
    server.exit().await;
}

/// Everything that was published, by the id inside.
async fn published(server: &Server) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    let mut after = String::new();
    loop {
        let path = format!("/v1/topics/webhook:repo/messages?limit=1000{after}");
        let page = get(server.address, &path).await.json();
        let messages = page["messages"].as_array().unwrap();
        for message in messages {
            *found.entry(message["data"]["data"]["id"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        match page["next"].as_str().filter(|_| !messages.is_empty()) {
            Some(next) => after = format!("&after={next}"),
            None => return found,
        }
    }
}

async fn deliveries(server: &Server, query: &str) -> Vec<Value> {
    let page = get(server.address, &format!("/v1/deliveries?{query}")).await.json();
    page["deliveries"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_kill_between_the_answer_and_the_fan_out_loses_nothing() {
    let place = Place::new();
    // There is room for one topic, and another one has it: what comes in is kept, but cannot be published.
    let server = place.launch().flag("--max-topics", "1").start();
    let mut client = Client::connect(&server).await;
    client.subscribe("other").await;
    for id in ["a", "b"] {
        assert_eq!(send(&server, id).await.status, 200);
    }
    let waiting = deliveries(&server, "outcome=accepted").await;
    assert_eq!(waiting.len(), 2);
    assert!(waiting.iter().all(|delivery| delivery["pending"] == true), "{waiting:?}");
    kill(server).await;

    let server = place.launch().start();
    let once = BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 1)]);
    eventually(async || (published(&server).await == once).then_some(())).await;
    eventually(async || {
        deliveries(&server, "").await.iter().all(|delivery| delivery["pending"] == false).then_some(())
    })
    .await;
    // The provider did not hear the answer, and comes again.
    assert_eq!(send(&server, "a").await.status, 200);
    assert_eq!(deliveries(&server, "outcome=duplicate").await.len(), 1);
    assert_eq!(published(&server).await, once);
    kill(server).await;

    // Nothing of it is published once more.
    let server = place.launch().start();
    assert_eq!(send(&server, "c").await.status, 200);
    let all = BTreeMap::from(["a", "b", "c"].map(|id| (id.to_owned(), 1)));
    eventually(async || (published(&server).await.contains_key("c")).then_some(())).await;
    assert_eq!(published(&server).await, all);
}

#[tokio::test]
async fn kills_under_load_lose_and_repeat_nothing() {
    let place = Place::new();
    let mut random = Random::new(7);
    let mut acknowledged = 0;
    for round in 0..4 {
        let server = place.launch().start();
        let ids: Vec<String> = (0..60).map(|number| format!("{round}-{number}")).collect();
        let kill_after = 10 + usize::try_from(random.below(40)).unwrap();
        let mut answered = 0;
        for batch in ids.chunks(10) {
            let sent = futures_util::future::join_all(batch.iter().map(|id| send(&server, id))).await;
            answered += sent.iter().filter(|answer| answer.status == 200).count();
            if answered >= kill_after {
                break;
            }
        }
        acknowledged += answered;
        kill(server).await;
        // The provider comes again with all of them, heard or not.
        let server = place.launch().start();
        for id in &ids {
            assert_eq!(send(&server, id).await.status, 200);
        }
        kill(server).await;
    }
    assert!(acknowledged >= 40);
    let server = place.launch().start();
    let expected: BTreeMap<String, usize> =
        (0..4).flat_map(|round| (0..60).map(move |number| (format!("{round}-{number}"), 1))).collect();
    let mut last = BTreeMap::new();
    let complete = eventually(async || {
        last = published(&server).await;
        (last.len() == expected.len()).then_some(last.clone())
    })
    .await;
    assert_eq!(complete, expected);
}

#[tokio::test]
async fn beyond_the_bound_providers_are_asked_to_come_again() {
    let place = Place::new();
    let config =
        format!("[[source]]\nname = 'pay'\nprovider = 'stripe'\nsecret_env = 'HOOK_SECRET'\n{CONFIG}");
    let full = place.launch().config(&config).flag("--max-topics", "1").flag("--max-webhooks-pending", "2");
    let server = full.start();
    let mut client = Client::connect(&server).await;
    client.subscribe("other").await;
    let pay = async |server: &Server, id: &str| {
        let body = json!({ "id": id, "type": "charge.succeeded" }).to_string();
        let headers = signing::stripe(SECRET, now_s(), body.as_bytes());
        post(server.address, "/in/pay", &headers, body.as_bytes()).await
    };
    assert_eq!(pay(&server, "evt_1").await.status, 200);
    assert_eq!(pay(&server, "evt_2").await.status, 200);
    let refused = pay(&server, "evt_3").await;
    assert_eq!((refused.status, &refused.json()["code"]), (503, &json!("overloaded")));
    assert!(refused.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
    // GitHub would not come again.
    assert_eq!(send(&server, "a").await.status, 200);
    assert_eq!(send(&server, "b").await.status, 200);
    assert_eq!(send(&server, "c").await.status, 503);
    kill(server).await;
    let server = place.launch().config(&config).start();
    assert_eq!(pay(&server, "evt_3").await.status, 200);
    let mut late = Client::connect(&server).await;
    late.ok(json!({ "type": "subscribe", "topic": "webhook:pay", "last": 10 })).await;
    let mut ids = Vec::new();
    while ids.len() < 3 {
        let message = late.expect("message").await;
        ids.push(message["data"]["data"]["id"].as_str().unwrap().to_owned());
    }
    ids.sort();
    assert_eq!(ids, ["evt_1", "evt_2", "evt_3"]);
}

#[tokio::test]
async fn only_so_many_deliveries_are_kept() {
    let place = Place::new();
    let config = CONFIG.replace("[[rule]]", "keep_count = 3\n[[rule]]");
    let server = place.launch().config(&config).start();
    for number in 0..8 {
        assert_eq!(send(&server, &number.to_string()).await.status, 200);
    }
    let kept = eventually(async || {
        let kept = deliveries(&server, "").await;
        (kept.len() == 3).then_some(kept)
    })
    .await;
    kill(server).await;
    let server = place.launch().config(&config).start();
    assert_eq!(deliveries(&server, "").await, kept);
    // They are not forgotten as deliveries that came before.
    assert_eq!(send(&server, "0").await.status, 200);
    assert_eq!(deliveries(&server, "outcome=duplicate").await.len(), 1);
}

#[tokio::test]
async fn what_was_rejected_for_a_wrong_secret_is_replayed_after_a_restart_with_the_right_one() {
    let place = Place::new();
    let wrong = place.launch().env("HOOK_SECRET", "not yet the right one").start();
    for n in 0..5 {
        assert_eq!(send(&wrong, &format!("r-{n}")).await.status, 401);
    }
    // They are written in their own time: the first commit after the last of them, which one more makes sure of, has them.
    let commits = async || {
        let metrics = get(wrong.address, "/metrics").await.body;
        let count = metrics.lines().find_map(|line| line.strip_prefix("fanwire_store_commits_total "));
        count.map_or(0.0, |count| count.parse::<f64>().unwrap())
    };
    let before = commits().await;
    assert_eq!(send(&wrong, "r-5").await.status, 401);
    eventually(async || (commits().await > before).then_some(())).await;
    kill(wrong).await;
    let right = place.launch().start();
    let rejected = deliveries(&right, "outcome=rejected").await;
    assert!((5..=6).contains(&rejected.len()), "{rejected:?}");
    for delivery in &rejected {
        assert_eq!(delivery["cause"], "signature_mismatch");
        let path = format!("/v1/deliveries/{}", delivery["id"].as_str().unwrap());
        let raw = get(right.address, &format!("{path}/raw")).await;
        assert!(raw.body.contains("r-"), "{}", raw.body);
        assert_eq!(post(right.address, &format!("{path}/replay"), "", b"").await.status, 200);
    }
    eventually(async || (published(&right).await.len() == rejected.len()).then_some(())).await;
}

/// A broker whose topics are all taken, so that what comes in is kept and cannot be published.
async fn stuck(launch: Launch) -> (Server, Client) {
    let server = launch.flag("--max-topics", "1").start();
    let mut client = Client::connect(&server).await;
    client.subscribe("other").await;
    (server, client)
}

#[tokio::test]
async fn what_was_planned_is_published_whatever_the_configuration_says_later() {
    let place = Place::new();
    let (server, _client) = stuck(place.launch()).await;
    assert_eq!(send(&server, "a").await.status, 200);
    kill(server).await;
    let changed =
        CONFIG.replace("secret_env = 'HOOK_SECRET'", "secret_env = 'HOOK_SECRET'\ntopic = 'webhook:moved'");
    let server = place.launch().config(&changed).start();
    let once = BTreeMap::from([("a".to_owned(), 1)]);
    eventually(async || (published(&server).await == once).then_some(())).await;
    let moved = get(server.address, "/v1/topics/webhook:moved/messages").await;
    assert!(moved.status == 404 || moved.json()["messages"] == json!([]), "{}", moved.body);
    // What comes now goes where the configuration says now.
    assert_eq!(send(&server, "b").await.status, 200);
    eventually(async || {
        let moved = get(server.address, "/v1/topics/webhook:moved/messages").await.json();
        (moved["messages"].as_array()?.len() == 1).then_some(())
    })
    .await;
    assert_eq!(published(&server).await, once);
    kill(server).await;

    // Not even a source is needed.
    let place = Place::new();
    let (server, _client) = stuck(place.launch()).await;
    assert_eq!(send(&server, "a").await.status, 200);
    kill(server).await;
    let (_, rules) = CONFIG.split_once("[[rule]]").unwrap();
    let server = place.launch().config(&format!("[[rule]]{rules}")).start();
    eventually(async || (published(&server).await == once).then_some(())).await;
}

#[tokio::test]
async fn a_source_that_cannot_publish_leaves_the_others_their_places() {
    let source = |name: &str| {
        format!("[[source]]\nname = '{name}'\nprovider = 'github'\nsecret_env = 'HOOK_SECRET'\n")
    };
    let launch = Launch::default()
        .config(&["flood", "quiet"].map(source).concat())
        .env("HOOK_SECRET", SECRET)
        .flag("--max-webhooks-pending", "8");
    let (server, _client) = stuck(launch).await;
    let send = async |name: &str, id: usize| {
        let body = format!("{{\"id\":\"{name} {id}\"}}");
        let headers = signing::github(SECRET, "push", &id.to_string(), body.as_bytes());
        post(server.address, &format!("/in/{name}"), &headers, body.as_bytes()).await
    };
    // GitHub does not come again, so that twice as many may wait: eight for all, and four of its own.
    for id in 0..20 {
        let answer = send("flood", id).await;
        assert_eq!(answer.status, if id < 12 { 200 } else { 503 }, "{id}: {}", answer.body);
    }
    assert!(send("flood", 20).await.body.contains("max_webhooks_pending"));
    for id in 0..4 {
        assert_eq!(send("quiet", id).await.status, 200, "{id}");
    }
    assert_eq!(send("quiet", 4).await.status, 503);
    // Only what was kept is counted.
    let metrics = get(server.address, "/metrics").await.body;
    assert!(
        metrics.contains("fanwire_webhooks_total{source=\"flood\",outcome=\"accepted\"} 12"),
        "{metrics}"
    );
}

#[tokio::test]
async fn what_a_full_disk_refuses_is_not_counted_as_accepted() {
    let place = Place::new();
    // Nobody has so much room.
    let server = place.launch().flag("--disk-reserve-bytes", "1000000000000000").start();
    for id in ["a", "b", "a"] {
        let answer = send(&server, id).await;
        assert_eq!((answer.status, &answer.json()["code"]), (503, &json!("overloaded")));
    }
    let metrics = get(server.address, "/metrics").await.body;
    assert!(metrics.contains("fanwire_webhooks_total{source=\"repo\",outcome=\"accepted\"} 0"), "{metrics}");
    assert_eq!(deliveries(&server, "outcome=accepted").await.len(), 0);
}
