//! The rules of the ledger, one by one.

use super::*;
use crate::client::Sink;
use crate::run::scenario::{Churn, Scenario};
use crate::stamp::Corrupt;
use crate::wire::Reply;

const RUN: u32 = 9;

fn account(kind: Kind) -> Account {
    account_of(Scenario { kind, ..Scenario::default() })
}

fn account_of(scenario: Scenario) -> Account {
    let scenario = Scenario { topics: 2, subscribers: 2, keys: 1, ..scenario };
    Account::new(RUN, &scenario, Layout::new(&scenario, RUN)).unwrap()
}

/// Publishes `count` messages to topic 0 and acknowledges them with offsets from 1.
fn publish(account: &mut Account, count: u64) {
    for _ in 0..count {
        let (id, sequence) = account.send(0, 128, 1, true);
        account.reply(2, &Reply { id: Some(id), offset: Some(sequence + 1), ..reply("ok") });
    }
}

fn reply(kind: &str) -> Reply {
    Reply { kind: kind.into(), topic: Some(format!("bench:{RUN:06x}-0")), ..Reply::default() }
}

fn deliver(account: &mut Account, at: usize, sequences: &[u64]) {
    for &sequence in sequences {
        account.stamped(at, &Stamp { run: RUN, stream: 0, sequence, intended_ns: 1, lag_ns: 0 }, 5);
    }
}

fn closed(account: Account) -> Ledger {
    account.close().1.ledger
}

#[test]
fn what_is_missing_is_lost_and_worse_when_it_was_acknowledged() {
    let mut account = account(Kind::Log);
    publish(&mut account, 4);
    let (_, sequence) = account.send(0, 128, 1, true);
    assert_eq!(sequence, 4);
    deliver(&mut account, 0, &[0, 2]);
    let ledger = closed(account);
    assert_eq!((ledger.missing, ledger.acked_missing, ledger.signalled), (3, 2, 0));
}

#[test]
fn a_gap_excuses_what_lies_in_it_and_nothing_else() {
    let mut account = account(Kind::Log);
    publish(&mut account, 6);
    deliver(&mut account, 0, &[0]);
    account.reply(0, &Reply { after: Some(1), next: Some(4), ..reply("gap") });
    deliver(&mut account, 0, &[3, 5]);
    let ledger = closed(account);
    assert_eq!((ledger.signalled, ledger.missing, ledger.acked_missing), (2, 1, 1));
}

#[test]
fn a_refused_message_is_owed_to_nobody() {
    let mut account = account(Kind::Log);
    let (id, _) = account.send(0, 128, 1, true);
    account.reply(2, &Reply { id: Some(id), ..reply("error") });
    assert_eq!((account.counts.refused, account.counts.expected), (1, 0));
    assert_eq!(closed(account), Ledger::default());
}

#[test]
fn strangers_and_strays_are_told_apart() {
    let mut account = account(Kind::Log);
    publish(&mut account, 1);
    deliver(&mut account, 0, &[0, 7]);
    deliver(&mut account, 1, &[0]);
    account.stamped(0, &Stamp { run: 8, stream: 0, sequence: 0, intended_ns: 1, lag_ns: 0 }, 5);
    let ledger = closed(account);
    assert_eq!((ledger.phantom, ledger.wrong_topic, ledger.missing), (2, 1, 0));
}

#[test]
fn a_damaged_message_that_is_known_is_corrupt_and_not_lost() {
    let mut account = account(Kind::Log);
    publish(&mut account, 2);
    deliver(&mut account, 0, &[0]);
    let stamp = Stamp { run: RUN, stream: 0, sequence: 1, intended_ns: 1, lag_ns: 0 };
    account.damaged(0, Corrupt::Payload(stamp));
    let ledger = closed(account);
    assert_eq!((ledger.corrupt, ledger.missing), (1, 0));
}

#[test]
fn latest_values_may_be_skipped_when_it_is_said_but_never_the_last() {
    let value = |offset, skipped| Reply {
        topic: Some(format!("ticker:{RUN:06x}-0")),
        key: Some("k0".into()),
        offset: Some(offset),
        skipped,
        ..reply("message")
    };
    let mut good = account(Kind::Latest);
    publish(&mut good, 5);
    deliver(&mut good, 0, &[0, 4]);
    good.message(0, &value(1, None));
    good.message(0, &value(5, Some(3)));
    let ledger = closed(good);
    assert_eq!((ledger.conflated, ledger.skipped_mismatch, ledger.last_value_missing), (3, 0, 0));

    let mut silent = account(Kind::Latest);
    publish(&mut silent, 5);
    deliver(&mut silent, 0, &[0, 4]);
    assert_eq!(closed(silent).skipped_mismatch, 1);

    let mut late = account(Kind::Latest);
    publish(&mut late, 5);
    deliver(&mut late, 0, &[0, 3, 2]);
    let ledger = closed(late);
    assert_eq!((ledger.last_value_missing, ledger.reordered), (1, 1));
}

#[test]
fn volatile_messages_may_be_dropped_but_not_repeated() {
    let mut account = account(Kind::Volatile);
    publish(&mut account, 4);
    deliver(&mut account, 0, &[1, 1, 3]);
    let ledger = closed(account);
    assert_eq!((ledger.dropped, ledger.duplicate, ledger.missing), (2, 1, 0));
}

/// Subscriber 0 gets the first of `published` messages, is cut, and comes back.
fn come_back(resume: bool, recovered: Option<bool>, epoch: &str) -> Account {
    let churn = Churn { rate: 1.0, away: Churn::away(), resume };
    let mut account = account_of(Scenario { churn: Some(churn), ..Scenario::default() });
    account.subscribed(0, &Reply { epoch: Some("a".into()), offset: Some(0), ..reply("ok") });
    publish(&mut account, 3);
    deliver(&mut account, 0, &[0]);
    account.message(0, &Reply { offset: Some(1), ..reply("message") });
    account.cut(0);
    assert_eq!(account.position(0, 0), Some(Position { epoch: "a".into(), offset: 1 }));
    account.subscribed(0, &Reply { epoch: Some(epoch.into()), offset: Some(3), recovered, ..reply("ok") });
    account
}

#[test]
fn who_recovers_gets_everything_or_it_is_lost() {
    let mut whole = come_back(true, Some(true), "a");
    deliver(&mut whole, 0, &[1, 2]);
    assert_eq!(whole.counts.recovered, 1);
    assert_eq!(closed(whole), Ledger::default());
    assert_eq!(closed(come_back(true, Some(true), "a")).acked_missing, 2);
}

#[test]
fn who_cannot_recover_is_told_so_and_who_did_not_ask_was_away() {
    assert_eq!(closed(come_back(true, Some(false), "a")).signalled, 2);
    assert_eq!(closed(come_back(false, None, "a")).away, 2);
    assert_eq!(closed(come_back(true, None, "a")).missing, 2, "asked, and got no answer to that");
}

/// What another process published, sent again and had acknowledged is judged as if this one had.
#[test]
fn who_did_not_publish_judges_by_what_the_publisher_says() {
    let (mut lead, mut other) = (account(Kind::Log), account(Kind::Log));
    publish(&mut lead, 2);
    let (id, _) = lead.send(0, 128, 1, true);
    assert!(lead.again(id, RUN, Some(9)).is_some_and(|(stamp, _)| stamp.lag_ns == 8));
    for _ in 0..4 {
        other.send(0, 128, 1, false);
    }
    // The first was repeated by the server, the third because it was sent again; the fourth was never sent.
    deliver(&mut other, 0, &[0, 0, 2, 2]);
    other.adopt(&lead.fates());
    assert_eq!(other.counts.expected, 3);
    let ledger = closed(other);
    assert_eq!((ledger.duplicate, ledger.redelivered), (1, 1));
    assert_eq!((ledger.missing, ledger.acked_missing), (1, 1));
}
