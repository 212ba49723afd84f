//! Attacks on an epoch's setup: keys slipped in, members left out, parts swapped, and dealers that lie.

mod common;

use common::*;
use secagg::adder::{Opening, Why};
use secagg::setup::{Greeting, Guilty};
use secagg::*;
use std::sync::Arc;

#[test]
fn keys_slipped_in_by_the_relay_are_noticed() {
    let members = members(4, 1);
    let (greetings, hellos) = greet(&members, 2, 1);
    let mut greetings = greetings.into_iter();
    // Man in the middle: another x25519 key under the same signature.
    let mut mitm = hellos.clone();
    mitm[2].x25519[0] ^= 1;
    assert!(matches!(
        greetings.next().unwrap().receive(mitm),
        Err(Abort::Relay(RelayFault::BadSignature {
            what: "hello",
            member: 3
        }))
    ));
    // Sybil: one member's keys twice, signed by another.
    let mut sybil = hellos.clone();
    sybil[2].x25519 = sybil[0].x25519;
    sybil[2] = resign(&sybil[2], 3, "sottovoce/secagg/v1/hello");
    assert!(
        matches!(greetings.next().unwrap().receive(sybil), Err(Abort::Member(blame))
        if blame.member == 3 && blame.fault == MemberFault::RepeatedKey { of: 1 } && blame.evidence.len() == 2)
    );
    // One's own Hello replaced by another that one signed in another attempt.
    let own = Greeting::start(
        members.clone(),
        "agent-0003",
        Arc::new(signing_key(3)),
        2,
        &mut Seeded::new(77),
    );
    let mut replaced = hellos.clone();
    replaced[2] = own.unwrap().1;
    assert!(matches!(
        greetings.next().unwrap().receive(replaced),
        Err(Abort::Relay(RelayFault::Mismatch { what: "own hello", .. }))
    ));
}

#[test]
fn a_member_that_restarts_while_others_greet_is_heard_again() {
    let members = members(3, 1);
    let (_, hellos) = greet(&members, 1, 6);
    let (_, again) = greet(&members, 1, 7);
    let mut relay = adder::Relay::new(members, 1);
    for hello in [&hellos[0], &hellos[1], &again[1]] {
        assert!(relay.hello(hello.clone()).unwrap().is_none());
    }
    assert_eq!(relay.epoch_id(), None);
    let all = relay.hello(hellos[2].clone()).unwrap().unwrap();
    assert_eq!(all, [hellos[0].clone(), again[1].clone(), hellos[2].clone()]);
    // Once the epoch has its name, another Hello is for another epoch.
    assert!(relay.hello(again[1].clone()).unwrap().is_none());
    assert!(relay.hello(hellos[1].clone()).is_err());
}

#[test]
fn a_point_of_small_order_convicts_its_sender() {
    let members = members(3, 1);
    let (greetings, mut hellos) = greet(&members, 1, 2);
    hellos[2].x25519 = [0; 32];
    hellos[2] = resign(&hellos[2], 3, "sottovoce/secagg/v1/hello");
    for greeting in greetings.into_iter().take(2) {
        assert!(matches!(greeting.receive(hellos.clone()), Err(Abort::Member(blame))
            if blame.member == 3 && blame.fault == MemberFault::BadKey && blame.holds(&members)));
    }
}

#[test]
fn a_truncated_or_different_member_list_is_no_epoch() {
    let members4 = members(4, 1);
    let (greetings, hellos) = greet(&members4, 2, 3);
    let mut greetings = greetings.into_iter();
    assert!(matches!(
        greetings.next().unwrap().receive(hellos[..3].to_vec()),
        Err(Abort::Relay(RelayFault::Incomplete {
            what: "hellos",
            expected: 4,
            found: 3
        }))
    ));
    let mut doubled = hellos.clone();
    doubled[3] = doubled[2].clone();
    assert!(matches!(
        greetings.next().unwrap().receive(doubled),
        Err(Abort::Relay(RelayFault::Unsorted { .. }))
    ));
    // A member that was told of three members cannot be made to agree with one that was told of four.
    let (_, of_three) = greet(&members(3, 1), 2, 3);
    let mut mixed = hellos.clone();
    mixed[0] = of_three[0].clone();
    assert!(matches!(
        greetings.next().unwrap().receive(mixed),
        Err(Abort::Relay(RelayFault::Mismatch {
            what: "members of hello",
            ..
        }))
    ));
    let (_, other_slots) = greet(&members4, 3, 3);
    let mut mixed = hellos.clone();
    mixed[0] = other_slots[0].clone();
    assert!(matches!(
        greetings.next().unwrap().receive(mixed),
        Err(Abort::Relay(RelayFault::OtherSlots { expected: 2, found: 3 }))
    ));
}

#[test]
fn only_members_with_their_own_key_may_start() {
    let members = members(3, 1);
    let start = |id: &str, key: u16, slots: u16| {
        Greeting::start(
            members.clone(),
            id,
            Arc::new(signing_key(key)),
            slots,
            &mut Seeded::new(1),
        )
        .err()
    };
    assert!(matches!(
        start("agent-0009", 1, 1),
        Some(Abort::Usage(Usage::NotAMember { .. }))
    ));
    assert!(matches!(
        start("agent-0001", 2, 1),
        Some(Abort::Usage(Usage::WrongSigningKey { .. }))
    ));
    assert!(matches!(
        start("agent-0001", 1, 0),
        Some(Abort::Usage(Usage::SlotCount { .. }))
    ));
    assert!(matches!(
        start("agent-0001", 1, MAX_SLOTS + 1),
        Some(Abort::Usage(Usage::SlotCount { .. }))
    ));
    assert!(start("agent-0001", 1, 1).is_none());
}

#[test]
fn ciphertexts_and_parts_swapped_on_the_way_are_noticed() {
    let members = members(4, 1);
    let (_, pairings, mut inboxes) = pair(&members, 1, 4);
    let (first, last) = (inboxes[2][0].clone(), inboxes[3][0].clone());
    inboxes[2][0].ct = last.ct.clone();
    inboxes[3][0].head.signature = first.head.signature;
    inboxes[3][0].path.push(Digest([0; 32]));
    for (pairing, parts) in pairings.into_iter().zip(inboxes).skip(2) {
        assert!(matches!(
            pairing.receive(parts, &mut Seeded::new(1)),
            Err(Abort::Relay(RelayFault::NotUnderRoot {
                what: "pair ciphertexts",
                member: 1
            }))
        ));
    }

    let mut half = deal(4, 1, 2, 5);
    let mut inboxes = half.inboxes();
    let other = inboxes[1][0].clone();
    inboxes[2][0].leaf = other.leaf;
    assert!(matches!(
        half.dealings.remove(2).receive(inboxes[2].clone()),
        Err(Abort::Relay(RelayFault::NotUnderRoot {
            what: "deal",
            member: 1
        }))
    ));
    inboxes[3].pop();
    assert!(matches!(
        half.dealings.remove(2).receive(inboxes[3].clone()),
        Err(Abort::Relay(RelayFault::Incomplete {
            what: "deal parts",
            expected: 3,
            found: 2
        }))
    ));
}

/// A deal tampered with by its own dealer, and what the victim then says.
fn dispute_over(seed: u64, victim: usize, tamper: impl Fn(&mut Deal)) -> (Box<setup::Dispute>, HalfSetup, DealPart) {
    let mut half = deal(4, 1, 2, seed);
    tamper(&mut half.deals[1]);
    redeal(&mut half.deals[1]);
    let inboxes = half.inboxes();
    let honest = inboxes[victim].iter().find(|p| p.head.member == 3).cloned();
    let result = half.dealings.remove(victim).receive(inboxes[victim].clone());
    match result {
        Err(Abort::Dispute(dispute)) => {
            let honest = honest.unwrap_or_else(|| inboxes[victim][0].clone());
            (dispute, half, honest)
        }
        Err(other) => panic!("expected a dispute, got {other}"),
        Ok(_) => panic!("expected a dispute"),
    }
}

#[test]
fn malformed_and_swapped_shares_convict_the_dealer() {
    let tampers: [fn(&mut Deal); 4] = [
        |deal| deal.leaves[0].sealed[5] ^= 1,               // a box that does not open
        |deal| deal.leaves[0].share_root = Digest([1; 32]), // shares that are not those committed to
        |deal| deal.leaves[0].edges.swap(0, 1),             // edge hashes that are not the holder's
        |deal| deal.leaves[0].sealed = deal.leaves[2].sealed.clone(), // another holder's box
    ];
    for (seed, tamper) in (10..).zip(tampers) {
        let (dispute, half, _) = dispute_over(seed, 0, tamper);
        assert_eq!((dispute.accuser, dispute.accused), (1, 2));
        assert_eq!(half.relay.judge(&dispute).unwrap(), Guilty::Accused);
        assert_eq!(setup::Dispute::decode(&dispute.encode()).unwrap(), *dispute);
    }
    // The victim may be the one that decapsulated, too.
    let (dispute, half, _) = dispute_over(20, 3, |deal| deal.leaves[3].sealed[0] ^= 1);
    assert_eq!((dispute.accuser, dispute.accused), (4, 2));
    assert_eq!(half.relay.judge(&dispute).unwrap(), Guilty::Accused);
}

#[test]
fn a_false_accusation_convicts_the_accuser() {
    let (dispute, half, honest) = dispute_over(30, 0, |deal| deal.leaves[0].sealed[5] ^= 1);
    let domain = "sottovoce/secagg/v1/dispute";
    // Against a part that holds.
    let mut slander = (*dispute).clone();
    slander.accused = 3;
    slander.part = honest;
    assert_eq!(half.relay.judge(&resign(&slander, 1, domain)).unwrap(), Guilty::Accuser);
    // With keys that are not its own.
    let mut other_keys = (*dispute).clone();
    other_keys.seed[1] ^= 4;
    assert_eq!(
        half.relay.judge(&resign(&other_keys, 1, domain)).unwrap(),
        Guilty::Accuser
    );
    // And nobody accuses in another's name.
    assert!(half.relay.judge(&other_keys).is_err());
}

#[test]
fn deals_of_the_wrong_shape_are_refused_by_relay_and_recipient() {
    let mut half = deal(4, 1, 2, 40);
    half.deals[1].leaves[0].edges.pop();
    redeal(&mut half.deals[1]);
    let mut bad = half.deals.remove(1);
    assert!(matches!(half.relay.deal(bad.clone()), Err(Abort::Member(blame))
        if blame.member == 2 && blame.fault == MemberFault::WrongShape { what: "deal" }));
    // A relay that forwards it all the same only makes the recipient stop.
    let part = bad.parts().remove(0).1;
    let mut inbox: Vec<DealPart> = half.inboxes().remove(0);
    inbox.insert(0, part);
    assert!(
        matches!(half.dealings.remove(0).receive(inbox), Err(Abort::Member(blame))
        if blame.member == 2 && blame.fault == MemberFault::WrongShape { what: "deal leaf" })
    );
    bad.head.root = Digest([0; 32]);
    assert!(matches!(
        half.relay.deal(bad),
        Err(Abort::Relay(RelayFault::BadSignature {
            what: "deal",
            member: 2
        }))
    ));
}

#[test]
fn a_dealer_that_shows_two_roots_is_caught_by_the_acks() {
    let mut half = deal(4, 1, 2, 50);
    let mut second = half.deals[1].clone();
    second.public.b[0] = Digest([7; 32]);
    redeal(&mut second);
    let second_for_three = second.parts().into_iter().find(|(to, _)| *to == 3).unwrap().1;
    let first = half.deals[1].clone();
    let mut inboxes = half.inboxes();
    // The relay itself convicts a dealer that gives it both.
    assert!(matches!(half.relay.deal(second), Err(Abort::Member(blame))
        if blame.fault == MemberFault::Equivocation { what: "deals" } && blame.holds(&half.members)));
    assert!(half.relay.deal(first).unwrap().is_empty());
    // Colluding with the dealer, it sends member 3 the other one.
    *inboxes[2].iter_mut().find(|p| p.head.member == 2).unwrap() = second_for_three;
    let (ackings, acks): (Vec<_>, Vec<_>) = half
        .dealings
        .into_iter()
        .zip(inboxes)
        .map(|(d, parts)| d.receive(parts).unwrap())
        .unzip();
    for acking in ackings {
        assert!(matches!(
            acking.receive(acks.clone()),
            Err(Abort::Relay(RelayFault::Mismatch {
                what: "acknowledged roots",
                ..
            }))
        ));
    }
}

#[test]
fn an_epoch_is_live_only_with_everyones_ack() {
    let mut half = deal(3, 1, 1, 51);
    let inboxes = half.inboxes();
    let (mut ackings, acks): (Vec<_>, Vec<_>) = half
        .dealings
        .into_iter()
        .zip(inboxes)
        .map(|(d, parts)| d.receive(parts).unwrap())
        .unzip();
    assert!(matches!(
        ackings.remove(0).receive(acks[..2].to_vec()),
        Err(Abort::Relay(RelayFault::Incomplete {
            what: "acks",
            expected: 3,
            found: 2
        }))
    ));
    let mut forged = acks.clone();
    forged[2].signature = forged[1].signature;
    assert!(matches!(
        ackings.remove(0).receive(forged),
        Err(Abort::Relay(RelayFault::BadSignature { what: "ack", member: 3 }))
    ));
    assert!(ackings.remove(0).receive(acks).is_ok());
}

#[test]
fn a_dealer_whose_shares_do_not_open_its_commitment_is_convicted() {
    let mut half = deal(5, 1, 1, 60);
    half.deals[1].public.b[0] = Digest([7; 32]);
    redeal(&mut half.deals[1]);
    let mut w = half.finish_with_liar(Some(2));
    let all: Vec<u16> = w.indices();
    let (survivors, opening) = w.surveyed(0, &all, &all, 3);
    let Opening::Fast(mut unmasking) = opening else {
        panic!("expected the fast path")
    };
    for m in [1, 3, 4, 5] {
        let Some(Answer::Reveal(reveal)) = w.epoch(m).survivors(0, 4, &survivors).unwrap() else {
            panic!("expected a reveal")
        };
        unmasking.reveal(reveal).unwrap();
    }
    let Err(stuck) = unmasking.unmask() else {
        panic!("expected a failure")
    };
    let Why::Paths { holders } = stuck.why else {
        panic!("expected to be asked for paths")
    };
    let mut unmasking = stuck.round;
    for m in holders {
        unmasking.paths(w.epoch(m).paths(0).unwrap()).unwrap();
    }
    let Err(stuck) = unmasking.unmask() else {
        panic!("expected a failure")
    };
    let Why::Dead(blames) = stuck.why else {
        panic!("expected blame, got {:?}", stuck.why)
    };
    assert_eq!(blames.len(), 1);
    assert_eq!(
        (blames[0].member, &blames[0].fault),
        (2, &MemberFault::InconsistentShares)
    );
}

#[test]
fn a_bad_sealed_bundle_is_made_good_by_the_survivors() {
    let mut half = deal(5, 1, 1, 61);
    half.deals[1].bundles[0][3] ^= 1;
    redeal(&mut half.deals[1]);
    let mut w = half.finish_with_liar(Some(2));
    let all: Vec<u16> = w.indices();
    let alive = [1, 3, 4, 5];
    let (survivors, opening) = w.surveyed(0, &all, &alive, 3);
    let Opening::Slow(mut voting) = opening else {
        panic!("expected the slow path")
    };
    for m in alive {
        let Some(Answer::Vote(vote)) = w.epoch(m).survivors(0, 4, &survivors).unwrap() else {
            panic!("expected a vote")
        };
        voting.vote(vote).unwrap();
    }
    let (certificate, mut unmasking) = voting.close().unwrap();
    for m in alive {
        unmasking
            .reveal(w.epoch(m).certificate(0, &certificate).unwrap().unwrap())
            .unwrap();
    }
    let Err(stuck) = unmasking.unmask() else {
        panic!("expected a failure")
    };
    assert_eq!(
        stuck.why,
        Why::Edges {
            dropped: vec![2],
            survivors: alive.to_vec()
        }
    );
    let mut unmasking = stuck.round;
    for m in alive {
        let edges = w.epoch(m).edges(0).unwrap();
        if m == 1 {
            let mut lie = edges.clone();
            lie.edges[0].1[0] ^= 1;
            let lie = resign(&lie, 1, "sottovoce/secagg/v1/edge-reveal");
            assert!(matches!(unmasking.edges(lie), Err(Abort::Member(blame))
                if blame.fault == MemberFault::FalseEdge && blame.holds(&w.members)));
        }
        unmasking.edges(edges).unwrap();
    }
    let sum = unmasking.unmask().ok().expect("a sum");
    assert_eq!(sum.blames().len(), 1);
    assert_eq!(
        (sum.blames()[0].member, &sum.blames()[0].fault),
        (2, &MemberFault::BadBundle { slot: 0 })
    );
    assert_eq!(sum.into_ring_vec().to_i64s(), expected(Ring::Z64, alive, 3));
}
