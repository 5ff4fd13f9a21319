//! fanwire: a real-time pub/sub broker over WebSocket, whose topics come in kinds.
//!
//! The wire protocol is the crate [`fanwire_proto`], with its specification in `proto/PROTOCOL.md`. This crate is the
//! broker around it.
//!
//! # One publish, followed through the code
//! 1. A shard's thread reads a socket ([`shard`]), [`wire::websocket`] decodes the frame, and the connection's *door*
//!    ([`doors::native`]) decodes the request. Over HTTP, [`doors::http`] does the same on the front's runtime.
//! 2. [`broker::Broker::publish`] accepts it: finds the [`topic::Topic`] by name, and submits the message to the *place*
//!    behind it ([`order`]), which for a topic in memory is the topic itself.
//! 3. Under the topic's short lock the message gets its offset and is kept ([`topic`]); every *feed* (a shard's share of
//!    the subscribers) that is not yet notified is marked, and its shard's inbox gets one entry. The message is placed, and
//!    the door has its [`Receipt`](topic::Receipt).
//! 4. Each such shard, in its own time, *pulls* everything since its last pull, and runs a *pass* over its dense list of
//!    subscribers ([`fanout`]): the batch is encoded once per encoding ([`wire`]), each subscriber gets an index to it, and each
//!    connection is written once per turn.
//! 5. Whoever cannot take it now is treated as the topic's kind promises: a `log` subscriber keeps its position and reads
//!    on in the history later, a `latest` subscriber keeps one pending value per key, a `volatile` one misses it.
//!
//! On a durable topic step 3 takes longer: the message gets its offset and waits in its topic, with whoever is to have its
//! receipt, and the topic is queued for a commit, once. The thread `store` lets every queued topic write what waits there,
//! commits all of it with one `fsync`, and only then are the messages shown to the feeds, and their receipts made
//! ([`durable`]). Neither the door nor the verb knows which of the two happens: it has a receipt, or is told later.
//!
//! # Modules, in reading order
//! - [`memory`]: what the broker may keep, for what and for whom
//! - [`topic`]: what a topic is; pure
//! - [`session`]: rules of one client's session; pure
//! - [`auth`]: from a token to what it allows; pure
//! - [`document`]: the encodings of Yjs and the merging of updates; pure
//! - [`wire`]: dialects and framings: a message as bytes, encoded once for all who get the same
//! - [`fanout`]: subscriptions, and how each gets what was published, at once or later; pure
//! - [`shard`]: threads that own connections
//! - [`store`]: what is kept beyond the life of the process, behind four verbs; group commit
//! - [`tap`]: what is published, whatever the topic
//! - [`durable`]: durable topics' way to the store and back
//! - [`order`]: accepting apart from placing: what is behind a topic, and when a publish has its receipt
//! - [`provider`]: what each provider signs, and what becomes of its webhooks; pure
//! - [`collab`]: documents in use: editors, merging, changes from outside, versions
//! - [`broker`]: topics by name and the verbs on them
//! - [`worker`]: threads for what takes longer than a shard may: reading from the disk, merging
//! - [`doors`]: wire protocols
//! - [`server`]: accepting, TLS, HTTP, reload, drain
//! - [`liveness`]: whether the threads still work
//! - [`config`]: settings, checked
//! - [`metrics`], [`defaults`]: every count, every limit; [`clock`]: the time of day
//!
//! `tests/layering` holds which of them may name which.
//!
//! # The seam between the core and its protocols
//! One core serves many protocols, so nothing below [`doors`] knows the name of any. A protocol is three things:
//! - its **door** ([`shard::Door`]), one per connection: what a client says becomes calls on the connection's
//!   [`Cx`](shard::Cx). It holds whatever a connection has of its own.
//! - its **dialect** ([`wire::Dialect`]), one for all its connections: what the core says (messages, joins, gaps, ends) in
//!   the protocol's words. It has no state, so its words are encoded once per message and shared.
//! - its **framing** ([`wire::Framing`]), chosen per connection: how words travel. One dialect may come over several.
//!
//! Why not one trait: what comes in has state and runs once, what goes out has none and is shared by thousands. A trait of both
//! would have to be asked per delivery. Why not a generic shard, compiled once per protocol: subscribers of one topic
//! speak different protocols and are served by one pass. Why not an enum of protocols: each new one would be matched in
//! every file that sends, and applications of one protocol, which are configured, could not have their own words.
//!
//! What a message looks like is kept beside it ([`wire::Encoded`]), by dialect, variant and framing: a word while nobody has
//! asked, one small allocation per encoding that somebody has. A table of all encodings in each message would grow with
//! every protocol, for all messages kept. Bytes are made where they are first wanted, by the shard, outside the topic's
//! lock; the topic itself knows no bytes.
//!
//! A receipt goes to the door, not through the dialect: whoever publishes waits for it in the protocol's own order. It comes
//! when the message is placed ([`order`]), at once or later, and travels with that outcome: no door keeps it meanwhile.
//!
//! # Threads
//! | thread | owns | talks to others through |
//! |---|---|---|
//! | `shard-N`, one per core | its connections, their doors, its feeds | its inbox; topics' locks |
//! | `store` | commits | its queue; topics' locks; shards' inboxes |
//! | `load-N` | topics that are read from the disk; whoever asked pauses meanwhile | shards' inboxes; topics' locks |
//! | `join-N`, `merge-N`, `convert-N` | what documents make them do: compare with what a client has, merge, convert | shards' inboxes; topics' locks |
//! | `front`, a small tokio runtime | listener, HTTP and TLS handshakes, signals, the sweep for old messages | shards' inboxes; topics' locks |
//!
//! Those for documents and reading from the disk have stacks of [`defaults::WORKER_STACK_BYTES`], all others of
//! [`defaults::STACK_BYTES`]. If one of them ends, the process ends; `watchdog` looks whether they stand still
//! ([`liveness`]).
//!
//! # Queues
//! | queue | bound | when full |
//! |---|---|---|
//! | a topic's messages that shards have not pulled | [`defaults::UNPULLED_BYTES`] beyond the history | `log`: publishes are refused as `overloaded`; `volatile`: the oldest is forgotten; `latest`: conflated, never full |
//! | a topic's messages that are not durable yet | [`defaults::UNKEPT_BYTES`], [`defaults::UNKEPT_COUNT`] | publishes are refused as `overloaded` |
//! | what waits for a commit | each topic once, otherwise whoever waits for the outcome | cannot be |
//! | presence changes not pulled | [`defaults::UNPULLED_PRESENCE`] | the watchers' subscriptions end as `overloaded` |
//! | a shard's inbox | each feed once, each connection once | cannot be |
//! | a connection's stage | four batches of [`defaults::PASS_BYTES`] | written at once |
//! | a connection's backlog, whose large frames all who wait for them share | `max_outbox_bytes` | fan-out stops at the first byte; reading stops at [`defaults::READ_PAUSE_BYTES`]; over the bound it is closed with 4101 |
//! | a worker's jobs | one per connection that pauses for a topic, one per document to merge, two per connection of an editor, as many as HTTP requests may be | cannot be; HTTP requests are refused as `overloaded` |
//! | what waits for a slow `latest` subscriber | one value per key | conflated |
//! | what a tap's reader has not read | [`defaults::TAP_QUEUE`] messages | counted as left out |
//! | input of a connection that does not read its replies | [`defaults::READ_BYTES`] | the socket is not read |
//! | connections not accepted yet | the kernel's backlog | the kernel refuses |
//!
//! # Invariants
//! - Numbering, keeping and marking the feeds that have to pull happen under one lock, so every subscriber of a topic sees one
//!   order; the shards are woken once it is released.
//! - A shard never looks up a topic, and no lock, clock, allocation or reference count is touched per delivery.
//! - An encoded frame holds nothing that differs between its subscribers.
//! - A publish that is not refused ends in exactly one outcome, told exactly once: a receipt, made when the message is placed,
//!   or that nobody knows. Which place is behind a topic is decided in one spot ([`order::Order::place_of`]).
//! - What a shard has not pulled is not evicted; so a pass has no holes, and a gap is only ever a laggard's.
//! - No `.await` holds a lock; a topic's lock is never held while another one is taken.

pub mod auth;
pub mod broker;
pub mod clock;
pub mod collab;
pub mod config;
pub mod defaults;
pub mod document;
pub mod doors;
pub mod durable;
pub mod fanout;
pub mod fetch;
pub mod liveness;
pub mod memory;
pub mod metrics;
pub mod order;
pub mod provider;
pub mod server;
pub mod session;
pub mod shard;
pub mod store;
pub mod tap;
pub mod topic;
pub mod wire;
pub mod worker;
