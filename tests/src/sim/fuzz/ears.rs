//! What one agent was told and what it wrote down, as the oracle understands it: read from the agent's disk alone, by rules that are written
//! here a second time and share no code with the register, the decision step or the ledger.
//!
//! Where the register is stricter than these rules nothing is said; where it is laxer, the oracle breaks a sentence.
#![expect(
    clippy::collapsible_match,
    reason = "an arm is a kind of word, and what else it takes stands in the arm"
)]

use std::collections::{BTreeMap, BTreeSet};

use engine::message::Cursor;
use engine::record::ParticipantRecord;
use governance::act::{By, Layer, Subject};
use governance::grant::{Action, Extent, Terms};
use governance::log::event::Role;
use governance::{Act, ContentHash, Request, Roster, SignedAct, SignedRoster, Stage, VerifyingKey, What};
use privacy::{Charge, LedgerEvent};

use super::people::Owner;

/// Which keys really signed what.
#[derive(Default)]
pub struct Ink {
    pub governance: Option<VerifyingKey>,
    pub acts: BTreeMap<ContentHash, BTreeSet<VerifyingKey>>,
    pub requests: BTreeMap<ContentHash, (Request, VerifyingKey)>,
    pub rosters: BTreeSet<ContentHash>,
}

/// One agent's knowledge.
pub struct Ears {
    pub owner: Owner,
    pub agent: String,
    pub roster: Roster,
    pub roster_hash: ContentHash,
    /// Those of before: what was decided then stands. Who may decide when is told in other stories.
    former: Vec<Roster>,
    heard: Vec<(Act, ContentHash, bool)>,
    /// By its own operator, and not brought back by the stream yet.
    made: Vec<(Act, ContentHash)>,
    pub place: Cursor,
    /// All leaves that it accepted, in one text.
    leaves: String,
    paused: bool,
    /// Line, price and tokens of each.
    reservations: BTreeMap<String, (String, Charge, u32)>,
    pub committed: BTreeMap<ContentHash, u32>,
    /// Indices of a request that were taken.
    pub tokens: BTreeMap<ContentHash, BTreeSet<u32>>,
}

/// A grant as this owner sees it.
struct Seen {
    terms: Terms,
    steward_agrees: bool,
    offers: Vec<Terms>,
    agreement: Option<ContentHash>,
    /// By whose side, and by which acts of when.
    holds: BTreeMap<Side, Holding>,
    ended: bool,
}

type Holding = BTreeMap<ContentHash, u64>;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Owner,
    Requester,
    /// The requester alone, whose suspension its organisation lifts as well.
    Analyst,
}

/// What the acts lead to.
#[derive(Default)]
struct Held {
    grants: BTreeMap<ContentHash, Seen>,
    suspended: BTreeMap<(Option<String>, Subject), Holding>,
    policies: BTreeMap<Layer, (u64, String)>,
    vocabulary: u64,
    wide: bool,
    retired: BTreeSet<ContentHash>,
}

impl Ears {
    pub fn new(owner: Owner, agent: String, roster: Roster, signed: &SignedRoster) -> Self {
        Self {
            owner,
            agent,
            roster,
            roster_hash: signed.hash(),
            former: Vec::new(),
            heard: Vec::new(),
            made: Vec::new(),
            place: Cursor::default(),
            leaves: String::new(),
            paused: false,
            reservations: BTreeMap::new(),
            committed: BTreeMap::new(),
            tokens: BTreeMap::new(),
        }
    }

    /// Something is on this agent's disk; the sentence that it breaks.
    pub fn wrote(&mut self, record: &ParticipantRecord, ink: &Ink) -> Result<(), String> {
        match record {
            ParticipantRecord::RosterAdopted { roster } => {
                let read: Roster = serde_json::from_str(&roster.body).map_err(|error| error.to_string())?;
                if !ink.rosters.contains(&roster.hash()) || read.version <= self.roster.version {
                    return Err(format!(
                        "only governance makes rosters, and versions rise: {}",
                        read.version
                    ));
                }
                self.roster_hash = roster.hash();
                self.former.push(std::mem::replace(&mut self.roster, read));
            }
            ParticipantRecord::RosterKept { roster } => {
                if !ink.rosters.contains(&roster.hash()) {
                    return Err("only governance makes rosters".to_owned());
                }
                self.former
                    .push(serde_json::from_str(&roster.body).map_err(|error| error.to_string())?);
            }
            ParticipantRecord::Ledger { entry, .. } => return self.spent(&entry.event),
            ParticipantRecord::TokensTaken {
                request,
                first,
                count,
                instead,
            } => {
                let tokens = self.tokens.entry(*request).or_default();
                for index in *first..*first + *count {
                    if !tokens.insert(index) && !instead {
                        return Err(format!("a token is taken once: {index} of {request}"));
                    }
                }
            }
            ParticipantRecord::ActHeard { signed, .. } => {
                let hash = signed.hash();
                let act = read(signed)?;
                self.place = self.place.after(&hash);
                let genuine = self.genuine(&act.by, ink.acts.get(&hash), ink.governance);
                self.made.retain(|(_, made)| *made != hash);
                self.heard.push((act, hash, genuine));
            }
            ParticipantRecord::ActMade { signed } => self.made.push((read(signed)?, signed.hash())),
            ParticipantRecord::Witnessed { leaves, .. } => leaves.iter().for_each(|leaf| self.leaves.push_str(leaf)),
            ParticipantRecord::Paused { paused, .. } => self.paused = *paused,
            _ => {}
        }
        Ok(())
    }

    /// Whether who speaks is enrolled and one of these keys is theirs.
    fn genuine(&self, by: &By, keys: Option<&BTreeSet<VerifyingKey>>, governance: Option<VerifyingKey>) -> bool {
        let Some(keys) = keys else { return false };
        let own = |of: &str, key: &VerifyingKey| of == by.organisation && keys.contains(key);
        // Of its own stewards, those whom the owner lists.
        let listed = |key: &VerifyingKey| by.organisation != self.owner.organisation || *key == self.owner.steward;
        let mut rosters = self.former.iter().chain([&self.roster]);
        match by.role {
            Role::Analyst => {
                rosters.any(|roster| (roster.analysts.iter()).any(|a| a.id == by.id && own(&a.organisation, &a.key)))
            }
            Role::Steward => rosters.any(|roster| {
                let mut stewards = roster.stewards.iter();
                stewards.any(|s| s.id == by.id && own(&s.organisation, &s.key) && listed(&s.key))
            }),
            Role::Agent => rosters
                .any(|roster| (roster.agents.iter()).any(|a| a.id == by.id && own(&a.organisation, &a.signing_key))),
            Role::Governance => {
                let name = &self.roster.consortium;
                by.id == *name && by.organisation == *name && governance.is_some_and(|key| keys.contains(&key))
            }
            Role::Coordinator => false,
        }
    }

    /// Charges count from when they are set aside; what was never exposed may come back.
    fn spent(&mut self, event: &LedgerEvent) -> Result<(), String> {
        match event {
            LedgerEvent::Reserved {
                id,
                analyst,
                charge,
                tokens,
            } => {
                let aside = (analyst.clone(), charge.clone(), *tokens);
                if self.reservations.insert(id.as_str().to_owned(), aside).is_some() {
                    return Err(format!("a reservation is made once: {}", id.as_str()));
                }
                // Against the owner's own words, and the grant's, not against what the ledger believes.
                self.within(None, self.owner.cap)?;
                let own = self
                    .cap_of(analyst)
                    .ok_or_else(|| format!("no budget, no charge: `{analyst}` has none"))?;
                self.within(Some(analyst), own)?;
            }
            LedgerEvent::ReservedWithoutNoise {
                id, analyst, tokens, ..
            } => {
                if !self.owner.without_noise {
                    return Err("nothing is without noise where the owner did not say so".to_owned());
                }
                // Beside every cap, as the owner said.
                self.reservations
                    .insert(id.as_str().to_owned(), (analyst.clone(), Charge::zero(), *tokens));
            }
            LedgerEvent::Committed { id, tokens } => {
                if !self.reservations.contains_key(id.as_str()) {
                    return Err(format!("what is committed was set aside: {}", id.as_str()));
                }
                let request = id.as_str().get(..64).unwrap_or_default();
                let request = serde_json::from_value(request.into()).map_err(|_| "a reservation names its request")?;
                *self.committed.entry(request).or_default() += tokens;
            }
            LedgerEvent::Voided { id, tokens } => {
                let aside = self.reservations.get_mut(id.as_str()).map(|(_, _, aside)| aside);
                let left = aside.and_then(|aside| aside.checked_sub(*tokens).map(|left| *aside = left));
                left.ok_or_else(|| format!("no more comes back than was set aside: {}", id.as_str()))?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether all that one line, or everybody, has set aside stays below the cap.
    fn within(&self, line: Option<&str>, cap: f64) -> Result<(), String> {
        let of_line = self
            .reservations
            .values()
            .filter(|(of, ..)| line.is_none_or(|line| line == of));
        let charges = of_line.map(|(_, charge, tokens)| charge.times(u64::from(*tokens)));
        let spent = charges.fold(Charge::zero(), |sum, charge| sum.plus(&charge));
        let epsilon = privacy::cost::epsilon(&spent, super::people::DELTA);
        if epsilon > cap * 1.000_001 {
            let line = line.unwrap_or("everybody");
            return Err(format!(
                "charges stay within every cap: {line} of {} has spent {epsilon} of {cap}",
                self.agent
            ));
        }
        Ok(())
    }

    /// What a line of the ledger may spend: a grant's by its newest terms, an analyst's by the owner's own.
    pub fn cap_of(&self, line: &str) -> Option<f64> {
        let Some(grant) = line.strip_prefix("grant/") else {
            return self
                .owner
                .analysts
                .get(line)
                .or_else(|| self.owner.analysts.get("*"))
                .copied();
        };
        let held = self.held();
        let seen = held.grants.iter().find(|(id, _)| id.to_string() == grant);
        seen.map(|(_, seen)| seen.last().epsilon.get())
    }

    pub fn has_heard(&self, act: &ContentHash) -> bool {
        self.heard.iter().any(|(_, hash, _)| hash == act)
    }

    /// Why this agent must not take part in a round for this request, as far as it was told.
    pub fn uncovered(
        &self,
        request: &Request,
        grant: Option<ContentHash>,
        now_ms: u64,
        served: &ContentHash,
    ) -> Option<String> {
        let held = self.held();
        let no = |text: &str| Some(text.to_owned());
        if request.contract != *served || request.dataset != crate::plain::NAME {
            return no("another contract or dataset is named than is served");
        }
        if self.paused {
            return no("the operator paused the dataset");
        }
        let Some(analyst) = self
            .roster
            .analysts
            .iter()
            .find(|analyst| analyst.id == request.analyst)
        else {
            return no("the analyst is not in the roster");
        };
        let own = &self.owner.organisation;
        let stops = |who: &Option<String>, subject: &Subject| {
            let here = who.as_ref().is_none_or(|who| who == own);
            match subject {
                Subject::Dataset(name) => here && *name == request.dataset,
                Subject::Organisation(name) if *name == analyst.organisation => here || who.as_ref() == Some(name),
                Subject::Organisation(name) => here && name == own,
            }
        };
        let suspended = held.suspended.iter().filter(|(_, holding)| !holding.is_empty());
        if suspended
            .map(|(place, _)| place)
            .any(|(who, subject)| stops(who, subject))
        {
            return no("the analyst's organisation, the owner or the dataset is suspended");
        }
        if held.retired.contains(served) {
            return no("the contract is retired");
        }
        let within = |allowed: &str| within(allowed, &request.purpose, held.wide);
        if !["research", "planning"].iter().any(|allowed| within(allowed)) {
            return no("the contract does not allow the purpose");
        }
        let published = [Layer::Consortium, Layer::Owner(own.clone())];
        let texts: Vec<&str> = (published.iter())
            .filter_map(|layer| held.policies.get(layer))
            .map(|(_, text)| text.as_str())
            .collect();
        if texts.iter().any(|text| !text.contains("permit")) {
            return no("a layer in force cannot be read");
        }
        let forbidden = self.owner.no_planning || texts.iter().any(|text| text.contains("no-planning"));
        // Planning stands under nothing that anybody publishes here.
        if forbidden && request.purpose == "planning" {
            return no("a layer of policies forbids the purpose");
        }
        let listed = self.owner.list.contains("*") || self.owner.list.contains(&request.analyst);
        match grant {
            None if listed => None,
            None => no("nobody is admitted who is neither on the list nor has a grant"),
            Some(id) => {
                let Some(seen) = held.grants.get(&id) else {
                    return no("nobody asked for the grant");
                };
                let terms = seen.last();
                let agreed = seen
                    .agreement
                    .as_ref()
                    .filter(|act| self.leaves.contains(&act.to_string()));
                match () {
                    () if seen.ended => no("the grant was revoked or completed"),
                    () if seen.holds.values().any(|holding| !holding.is_empty()) => no("the grant is suspended"),
                    () if agreed.is_none() => no("the grant was not agreed by both sides in the log"),
                    () if now_ms < terms.from_ms || now_ms >= terms.until_ms => no("it is outside the grant's window"),
                    () if terms.requester != request.analyst || terms.organisation != analyst.organisation => {
                        no("the grant is somebody else's")
                    }
                    () if terms.dataset != request.dataset => no("the grant is of another dataset"),
                    () if !terms.actions.contains(&Action::Query) => no("the grant is for another action"),
                    () if !covers(&terms.columns, "value") || !covers(&terms.aggregates, "SUM") => {
                        no("the grant does not cover columns or aggregates")
                    }
                    () if !terms.purposes.iter().any(|allowed| within(allowed)) => {
                        no("the grant does not cover the purpose")
                    }
                    () => None,
                }
            }
        }
    }

    fn held(&self) -> Held {
        let mut held = Held::default();
        for (act, hash, genuine) in &self.heard {
            held.take(act, *hash, *genuine, &self.owner.organisation);
        }
        for (act, hash) in &self.made {
            held.take(act, *hash, true, &self.owner.organisation);
        }
        held
    }
}

impl Held {
    fn take(&mut self, act: &Act, hash: ContentHash, genuine: bool, own: &str) {
        let Act { by, what, .. } = act;
        match what {
            What::GrantRequested { terms, steward_agrees } => {
                if genuine
                    && by.role == Role::Analyst
                    && by.id == terms.requester
                    && by.organisation == terms.organisation
                {
                    self.grants.entry(hash).or_insert(Seen {
                        terms: terms.clone(),
                        steward_agrees: *steward_agrees,
                        offers: Vec::new(),
                        agreement: None,
                        holds: BTreeMap::new(),
                        ended: false,
                    });
                }
            }
            What::GrantOffered { grant, owner, terms } => {
                let Some(seen) = self.grants.get_mut(grant).filter(|_| owner == own) else {
                    return;
                };
                if genuine && by.role == Role::Steward && by.organisation == own && seen.agreement.is_none() {
                    seen.offers.push(terms.clone());
                    if !seen.steward_agrees && *terms == seen.terms {
                        seen.agreement = Some(hash);
                    }
                }
            }
            What::GrantAgreed { grant, owner, version } => {
                let Some(seen) = self.grants.get_mut(grant).filter(|_| owner == own) else {
                    return;
                };
                let speaks = match seen.steward_agrees {
                    true => by.role == Role::Steward,
                    false => by.role == Role::Analyst,
                };
                let newest = *version as usize == seen.offers.len() + 1 && !seen.offers.is_empty();
                if genuine && speaks && by.organisation == seen.terms.organisation && newest && seen.agreement.is_none()
                {
                    seen.agreement = Some(hash);
                }
            }
            What::GrantSuspended { grant, owner } => {
                if let Some((seen, side)) = self.stops(grant, owner.as_deref(), by, own, true) {
                    seen.holds.entry(side).or_default().insert(hash, act.at_ms);
                }
            }
            What::GrantResumed { grant, owner, lifts } if genuine => {
                if let Some((seen, side)) = self.stops(grant, owner.as_deref(), by, own, false) {
                    for (holder, holding) in &mut seen.holds {
                        if *holder == side || (side, *holder) == (Side::Requester, Side::Analyst) {
                            lift(holding, lifts, act.at_ms);
                        }
                    }
                }
            }
            What::GrantRevoked { grant, owner } => {
                if let Some((seen, _)) = self.stops(grant, owner.as_deref(), by, own, true) {
                    seen.ended = true;
                }
            }
            What::GrantCompleted { grant, owner } => {
                if let Some((seen, _)) = self.stops(grant, owner.as_deref(), by, own, false) {
                    seen.ended = true;
                }
            }
            What::ContractMoved {
                contract,
                to: Stage::Retired,
                ..
            } => {
                if genuine && by.role == Role::Steward && by.organisation == own {
                    self.retired.insert(*contract);
                }
            }
            What::PolicyPublished { layer, version, bundle } => {
                let speaks = match layer {
                    Layer::Consortium => by.role == Role::Governance,
                    Layer::Owner(owner) => by.role == Role::Steward && by.organisation == *owner,
                };
                let newest = self.policies.get(layer).map_or(0, |(version, _)| *version);
                if genuine && speaks && *version > newest {
                    self.policies.insert(layer.clone(), (*version, bundle.clone()));
                }
            }
            What::VocabularyPublished { version, terms } => {
                if genuine && by.role == Role::Governance && *version > self.vocabulary {
                    self.vocabulary = *version;
                    self.wide = terms.iter().any(|term| term.id == "marketing");
                }
            }
            What::Suspended { subject } if matches!(by.role, Role::Governance | Role::Steward | Role::Agent) => {
                let holding = self.suspended.entry((reach(by), subject.clone())).or_default();
                holding.insert(hash, act.at_ms);
            }
            What::Reinstated { subject, lifts } if genuine && matches!(by.role, Role::Governance | Role::Steward) => {
                if let Some(holding) = self.suspended.get_mut(&(reach(by), subject.clone())) {
                    lift(holding, lifts, act.at_ms);
                }
            }
            _ => {}
        }
    }

    /// The grant, if who speaks may stop this owner's part of it, and for whom.
    fn stops(
        &mut self,
        grant: &ContentHash,
        owner: Option<&str>,
        by: &By,
        own: &str,
        machine: bool,
    ) -> Option<(&mut Seen, Side)> {
        let seen = self.grants.get_mut(grant)?;
        let speaks = by.role == Role::Steward || machine && by.role == Role::Agent;
        let asked = &seen.terms;
        let asks = by.role == Role::Analyst && by.id == asked.requester && by.organisation == asked.organisation
            || speaks && by.organisation == asked.organisation;
        let owns = speaks && owner == Some(own) && by.organisation == own;
        let here = owner.is_none_or(|owner| owner == own);
        let side = match by.role {
            Role::Analyst => Side::Analyst,
            _ if owns => Side::Owner,
            _ => Side::Requester,
        };
        (here && (asks || owns)).then_some((seen, side))
    }
}

impl Seen {
    fn last(&self) -> &Terms {
        self.offers.last().unwrap_or(&self.terms)
    }
}

/// What a resumption takes away: the acts that it names; of old ones, which named none, what was there by then.
fn lift(holding: &mut Holding, lifts: &BTreeSet<ContentHash>, at_ms: u64) {
    holding.retain(|act, held_ms| match lifts.is_empty() {
        true => *held_ms > at_ms,
        false => !lifts.contains(act),
    });
}

fn reach(by: &By) -> Option<String> {
    (by.role != Role::Governance).then(|| by.organisation.clone())
}

fn covers(extent: &Extent, name: &str) -> bool {
    match extent {
        Extent::All => true,
        Extent::Only(names) => names.contains(name),
    }
}

/// What the shipped vocabulary says of the purposes that are asked for here, and of the one that governance may add.
fn within(allowed: &str, asked: &str, wide: bool) -> bool {
    allowed == asked
        || allowed == "research"
            && (asked.starts_with("DUO:0000006") || asked == "DUO:0000042" || wide && asked == "marketing")
        || allowed == "DUO:0000042" && asked == "DUO:0000006"
}

fn read(signed: &SignedAct) -> Result<Act, String> {
    serde_json::from_str(&signed.body).map_err(|error| error.to_string())
}
