//! Damaged tables of a store with many topics that share blocks: what is read is right or refused, nothing is used twice,
//! and what is acknowledged afterwards is kept.
//!
//! `cargo test --release --lib broker::damage_test -- --ignored --nocapture` damages a store at many more places.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use fanwire_proto::{Ack, Epoch, Offset, Payload, Position, TopicName};

use super::*;
use crate::{
    auth::Authenticator,
    document::coverage::Coverage,
    durable::Run,
    memory::{Owner, Plan},
    metrics::Metrics,
    order::Placing,
    store::{Committer, Disk, DiskOptions, Pace, StoreError, scratch},
    topic::{Draft, HistoryQuery, Keeping, Kind, KindRule, Merging, Retention, Rule, Rules},
    worker::Workers,
};

const TOPICS: usize = 25;
const ROUNDS: u8 = 6;

fn unix_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// The names of all kinds alternate in the order of keys, so that neighbours are of other kinds.
fn name(number: usize, kind: Kind) -> TopicName {
    format!("t:{number:03}:{}", kind.as_str()).parse().unwrap()
}

fn rules() -> Rules {
    let rule = |kind| Arc::new(Rule { kind, presence: false, keeping: Keeping::Durable });
    let of = |kind: Kind, rule| (format!("t:*:{}", kind.as_str()).parse().unwrap(), rule);
    let latest = KindRule::Latest { max_keys: 100, max_age: None };
    let by_pattern = vec![
        of(Kind::Latest, rule(latest)),
        of(Kind::Document, rule(KindRule::Document(Merging { max_bytes: 1_000_000, updates: 4 }))),
    ];
    Rules { by_pattern, default: rule(KindRule::Log(Retention::default())) }
}

/// A broker on a directory.
struct World {
    broker: Broker,
    disk: Arc<Disk>,
    thread: Option<JoinHandle<()>>,
}

impl World {
    fn open(path: &Path) -> Result<Self, StoreError> {
        let disk = Arc::new(Disk::open(path, DiskOptions { reserve_bytes: 0, ..DiskOptions::default() })?);
        let limits = Limits {
            max_subscriptions: 10,
            max_commands_per_second: 10,
            max_false_tokens_per_second: u32::MAX,
            max_topics: 1_000,
            max_message_bytes: 10_000,
            max_update_bytes: 10_000,
            memory: Plan::of(1 << 30),
            max_topics_per_owner: 1_000,
            max_outbox_bytes: 1_000,
        };
        let policy = Policy { rules: rules(), limits, authenticator: Authenticator::default() };
        let (run, begun) = Run::begin(&*disk)?;
        let pace = Pace { delay: Duration::ZERO, messages: 1 };
        let (committer, thread) = Committer::start(disk.clone(), pace, begun)?;
        let workers = Workers::start().unwrap();
        let broker =
            Broker::new(Vec::new().into(), policy, committer, run, Metrics::new().0, workers).unwrap();
        Ok(Self { broker, disk, thread: Some(thread) })
    }

    fn publish(&self, topic: &TopicName, key: Option<&str>, payload: Payload) -> Option<Position> {
        let draft = Draft {
            payload,
            key: key.map(Into::into),
            message_id: None,
            tags: None,
            from: None,
            not_to: None,
            by: Owner::default(),
        };
        let placing = self.broker.publish_and_wait(topic, draft, Some(Ack::Durable), unix_ms()).ok()?;
        let Placing::Pending(outcome) = placing else { panic!("placed before it was durable") };
        let receipt = outcome.blocking_recv().unwrap().ok()?;
        Some(Position { epoch: receipt.epoch, offset: receipt.offset })
    }

    /// What a reader gets who has seen everything up to a position, and whether it is said to be all.
    fn read(&self, topic: &TopicName, since: Option<Position>) -> Option<(bool, BTreeMap<Offset, String>)> {
        let query = HistoryQuery { since, limit: 1_000, reverse: false };
        let reply = self.broker.history(topic, &query, unix_ms()).ok()?;
        let text = |payload| match payload {
            Payload::Json(raw) => raw.get().to_owned(),
            Payload::Bytes(bytes) => format!("{bytes:?}"),
        };
        let messages = reply.messages.into_iter().map(|message| (message.offset, text(message.payload)));
        Some((reply.recovered == Some(true), messages.collect()))
    }

    fn close(mut self) {
        self.broker.committer().close();
        self.thread.take().unwrap().join().unwrap();
        let disk = self.disk.clone();
        drop(self);
        // Workers let go of the broker in their own time.
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while Arc::strong_count(&disk) > 1 && std::time::Instant::now() < deadline {
            std::thread::yield_now();
        }
    }
}

fn json(text: &str) -> Payload {
    Payload::json(&format!("{text:?}")).unwrap()
}

/// A letter at the front of the root `text`, by a client of its own.
fn update(client: u8) -> Payload {
    Payload::Bytes(vec![1, 1, client, 0, 4, 1, 4, b't', b'e', b'x', b't', 1, b'h', 0].into())
}

/// What was published and acknowledged, per topic.
type Known = BTreeMap<TopicName, BTreeMap<Offset, String>>;

struct Original {
    places: BTreeMap<TopicName, Vec<Position>>,
    content: Known,
}

/// Several tables of each space, and something in the journal.
fn fill(path: &Path) -> Original {
    let world = World::open(path).unwrap();
    let mut original = Original { places: BTreeMap::new(), content: Known::new() };
    for round in 0..ROUNDS {
        for number in 0..TOPICS {
            for kind in [Kind::Log, Kind::Latest, Kind::Document] {
                let topic = name(number, kind);
                let text = format!("{topic} {round} {}", "x".repeat(number * 7 % 60));
                let (key, payload) = match kind {
                    Kind::Latest => (Some(format!("k{}", round % 4)), json(&text)),
                    Kind::Document => (None, update(round + 1)),
                    _ => (None, json(&text)),
                };
                let text = match &payload {
                    Payload::Json(raw) => raw.get().to_owned(),
                    Payload::Bytes(bytes) => format!("{bytes:?}"),
                };
                let place = world.publish(&topic, key.as_deref(), payload).unwrap();
                original.places.entry(topic.clone()).or_default().push(place);
                original.content.entry(topic).or_default().insert(place.offset, text);
            }
        }
        if round % 2 == 1 && round + 1 < ROUNDS {
            world.disk.write_out();
        }
    }
    world.disk.write_out();
    world.close();
    original
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&file, &target).unwrap();
    }
}

#[derive(Default, Debug, Clone, Copy)]
struct Tally {
    not_opened: usize,
    whole: usize,
    gaps: usize,
    refused: usize,
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}

/// What came of one topic of a damaged store.
fn check(world: &World, original: &Original, topic: &TopicName, tally: &mut Tally) -> Option<()> {
    let (places, content) = (&original.places[topic], &original.content[topic]);
    let first = places[0];
    let is_document = topic.as_str().ends_with("document");
    let Some((recovered, read)) = world.read(topic, Some(first)) else {
        assert!(is_document, "{topic} cannot be used");
        tally.refused += 1;
        return None;
    };
    for (offset, text) in read.iter().filter(|_| !is_document) {
        assert_eq!(content.get(offset), Some(text), "{topic} {offset} is not what was published");
    }
    if is_document {
        let all = world.broker.document(topic, unix_ms()).unwrap();
        let there = Coverage::of(all.after(Offset::ZERO)).unwrap();
        for round in 0..ROUNDS {
            let Payload::Bytes(own) = update(round + 1) else { unreachable!() };
            let is_there = there.covers(&Coverage::of([own.as_ref()]).unwrap());
            assert!(is_there, "a part of {topic} is served as the whole");
        }
    } else if recovered {
        let newest: BTreeMap<_, _> = match topic.as_str().ends_with("latest") {
            false => content.range(Offset(first.offset.0 + 1)..).collect(),
            true => content.iter().rev().take(4).collect(),
        };
        let missing: Vec<_> = newest.into_iter().filter(|(offset, _)| !read.contains_key(offset)).collect();
        assert!(missing.is_empty(), "{topic} is said to be whole without {missing:?}");
    }
    if recovered {
        tally.whole += 1
    } else {
        tally.gaps += 1
    }
    Some(())
}

/// Damages a copy, and looks at every topic of it over two restarts.
fn attempt(original: &Original, from: &Path, work: &Path, random: &mut Random) -> Tally {
    let mut tally = Tally::default();
    copy(from, work);
    let spaces = ["1", "2", "3"];
    let tables: Vec<PathBuf> = files(&work.join("db/keyspaces"))
        .into_iter()
        .filter(|path| path.parent().is_some_and(|parent| parent.ends_with("tables")))
        .filter(|path| spaces.iter().any(|space| path.starts_with(work.join("db/keyspaces").join(space))))
        .collect();
    for _ in 0..=random.below(3) {
        let path = &tables[random.below(tables.len())];
        let mut bytes = fs::read(path).unwrap();
        // Entries come first; behind them is what the library does not open without.
        let at = random.below(bytes.len() * 3 / 4);
        bytes[at] ^= 1 << random.below(8);
        fs::write(path, bytes).unwrap();
    }
    let mut later: BTreeMap<TopicName, Vec<(Position, String)>> = BTreeMap::new();
    for round in 0..3 {
        let world = match World::open(work) {
            Ok(world) => world,
            Err(StoreError::Corrupt(_)) if round == 0 => return Tally { not_opened: 1, ..tally },
            Err(error) => panic!("opened {round} times, then: {error}"),
        };
        for topic in original.places.keys() {
            let mut own = Tally::default();
            let is_document = topic.as_str().ends_with("document");
            if round == 0 {
                let usable = check(&world, original, topic, &mut own).is_some();
                tally = Tally {
                    not_opened: 0,
                    whole: tally.whole + own.whole,
                    gaps: tally.gaps + own.gaps,
                    refused: tally.refused + own.refused,
                };
                if !usable || is_document {
                    continue;
                }
            } else if is_document {
                let _ = check(&world, original, topic, &mut own);
                continue;
            }
            let kept = later.entry(topic.clone()).or_default();
            let (_, read) = world.read(topic, None).unwrap();
            for (place, text) in &*kept {
                assert_eq!(
                    read.get(&place.offset),
                    Some(text),
                    "{topic} {}: kept after the damage",
                    place.offset
                );
            }
            let text = format!("\"later {round}\"");
            let key = format!("later-{round}");
            let key = topic.as_str().ends_with("latest").then_some(key.as_str());
            let place = world.publish(topic, key, Payload::json(&text).unwrap()).unwrap();
            let used: BTreeSet<(u64, Offset)> = original.places[topic]
                .iter()
                .chain(kept.iter().map(|(place, _)| place))
                .map(|place| (place.epoch.0, place.offset))
                .collect();
            assert!(
                used.iter().all(|(_, offset)| place.offset > *offset),
                "{topic} goes on at {}",
                place.offset
            );
            kept.push((place, text.clone()));
            let (_, read) = world.read(topic, None).unwrap();
            assert_eq!(read.get(&place.offset), Some(&text), "{topic}: read at once");
            assert_ne!(place.epoch, Epoch::FOREIGN);
        }
        world.close();
    }
    tally
}

fn campaign(attempts: usize, seed: u64) {
    let folder = scratch();
    let (from, work) = (folder.path().join("original"), folder.path().join("work"));
    let original = fill(&from);
    let mut random = Random(seed);
    let mut sum = Tally::default();
    for _ in 0..attempts {
        let tally = attempt(&original, &from, &work, &mut random);
        sum = Tally {
            not_opened: sum.not_opened + tally.not_opened,
            whole: sum.whole + tally.whole,
            gaps: sum.gaps + tally.gaps,
            refused: sum.refused + tally.refused,
        };
    }
    println!("{attempts} attempts: {sum:?}");
    assert!(sum.gaps > 0 && sum.refused > 0 && sum.whole > 0, "{sum:?}");
}

#[test]
fn what_is_read_beside_damage_is_right_or_refused() {
    campaign(6, 0x9E37_79B9_7F4A_7C15);
}

#[test]
#[ignore = "takes minutes"]
fn what_is_read_beside_damage_is_right_or_refused_at_many_places() {
    campaign(200, 0xD1B5_4A32_D192_ED03);
}
