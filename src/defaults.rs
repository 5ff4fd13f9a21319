//! Every limit and default of the broker: its name, its value and why.
//!
//! A limit that can be configured has the same name in lower case as file key, flag and environment variable.

use std::time::Duration;

/// Largest message read from a client, in bytes: chat and game messages are far smaller, and 10 000 clients that
/// each send one at the same time cost 640 MiB at most.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// Subscriptions of one connection: a busy dashboard needs tens; each costs about 100 bytes.
pub const MAX_SUBSCRIPTIONS: usize = 1_000;

/// Commands a second from one connection: far above any client of ours, about half a core for the broker.
pub const MAX_COMMANDS_PER_SECOND: u32 = 50_000;

/// Bytes waiting for one connection that reads slower than it is written to. Holds a few turns of fan-out and
/// replies; what topics have beyond that waits in their history.
pub const MAX_OUTBOX_BYTES: usize = 1024 * 1024;

/// Time from accepting a connection to a complete request head and TLS handshake: slow mobile links need seconds,
/// an attacker who sends a byte at a time gets no more.
pub const HANDSHAKE_TIMEOUT_MS: u64 = 10_000;

/// Seconds that an HTTP connection may wait for its next request: longer than the pools of common proxies and back ends
/// keep theirs (ALB and nginx 60, Go 90), so that it is the client who closes and no request meets a closed connection.
pub const KEEP_ALIVE_S: u64 = 120;

/// Seconds that an HTTP client may leave its answer unread, streams for operators included: as long as two pings would take.
pub const WRITE_TIMEOUT_S: u64 = 60;

/// Connections in all: about 1 KiB each in user memory and 4 KiB in the kernel.
pub const MAX_CONNECTIONS: usize = 100_000;

/// Connections from one address: a NAT or a reverse proxy puts many users behind one, which opens at most about
/// 28 000 sockets (its ephemeral ports).
pub const MAX_CONNECTIONS_PER_ADDRESS: usize = 20_000;

/// HTTP requests a second from one address: a back end that publishes one by one needs thousands; this is about what
/// a core answers.
pub const MAX_REQUESTS_PER_SECOND: u32 = 50_000;

/// Topics in all: an idle one costs about 1 KiB.
pub const MAX_TOPICS: usize = 1_000_000;

/// Topics that one owner (a user, or somebody without a name by the address) may have made, as a part of all there may be: one
/// in so many. A key of a back end, whose topics are everybody's, may have half of all.
pub const TOPICS_OWNER_SHARE: usize = 10;

/// Topics that one owner may have made where there may be as many in all: few enough to keep a small broker usable.
pub const TOPICS_PER_OWNER_MIN: usize = 100;

/// Memory that the broker takes, in hundredths of what the machine or the control group has: the rest is the kernel's, for
/// sockets and pages, and other processes'.
pub const MEMORY_HUNDREDTHS: usize = 75;

/// Hundredths of what the broker may take from which on what its allocator holds back is given back to the system: late enough that
/// a broker with room does not pay for it, early enough that peaks of several threads do not add up to more than there is.
pub const GIVE_BACK_HUNDREDTHS: usize = 60;

/// How long a thread waits for something to do before it looks whether memory is short: what it keeps for the next time may be
/// much. Ten threads that wake up once a second cost nothing that could be measured.
pub const REST: Duration = Duration::from_secs(1);

/// Bytes that the broker takes where nothing says how many there are.
pub const MEMORY_UNKNOWN_BYTES: usize = 1024 * 1024 * 1024;

/// Fewest bytes that the broker may be given: below that a batch of messages would not fit.
pub const MEMORY_BYTES_MIN: usize = 64 * 1024 * 1024;

/// Hundredths of it for topics: histories, values, members and message ids.
pub const MEMORY_FOR_TOPICS: usize = 40;

/// Hundredths of it for the content of documents; with the frames that are made of them they take twice as much.
pub const MEMORY_FOR_DOCUMENTS: usize = 10;

/// Hundredths of it for merging, reading and comparing documents: a struct of three bytes takes some four hundred while it is
/// merged, a thousand while it is read. On a machine of 1 GiB that is enough for 180 000 of them, or for a text that several people
/// have typed for weeks.
pub const MEMORY_FOR_MERGING: usize = 10;

/// Hundredths of it for bodies of HTTP requests, up to [`HTTP_BODIES_BYTES`].
pub const MEMORY_FOR_BODIES: usize = 7;

/// Hundredths of it for what waits for slow connections.
pub const MEMORY_FOR_OUTBOXES: usize = 10;

/// Hundredths of it for kept answers, up to [`IDEMPOTENCY_BYTES`].
pub const MEMORY_FOR_IDEMPOTENCY: usize = 3;

/// The part of the topics' memory that those of one user may take: one in so many. Those of a key or an address, behind which
/// may be many users, may take twice that.
pub const MEMORY_USER_SHARE: usize = 4;

/// The part of the documents' memory that those of one user may take: one in so many, of the usual 1 GiB a document of the most
/// bytes that one may have. Those of an address may take twice that, those of a key half of it all.
pub const DOCUMENTS_USER_SHARE: usize = 8;

/// Bytes that a topic takes in memory without any content: itself, its name, its place in the table.
pub const TOPIC_OVERHEAD_BYTES: usize = 1024;

/// Bytes that a kept message or value takes beside its content: itself, its place, its publisher, the envelope of its frame.
pub const MESSAGE_OVERHEAD_BYTES: usize = 512;

/// Bytes that a member of a topic takes there.
pub const MEMBER_BYTES: usize = 128;

/// Bytes that a remembered message id takes beside itself.
pub const MESSAGE_ID_OVERHEAD_BYTES: usize = 128;

/// Least time between two looks for what can be given up while memory is tight, in milliseconds: a look passes over all
/// topics, some ten milliseconds for a hundred thousand.
pub const MAKE_ROOM_MS: u64 = 50;

/// Seconds between pings: below the 30 s after which common proxies cut an idle connection.
pub const PING_S: u64 = 25;

/// Seconds a client has to answer a ping: a phone that changes networks needs several.
pub const PONG_TIMEOUT_S: u64 = 10;

/// Stack of every thread, in bytes: several times what the deepest input that is taken needs.
pub const STACK_BYTES: usize = 2 * 1024 * 1024;

/// Milliseconds that a thread may do nothing before it counts as standing still: far beyond any turn of a shard. From then on
/// `/readyz` says so and it is given no new connections.
pub const STALLED_MS: u64 = 3_000;

/// Seconds after which a thread that stands still takes the process down: what comes back by itself has come back by then.
pub const MAX_STALL_S: u64 = 30;

/// How many times as long a thread may take that waits for the disk: disks of clouds stand still for a minute now and then.
pub const STALLED_WORK_FACTOR: u32 = 10;

/// Milliseconds that an order to all shards waits for those that do not answer.
pub const ORDER_MS: u64 = 2_000;

/// Threads of the front that are made at the start for what blocks, and stay: with them everything goes on, if more slowly,
/// when the system gives no more threads.
pub const FRONT_BLOCKING_MIN: usize = 4;

/// The most of them.
pub const FRONT_BLOCKING_MAX: usize = 32;

/// Time that draining may take, from SIGTERM to exit: below the 30 s that orchestrators allow.
pub const DRAIN_MS: u64 = 10_000;

/// Messages a log keeps.
pub const HISTORY_COUNT: usize = 1_000;

/// Seconds a log keeps a message: covers a change of network or a reload of the page.
pub const HISTORY_AGE_S: u64 = 600;

/// Payload bytes a log keeps.
pub const HISTORY_BYTES: usize = 4 * 1024 * 1024;

/// Keys of one `latest` topic: the instruments of an exchange.
pub const MAX_KEYS: usize = 10_000;

/// Messages in one `history` reply, whatever the client asks for.
pub const HISTORY_REPLY_COUNT: usize = 1_000;

/// Payload bytes in one `history` reply.
pub const HISTORY_REPLY_BYTES: usize = 256 * 1024;

/// Bytes published to a topic but not yet taken over by every shard with subscribers. Beyond it publishes to a log
/// are refused as `overloaded`, and a volatile topic forgets its oldest.
pub const UNPULLED_BYTES: usize = 8 * 1024 * 1024;

/// The same as a number of messages: small ones cost about 300 bytes each, whatever they carry.
pub const UNPULLED_COUNT: usize = 32_768;

/// Presence changes that one pass carries at most; each is about 100 bytes.
pub const PASS_CHANGES: usize = 512;

/// Presence changes kept for one watcher whose socket is full; beyond it its subscription ends as `overloaded`, so
/// that it does not keep a wrong list.
pub const WATCHER_BACKLOG: usize = 4_096;

/// Different `max_rate`s of one topic that a shard serves exactly; beyond it a rate is rounded down to the next of a
/// coarse ladder, so that nobody can make a topic keep books for thousands of rates.
pub const EXACT_RATES: usize = 32;

/// Presence changes of a topic not yet taken over by every shard that watches them; beyond it those watchers'
/// subscriptions are ended as `overloaded`, so that none keeps a wrong list.
pub const UNPULLED_PRESENCE: usize = 65_536;

/// Message ids a topic remembers to recognise repeated publishes.
pub const DEDUPE_COUNT: usize = 10_000;

/// How long a topic remembers a message id, in milliseconds: longer than any client keeps retrying.
pub const DEDUPE_MS: u64 = 120_000;

/// The same for durable topics, whose publishers try again over a restart or an outage of the broker; about 10 MB for a
/// topic that is published to with ids without pause.
pub const DURABLE_DEDUPE_COUNT: usize = 100_000;

/// Milliseconds that a durable topic remembers a message id: an outage with somebody getting up in the middle of it.
pub const DURABLE_DEDUPE_MS: u64 = 600_000;

/// Payload bytes one pass over a topic's subscribers carries at most. Large enough to coalesce a burst into one
/// write, small enough that a stalled reader holds little.
pub const PASS_BYTES: usize = 64 * 1024;

/// Subscribers served before another topic of the shard gets its turn: at 5 µs a write this is well below 1 ms.
pub const SLICE_SUBSCRIBERS: usize = 128;

/// Deliveries in one turn of a shard before it looks at its sockets again.
pub const TURN_DELIVERIES: usize = 256;

/// A pass shorter than this is not paced: timers of the operating system are no finer than a millisecond.
pub const PACE_FROM_US: u64 = 500;

/// A feed rests after a pass for the pass's time divided by this. With 1 000 subscribers and 500 messages a second,
/// 1 costs 1.0 µs of CPU per delivery at a 99th percentile of 23 ms, 2 costs 1.25 µs at 15 ms.
pub const PACE_SHARE: u32 = 2;

/// Longest pause after a pass, in milliseconds: what pacing may add to a message's latency.
pub const PACE_MAX_MS: u64 = 10;

/// Bytes of history one catching-up subscriber gets at a time.
pub const CATCH_UP_BYTES: usize = 32 * 1024;

/// Catch-up batches in one turn of a shard.
pub const TURN_CATCH_UPS: usize = 32;

/// Level of compression (RFC 7692), 1 to 9. A message is compressed once for all who get it, so that bytes count for more
/// than the time of one compression: 1 KiB of JSON takes about 20 µs.
pub const DEFLATE_LEVEL: u8 = 6;

/// Least payload that is compressed, in bytes: what is smaller fits into the same packet either way.
pub const DEFLATE_MIN_BYTES: u16 = 256;

/// What the input of one connection may cost in one turn of a shard before others get theirs. A frame costs one (a fragment or a
/// ping is one, too), each KiB of it one, and what a command does what it takes: about 2 µs each. So a hundred connections that
/// send without pause hold one up for some ten milliseconds.
pub const TURN_COST: u32 = 64;

/// The same for all connections together, before messages are fanned out.
pub const TURN_INPUT_COST: u32 = 1_024;

/// Messages of a history or of a snapshot that cost one.
pub const COST_MESSAGES: usize = 8;

/// Members of a list that cost one.
pub const COST_MEMBERS: usize = 16;

/// Watchers of presence who have to hear of somebody who comes, and then goes, that cost one.
pub const COST_WATCHERS: usize = 4;

/// What coming to a topic, or leaving it, costs.
pub const COST_MEMBERSHIP: usize = 2;

/// Topics that one token may name to be subscribed to: each is subscribed to again whenever its bearer comes back, and
/// in a storm all bearers come back at once.
pub const TOKEN_SUBS: usize = 128;

/// What checking a credential costs: a signature takes some hundred microseconds.
pub const COST_CREDENTIAL: usize = 50;

/// What a credential costs in addition that is not good: nobody needs many of those.
pub const COST_REFUSED_CREDENTIAL: usize = 1_000;

/// Credentials that one connection may present in vain, one after the other; then it is closed.
pub const CREDENTIALS_REFUSED: u8 = 5;

/// False tokens a second from one address that are looked at, over a while: with all keys to try, some hundredths of a thread.
/// Whoever has a good one needs none.
pub const FALSE_TOKENS_PER_SECOND: u32 = 10;

/// How many seconds' worth of them may come at once: the clients behind one address that still have the keys of yesterday.
pub const FALSE_TOKENS_BURST_S: u64 = 10;

/// Networks from which false tokens came that are told apart; about 2 MB.
pub const FALSE_TOKEN_NETWORKS: usize = 65_536;

/// Tokens that were good and are looked at whatever else comes from their address; beyond it all are forgotten. About 2 MB.
pub const GOOD_TOKENS: usize = 100_000;

/// Keys that a token is checked with at most that does not say which one it is signed with.
pub const KEYS_TRIED: usize = 16;

/// Bytes read from sockets at a time, through a buffer the shard's connections share.
pub const READ_BYTES: usize = 64 * 1024;

/// Bytes of compressed messages that are inflated for one client in a turn of its shard: a read's worth of bytes can
/// become a thousand times as many, and the others wait meanwhile. About a millisecond.
pub const INFLATED_BYTES: usize = 256 * 1024;

/// Fragments that any message may come in; and from which size of message on it may come in more, as long as they have
/// this many bytes on average: below it their headers are most of what is sent.
pub const FRAGMENTS: usize = 4096;
/// See [`FRAGMENTS`].
pub const FRAGMENT_BYTES: usize = 16;

/// A connection with more bytes than this waiting for it is not read from: it must take its replies first.
pub const READ_PAUSE_BYTES: usize = 64 * 1024;

/// Unsent bytes the kernel may hold for one connection (`TCP_NOTSENT_LOWAT`). Keeps stale values where they can
/// still be conflated, and bounds the kernel's memory for slow readers.
pub const UNSENT_BYTES: u32 = 64 * 1024;

/// Time between two signs of life on a quiet event stream, in seconds: below the minute after which proxies end what is
/// silent. A peer that acknowledges none is gone as soon as a WebSocket that answers no ping.
pub const HEARTBEAT_S: u64 = 15;

/// How long a closed connection is still read from, in milliseconds, so that a reset does not overtake our last
/// words.
pub const LINGER_MS: u64 = 2_000;

/// Bytes of an HTTP request head.
pub const HTTP_HEAD_BYTES: usize = 16 * 1024;

/// Bytes of request bodies held at once, by all HTTP requests together; beyond it requests are refused as `overloaded`.
/// About four thousand of the largest messages.
pub const HTTP_BODIES_BYTES: usize = 256 * 1024 * 1024;

/// Callers among whom that is shared: one user, key or address holds this part of it at most, and the largest body there
/// may be in any case.
pub const HTTP_BODIES_CALLERS: usize = 8;

/// The largest body that any request may have, in bytes: a webhook's.
pub const HTTP_BODY_BYTES_MAX: usize = WEBHOOK_BODY_BYTES_MAX;

/// Bytes of an order to control connections of others: a name and a topic, many times over.
pub const CONTROL_BODY_BYTES: usize = 16 * 1024;

/// Bytes of a batch of messages: a thousand of common size.
pub const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Messages of a batch, counted once per topic: published in one go, they keep a thread of the front busy for a few
/// milliseconds.
pub const BATCH_MESSAGES: usize = 1_000;

/// Topics that one message of a batch or a stream may be published to at once.
pub const MESSAGE_TOPICS: usize = 100;

/// Bytes that a message of a batch or a stream may have beside its payload: as many topics, tags and labels as it may.
pub const MESSAGE_ENVELOPE_BYTES: usize = 32 * 1024;

/// Seconds without a byte after which a publishing stream is ended: a publisher with nothing to say sends an empty line.
pub const PUBLISH_STREAM_IDLE_S: u64 = 120;

/// Seconds that the answer to a request with an `Idempotency-Key` is kept for: longer than a back end keeps retrying.
pub const IDEMPOTENCY_S: u64 = 3_600;

/// Bytes of such answers; beyond it the oldest are forgotten. About 200 000 single publishes.
pub const IDEMPOTENCY_BYTES: usize = 64 * 1024 * 1024;

/// Messages or topics in one page, unless asked for another number.
pub const PAGE: usize = 100;

/// Most topics in one page of a list.
pub const TOPICS_PAGE_MAX: usize = 1_000;

/// Listings of topics at a time: each looks at every topic, so more would only slow down publishing.
pub const LISTINGS: usize = 2;

/// Listings that one caller may have under way, of which one runs and the others wait: what a page that shows several lists
/// asks for at once.
pub const LISTINGS_PER_CALLER: usize = 8;

/// Listings that may be under way, of all callers; those without a credential have half of them. Of a hundred thousand
/// topics, the last one waits a few seconds.
pub const LISTINGS_WAITING: usize = 64;

/// Connections that a shard looks at in one go when they are listed: below a millisecond.
pub const LISTING_SLOTS: usize = 2_048;

/// Connections that a shard subscribes to a topic in one go for a back end: about a millisecond.
pub const SERVER_SUBS_AT_ONCE: usize = 128;

/// Most connections in one page of a list.
pub const CONNECTIONS_PAGE_MAX: usize = 500;

/// Topics that a listed connection is shown with.
pub const LISTED_TOPICS: usize = 8;

/// Milliseconds between two looks at all topics while somebody watches: what an eye can follow.
pub const SAMPLE_MS: u64 = 1_000;

/// The looks take at most one part in so many of the time: with a million topics they come less often instead.
pub const SAMPLE_SHARE: u32 = 100;

/// Most topics that a watcher is shown at a time.
pub const WATCHED_TOPICS_MAX: usize = 500;

/// Streams of figures and taps that may be open at once: more than there are operators, few enough to cost nothing.
pub const WATCHERS: usize = 32;

/// Messages a second that one tap passes on: more than anybody reads; the rest is counted.
pub const TAP_RATE: u32 = 500;

/// Messages that wait for one tap's reader; beyond it they are counted as left out.
pub const TAP_QUEUE: usize = 512;

/// Payload bytes up to which a tap passes a message on whole; of a larger one it tells the size.
pub const TAP_PAYLOAD_BYTES: usize = 16 * 1024;

/// A topic without subscribers and content is forgotten after this many seconds.
pub const IDLE_TOPIC_S: u64 = 60;

/// Memory for blocks read from the data directory, in bytes: the index of some gigabytes, and what is read repeatedly.
pub const STORE_CACHE_BYTES: u64 = 32 * 1024 * 1024;

/// Bytes that must stay free on the disk of the data directory: what the store needs to write out what it has in
/// memory, and to make room.
pub const STORE_RESERVE_BYTES: u64 = 64 * 1024 * 1024;

/// Bytes of the store's journals; more than that is written to tables. All of it is read at the start.
pub const STORE_JOURNAL_BYTES: u64 = 128 * 1024 * 1024;

/// Bytes of one space that are in the journal and in memory only, before they are written to a table. There are eight spaces, each
/// with one that is filled and up to two that are being written.
pub const STORE_MEMTABLE_BYTES: u64 = 8 * 1024 * 1024;

/// Bytes of a space's tables below which nothing is gained by merging them early.
pub const STORE_TIDY_BYTES: u64 = 64 * 1024 * 1024;

/// Threads that write and merge tables.
pub const STORE_WORKERS: usize = 2;

/// Bytes of a document, merged: a book is about one MiB of text, twice that with its editing history. Merging
/// one takes some ten to twenty times as much memory for a moment, in each of [`DOCUMENT_THREADS`].
pub const MAX_DOCUMENT_BYTES: usize = 8 * 1024 * 1024;

/// Bytes that an update takes in memory beside its content: its place, its publisher, its frame.
pub const UPDATE_OVERHEAD_BYTES: usize = 512;

/// Updates of a document after which they are merged: merging takes some milliseconds, and each newcomer gets what is
/// not merged update by update.
pub const MERGE_UPDATES: usize = 512;

/// Largest update of a document, in bytes: what a client did while it was away comes as one update, and so does a pasted
/// picture.
pub const MAX_UPDATE_BYTES: usize = 2 * 1024 * 1024;

/// Updates a second from one connection of an editor: a person makes tens. Beyond it the connection is closed with "try
/// again", and what the client did comes as one update when it is back.
pub const MAX_UPDATES_PER_SECOND: u32 = 1_000;

/// A client of an editor takes a connection for dead that is silent for 30 s, whatever WebSocket pings it answers; so a
/// document's clients hear something at least this often, in milliseconds.
pub const ROOM_KEEPALIVE_MS: u64 = 15_000;

/// Bytes of answers made for single clients of documents that those have not read yet, in all; beyond it clients get the whole
/// document, of which there is one copy for all. A thousand clients that come back to documents of common size.
pub const ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// Bytes of a document that a shard looks through at once to tell a newcomer what is there; more is a worker's job.
pub const LOOK_THROUGH_BYTES: usize = 32 * 1024;

/// Bytes of updates after which they are merged, or half of what is merged already, whichever is more.
pub const MERGE_BYTES: usize = 64 * 1024;

/// A document that has not changed for so long, in milliseconds, is merged whatever has come.
pub const MERGE_IDLE_MS: u64 = 5_000;

/// Stack of the threads that work on documents and read from the disk, in bytes. What recurses there is bounded, by
/// [`DOCUMENT_DEPTH`] above all, and takes well below half of it.
pub const WORKER_STACK_BYTES: usize = 4 * 1024 * 1024;

/// Types within types that a document may have to be converted to JSON or text, or changed over HTTP: converting recurses into
/// them. Editors of text nest about three for each level of a list. Merging and passing on have no such bound.
pub const DOCUMENT_DEPTH: u32 = 256;

/// Steps that converting or changing one document may take, of which a second has some hundred million: putting its items in
/// order takes about one for each, and one for each item that a conflict passes.
pub const CONVERSION_STEPS: u64 = 50_000_000;

/// Named versions of a document; each is as large as the document was.
pub const VERSIONS: usize = 100;

/// Bytes of a version's name.
pub const VERSION_NAME_BYTES: usize = 200;

/// Requests about the content of documents at a time; each may decode one. Beyond it they are refused as `overloaded`.
pub const CONVERSIONS: usize = 16;

/// Those of them that are about the same document: half of the threads stay free for others.
pub const CONVERSIONS_PER_DOCUMENT: usize = 4;

/// Those of them that one caller may have: half stay free for others.
pub const CONVERSIONS_PER_CALLER: usize = 8;

/// Threads that merge documents; as many convert them, and as many see to newcomers. One merge takes some milliseconds, at most
/// about a second, and while one takes long the others go on.
pub const DOCUMENT_THREADS: usize = 2;

/// Bytes of what one client of a document says of itself: a name, a colour and a cursor are a few hundred.
pub const AWARENESS_BYTES: usize = 16 * 1024;

/// Bytes of what all clients of one document say of themselves: ten thousand common ones. Every newcomer gets them.
pub const AWARENESS_TABLE_BYTES: usize = 4 * 1024 * 1024;

/// Clients of one document that are told apart.
pub const AWARENESS_CLIENTS: usize = 10_000;

/// How often in a second one connection may ask what it lacks of a document: a client asks when it connects, and some every few
/// seconds. A small document is copied for each answer.
pub const STEPS_PER_SECOND: u32 = 100;

/// How often in a second one connection may ask who is in a document, which may be answered with [`AWARENESS_TABLE_BYTES`].
pub const QUERIES_PER_SECOND: u32 = 5;

/// Clients that one connection may have spoken for, those that are gone among them: a provider speaks for one, and forwards what other tabs of its browser say.
pub const AWARENESS_CLIENTS_PER_CONNECTION: usize = 32;

/// How long a client's awareness stays after its connection broke off, in milliseconds: a y-websocket provider is back
/// within 2.5 s.
pub const AWARENESS_GRACE_MS: u64 = 3_000;

/// How long awareness lasts that is not renewed, in milliseconds: clients renew it every 15 s and drop it after 30 s.
pub const AWARENESS_TIMEOUT_MS: u64 = 30_000;
/// Largest body of a webhook, in bytes: most providers stay far below; sources can have a bound of their own.
pub const WEBHOOK_BODY_BYTES: usize = 1024 * 1024;

/// The most that a source's bound may be, in bytes: GitHub's 25 MiB is the most that any of the providers sends.
pub const WEBHOOK_BODY_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How many times as large a compressed webhook may become: JSON and forms become five to fifty times as large, and a
/// thousand times is the most that deflate can do.
pub const WEBHOOK_INFLATE_RATIO_MAX: usize = 200;

/// Bytes that a compressed webhook may become whatever it was: small ones say little about a ratio.
pub const WEBHOOK_INFLATED_FREE_BYTES: usize = 64 * 1024;

/// Deliveries of a source that are being accepted at a time: each holds its body until it is kept. A healthy disk takes a few
/// milliseconds, so that this many are more than ten thousand a second.
pub const WEBHOOKS_ACCEPTED_AT_ONCE: usize = 256;

/// Certificates that are fetched at a time for one source: anybody may name an address at the provider's.
pub const WEBHOOK_FETCHES: usize = 4;

/// Certificates, and addresses that had none, remembered for one source.
pub const WEBHOOK_CERTIFICATES: usize = 64;

/// Webhooks that are held decompressed at a time; others wait for their turn. With the largest bodies that a source may
/// take these are 512 MiB, with the usual bound 16.
pub const WEBHOOKS_DECOMPRESSED: usize = 16;

/// The most that a signature's time may be off, in seconds: a week. PayPal needs three days.
pub const WEBHOOK_TOLERANCE_S_MAX: u64 = 7 * 24 * 3_600;

/// The longest that a delivery may be recognised for, in seconds: thirty days.
pub const WEBHOOK_DEDUPE_S_MAX: u64 = 30 * 24 * 3_600;

/// Most deliveries of a source that may be kept: an index of them is in memory, 24 bytes each.
pub const WEBHOOK_KEEP_COUNT_MAX: usize = 1_000_000;

/// The longest that they may be kept, in seconds: a year.
pub const WEBHOOK_KEEP_AGE_S_MAX: u64 = 366 * 24 * 3_600;

/// Most bytes of them: a terabyte.
pub const WEBHOOK_KEEP_BYTES_MAX: usize = 1 << 40;

/// Seconds a webhook delivery is recognised when it comes again: Stripe, Paddle and PayPal retry for three days.
pub const WEBHOOK_DEDUPE_S: u64 = 4 * 24 * 3_600;

/// Deliveries of all sources that are recognised; beyond it the oldest are forgotten. About 200 bytes each.
pub const WEBHOOK_SEEN: usize = 1_000_000;

/// Deliveries of a source that are kept for inspection and replay.
pub const WEBHOOK_KEEP_COUNT: usize = 1_000;

/// Seconds they are kept: a long weekend.
pub const WEBHOOK_KEEP_AGE_S: u64 = 4 * 24 * 3_600;

/// Bytes of them.
pub const WEBHOOK_KEEP_BYTES: usize = 64 * 1024 * 1024;

/// Rejected and repeated deliveries of a source that are remembered. Anybody can cause them, so they never push out what was
/// accepted.
pub const WEBHOOK_RECENT: usize = 100;

/// Bytes of their bodies.
pub const WEBHOOK_RECENT_BYTES: usize = 4 * 1024 * 1024;

/// Rejected deliveries of a source that are written to the store every half second: the hundred that are remembered within
/// five seconds, and no more than that however many come.
pub const WEBHOOK_REJECTED_WRITTEN: usize = 10;

/// Deliveries that were accepted but could not be published yet; beyond it new ones are refused as `overloaded`. Twice as
/// many of providers that do not send again.
pub const MAX_WEBHOOKS_PENDING: usize = 10_000;

/// Most webhook deliveries in one page of a list.
pub const DELIVERIES_PAGE_MAX: usize = 500;

/// Milliseconds until a delivery must be kept; then the provider is told to come again. Slack and Discord wait three
/// seconds in all.
pub const WEBHOOK_DEADLINE_MS: u64 = 2_500;

/// Least length of a secret in an address: 128 bits in base64.
pub const WEBHOOK_PATH_TOKEN_BYTES: usize = 22;

const _: () =
    assert!(MEMORY_BYTES_MIN / 100 * MEMORY_FOR_BODIES >= BATCH_BYTES, "a batch fits the least memory");
const _: () = assert!(MEMORY_BYTES_MIN / 100 * MEMORY_FOR_TOPICS > UNPULLED_BYTES * 2, "so does a burst");
const _: () = assert!(READ_PAUSE_BYTES <= MAX_OUTBOX_BYTES, "reading must pause before the outbox is full");
const _: () = assert!(PASS_BYTES * 4 <= MAX_OUTBOX_BYTES, "the outbox must hold what one turn can stage");
const _: () = assert!(HISTORY_REPLY_BYTES * 2 <= MAX_OUTBOX_BYTES, "a history reply must fit the outbox");
const _: () = assert!(SLICE_SUBSCRIBERS <= TURN_DELIVERIES, "a turn has room for one slice");
const _: () = assert!(PONG_TIMEOUT_S < PING_S, "a ping is judged before the next one is sent");
const _: () = assert!(MESSAGE_TOPICS * 256 < MESSAGE_ENVELOPE_BYTES, "a message has room for its topics");
const _: () = assert!(BATCH_BYTES * 16 <= HTTP_BODIES_BYTES, "batches do not shut single messages out");

/// Payload bytes of one durable topic that are numbered but not on the disk yet; beyond it publishes are refused as
/// `overloaded`. Several times what a disk takes in one group commit.
pub const UNKEPT_BYTES: usize = 16 * 1024 * 1024;

/// The same as a number of messages. After a crash a topic goes on numbering this much further, so that no offset that
/// was handed out is given to another message.
pub const UNKEPT_COUNT: usize = 65_536;

/// Milliseconds that a commit waits for company, so that many publishes share one `fsync`; with the `fsync` itself a
/// durable acknowledgement stays within about 5 ms on an SSD.
pub const COMMIT_DELAY_MS: u64 = 2;

/// Messages after which a commit waits no longer.
pub const COMMIT_MESSAGES: usize = 1_024;

/// Old blocks of one topic that one commit removes, so that retention never makes a commit long.
pub const COMMIT_OLD_BLOCKS: usize = 256;

/// Seconds after which a durable topic that has become empty is forgotten, and its epoch with it: longer than any client
/// stays away and hopes to resume.
pub const EMPTY_TOPIC_S: u64 = 86_400;

/// Topics that are read from the disk at a time, while everything else goes on: what reading waits for is the disk, and
/// beyond a few it gets no faster.
pub const LOADS: usize = 4;

/// Topics on the disk that are looked at each second for content that is too old: a hundred thousand in an hour.
pub const VISITS_PER_SWEEP: usize = 32;

/// Topics that are forgotten at most each second; each costs a commit that is waited for.
pub const FORGOTTEN_PER_SWEEP: usize = 4;

/// Revocations at a time: enough for all users of a large service at once, some 20 MB with long names.
pub const REVOCATIONS: usize = 100_000;

/// Bytes of the name of what is revoked, with its kind: subjects and `jti` are shorter, and a name is kept for as long as it
/// is refused.
pub const REVOKED_NAME_BYTES: usize = 1_024;
