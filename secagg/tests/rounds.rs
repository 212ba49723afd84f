//! Rounds that must end well, and those that must stop: every drop subset at every phase for small cohorts.

mod common;

use common::*;
use secagg::*;
use std::collections::BTreeSet;
use std::sync::Arc;

#[test]
fn three_hospitals_learn_their_sum_and_nothing_else_leaves() {
    let mut w = World::new(3, 1, 2, 1);
    let Ended::Sum(sum, who) = w.round(0, Ring::Z64, 17, &Drops::default()) else {
        panic!("expected a sum")
    };
    assert_eq!(who.len(), 3);
    assert_eq!(sum.contributors(), 3);
    assert_eq!(sum.into_ring_vec().to_i64s(), expected(Ring::Z64, 1..=3, 17));
}

#[test]
fn sixty_five_members_lose_six_and_still_sum_in_both_rings() {
    let mut w = World::new(65, 21, 2, 2);
    for (slot, ring) in [(0, Ring::Z32), (1, Ring::Z64)] {
        let drops = Drops {
            send: (3..=8).collect(),
            ..Drops::default()
        };
        let Ended::Sum(sum, who) = w.round(slot, ring, 5000, &drops) else {
            panic!("expected a sum")
        };
        assert_eq!(who.len(), 59);
        assert!(sum.blames().is_empty());
        assert_eq!(sum.into_ring_vec().to_i64s(), expected(ring, who, 5000));
    }
}

/// What must happen, from the numbers alone.
fn check(w: &mut World, slot: u16, drops: &Drops) {
    let (n, t) = (w.members.n(), w.t());
    let gone = |sets: &[&BTreeSet<u16>]| sets.iter().flat_map(|s| s.iter()).collect::<BTreeSet<_>>().len();
    let cohort = n - gone(&[&drops.accept]);
    let senders = n - gone(&[&drops.accept, &drops.send]);
    let voters = n - gone(&[&drops.accept, &drops.send, &drops.vote]);
    let revealers = n - gone(&[&drops.accept, &drops.send, &drops.vote, &drops.reveal]);
    let ended = w.round(slot, Ring::Z64, 3, drops);
    match ended {
        Ended::TooFewAccepts => assert!(cohort < t, "{drops:?}"),
        Ended::TooFewVectors => assert!(cohort >= t && senders < t, "{drops:?}"),
        Ended::TooFewVotes => assert!(senders >= t && senders < cohort && voters < t, "{drops:?}"),
        Ended::TooFewReveals => assert!(senders >= t && revealers < t, "{drops:?}"),
        Ended::Sum(sum, who) => {
            assert!(revealers >= t, "{drops:?}");
            assert_eq!(who.len(), senders);
            assert_eq!(sum.into_ring_vec().to_i64s(), expected(Ring::Z64, who, 3), "{drops:?}");
        }
    }
    for epoch in w.epochs.iter_mut().flatten() {
        epoch.erase(slot).unwrap();
    }
}

#[test]
fn every_subset_dropping_at_every_phase_sums_or_stops_for_cohorts_up_to_seven() {
    for (n, c) in [(3, 1), (4, 1), (4, 2), (5, 1), (5, 3), (6, 2), (7, 1), (7, 2)] {
        let mut w = World::new(n, c, 256, u64::from(n));
        let mut slot = 0;
        for phase in 0..4 {
            for bits in 0u16..1 << n {
                let set: BTreeSet<u16> = (1..=n).filter(|m| bits >> (m - 1) & 1 == 1).collect();
                let mut drops = Drops::default();
                *[&mut drops.accept, &mut drops.send, &mut drops.vote, &mut drops.reveal][phase] = set;
                if slot == 256 {
                    w = World::new(n, c, 256, u64::from(n) + 100);
                    slot = 0;
                }
                check(&mut w, slot, &drops);
                slot += 1;
            }
        }
    }
}

#[test]
fn every_combination_of_drops_over_all_phases_sums_or_stops_for_three_and_four() {
    for (n, c) in [(3u16, 1), (4, 1)] {
        let mut w = World::new(n, c, 256, 40);
        let mut slot = 0;
        for code in 0..5u32.pow(u32::from(n)) {
            let mut drops = Drops::default();
            for m in 1..=n {
                match code / 5u32.pow(u32::from(m) - 1) % 5 {
                    1 => drops.accept.insert(m),
                    2 => drops.send.insert(m),
                    3 => drops.vote.insert(m),
                    4 => drops.reveal.insert(m),
                    _ => false,
                };
            }
            if slot == 256 {
                w = World::new(n, c, 256, 41 + u64::from(code));
                slot = 0;
            }
            check(&mut w, slot, &drops);
            slot += 1;
        }
    }
}

#[test]
fn members_outside_the_cohort_help_to_open_it() {
    let mut w = World::new(5, 1, 1, 3);
    let t = w.t();
    let (survivors, opening) = w.surveyed(0, &[1, 2, 3, 4], &[1, 2, 3, 4], 2);
    let adder::Opening::Fast(mut unmasking) = opening else {
        panic!("expected the fast path")
    };
    for member in [2, 3, 4, 5] {
        let Some(Answer::Reveal(reveal)) = w.epoch(member).survivors(0, t, &survivors).unwrap() else {
            panic!("expected a reveal")
        };
        unmasking.reveal(reveal).unwrap();
    }
    let sum = unmasking.unmask().ok().expect("a sum");
    assert_eq!(sum.into_ring_vec().to_i64s(), expected(Ring::Z64, 1..=4, 2));
}

#[test]
fn an_audit_replays_the_sum_and_notices_a_changed_vector() {
    let mut w = World::new(4, 1, 1, 4);
    let t = w.t();
    let (mut collect, _) = w.cohort(0, &[1, 2, 3, 4], Ring::Z64, 6);
    let mut spool = Vec::new();
    for member in [1, 2, 4] {
        let (header, y) = w.masked(member, 0, Ring::Z64, 6);
        spool.push(collect.add(header, y).unwrap().unwrap());
    }
    let (survivors, opening) = collect.close().unwrap();
    let adder::Opening::Slow(mut voting) = opening else {
        panic!("expected votes")
    };
    for member in 1..=3 {
        let Some(Answer::Vote(vote)) = w.epoch(member).survivors(0, t, &survivors).unwrap() else {
            panic!("expected a vote")
        };
        voting.vote(vote).unwrap();
    }
    let (certificate, mut unmasking) = voting.close().unwrap();
    let mut reveals = Vec::new();
    for member in 1..=3 {
        let reveal = w.epoch(member).certificate(0, &certificate).unwrap().unwrap();
        reveals.push(reveal.clone());
        unmasking.reveal(reveal).unwrap();
    }
    let sum = unmasking.unmask().ok().expect("a sum");
    let adder_key = signing_key(999);
    let signature = sum.sign(&adder_key);
    assert!(adder::Sum::verify(
        &sum.digest(),
        &adder_key.verifying_key(),
        &signature
    ));
    let replay = |ys: Vec<RingVec>| audit::replay(w.book.clone(), t, &survivors, ys, reveals.clone(), []);
    assert_eq!(replay(spool.clone()).unwrap(), sum.digest());
    let mut changed = spool.clone();
    changed[1] = RingVec::zero(Ring::Z64, 6);
    assert!(matches!(
        replay(changed),
        Err(Abort::Relay(RelayFault::Mismatch { .. }))
    ));
    assert!(replay(spool[..2].to_vec()).is_err());
    // A member that was not the adder gets the book as bytes, and believes only roots that it acknowledged itself.
    let exported = w.book.export();
    let book = adder::EpochBook::import(w.members.clone(), 1, &exported).unwrap();
    assert_eq!(book.epoch_id(), w.epoch(2).id());
    assert_eq!(book.roots(), w.epoch(2).roots());
    let audited = audit::replay(Arc::new(book), t, &survivors, spool.clone(), reveals.clone(), []);
    assert_eq!(audited.unwrap(), sum.digest());
    for at in (0..exported.len()).step_by(37) {
        let mut tampered = exported.clone();
        tampered[at] ^= 1;
        assert!(
            adder::EpochBook::import(w.members.clone(), 1, &tampered).is_err(),
            "byte {at}"
        );
    }
    assert!((1..=4).contains(&audit::auditor(4, &sum.digest(), &reveals)));
}
