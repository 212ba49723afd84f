//! The transparency log as a member or an outsider reads it: whole, rebuilt, and held against a checkpoint that a quorum signed.
//!
//! Whatever the coordinator sends is believed only after the tree over exactly these leaves has the root that the witnesses signed, so
//! that nothing can be left out, changed or moved. Reading costs the whole log: some 700 bytes and 30 us a leaf.

use std::collections::BTreeMap;
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

/// Digits of an id that are enough, if nothing else begins with them.
const FEWEST_DIGITS: usize = 8;

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
    let text = std::fs::read_to_string(file).map_err(|error| Problem::unread(file, &error))?;
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
    let text = std::fs::read_to_string(file).map_err(|error| Problem::unread(file, &error))?;
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

/// The request that a release, a job or a request's own hash stands for, by all digits or by the first ones that nothing else begins with.
pub fn request_named<'e>(events: impl Iterator<Item = &'e Event>, name: &str) -> Result<ContentHash, Problem> {
    let refused = |text: String, remedy: &str| Err(Problem::new(Exit::Refused, "SOTTO-7613", text).remedy(remedy));
    let digits = name.trim_end_matches('.').to_ascii_lowercase();
    if digits.len() < FEWEST_DIGITS || digits.chars().any(|digit| !digit.is_ascii_hexdigit()) {
        let text = format!("`{name}` is no id: expected at least {FEWEST_DIGITS} hexadecimal digits");
        return refused(text, "`sotto release` lists yours");
    }
    // A job's id is the beginning of its request's hash, so one prefix finds both.
    let mut found: BTreeMap<ContentHash, String> = BTreeMap::new();
    for event in events {
        let reference = |name: &str| event.references.get(name).copied();
        let named = match event.kind {
            Kind::Request => reference("request"),
            Kind::Release => reference("release"),
            _ => None,
        };
        let named = named
            .map(|named| named.to_string())
            .filter(|named| named.starts_with(&digits));
        if let (Some(named), Some(request)) = (named, reference("request")) {
            found.insert(request, format!("{} {named}", event.kind));
        }
    }
    let all: Vec<&str> = found.values().map(String::as_str).collect();
    match (found.len(), found.first_key_value()) {
        (1, Some((request, _))) => Ok(*request),
        (0, _) => refused(
            format!("the log knows no release, job or request {name}"),
            "`sotto release` lists yours; a release is named by its id, or by its hash in the log",
        ),
        (several, _) => refused(
            format!("{several} begin with {digits}: {}", all.join(", ")),
            "give more digits",
        ),
    }
}

/// Something in the log or about it does not hold.
fn unproven(what: impl std::fmt::Display) -> Problem {
    Problem::new(Exit::Local, "SOTTO-7612", format!("not proven: {what}"))
        .remedy("keep the file: it is evidence; compare the trust file with the one that governance gave you (`sotto audit trust`)")
}

#[cfg(test)]
mod tests {
    use governance::SigningKey;
    use governance::log::event::Actor;

    use super::*;

    fn said(kind: Kind, name: &str, thing: ContentHash, request: ContentHash) -> Event {
        let (role, id) = (Role::Coordinator, "hub".to_owned());
        let key = SigningKey::from_seed(&[1; 32]).unwrap().public();
        let event = Event::new(kind, 0, Actor { role, id, key });
        event.refers("request", request).refers(name, thing)
    }

    /// A hash that begins with these bytes.
    fn hash(first: [u8; 4], last: u8) -> ContentHash {
        let mut bytes = [last; 32];
        bytes[..4].copy_from_slice(&first);
        ContentHash(bytes)
    }

    #[test]
    fn an_answer_is_named_by_the_first_digits_that_nothing_else_begins_with() {
        let (one, two, three) = (hash([0xab; 4], 1), hash([0xab; 4], 2), hash([0xcd; 4], 3));
        let release = hash([0xef; 4], 4);
        let events = [
            said(Kind::Request, "request", one, one),
            said(Kind::Request, "request", two, two),
            said(Kind::Request, "request", three, three),
            said(Kind::Release, "release", release, three),
        ];
        let named = |name: &str| request_named(events.iter(), name);
        assert_eq!(named("CDCDCDCD..").unwrap(), three);
        assert_eq!(named(&engine::JobId::of(&three.0).to_string()).unwrap(), three);
        assert_eq!(named(&release.to_string()).unwrap(), three);
        assert_eq!(named("efefefef").unwrap(), three, "a release leads to its request");
        let several = named("abababab").unwrap_err();
        for all in [one, two] {
            assert!(several.message.contains(&all.to_string()), "{several}");
        }
        assert_eq!(named("abababab01").unwrap(), one);
        for unknown in ["cdcdcd", "12345678", "answer.json"] {
            let problem = named(unknown).unwrap_err();
            assert!(problem.code == "SOTTO-7613" && problem.remedy.is_some(), "{problem}");
        }
    }
}
