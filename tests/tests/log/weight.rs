//! What an agent's events weigh: in the log for good, and in the messages that carry them to everybody.

use engine::coordinator::Input;
use engine::message::ToCoordinator;
use governance::ContentHash;
use governance::log::event::{Actor, Role};

use super::*;

/// An event that the first agent signs, with so many references that nobody needs.
fn padded(w: &Story, number: u64, references: usize) -> String {
    let key = &w.world.consortium.actor_keys[0];
    let actor = Actor {
        role: Role::Agent,
        id: w.world.consortium.names[0].to_string(),
        key: key.public(),
    };
    let hash = |n: u64| ContentHash::of("test", &[&n.to_le_bytes()]);
    let event = Event::new(Kind::Deletion, w.world.now_ms, actor).refers("deleted", hash(number));
    let padded = (0..references).fold(event, |event, n| event.refers(&format!("more-{n}"), hash(n as u64)));
    padded.sign(key).unwrap().leaf().to_owned()
}

fn hands_in(w: &mut Story, leaves: Vec<String>) {
    let (from, message) = (w.world.consortium.names[0].clone(), ToCoordinator::Events(leaves));
    w.world.tell_coordinator(Input::Message { from, message });
}

#[test]
fn a_long_event_is_refused() {
    let (mut w, _) = answered();
    let honest = leaves(&w).iter().map(|leaf| leaf.len()).max();
    assert!(honest < Some(2_048), "{honest:?}");
    let (short, long) = (padded(&w, 1, 20), padded(&w, 2, 50));
    assert!(short.len() < 4_096 && long.len() > 4_096 && long.len() < 5_000);
    w.mark();
    hands_in(&mut w, vec![long.clone(), short.clone()]);
    assert!(
        w.heard("Misbehaved") && w.heard(codes::LOG_EVENT),
        "{:?}",
        w.world.trace.last()
    );
    w.wait(5_000);
    let all = leaves(&w);
    assert!(all.iter().any(|leaf| **leaf == *short) && all.iter().all(|leaf| **leaf != *long));
}

#[test]
fn an_agent_that_was_away_is_shown_the_log_in_pages_of_two_megabytes() {
    let (mut w, _) = answered();
    w.participant(3).leave();
    for page in 0..3 {
        let heavy = (0..500).map(|n| padded(&w, page * 500 + n, 38));
        let heavy: Vec<String> = heavy.collect();
        assert!(heavy.iter().map(String::len).sum::<usize>() > 1_600_000);
        hands_in(&mut w, heavy);
    }
    w.wait(5_000);
    let from = w.world.overheard.as_ref().unwrap().len();
    w.participant(3).blink(0);
    w.wait(10_000);
    assert_eq!(seen(&w, 3), leaves(&w).len() as u64);
    let said = &w.world.overheard.as_ref().unwrap()[from..];
    let weights = said.iter().filter_map(|(to, message)| match message {
        ToAgent::LogGrown(grown) if *to == 3 => Some(grown.entries.iter().map(|leaf| leaf.len()).sum::<usize>()),
        _ => None,
    });
    let weights: Vec<usize> = weights.filter(|weight| *weight > 0).collect();
    assert!(
        weights.len() >= 3 && weights.iter().all(|weight| *weight <= 2 << 20),
        "{weights:?}"
    );
}
