//! Back ends that write at once: of each round of contenders exactly one is taken, and what was acknowledged is there, also
//! after the broker was killed. Documents contend by `If-Match` and `If-None-Match`, topics by message ids and idempotency
//! keys.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Answer, Launch, Random, Scratch, Server, eventually, get, post, request};

/// Where things are kept: in memory, or on the disk in one of two ways.
const KEEPING: [Option<&str>; 3] =
    [None, Some("durable = true\n"), Some("durable = true\ndeliver = 'accepted'\n")];

/// A broker whose documents and topics are kept like this, and its successors.
struct Place {
    rules: String,
    data: Scratch,
    durable: bool,
    /// Messages are seen before they are durable, so that positions start over after a crash.
    seen_early: bool,
}

impl Place {
    fn new(keeping: Option<&str>) -> Self {
        let more = keeping.unwrap_or_default();
        let rules = format!(
            "[[rule]]\npattern = 'doc:**'\nkind = 'document'\n{more}[[rule]]\npattern = 'log:**'\n{more}"
        );
        let seen_early = more.contains("accepted");
        Self { rules, data: Scratch::new(), durable: keeping.is_some(), seen_early }
    }

    fn start(&self) -> Server {
        let launch = Launch::default().config(&self.rules);
        match self.durable {
            true => launch.flag("--data-dir", self.data.path().to_str().unwrap()).start(),
            false => launch.start(),
        }
    }

    /// Kills a broker whose things outlive it, and starts the next one.
    async fn kill(&self, mut server: Server) -> Server {
        if !self.durable {
            return server;
        }
        server.signal("KILL");
        server.exit().await;
        self.start()
    }
}

/// What a back end says of the document it wants to replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    /// There is none.
    Absent,
    /// It is what it was at the end of the last round.
    Current,
    /// It is what it was before.
    Outdated,
}

/// A document as its back ends know it.
struct Document {
    path: String,
    /// What the last one that was taken has written, and where the document stood then and before.
    text: Option<String>,
    tags: Vec<String>,
}

impl Document {
    fn header(&self, condition: Condition) -> Option<String> {
        let tag = match condition {
            Condition::Absent => return Some("If-None-Match: *\r\n".into()),
            Condition::Current => self.tags.last()?,
            Condition::Outdated => self.tags.get(self.tags.len().checked_sub(2)?)?,
        };
        Some(format!("If-Match: {tag}\r\n"))
    }

    /// Whether one with this condition may be taken.
    fn is_met(&self, condition: Condition) -> bool {
        match condition {
            Condition::Absent => self.text.is_none(),
            Condition::Current => true,
            Condition::Outdated => false,
        }
    }

    /// Has some back ends write at once.
    async fn contend(&mut self, server: &Server, random: &mut Random, round: u64) {
        let conditions = [Condition::Absent, Condition::Current, Condition::Current, Condition::Outdated];
        let contenders: Vec<_> = (0..2 + random.below(4))
            .map(|writer| (*random.pick(&conditions), format!("{round}/{writer}")))
            .filter_map(|(condition, text)| Some((condition, self.header(condition)?, text)))
            .collect();
        let write = async |(condition, header, text): &(Condition, String, String)| {
            let body = json!({ "text": text }).to_string();
            let head = format!(
                "PUT {} HTTP/1.1\r\nContent-Type: application/json\r\n{header}Content-Length: {}\r\n",
                self.path,
                body.len()
            );
            // More at once than one document may be asked for are told to come again.
            let answer = eventually(async || {
                let answer = request(server.address, &head, body.as_bytes()).await;
                (answer.status != 503).then_some(answer)
            });
            (*condition, text.clone(), answer.await)
        };
        let answers: Vec<(Condition, String, Answer)> = join_all(contenders.iter().map(write)).await;
        let mut taken = Vec::new();
        for (condition, text, answer) in &answers {
            match answer.status {
                200 => {
                    assert!(self.is_met(*condition), "{condition:?} was taken: {}", answer.body);
                    taken.push((text.clone(), answer.json()));
                }
                status => assert_eq!((status, &answer.json()["code"]), (412, &json!("precondition_failed"))),
            }
        }
        let expected = usize::from(answers.iter().any(|(condition, ..)| self.is_met(*condition)));
        assert_eq!(taken.len(), expected, "of {contenders:?} at {:?}", self.tags);
        if let Some((text, place)) = taken.pop() {
            self.tags.push(format!("\"{}:{}\"", place["epoch"].as_str().unwrap(), place["offset"]));
            self.text = Some(text);
        }
    }

    /// The broker was killed, and positions are others since: what was read before may not be written on.
    async fn begin_anew(&mut self, server: &Server) {
        let read = get(server.address, &self.path).await;
        if !self.tags.is_empty() {
            self.tags.push(read.header("etag").unwrap().to_owned());
        }
    }

    /// The document is what was acknowledged last.
    async fn check(&self, server: &Server) {
        let read = get(server.address, &self.path).await;
        assert_eq!(read.status, 200, "{}", read.body);
        let expected = self.text.as_ref().map_or(json!({}), |text| json!({ "text": text }));
        assert_eq!(read.json(), expected, "{}", self.path);
        if let Some(tag) = self.tags.last() {
            assert_eq!(read.header("etag"), Some(tag.as_str()), "{}", self.path);
        }
    }
}

async fn documents_contend(keeping: Option<&str>, seed: u64) {
    let mut random = Random::new(seed);
    let place = Place::new(keeping);
    let mut server = place.start();
    let mut documents: Vec<Document> = (0..4)
        .map(|number| Document { path: format!("/v1/documents/doc:{number}"), text: None, tags: Vec::new() })
        .collect();
    for round in 0..24 {
        let number = usize::try_from(random.below(4)).unwrap();
        documents[number].contend(&server, &mut random, round).await;
        documents[number].check(&server).await;
        if random.below(8) == 0 {
            server = place.kill(server).await;
            for document in &mut documents {
                if place.seen_early {
                    document.begin_anew(&server).await;
                }
                document.check(&server).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_documents_one_writer_is_taken_and_never_lost() {
    for (seed, keeping) in KEEPING.into_iter().enumerate() {
        documents_contend(keeping, seed as u64).await;
    }
}

/// How back ends say that they publish the same message.
#[derive(Clone, Copy)]
enum Same {
    MessageId,
    IdempotencyKey,
}

async fn topics_contend(keeping: Option<&str>, seed: u64) {
    let mut random = Random::new(seed);
    let place = Place::new(keeping);
    let mut server = place.start();
    let ack = if place.durable { "durable" } else { "accepted" };
    // What was acknowledged, by topic and offset.
    let mut acknowledged: [BTreeMap<u64, Value>; 2] = Default::default();
    for round in 0..32 {
        let number = usize::try_from(random.below(2)).unwrap();
        let same = *random.pick(&[Same::MessageId, Same::IdempotencyKey]);
        let header = match same {
            Same::MessageId => format!("Message-Id: round-{round}\r\n"),
            Same::IdempotencyKey => format!("Idempotency-Key: \"round-{round}\"\r\n"),
        };
        let path = format!("/v1/topics/log:{number}/messages?ack={ack}");
        let data = json!({ "round": round });
        let publish = async |_| {
            // Of one that is being worked on the others are told so, and come again.
            eventually(async || {
                let headers = format!("Content-Type: application/json\r\n{header}");
                let answer = post(server.address, &path, &headers, data.to_string().as_bytes()).await;
                (answer.status != 409).then_some(answer)
            })
            .await
        };
        let answers = join_all((0..2 + random.below(4)).map(publish)).await;
        let offset = answers[0].json()["offset"].as_u64().unwrap();
        let mut first = 0;
        for answer in &answers {
            assert_eq!((answer.status, &answer.json()["offset"]), (200, &json!(offset)), "{}", answer.body);
            let again = match same {
                Same::MessageId => answer.json()["duplicate"] == true,
                Same::IdempotencyKey => answer.header("idempotency-replayed") == Some("true"),
            };
            first += usize::from(!again);
        }
        assert_eq!(first, 1, "one of {} was taken", answers.len());
        assert_eq!(acknowledged[number].insert(offset, data), None, "an offset is given once");
        if random.below(8) == 0 {
            server = place.kill(server).await;
        }
        for (number, acknowledged) in acknowledged.iter().enumerate() {
            let history =
                get(server.address, &format!("/v1/topics/log:{number}/messages?limit=1000")).await.json();
            let messages = history["messages"].as_array().unwrap();
            let kept: BTreeMap<u64, Value> = messages
                .iter()
                .map(|message| (message["offset"].as_u64().unwrap(), message["data"].clone()))
                .collect();
            assert_eq!((messages.len(), &kept), (acknowledged.len(), acknowledged), "log:{number}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_messages_that_are_the_same_one_is_taken_and_never_lost() {
    for (seed, keeping) in KEEPING.into_iter().enumerate() {
        topics_contend(keeping, seed as u64).await;
    }
}
