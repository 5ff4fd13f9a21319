//! Certificates that a provider signs its webhooks with: where they may come from, and the key in them.

use x509_parser::{parse_x509_certificate, pem::parse_x509_pem};

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

/// Checks that an address is `https:`, without a port, user or fragment, and on a host that a pattern covers. In a
/// pattern `*` stands for one or more letters, digits and hyphens, never for a dot; a pattern that begins with `**.`
/// covers all subdomains.
pub fn check_address(address: &str, hosts: &[String]) -> Result<(), CertificateError> {
    let foreign = Err(CertificateError::ForeignAddress);
    let plain = address.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'@' | b'\\' | b'#'));
    let Some(rest) = address.strip_prefix("https://").filter(|_| plain) else { return foreign };
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    match hosts.iter().any(|pattern| covers(pattern, host)) {
        true => Ok(()),
        false => foreign,
    }
}

fn covers(pattern: &str, host: &str) -> bool {
    let is_label =
        |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !host.split('.').all(is_label) {
        return false;
    }
    if let Some(parent) = pattern.strip_prefix("**.") {
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
    fn what_is_no_certificate_is_refused() {
        assert_eq!(Certificate::from_pem(b"x"), Err(CertificateError::Unreadable));
        let wrapped = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(Certificate::from_pem(wrapped), Err(CertificateError::Unreadable));
    }
}
