//! Every message survives the wire, whatever it holds; what is malformed, oversized or out of order does not.

use std::sync::Arc;

use engine::message::*;
use engine::{AgentId, JobId, Refused, SlotId};
use governance::SignedRequest;
use governance::log::TreeHash;
use proptest::prelude::*;
use prost::Message;
use prost::bytes::Bytes;
use secagg::{Ring, RingVec};

use super::*;
use crate::v1::{agent_frame, coordinator_frame};

/// Over the wire and back, through encoded bytes.
fn arrives(message: ToCoordinator) -> ToCoordinator {
    let mut assembler = Assembler::default();
    let mut whole = None;
    for frame in frames(message) {
        assert!(whole.is_none(), "whole before its last frame");
        let encoded = frame.encode_to_vec();
        assert!(encoded.len() <= MAX_AGENT_FRAME);
        let frame = v1::AgentFrame::decode(Bytes::from(encoded)).unwrap();
        whole = assembler.push(frame).unwrap();
    }
    whole.unwrap()
}

fn arrives_at_agent(message: ToAgent) -> (ToAgent, usize) {
    let mut assembler = AgentAssembler::default();
    let (mut whole, mut count) = (None, 0);
    for frame in to_agent_frames(message) {
        assert!(whole.is_none(), "whole before its last frame");
        let frame = v1::CoordinatorFrame::decode(Bytes::from(frame.encode_to_vec())).unwrap();
        whole = assembler.push(frame).unwrap();
        count += 1;
    }
    (whole.unwrap(), count)
}

/// The bytes of a message's frames: messages hold secrets in parts and have neither `Debug` nor `PartialEq`.
fn bytes_of(message: ToCoordinator) -> Vec<Vec<u8>> {
    frames(message).map(|frame| frame.encode_to_vec()).collect()
}

fn bytes_to_agent(message: ToAgent) -> Vec<Vec<u8>> {
    to_agent_frames(message).map(|frame| frame.encode_to_vec()).collect()
}

prop_compose! {
    fn wires()(bytes in proptest::collection::vec(any::<u8>(), 0..300)) -> Wire { bytes.into() }
}

prop_compose! {
    fn slots()(epoch in any::<u64>(), slot in any::<u16>()) -> SlotId { SlotId { epoch, slot } }
}

prop_compose! {
    fn refusals()(code in "[A-Z]{0,9}", message in "\\PC{0,40}", remedy in proptest::option::of("\\PC{0,9}")) -> Refused {
        Refused { code, message, remedy }
    }
}

prop_compose! {
    fn offers()(dataset in ".{0,20}", contract_json in ".{0,50}", snapshot in ".{0,9}", min_cohort in any::<u32>(),
        paused in any::<bool>(), budget in proptest::option::of((0f64..1e9, 0f64..1e9, 0f64..1.0))) -> Offer {
        let budget = budget.map(|(epsilon_left, epsilon_cap, delta_cap)| {
            BudgetView { epsilon_left, epsilon_cap, delta_cap }
        });
        let left_for = budget.map(|budget: BudgetView| (snapshot.clone(), budget.epsilon_left)).into_iter().collect();
        let admitted = paused.then(|| dataset.clone()).into_iter().collect();
        Offer { dataset, contract_json, snapshot, min_cohort, paused, budget, left_for, admitted }
    }
}

prop_compose! {
    fn starts()(at in slots(), job in any::<[u8; 16]>(), body in proptest::collection::vec(any::<u8>(), 0..99),
        numbers in any::<[u32; 3]>(), plan_hash in any::<[u8; 32]>(), carried in wires(),
        hashes in any::<Option<[[u8; 32]; 2]>>(), contributors in any::<Option<u32>>(),
        timeout_ms in any::<u64>()) -> Opaque<RoundStart> {
        let request = Arc::new(SignedRequest { body, signature: vec![3; 64], event: vec![4; 64] });
        let [round, attempt, s_min] = numbers;
        let job = JobId(job);
        let previous = hashes.map(|[sum_hash, state_hash]| Previous {
            sum_hash,
            state_hash,
            terms: engine::CohortTerms { n: round, c: attempt, s_min },
            carried: match contributors {
                Some(contributors) => Carried::Sum { values: carried, contributors },
                None => Carried::State(carried),
            },
        });
        Opaque(RoundStart { at, job, request, round, attempt, plan_hash, s_min, previous, timeout_ms })
    }
}

/// A message to be made twice; proptest wants to print what fails, and messages do not print.
struct Opaque<T>(T);

impl<T> std::fmt::Debug for Opaque<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a message")
    }
}

type Maker = Opaque<Box<dyn Fn() -> ToCoordinator>>;

fn from_agents() -> impl Strategy<Value = Maker> {
    (
        0..16usize,
        slots(),
        wires(),
        refusals(),
        proptest::collection::vec(offers(), 0..4),
        any::<bool>(),
    )
        .prop_map(|(kind, at, bytes, refused, offers, flag)| {
            Opaque(Box::new(move || {
                let (bytes, refused) = (bytes.clone(), refused.clone());
                match kind {
                    0 => ToCoordinator::Offers(offers.clone()),
                    1 => ToCoordinator::Setup(SetupToCoordinator {
                        epoch: at.epoch,
                        step: SetupStep::Deal,
                        message: bytes,
                    }),
                    2 => ToCoordinator::EpochLeft {
                        epoch: at.epoch,
                        refused,
                        dispute: flag.then_some(bytes),
                    },
                    3 => ToCoordinator::Accept {
                        at,
                        accept: bytes,
                        grant: flag.then_some(governance::ContentHash([7; 32])),
                    },
                    11 => ToCoordinator::Act(governance::SignedAct {
                        body: refused.message,
                        signature: bytes.to_vec(),
                        event: bytes.to_vec(),
                    }),
                    14 => ToCoordinator::RosterWanted {
                        roster: governance::ContentHash([at.slot as u8; 32]),
                    },
                    12 => ToCoordinator::ActsWanted { from: at.epoch },
                    4 => ToCoordinator::Refuse { at, refused },
                    5 => ToCoordinator::Ready { at },
                    6 => ToCoordinator::Vote { at, vote: bytes },
                    7 => ToCoordinator::Reveal { at, reveal: bytes },
                    8 => ToCoordinator::Paths { at, paths: bytes },
                    9 => ToCoordinator::Edges { at, edges: bytes },
                    10 => ToCoordinator::Events(vec![refused.message; usize::from(at.slot % 4)]),
                    13 => ToCoordinator::LogSeen(LogSeen {
                        size: at.epoch,
                        cosignature: flag.then(|| refused.code.clone()),
                        refused: (!flag).then_some(refused),
                    }),
                    _ => ToCoordinator::Aborted { at, refused },
                }
            }) as Box<dyn Fn() -> ToCoordinator>)
        })
}

fn to_agents() -> impl Strategy<Value = Opaque<ToAgent>> {
    (0..16usize, slots(), wires(), starts(), "[a-z]{1,9}", any::<bool>()).prop_map(
        |(kind, at, bytes, Opaque(start), name, flag)| {
            Opaque(match kind {
                0 => ToAgent::Roster(governance::SignedRoster {
                    body: name,
                    signature: vec![1; 64],
                }),
                1 => ToAgent::EpochOpen(EpochOpen {
                    epoch: at.epoch,
                    roster_hash: start.plan_hash,
                    members: vec![AgentId::from(name)],
                    slots: at.slot,
                    timeout_ms: start.timeout_ms,
                }),
                2 => ToAgent::Setup(SetupToAgent {
                    epoch: at.epoch,
                    step: SetupStep::PairCt,
                    parts: vec![bytes; usize::from(flag)],
                }),
                3 => ToAgent::EpochClosed { epoch: at.epoch },
                4 => ToAgent::RoundStart(start),
                5 => ToAgent::Cohort(Cohort {
                    at,
                    accepts: bytes,
                    upload_unasked: flag,
                }),
                6 => ToAgent::UploadGrant { at },
                7 => ToAgent::Receipt { at, receipt: bytes },
                8 => ToAgent::Survivors { at, survivors: bytes },
                9 => ToAgent::Certificate { at, certificate: bytes },
                10 => ToAgent::PathsWanted { at },
                11 => ToAgent::EdgesWanted { at },
                13 => ToAgent::LogGrown(Box::new(LogGrown {
                    from: at.epoch,
                    head: start.timeout_ms,
                    checkpoint: name.clone(),
                    entries: vec![name.as_str().into(); usize::from(flag)],
                    consistency: vec![TreeHash(start.plan_hash); usize::from(at.slot % 5)],
                })),
                14 => ToAgent::Heartbeat(Cursor {
                    count: at.epoch,
                    head: start.plan_hash,
                }),
                15 => ToAgent::Acts(Acts {
                    from: Cursor::default(),
                    acts: vec![
                        governance::SignedAct {
                            body: name,
                            signature: bytes.to_vec(),
                            event: bytes.to_vec(),
                        };
                        usize::from(flag)
                    ],
                }),
                12 => ToAgent::RoundEnded {
                    at,
                    next: flag.then(|| Box::new(start)),
                },
                _ => ToAgent::JobEnded {
                    job: start.job,
                    request_hash: start.plan_hash,
                },
            })
        },
    )
}

proptest! {
    #[test]
    fn whatever_an_agent_sends_arrives_as_it_was(message in from_agents()) {
        prop_assert_eq!(bytes_of(arrives(message.0())), bytes_of(message.0()));
    }

    #[test]
    fn whatever_the_coordinator_sends_arrives_as_it_was(message in to_agents()) {
        let sent = bytes_to_agent(message.0);
        let mut assembler = AgentAssembler::default();
        let mut whole = None;
        for frame in &sent {
            whole = assembler.push(v1::CoordinatorFrame::decode(&frame[..]).unwrap()).unwrap();
        }
        prop_assert_eq!(bytes_to_agent(whole.unwrap()), sent);
    }

    #[test]
    fn a_join_arrives_as_it_was(offers in proptest::collection::vec(offers(), 0..4), epochs in any::<Vec<u64>>(), log_size in any::<u64>(), acts in any::<u64>()) {
        let join = Join { offers, epochs, log_size, acts };
        prop_assert_eq!(joined(join_frame(join.clone())).unwrap(), join);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(frame) = v1::AgentFrame::decode(&bytes[..]) {
            let _either_way = Assembler::default().push(frame);
        }
        if let Ok(frame) = v1::CoordinatorFrame::decode(&bytes[..]) {
            let _either_way = AgentAssembler::default().push(frame);
        }
    }
}

const AT: SlotId = SlotId { epoch: 7, slot: 3 };

fn masked(ring: Ring, dim: usize) -> ToCoordinator {
    let values: Vec<i64> = (0..dim as i64).collect();
    ToCoordinator::MaskedInput(MaskedInput {
        at: AT,
        head: Arc::from([9; 40]),
        vector: RingVec::from_i64s(ring, &values),
    })
}

fn head(dim: u64) -> v1::AgentFrame {
    let head = v1::MaskedInput {
        at: Some(AT.into()),
        head: Bytes::new(),
        ring: v1::Ring::Z32 as i32,
        dim,
    };
    v1::AgentFrame {
        frame: Some(agent_frame::Frame::MaskedInput(head)),
    }
}

fn chunk(length: usize) -> v1::AgentFrame {
    let values = Bytes::from(vec![0; length]);
    v1::AgentFrame {
        frame: Some(agent_frame::Frame::VectorChunk(v1::VectorChunk { values })),
    }
}

fn refused(frames: impl IntoIterator<Item = v1::AgentFrame>) -> Malformed {
    let mut assembler = Assembler::default();
    frames
        .into_iter()
        .find_map(|frame| assembler.push(frame).err())
        .expect("a refusal")
}

#[test]
fn a_vector_travels_as_a_head_and_slices_of_one_buffer() {
    for (ring, dim, count) in [(Ring::Z32, 1, 2), (Ring::Z64, 32_768, 2), (Ring::Z32, 1_000_000, 17)] {
        assert_eq!(frames(masked(ring, dim)).count(), count);
        let ToCoordinator::MaskedInput(input) = arrives(masked(ring, dim)) else {
            panic!("another message");
        };
        assert_eq!((input.at, input.vector.dim(), input.vector.ring()), (AT, dim, ring));
        assert_eq!(input.vector.to_i64s(), (0..dim as i64).collect::<Vec<_>>());
    }
    let chunks: Vec<Bytes> = frames(masked(Ring::Z64, 100_000))
        .filter_map(|frame| match frame.frame {
            Some(agent_frame::Frame::VectorChunk(chunk)) => Some(chunk.values),
            _ => None,
        })
        .collect();
    assert!(
        chunks
            .windows(2)
            .all(|pair| pair[0].as_ptr_range().end == pair[1].as_ptr()),
        "copied"
    );
}

#[test]
fn only_the_head_of_a_vector_announces_its_size() {
    let announced: Vec<Option<u64>> = frames(masked(Ring::Z32, 100_000))
        .map(|frame| announced_bytes(&frame))
        .collect();
    assert_eq!(announced, [Some(400_000), None, None]);
    assert_eq!(announced_bytes(&head(u64::MAX)), Some(u64::MAX));
}

#[test]
fn an_announced_vector_beyond_the_limit_is_refused_before_anything_is_allocated() {
    for dim in [MAX_VECTOR as u64 / 4 + 1, u64::MAX] {
        assert!(matches!(
            refused([head(dim)]),
            Malformed::Oversized { what: "vector", .. }
        ));
    }
    assert_eq!(refused([head(0)]), Malformed::Missing("values of a vector"));
}

#[test]
fn more_values_than_announced_fewer_per_chunk_or_none_are_refused() {
    assert!(matches!(
        refused([head(4), chunk(20)]),
        Malformed::Oversized {
            limit: 16,
            found: 20,
            ..
        }
    ));
    assert!(matches!(
        refused([head(1 << 20), chunk(CHUNK + 4)]),
        Malformed::Oversized { .. }
    ));
    assert!(matches!(refused([head(4), chunk(0)]), Malformed::Missing(_)));
    assert!(matches!(refused([chunk(4)]), Malformed::Order { .. }));
}

#[test]
fn nothing_may_come_between_the_parts_of_a_vector() {
    let ready = frames(ToCoordinator::Ready { at: AT });
    assert!(matches!(
        refused([head(4)].into_iter().chain(ready)),
        Malformed::Order { .. }
    ));
    assert!(matches!(refused([head(4), head(4)]), Malformed::Order { .. }));
}

#[test]
fn a_setup_step_of_many_members_is_spread_over_frames_and_shares_its_bytes() {
    let part: Wire = vec![5; 100_000].into();
    let setup = ToAgent::Setup(SetupToAgent {
        epoch: 9,
        step: SetupStep::Deal,
        parts: vec![part.clone(); 9],
    });
    let (arrived, count) = arrives_at_agent(setup);
    assert_eq!(count, 5);
    let ToAgent::Setup(setup) = arrived else {
        panic!("another message");
    };
    assert_eq!((setup.epoch, setup.step, setup.parts.len()), (9, SetupStep::Deal, 9));
    assert!(setup.parts.iter().all(|arrived| *arrived == part));
}

#[test]
fn a_setup_step_is_not_finished_by_another() {
    let setup = |step, more| v1::CoordinatorFrame {
        frame: Some(coordinator_frame::Frame::Setup(v1::SetupFromCoordinator {
            epoch: 1,
            step,
            parts: Vec::new(),
            more,
        })),
    };
    let mut assembler = AgentAssembler::default();
    assert!(assembler.push(setup(1, true)).unwrap().is_none());
    assert!(matches!(assembler.push(setup(2, false)), Err(Malformed::Order { .. })));
    assert!(matches!(
        AgentAssembler::default().push(setup(0, false)),
        Err(Malformed::Unknown {
            what: "setup step",
            found: 0
        })
    ));
}

#[test]
fn missing_and_misshapen_fields_are_refused_by_name() {
    let frame = |frame| v1::AgentFrame { frame: Some(frame) };
    assert_eq!(refused([v1::AgentFrame { frame: None }]), Malformed::Missing("frame"));
    let ready = frame(agent_frame::Frame::Ready(v1::Ready { at: None }));
    assert_eq!(refused([ready]), Malformed::Missing("slot"));
    let at = Some(v1::SlotId { epoch: 1, slot: 65_536 });
    let ready = frame(agent_frame::Frame::Ready(v1::Ready { at }));
    assert!(matches!(refused([ready]), Malformed::Oversized { what: "slot", .. }));
    let offer = v1::Offer {
        budget: Some(v1::BudgetView {
            epsilon_left: f64::NAN,
            ..Default::default()
        }),
        ..Default::default()
    };
    let offers = frame(agent_frame::Frame::Offers(v1::Offers { offers: vec![offer] }));
    assert_eq!(refused([offers]), Malformed::Number("left epsilon"));
    let ended = v1::CoordinatorFrame {
        frame: Some(coordinator_frame::Frame::JobEnded(v1::JobEnded {
            job: Bytes::from_static(&[0; 15]),
            request_hash: Bytes::new(),
        })),
    };
    let refused = AgentAssembler::default().push(ended).err().unwrap().to_string();
    assert_eq!(refused, "mismatched length of job id: expected 16 bytes, found 15");
}

#[test]
fn a_second_greeting_is_out_of_order() {
    let greeting = agent_frame::Frame::Greeting(v1::Greeting::default());
    assert!(matches!(
        refused([v1::AgentFrame { frame: Some(greeting) }]),
        Malformed::Order { .. }
    ));
}
