//! Checkpoints that were refused: what they hold is still owed, and what they sign still binds whoever signed it.

use governance::log::TreeHash;

use super::*;

/// The log as `leaves`, with a proof that shows nothing: signed, and refused.
fn garbled(w: &Story, from: u64, leaves: &[Arc<str>]) -> ToAgent {
    let ToAgent::LogGrown(mut grown) = grown(w, from, leaves) else {
        unreachable!()
    };
    grown.consistency.push(TreeHash::leaf(b"nothing"));
    ToAgent::LogGrown(grown)
}

#[test]
fn an_event_shown_only_in_a_refused_checkpoint_is_still_owed() {
    let (mut w, _) = answered();
    w.world.unlogged.insert(0);
    let question = another(&mut w);
    let job = w.submit(question);
    w.run();
    w.expect_released(job);
    w.wait(5_000);
    let (size, mut more) = (seen(&w, 0), leaves(&w));
    assert_eq!(size, more.len() as u64);
    let trouble = |w: &Story| {
        let engine = w.world.participants[0].engine.as_ref().unwrap();
        engine.log_trouble(w.world.now_ms)
    };
    let outbox = w.world.participants[0].engine.as_ref().unwrap().books().log().outbox();
    assert!(!outbox.is_empty());
    more.extend(outbox.values().map(|waiting| Arc::from(waiting.leaf.as_str())));
    let shown = garbled(&w, size, &more);
    w.say(0, shown);
    assert!(
        w.heard("does not extend") && !w.heard("cosigned"),
        "{:?}",
        w.world.trace.last()
    );
    // Then the log as it was, without them.
    w.wait(5_000);
    assert_eq!((trouble(&w), seen(&w, 0)), (None, size));
    w.wait(40_000);
    let trouble = trouble(&w).expect("what it handed in is in no log");
    assert_eq!(trouble.code, codes::LOG_FAULT);
    assert!(trouble.message.contains("own event"), "{}", trouble.message);
}

#[test]
fn what_the_log_signed_binds_it_although_it_was_refused() {
    let (mut w, _) = answered();
    let (size, all) = (seen(&w, 0), leaves(&w));
    let and = |leaf: usize| {
        let mut leaves = all.clone();
        leaves.push(all[leaf].clone());
        leaves
    };
    let first = garbled(&w, size, &and(0));
    w.say(0, first);
    assert!(w.heard("does not extend"), "{:?}", w.world.trace.last());
    // A longer one that does not begin so, before and after a restart.
    w.participant(0).restart();
    w.wait(10_000);
    let mut longer = and(1);
    longer.push(all[0].clone());
    let longer = grown(&w, size, &longer);
    w.say(0, longer);
    assert!(
        w.heard("signed another tree") && !w.heard("cosigned"),
        "{:?}",
        w.world.trace.last()
    );
    // Another of the same size: two signatures that anybody can compare.
    let second = grown(&w, size, &and(1));
    w.say(0, second);
    assert!(w.heard(codes::LOG_FORKED), "{:?}", w.world.trace.last());
    let engine = w.world.participants[0].engine.as_ref().unwrap();
    let fork = engine.witness().fork().expect("the evidence was kept");
    assert_eq!(fork.size, size + 1);
    fork.verify(trust(&w).log()).unwrap();
    let rows = w.world.participants[0].disk.rows().len();
    w.wait(60_000);
    assert_eq!(
        w.world.participants[0].disk.rows().len(),
        rows,
        "it is written down once"
    );
}
