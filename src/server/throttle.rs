//! Requests a second from one address.

use std::{net::IpAddr, num::NonZeroU32, time::Duration};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock};

/// A bucket per address, with bursts of one second's worth.
pub(super) struct Throttle(DefaultKeyedRateLimiter<IpAddr>);

impl Throttle {
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        Self(RateLimiter::keyed(Quota::per_second(per_second)))
    }

    /// Counts a request; the time to wait when there were too many.
    pub(super) fn check(&self, address: IpAddr) -> Result<(), Duration> {
        self.0.check_key(&address).map_err(|denied| denied.wait_time_from(self.0.clock().now()))
    }

    /// Forgets addresses with full buckets.
    pub(super) fn forget_idle(&self) {
        self.0.retain_recent();
        self.0.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_own_bucket() {
        let throttle = Throttle::new(NonZeroU32::new(2).unwrap());
        let (a, b): (IpAddr, IpAddr) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        assert!(throttle.check(a).is_ok() && throttle.check(a).is_ok());
        let wait = throttle.check(a).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= Duration::from_millis(500));
        assert!(throttle.check(b).is_ok());
    }
}
