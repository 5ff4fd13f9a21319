//! Keys that an identity provider publishes: fetched, and fetched again when it rotates them.

use std::sync::{Arc, Mutex};

use data_encoding::BASE64URL_NOPAD;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::support::{Client, Connect, Server, eventually};

struct Signer {
    id: &'static str,
    pair: Ed25519KeyPair,
}

impl Signer {
    fn new(id: &'static str, seed: u8) -> Self {
        Self { id, pair: Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap() }
    }

    fn jwks(&self) -> Value {
        let x = BASE64URL_NOPAD.encode(self.pair.public_key().as_ref());
        json!({ "keys": [
            { "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": self.id, "x": x },
            { "kty": "oct", "kid": "of no use here", "k": "AAAA" },
        ] })
    }

    fn token(&self, user: &str) -> String {
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let head = part(&json!({ "alg": "EdDSA", "kid": self.id }));
        let signed = format!("{head}.{}", part(&json!({ "sub": user })));
        let signature = BASE64URL_NOPAD.encode(self.pair.sign(signed.as_bytes()).as_ref());
        format!("{signed}.{signature}")
    }
}

/// Answers every request with the document of the moment; returns its address.
async fn publish(document: Arc<Mutex<String>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let body = document.lock().unwrap().clone();
            let length = body.len();
            let answer =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    format!("http://{address}/keys")
}

/// Tries until the broker knows the token's key.
async fn connect(server: &Server, token: &str) -> Client {
    eventually(async || Connect::to(server).token(token).attempt().await.ok()).await
}

#[tokio::test]
async fn published_keys_are_followed_as_they_rotate() {
    let (first, second) = (Signer::new("first", 1), Signer::new("second", 2));
    let document = Arc::new(Mutex::new(first.jwks().to_string()));
    let url = publish(document.clone()).await;
    let server = Server::start(&format!("auth_jwks_url = '{url}'\n"));
    let client = connect(&server, &first.token("alice")).await;
    assert_eq!(client.welcome["user"], "alice");
    assert!(Connect::to(&server).token(&second.token("bob")).attempt().await.is_err());
    *document.lock().unwrap() = second.jwks().to_string();
    let client = connect(&server, &second.token("bob")).await;
    assert_eq!(client.welcome["user"], "bob");
    assert!(Connect::to(&server).token(&first.token("alice")).attempt().await.is_err(), "retired");
    // A broken document changes nothing.
    *document.lock().unwrap() = "{".into();
    server.signal("HUP");
    connect(&server, &second.token("bob")).await;
}
