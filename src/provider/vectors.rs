//! Published signatures of the providers, and what must not pass beside them.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};

use super::*;

const MINUTE_S: u64 = 60;

/// A source of a provider with defaults for what does not matter here.
pub(crate) fn blueprint(provider: &str, secrets: &[&str]) -> Blueprint {
    let preset = preset(provider).unwrap();
    let (public, shared): (Vec<&str>, Vec<&str>) = secrets
        .iter()
        .partition(|secret| matches!(provider, "discord" | "sendgrid") || secret.starts_with("whpk_"));
    let secrets = |texts: Vec<&str>| texts.iter().filter_map(|text| Secret::new(text.as_bytes())).collect();
    Blueprint {
        name: "it".into(),
        preset,
        enabled: true,
        verify: None,
        secrets: secrets(shared),
        public_keys: secrets(public),
        certificate: None,
        provider_hosts: Vec::new(),
        authorities: Vec::new(),
        path_tokens: Vec::new(),
        challenge_tokens: Vec::new(),
        expect: Vec::new(),
        public_url: None,
        methods: None,
        max_body_bytes: 1_000_000,
        tolerance_s: None,
        topic: "webhook:{{ source }}".into(),
        key: None,
        payload: Payload::Envelope,
        filter: None,
        allow_unsigned: false,
        dedupe: None,
        dedupe_signed: None,
        dedupe_for: Duration::from_secs(60),
        keep: Keep { count: 1, age: Duration::from_secs(1), bytes: 1 },
        answer_status: None,
        answer_type: None,
        answer_body: None,
    }
}

pub(crate) fn source(provider: &str, secrets: &[&str]) -> Source {
    Source::build(blueprint(provider, secrets)).unwrap()
}

pub(crate) fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| {
        (name.to_ascii_lowercase().parse::<HeaderName>().unwrap(), value.parse().unwrap())
    };
    lines.iter().map(pair).collect()
}

/// A published request: what it was signed with and what came.
struct Vector<'a> {
    provider: &'a str,
    secret: &'a str,
    url: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    body: &'a [u8],
    /// When it was signed, in seconds since 1970.
    at_s: u64,
}

impl Vector<'_> {
    fn verify(&self, secrets: &[&str], body: &[u8], received_s: u64) -> Result<Verified, Unverified> {
        let headers = headers(&self.headers);
        let request = Request::new("POST", self.url, &headers, body, received_s * 1_000);
        source(self.provider, secrets).verify(&request, &NoCertificates)
    }

    /// Passes as it is, with the secret beside others, and not with any byte changed, nor with another secret.
    #[track_caller]
    fn check(&self) {
        let name = self.provider;
        assert!(self.verify(&[self.secret], self.body, self.at_s).unwrap().signed, "{name}");
        let other = match name {
            "discord" => "11".repeat(32),
            "sendgrid" => return self.check_bytes(),
            _ if self.secret.starts_with("whpk_") => {
                "whpk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".into()
            }
            _ => "YW5vdGhlciBzZWNyZXQgYWx0b2dldGhlcg==".to_owned(),
        };
        assert!(self.verify(&[&other, self.secret], self.body, self.at_s).is_ok(), "{name}: rotation");
        assert_eq!(self.verify(&[&other], self.body, self.at_s), Err(Unverified::Mismatch), "{name}");
        self.check_bytes();
    }

    #[track_caller]
    fn check_bytes(&self) {
        for at in 0..self.body.len() {
            let mut changed = self.body.to_vec();
            changed[at] ^= 1;
            let outcome = self.verify(&[self.secret], &changed, self.at_s);
            assert!(outcome.is_err(), "{}: byte {at} does not matter", self.provider);
        }
        assert!(self.verify(&[self.secret], &[self.body, b" "].concat(), self.at_s).is_err());
    }

    /// Also refuses what is older or newer than the tolerance.
    #[track_caller]
    fn check_with_time(&self, tolerance_s: u64) {
        self.check();
        let at = |received_s| self.verify(&[self.secret], self.body, received_s);
        assert!(at(self.at_s + tolerance_s).is_ok() && at(self.at_s - tolerance_s).is_ok());
        assert!(matches!(at(self.at_s + tolerance_s + 1), Err(Unverified::Old { .. })), "{}", self.provider);
        assert!(
            matches!(at(self.at_s - tolerance_s - 1), Err(Unverified::Early { .. })),
            "{}",
            self.provider
        );
    }
}

#[test]
fn stripe() {
    let vector = Vector {
        provider: "stripe",
        secret: "whsec_test_secret",
        url: "",
        headers: vec![(
            "Stripe-Signature",
            "t=1700000000,v1=d95c6b7477fbd7e9f90b1b0ef5f9c7ac25abca5382460e0d988c2b2a5b71b990",
        )],
        body: br#"{"id":"evt_test_webhook","object":"event"}"#,
        at_s: 1_700_000_000,
    };
    vector.check_with_time(5 * MINUTE_S);
    // While a secret is rotated there are two signatures; other schemes are no signatures.
    let rotated = "t=1700000000,v0=d95c6b7477fbd7e9f90b1b0ef5f9c7ac25abca5382460e0d988c2b2a5b71b990,v1=00,\
                   v1=d95c6b7477fbd7e9f90b1b0ef5f9c7ac25abca5382460e0d988c2b2a5b71b990";
    Vector { headers: vec![("stripe-signature", rotated)], ..vector }.check();
    let only_v0 = "t=1700000000,v0=d95c6b7477fbd7e9f90b1b0ef5f9c7ac25abca5382460e0d988c2b2a5b71b990";
    let other = Vector { headers: vec![("stripe-signature", only_v0)], ..vector };
    assert!(matches!(
        other.verify(&[vector.secret], vector.body, vector.at_s),
        Err(Unverified::Malformed(_))
    ));
}

#[test]
fn github() {
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let docs = Vector {
        provider: "github",
        secret: "It's a Secret to Everybody",
        url: "",
        headers: vec![("X-HUB-SIGNATURE-256", signature)],
        body: b"Hello, World!",
        at_s: 0,
    };
    docs.check();
    let signature = "sha256=4864d2759938a15468b5df9ade20bf161da9b4f737ea61794142f3484236bda3";
    let headers = vec![("x-hub-signature-256", signature)];
    Vector { secret: "mysecret", headers, body: br#"{"foo":"bar"}"#, ..docs }.check();
    let sha1 = vec![("x-hub-signature", "sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59")];
    let legacy = Vector { headers: sha1, ..docs };
    let outcome = legacy.verify(&[docs.secret], docs.body, 0);
    assert!(matches!(outcome, Err(Unverified::Missing(_))), "{outcome:?}");
}

#[test]
fn standard_webhooks() {
    let first = Vector {
        provider: "standard-webhooks",
        secret: "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        url: "",
        headers: vec![
            ("webhook-id", "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk"),
            ("webhook-timestamp", "1649367553"),
            ("webhook-signature", "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="),
        ],
        body: br#"{"email":"test@example.com","username":"test_user"}"#,
        at_s: 1_649_367_553,
    };
    first.check_with_time(5 * MINUTE_S);
    let second = Vector {
        provider: "svix",
        secret: "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        url: "",
        headers: vec![
            ("svix-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("svix-timestamp", "1614265330"),
            ("svix-signature", "v2,xyz v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ],
        body: br#"{"test": 2432232314}"#,
        at_s: 1_614_265_330,
    };
    second.check_with_time(5 * MINUTE_S);
    let asymmetric = Vector {
        provider: "standard-webhooks",
        secret: "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=",
        headers: vec![
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            (
                "webhook-signature",
                "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==",
            ),
        ],
        ..second
    };
    asymmetric.check_with_time(5 * MINUTE_S);
}

#[test]
fn an_id_cannot_reach_into_the_body() {
    let headers = headers(&[
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330"),
        ("webhook-timestamp", "1614265330"),
        ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    ]);
    let request = Request::new("POST", "", &headers, b"x", 1_614_265_330_000);
    let source = source("standard-webhooks", &["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]);
    assert!(matches!(source.verify(&request, &NoCertificates), Err(Unverified::Incomplete(_))));
}

#[test]
fn slack() {
    let body = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    let vector = Vector {
        provider: "slack",
        secret: "8f742231b10e8888abcd99yyyzzz85a5",
        url: "",
        headers: vec![("X-Slack-Signature", signature), ("X-Slack-Request-Timestamp", "1531420618")],
        body,
        at_s: 1_531_420_618,
    };
    vector.check_with_time(5 * MINUTE_S);
}

#[test]
fn shopify() {
    let vector = Vector {
        provider: "shopify",
        secret: "It's a Secret to Everybody",
        url: "",
        headers: vec![("X-Shopify-Hmac-Sha256", "dXEH6g6yUJ/CESIczphLijdXC211hsIsRvQ3nIsEPhc=")],
        body: b"Hello, World!",
        at_s: 0,
    };
    vector.check();
    let headers = vec![("shopify-hmac-sha256", "dXEH6g6yUJ/CESIczphLijdXC211hsIsRvQ3nIsEPhc=")];
    Vector { headers, ..vector }.check();
}

#[test]
fn hubspot() {
    let body = br#"[{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600000,"subscriptionType":"contact.creation","attemptNumber":0,"objectId":123,"changeSource":"CRM","changeFlag":"NEW","appId":54321}]"#;
    let v1 = Vector {
        provider: "hubspot-v1",
        secret: "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy",
        url: "https://www.example.com/webhook_uri",
        headers: vec![
            ("X-HubSpot-Signature", "232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de"),
            ("X-HubSpot-Signature-Version", "v1"),
        ],
        body,
        at_s: 1_700_000_000,
    };
    v1.check();
    let body = br#"{"example_field":"example_value"}"#;
    let v2 = Vector {
        provider: "hubspot-v2",
        headers: vec![
            ("X-HubSpot-Signature", "9569219f8ba981ffa6f6f16aa0f48637d35d728c7e4d93d0d52efaa512af7900"),
            ("X-HubSpot-Signature-Version", "v2"),
        ],
        body,
        ..v1
    };
    v2.check();
    let v3 = Vector {
        provider: "hubspot",
        headers: vec![
            ("X-HubSpot-Signature-v3", "rQEKkaNUiu+1qGF//O/pw4BCzstSqO1PyUnGICmf+7o="),
            ("X-HubSpot-Request-Timestamp", "1700000000000"),
        ],
        ..v2
    };
    v3.check_with_time(5 * MINUTE_S);
    let elsewhere = Vector { url: "https://www.example.org/webhook_uri", ..v3 };
    assert_eq!(elsewhere.verify(&[v1.secret], body, v1.at_s), Err(Unverified::Mismatch));
}

#[test]
fn twilio() {
    let vector = Vector {
        provider: "twilio",
        secret: "12345",
        url: "https://example.com/myapp.php?foo=1&bar=2",
        headers: vec![
            ("X-Twilio-Signature", "L/OH5YylLD5NRKLltdqwSvS0BnU="),
            ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
        ],
        body: b"CallSid=CA1234567890ABCDE&Caller=%2B14158675310&Digits=1234&From=%2B14158675310&To=%2B18005551212",
        at_s: 0,
    };
    assert!(vector.verify(&[vector.secret], vector.body, 0).is_ok());
    // The order of the fields does not matter, nor whether the standard port is spelled out.
    let body =
        b"To=%2B18005551212&Digits=1234&CallSid=CA1234567890ABCDE&Caller=%2b14158675310&From=%2B14158675310";
    assert!(vector.verify(&[vector.secret], body, 0).is_ok());
    let with_port = Vector { url: "https://example.com:443/myapp.php?foo=1&bar=2", ..vector };
    assert!(with_port.verify(&[vector.secret], body, 0).is_ok());
    let changed =
        b"To=%2B18005551213&Digits=1234&CallSid=CA1234567890ABCDE&Caller=%2b14158675310&From=%2B14158675310";
    assert_eq!(with_port.verify(&[vector.secret], changed, 0), Err(Unverified::Mismatch));
    // Not a form: the hash in the address covers the body, and must be there.
    let json = headers(&[
        ("X-Twilio-Signature", "L/OH5YylLD5NRKLltdqwSvS0BnU="),
        ("content-type", "application/json"),
    ]);
    let request = Request::new("POST", vector.url, &json, b"{}", 0);
    assert!(source("twilio", &["12345"]).verify(&request, &NoCertificates).is_err());
}

#[test]
fn paddle() {
    let vector = Vector {
        provider: "paddle",
        secret: "VALID_SECRET",
        url: "",
        headers: vec![(
            "Paddle-Signature",
            "ts=1698796800;h1=a300428748dce5c70e4da19bffd60769591ea969c99dea3105d0ec9612cf43f9",
        )],
        body: br#"{"data": ["1", "2"]}"#,
        at_s: 1_698_796_800,
    };
    vector.check_with_time(MINUTE_S);
}

#[test]
fn square() {
    let first = Vector {
        provider: "square",
        secret: "Ibxx_5AKakO-3qeNVR61Dw",
        url: "https://webhook.site/679a4f3a-dcfa-49ee-bac5-9d0edad886b9",
        headers: vec![("x-square-hmacsha256-signature", "GF4YkrJgGBDZ9NIYbNXBnMzqb2HoL4RW/S6vkZ9/2N4=")],
        body: br#"{"merchant_id":"MLEFBHHSJGVHD","type":"webhooks.test_notification","event_id":"ac3ac95b-f97d-458c-a6e6-18981597e05f","created_at":"2022-07-13T20:30:59.037339943Z","data":{"type":"webhooks","id":"bc368e64-01aa-407e-b46e-3231809b1129"}}"#,
        at_s: 0,
    };
    first.check();
    let headers = vec![("x-square-hmacsha256-signature", "W3FlCNk5IA3ZQ2LHTWoajvzfaDu/OwY2tNHIHC3IUOA=")];
    let body = br#"{"data":{"type":"webhooks","id":"fake_id"}}"#;
    Vector { secret: "signature-key", url: "https://webhook.site/webhooks", headers, body, ..first }.check();
}

#[test]
fn sendgrid() {
    let body = b"[{\"email\":\"hello@world.com\",\"event\":\"dropped\",\"reason\":\"Bounced Address\",\"sg_event_id\":\"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA\",\"sg_message_id\":\"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0\",\"smtp-id\":\"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>\",\"timestamp\":1600112492}]\r\n";
    let vector = Vector {
        provider: "sendgrid",
        secret: "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==",
        url: "",
        headers: vec![
            (
                "X-Twilio-Email-Event-Webhook-Signature",
                "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM=",
            ),
            ("X-Twilio-Email-Event-Webhook-Timestamp", "1600112502"),
        ],
        body,
        at_s: 1_600_112_502,
    };
    vector.check_with_time(5 * MINUTE_S);
}

/// The signature of a Pusher REST request, checked by a verifier that nobody has a preset for.
#[test]
fn pusher() {
    let scheme: Scheme = toml::from_str(
        r#"algorithm = "hmac-sha256"
           signature = "query:auth_signature"
           signed = "{body}""#,
    )
    .unwrap();
    let custom = Blueprint { verify: Some(vec![scheme]), ..blueprint("custom", &["7ad3773142a6692b25b8"]) };
    let source = Source::build(custom).unwrap();
    let url = "https://h/?auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c";
    let body = b"POST\n/apps/3/events\nauth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0&body_md5=ec365a775a4cd0599faeb73354201b6f";
    let no_headers = HeaderMap::new();
    assert!(source.verify(&Request::new("POST", url, &no_headers, body, 0), &NoCertificates).is_ok());
    assert!(source.verify(&Request::new("POST", url, &no_headers, b"x", 0), &NoCertificates).is_err());
}

#[test]
fn an_answer_of_ones_own_keeps_the_type_the_provider_wants() {
    let key = "ab".repeat(32);
    let answer = |provider, keys: &[&str]| {
        let wanted = blueprint(provider, keys);
        let source = Source::build(Blueprint { answer_body: Some("{}".into()), ..wanted }).unwrap();
        source.answer.headers[0].1.clone()
    };
    assert_eq!(answer("discord", &[&key]), "application/json");
    assert_eq!(answer("github", &["a secret"]), "text/plain; charset=utf-8");
}

#[test]
fn bodies_need_not_be_text() {
    let body = [0xff, 0x00, 0xc3, 0x28];
    let signature = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"k"), &body);
    let signature = format!("sha256={}", data_encoding::HEXUPPER.encode(signature.as_ref()));
    let headers = headers(&[("x-hub-signature-256", &signature)]);
    let source = source("github", &["k"]);
    let request = Request::new("POST", "", &headers, &body, 0);
    let verified = source.verify(&request, &NoCertificates).unwrap();
    let parts = source.parts(&request, &verified, Naming { id: "d", max_message_bytes: 1_000 });
    let Fate::Publish(outgoing) = &parts[0].fate else { panic!("{:?}", parts[0].fate) };
    let fanwire_proto::Payload::Json(json) = &outgoing.payload else { panic!("{:?}", outgoing.payload) };
    assert!(json.get().contains(r#""raw_b64":"/wDDKA==""#), "{json}");
}

/// A source of one's own with HMAC, under the key `k`.
fn own(verify: &str, dedupe: &str) -> Result<Source, Vec<Mistake>> {
    let scheme = format!("algorithm = 'hmac-sha256'\nsignature = 'header:x-signature'\n{verify}");
    let verify = Some(vec![toml::from_str(&scheme).unwrap()]);
    let dedupe = Some(serde_json::from_value(dedupe.into()).unwrap());
    Source::build(Blueprint { verify, dedupe, ..blueprint("custom", &["k"]) })
}

#[test]
fn an_id_is_signed_only_where_it_is_the_one_that_is_signed() {
    let repeated = "signed = '{id}.{body}'\nid = 'header:x-id'";
    for (verify, signed, dedupe, known_by) in [
        (repeated, "1.{}", "header:x-id", 1),
        (repeated, "1.{}", "header:x-other", 2),
        ("signed = '{body}'\nid = 'header:x-id'", "{}", "header:x-id", 2),
        ("signed = '{body}'", "{}", "json:/id", 1),
        ("signed = '{id}'\nid = 'header:x-id'", "1", "json:/id", 2),
    ] {
        let body = br#"{"id":2}"#;
        let signed = signed.replace("{}", r#"{"id":2}"#);
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"k");
        let signature = data_encoding::HEXLOWER.encode(ring::hmac::sign(&key, signed.as_bytes()).as_ref());
        let headers = headers(&[("x-signature", &signature), ("x-id", "1"), ("x-other", "3")]);
        let source = own(verify, dedupe).unwrap();
        let request = Request::new("POST", "", &headers, body, 0);
        let verified = source.verify(&request, &NoCertificates).unwrap();
        let parts = source.parts(&request, &verified, Naming { id: "d", max_message_bytes: 1_000 });
        assert_eq!(parts[0].seen_as.len(), known_by, "{verify}, {dedupe}");
    }
}

#[test]
fn a_time_that_nobody_signed_proves_nothing() {
    let built = |verify: &str| own(&format!("{verify}\ntolerance_s = 60"), "header:x-id");
    for unsigned in [
        "signed = '{body}'\ntimestamp = 'header:x-time'",
        "signed = '{body}'\ntimestamp = 'query:t'",
        "signed = '{body}'\ntimestamp = ['json:/time', 'header:x-time']",
        "signed = '{body}'\ntimestamp = 'list:t'\nlist_separator = ','\nlist_pair = '='\nlist_name = 'v1'",
        "signed = '{method}'\ntimestamp = 'json:/time'",
    ] {
        let mistakes = built(unsigned).unwrap_err();
        assert!(mistakes[0].1.contains("is not part of what is signed"), "{unsigned}: {mistakes:?}");
    }
    for signed in [
        "signed = '{timestamp}{body}'\ntimestamp = 'header:x-time'",
        "signed = '{url}{body}'\ntimestamp = 'query:t'",
        "signed = '{body}'\ntimestamp = 'json:/time'",
    ] {
        assert!(built(signed).is_ok(), "{signed}");
    }
    // Nor does it when the tolerance is the source's.
    let scheme =
        "algorithm = 'hmac-sha256'\nsignature = 'header:x'\nsigned = '{body}'\ntimestamp = 'header:t'";
    let verify = Some(vec![toml::from_str(scheme).unwrap()]);
    let wanted = Blueprint { verify, tolerance_s: Some(30), ..blueprint("custom", &["k"]) };
    assert_eq!(Source::build(wanted).unwrap_err()[0].0, "tolerance_s");
}
