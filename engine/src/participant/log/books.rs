//! The log as a participant's books hold it: what it has accepted as a witness, its own events, and which of them the consortium's
//! log is not yet known to hold. Changed by `apply` alone. Costs 32 bytes for each own event, and a kilobyte for each payload that is
//! kept; other leaves are on disk only.

use std::collections::{BTreeMap, BTreeSet};

use governance::ContentHash;
use governance::grant::Witnessed;
use governance::log::event::{Actor, Price, Role};
use governance::log::{Event, Frontier, Kind, SignedEvent, TreeHash, View};

/// The durable part.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogBooks {
    view: View,
    frontier: Frontier,
    /// Own events that no accepted checkpoint holds yet.
    outbox: BTreeMap<TreeHash, Waiting>,
    /// All own events.
    own: BTreeSet<TreeHash>,
    /// Own events that the consortium's log holds and this store did not know.
    behind: BTreeMap<TreeHash, String>,
    /// Acts that this witness has seen in the log.
    acts: BTreeMap<ContentHash, ActLeaf>,
    /// Rosters that the log names, with their places.
    rosters: Vec<(u64, ContentHash)>,
    /// The last act or roster that the log named for the first time.
    newest: Option<ContentHash>,
    /// Under which contract and at which price open requests were charged.
    terms: BTreeMap<ContentHash, Terms>,
    /// Own events whose payloads are kept, by their time: refusals, with the salts that their rows are found by.
    payloads: BTreeMap<(u64, TreeHash), Kept>,
}

/// An own event with a payload beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    pub leaf: String,
    /// [`governance::log::Payload::commitment`].
    pub commitment: ContentHash,
    pub salt: ContentHash,
}

/// An own event that no accepted checkpoint holds yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// Events made before it: a yes is handed in before the contribution that rests on it.
    pub number: usize,
    pub leaf: String,
}

/// What the log says of an act: the first leaf that names it counts.
#[derive(Clone, Debug, PartialEq)]
pub struct ActLeaf {
    pub index: u64,
    pub actor: Actor,
    /// What it stops: a grant, an owner's line of one, an organisation or a dataset.
    pub stops: Option<ContentHash>,
}

/// What a charge was made under.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    pub contract: ContentHash,
    pub price: Price,
    /// By this agent's clock: the newest.
    pub at_ms: u64,
}

impl LogBooks {
    pub(in crate::participant) fn logged(&mut self, leaf: &str, event: &Event) {
        let hash = TreeHash::leaf(leaf.as_bytes());
        self.own.insert(hash);
        let waiting = Waiting {
            number: self.own.len(),
            leaf: leaf.to_owned(),
        };
        self.outbox.insert(hash, waiting);
        if let Some((request, terms)) = terms(event) {
            self.terms.insert(request, terms);
        }
    }

    pub(in crate::participant) fn keep(&mut self, leaf: &str, event: &Event, salt: ContentHash) {
        if let Some(commitment) = event.payload {
            let leaf = leaf.to_owned();
            let place = (event.at_ms, TreeHash::leaf(leaf.as_bytes()));
            self.payloads.insert(place, Kept { leaf, commitment, salt });
        }
    }

    pub(in crate::participant) fn forget(&mut self, leaf: &str, event: &Event) {
        self.payloads.remove(&(event.at_ms, TreeHash::leaf(leaf.as_bytes())));
    }

    /// Own events whose payloads are kept, with their times, the oldest first.
    pub fn payloads(&self) -> impl Iterator<Item = (u64, &Kept)> {
        self.payloads.iter().map(|((at_ms, _), kept)| (*at_ms, kept))
    }

    pub(in crate::participant) fn witnessed(&mut self, view: &View, frontier: &Frontier, leaves: &[String]) {
        self.view = view.clone();
        self.frontier = frontier.clone();
        let first = frontier.size().saturating_sub(leaves.len() as u64);
        for (index, leaf) in (first..).zip(leaves) {
            self.outbox.remove(&TreeHash::leaf(leaf.as_bytes()));
            // Few leaves are acts or rosters: the others are not read.
            if (leaf.contains("\"act\":") || leaf.contains("\"roster\":"))
                && let Ok(event) = SignedEvent::peek(leaf.as_bytes())
            {
                self.decided(index, event);
            }
        }
    }

    fn decided(&mut self, index: u64, event: Event) {
        let reference = |name: &str| event.references.get(name).copied();
        if let (Kind::Roster, Role::Coordinator, Some(roster)) = (event.kind, event.actor.role, reference("roster")) {
            if self.rosters.iter().all(|(_, named)| *named != roster) {
                self.newest = Some(roster);
            }
            self.rosters.push((index, roster));
        }
        if let Some(act) = reference("act").filter(|_| event.kind.is_of_act()) {
            let stops = reference("revoked").or_else(|| reference("suspended"));
            let actor = event.actor.clone();
            if !self.acts.contains_key(&act) {
                self.newest = Some(act);
            }
            self.acts.entry(act).or_insert(ActLeaf { index, actor, stops });
        }
    }

    /// What this witness has seen of an act in the log.
    pub fn act(&self, act: &ContentHash) -> Option<&ActLeaf> {
        self.acts.get(act)
    }

    /// The newest act or roster that this witness has seen in the log: what a contribution names, so that a scan can tell what its agent
    /// could know.
    pub fn newest(&self) -> Option<ContentHash> {
        self.newest
    }

    /// All acts in the log.
    pub fn acts(&self) -> impl Iterator<Item = (&ContentHash, &ActLeaf)> {
        self.acts.iter()
    }

    /// The rosters that the log names before a place.
    pub fn rosters_before(&self, index: u64) -> impl Iterator<Item = ContentHash> {
        let before = self.rosters.iter().take_while(move |(at, _)| *at < index);
        before.map(|(_, roster)| *roster)
    }

    pub(in crate::participant) fn behind(&mut self, leaf: &str) {
        let hash = TreeHash::leaf(leaf.as_bytes());
        self.own.insert(hash);
        self.behind.insert(hash, leaf.to_owned());
    }

    pub(in crate::participant) fn replayed(&mut self) {
        self.behind.clear();
    }

    pub(in crate::participant) fn closed(&mut self, request: &ContentHash) {
        self.terms.remove(request);
    }

    pub fn view(&self) -> &View {
        &self.view
    }

    pub fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// Own events that wait for a checkpoint.
    pub fn outbox(&self) -> &BTreeMap<TreeHash, Waiting> {
        &self.outbox
    }

    /// Whether this event was made, or taken in, here.
    pub fn knows(&self, event: &TreeHash) -> bool {
        self.own.contains(event)
    }

    /// Events that this store should know and does not: it was put back to an older state.
    pub fn missing(&self) -> &BTreeMap<TreeHash, String> {
        &self.behind
    }

    /// Requests that are open, and were charged last at this time or before.
    pub(in crate::participant) fn charged_until(&self, at_ms: u64) -> impl Iterator<Item = ContentHash> {
        let old = self.terms.iter().filter(move |(_, terms)| terms.at_ms <= at_ms);
        old.map(|(request, _)| *request)
    }

    pub(in crate::participant) fn terms(&self, request: &ContentHash) -> Option<&Terms> {
        self.terms.get(request)
    }
}

/// What this witness has accepted counts here. No answer is shown before a quorum has accepted the same log and more.
impl Witnessed for LogBooks {
    fn is_witnessed(&self, act: &ContentHash) -> bool {
        self.acts.contains_key(act)
    }
}

fn terms(event: &Event) -> Option<(ContentHash, Terms)> {
    let (contract, delta) = (event.contract?, event.budget_delta.as_ref()?);
    // What comes back comes back when the request is closed.
    let charged = event.kind == Kind::Charge && delta.tokens > 0;
    let request = event.references.get("request").filter(|_| charged)?;
    let price = delta.price.clone();
    let at_ms = event.at_ms;
    Some((*request, Terms { contract, price, at_ms }))
}
