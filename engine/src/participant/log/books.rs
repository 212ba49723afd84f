//! The log as a participant's books hold it: what it has accepted as a witness, its own events, and which of them the consortium's
//! log is not yet known to hold. Changed by `apply` alone. Costs 32 bytes for each own event; leaves are on disk only.

use std::collections::{BTreeMap, BTreeSet};

use governance::ContentHash;
use governance::grant::Witnessed;
use governance::log::event::Price;
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
    acts: BTreeSet<ContentHash>,
    /// Under which contract and at which price open requests were charged.
    terms: BTreeMap<ContentHash, Terms>,
}

/// An own event that no accepted checkpoint holds yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// Events made before it: a yes is handed in before the contribution that rests on it.
    pub number: usize,
    pub leaf: String,
}

/// What a charge was made under.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    pub contract: ContentHash,
    pub price: Price,
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

    pub(in crate::participant) fn witnessed(&mut self, view: &View, frontier: &Frontier, leaves: &[String]) {
        self.view = view.clone();
        self.frontier = frontier.clone();
        for leaf in leaves {
            self.outbox.remove(&TreeHash::leaf(leaf.as_bytes()));
            // Few leaves are acts: the others are not read.
            if leaf.contains("\"act\":") {
                let event = SignedEvent::peek(leaf.as_bytes()).ok();
                let event = event.filter(|event| event.kind.is_of_act());
                self.acts
                    .extend(event.and_then(|event| event.references.get("act").copied()));
            }
        }
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

    pub(in crate::participant) fn terms(&self, request: &ContentHash) -> Option<&Terms> {
        self.terms.get(request)
    }
}

/// What this witness has accepted counts here. No answer is shown before a quorum has accepted the same log and more.
impl Witnessed for LogBooks {
    fn is_witnessed(&self, act: &ContentHash) -> bool {
        self.acts.contains(act)
    }
}

fn terms(event: &Event) -> Option<(ContentHash, Terms)> {
    let (contract, delta) = (event.contract?, event.budget_delta.as_ref()?);
    let request = event.references.get("request").filter(|_| event.kind == Kind::Charge)?;
    let price = delta.price.clone();
    Some((*request, Terms { contract, price }))
}
