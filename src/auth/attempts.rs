//! How often somebody may present tokens that nobody signed: checking one costs a signature for each key that it may be signed
//! with, so each address has only so many tries. A token that was good before is checked whatever else comes from there.
//!
//! API keys are not counted: checking one costs a microsecond, and there is nothing to guess.

use std::{
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv6Addr},
};

use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};

use super::{api_key::KEY_PREFIX, network::network, token::InvalidToken};
use crate::defaults;

/// False tokens by address, and good ones.
#[derive(Debug, Default)]
pub struct Attempts {
    secret: RandomState,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By network, when all of its false tokens will have been made up for.
    owed_until_ms: FxHashMap<IpAddr, u64>,
    /// Hashes of tokens that were good.
    known: FxHashSet<u64>,
}

impl Attempts {
    /// Checks a credential, unless there were more false tokens from this address than `per_second` allows.
    pub fn check<T>(
        &self,
        credential: &str,
        from: IpAddr,
        per_second: u32,
        now_ms: u64,
        check: impl FnOnce() -> Result<T, InvalidToken>,
    ) -> Result<T, InvalidToken> {
        if credential.starts_with(KEY_PREFIX) {
            return check();
        }
        let each_ms = u64::from(1_000 / per_second.clamp(1, 1_000));
        let network = network(from);
        let hash = self.secret.hash_one(credential);
        // The lock is not held while the signature is checked, which takes some hundred microseconds. So as many tries as
        // there are threads may slip past the bound; they are counted all the same.
        {
            let state = self.state.lock();
            let owed_ms = state.owed(network, now_ms);
            let most_ms = each_ms * u64::from(per_second) * defaults::FALSE_TOKENS_BURST_S;
            if owed_ms >= most_ms.max(each_ms) && !state.known.contains(&hash) {
                return Err(InvalidToken::TooManyFalse(per_second));
            }
        }
        let checked = check();
        match &checked {
            Ok(_) => self.state.lock().remember(hash),
            Err(InvalidToken::Malformed) => self.state.lock().owe(network, each_ms, now_ms),
            // Whoever has one that was good once, or is good elsewhere, did not make it up.
            Err(_) => {}
        }
        checked
    }

    /// Forgets addresses that owe nothing.
    pub fn sweep(&self, now_ms: u64) {
        let mut state = self.state.lock();
        state.owed_until_ms.retain(|_, until_ms| *until_ms > now_ms);
        state.owed_until_ms.shrink_to(defaults::FALSE_TOKEN_NETWORKS / 64);
    }
}

impl State {
    fn owed(&self, network: IpAddr, now_ms: u64) -> u64 {
        let until_ms = match self.owed_until_ms.get(&network) {
            Some(until_ms) => *until_ms,
            // Strangers beyond the bound share one account. To forget somebody to make room would let a flood of
            // addresses clear its own debts.
            None if self.is_full() => self.owed_until_ms.get(&OTHERS).copied().unwrap_or(0),
            None => 0,
        };
        until_ms.saturating_sub(now_ms)
    }

    fn owe(&mut self, network: IpAddr, each_ms: u64, now_ms: u64) {
        let counted = !self.is_full() || self.owed_until_ms.contains_key(&network);
        let until_ms = self.owed_until_ms.entry(if counted { network } else { OTHERS }).or_insert(0);
        // The debt as a date needs no clock of its own: it shrinks by itself as time goes on.
        *until_ms = (*until_ms).max(now_ms) + each_ms;
    }

    fn is_full(&self) -> bool {
        self.owed_until_ms.len() >= defaults::FALSE_TOKEN_NETWORKS
    }

    fn remember(&mut self, hash: u64) {
        // All at once, which needs no order of age: a good token is remembered again with its next check, and only from
        // an address that owes too much does it matter at all.
        if self.known.len() >= defaults::GOOD_TOKENS {
            self.known.clear();
        }
        self.known.insert(hash);
    }
}

/// Stands for all networks for which there is no room.
const OTHERS: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

#[cfg(test)]
mod tests {
    use super::*;

    const PER_SECOND: u32 = 10;
    const BURST: u64 = PER_SECOND as u64 * defaults::FALSE_TOKENS_BURST_S;

    fn host(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(0x0a00_0000 + number).into()
    }

    fn present(attempts: &Attempts, from: IpAddr, token: &str, now_ms: u64) -> Result<(), InvalidToken> {
        let good = token.starts_with("good") || token == "fwk_good";
        let check = || if good { Ok(()) } else { Err(InvalidToken::Malformed) };
        attempts.check(token, from, PER_SECOND, now_ms, check)
    }

    /// How many false ones are looked at.
    fn looked_at(attempts: &Attempts, from: IpAddr, now_ms: u64) -> u64 {
        (0..).take_while(|_| present(attempts, from, "bad", now_ms) == Err(InvalidToken::Malformed)).count()
            as u64
    }

    #[test]
    fn so_many_false_tokens_are_looked_at_and_then_so_many_a_second() {
        let attempts = Attempts::default();
        assert_eq!(present(&attempts, host(1), "good before", 1_000), Ok(()));
        assert_eq!(looked_at(&attempts, host(1), 1_000), BURST);
        let limited = Err(InvalidToken::TooManyFalse(PER_SECOND));
        assert_eq!(present(&attempts, host(1), "good", 1_000), limited, "who could know?");
        assert_eq!(present(&attempts, host(1), "good before", 1_000), Ok(()));
        assert_eq!(present(&attempts, host(1), "fwk_good", 1_000), Ok(()));
        assert_eq!(present(&attempts, host(2), "good", 1_000), Ok(()));
        assert_eq!(looked_at(&attempts, host(1), 2_000), u64::from(PER_SECOND));
        assert_eq!(looked_at(&attempts, host(1), 1_000_000), BURST);
        attempts.sweep(2_000_000);
        assert!(attempts.state.lock().owed_until_ms.is_empty());
    }

    #[test]
    fn what_was_signed_once_is_not_counted() {
        let attempts = Attempts::default();
        for _ in 0..2 * BURST {
            let expired =
                attempts.check("old", host(1), PER_SECOND, 0, || Err::<(), _>(InvalidToken::Expired));
            assert_eq!(expired, Err(InvalidToken::Expired));
        }
    }

    #[test]
    fn the_addresses_of_one_network_are_one_and_too_many_share_what_is_left() {
        let attempts = Attempts::default();
        let six = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(looked_at(&attempts, six("2001:db8::1"), 0), BURST);
        assert_eq!(looked_at(&attempts, six("2001:db8::2"), 0), 0);
        for number in 1..u32::try_from(defaults::FALSE_TOKEN_NETWORKS).unwrap() {
            assert_eq!(present(&attempts, host(number), "bad", 0), Err(InvalidToken::Malformed));
        }
        assert_eq!(looked_at(&attempts, host(u32::MAX >> 8), 0), BURST);
        assert_eq!(looked_at(&attempts, host(u32::MAX >> 9), 0), 0);
        assert_eq!(attempts.state.lock().owed_until_ms.len(), defaults::FALSE_TOKEN_NETWORKS + 1);
    }
}
