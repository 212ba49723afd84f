//! Grants and other acts as analysts, stewards, agents and governance meet them: who may say what, where it leads, and that no
//! schedule of acts leads anywhere else.

mod acts;
mod contracts;
mod matrix;
mod schedules;
mod table;
mod world;

use governance::act::SignedAct;
use governance::canonical::Real;
use governance::grant::{Action, GrantError, Happened, Status, Terms, Unlogged, Witnessed};
use governance::register::{AtDoor, Wanted};
use governance::{ActError, ContentHash, Register, RegisterError, What};
use world::*;

/// The coordinator's door and books.
#[derive(Default)]
struct Consortium {
    register: Register,
}

impl Consortium {
    fn take(&mut self, signed: &SignedAct) -> Result<ContentHash, RegisterError> {
        self.take_at(signed, NOW)
    }

    fn take_at(&mut self, signed: &SignedAct, now_ms: u64) -> Result<ContentHash, RegisterError> {
        let hash = signed.hash();
        if let AtDoor::New(act) = self.register.at_door(signed, &roster(), &governance_key(), now_ms)? {
            self.register.apply(hash, &act)?;
        }
        Ok(hash)
    }

    fn requested(&mut self, requester: &str) -> ContentHash {
        let steward_agrees = requester == "ana";
        let terms = terms(requester);
        self.take(&says(requester, What::GrantRequested { terms, steward_agrees }))
            .unwrap()
    }

    /// Requested by ian, whose institute has no steward, and offered by north as requested.
    fn active(&mut self) -> ContentHash {
        let grant = self.requested("ian");
        self.take(&says("nora", offer(grant, "north", terms("ian")))).unwrap();
        assert_eq!(self.status(&grant, "north"), Status::Active);
        grant
    }

    fn status_at(&self, grant: &ContentHash, owner: &str, now_ms: u64) -> Status {
        self.register.any_grant(grant).unwrap().lines[owner].status(now_ms, &Unlogged)
    }

    fn status(&self, grant: &ContentHash, owner: &str) -> Status {
        self.status_at(grant, owner, NOW)
    }

    fn rule(&self, wanted: &Wanted<'_>) -> &'static str {
        match self.register.covering(wanted, &Unlogged) {
            Ok(_) => "covered",
            Err(uncovered) => {
                assert!(!uncovered.reason.is_empty() && !uncovered.remedy.is_empty());
                uncovered.rule
            }
        }
    }
}

fn wanted(requester: &'static str) -> Wanted<'static> {
    Wanted {
        requester,
        organisation: if requester == "ana" { "university" } else { "institute" },
        owner: "north",
        dataset: "heart",
        columns: &[],
        aggregates: &[],
        purpose: "DUO:0000006",
        action: Some(Action::Query),
        now_ms: NOW,
    }
}

#[test]
fn a_grant_goes_from_a_request_over_both_sides_to_use_and_ends_by_the_clock() {
    let mut c = Consortium::default();
    let grant = c.requested("ana");
    assert_eq!(
        (c.status(&grant, "north"), c.rule(&wanted("ana"))),
        (Status::Requested, "grant.requested")
    );
    let narrower = Terms {
        epsilon: Real::new(1.0).unwrap(),
        purposes: ["DUO:0000006".to_owned()].into(),
        ..terms("ana")
    };
    c.take(&says("nora", offer(grant, "north", narrower))).unwrap();
    assert_eq!(
        (c.status(&grant, "north"), c.status(&grant, "east")),
        (Status::Offered, Status::Requested)
    );
    // The version that was offered, not the one that was asked for; and by the university's steward.
    let stale = c.take(&says("una", agree(grant, "north", 1)));
    assert!(matches!(
        stale,
        Err(RegisterError::Grant(GrantError::OtherVersion { expected: 2, found: 1 }))
    ));
    c.take(&says("una", agree(grant, "north", 2))).unwrap();
    assert_eq!(
        (c.status(&grant, "north"), c.rule(&wanted("ana"))),
        (Status::Active, "covered")
    );
    let line = &c.register.any_grant(&grant).unwrap().lines["north"];
    assert_eq!(line.approvals().unwrap(), &["nora".to_owned(), "una".to_owned()]);
    assert_eq!(line.versions().len(), 2);
    assert_eq!(c.status_at(&grant, "north", NOW + 30 * DAY), Status::Expired);
}

#[test]
fn an_agreement_that_nobody_witnessed_and_a_window_that_has_not_begun_admit_nobody() {
    #[derive(Debug)]
    struct Nothing;
    impl Witnessed for Nothing {
        fn is_witnessed(&self, _act: &ContentHash) -> bool {
            false
        }
    }
    let mut c = Consortium::default();
    let grant = c.active();
    let line = &c.register.any_grant(&grant).unwrap().lines["north"];
    assert_eq!(line.status(NOW, &Nothing), Status::Agreed);
    assert_eq!(
        c.register.covering(&wanted("ian"), &Nothing).unwrap_err().rule,
        "grant.unwitnessed"
    );
    let early = Wanted {
        now_ms: NOW - 1,
        ..wanted("ian")
    };
    assert_eq!(c.rule(&early), "grant.agreed");
}

#[test]
fn nobody_approves_for_others_or_for_themselves() {
    let mut c = Consortium::default();
    let grant = c.requested("ana");
    for (who, what) in [
        ("ed", offer(grant, "north", terms("ana"))),
        ("una", offer(grant, "north", terms("ana"))),
        ("agent-north", offer(grant, "north", terms("ana"))),
        ("ana", offer(grant, "north", terms("ana"))),
    ] {
        assert!(
            matches!(c.take(&says(who, what)), Err(RegisterError::MayNot { .. })),
            "{who}"
        );
    }
    c.take(&says("nora", offer(grant, "north", terms("ana")))).unwrap();
    // The university has a steward, so the analyst's word is not its own side's.
    assert_eq!(c.status(&grant, "north"), Status::Offered);
    for who in ["ana", "nora", "agent-north"] {
        let refused = c.take(&says(who, agree(grant, "north", 2)));
        assert!(matches!(refused, Err(RegisterError::MayNot { .. })), "{who}");
    }
    let on_word = What::GrantRequested {
        terms: terms("ana"),
        steward_agrees: false,
    };
    assert_eq!(
        c.take(&says("ana", on_word)),
        Err(RegisterError::StewardAgrees("university".into()))
    );
    let of_another = What::GrantRequested {
        terms: terms("ana"),
        steward_agrees: true,
    };
    assert!(matches!(
        c.take(&says("ian", of_another)),
        Err(RegisterError::MayNot { .. })
    ));
}

#[test]
fn a_foreign_grant_and_one_that_never_was_are_the_same_to_a_stranger() {
    let mut c = Consortium::default();
    let grant = c.requested("ana");
    let never = ContentHash([7; 32]);
    for who in ["ian", "agent-south", "heart"] {
        for id in [grant, never] {
            assert_eq!(
                c.take(&says(who, revoke(id, None))),
                Err(RegisterError::UnknownGrant(id)),
                "{who}"
            );
            assert!(c.register.grant(&id, &by(who)).is_none());
        }
        assert_eq!(c.register.grants(&by(who)).count(), 0);
    }
    // An owner sees its own line and not its neighbour's.
    let lines = |who: &str| -> Vec<String> {
        let view = c.register.grant(&grant, &by(who)).unwrap();
        view.lines.iter().map(|(owner, _)| (*owner).to_owned()).collect()
    };
    assert_eq!(
        (lines("nora"), lines("agent-east")),
        (vec!["north".into()], vec!["east".into()])
    );
    assert_eq!((lines("ana").len(), lines("una").len()), (2, 2));
}

#[test]
fn an_offer_may_give_less_and_never_more() {
    let mut c = Consortium::default();
    let grant = c.requested("ana");
    let asked = terms("ana");
    let wider: [(&str, Terms); 7] = [
        (
            "columns",
            Terms {
                columns: names(&["age", "bmi"]),
                ..asked.clone()
            },
        ),
        (
            "purposes",
            Terms {
                purposes: ["research".to_owned()].into(),
                ..asked.clone()
            },
        ),
        (
            "actions",
            Terms {
                actions: Action::ALL.into(),
                ..asked.clone()
            },
        ),
        (
            "epsilon",
            Terms {
                epsilon: Real::new(2.1).unwrap(),
                ..asked.clone()
            },
        ),
        (
            "window",
            Terms {
                until_ms: asked.until_ms + 1,
                ..asked.clone()
            },
        ),
        (
            "requester",
            Terms {
                requester: "ian".to_owned(),
                ..asked.clone()
            },
        ),
        (
            "owners",
            Terms {
                owners: ["north".to_owned()].into(),
                ..asked.clone()
            },
        ),
    ];
    for (term, terms) in wider {
        let refused = c.take(&says("nora", offer(grant, "north", terms)));
        assert_eq!(
            refused,
            Err(RegisterError::Grant(GrantError::Wider { version: 1, term }))
        );
    }
    let less = Terms {
        columns: names(&["age"]),
        ..asked.clone()
    };
    c.take(&says("nora", offer(grant, "north", less))).unwrap();
    let refused = c.take(&says("nora", offer(grant, "north", asked)));
    assert!(matches!(
        refused,
        Err(RegisterError::Grant(GrantError::Wider { version: 2, .. }))
    ));
}

#[test]
fn terms_that_mean_nothing_are_refused_with_the_reason() {
    let mut c = Consortium::default();
    let asked = terms("ana");
    for (bad, said) in [
        (
            Terms {
                purposes: ["marketing".to_owned()].into(),
                ..asked.clone()
            },
            "unknown purpose `marketing`",
        ),
        (
            Terms {
                columns: names(&[]),
                ..asked.clone()
            },
            "0 columns",
        ),
        (
            Terms {
                actions: [].into(),
                ..asked.clone()
            },
            "no action",
        ),
        (
            Terms {
                epsilon: Real::new(0.0).unwrap(),
                ..asked.clone()
            },
            "above zero",
        ),
        (
            Terms {
                until_ms: asked.from_ms,
                ..asked.clone()
            },
            "ends before it begins",
        ),
        (
            Terms {
                dataset: "he\nart".to_owned(),
                ..asked.clone()
            },
            "no name",
        ),
        (
            Terms {
                owners: ["west".to_owned()].into(),
                ..asked.clone()
            },
            "`west` holds no data",
        ),
        (
            Terms {
                owners: ["south".to_owned()].into(),
                ..asked.clone()
            },
            "`south` has no steward",
        ),
    ] {
        let what = What::GrantRequested {
            terms: bad,
            steward_agrees: true,
        };
        let error = c.take(&says("ana", what)).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn either_side_holds_a_grant_up_and_only_that_side_lets_it_go_on() {
    let mut c = Consortium::default();
    let grant = c.active();
    let by_north = c.take(&says("agent-north", suspend(grant, Some("north")))).unwrap();
    let by_ian = c.take(&says("ian", suspend(grant, None))).unwrap();
    let held = |c: &Consortium, who: &str, owner| c.register.any_grant(&grant).unwrap().held(&by(who), owner);
    assert_eq!(held(&c, "nora", Some("north")), [by_north].into());
    assert_eq!(held(&c, "ian", None), [by_ian].into());
    assert_eq!(
        (c.status(&grant, "north"), c.rule(&wanted("ian"))),
        (Status::Suspended, "grant.suspended")
    );
    assert!(matches!(
        c.take(&says("agent-north", resume(grant, Some("north"), &[by_north]))),
        Err(RegisterError::MayNot { .. })
    ));
    c.take(&says("ian", resume(grant, None, &[by_ian]))).unwrap();
    assert_eq!(c.status(&grant, "north"), Status::Suspended);
    let again = c.take(&says_at("ian", NOW + 1, resume(grant, Some("north"), &[by_ian])));
    assert!(matches!(again, Err(RegisterError::Grant(GrantError::HeldBy(_)))));
    c.take(&says("nora", resume(grant, Some("north"), &[by_north])))
        .unwrap();
    assert_eq!(c.status(&grant, "north"), Status::Active);
}

/// An agreement comes to a line that somebody holds up already: it can be offered and agreed, and admits nothing until it is resumed.
#[test]
fn what_is_held_up_before_it_is_agreed_says_so_and_a_resumption_is_called_one() {
    let mut c = Consortium::default();
    let grant = c.requested("ana");
    let held = |c: &Consortium| {
        let line = &c.register.any_grant(&grant).unwrap().lines["north"];
        line.held_by().collect::<Vec<_>>()
    };
    let happened = |c: &Consortium| {
        let line = &c.register.any_grant(&grant).unwrap().lines["north"];
        line.history.iter().map(|entry| entry.what).collect::<Vec<_>>()
    };
    let by_nora = c.take(&says("nora", suspend(grant, Some("north")))).unwrap();
    assert_eq!(
        (c.status(&grant, "north"), held(&c)),
        (Status::Requested, vec!["the owner's side"])
    );
    c.take(&says("nora", offer(grant, "north", terms("ana")))).unwrap();
    c.take(&says("una", agree(grant, "north", 2))).unwrap();
    assert_eq!(c.status(&grant, "north"), Status::Suspended);
    c.take(&says("nora", resume(grant, Some("north"), &[by_nora]))).unwrap();
    assert_eq!((c.status(&grant, "north"), held(&c)), (Status::Active, vec![]));
    use Happened as H;
    assert_eq!(
        happened(&c),
        [H::Requested, H::Suspended, H::Offered, H::Agreed, H::Resumed]
    );
}

/// Whom an organisation stopped does not let itself go on; the organisation lifts what its analyst held up.
#[test]
fn an_analyst_does_not_lift_what_its_organisation_stopped() {
    let mut c = Consortium::default();
    let grant = c.requested("ana");
    c.take(&says("nora", offer(grant, "north", terms("ana")))).unwrap();
    c.take(&says("una", agree(grant, "north", 2))).unwrap();
    assert_eq!(c.status(&grant, "north"), Status::Active);
    let by_una = c.take(&says("una", suspend(grant, None))).unwrap();
    let lifted = c.take(&says_at("ana", NOW + 1, resume(grant, None, &[by_una])));
    assert!(
        matches!(lifted, Err(RegisterError::Grant(GrantError::HeldBy(_)))),
        "{lifted:?}"
    );
    assert_eq!(c.status(&grant, "north"), Status::Suspended);
    let by_ana = c.take(&says_at("ana", NOW + 2, suspend(grant, None))).unwrap();
    c.take(&says_at("una", NOW + 3, resume(grant, None, &[by_una, by_ana])))
        .unwrap();
    assert_eq!(c.status(&grant, "north"), Status::Active);
}

/// A coordinator keeps a resumption back and brings it after a suspension that its signer had not seen, or did not mean.
#[test]
fn a_resumption_never_lifts_a_suspension_that_it_does_not_name() {
    let mut c = Consortium::default();
    let grant = c.active();
    let suspends = |who: &str, at_ms| says_at(who, at_ms, suspend(grant, Some("north")));
    let first = c.take(&suspends("nora", NOW)).unwrap();
    let lifted = says_at("nora", NOW + 1, resume(grant, Some("north"), &[first]));
    let second = c.take_at(&suspends("agent-north", NOW + 2), NOW + 2).unwrap();
    c.take_at(&lifted, NOW + 3).unwrap();
    assert_eq!(c.status(&grant, "north"), Status::Suspended, "the second one stands");
    // The same words again, signed anew: what they name does not hold any more.
    let refused = c.take_at(
        &says_at("nora", NOW + 4, resume(grant, Some("north"), &[first])),
        NOW + 4,
    );
    assert_eq!(refused, Err(RegisterError::Grant(GrantError::LiftsNothing)));
    c.take_at(
        &says_at("nora", NOW + 5, resume(grant, Some("north"), &[second])),
        NOW + 5,
    )
    .unwrap();
    assert_eq!(c.status(&grant, "north"), Status::Active);

    // At the door a resumption names what it lifts; one that was taken before they did lifts what its signer knew, and nothing later.
    let third = suspends("nora", NOW + 10);
    c.take_at(&third, NOW + 10).unwrap();
    let unnamed = |at_ms| says_at("nora", at_ms, resume(grant, Some("north"), &[]));
    assert_eq!(
        c.take_at(&unnamed(NOW + 11), NOW + 11),
        Err(RegisterError::LiftsUnnamed)
    );
    for (at_ms, status) in [(NOW + 9, Status::Suspended), (NOW + 10, Status::Active)] {
        let mut register = c.register.clone();
        let old = unnamed(at_ms);
        let _ = register.apply(old.hash(), &old.read().unwrap());
        let line = &register.any_grant(&grant).unwrap().lines["north"];
        assert_eq!(line.status(NOW, &Unlogged), status, "at {at_ms}");
    }
}

#[test]
fn either_side_ends_a_grant_for_good_and_saying_it_again_is_heard() {
    for (who, owner) in [("ian", None), ("nora", Some("north")), ("agent-north", Some("north"))] {
        let mut c = Consortium::default();
        let grant = c.active();
        c.take(&says(who, revoke(grant, owner))).unwrap();
        assert_eq!(
            (c.status(&grant, "north"), c.rule(&wanted("ian"))),
            (Status::Revoked, "grant.revoked"),
            "{who}"
        );
        c.take(&says_at("agent-north", NOW + 1, revoke(grant, Some("north"))))
            .unwrap();
        c.take(&says_at("agent-north", NOW + 2, suspend(grant, Some("north"))))
            .unwrap();
        for what in [
            resume(grant, Some("north"), &[grant]),
            offer(grant, "north", terms("ian")),
        ] {
            let refused = c.take(&says_at("nora", NOW + 3, what));
            assert!(matches!(refused, Err(RegisterError::Grant(GrantError::NotFrom { .. }))));
        }
        assert_eq!(c.status(&grant, "north"), Status::Revoked);
    }
    // One owner cannot end another's part.
    let mut c = Consortium::default();
    let grant = c.active();
    for (who, owner) in [("ed", Some("north")), ("agent-east", None), ("ed", None)] {
        assert!(
            matches!(
                c.take(&says(who, revoke(grant, owner))),
                Err(RegisterError::MayNot { .. })
            ),
            "{who}"
        );
    }
}

/// The fuzzed coordinator found that such a revocation was taken for one of a grant that had run out already, and changed nothing.
#[test]
fn a_revocation_by_a_clock_that_runs_ahead_of_the_window_holds_at_once() {
    let mut c = Consortium::default();
    let grant = c.active();
    let until = NOW + 30 * DAY;
    let ahead = says_at("nora", until + 60_000, revoke(grant, Some("north")));
    c.take_at(&ahead, until - 60_000).unwrap();
    assert_eq!(c.status_at(&grant, "north", until - 60_000), Status::Revoked);
}

#[test]
fn an_old_act_comes_too_late_unless_an_agent_was_cut_off() {
    let mut c = Consortium::default();
    let grant = c.active();
    let late = NOW + DAY; // far beyond what clocks may differ by
    let refused = c.take_at(&says("nora", revoke(grant, Some("north"))), late);
    assert!(matches!(refused, Err(RegisterError::Act(ActError::Clock { .. }))));
    c.take_at(&says("agent-north", revoke(grant, Some("north"))), late)
        .unwrap();
    assert_eq!(c.status(&grant, "north"), Status::Revoked);
}
