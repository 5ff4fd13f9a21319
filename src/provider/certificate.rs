//! Certificates that a provider signs its webhooks with: where they may come from, and the key in them.

use x509_parser::{
    parse_x509_certificate,
    pem::{Pem, parse_x509_pem},
};

use super::key::PublicKey;

/// Longest certificate file, in bytes: a chain of three is about 6 KiB.
pub const CERTIFICATE_BYTES_MAX: usize = 64 * 1024;

/// Why a certificate is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Only the provider's own hosts are asked.
    #[error("certificates are not taken from this address")]
    ForeignAddress,
    /// It is not a certificate in PEM.
    #[error("it is not a certificate in PEM")]
    Unreadable,
}

/// A certificate that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    pub(super) key: PublicKey,
    /// In milliseconds since 1970.
    not_before_ms: u64,
    not_after_ms: u64,
}

impl Certificate {
    /// Reads the first certificate of a file in PEM.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        let unreadable = CertificateError::Unreadable;
        let (_, pem) = parse_x509_pem(pem).map_err(|_| unreadable.clone())?;
        // The chain is not checked: that it came from the provider's own host over TLS is what makes it trusted.
        let (_, certificate) = parse_x509_certificate(&pem.contents).map_err(|_| unreadable.clone())?;
        let millis = |seconds: i64| u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000);
        let validity = certificate.validity();
        Ok(Self {
            key: PublicKey(certificate.public_key().subject_public_key.data.to_vec()),
            not_before_ms: millis(validity.not_before.timestamp()),
            not_after_ms: millis(validity.not_after.timestamp()),
        })
    }

    pub(super) fn is_valid_at(&self, now_ms: u64) -> bool {
        (self.not_before_ms..=self.not_after_ms).contains(&now_ms)
    }
}

/// Checks the address of a certificate: a file of the provider's, and not the answer to a question that anybody may ask
/// its other services at the same host.
pub(super) fn check_certificate_address(
    address: &str,
    hosts: &[String],
    suffix: &str,
) -> Result<(), CertificateError> {
    match address.contains('?') || !address.ends_with(suffix) {
        true => Err(CertificateError::ForeignAddress),
        false => check_address(address, hosts),
    }
}

/// All certificates of a file in PEM, in DER; `None` if one of them is none, or there is none.
pub fn certificates_from_pem(pem: &[u8]) -> Option<Vec<Vec<u8>>> {
    let all = Pem::iter_from_buffer(pem).map(|pem| {
        let der = pem.ok()?.contents;
        parse_x509_certificate(&der).ok()?;
        Some(der)
    });
    all.collect::<Option<Vec<_>>>().filter(|all| !all.is_empty())
}

/// Checks that an address is `https:`, without a user or fragment, and on a host that a pattern covers, at the port that the
/// pattern names, or at none. In a pattern `*` stands for one or more letters, digits and hyphens, never for a dot; a
/// pattern that begins with `**.` covers all subdomains.
pub fn check_address(address: &str, hosts: &[String]) -> Result<(), CertificateError> {
    let foreign = Err(CertificateError::ForeignAddress);
    // Without the characters over which parsers of addresses disagree: the one that fetches must find the same host as
    // this one.
    let plain = address.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'@' | b'\\' | b'#'));
    let Some(rest) = address.strip_prefix("https://").filter(|_| plain) else { return foreign };
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    match hosts.iter().any(|pattern| covers(pattern, host)) {
        true => Ok(()),
        false => foreign,
    }
}

fn is_label(label: &str) -> bool {
    !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// A host and its port, if it has one.
fn with_port(host: &str) -> (&str, Option<&str>) {
    host.split_once(':').map_or((host, None), |(host, port)| (host, Some(port)))
}

/// Whether a text is a pattern of hosts.
pub(super) fn is_host_pattern(pattern: &str) -> bool {
    let (host, port) = with_port(pattern);
    let host = host.strip_prefix("**.").unwrap_or(host);
    host.split('.').all(|label| label == "*" || is_label(label))
        // A last label that is free would cover hosts of everybody.
        && host.split('.').next_back() != Some("*")
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

fn covers(pattern: &str, host: &str) -> bool {
    let ((pattern, wanted_port), (host, port)) = (with_port(pattern), with_port(host));
    // Also where the pattern names none: other ports of a trusted host may be other people's.
    if port != wanted_port || !host.split('.').all(is_label) {
        return false;
    }
    if let Some(parent) = pattern.strip_prefix("**.") {
        // With a dot before it, or `evil-internal` would be taken for a part of `internal`.
        return host.strip_suffix(parent).is_some_and(|before| before.len() > 1 && before.ends_with('.'));
    }
    let (wanted, given): (Vec<_>, Vec<_>) = (pattern.split('.').collect(), host.split('.').collect());
    wanted.len() == given.len()
        && wanted
            .iter()
            .zip(&given)
            .all(|(wanted, given)| *wanted == "*" || wanted.eq_ignore_ascii_case(given))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hosts_of_the_provider_are_asked() {
        let sns = ["sns.*.amazonaws.com".to_owned(), "sns.*.amazonaws.com.cn".to_owned()];
        let check = |address: &str| check_address(address, &sns).is_ok();
        assert!(check("https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem"));
        assert!(check("https://sns.cn-north-1.amazonaws.com.cn/x.pem"));
        for foreign in [
            "http://sns.eu-west-1.amazonaws.com/x.pem",
            "https://sns.eu-west-1.amazonaws.com.evil.org/x.pem",
            "https://evil.org/sns.eu-west-1.amazonaws.com/x.pem",
            "https://sns.a.b.amazonaws.com/x.pem",
            "https://sns.eu-west-1.amazonaws.com@evil.org/x.pem",
            "https://sns.eu-west-1.amazonaws.com:8443/x.pem",
            "https://evil.org\\.sns.eu-west-1.amazonaws.com/",
            "https://sns..amazonaws.com/x.pem",
            "",
        ] {
            assert!(!check(foreign), "{foreign}");
        }
        let file = |address: &str| check_certificate_address(address, &sns, ".pem").is_ok();
        assert!(file("https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem"));
        assert!(!file("https://sns.eu-west-1.amazonaws.com/?Action=GetEndpointAttributes&x=.pem"));
        assert!(!file("https://sns.eu-west-1.amazonaws.com/other"));
        let paypal = ["**.paypal.com".to_owned()];
        assert!(check_address("https://api.sandbox.paypal.com/v1/certs/1", &paypal).is_ok());
        assert!(check_address("https://evilpaypal.com/v1/certs/1", &paypal).is_err());
        assert!(check_address("https://paypal.com.evil.org/", &paypal).is_err());
    }

    #[test]
    fn an_operator_may_name_other_hosts() {
        let check = |pattern: &str, address: &str| {
            assert!(is_host_pattern(pattern), "{pattern}");
            check_address(address, &[pattern.to_owned()]).is_ok()
        };
        assert!(check("localhost:4566", "https://localhost:4566/x.pem"));
        assert!(check("sns.internal", "https://sns.internal/x.pem"));
        assert!(check("*.sns.internal:8443", "https://eu.sns.internal:8443/?Action=ConfirmSubscription"));
        for (pattern, foreign) in [
            ("localhost:4566", "https://localhost/x.pem"),
            ("localhost:4566", "https://localhost:4567/x.pem"),
            ("localhost:4566", "https://localhost:4566@evil.org/x.pem"),
            ("localhost:4566", "https://127.0.0.1:4566/x.pem"),
            ("localhost", "https://localhost:443/x.pem"),
            ("**.internal", "https://internal/x.pem"),
        ] {
            assert!(!check(pattern, foreign), "{pattern} {foreign}");
        }
        for wrong in
            ["", "*", "**", "**.", "a..b", "https://a", "a/b", "a:0", "a:x", "a:", "a:1:2", "a.*", "**.*"]
        {
            assert!(!is_host_pattern(wrong), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        assert_eq!(Certificate::from_pem(b"x"), Err(CertificateError::Unreadable));
        let wrapped = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(Certificate::from_pem(wrapped), Err(CertificateError::Unreadable));
    }
}
