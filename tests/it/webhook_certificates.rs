//! Certificates fetched and subscriptions confirmed over TLS: at the provider's hosts only, within time and size, once, and
//! again when they are replaced.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use data_encoding::BASE64;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use ring::{rand::SystemRandom, rsa, signature::RSA_PKCS1_SHA256};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{PrivateKeyDer, pem::PemObject},
    },
    server::TlsStream,
};

use crate::support::{Answer, Client, Launch, Server, eventually, get, now_s, post, signing};

const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:MyTopic";
const SIGNER: &str = include_str!("../webhooks/certificate.pem");
const SIGNER_KEY: &str = include_str!("../webhooks/certificate-key.pem");

/// A provider's host, with every mistake a host can make.
struct Host {
    port: u16,
    authority: String,
    asked: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<usize>>,
    rotating: Arc<Mutex<String>>,
}

impl Host {
    async fn start() -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let key = PrivateKeyDer::from_pem_slice(signing_key.serialize_pem().as_bytes()).unwrap();
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![cert.der().clone()], key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = Self {
            port: listener.local_addr().unwrap().port(),
            authority: cert.pem(),
            asked: Arc::default(),
            connections: Arc::default(),
            rotating: Arc::default(),
        };
        let (asked, connections, rotating) =
            (host.asked.clone(), host.connections.clone(), host.rotating.clone());
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *connections.lock().unwrap() += 1;
                let (acceptor, asked, rotating) = (acceptor.clone(), asked.clone(), rotating.clone());
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut head = [0; 4096];
                    let length = stream.read(&mut head).await.unwrap_or(0);
                    let head = String::from_utf8_lossy(&head[..length]).into_owned();
                    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                    asked.lock().unwrap().push(path.clone());
                    let rotating = rotating.lock().unwrap().clone();
                    answer(&mut stream, &path, &rotating).await;
                });
            }
        });
        host
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    /// How often a path was asked for.
    fn asked(&self, path: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| asked.starts_with(path)).count()
    }

    fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }

    /// A broker whose source `own` takes this host for the provider's; `real` and `strange` do not.
    fn broker(&self) -> Server {
        let source = format!("provider = 'sns'\nexpect = '{TOPIC}'\n");
        let hosts = format!("provider_hosts = ['localhost:{}']\n", self.port);
        Launch::default()
            .config(&format!(
                "[[source]]\nname = 'own'\n{source}{hosts}provider_ca_file = 'ca.pem'\n\
                 [[source]]\nname = 'real'\n{source}\
                 [[source]]\nname = 'strange'\n{source}{hosts}"
            ))
            .file("ca.pem", &self.authority)
            .start()
    }
}

async fn answer(stream: &mut TlsStream<TcpStream>, path: &str, rotating: &str) {
    let ok = |body: &str| {
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
    };
    let text = match path {
        "/good.pem" => ok(SIGNER),
        "/rotating.pem" => ok(rotating),
        "/type.pem" => ok("<html>it works</html>"),
        "/fail.pem" => "HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n".into(),
        "/redirect.pem" => "HTTP/1.1 302 Found\r\nlocation: /good.pem\r\ncontent-length: 0\r\n\r\n".into(),
        "/liar.pem" => format!("HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n{SIGNER}"),
        "/huge.pem" => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            while stream.write_all(SIGNER.as_bytes()).await.is_ok() {}
            return;
        }
        confirm if confirm.starts_with("/?Action=ConfirmSubscription") => ok("<ok/>"),
        // It never says anything, or a byte now and then.
        _ => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
            while stream.write_all(b"x: y\r\n").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            return;
        }
    };
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// Now, as SNS writes it. Days to a date after Howard Hinnant's `civil_from_days`.
fn timestamp() -> String {
    let seconds = now_s();
    let days = i64::try_from(seconds / 86_400).unwrap() + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let part = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * part + 2) / 5 + 1, if part < 10 { part + 3 } else { part - 9 });
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let of_day = seconds % 86_400;
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.000Z")
}

/// A message with a signature over the members that are named.
fn signed(mut message: Value, members: &[&str]) -> String {
    let text: String =
        members.iter().map(|name| format!("{name}\n{}\n", message[*name].as_str().unwrap())).collect();
    let key = PrivateKeyDer::from_pem_slice(SIGNER_KEY.as_bytes()).unwrap();
    let pair = rsa::KeyPair::from_pkcs8(key.secret_der()).unwrap();
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
    message["Signature"] = BASE64.encode(&signature).into();
    message.to_string()
}

fn notification(id: &str, certificate: &str) -> String {
    let message = json!({
        "Type": "Notification", "MessageId": id, "TopicArn": TOPIC, "Message": "Hello world!",
        "Timestamp": timestamp(), "SignatureVersion": "2", "SigningCertURL": certificate,
    });
    signed(message, &["Message", "MessageId", "Timestamp", "TopicArn", "Type"])
}

fn confirmation(id: &str, certificate: &str, subscribe: &str) -> String {
    let message = json!({
        "Type": "SubscriptionConfirmation", "MessageId": id, "TopicArn": TOPIC, "Message": "You have chosen",
        "Timestamp": timestamp(), "SignatureVersion": "2", "SigningCertURL": certificate,
        "SubscribeURL": subscribe, "Token": "t",
    });
    let members = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"];
    signed(message, &members)
}

async fn send(server: &Server, source: &str, body: &str) -> Answer {
    let headers = "Content-Type: text/plain; charset=UTF-8\r\n";
    post(server.address, &format!("/in/{source}"), headers, body.as_bytes()).await
}

#[tokio::test]
async fn a_certificate_is_fetched_once() {
    let host = Host::start().await;
    let server = host.broker();
    let mut client = Client::connect(&server).await;
    client.subscribe("webhook:own").await;
    for id in ["1", "2", "3"] {
        let answer = send(&server, "own", &notification(id, &host.url("/good.pem"))).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(client.data().await["data"]["MessageId"], id);
    }
    assert_eq!(host.asked("/good.pem"), 1);
    let changed = notification("4", &host.url("/good.pem")).replace("Hello", "Hallo");
    assert_eq!(send(&server, "own", &changed).await.status, 401);
}

#[tokio::test]
async fn what_a_host_does_wrong_is_bounded() {
    let host = Host::start().await;
    let server = host.broker();
    let paths = ["/slow.pem", "/huge.pem", "/liar.pem", "/type.pem", "/fail.pem", "/redirect.pem"];
    for path in paths {
        let began = Instant::now();
        let answer = send(&server, "own", &notification(path, &host.url(path))).await;
        assert_eq!((answer.status, &answer.json()["code"]), (503, &json!("overloaded")), "{path}");
        assert!(answer.header("retry-after").is_some(), "{path}: {}", answer.head);
        assert!(answer.body.contains("certificate could not be fetched"), "{path}: {}", answer.body);
        // The most impatient provider waits five seconds.
        assert!(began.elapsed() < Duration::from_secs(5), "{path}: {:?}", began.elapsed());
        // Whoever comes again at once does not make us ask again.
        assert_eq!(send(&server, "own", &notification(path, &host.url(path))).await.status, 503);
        assert_eq!(host.asked(path), 1, "{path}");
    }
    assert_eq!(host.asked("/good.pem"), 0, "redirects are not followed");
    assert_eq!(send(&server, "own", &notification("1", &host.url("/good.pem"))).await.status, 200);
}

#[tokio::test]
async fn nothing_is_fetched_from_anywhere_else() {
    let host = Host::start().await;
    let server = host.broker();
    let port = host.port;
    for (source, url) in [
        ("real", host.url("/good.pem")),
        ("own", format!("https://127.0.0.1:{port}/good.pem")),
        ("own", format!("https://[::1]:{port}/good.pem")),
        ("own", format!("http://localhost:{port}/good.pem")),
        ("own", format!("https://me@localhost:{port}/good.pem")),
        ("own", format!("https://localhost:{port}/good.pem?x=.pem")),
        ("own", format!("https://localhost:{port}/good.html")),
        ("own", format!("https://localhost:{port}#.pem")),
        ("own", "https://localhost/good.pem".into()),
        ("own", "https://169.254.169.254/latest/meta-data/x.pem".into()),
        ("own", "file:///etc/ssl/x.pem".into()),
        ("real", "https://10.0.0.1/x.pem".into()),
    ] {
        let answer = send(&server, source, &notification("1", &url)).await;
        assert_eq!((answer.status, &answer.json()["code"]), (401, &json!("bad_signature")), "{url}");
    }
    assert_eq!(host.connections(), 0);
    // A host of the right name that cannot prove it is asked for nothing.
    let answer = send(&server, "strange", &notification("1", &host.url("/good.pem"))).await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert_eq!((host.connections(), host.asked("/")), (1, 0));
}

#[tokio::test]
async fn a_subscription_is_confirmed() {
    let host = Host::start().await;
    let server = host.broker();
    let (certificate, confirm) = (host.url("/good.pem"), host.url("/?Action=ConfirmSubscription&Token=t"));
    let answer = send(&server, "own", &confirmation("1", &certificate, &confirm)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(host.asked("/?Action=ConfirmSubscription&Token=t"), 1);
    let noted = get(server.address, "/v1/deliveries?outcome=handshake").await.json();
    assert_eq!(noted["deliveries"][0]["detail"], "confirmed");
    // Only by a host of the provider's, only for this, and only where the message is signed.
    for elsewhere in [
        format!("https://127.0.0.1:{}/?Action=ConfirmSubscription", host.port),
        host.url("/?Action=DeleteTopic"),
        "http://169.254.169.254/?Action=ConfirmSubscription".into(),
    ] {
        let answer = send(&server, "own", &confirmation("2", &certificate, &elsewhere)).await;
        assert_eq!(answer.status, 401, "{elsewhere}");
    }
    let forged = confirmation("3", &certificate, &confirm).replace("You have", "You had");
    assert_eq!(send(&server, "own", &forged).await.status, 401);
    assert_eq!(host.asked("/?"), 1);
    // One that takes too long is asked for once more when SNS comes again.
    let began = Instant::now();
    let slow = host.url("/slow?Action=ConfirmSubscription");
    assert_eq!(send(&server, "own", &confirmation("4", &certificate, &slow)).await.status, 503);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(send(&server, "own", &confirmation("4", &certificate, &slow)).await.status, 503);
    assert_eq!(host.asked("/slow?"), 2);
}

#[tokio::test]
async fn a_certificate_that_is_replaced_is_fetched_again() {
    let host = Host::start().await;
    let server = host.broker();
    let other = generate_simple_self_signed(vec!["sns.amazonaws.com".into()]).unwrap();
    *host.rotating.lock().unwrap() = other.cert.pem();
    let certificate = host.url("/rotating.pem");
    assert_eq!(send(&server, "own", &notification("1", &certificate)).await.status, 401);
    *host.rotating.lock().unwrap() = SIGNER.to_owned();
    eventually(async || {
        (send(&server, "own", &notification("2", &certificate)).await.status == 200).then_some(())
    })
    .await;
    assert_eq!(host.asked("/rotating.pem"), 2, "not for every signature that does not fit");
}

#[test]
fn hosts_and_authorities_are_checked() {
    let sns = format!("[[source]]\nname = 'a'\nprovider = 'sns'\nexpect = '{TOPIC}'\n");
    let github = "[[source]]\nname = 'a'\nprovider = 'github'\nsecret_env = 'K'\n";
    for (config, expected) in [
        (
            format!("{sns}provider_hosts = ['*']\n"),
            "fanwire.toml:5: source `a`: `provider_hosts` must be hosts",
        ),
        (format!("{sns}provider_hosts = 'https://x'\n"), "`provider_hosts` must be hosts"),
        (
            format!("{sns}provider_ca_file = 'none.pem'\n"),
            "`provider_ca_file` names a file that cannot be used",
        ),
        (format!("{sns}provider_ca_file = 'fanwire.toml'\n"), "there are no certificates in PEM"),
        (format!("{github}provider_hosts = 'x.org'\n"), "which has no certificates to fetch"),
    ] {
        let key = signing::hex("k", &[b""]);
        let (ok, _, told) = Launch::default().config(&config).env("K", &key).run("check");
        assert!(!ok && told.contains(expected), "{config}{told}");
    }
}
