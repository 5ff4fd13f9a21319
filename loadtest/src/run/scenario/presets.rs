//! The scenarios that come with the tester.

/// The presets: name, what it is, and the file it would be.
pub const PRESETS: [(&str, &str, &str); 11] = [
    ("chat", "rooms with many writers, every message counts", CHAT),
    ("ticker", "values by key, read at five batches a second", TICKER),
    ("game", "volatile state from many players, 20 times a second each", GAME),
    ("broadcast", "one topic, one writer, very many readers", BROADCAST),
    ("bridge", "a back end that publishes by HTTP to many readers", BRIDGE),
    ("idle", "connections that wait", IDLE),
    ("slow-readers", "a broadcast of which a tenth reads slowly or not at all", SLOW),
    ("churn", "chat whose readers lose their connection and resume", CHURN),
    ("collab", "documents that several people edit at once", COLLAB),
    ("webhooks", "a provider's signed webhooks that come out on topics", WEBHOOKS),
    ("crash", "durable topics of a fanwire that is killed again and again", CRASH),
];

const CHAT: &str = r#"name = "chat"
topics = 20
publishers = 20
subscribers = 400
rate = 200
arrival = "poisson"
size = "64..512"
"#;
const TICKER: &str = r#"name = "ticker"
kind = "latest"
publishers = 4
subscribers = 300
keys = 20
max_rate = 5
rate = 1000
"#;
const GAME: &str = r#"name = "game"
kind = "volatile"
topics = 10
publishers = 50
subscribers = 200
rate = 1000
size = 64
"#;
const BROADCAST: &str = r#"name = "broadcast"
subscribers = 2000
rate = 20
"#;
const BRIDGE: &str = r#"name = "bridge"
topics = 50
publishers = 4
subscribers = 500
rate = 300
arrival = "poisson"
size = "128..1KiB"
publish = "http"
"#;
const IDLE: &str = r#"name = "idle"
topics = 100
subscribers = 2000
rate = 0
"#;
const SLOW: &str = r#"name = "slow-readers"
subscribers = 400
rate = 100
size = 512
slow = [{ share = "5%" }, { share = "5%", read_rate = "16KiB/s" }]
"#;
const CHURN: &str = r#"name = "churn"
topics = 20
publishers = 5
subscribers = 400
rate = 200
churn = { rate = 40, away = "200ms", resume = true }
"#;
const CRASH: &str = r#"name = "crash"
topic_prefix = "durable:"
topics = 8
publishers = 4
subscribers = 40
rate = 400
arrival = "poisson"
size = "64..512"
ack = "durable"
warmup = 0
duration = "15s"
thresholds = ["unacknowledged == 0"]

[server]
serve = "{fanwire} serve --listen 127.0.0.1:0 --shards 1 --data-dir {dir} --config {config}"
config = """
[[rule]]
pattern = "durable:**"
durable = true
history_count = 100000000
history_age_s = 864000
history_bytes = 1099511627776
"""
kill_every = "1s"
restart_after = "50ms"
spread = "100ms"
audit = true
"#;
const WEBHOOKS: &str = r#"name = "webhooks"
topics = 10
publishers = 4
subscribers = 200
rate = 200
arrival = "poisson"
size = "256..2KiB"
publish = "webhook"

[server]
serve = "env LOADTEST_HOOK=loadtest-signs-with-this {fanwire} serve --listen 127.0.0.1:0 --shards 1 --config {config}"
config = """
[[source]]
name = "loadtest"
provider = "github"
secret_env = "LOADTEST_HOOK"
topic = "{{ body.topic }}"
"""
"#;
const COLLAB: &str = r#"name = "collab"
kind = "document"
adapter = "fanwire-msgpack"
topics = 20
publishers = 20
subscribers = 100
rate = 200
arrival = "poisson"
size = 64
"#;
