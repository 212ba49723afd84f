//! The transparency log as a member or an outsider reads it: whole, rebuilt, and held against a checkpoint that a quorum signed.
//!
//! Whatever the coordinator sends is believed only after the tree over exactly these leaves has the root that the witnesses signed, so
//! that nothing can be left out, changed or moved. Reading costs the whole log: some 700 bytes and 30 us a leaf.

use std::path::Path;

use engine::SignedRelease;
use governance::Roster;
use governance::log::bundle::Verified;
use governance::log::event::Role;
use governance::log::{Bundle, Event, Kind, Logged, Proven, Rosters, SignedCheckpoint, SignedEvent, Tree, Trust};
use governance::{ContentHash, SignedRoster, VerifyingKey};
use proto::analysts::Answer;
use serde::{Deserialize, Serialize};

use crate::{Exit, Problem};

/// The log as the coordinator sends it: nothing of it is believed yet.
#[derive(Clone, Debug, Default)]
pub struct LogRead {
    pub checkpoint: String,
    pub leaves: Vec<String>,
    /// The rosters that were in force, as far as the coordinator keeps them.
    pub rosters: Vec<SignedRoster>,
}

/// The whole log up to a checkpoint with a quorum, verified.
pub struct AuditLog {
    checkpoint: SignedCheckpoint,
    tree: Tree,
    events: Vec<SignedEvent>,
    witnesses: Vec<String>,
    rosters: Vec<SignedRoster>,
}

/// A release as a file that proves itself: what the coordinator signed, and its proof in the log.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptRelease {
    pub release: SignedRelease,
    /// c2sp.org/tlog-proof.
    pub proof: String,
}

impl AuditLog {
    /// The log of these leaves, if they are exactly those of the checkpoint.
    pub fn open(read: LogRead, trust: &Trust) -> Result<Self, Problem> {
        let LogRead {
            checkpoint,
            leaves,
            rosters,
        } = read;
        let checkpoint = SignedCheckpoint::open(checkpoint.as_bytes(), trust.log()).map_err(unproven)?;
        let cosigned = trust.quorum(&checkpoint).map_err(unproven)?;
        let witnesses = cosigned.iter().map(|by| by.key.name().to_owned()).collect();
        let mut tree = Tree::default();
        let mut events = Vec::with_capacity(leaves.len());
        for (index, leaf) in leaves.iter().enumerate() {
            let event = SignedEvent::parse(leaf.as_bytes());
            events.push(event.map_err(|error| unproven(format!("entry {index}: {error}")))?);
            tree.append(leaf.as_bytes());
        }
        let head = checkpoint.checkpoint();
        if (head.size, head.root) != (leaves.len() as u64, tree.root()) {
            let text = format!(
                "{} entries with root {} came, the witnesses signed {} with root {}",
                leaves.len(),
                tree.root(),
                head.size,
                head.root
            );
            return Err(unproven(text));
        }
        Ok(Self {
            checkpoint,
            tree,
            events,
            witnesses,
            rosters,
        })
    }

    pub fn size(&self) -> u64 {
        self.events.len() as u64
    }

    /// Who belonged when, if governance signed each of the rosters that came.
    pub fn rosters(&self, governance: &VerifyingKey) -> Result<Rosters, Problem> {
        Rosters::open(&self.rosters, governance).map_err(unproven)
    }

    pub fn witnesses(&self) -> &[String] {
        &self.witnesses
    }

    pub fn signed(&self) -> &[SignedEvent] {
        &self.events
    }

    pub fn events(&self) -> impl DoubleEndedIterator<Item = &Event> + ExactSizeIterator + Clone {
        self.events.iter().map(SignedEvent::event)
    }

    /// A stretch of the log as a file that verifies with the trust file alone.
    pub fn export(&self, from: u64, to: u64) -> Result<Bundle, Problem> {
        if from > to || to > self.size() {
            let text = format!("entries {from} to {to} of a log of {}", self.size());
            return Err(Problem::usage(text).remedy("leave --from and --to out for all of it"));
        }
        let stretch = self.events[from as usize..to as usize].iter();
        let entries = stretch.map(|event| (event.clone(), None)).collect();
        let bundle = Bundle::export(&self.tree, &self.checkpoint, from, entries).map_err(unproven)?;
        let rosters = self.rosters.clone();
        Ok(Bundle { rosters, ..bundle })
    }
}

/// Verifies a bundle with nothing but the trust file.
pub fn verify(file: &Path, trust: &Trust) -> Result<Verified, Problem> {
    let text = std::fs::read_to_string(file).map_err(|error| Problem::local(file.display(), error))?;
    let bundle = Bundle::parse(&text).map_err(unproven)?;
    bundle.verify(trust).map_err(unproven)
}

/// The rosters of a bundle, where the trust file says who signs them; else nobody's membership can be judged.
pub fn rosters_of(verified: &Verified, trust: &Trust) -> Result<Rosters, Problem> {
    match trust.governance() {
        Some(governance) => Rosters::open(&verified.rosters, governance).map_err(unproven),
        None => Ok(Rosters::default()),
    }
}

/// A trust file that somebody was given.
pub fn trust_file(file: &Path) -> Result<Trust, Problem> {
    let text = std::fs::read_to_string(file).map_err(|error| Problem::local(file.display(), error))?;
    Trust::parse(&text).map_err(unproven)
}

/// What members trust: the roster says it.
pub fn trust_of(roster: &Roster) -> Result<Trust, Problem> {
    Trust::of(roster).map_err(unproven)
}

/// Whether a quorum saw this very release, and where it stands in the log.
pub fn logged(release: &SignedRelease, proof: &str, trust: &Trust) -> Result<Logged, String> {
    let proven: Proven = proof
        .parse()
        .map_err(|error: governance::log::ProvenError| error.to_string())?;
    let logged = proven.verify(trust).map_err(|error| error.to_string())?;
    let event = logged.event.event();
    let by_log = event.actor.role == Role::Coordinator && event.actor.key == *trust.log().key();
    if event.kind != Kind::Release || !by_log || event.references.get("release") != Some(&release.hash()) {
        return Err(format!("entry {} of the log is not this release", logged.index));
    }
    Ok(logged)
}

impl KeptRelease {
    pub(crate) fn of(answer: &Answer) -> Self {
        Self {
            release: answer.signed.clone(),
            proof: answer.proof.clone(),
        }
    }

    /// Verifies signature and proof with nothing but the trust file.
    pub fn verify(&self, trust: &Trust) -> Result<Logged, Problem> {
        if !signed_by(&self.release, trust.log().key()) {
            return Err(unproven(
                "the release is not signed by the coordinator that runs the log",
            ));
        }
        logged(&self.release, &self.proof, trust).map_err(unproven)
    }
}

/// The coordinator's key is bytes in a roster; the engine has its own type for it, with the same spelling.
pub(crate) fn signed_by(release: &SignedRelease, key: &VerifyingKey) -> bool {
    let key = serde_json::Value::String(key.to_string());
    serde_json::from_value(key).is_ok_and(|key| release.verify(&key))
}

/// The request that a release, a job or a request's own hash stands for.
pub fn request_named<'e>(events: impl Iterator<Item = &'e Event> + Clone, name: &str) -> Result<ContentHash, Problem> {
    let asked = events.clone().filter(|event| event.kind == Kind::Request);
    let mut requests = asked.filter_map(|event| event.references.get("request").copied());
    let found = match ContentHash::from_hex(name) {
        Some(hash) => requests
            .find(|request| *request == hash)
            .or_else(|| governance::log::request_of(events, &hash)),
        None => requests.find(|request| engine::JobId::of(&request.0).to_string() == name),
    };
    found.ok_or_else(|| {
        Problem::new(
            Exit::Refused,
            "SOTTO-7613",
            format!("the log knows no release, job or request {name}"),
        )
        .remedy("`sotto release` lists yours; a release is named by its id, or by its hash in the log")
    })
}

/// Something in the log or about it does not hold.
fn unproven(what: impl std::fmt::Display) -> Problem {
    Problem::new(Exit::Local, "SOTTO-7612", format!("not proven: {what}"))
        .remedy("keep the file: it is evidence; compare the trust file with the one that governance gave you (`sotto audit trust`)")
}
