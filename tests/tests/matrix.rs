//! The table of who may sign what (`governance/tests/register/table.rs`) in a living consortium: each cell is tried at the coordinator's door,
//! and at every agent by a coordinator that passes on what it should have refused. What may be signed reaches everybody whom it concerns,
//! whoever was away when it was said. Costs a small world for each person and kind of act.

#[path = "../../governance/tests/register/table.rs"]
mod table;
#[allow(dead_code, reason = "shared with the register's own suite")]
#[path = "../../governance/tests/register/world.rs"]
mod world;

use std::sync::Arc;

use engine::coordinator::{self, Workloads};
use engine::message::{Acts, ToAgent};
use engine::participant::{Input, Participant};
use engine::{AgentId, Compute, OsEntropy};
use governance::act::By;
use governance::{Contract, SignedAct, What};
use privacy::Noised;
use table::{ACTS, Scene, before, entitled, everybody, forms, scene, signed};
use tests::sim::work::Serials;
use tests::sim::world::START_MS;
use tests::sim::{Consortium, Options, Work, World};
use world::{HOSPITALS, NOW, key, roster};

/// The three hospitals of the table, with nothing to ask about but the dataset's name.
struct Heart;

impl Work for Heart {
    fn contract(&self) -> Contract {
        Contract::parse(include_str!("../../governance/contracts/heart.toml")).expect("it is valid")
    }

    fn workloads(&self) -> Workloads {
        Serials.workloads()
    }

    fn compute(&mut self, agent: usize, compute: &Compute, serial: i64) -> Noised {
        Serials.compute(agent, compute, serial)
    }
}

fn consortium() -> Consortium {
    let engine_key = |seed: u8| Arc::new(engine::SigningKey::from_seed(&[seed; 32]));
    let agents = 1..=HOSPITALS.len() as u8;
    Consortium {
        signed_roster: roster().sign(&key(99)).expect("a valid roster"),
        roster: roster(),
        governance: key(99),
        coordinator_key: engine_key(60),
        log_key: Arc::new(key(60)),
        agent_keys: agents.clone().map(engine_key).collect(),
        actor_keys: agents.map(|seed| Arc::new(key(seed))).collect(),
        steward_keys: [30, 31, 32].map(key).into(),
        names: HOSPITALS.map(|name| AgentId::from(format!("agent-{name}"))).into(),
        ..Consortium::new(HOSPITALS.len(), 1, 7, &Heart)
    }
}

/// A consortium in which the scene's acts were said, and everybody heard them.
fn living(scene: &Scene, options: Options) -> World {
    assert_eq!(NOW, START_MS);
    let mut world = World::among(consortium(), 7, options, Box::new(Heart));
    lives(&mut world, 2_000);
    for act in &scene.acts {
        assert!(says(&mut world, act), "{act:?}");
    }
    lives(&mut world, 2_000);
    everybody_heard(&mut world);
    world
}

fn lives(world: &mut World, for_ms: u64) {
    let until_ms = world.now_ms + for_ms;
    world
        .run_until(until_ms, |_| false)
        .unwrap_or_else(|broken| panic!("{broken}"));
    world.now_ms = until_ms;
}

/// Whether the coordinator takes it at its door.
fn says(world: &mut World, act: &SignedAct) -> bool {
    let reply = world.tell_coordinator(coordinator::Input::Act(act.clone()));
    match reply.expect("the coordinator is up") {
        Ok(_) => true,
        Err(refusal) => {
            assert!(refusal.code.starts_with("SOTTO-"), "{refusal:?}");
            world.trace.push(refusal.message);
            false
        }
    }
}

fn everybody_heard(world: &mut World) {
    let World {
        checks,
        coordinator,
        participants,
        consortium,
        ..
    } = world;
    let coordinator = coordinator.engine.as_ref().expect("it is up");
    for (node, agent) in participants.iter().zip(&consortium.roster.agents) {
        let participant = node.engine.as_ref().expect("it is up");
        checks.every_agent_holds_the_acts_that_concern_it(coordinator, participant, &agent.organisation);
    }
    assert_eq!(checks.broken, None);
}

/// Who may, by the table; and at this door a steward speaks only of a contract that its own organisation offers.
fn may(what: &What, (column, by): (&str, &By), scene: &Scene) -> bool {
    let offers = HOSPITALS.contains(&by.organisation.as_str());
    entitled(what, (column, by), scene) && (offers || !matches!(what, What::ContractMoved { .. }))
}

/// The table's acts name a contract of no owner; here each is about the one that is offered.
fn real(mut what: What, world: &World) -> What {
    if let What::ContractMoved { contract, .. } = &mut what {
        *contract = world.consortium.contract.hash();
    }
    what
}

/// At how many agents an act would change anything if a coordinator brought it that asks nobody.
fn believed(world: &World, act: &SignedAct) -> usize {
    let believes = |place: &usize| {
        let config = world.consortium.participant(*place, &world.options);
        let records = world.participants[*place].records();
        let mut agent = Participant::recover(config, records).expect("own records recover");
        let before = agent.books().heard().register().clone();
        let from = agent.books().heard().place();
        let acts = Acts {
            from,
            acts: vec![act.clone()],
        };
        let _ = agent.handle(
            world.now_ms,
            &mut OsEntropy::default(),
            Input::Message(ToAgent::Acts(acts)),
        );
        *agent.books().heard().register() != before
    };
    (0..HOSPITALS.len()).filter(believes).count()
}

#[test]
fn no_cell_of_the_matrix_of_acts_opens_at_the_door_or_at_an_agent_whose_coordinator_lies() {
    let (here, quiet) = (scene(), Options::quiet(HOSPITALS.len(), 1));
    for (kind, _) in ACTS {
        let mut refused = living(&here, quiet.clone());
        let (mut forbidden, mut allowed) = (0, 0);
        for (column, by, seed) in everybody() {
            for mut what in forms(kind, &here) {
                let held = before(&what, &by);
                table::lifting(&mut what, held.as_ref());
                let act = signed(&by, seed, real(what.clone(), &refused));
                if may(&what, (column, &by), &here) {
                    allowed += 1;
                    continue;
                }
                let mut fresh = held.as_ref().map(|held| {
                    let mut world = living(&here, quiet.clone());
                    says(&mut world, held);
                    lives(&mut world, 1_000);
                    world
                });
                let world = fresh.as_mut().unwrap_or(&mut refused);
                assert!(!says(world, &act), "{kind} by {column} {by:?} at the door");
                forbidden += 1;
                // A "no" that nobody said a coordinator may invent: it could as well have stayed silent.
                if !what.narrows() {
                    assert_eq!(believed(world, &act), 0, "{kind} by {column} {by:?} at an agent");
                }
            }
        }
        assert!(forbidden > 0 && allowed > 0, "{kind}: {forbidden} no, {allowed} yes");
        everybody_heard(&mut refused);
    }
}

#[test]
fn what_may_be_signed_reaches_everybody_through_loss_partitions_and_crashes() {
    let here = scene();
    let lossy = Options {
        drop: 60,
        duplicate: 100,
        partition: 20,
        crash: 20,
        delay_ms: 400,
        ..Options::quiet(HOSPITALS.len(), 1)
    };
    for (kind, cells) in ACTS {
        let mut moved = 0;
        let yes = everybody().into_iter().flat_map(|(column, by, seed)| {
            let own = forms(kind, &here).into_iter();
            own.filter(|what| may(what, (column, &by), &here))
                .map(|what| (by.clone(), seed, what))
                .collect::<Vec<_>>()
        });
        for (number, (by, seed, mut what)) in yes.enumerate() {
            let mut world = living(&here, lossy.clone());
            let held = before(&what, &by);
            table::lifting(&mut what, held.as_ref());
            if let Some(held) = &held {
                assert!(says(&mut world, held));
                lives(&mut world, 1_000);
            }
            let act = signed(&by, seed, real(what, &world));
            moved += believed(&world, &act);
            assert!(says(&mut world, &act), "{kind} by {by:?}: {:?}", world.trace.last());
            // What is on its way to one of them is lost.
            world.partition(number % HOSPITALS.len(), Some(5_000));
            world.faults = true;
            lives(&mut world, 20_000);
            world.heal();
            lives(&mut world, 40_000);
            everybody_heard(&mut world);
        }
        assert!(moved > 0, "{kind} {cells:?} changed nothing at any agent");
    }
}
