//! `wss://` with certificate files.

use std::sync::Arc;

use rcgen::CertifiedKey;
use serde_json::json;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, pki_types::ServerName},
};

use crate::support::{
    Client, Connect, Encoding, LONG_PATIENCE, Launch, PATIENCE, Raw, Scratch, Server, Transcript, within,
};

/// A broker with a fresh certificate, and a connector that trusts it.
fn start() -> (Server, TlsConnector, Scratch) {
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let scratch = Scratch::new();
    let cert_file = scratch.write("cert.pem", &cert.pem());
    let key_file = scratch.write("key.pem", &signing_key.serialize_pem());
    let server = Launch::default()
        .config(&format!(
            "tls_cert = {:?}\ntls_key = {:?}\nhandshake_timeout_ms = 1000\nping_s = 600\npong_timeout_s = 600\n[default]\nhistory_bytes = 67108864",
            cert_file.to_str().unwrap(),
            key_file.to_str().unwrap()
        ))
        .start();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    (server, TlsConnector::from(Arc::new(config)), scratch)
}

type TlsClient = Client<TlsStream<TcpStream>>;

async fn connect(server: &Server, connector: &TlsConnector, encoding: Encoding) -> TlsClient {
    let stream = TcpStream::connect(server.address).await.unwrap();
    handshake(server, connector, encoding, stream).await
}

/// A client with a small window.
async fn connect_slow(server: &Server, connector: &TlsConnector) -> TlsClient {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 * 1024).unwrap();
    let stream = socket.connect(server.address).await.unwrap();
    handshake(server, connector, Encoding::Json, stream).await
}

async fn handshake(
    server: &Server,
    connector: &TlsConnector,
    encoding: Encoding,
    stream: TcpStream,
) -> TlsClient {
    let name = ServerName::try_from("localhost").unwrap();
    let stream = within(PATIENCE, connector.connect(name, stream)).await.unwrap();
    Connect::to(server).encoding(encoding).over(stream, "wss").await.unwrap()
}

#[tokio::test]
async fn messages_travel_over_tls() {
    let (server, connector, _files) = start();
    assert!(server.url.starts_with("wss://"), "{}", server.url);
    let mut reader = connect(&server, &connector, Encoding::Json).await;
    let mut writer = connect(&server, &connector, Encoding::MsgPack).await;
    reader.subscribe("chat:a").await;
    for n in 0..100 {
        writer.publish("chat:a", json!({ "n": n, "pad": "x".repeat(10_000) })).await;
        assert_eq!(reader.data().await["n"], n);
    }
    reader.expect_nothing().await;
    reader.close().await;
}

#[tokio::test]
async fn more_than_a_tls_record_at_once_arrives_whole() {
    let (server, connector, _files) = start();
    let mut reader = connect(&server, &connector, Encoding::MsgPack).await;
    let mut writer = connect(&server, &connector, Encoding::Json).await;
    reader.subscribe("chat:a").await;
    writer.flood("chat:a", 0..500, 15_000).await;
    for n in 0..500 {
        assert_eq!(reader.data().await["n"], n);
    }
}

#[tokio::test]
async fn a_late_reader_catches_up_over_tls_too() {
    let (server, connector, _files) = start();
    let mut writer = connect(&server, &connector, Encoding::Json).await;
    let mut slow = connect_slow(&server, &connector).await;
    let mut transcript = Transcript::default();
    transcript.subscribed(&slow.subscribe("chat:a").await);
    let published = writer.flood("chat:a", 0..800, 20_000).await;
    within(LONG_PATIENCE, transcript.read_until(&mut slow, 799)).await;
    assert_eq!(transcript.check(&published).received, 800);
    slow.expect_nothing().await;
}

#[tokio::test]
async fn a_drain_cuts_nothing_off_that_tls_still_holds() {
    for count in [3, 6, 9, 12, 15, 18] {
        let (mut server, connector, _files) = start();
        let mut slow = connect_slow(&server, &connector).await;
        slow.subscribe("chat:a").await;
        let mut writer = connect(&server, &connector, Encoding::Json).await;
        writer.flood("chat:a", 0..count, 15_000).await;
        server.signal("TERM");
        assert_eq!(writer.expect("goodbye").await["code"], "draining");
        for n in 0..count {
            assert_eq!(slow.data().await["n"], n, "of {count}");
        }
        assert_eq!(slow.expect("goodbye").await["code"], "draining");
        assert_eq!(slow.next_or_end().await.unwrap_err().code, Some(1001), "after {count}");
        assert_eq!(server.exit().await.code(), Some(0));
    }
}

#[tokio::test]
async fn plain_text_on_a_tls_port_gets_nowhere() {
    let (server, connector, _files) = start();
    let mut plain = Raw::tcp(server.address).await;
    plain.send(b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(!plain.rest().await.starts_with(b"HTTP/1.1 101"));
    let mut silent = Raw::tcp(server.address).await;
    assert!(silent.rest().await.is_empty()); // cut after the handshake's time
    connect(&server, &connector, Encoding::Json).await.expect_nothing().await;
}

#[tokio::test]
async fn tls_clients_are_told_of_the_drain() {
    let (mut server, connector, _files) = start();
    let mut client = connect(&server, &connector, Encoding::Json).await;
    server.signal("TERM");
    assert_eq!(client.expect("goodbye").await["code"], "draining");
    assert_eq!(client.next_or_end().await.unwrap_err().code, Some(1001));
    assert_eq!(server.exit().await.code(), Some(0));
}

#[test]
fn a_certificate_that_cannot_be_read_is_an_error() {
    let (success, _, stderr) =
        Launch::default().config("tls_cert = \"missing.pem\"\ntls_key = \"missing.key\"").run("serve");
    assert!(!success);
    assert!(stderr.contains("missing.pem"), "{stderr}");
}
