//! Replaying a log: was every access to data covered by a permission that stood before it, and was every word a member's?
//!
//! An access is a contribution: a vector that left a participant. It is covered if the same participant, with the same key, said yes
//! to the same request before, an analyst had signed that request, the participant's own ledger had tokens set aside for it, and
//! nothing that the log holds suspended stood in its way. Where the yes refers to a grant, its analyst must have asked for it and a steward of the
//! participant's organisation have said yes to just this line of it before, and it must be neither revoked nor suspended. What a grant is for,
//! and until when, stands in the acts behind the log and not in its leaves: whether a question was within that its participant decided, and
//! said. With the rosters at hand every actor's key is held against the one in force at that place.
//!
//! Each vector takes a token: what was set aside, less what came back, must cover all that left. An honest agent gives back only what it
//! never committed, so the whole log's sums decide, and whether a charge was logged before or after the vectors that it paid for does not matter;
//! beyond the first, since without a charge before it no access is covered.
//!
//! A revocation and a vector may cross on their ways to the log. A contribution names the newest act that its agent had [`SEEN`] in the log
//! when the vector left: one that names an older act than the stop, and was logged soon after it, crossed it and is listed apart. It is the agent's
//! own word, which no other copy of the log can contradict.
//! One pass, a few map look-ups an event, and a walk over what is suspended an access.

use std::collections::{BTreeMap, BTreeSet};

use super::event::{Actor, Decision, Event, Kind, LIFTS, Role, SEEN};
use crate::act::Subject;
use crate::request::MAX_SKEW_MS;
use crate::roster::in_force;
use crate::{ContentHash, Roster, RosterError, SignedRoster, VerifyingKey};

/// The longest after a stop's own time that an honest agent's vector may cross it: as far as its signer's clock may be off, and a minute for the
/// three beats after which an agent that heard nothing stops, its own clock, and the way to the log.
const CROSSING_MS: u64 = MAX_SKEW_MS + 60_000;
/// The same of what an agent stopped itself, by one clock: as long as it gathers a run's vectors, and a little.
const OWN_CROSSING_MS: u64 = 2_000;

/// What a log holds that nothing permits, by its order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scanned {
    pub findings: Vec<Finding>,
    /// Vectors that left before their agents had seen the stop that stands before them.
    pub crossed: Vec<Finding>,
}

/// Something that the log holds and that nothing permits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Of the entry.
    pub index: u64,
    /// Who it is by.
    pub actor: String,
    /// Of an access: what it was for.
    pub request: Option<ContentHash>,
    pub fault: Uncovered,
}

/// What was missing, or who spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Uncovered {
    #[error("no analyst had signed the request")]
    NoRequest,
    #[error("the participant had not said yes to the request")]
    NoDecision,
    #[error("the participant's last word on the request was no")]
    Denied,
    #[error("no budget of the participant was set aside for the request")]
    NoCharge,
    #[error("with it {vectors} vectors had left for the request, and the budget that stayed set aside is for {tokens}")]
    Overdrawn { vectors: u64, tokens: u64 },
    #[error("the analyst had not asked for grant {0} that the yes refers to")]
    NoGrant(ContentHash),
    #[error("grant {0} that the yes refers to had not been offered by this owner's steward")]
    NotOffered(ContentHash),
    #[error("grant {0} that the yes refers to was revoked before")]
    Revoked(ContentHash),
    #[error("act {0} had suspended it before and nobody had lifted that")]
    Suspended(ContentHash),
    #[error("the roster in force there has no such member with this key")]
    Stranger,
    #[error("the roster {0} that it names is not at hand: nobody can tell who belonged from there on")]
    NoRoster(ContentHash),
}

/// The rosters that a consortium had, each signed by governance: who belonged when follows from the log.
#[derive(Clone, Debug, Default)]
pub struct Rosters {
    known: BTreeMap<ContentHash, Roster>,
    governance: Option<VerifyingKey>,
}

impl Rosters {
    /// Whether there is anything to judge membership by.
    pub fn are_there(&self) -> bool {
        self.governance.is_some()
    }

    /// Each of them, in no order of time.
    pub fn all(&self) -> impl Iterator<Item = &Roster> {
        self.known.values()
    }

    pub fn open(signed: &[SignedRoster], governance: &VerifyingKey) -> Result<Self, RosterError> {
        let verified = signed
            .iter()
            .map(|roster| Ok((roster.hash(), roster.verify(governance)?)));
        Ok(Self {
            known: verified.collect::<Result<_, RosterError>>()?,
            governance: Some(*governance),
        })
    }
}

/// Permissions as they stand after the events so far.
#[derive(Default)]
struct Standing<'e> {
    requests: BTreeMap<ContentHash, &'e Event>,
    decisions: BTreeMap<(&'e Actor, ContentHash), &'e Event>,
    /// By the agent's name, since a member that was given a new key goes on with its ledger; of a stranger who uses it by the key as well, and
    /// nothing of either is the other's.
    tokens: BTreeMap<(&'e str, Option<&'e VerifyingKey>, ContentHash), Tokens>,
    /// With the names of those who asked for them.
    grants: BTreeSet<(ContentHash, &'e str)>,
    /// Lines of grants, and whose stewards said yes to them; none: nobody can tell.
    offered: BTreeMap<ContentHash, Vec<Option<String>>>,
    revoked: BTreeMap<ContentHash, Stop<'e>>,
    /// Where the log first names an act, or a roster.
    places: BTreeMap<ContentHash, u64>,
    /// By the act that suspended; none once that was lifted.
    suspended: BTreeMap<ContentHash, Option<Suspended<'e>>>,
}

/// Of one agent for one request.
#[derive(Default)]
struct Tokens {
    /// Whether any were ever set aside.
    charged: bool,
    /// Set aside, less what came back.
    net: i64,
    /// The accesses, each with the vectors that had left with it.
    left: Vec<(u64, u64)>,
}

/// Where somebody stopped something, and the event that says so.
#[derive(Clone, Copy)]
struct Stop<'e> {
    index: u64,
    event: &'e Event,
}

/// What an act suspended, and how far its signer's word reaches.
struct Suspended<'e> {
    what: ContentHash,
    since: Stop<'e>,
    /// None: everywhere, as governance's; or nobody can tell, and then it is taken to be so.
    by: Option<String>,
}

/// All that nothing covers in a whole log, in its order, and what crossed a stop on its way. Of a stretch of one it would miss what came
/// before. Without rosters nobody's membership is asked, and a suspension reaches everywhere.
pub fn scan<'e>(events: impl IntoIterator<Item = &'e Event>, rosters: &Rosters) -> Scanned {
    let mut standing = Standing::default();
    let mut named: Vec<ContentHash> = Vec::new();
    let mut members: Option<&Roster> = None;
    let mut scanned = Scanned::default();
    for (index, event) in (0..).zip(events) {
        let finding = |request, fault| Finding {
            index,
            actor: event.actor.id.clone(),
            request,
            fault,
        };
        if let (Kind::Roster, Some(_)) = (event.kind, &rosters.governance) {
            named.extend(event.references.get("roster"));
            members = match in_force(named.iter().copied(), |hash| rosters.known.get(hash)) {
                Ok(roster) => roster,
                Err(missing) => {
                    // Said once; whoever came after it is judged by no older one.
                    if named.last() == Some(&missing.0) {
                        scanned.findings.push(finding(None, Uncovered::NoRoster(missing.0)));
                    }
                    None
                }
            };
        }
        // A new coordinator's key stands in the roster that it names.
        let of_member = members.zip(rosters.governance.as_ref());
        let stranger = of_member.is_some_and(|(roster, governance)| event.by_member(roster, governance).is_err());
        if stranger {
            scanned.findings.push(finding(None, Uncovered::Stranger));
        }
        match standing.take((index, event), members, stranger) {
            None => {}
            Some((request, uncovered, Some(stop))) if standing.crossed(event, stop) => {
                scanned.crossed.push(finding(Some(request), uncovered));
            }
            Some((request, uncovered, _)) => scanned.findings.push(finding(Some(request), uncovered)),
        }
    }
    standing.overdrawn(&mut scanned.findings);
    scanned
}

/// An access that nothing covers: for what, what was missing, and where it was stopped if that is it.
type Missed<'e> = (ContentHash, Uncovered, Option<Stop<'e>>);

impl<'e> Standing<'e> {
    /// Takes the next event in; of an access that nothing covers it says what was missing.
    fn take(
        &mut self,
        (index, event): (u64, &'e Event),
        members: Option<&Roster>,
        stranger: bool,
    ) -> Option<Missed<'e>> {
        let reference = |name: &str| event.references.get(name).copied();
        let request = reference("request");
        let key = stranger.then_some(&event.actor.key);
        if let Some(named) = reference("act").or_else(|| reference("roster")) {
            self.places.entry(named).or_insert(index);
        }
        match (event.kind, request) {
            (Kind::Request, Some(request)) if event.actor.role == Role::Analyst => {
                self.requests.entry(request).or_insert(event);
            }
            (Kind::Decision, Some(request)) => {
                self.decisions.insert((&event.actor, request), event);
            }
            (Kind::Charge, Some(request)) => {
                let moved = event.budget_delta.as_ref().map_or(0, |delta| delta.tokens);
                let tokens = self.tokens.entry((&event.actor.id, key, request)).or_default();
                tokens.charged |= moved > 0;
                tokens.net = tokens.net.saturating_add(moved);
            }
            (Kind::Grant, _) => match (event.actor.role, reference("line")) {
                (Role::Analyst, None) => self
                    .grants
                    .extend(reference("grant").map(|grant| (grant, event.actor.id.as_str()))),
                // Of before leaves named the line: of the whole grant, as far as its steward speaks.
                (Role::Steward, line) => {
                    let whose = organisation(&event.actor, members).map(str::to_owned);
                    let what = line
                        .or(reference("grant"))
                        .filter(|_| whose.is_some() || members.is_none());
                    what.into_iter()
                        .for_each(|what| self.offered.entry(what).or_default().push(whose.clone()));
                }
                _ => {}
            },
            (Kind::Revocation, _) => {
                if let Some(revoked) = reference("revoked") {
                    self.revoked.entry(revoked).or_insert(Stop { index, event });
                }
            }
            (Kind::Suspension, _) => self.suspension((index, event), members),
            (Kind::Contribution, Some(request)) => {
                let tokens = self.tokens.entry((&event.actor.id, key, request)).or_default();
                let before = tokens.left.last().map_or(0, |(_, vectors)| *vectors);
                let vectors = before.saturating_add(event.vectors.unwrap_or(1).into());
                tokens.left.push((index, vectors));
                let (uncovered, stop) = self.covers((&event.actor, key), request, members).err()?;
                return Some((request, uncovered, stop));
            }
            _ => {}
        }
        None
    }

    /// Whether a vector left before its agent had seen what stopped it, by the agent's own word, and not long after.
    fn crossed(&self, event: &Event, stop: Stop<'_>) -> bool {
        let seen = event.references.get(SEEN).and_then(|seen| self.places.get(seen));
        let own = stop.event.actor == event.actor;
        let until_ms = stop
            .event
            .at_ms
            .saturating_add(if own { OWN_CROSSING_MS } else { CROSSING_MS });
        seen.is_some_and(|seen| *seen < stop.index) && event.at_ms <= until_ms
    }

    /// The accesses that took more than was set aside and never came back. One that lacks something else is not named twice.
    fn overdrawn(&self, findings: &mut Vec<Finding>) {
        let accesses: BTreeSet<u64> = findings.iter().map(|found| found.index).collect();
        for ((agent, _, request), tokens) in &self.tokens {
            let covered = u64::try_from(tokens.net).unwrap_or(0);
            let beyond = tokens.left.iter().filter(|(_, vectors)| *vectors > covered);
            let beyond = beyond.filter(|(index, _)| !accesses.contains(index));
            findings.extend(beyond.map(|(index, vectors)| Finding {
                index: *index,
                actor: (*agent).to_owned(),
                request: Some(*request),
                fault: Uncovered::Overdrawn {
                    vectors: *vectors,
                    tokens: covered,
                },
            }));
        }
        findings.sort_by_key(|found| found.index);
    }

    fn suspension(&mut self, (index, event): (u64, &'e Event), members: Option<&Roster>) {
        let reference = |name: &str| event.references.get(name).copied();
        let by = organisation(&event.actor, members).map(str::to_owned);
        if let (Some(act), Some(what)) = (reference("act"), reference("suspended")) {
            let since = Stop { index, event };
            // What an act said first it said: nobody makes it mean another subject, or a later moment, by saying it again.
            self.suspended.entry(act).or_insert(Some(Suspended { what, since, by }));
        } else {
            // Whoever suspended lifts it: nobody lifts another organisation's.
            let lifted = event.references.iter().filter(|(name, _)| name.starts_with(LIFTS));
            for (_, act) in lifted {
                if let Some(held) = self.suspended.get_mut(act)
                    && held.as_ref().is_some_and(|held| held.by == by)
                {
                    *held = None;
                }
            }
        }
    }

    fn covers(
        &self,
        (agent, key): (&'e Actor, Option<&'e VerifyingKey>),
        request: ContentHash,
        members: Option<&Roster>,
    ) -> Result<(), (Uncovered, Option<Stop<'e>>)> {
        let missing = |uncovered| (uncovered, None);
        let asked = self.requests.get(&request);
        let asked = asked.ok_or(missing(Uncovered::NoRequest))?;
        let decision = self.decisions.get(&(agent, request));
        let decision = decision.ok_or(missing(Uncovered::NoDecision))?;
        if decision.decision != Some(Decision::Allow) {
            return Err(missing(Uncovered::Denied));
        }
        let tokens = self.tokens.get(&(agent.id.as_str(), key, request));
        if tokens.is_none_or(|tokens| !tokens.charged) {
            return Err(missing(Uncovered::NoCharge));
        }
        let line = decision.references.get("line");
        let grant = decision.references.get("grant");
        if let Some(grant) = grant
            && !self.grants.contains(&(*grant, asked.actor.id.as_str()))
        {
            return Err(missing(Uncovered::NoGrant(*grant)));
        }
        if let Some(grant) = grant {
            let own = organisation(agent, members);
            let offers = line
                .into_iter()
                .chain([grant])
                .filter_map(|what| self.offered.get(what));
            let mut offers = offers.flatten();
            if !offers.any(|whose| whose.is_none() || whose.as_deref() == own) {
                return Err(missing(Uncovered::NotOffered(*grant)));
            }
        }
        let ended = grant.into_iter().flat_map(|grant| {
            let ends = [Some(grant), line].into_iter().flatten();
            let ends = ends.filter_map(|what| self.revoked.get(what));
            ends.map(|stop| (Uncovered::Revoked(*grant), *stop))
        });
        let (owner, asks) = (organisation(agent, members), organisation(&asked.actor, members));
        let named = |name: Option<&str>| name.map(|name| Subject::Organisation(name.to_owned()).hash());
        let (own, asking) = (named(owner), named(asks));
        let dataset = asked.references.get("dataset").copied();
        let stops = |held: &Suspended| {
            let what = Some(held.what);
            let reaches = held.by.is_none() || owner.is_none() || held.by.as_deref() == owner;
            what == grant.copied()
                || what == line.copied()
                || (what == asking && (reaches || held.by.as_deref() == asks))
                || (reaches && (what == own || what == dataset))
        };
        let held = (self.suspended.iter()).filter_map(|(act, held)| Some((act, held.as_ref()?)));
        let held = held.filter(|(_, held)| stops(held));
        let held = held.map(|(act, held)| (Uncovered::Suspended(*act), held.since));
        // The first of all stops: what crossed a later one had the earlier one before it.
        match ended.chain(held).min_by_key(|(_, stop)| stop.index) {
            Some((uncovered, stop)) => Err((uncovered, Some(stop))),
            None => Ok(()),
        }
    }
}

/// For whom somebody speaks; none: for all, or nobody can tell.
fn organisation<'r>(actor: &Actor, members: Option<&'r Roster>) -> Option<&'r str> {
    let roster = members?;
    let organisation = match actor.role {
        Role::Agent => &roster.agent(&actor.id)?.organisation,
        Role::Analyst => &roster.analyst(&actor.id)?.organisation,
        Role::Steward => &roster.steward(&actor.id)?.organisation,
        Role::Coordinator | Role::Governance => return None,
    };
    Some(organisation)
}
