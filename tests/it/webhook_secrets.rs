//! Secrets are told to nobody: not by mistakes in the configuration, logs, answers, records or dry runs.

use ring::digest::{SHA256, digest};
use serde_json::json;

use crate::support::{Client, Launch, Server, eventually, now_s, post, request, signing};

/// Part of every secret in these tests, and of nothing else.
const CANARY: &str = "4208177321950661";

/// The same, long enough for an address and a token secret; `n` tells them apart.
fn secret(n: u8) -> String {
    format!("canary-{n}-{CANARY}-abcdefghijklmnop")
}

fn assert_silent(told: &str, about: &str) {
    assert!(!told.contains(CANARY), "{about} tells a secret:\n{told}");
}

/// Keys that name a secret, or are next to one that does.
const KEYS: &[(&str, &str)] = &[
    ("secret_env", "github"),
    ("secret_file", "github"),
    ("secret", "github"),
    ("path_token_env", "unsigned"),
    ("path_token_file", "unsigned"),
    ("path_token", "unsigned"),
    ("challenge_token_env", "meta"),
    ("challenge_token_file", "meta"),
    ("challenge_token", "meta"),
    ("public_key", "github"),
    ("public_key", "standard-webhooks"),
    ("public_key", "custom"),
    ("certificate_file", "sns"),
    ("provider", "github"),
    ("enabled", "github"),
    ("payload_type", "github"),
    ("methods", "github"),
    ("tolerance_s", "stripe"),
    ("dedupe", "github"),
    ("dedupe_s", "github"),
    ("answer_status", "github"),
    ("filter", "github"),
    ("verify", "custom"),
];

/// A secret where a configuration may have one by mistake.
fn shapes() -> Vec<String> {
    let text = secret(9);
    vec![
        format!("'{text}'"),
        format!("\"{text}"),
        text.clone(),
        format!("'''\n{text}\n'''"),
        format!("['{text}']"),
        format!("[['{text}']]"),
        format!("[{CANARY}]"),
        format!("{{ '{text}' = 1 }}"),
        format!("{{ value = '{text}' }}"),
        format!("[{{ algorithm = '{text}', signature = 'header:x' }}]"),
        format!("[{{ algorithm = 'hmac-sha256', signature = '{text}', signed = '{{body}}' }}]"),
        format!("[{{ algorithm = 'hmac-sha256', signature = 'header:x', signed = '{{{text}}}' }}]"),
        CANARY.to_owned(),
        format!("-{CANARY}"),
        format!("{CANARY}.5"),
        format!("true # {text}"),
    ]
}

#[test]
fn mistakes_do_not_tell_them() {
    for (key, provider) in KEYS {
        for shape in shapes() {
            let named = if *key == "provider" { String::new() } else { format!("provider = '{provider}'\n") };
            let config = format!("[[source]]\nname = 'a'\n{named}{key} = {shape}\n");
            let (ok, shown, told) = Launch::default().config(&config).run("check");
            assert_silent(&format!("{shown}{told}"), &config);
            // `true`, with the secret in a comment, is right for one of them.
            assert!(!ok || config.contains('#'), "accepted:\n{config}");
            assert!(ok || told.contains("fanwire.toml"), "{config}{told}");
        }
    }
}

#[test]
fn mistakes_of_the_broker_do_not_tell_them() {
    let keys = [
        "auth_hmac_secret",
        "auth_hmac_secret_file",
        "auth_public_key_file",
        "auth_jwks_file",
        "auth_jwks_url",
        "tls_key",
        "listen",
        "ping_s",
        "log_format",
        "insecure",
        "trusted_proxies",
    ];
    for key in keys {
        for shape in shapes() {
            let config = format!("{key} = {shape}\n");
            let (ok, shown, told) = Launch::default().config(&config).run("check");
            assert_silent(&told, &config);
            if key.contains("secret") {
                assert_silent(&shown, &config);
            }
            assert!(ok || told.contains("fanwire.toml"), "{told}");
        }
    }
    for keys in ["name = 'a'\nhash = 'S'", "name = 'a'\nhash = 1\n", "name = 'a'\nhash = 'sha256:S'"] {
        let config = format!("[[key]]\n{}\npublish = ['S**']\n", keys).replace('S', &secret(8));
        assert_silent(&Launch::default().config(&config).run("check").2, &config);
    }
    let url = format!("auth_jwks_url = 'https://me:{}@example.org/keys'\n", secret(7));
    let (ok, shown, told) = Launch::default().config(&url).run("check");
    assert!(!ok && told.contains("without a password"), "{told}");
    assert_silent(&format!("{shown}{told}"), &url);
    let pem = format!("tls_cert = 'x'\ntls_key = '''-----BEGIN PRIVATE KEY-----\n{}'''\n", secret(6));
    assert_silent(&Launch::default().config(&pem).run("check").2, &pem);
}

/// Sources with a secret in every key that may name one.
const SOURCES: &str = r#"
auth_hmac_secret_file = "hmac"
auth_anonymous = true
log_level = "trace"
[[source]]
name = "pay"
provider = "stripe"
secret_env = ["SECRET_1", "SECRET_2"]
[[source]]
name = "repo"
provider = "github"
secret_file = "secret"
path_token_env = "SECRET_3"
[[source]]
name = "sq"
provider = "square"
secret_env = "SECRET_1"
path_token_file = "path"
public_url = "https://hooks.example/in/sq"
[[source]]
name = "chat"
provider = "meta"
secret_env = "SECRET_1"
challenge_token_env = "SECRET_4"
[[source]]
name = "lab"
provider = "gitlab"
secret_env = "SECRET_1"
[[source]]
name = "crm"
provider = "pipedrive"
secret_env = "BASIC"
payload = '{"all": {{ headers }}, "query": {{ query }}}'
[[source]]
name = "own"
secret_env = "SECRET_1"
[[source.verify]]
algorithm = "token"
signature = "query:token"
"#;

fn launch() -> Launch {
    let launch = Launch::default().config(SOURCES).env("BASIC", &format!("me:{}", secret(1)));
    let launch = launch.file("hmac", &secret(5)).file("secret", &secret(1)).file("path", &secret(3));
    (1..=4).fold(launch, |launch, n| launch.env(&format!("SECRET_{n}"), &secret(n)))
}

/// The key of an admin.
const ADMIN: &str = "fwk_admin_of_these_tests";

fn with_admin() -> String {
    let hash = data_encoding::HEXLOWER.encode(digest(&SHA256, ADMIN.as_bytes()).as_ref());
    format!("{SOURCES}\n[[key]]\nname = 'admin'\nhash = 'sha256:{hash}'\nadmin = true\n")
}

fn launch_with_admin() -> Launch {
    launch().config(&with_admin())
}

#[test]
fn what_is_in_force_does_not_tell_them() {
    for (verb, arguments) in
        [("check", &[][..]), ("source", &["list"]), ("--help", &[]), ("serve", &["--help"])]
    {
        let launch = arguments.iter().fold(launch(), |launch, argument| launch.switch(argument));
        let (ok, shown, told) = launch.run(verb);
        assert!(ok, "{verb}: {told}");
        assert_silent(&format!("{shown}{told}"), verb);
    }
    let with_secret = SOURCES.replace("hooks.example/in/sq", &format!("hooks.example/in/sq/{}", secret(3)));
    let (ok, shown, told) = launch().config(&with_secret).run("check");
    assert!(!ok && told.contains("`public_url` must end before the secret"), "{told}");
    assert_silent(&format!("{shown}{told}"), "public_url");
}

#[test]
fn dry_runs_do_not_tell_them() {
    let token = secret(1);
    for (source, header, url) in [
        ("lab", format!("X-Gitlab-Token: {token}"), "/in/lab".to_owned()),
        ("lab", format!("X-Gitlab-Token {token}"), "/in/lab".into()),
        ("crm", format!("Authorization: Bearer {token}"), "/in/crm".into()),
        ("own", "X-Nothing: 1".into(), format!("/in/own?token={token}")),
        ("pay", format!("Stripe-Signature: t=1,v1={}", signing::hex(&token, &[b"1.{}"])), "/in/pay".into()),
    ] {
        let arguments = ["test", source, "--file", "body.json", "--header", &header, "--url", &url];
        let launch = arguments.iter().fold(launch(), |launch, argument| launch.switch(argument));
        let (_, steps, told) = launch.file("body.json", "{}").run("source");
        assert!(steps.contains("verified") || told.contains("--header number 1"), "{steps}{told}");
        assert_silent(&format!("{steps}{told}"), source);
    }
}

/// Asks every source with the right and with wrong secrets; returns how many were taken.
async fn ask_all(server: &Server) -> usize {
    let (token, path) = (secret(1), secret(3));
    let basic = data_encoding::BASE64.encode(format!("me:{token}").as_bytes());
    let square = |id: &str, key: &str| {
        let body = json!({ "event_id": id }).to_string();
        let url = format!("https://hooks.example/in/sq/{path}");
        let header = signing::base64(key, &[url.as_bytes(), body.as_bytes()]);
        (format!("/in/sq/{path}"), format!("X-Square-HmacSha256-Signature: {header}\r\n"), body)
    };
    let body = r#"{"id":"evt_1"}"#.to_owned();
    let stripe = signing::stripe(&token, now_s(), body.as_bytes());
    let github = signing::github(&token, "push", "d-1", body.as_bytes());
    let asked = [
        ("/in/pay".to_owned(), stripe, body.clone()),
        (format!("/in/repo/{path}"), github.clone(), body.clone()),
        (format!("/in/repo/{token}"), github, body.clone()),
        square("1", &token),
        square("2", "another"),
        ("/in/lab".into(), format!("X-Gitlab-Token: {token}\r\n"), body.clone()),
        ("/in/lab".into(), format!("X-Gitlab-Token: {token}x\r\n"), body.clone()),
        ("/in/crm?a=b".into(), format!("Authorization: Basic {basic}\r\n"), body.clone()),
        ("/in/crm".into(), format!("Authorization: Bearer {token}\r\n"), body.clone()),
        (format!("/in/own?token={token}&a=b"), String::new(), body.clone()),
        (format!("/in/own?%74oken={token}"), String::new(), body.clone()),
        (format!("/in/own?token={token}x"), String::new(), body),
    ];
    let mut taken = 0;
    for (path, headers, body) in asked {
        let answer = post(server.address, &path, &headers, body.as_bytes()).await;
        assert_silent(&format!("{}{}", answer.head, answer.body), &path);
        taken += usize::from(answer.status == 200);
    }
    for token in [secret(4), secret(2)] {
        let query = format!("hub.mode=subscribe&hub%2Everify_token={token}&hub.challenge=7");
        let answer = request(server.address, &format!("GET /in/chat?{query} HTTP/1.1\r\n"), b"").await;
        assert_silent(&answer.body, "a handshake");
        taken += usize::from(answer.status == 200);
    }
    taken
}

#[tokio::test]
async fn a_running_broker_does_not_tell_them() {
    let server = launch_with_admin().start();
    let mut clients = Vec::new();
    for topic in ["pay", "repo", "sq", "lab", "crm", "own"] {
        let mut client = Client::connect(&server).await;
        client.subscribe(&format!("webhook:{topic}")).await;
        clients.push(client);
    }
    assert_eq!(ask_all(&server).await, 8, "one of each source, one of them twice, and a handshake");
    for client in &mut clients {
        assert_silent(&client.expect("message").await.to_string(), "a message");
    }
    for (path, expected) in
        [("/v1/config", "secret_env"), ("/v1/deliveries?limit=100", "/in/sq"), ("/metrics", "webhooks")]
    {
        let head = format!("GET {path} HTTP/1.1\r\nAuthorization: Bearer {ADMIN}\r\n");
        let answer = request(server.address, &head, b"").await;
        assert!(answer.status == 200 && answer.body.contains(expected), "{}", answer.body);
        assert_silent(&answer.body, path);
    }
    // A reload that fails says why, and not what.
    server.write_config(&with_admin().replace("\"SECRET_3\"", &format!("\"{}\"", secret(3))));
    server.signal("HUP");
    eventually(async || server.output().contains("configuration not reloaded").then_some(())).await;
    assert_silent(&server.output(), "the log");
}
