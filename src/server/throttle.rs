//! Requests a second, from one address (of IPv6 one network) and with one API key.

use std::{fmt, net::IpAddr, num::NonZeroU32, time::Duration};

use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock};

use crate::auth::{ApiKey, KEY_PREFIX, KeyHash, network};

/// Buckets with bursts of one second's worth. Each has its clock: making one asks the processor what it can do, which a
/// virtual machine answers slowly.
pub(super) struct Throttle {
    by_address: DefaultKeyedRateLimiter<IpAddr>,
    /// For the keys that have a limit of their own: a handful.
    by_key: Vec<(KeyHash, DefaultDirectRateLimiter)>,
}

/// Too many requests; says of whom.
#[derive(Debug)]
pub(super) struct Denied {
    /// Until there is room for another one.
    pub(super) wait: Duration,
    /// Whether it was the key's limit, not the address's.
    by_key: bool,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.by_key {
            true => "too many requests with this key, see `max_requests_per_second` of its `[[key]]`",
            false => "too many requests from this address, see `max_requests_per_second`",
        })
    }
}

impl Throttle {
    pub(super) fn new(per_address: NonZeroU32, keys: &[ApiKey]) -> Self {
        let limited = |key: &ApiKey| {
            let per_second = key.max_requests_per_second?;
            Some((key.hash.clone(), RateLimiter::direct(Quota::per_second(per_second))))
        };
        let by_address = RateLimiter::keyed(Quota::per_second(per_address));
        Self { by_address, by_key: keys.iter().filter_map(limited).collect() }
    }

    /// Counts a request; refuses it when there were too many.
    pub(super) fn check(&self, address: IpAddr, credential: Option<&str>) -> Result<(), Denied> {
        // The address first: somebody who tries keys pays for each, known or not.
        self.by_address.check_key(&network(address)).map_err(|denied| Denied {
            wait: denied.wait_time_from(self.by_address.clock().now()),
            by_key: false,
        })?;
        match credential.filter(|credential| credential.starts_with(KEY_PREFIX)) {
            Some(key) if !self.by_key.is_empty() => self.check_key(&KeyHash::of(key)),
            _ => Ok(()),
        }
    }

    fn check_key(&self, hash: &KeyHash) -> Result<(), Denied> {
        let Some((_, bucket)) = self.by_key.iter().find(|(known, _)| known.matches(hash)) else {
            return Ok(());
        };
        bucket
            .check()
            .map_err(|denied| Denied { wait: denied.wait_time_from(bucket.clock().now()), by_key: true })
    }

    /// Forgets addresses with full buckets.
    pub(super) fn forget_idle(&self) {
        self.by_address.retain_recent();
        self.by_address.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Allowed;

    #[test]
    fn each_address_has_its_own_bucket() {
        let throttle = Throttle::new(NonZeroU32::new(2).unwrap(), &[]);
        let (a, b): (IpAddr, IpAddr) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        assert!(throttle.check(a, None).is_ok() && throttle.check(a, None).is_ok());
        let wait = throttle.check(a, None).unwrap_err().wait;
        assert!(wait > Duration::ZERO && wait <= Duration::from_millis(500));
        assert!(throttle.check(b, None).is_ok());
    }

    #[test]
    fn the_addresses_of_one_network_are_one() {
        let throttle = Throttle::new(NonZeroU32::new(2).unwrap(), &[]);
        let check = |text: &str| throttle.check(text.parse().unwrap(), None);
        assert!(check("2001:db8::1").is_ok() && check("2001:db8::2").is_ok());
        assert!(check("2001:db8::3").is_err());
        assert!(check("2001:db8:0:1::1").is_ok());
    }

    #[test]
    fn a_key_has_a_bucket_wherever_it_is_used() {
        let key = |secret: &str, limit: Option<u32>| ApiKey {
            name: secret.into(),
            hash: KeyHash::of(secret),
            publish: Allowed::All,
            subscribe: Allowed::All,
            delete: Allowed::none(),
            admin: false,
            max_requests_per_second: limit.and_then(NonZeroU32::new),
        };
        let keys = [key("fwk_slow", Some(1)), key("fwk_fast", None)];
        let throttle = Throttle::new(NonZeroU32::new(100).unwrap(), &keys);
        let check = |host: u8, secret| throttle.check([127, 0, 0, host].into(), Some(secret));
        assert!(check(1, "fwk_slow").is_ok());
        assert!(check(2, "fwk_slow").is_err());
        assert!(check(1, "fwk_fast").is_ok() && check(1, "fwk_fast").is_ok());
        assert!(check(1, "fwk_unknown").is_ok(), "refused elsewhere");
    }
}
