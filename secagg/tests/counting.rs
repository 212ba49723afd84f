//! The counting arguments behind the threshold, enumerated for every n up to 40 and every c that an epoch may have. Each
//! function says what an attack would need; none has it. proofs/votes-and-threshold.md argues them in words.

use secagg::{Digest, Members, VerifyingKey};

fn epochs() -> impl Iterator<Item = (usize, usize, usize)> {
    (3..=40usize).flat_map(|n| {
        (1..=n - 2).map(move |c| {
            let list = (0..n)
                .map(|i| (format!("{i:03}"), VerifyingKey([i as u8; 32])))
                .collect();
            let members = Members::new(Digest([0; 32]), c as u16, list).unwrap();
            (n, c, members.threshold())
        })
    })
}

#[test]
fn the_threshold_lies_between_a_majority_of_the_honest_and_all_members() {
    for (n, c, t) in epochs() {
        assert!(t <= n, "n = {n}, c = {c}");
        assert!(t > c, "colluders alone open nothing: n = {n}, c = {c}");
        assert!(2 * t > n + c, "n = {n}, c = {c}");
    }
}

#[test]
fn nobody_gathers_t_shares_of_both_secrets_of_one_peer() {
    // h honest members give one kind of share, the other honest the other kind, colluders give both.
    for (n, c, t) in epochs() {
        for h in 0..=n - c {
            let (of_b, of_w) = (h + c, n - c - h + c);
            assert!(of_b < t || of_w < t, "n = {n}, c = {c}, h = {h}");
        }
    }
}

#[test]
fn two_survivor_sets_never_both_get_a_certificate() {
    for (n, c, t) in epochs() {
        for h in 0..=n - c {
            assert!(h + c < t || n - h < t, "n = {n}, c = {c}, h = {h}");
        }
    }
}

#[test]
fn a_fast_opening_beside_a_certificate_opens_no_b_of_a_dropped_member() {
    // At least t - c honest votes stand behind a certificate, and those members never answer fast.
    for (n, c, t) in epochs() {
        for honest_votes in t - c..=n - c {
            let fast = n - c - honest_votes;
            assert!(fast + c < t, "n = {n}, c = {c}, votes = {honest_votes}");
        }
    }
}

#[test]
fn two_fast_openings_of_one_slot_are_the_same_opening() {
    // Both need t reveals; an honest member serves one cohort a slot.
    for (n, c, t) in epochs() {
        for h in 0..=n - c {
            assert!(h + c < t || n - c - h + c < t, "n = {n}, c = {c}");
        }
    }
}

#[test]
fn every_sum_holds_at_least_two_honest_contributions_and_usually_many() {
    for (n, c, t) in epochs() {
        for s_min in t..=n {
            assert!(s_min - c >= 2, "n = {n}, c = {c}, s_min = {s_min}");
        }
    }
}

#[test]
fn without_the_vote_a_split_view_could_leave_two_honest_inputs() {
    // Why the threshold alone is not enough: a coordinator that shows each honest member its own survivor set needs t shares of
    // b for those it wants in and t shares of w for all others; with honest members answering per peer, each peer's kind can
    // be chosen alone, so the sum may hold as few honest inputs as make |U| >= s_min look true to each.
    for (n, c, t) in [(64usize, 21usize, 43usize), (10, 3, 7), (100, 33, 67)] {
        // Every honest member must see at least t alive, c of them colluders: n - t peers may look dead to it. A peer is opened
        // as dead by t - c honest members, as alive by the same number.
        let dead_marks = (n - c) * (n - t);
        let opened_dead = dead_marks / (t - c);
        let left = (n - c).saturating_sub(opened_dead);
        assert_eq!(
            left,
            2,
            "n = {n}, c = {c}; with the vote at least {} honest stay",
            t - c
        );
    }
}
