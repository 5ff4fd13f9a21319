//! Settings become a configuration, or a list of mistakes.

use std::{path::Path, time::Duration};

use super::{Config, ConfigErrors, fallback::DEFAULT_LISTEN, wording, wording::Place};
use crate::defaults;

fn check(text: &str) -> Result<Config, ConfigErrors> {
    let path = Path::new("f.toml");
    let settings = toml::from_str(text).map_err(|error| wording::of_file(text, &error))?;
    Config::check(settings, &Place { file: Some(path), text })
}

fn mistakes(text: &str) -> String {
    check(text).unwrap_err().to_string()
}

#[test]
fn an_empty_file_has_the_defaults() {
    let config = check("").unwrap();
    assert_eq!(config.listen, DEFAULT_LISTEN);
    assert_eq!(config.limits.max_message_bytes, defaults::MAX_MESSAGE_BYTES);
    assert_eq!(config.shard.ping, Duration::from_secs(25));
}

#[test]
fn the_effective_configuration_is_a_configuration() {
    let text = "ping_s = 7\n[[rule]]\npattern = 'a:*'\nkind = 'latest'\n";
    let effective = check(text).unwrap().to_toml().unwrap();
    assert_eq!(check(&effective).unwrap().to_toml().unwrap(), effective);
    assert!(effective.contains("ping_s = 7") && effective.contains("pong_timeout_s = 7"));
}

#[test]
fn mistakes_name_key_and_line() {
    assert!(mistakes("\nmax_mesage_bytes = 1").contains("line 2"));
    assert!(mistakes("\nmax_mesage_bytes = 1").contains("max_mesage_bytes"));
    assert!(mistakes("\n\nping_s = 'x'").contains("line 3"));
    assert!(mistakes("[[rule]]\npattern = 'a**'").contains("line 2"));
    assert!(mistakes("[[rule]]\nkind = 'nonsense'\npattern = 'a'").contains("line 2"));
    assert!(mistakes("ping_s = 3\npong_timeout_s = 4").contains("f.toml:2: `pong_timeout_s`"));
    assert!(mistakes("tls_key = '-----BEGIN PRIVATE KEY'").contains("must be the path of a file"));
    assert!(mistakes("tls_cert = 'x'").contains("f.toml:1: `tls_cert`"));
    assert!(mistakes("[[rule]]\nkind = 'log'").contains("`pattern` is missing"));
    assert!(mistakes("[[rule]]\npattern='a'\nmax_keys = 3").contains("f.toml:3: `max_keys`"));
    assert!(mistakes("listen = '0.0.0.0:1'").contains("f.toml:1: `listen`"));
    assert!(mistakes("auth_hmac_secret = 'short'").contains("32 bytes"));
}

#[test]
fn a_mistake_does_not_quote_what_may_be_a_secret() {
    for text in [
        "[[source]]\nname = 'a'\nsecret = 'whsec_x'",
        "[[source]]\nname = 'a'\nsecrets = ['whsec_x']",
        "[[source]]\nname = 'a'\nsecret_evn = 'whsec_x'",
        "[[source]]\nname = 'a'\nsecret = 'whsec_x",
    ] {
        let told = mistakes(text);
        assert!(told.contains("line 3") && !told.contains("whsec_x"), "{told}");
    }
    assert!(mistakes("[[source]]\nname = 'a'\nsecret = 'x'").contains("use `secret_env` or `secret_file`"));
}

#[test]
fn all_mistakes_are_told_at_once() {
    assert_eq!(mistakes("listen = '0.0.0.0:1'\ntls_key = 'k'").lines().count(), 2);
}

#[test]
fn exposure_needs_authentication_or_consent() {
    assert!(check("listen = '0.0.0.0:1'\ninsecure = true").is_ok());
    assert!(check("listen = '0.0.0.0:1'\nauth_hmac_secret = '0123456789abcdef0123456789abcdef'").is_ok());
}

#[test]
fn secrets_are_not_shown() {
    let config = check("auth_hmac_secret = '0123456789abcdef0123456789abcdef'").unwrap();
    assert!(!config.to_toml().unwrap().contains("0123456789"));
    assert_eq!(config.to_json().unwrap()["auth_hmac_secret"], "(hidden)");
    assert!(!format!("{:?}", config.authenticator).contains("0123456789"));
}
