//! What a participant puts its name to, and what it never does.

use governance::log::note::Signature;
use governance::log::witness::{Accepted, ForkError};
use governance::log::{CheckpointError, Fork, NoteError, Offer, ProofError, Refusal, View, Witness};

use crate::world::*;

const NOW_MS: u64 = 1_000_000;

fn sees(witness: &mut Witness, log: &Log) -> Result<Accepted, Refusal> {
    witness.examine(&log.offer(witness.size(), &[]), NOW_MS)
}

/// The view as it comes back from a disk.
fn restarted(witness: &Witness) -> Witness {
    let kept = serde_json::to_string(witness.view()).unwrap();
    let view: View = serde_json::from_str(&kept).unwrap();
    Witness::new(log_key(), MERGE_DELAY_MS, view).unwrap()
}

#[test]
fn a_witness_follows_a_log_that_only_grows() {
    let mut witness = witness();
    for size in [0, 1, 4, 4, 5, 64, 65] {
        let log = Log::of(size);
        let accepted = sees(&mut witness, &log).unwrap();
        assert_eq!(witness.size(), size);
        witness = restarted(&witness);
        let line = witness.cosign(accepted, "agent-1", &key(1), 1_700_000_000).unwrap();
        let mut checkpoint = log.checkpoint();
        checkpoint.attach(line, &witness_key(1)).unwrap();
        let known = [witness_key(1)];
        let cosigned = checkpoint.note().verified(&known).unwrap();
        assert_eq!(cosigned[0].at_s, Some(1_700_000_000));
    }
}

#[test]
fn a_rollback_is_refused_and_changes_nothing() {
    let mut witness = witness();
    let _ = sees(&mut witness, &Log::of(9)).unwrap();
    let before = witness.clone();
    let rolled_back = witness.examine(&Log::of(8).offer(9, &[]), NOW_MS);
    assert_eq!(rolled_back, Err(Refusal::Rollback { seen: 9, offered: 8 }));
    assert_eq!(witness, before);
    assert!(sees(&mut witness, &Log::of(10)).is_ok());
}

#[test]
fn a_rewritten_past_is_refused_at_every_size() {
    let mut witness = witness();
    let _ = sees(&mut witness, &Log::of(9)).unwrap();
    for size in 10..20 {
        let mut rewritten = Log::default();
        rewritten.append(decided(2, 4711), None);
        Log::of(size)
            .entries
            .drain(1..)
            .for_each(|(event, payload)| rewritten.append(event, payload));
        let refused = sees(&mut witness, &rewritten);
        assert!(matches!(refused, Err(Refusal::Inconsistent { seen: 9, offered, .. }) if offered == size));
    }
    assert!(sees(&mut witness, &Log::of(20)).is_ok());
}

#[test]
fn what_was_refused_frees_nothing_and_convicts_whoever_signs_another() {
    let mut witness = witness();
    let mine = decided(1, 4711);
    witness.handed_in(&mine, NOW_MS);
    let mut log = Log::of(5);
    log.append(mine.clone(), None);
    // The true tree with leaves that hold the event, and a proof that shows nothing.
    let _ = sees(&mut witness, &Log::of(3)).unwrap();
    let mut garbled = log.offer(3, &[]);
    garbled.added = vec![mine.hash()];
    garbled.consistency.clear();
    let refused = witness.examine(&garbled, NOW_MS);
    assert!(matches!(refused, Err(Refusal::Inconsistent { .. })), "{refused:?}");
    let owed = witness.own_in_time(NOW_MS + MERGE_DELAY_MS + 1);
    assert!(
        matches!(owed, Err(Refusal::Overdue { leaf, .. }) if leaf == mine.hash()),
        "{owed:?}"
    );
    assert!(witness.refuse(&log.checkpoint()) && !witness.refuse(&log.checkpoint()));
    assert_eq!(witness.refused_root(6), Some(log.checkpoint().checkpoint().root));

    let mut witness = restarted(&witness);
    let mut good = witness.clone();
    let convicted = sees(&mut witness, &Log::of(6));
    assert!(matches!(convicted, Err(Refusal::Fork(fork)) if fork.verify(&log_key()).is_ok()));
    // The same tree again, with its proof, is what it signed.
    let mut shown = log.offer(3, &[]);
    shown.added = vec![mine.hash()];
    assert!(good.examine(&shown, NOW_MS).is_ok());
    assert_eq!(good.refused_root(6), None);
    assert_eq!(good.own_in_time(NOW_MS + MERGE_DELAY_MS + 1), Ok(()));
}

#[test]
fn a_log_that_is_refused_without_end_fills_no_disk() {
    let mut witness = witness();
    let kept = (1..100).filter(|size| witness.refuse(&Log::of(*size).checkpoint()));
    assert_eq!(kept.count(), 8);
    // Far ones make room for near ones, each place at most once for each halving; so nobody fills all places with sizes that never come.
    let mut witness = crate::world::witness();
    let kept = (1..100)
        .rev()
        .filter(|size| witness.refuse(&Log::of(*size).checkpoint()));
    assert!((9..=8 * 7).contains(&kept.count()));
    assert!(witness.refused_root(1).is_some() && witness.refused_root(99).is_none());
}

#[test]
fn a_checkpoint_needs_the_logs_own_signature() {
    let mut witness = witness();
    let offer = Log::of(3).offer(0, &[]);
    let note = String::from_utf8(offer.checkpoint.clone()).unwrap();
    let with = |checkpoint: String| Offer {
        checkpoint: checkpoint.into_bytes(),
        ..offer.clone()
    };
    let resized = witness.examine(&with(note.replace("\n3\n", "\n2\n")), NOW_MS);
    assert!(matches!(
        resized,
        Err(Refusal::Checkpoint(CheckpointError::Note(NoteError::Signature(_))))
    ));
    let renamed = witness.examine(&with(note.replace("heart.example", "other.example")), NOW_MS);
    assert!(matches!(
        renamed,
        Err(Refusal::Checkpoint(CheckpointError::Note(NoteError::Unsigned(_))))
    ));
    assert_eq!(witness.size(), 0);
}

#[test]
fn own_events_must_be_in_the_log_once_they_are_due() {
    let mut witness = witness();
    let mine = decided(1, 4711);
    witness.handed_in(&mine, NOW_MS);
    let mut log = Log::of(5);
    // The coordinator may take its time, but no longer than agreed; neither a restart nor a retry prolongs it.
    let due_ms = NOW_MS + MERGE_DELAY_MS;
    assert!(witness.examine(&log.offer(0, &[]), due_ms).is_ok());
    witness = restarted(&witness);
    witness.handed_in(&mine, due_ms);
    let withheld = Err(Refusal::Overdue {
        leaf: mine.hash(),
        since_ms: NOW_MS,
        due_ms,
        now_ms: due_ms + 1,
    });
    assert_eq!(witness.examine(&log.offer(5, &[]), due_ms + 1), withheld);
    log.append(mine.clone(), None);
    // Being in the log is not enough: it must be shown.
    assert_eq!(witness.examine(&log.offer(5, &[]), due_ms + 1), withheld);
    assert!(witness.examine(&log.offer(5, &[&mine]), due_ms + 1).is_ok());
    // From here on, consistency alone keeps it in.
    assert!(witness.examine(&Log::clone(&log).offer(6, &[]), due_ms + 2).is_ok());
}

#[test]
fn the_merge_delay_counts_the_time_with_a_connection_however_often_it_ends() {
    let mut witness = witness();
    let mine = decided(1, 4711);
    witness.handed_in(&mine, NOW_MS);
    // Six seconds, a minute without a connection, six more: of ten that the coordinator may take.
    witness.hand_in_again([mine.hash()], NOW_MS + 6_000, NOW_MS + 66_000);
    assert_eq!(witness.own_in_time(NOW_MS + 66_000), Ok(()));
    assert_eq!(witness.own_in_time(NOW_MS + 70_000), Ok(()));
    assert!(matches!(
        witness.own_in_time(NOW_MS + 70_001),
        Err(Refusal::Overdue { .. })
    ));
    // What was never handed in before starts now; what the log holds is asked for no more.
    let other = decided(1, 4712);
    witness.hand_in_again([other.hash()], NOW_MS + 70_000, NOW_MS + 80_000);
    assert_eq!(witness.own_in_time(NOW_MS + 80_000 + MERGE_DELAY_MS), Ok(()));
}

#[test]
fn a_false_place_for_an_own_event_is_refused() {
    let mut witness = witness();
    let mine = decided(1, 4711);
    witness.handed_in(&mine, NOW_MS);
    let mut log = Log::of(5);
    log.append(mine.clone(), None);
    let mut offer = log.offer(0, &[&mine]);
    offer.own[0].index = 4;
    let refused = witness.examine(&offer, NOW_MS);
    assert!(
        matches!(refused, Err(Refusal::Own { leaf, error: ProofError::Root { .. } | ProofError::TooShort { .. } | ProofError::TooLong { .. } }) if leaf == mine.hash()),
        "{refused:?}"
    );
    assert_eq!(witness.size(), 0, "a refused checkpoint is not remembered");
}

#[test]
fn a_fork_is_evidence_and_latches_for_good() {
    let mut witness = witness();
    let honest = Log::of(6);
    let accepted = sees(&mut witness, &honest).unwrap();
    let mut forked = Log::of(5);
    forked.append(decided(3, 4711), None);
    let Err(Refusal::Fork(fork)) = sees(&mut witness, &forked) else {
        panic!("two trees of one size were taken")
    };
    // Both are in the file, and anybody with the log's key convicts it.
    assert_eq!(fork.verify(&log_key()), Ok(()));
    assert_eq!(
        (fork.size, &fork.first, &fork.second),
        (6, &honest.checkpoint().to_string(), &forked.checkpoint().to_string())
    );
    // Nothing is signed any more: not what was accepted before, not the honest log, not after a restart.
    let latched = || Refusal::Fork(fork.clone());
    assert_eq!(witness.cosign(accepted, "agent-1", &key(1), 7), Err(latched()));
    assert_eq!(sees(&mut witness, &Log::of(7)), Err(latched()));
    assert_eq!(sees(&mut restarted(&witness), &Log::of(7)), Err(latched()));
    // A neighbour who saw one side only learns of it.
    let mut neighbour = self::witness();
    let _ = sees(&mut neighbour, &honest).unwrap();
    neighbour.told(*fork.clone()).unwrap();
    assert_eq!(sees(&mut neighbour, &Log::of(7)), Err(latched()));
}

#[test]
fn evidence_cannot_be_made_up() {
    let note = |log: &Log| log.checkpoint().to_string();
    let fork = |size, first: &str, second: &str| Fork {
        size,
        first: first.into(),
        second: second.into(),
    };
    let (five, six) = (note(&Log::of(5)), note(&Log::of(6)));
    let mut witness = witness();
    assert_eq!(witness.told(fork(6, &six, &six)), Err(ForkError::Same(6)));
    let sizes = ForkError::Sizes {
        expected: 6,
        first: 5,
        second: 6,
    };
    assert_eq!(witness.told(fork(6, &five, &six)), Err(sizes));
    let text = six.split_once("\n\n").unwrap().0.to_owned() + "\n";
    let text = text.replace(&Log::of(6).tree.root().to_string(), &Log::of(5).tree.root().to_string());
    let by_another = Signature::sign(ORIGIN, &key(9), &text).unwrap();
    let forged = format!("{text}\n{by_another}\n");
    assert!(matches!(
        witness.told(fork(6, &six, &forged)),
        Err(ForkError::Checkpoint(_))
    ));
    assert!(
        sees(&mut witness, &Log::of(6)).is_ok(),
        "a false accusation stops nobody"
    );
}

#[test]
fn an_overtaken_checkpoint_is_not_cosigned() {
    let mut witness = witness();
    let earlier = sees(&mut witness, &Log::of(5)).unwrap();
    let later = sees(&mut witness, &Log::of(6)).unwrap();
    let overtaken = witness.cosign(earlier, "agent-1", &key(1), 7);
    assert_eq!(overtaken, Err(Refusal::Overtaken { newest: 6, found: 5 }));
    assert!(witness.cosign(later, "agent-1", &key(1), 7).is_ok());
}
