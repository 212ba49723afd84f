//! Canonical bytes: what is encoded decodes to itself, whatever decodes encodes to the same bytes, and no bytes at all make a
//! decoder panic or allocate what they do not hold.

mod common;

use common::*;
use proptest::prelude::*;
use secagg::*;

/// One of every message, from a real epoch.
fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let mut half = deal(4, 1, 2, 1);
    let (_, hellos) = greet(&half.members, 2, 1);
    let (_, _, inboxes) = pair(&half.members, 2, 1);
    let deal = half.deals[0].clone();
    let parts = half.inboxes();
    let (dealing, part) = (half.dealings.remove(0), parts[0][0].clone());
    let (_, ack) = dealing.receive(parts[0].clone()).unwrap();
    let mut w = World::new(4, 1, 2, 2);
    let t = w.t();
    let (survivors, opening) = w.surveyed(0, &[1, 2, 3, 4], &[1, 2, 3], 3);
    let adder::Opening::Slow(mut voting) = opening else {
        panic!("expected the slow path")
    };
    for m in [1, 2, 3] {
        let Some(Answer::Vote(vote)) = w.epoch(m).survivors(0, t, &survivors).unwrap() else {
            panic!("expected a vote")
        };
        voting.vote(vote).unwrap();
    }
    let (certificate, _) = voting.close().unwrap();
    let reveal = w.epoch(1).certificate(0, &certificate).unwrap().unwrap();
    let cohort = Cohort {
        slot: 0,
        accepts: survivors.accepts.clone(),
    };
    vec![
        ("Hello", hellos[0].encode()),
        ("PairPart", inboxes[1][0].encode()),
        ("Deal", deal.encode()),
        ("DealPart", part.encode()),
        ("Ack", ack.encode()),
        ("Accept", survivors.accepts[0].encode()),
        ("Cohort", cohort.encode()),
        ("MaskedHeader", survivors.headers[0].encode()),
        ("Survivors", survivors.encode()),
        ("Vote", certificate.votes[0].encode()),
        ("Certificate", certificate.encode()),
        ("Reveal", reveal.encode()),
        ("SharePaths", w.epoch(1).paths(0).unwrap().encode()),
        ("EdgeReveal", w.epoch(1).edges(0).unwrap().encode()),
        (
            "Receipt",
            Receipt::sign(&survivors.headers[0], &signing_key(9)).encode(),
        ),
    ]
}

/// Decodes as the named message and encodes again.
fn again(name: &str, bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    fn through<M: Message>(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
        M::decode(bytes).map(|m| m.encode())
    }
    match name {
        "Hello" => through::<Hello>(bytes),
        "PairCts" => through::<PairCts>(bytes),
        "PairPart" => through::<PairPart>(bytes),
        "Deal" => through::<Deal>(bytes),
        "DealPart" => through::<DealPart>(bytes),
        "Ack" => through::<Ack>(bytes),
        "Accept" => through::<Accept>(bytes),
        "Cohort" => through::<Cohort>(bytes),
        "MaskedHeader" => through::<MaskedHeader>(bytes),
        "Survivors" => through::<Survivors>(bytes),
        "Vote" => through::<Vote>(bytes),
        "Certificate" => through::<Certificate>(bytes),
        "Reveal" => through::<Reveal>(bytes),
        "SharePaths" => through::<SharePaths>(bytes),
        "EdgeReveal" => through::<EdgeReveal>(bytes),
        "Receipt" => through::<Receipt>(bytes),
        "Exclusion" => through::<Exclusion>(bytes),
        "Dispute" => through::<setup::Dispute>(bytes),
        "LeafProof" => through::<LeafProof>(bytes),
        "RootsProof" => through::<RootsProof>(bytes),
        "PublicProof" => through::<PublicProof>(bytes),
        "EdgesProof" => through::<EdgesProof>(bytes),
        "BundleProof" => through::<BundleProof>(bytes),
        other => panic!("no message {other}"),
    }
}

const NAMES: [&str; 23] = [
    "Hello",
    "PairCts",
    "PairPart",
    "Deal",
    "DealPart",
    "Ack",
    "Accept",
    "Cohort",
    "MaskedHeader",
    "Survivors",
    "Vote",
    "Certificate",
    "Reveal",
    "SharePaths",
    "EdgeReveal",
    "Receipt",
    "Exclusion",
    "Dispute",
    "LeafProof",
    "RootsProof",
    "PublicProof",
    "EdgesProof",
    "BundleProof",
];

#[test]
fn every_message_round_trips_and_every_truncation_is_refused() {
    for (name, bytes) in samples() {
        assert_eq!(again(name, &bytes).unwrap(), bytes, "{name}");
        for len in 0..bytes.len() {
            assert!(again(name, &bytes[..len]).is_err(), "{name} cut to {len}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(
            matches!(again(name, &longer), Err(Malformed::Trailing { found: 1, .. })),
            "{name}"
        );
        for other in NAMES.iter().filter(|other| **other != name) {
            assert!(again(other, &bytes).is_err(), "{name} is no {other}");
        }
    }
}

#[test]
fn a_count_that_lies_costs_no_memory() {
    // A survivors message that claims 1024 accepts and holds none.
    let mut bytes = vec![VERSION, 19, 0, 0];
    bytes.extend_from_slice(&1024u32.to_le_bytes());
    assert!(matches!(Survivors::decode(&bytes), Err(Malformed::Truncated { .. })));
    bytes.truncate(4);
    bytes.extend_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(Survivors::decode(&bytes), Err(Malformed::Oversized { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_a_decoder_panic(which in 0..NAMES.len(), body in prop::collection::vec(any::<u8>(), 0..600), kind in 0u8..32) {
        let mut bytes = vec![VERSION, kind];
        bytes.extend(body);
        if let Ok(encoded) = again(NAMES[which], &bytes) {
            prop_assert_eq!(encoded, bytes);
        }
    }

    #[test]
    fn a_changed_byte_decodes_to_another_message_or_to_none(pick in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), flip in 1u8..) {
        static SAMPLES: std::sync::LazyLock<Vec<(&'static str, Vec<u8>)>> = std::sync::LazyLock::new(samples);
        let (name, bytes) = &SAMPLES[pick.index(SAMPLES.len())];
        let mut changed = bytes.clone();
        let at = at.index(changed.len());
        changed[at] ^= flip;
        if let Ok(encoded) = again(name, &changed) {
            prop_assert_eq!(encoded, changed);
        }
    }
}
