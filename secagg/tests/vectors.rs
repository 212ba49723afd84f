//! Our published vectors, `vectors/*.json`: what this crate computes must be what is committed, byte for byte. To publish a new
//! version of the protocol run with `SECAGG_WRITE_VECTORS=1` and review the difference; vectors/README.md describes the format.

mod common;

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use common::*;
use secagg::adder::{Gather, Opening, Relay};
use secagg::setup::Greeting;
use secagg::*;
use serde_json::{Value, json};

fn check(name: &str, computed: &Value) {
    let path = Path::new("vectors").join(name);
    let text = serde_json::to_string_pretty(computed).unwrap() + "\n";
    if std::env::var_os("SECAGG_WRITE_VECTORS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let committed: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert!(committed == *computed, "{name} differs from what is committed");
}

/// Entropy that remembers what it gave.
struct Recorded(Seeded, Arc<Mutex<Vec<u8>>>);

impl Entropy for Recorded {
    fn fill(&mut self, out: &mut [u8]) {
        self.0.fill(out);
        self.1.lock().unwrap().extend_from_slice(out);
    }
}

#[test]
fn masks_are_as_published() {
    let mut cases = Vec::new();
    for (ring, dim) in [
        (Ring::Z32, 5usize),
        (Ring::Z64, 3),
        (Ring::Z32, 3000),
        (Ring::Z64, 3000),
    ] {
        let (seed, ctx2) = (Seed([dim as u8; 32]), Digest::of("vectors", &[b"ctx2"]));
        let mut plus = RingVec::from_i64s(ring, &contribution(1, dim));
        let input = Digest::of("vectors", &[plus.as_bytes()]);
        let mut minus = plus.clone();
        mask::add(&seed, &ctx2, Sign::Plus, &mut plus);
        mask::add(&seed, &ctx2, Sign::Minus, &mut minus);
        let mut keystream = [0u8; 48];
        mask::keystream(&seed, &ctx2, &mut keystream);
        cases.push(json!({
            "ring": ring, "dim": dim, "seed": hex::encode(seed.0), "ctx2": ctx2,
            "keystream_head": hex::encode(keystream), "input_hash": input,
            "plus_head": hex::encode(&plus.as_bytes()[..20]), "plus_hash": Digest::of("vectors", &[plus.as_bytes()]),
            "minus_hash": Digest::of("vectors", &[minus.as_bytes()]), "masked_digest": MaskedHeader::digest_of(&plus),
        }));
    }
    check("mask.json", &json!({ "about": "PRG and addition", "cases": cases }));
}

/// An epoch of four, every byte of it: what each member drew, and what it sent.
fn epoch(slots: u16) -> (World, Value) {
    let members = members(4, 1);
    let drawn: Vec<_> = (0..4).map(|_| Arc::new(Mutex::new(Vec::new()))).collect();
    let mut entropy: Vec<Recorded> = drawn
        .iter()
        .zip(70..)
        .map(|(log, seed)| Recorded(Seeded::new(seed), log.clone()))
        .collect();
    let mut relay = Relay::new(members.clone(), slots);
    let mut greetings = Vec::new();
    let mut all = None;
    let mut hellos = Vec::new();
    for (i, entropy) in (1..).zip(&mut entropy) {
        let id = members.id(i).unwrap().to_string();
        let (greeting, hello) =
            Greeting::start(members.clone(), &id, Arc::new(signing_key(i)), slots, entropy).unwrap();
        hellos.push(hex::encode(hello.encode()));
        all = relay.hello(hello).unwrap().or(all);
        greetings.push(greeting);
    }
    let (mut cts, mut deals, mut acks) = (Vec::new(), Vec::new(), Vec::new());
    let mut inboxes = vec![Vec::new(); 4];
    let pairings: Vec<_> = greetings
        .into_iter()
        .map(|greeting| {
            let (pairing, message) = greeting.receive(all.clone().unwrap()).unwrap();
            cts.push(hex::encode(message.encode()));
            for (to, part) in relay.pair_cts(message).unwrap() {
                inboxes[usize::from(to) - 1].push(part);
            }
            pairing
        })
        .collect();
    let mut parts = vec![Vec::new(); 4];
    let dealings: Vec<_> = pairings
        .into_iter()
        .zip(inboxes)
        .zip(&mut entropy)
        .map(|((pairing, inbox), entropy)| {
            let (dealing, deal) = pairing.receive(inbox, entropy).unwrap();
            deals.push(hex::encode(deal.encode()));
            for (to, part) in relay.deal(deal).unwrap() {
                parts[usize::from(to) - 1].push(part);
            }
            dealing
        })
        .collect();
    let part = hex::encode(parts[0][0].encode());
    let mut all = None;
    let ackings: Vec<_> = dealings
        .into_iter()
        .zip(parts)
        .map(|(dealing, parts)| {
            let (acking, ack) = dealing.receive(parts).unwrap();
            acks.push(hex::encode(ack.encode()));
            all = relay.ack(ack).unwrap().or(all.take());
            acking
        })
        .collect();
    let epochs = ackings
        .into_iter()
        .map(|a| Some(a.receive(all.clone().unwrap()).unwrap()))
        .collect();
    let world = World {
        members: members.clone(),
        book: Arc::new(relay.finish().unwrap()),
        epochs,
    };
    let described = json!({
        "c": 1, "threshold": members.threshold(), "slots": slots, "roster_hash": members.roster_hash(),
        "members_digest": members.digest(), "epoch_id": world.book.epoch_id(),
        "members": (1..=4).map(|i| json!({
            "id": members.id(i), "verifying_key": members.key(i),
            "signing_seed": hex::encode({ let mut seed = [0u8; 32]; seed[0] = i as u8; seed }),
            "entropy": hex::encode(&*drawn[usize::from(i) - 1].lock().unwrap()),
        })).collect::<Vec<_>>(),
        "hellos": hellos, "pair_cts": cts, "deals": deals, "acks": acks, "deal_part_2_to_1": part,
    });
    (world, described)
}

#[test]
fn an_epoch_and_its_rounds_are_as_published() {
    let (mut w, described) = epoch(2);
    check("epoch.json", &described);

    let mut rounds = Vec::new();
    let mut negative = Vec::new();
    for (slot, senders) in [(0u16, &[1u16, 2, 3, 4][..]), (1, &[1, 2, 4])] {
        let t = w.t();
        let hex_of = |bytes: Vec<u8>| hex::encode(bytes);
        let mut gather = Gather::open(w.book.clone(), slot, ctx(slot), t).unwrap();
        for m in 1..=4 {
            gather
                .accept(w.epoch(m).accept(slot, ctx(slot)).unwrap().unwrap())
                .unwrap();
        }
        let (mut collect, cohort) = gather.close(Ring::Z32, 3).unwrap();
        for m in 1..=4 {
            w.epoch(m).cohort(slot, t, &cohort.accepts).unwrap();
        }
        let ctx2 = collect.ctx2();
        let mut masked = Vec::new();
        for m in senders {
            let (header, y) = w.masked(*m, slot, Ring::Z32, 3);
            masked.push(json!({ "input": contribution(*m, 3), "header": hex_of(header.encode()), "y": hex::encode(y.as_bytes()) }));
            collect.add(header, y).unwrap();
        }
        let (survivors, opening) = collect.close().unwrap();
        if slot == 1 {
            negative.extend(refused(&mut w, slot, &survivors));
        }
        let mut votes = Vec::new();
        let mut reveals = Vec::new();
        let mut unmasking = match opening {
            Opening::Fast(mut unmasking) => {
                for m in senders {
                    let Some(Answer::Reveal(reveal)) = w.epoch(*m).survivors(slot, t, &survivors).unwrap() else {
                        panic!("expected a reveal")
                    };
                    reveals.push(reveal.clone());
                    unmasking.reveal(reveal).unwrap();
                }
                unmasking
            }
            Opening::Slow(mut voting) => {
                for m in senders {
                    let Some(Answer::Vote(vote)) = w.epoch(*m).survivors(slot, t, &survivors).unwrap() else {
                        panic!("expected a vote")
                    };
                    votes.push(hex_of(vote.encode()));
                    voting.vote(vote).unwrap();
                }
                let (certificate, unmasking) = voting.close().unwrap();
                let short = Certificate {
                    slot,
                    votes: certificate.votes[..t - 1].to_vec(),
                };
                let error = w.epoch(1).certificate(slot, &short).unwrap_err().to_string();
                negative.push(
                    json!({ "name": "certificate below t", "certificate": hex_of(short.encode()), "error": error }),
                );
                for m in senders {
                    reveals.push(w.epoch(*m).certificate(slot, &certificate).unwrap().unwrap());
                }
                unmasking
            }
        };
        if !votes.is_empty() {
            for reveal in &reveals {
                unmasking.reveal(reveal.clone()).unwrap();
            }
        }
        let u_hash = unmasking.u_hash();
        let paths = hex_of(w.epoch(1).paths(slot).unwrap().encode());
        let sum = unmasking.unmask().ok().expect("a sum");
        let digest = sum.digest();
        let values = sum.into_ring_vec().to_i64s();
        assert_eq!(values, expected(Ring::Z32, senders.iter().copied(), 3));
        rounds.push(json!({
            "slot": slot, "s_min": t, "ctx_hash": ctx(slot), "ring": Ring::Z32, "ctx2": ctx2,
            "cohort": hex_of(cohort.encode()), "masked": masked, "survivors": hex_of(survivors.encode()), "u_hash": u_hash,
            "votes": votes, "reveals": reveals.iter().map(|r| hex_of(r.encode())).collect::<Vec<_>>(),
            "share_paths_1": paths, "sum": values, "sum_digest": digest,
        }));
    }
    check(
        "round.json",
        &json!({ "about": "rounds in the epoch of epoch.json: nobody lost, member 3 lost", "rounds": rounds }),
    );
    check(
        "negative.json",
        &json!({
            "about": "what member 1 of round.json refuses in slot 1 before its honest survivors message, and bytes nobody decodes",
            "refused": negative, "malformed": malformed(),
        }),
    );
}

/// Survivors messages that member 1 refuses, with the error; its slot stays where it was.
fn refused(w: &mut World, slot: u16, honest: &Survivors) -> Vec<Value> {
    type Tamper = fn(&mut Survivors);
    let tampers: [(&str, Tamper); 8] = [
        ("survivors below s_min", |s| s.headers.truncate(2)),
        ("cohort below s_min", |s| s.accepts.truncate(2)),
        ("survivor repeated", |s| s.headers[2] = s.headers[1].clone()),
        ("survivors out of order", |s| s.headers.swap(1, 2)),
        ("forged survivor", |s| {
            let mut forged = s.headers[2].clone();
            forged.member = 3;
            s.headers.insert(2, forged);
        }),
        ("digest of another changed", |s| s.headers[1].digest.0[0] ^= 1),
        ("own digest changed", |s| s.headers[0].digest.0[0] ^= 1),
        ("another cohort", |s| s.accepts.truncate(3)),
    ];
    tampers
        .into_iter()
        .map(|(name, tamper)| {
            let mut message = honest.clone();
            tamper(&mut message);
            let t = w.t();
            let error = w.epoch(1).survivors(slot, t, &message).unwrap_err().to_string();
            json!({ "name": name, "survivors": hex::encode(message.encode()), "error": error })
        })
        .collect()
}

fn malformed() -> Vec<Value> {
    let accept = Accept {
        epoch_id: Digest([1; 32]),
        slot: 2,
        member: 3,
        ctx_hash: Digest([4; 32]),
        signature: Signature([5; 64]),
    }
    .encode();
    let mut trailing = accept.clone();
    trailing.push(0);
    let mut version = accept.clone();
    version[0] = 2;
    let mut kind = accept.clone();
    kind[1] = 20;
    [("truncated", accept[..80].to_vec()), ("trailing byte", trailing), ("other version", version), ("other type", kind), ("empty", Vec::new())]
        .into_iter()
        .map(|(name, bytes)| {
            json!({ "name": name, "message": "accept", "bytes": hex::encode(&bytes), "error": Accept::decode(&bytes).unwrap_err().to_string() })
        })
        .collect()
}
