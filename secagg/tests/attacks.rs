//! A hostile coordinator and lying members in a round. Each test is one entry of the list of attacks that every
//! implementation must answer; after each refusal the member has opened nothing.

mod common;

use common::*;
use secagg::adder::{Opening, Why};
use secagg::*;

const ALL: [u16; 5] = [1, 2, 3, 4, 5];

fn survivors_of(accepts: &[Accept], headers: &[MaskedHeader], who: &[u16]) -> Survivors {
    Survivors {
        slot: accepts[0].slot,
        accepts: accepts.to_vec(),
        headers: headers.iter().filter(|h| who.contains(&h.member)).cloned().collect(),
    }
}

/// Everyone of five accepted and sent; the coordinator has all it needs to lie.
fn all_sent(w: &mut World, slot: u16) -> (Vec<Accept>, Vec<MaskedHeader>) {
    let (_, cohort) = w.cohort(slot, &ALL, Ring::Z64, 4);
    let headers = ALL.iter().map(|m| w.masked(*m, slot, Ring::Z64, 4).0).collect();
    (cohort.accepts, headers)
}

fn vote_of(answer: Option<Answer>) -> Vote {
    match answer {
        Some(Answer::Vote(vote)) => vote,
        other => panic!("expected a vote, got {other:?}"),
    }
}

#[test]
fn nobody_is_shown_alive_and_dead_a_second_survivor_set_is_refused() {
    let mut w = World::new(5, 1, 1, 1);
    let (accepts, headers) = all_sent(&mut w, 0);
    let without_one = survivors_of(&accepts, &headers, &[2, 3, 4, 5]);
    let without_two = survivors_of(&accepts, &headers, &[1, 3, 4, 5]);
    let everyone = survivors_of(&accepts, &headers, &ALL);
    vote_of(w.epoch(3).survivors(0, 4, &without_one).unwrap());
    for other in [&without_two, &everyone] {
        assert!(matches!(
            w.epoch(3).survivors(0, 4, other),
            Err(Abort::Relay(RelayFault::SecondValue {
                what: "survivor set",
                ..
            }))
        ));
    }
    // The same set again is a duplicate, not a second answer.
    assert_eq!(w.epoch(3).survivors(0, 4, &without_one).unwrap(), None);
}

#[test]
fn a_split_view_gathers_no_certificate() {
    let mut w = World::new(5, 1, 1, 2);
    let (accepts, headers) = all_sent(&mut w, 0);
    let (left, right) = (
        survivors_of(&accepts, &headers, &[1, 2, 3, 4]),
        survivors_of(&accepts, &headers, &[1, 2, 3, 5]),
    );
    let mut votes: Vec<Vote> = Vec::new();
    for member in 1..=2 {
        votes.push(vote_of(w.epoch(member).survivors(0, 4, &left).unwrap()));
    }
    for member in 3..=5 {
        votes.push(vote_of(w.epoch(member).survivors(0, 4, &right).unwrap()));
    }
    let certificate = Certificate { slot: 0, votes };
    for member in ALL {
        assert!(matches!(
            w.epoch(member).certificate(0, &certificate),
            Err(Abort::Relay(RelayFault::SecondValue { .. }))
        ));
    }
    let own_side = Certificate {
        slot: 0,
        votes: certificate.votes[2..].to_vec(),
    };
    assert!(matches!(
        w.epoch(4).certificate(0, &own_side),
        Err(Abort::Relay(RelayFault::CertificateBelowThreshold {
            expected: 4,
            found: 3
        }))
    ));
}

#[test]
fn fast_view_to_some_and_slow_view_to_others_opens_no_second_secret() {
    let mut w = World::new(5, 1, 1, 3);
    let (accepts, headers) = all_sent(&mut w, 0);
    let fast = survivors_of(&accepts, &headers, &ALL);
    let slow = survivors_of(&accepts, &headers, &[1, 2, 3, 4]);
    // One honest member answers fast; the four that are left vote slow and, with their certificate, open w of 5.
    assert!(matches!(
        w.epoch(5).survivors(0, 4, &fast).unwrap(),
        Some(Answer::Reveal(_))
    ));
    let votes: Vec<Vote> = (1..=4)
        .map(|m| vote_of(w.epoch(m).survivors(0, 4, &slow).unwrap()))
        .collect();
    let certificate = Certificate { slot: 0, votes };
    for member in 1..=4 {
        assert!(w.epoch(member).certificate(0, &certificate).unwrap().is_some());
        // None of them gives b of 5 any more, and 5 gives no w: one share of b_5 is out, four are needed.
        assert!(w.epoch(member).survivors(0, 4, &fast).is_err());
    }
    assert!(w.epoch(5).certificate(0, &certificate).is_err());
    assert!(w.epoch(5).survivors(0, 4, &slow).is_err());
}

#[test]
fn a_forged_survivor_is_not_believed() {
    let mut w = World::new(5, 1, 1, 4);
    let (_, cohort) = w.cohort(0, &ALL, Ring::Z64, 4);
    let mut headers: Vec<MaskedHeader> = (1..=4).map(|m| w.masked(m, 0, Ring::Z64, 4).0).collect();
    headers.push(MaskedHeader {
        member: 5,
        digest: Digest([9; 32]),
        ..headers[0].clone()
    });
    let forged = survivors_of(&cohort.accepts, &headers, &ALL);
    assert!(matches!(
        w.epoch(1).survivors(0, 4, &forged),
        Err(Abort::Relay(RelayFault::BadSignature {
            what: "masked header",
            member: 5
        }))
    ));
    // The member itself knows best that it sent nothing.
    assert!(matches!(
        w.epoch(5).survivors(0, 4, &forged),
        Err(Abort::Relay(RelayFault::OwnContributionAltered { slot: 0 }))
    ));
}

#[test]
fn a_survivor_from_outside_the_cohort_is_refused() {
    let mut w = World::new(5, 1, 2, 5);
    let (_, cohort) = w.cohort(0, &[1, 2, 3, 4], Ring::Z64, 4);
    let mut headers: Vec<MaskedHeader> = (1..=4).map(|m| w.masked(m, 0, Ring::Z64, 4).0).collect();
    headers.push(resign(
        &MaskedHeader {
            member: 5,
            ..headers[0].clone()
        },
        5,
        "sottovoce/secagg/v1/masked-header",
    ));
    let survivors = survivors_of(&cohort.accepts, &headers, &ALL);
    assert!(matches!(
        w.epoch(1).survivors(0, 4, &survivors),
        Err(Abort::Relay(RelayFault::SurvivorOutsideCohort { member: 5 }))
    ));
}

#[test]
fn a_slot_serves_one_context_one_cohort_and_one_vector() {
    let mut w = World::new(5, 1, 2, 6);
    let other = Digest::of("test", &[b"another model"]);
    w.epoch(1).accept(0, ctx(0)).unwrap().unwrap();
    assert_eq!(w.epoch(1).accept(0, ctx(0)).unwrap(), None);
    assert!(matches!(
        w.epoch(1).accept(0, other),
        Err(Abort::Relay(RelayFault::SecondValue { what: "context", .. }))
    ));
    // Different plans to different agents: their Accepts make no cohort.
    let mut accepts = vec![w.epoch(2).accept(1, ctx(1)).unwrap().unwrap()];
    for m in 3..=5 {
        accepts.push(w.epoch(m).accept(1, other).unwrap().unwrap());
    }
    assert!(matches!(
        w.epoch(2).cohort(1, 4, &accepts),
        Err(Abort::Relay(RelayFault::Mismatch {
            what: "context of accept",
            ..
        }))
    ));

    let mut w = World::new(5, 1, 1, 7);
    let (_, cohort) = w.cohort(0, &ALL, Ring::Z64, 4);
    assert_eq!(w.epoch(1).cohort(0, 4, &cohort.accepts).unwrap(), None);
    assert!(matches!(
        w.epoch(1).cohort(0, 4, &cohort.accepts[..4]),
        Err(Abort::Relay(RelayFault::SecondValue { what: "cohort", .. }))
    ));
    w.masked(1, 0, Ring::Z64, 4);
    // Two maskings of different vectors under one mask would give their difference away.
    assert!(matches!(
        w.epoch(1).mask(0, RingVec::zero(Ring::Z64, 4)),
        Err(Abort::Usage(Usage::WrongPhase { found: "sent", .. }))
    ));
}

#[test]
fn a_replayed_slot_attempt_or_epoch_finds_nothing() {
    let mut w = World::new(5, 1, 2, 8);
    let (accepts, headers) = all_sent(&mut w, 0);
    let survivors = survivors_of(&accepts, &headers, &ALL);
    // In another slot.
    let moved = Survivors {
        slot: 1,
        ..survivors.clone()
    };
    assert!(matches!(
        w.epoch(1).survivors(1, 4, &moved),
        Err(Abort::Relay(RelayFault::WrongSlot { expected: 1, found: 0 }))
    ));
    // In another epoch of the same members.
    let mut next = World::new(5, 1, 2, 9);
    assert!(matches!(
        next.epoch(1).survivors(0, 4, &survivors),
        Err(Abort::Relay(RelayFault::Mismatch {
            what: "epoch of accept",
            ..
        }))
    ));
    // After erasure.
    w.epoch(1).survivors(0, 4, &survivors).unwrap().unwrap();
    w.epoch(1).erase(0).unwrap();
    assert!(matches!(
        w.epoch(1).survivors(0, 4, &survivors),
        Err(Abort::Relay(RelayFault::Erased { slot: 0 }))
    ));
    assert!(matches!(
        w.epoch(1).accept(0, ctx(0)),
        Err(Abort::Relay(RelayFault::Erased { slot: 0 }))
    ));
    assert!(matches!(
        w.epoch(1).accept(7, ctx(7)),
        Err(Abort::Usage(Usage::SlotOutOfRange { slots: 2, found: 7 }))
    ));
}

#[test]
fn cohorts_and_survivors_below_the_minimum_open_nothing() {
    let mut w = World::new(5, 1, 2, 10);
    let mut accepts = Vec::new();
    for m in [1, 2, 3] {
        accepts.push(w.epoch(m).accept(0, ctx(0)).unwrap().unwrap());
    }
    assert!(matches!(
        w.epoch(1).cohort(0, 4, &accepts),
        Err(Abort::Relay(RelayFault::BelowMinimum {
            what: "cohort",
            expected: 4,
            found: 3
        }))
    ));
    // A coordinator that names a minimum below the threshold is not followed either.
    assert!(matches!(
        w.epoch(1).cohort(0, 3, &accepts),
        Err(Abort::Relay(RelayFault::MinimumOutOfRange {
            least: 4,
            most: 5,
            found: 3
        }))
    ));
    let (accepts, headers) = all_sent(&mut w, 1);
    let few = survivors_of(&accepts, &headers, &[1, 2, 3]);
    assert!(matches!(
        w.epoch(1).survivors(1, 4, &few),
        Err(Abort::Relay(RelayFault::BelowMinimum {
            what: "survivors",
            expected: 4,
            found: 3
        }))
    ));
    let none = survivors_of(&accepts, &headers, &[]);
    assert!(w.epoch(1).survivors(1, 4, &none).is_err());
}

#[test]
fn staged_dropouts_cannot_open_two_sums_that_differ_by_one_member() {
    // Differencing: the sum over five and the sum over four of the same vectors would show the fifth.
    let mut w = World::new(5, 1, 1, 11);
    let (accepts, headers) = all_sent(&mut w, 0);
    let everyone = survivors_of(&accepts, &headers, &ALL);
    let reveals = ALL.map(|m| w.epoch(m).survivors(0, 4, &everyone).unwrap());
    assert!(reveals.iter().all(|r| matches!(r, Some(Answer::Reveal(_)))));
    let four = survivors_of(&accepts, &headers, &[1, 2, 3, 4]);
    for m in ALL {
        assert!(matches!(
            w.epoch(m).survivors(0, 4, &four),
            Err(Abort::Relay(RelayFault::SecondValue { .. }))
        ));
    }
}

#[test]
fn repeated_unsorted_and_truncated_lists_are_refused() {
    let mut w = World::new(5, 1, 1, 12);
    let (accepts, headers) = all_sent(&mut w, 0);
    let mut doubled = survivors_of(&accepts, &headers, &[1, 2, 3, 4]);
    doubled.headers.push(doubled.headers[3].clone());
    assert!(matches!(
        w.epoch(1).survivors(0, 4, &doubled),
        Err(Abort::Relay(RelayFault::Unsorted { .. }))
    ));
    let mut cohort_doubled = survivors_of(&accepts, &headers, &ALL);
    cohort_doubled.accepts[4] = cohort_doubled.accepts[3].clone();
    assert!(matches!(
        w.epoch(1).survivors(0, 4, &cohort_doubled),
        Err(Abort::Relay(RelayFault::Unsorted { .. }))
    ));
    // A cohort without its last member is another cohort, whose ctx2 nobody signed for.
    let mut truncated = survivors_of(&accepts, &headers, &[1, 2, 3, 4]);
    truncated.accepts.pop();
    assert!(w.epoch(1).survivors(0, 4, &truncated).is_err());
}

#[test]
fn nothing_is_revealed_before_a_certificate_and_stale_ones_do_not_count() {
    let mut w = World::new(5, 1, 2, 13);
    let mut certificates = Vec::new();
    for slot in [0, 1] {
        let (accepts, headers) = all_sent(&mut w, slot);
        let survivors = survivors_of(&accepts, &headers, &[1, 2, 3, 4]);
        let empty = Certificate {
            slot,
            votes: Vec::new(),
        };
        assert!(matches!(
            w.epoch(1).certificate(slot, &empty),
            Err(Abort::Usage(Usage::WrongPhase { found: "sent", .. }))
        ));
        let votes: Vec<Vote> = ALL
            .iter()
            .map(|m| vote_of(w.epoch(*m).survivors(slot, 4, &survivors).unwrap()))
            .collect();
        assert!(w.epoch(1).paths(slot).is_err(), "paths are shown after a reveal only");
        assert!(w.epoch(1).edges(slot).is_err(), "edges are shown after a reveal only");
        certificates.push(Certificate { slot, votes });
    }
    let stale = Certificate {
        slot: 1,
        votes: certificates[0].votes.clone(),
    };
    assert!(matches!(
        w.epoch(1).certificate(1, &stale),
        Err(Abort::Relay(RelayFault::WrongSlot { .. }))
    ));
    let mut forged = certificates[1].clone();
    forged.votes[2].u_hash = forged.votes[0].u_hash;
    forged.votes[2].signature = certificates[0].votes[2].signature;
    assert!(matches!(
        w.epoch(1).certificate(1, &forged),
        Err(Abort::Relay(RelayFault::BadSignature {
            what: "vote",
            member: 3
        }))
    ));
    let mut repeated = certificates[1].clone();
    repeated.votes[1] = repeated.votes[0].clone();
    assert!(matches!(
        w.epoch(1).certificate(1, &repeated),
        Err(Abort::Relay(RelayFault::Unsorted { .. }))
    ));
    assert!(w.epoch(1).certificate(1, &certificates[1]).unwrap().is_some());
    assert_eq!(w.epoch(1).certificate(1, &certificates[1]).unwrap(), None);
}

#[test]
fn wrong_length_and_altered_vectors_are_not_added() {
    let mut w = World::new(5, 1, 1, 14);
    let (mut collect, _) = w.cohort(0, &ALL, Ring::Z64, 4);
    // A member that signs a vector of another length convicts itself.
    let (header, y) = w.epoch(1).mask(0, RingVec::zero(Ring::Z64, 5)).unwrap().into_parts();
    match collect.add(header.clone(), y) {
        Err(Abort::Member(blame)) => {
            assert_eq!(blame.member, 1);
            assert_eq!(blame.evidence, [header.encode()]);
        }
        _ => panic!("expected blame"),
    }
    let (header, y) = w.epoch(2).mask(0, RingVec::zero(Ring::Z32, 8)).unwrap().into_parts();
    assert!(matches!(collect.add(header, y), Err(Abort::Member(_))));
    // Bytes altered on the way are nobody's signature.
    let (header, _) = w.masked(3, 0, Ring::Z64, 4);
    assert!(matches!(
        collect.add(header.clone(), RingVec::zero(Ring::Z64, 4)),
        Err(Abort::Relay(RelayFault::Mismatch {
            what: "digest of masked vector",
            ..
        }))
    ));
    let other_slot = MaskedHeader { slot: 1, ..header };
    assert!(collect.check(&other_slot).is_err());
    assert!(collect.is_empty());
}

#[test]
fn a_member_that_signs_two_vectors_convicts_itself() {
    let mut w = World::new(5, 1, 1, 15);
    let (mut collect, _) = w.cohort(0, &ALL, Ring::Z64, 4);
    let (header, y) = w.masked(1, 0, Ring::Z64, 4);
    collect.add(header.clone(), y.clone()).unwrap().unwrap();
    assert!(collect.add(header.clone(), y.clone()).unwrap().is_none());
    let mut second = y;
    second
        .add_assign(&RingVec::from_i64s(Ring::Z64, &[1, 0, 0, 0]))
        .unwrap();
    let tampered = MaskedHeader {
        digest: MaskedHeader::digest_of(&second),
        ..header
    };
    let tampered = resign(&tampered, 1, "sottovoce/secagg/v1/masked-header");
    assert!(matches!(collect.add(tampered, second), Err(Abort::Member(blame))
        if blame.fault == MemberFault::Equivocation { what: "masked headers" } && blame.holds(&w.members)));
}

#[test]
fn a_false_share_is_traced_to_its_holder_and_the_sum_still_opens() {
    let mut w = World::new(5, 1, 1, 16);
    let (survivors, opening) = w.surveyed(0, &ALL, &ALL, 4);
    let Opening::Fast(mut unmasking) = opening else {
        panic!("expected the fast path")
    };
    for m in ALL {
        let Some(Answer::Reveal(mut reveal)) = w.epoch(m).survivors(0, 4, &survivors).unwrap() else {
            panic!("expected a reveal")
        };
        if m == 2 {
            reveal.shares[3][0] ^= 1;
            reveal = resign(&reveal, 2, "sottovoce/secagg/v1/reveal");
        }
        unmasking.reveal(reveal).unwrap();
    }
    let Err(stuck) = unmasking.unmask() else {
        panic!("expected a failure")
    };
    let Why::Paths { holders } = &stuck.why else {
        panic!("expected to be asked for paths, got {:?}", stuck.why)
    };
    assert!(holders.contains(&2));
    let mut unmasking = stuck.round;
    let mut blamed = Vec::new();
    for m in holders {
        match unmasking.paths(w.epoch(*m).paths(0).unwrap()) {
            Ok(_) => {}
            Err(Abort::Member(blame)) => blamed.push(blame),
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(blamed.len(), 1);
    assert_eq!((blamed[0].member, &blamed[0].fault), (2, &MemberFault::FalseShare));
    assert!(blamed[0].holds(&w.members));
    let mut framed = blamed[0].clone();
    framed.member = 3;
    assert!(!framed.holds(&w.members));
    let innocent = framed_by_true_paths(&mut w, &survivors, &blamed[0]);
    assert!(!innocent.holds(&w.members));
    let sum = unmasking.unmask().ok().expect("four true shares are enough");
    assert_eq!(sum.blames().len(), 1);
    assert_eq!(sum.into_ring_vec().to_i64s(), expected(Ring::Z64, ALL, 4));
}

#[test]
fn a_dealer_that_signs_another_root_later_frames_nobody() {
    let half = deal(5, 1, 1, 19);
    let mut second = half.deals[3].clone();
    second.leaves[1].share_root = Digest([1; 32]);
    redeal(&mut second);
    let mut w = half.finish();
    let (survivors, opening) = w.surveyed(0, &ALL, &ALL, 4);
    let Opening::Fast(mut unmasking) = opening else {
        panic!("expected the fast path")
    };
    let Some(Answer::Reveal(mut reveal)) = w.epoch(2).survivors(0, 4, &survivors).unwrap() else {
        panic!("expected a reveal")
    };
    // Evidence of the honest form: member 2 lies about the share that 4 dealt to it, and is convicted.
    reveal.shares[3][0] ^= 1;
    unmasking
        .reveal(resign(&reveal, 2, "sottovoce/secagg/v1/reveal"))
        .unwrap();
    let Err(Abort::Member(true_blame)) = unmasking.paths(w.epoch(2).paths(0).unwrap()) else {
        panic!("expected blame")
    };
    assert!(true_blame.holds(&w.members));
    // Now member 2 told the truth, and 4 shows a root that nobody acknowledged.
    reveal.shares[3][0] ^= 1;
    let truth = resign(&reveal, 2, "sottovoce/secagg/v1/reveal");
    let mut leaf = LeafProof::decode(&true_blame.evidence[4]).unwrap();
    let mut public = PublicProof::decode(&true_blame.evidence[1]).unwrap();
    (leaf.head, public.head) = (second.head.clone(), second.head.clone());
    leaf.share_root = second.leaves[1].share_root;
    (leaf.path, public.path) = paths_of(&second, 1);
    let mut frame = true_blame.clone();
    frame.evidence[1] = public.encode();
    frame.evidence[2] = truth.encode();
    frame.evidence[4] = leaf.encode();
    assert!(!frame.holds(&w.members));
}

/// Paths of a leaf and of the public leaf in a deal of five, whose tree has six leaves.
fn paths_of(deal: &Deal, place: usize) -> (Vec<Digest>, Vec<Digest>) {
    let leaves = deal_leaves(deal);
    let pair = |i: usize| merkle_root(&leaves[2 * i..2 * i + 2]);
    let own = vec![leaves[place ^ 1], pair(1 - place / 2), pair(2)];
    (own, vec![leaves[4], merkle_root(&leaves[..4])])
}

/// The same accusation against member 3, who told the truth.
fn framed_by_true_paths(w: &mut World, survivors: &Survivors, model: &Blame) -> Blame {
    let mut blame = model.clone();
    blame.member = 3;
    blame.evidence[0] = survivors.encode();
    blame.evidence[3] = w.epoch(3).paths(0).unwrap().encode();
    blame
}

#[test]
fn reveals_of_the_wrong_shape_or_for_another_set_are_refused() {
    let mut w = World::new(5, 1, 1, 17);
    let (survivors, opening) = w.surveyed(0, &ALL, &ALL, 4);
    let Opening::Fast(mut unmasking) = opening else {
        panic!("expected the fast path")
    };
    let Some(Answer::Reveal(reveal)) = w.epoch(1).survivors(0, 4, &survivors).unwrap() else {
        panic!("expected a reveal")
    };
    let domain = "sottovoce/secagg/v1/reveal";
    let mut short = reveal.clone();
    short.shares.pop();
    let mut unreduced = reveal.clone();
    unreduced.shares[0] = [0xff; 32];
    for bad in [short, unreduced] {
        assert!(matches!(
            unmasking.reveal(resign(&bad, 1, domain)),
            Err(Abort::Member(_))
        ));
    }
    let mut other = reveal.clone();
    other.u_hash = Digest([0; 32]);
    assert!(unmasking.reveal(resign(&other, 1, domain)).is_err());
    assert!(matches!(
        unmasking.reveal(Reveal {
            member: 2,
            ..reveal.clone()
        }),
        Err(Abort::Relay(RelayFault::BadSignature {
            what: "reveal",
            member: 2
        }))
    ));
    assert_eq!(unmasking.reveal(reveal.clone()).unwrap(), Some(1));
    assert_eq!(unmasking.reveal(reveal).unwrap(), None);
}

#[test]
fn a_vector_that_was_received_and_left_out_is_proved() {
    let mut w = World::new(5, 1, 1, 18);
    let adder = signing_key(999);
    let (accepts, headers) = all_sent(&mut w, 0);
    let receipt = Receipt::sign(&headers[4], &adder);
    assert!(receipt.verify(&adder.verifying_key()));
    let survivors = survivors_of(&accepts, &headers, &[1, 2, 3, 4]);
    let votes: Vec<Vote> = ALL
        .iter()
        .map(|m| vote_of(w.epoch(*m).survivors(0, 4, &survivors).unwrap()))
        .collect();
    let proof = Exclusion {
        epoch_id: w.book.epoch_id(),
        receipt,
        survivors: survivors.headers.iter().map(|h| (h.member, h.digest)).collect(),
        certificate: Certificate { slot: 0, votes },
    };
    proof.check(&w.members, &adder.verifying_key()).unwrap();
    assert_eq!(Exclusion::decode(&proof.encode()).unwrap(), proof);
    // No proof without the adder's word, against another set, or by someone who was counted.
    assert!(proof.check(&w.members, &signing_key(1).verifying_key()).is_err());
    let mut fewer = proof.clone();
    fewer.survivors.pop();
    assert!(fewer.check(&w.members, &adder.verifying_key()).is_err());
    let mut counted = proof;
    counted.receipt = Receipt::sign(&headers[0], &adder);
    assert!(counted.check(&w.members, &adder.verifying_key()).is_err());
}
