//! Signed notes, c2sp.org/signed-note: a text, an empty line, and one line for each signature.
//!
//! ```text
//! <text, ending in a newline>
//!
//! — <key name> <base64 of key id || signature>
//! ```
//! Two algorithms: Ed25519 over the text (type 0x01: the log's signature) and Ed25519 over a timestamped message (type 0x04,
//! c2sp.org/tlog-cosignature: a witness's). Signatures here do not carry the `sottovoce 1` tag of [`crate::keys`], and need none:
//! a tagged message holds a zero byte and a note cannot; a cosigned message has `time ..` as its second line, where a
//! checkpoint has its size. So one key may sign for all three. Verification costs 25 us a known key; unknown keys cost nothing.

use std::{fmt, str::FromStr};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{SigningKey, VerifyingKey, keys};

/// As many as the Go implementation reads.
const MAX_SIGNATURES: usize = 100;
/// A witness's timestamp must fit a signed integer.
const MAX_TIME_S: u64 = i64::MAX as u64;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    #[error("malformed note: {0}")]
    Malformed(&'static str),
    #[error(
        "malformed signature line {line} of a note: expected an em dash, a key name and base64 of at least 5 bytes"
    )]
    Line { line: usize },
    #[error("note has {found} signatures: expected 1 to {MAX_SIGNATURES}")]
    Count { found: usize },
    #[error("malformed key name `{0}`: expected text without white space and plus signs")]
    Name(String),
    #[error("malformed verifier key `{0}`: expected <name>+<key id>+<base64 of type 01 or 04 and 32 bytes>")]
    Key(String),
    #[error("invalid signature for key {0}")]
    Signature(String),
    #[error("no signature by key {0}")]
    Unsigned(String),
    #[error("timestamp {0} s: expected one below 2^63")]
    Time(u64),
}

/// What a key signs; the discriminant is C2SP's signature type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// The text itself.
    Ed25519 = 0x01,
    /// `cosignature/v1`, `time <seconds>` and the text.
    CosignatureV1 = 0x04,
}

/// A verifier key: a name, an algorithm and a public key. Written as C2SP's *vkey*.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NoteKey {
    name: String,
    algorithm: Algorithm,
    key: VerifyingKey,
}

impl NoteKey {
    pub fn new(name: &str, algorithm: Algorithm, key: VerifyingKey) -> Result<Self, NoteError> {
        Ok(Self {
            name: key_name(name)?.into(),
            algorithm,
            key,
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// `SHA-256(name || 0x0A || type || key)[:4]`: tells keys apart and secures nothing.
    pub fn id(&self) -> [u8; 4] {
        let message = [self.name.as_bytes(), b"\n", &self.encoded()].concat();
        let [a, b, c, d, ..] = *digest(&SHA256, &message).as_ref() else {
            unreachable!("SHA-256 has 32 bytes")
        };
        [a, b, c, d]
    }

    /// The time that a cosignature names, in seconds since 1970; a plain signature names none.
    fn verify(&self, text: &str, signature: &[u8]) -> Result<Option<u64>, NoteError> {
        let bad = || NoteError::Signature(format!("{}+{}", self.name, hex::encode(self.id())));
        match self.algorithm {
            Algorithm::Ed25519 => {
                keys::verify_untagged(&self.key, text.as_bytes(), signature).map_err(|_| bad())?;
                Ok(None)
            }
            Algorithm::CosignatureV1 => {
                let (time, signature) = signature.split_first_chunk().ok_or_else(bad)?;
                let at_s = u64::from_be_bytes(*time);
                let message = cosigned_message(text, at_s)?;
                keys::verify_untagged(&self.key, &message, signature).map_err(|_| bad())?;
                Ok(Some(at_s))
            }
        }
    }

    fn encoded(&self) -> Vec<u8> {
        [&[self.algorithm as u8], &self.key.0[..]].concat()
    }
}

impl fmt::Display for NoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = STANDARD.encode(self.encoded());
        write!(f, "{}+{}+{key}", self.name, hex::encode(self.id()))
    }
}

impl FromStr for NoteKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let malformed = || NoteError::Key(text.into());
        let mut fields = text.splitn(3, '+');
        let (Some(name), Some(_), Some(key)) = (fields.next(), fields.next(), fields.next()) else {
            return Err(malformed());
        };
        let bytes = STANDARD.decode(key).map_err(|_| malformed())?;
        let (algorithm, bytes) = match bytes.split_first() {
            Some((0x01, bytes)) => (Algorithm::Ed25519, bytes),
            Some((0x04, bytes)) => (Algorithm::CosignatureV1, bytes),
            _ => return Err(malformed()),
        };
        let key = VerifyingKey(bytes.try_into().map_err(|_| malformed())?);
        let key = Self::new(name, algorithm, key)?;
        // One spelling, so the key id is checked as well.
        if key.to_string() != text {
            return Err(malformed());
        }
        Ok(key)
    }
}

/// One signature line. Its key may be unknown, so it says nothing before [`Note::verified`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    name: String,
    id: [u8; 4],
    bytes: Vec<u8>,
}

impl Signature {
    /// The log's kind.
    pub fn sign(name: &str, key: &SigningKey, text: &str) -> Result<Self, NoteError> {
        let by = NoteKey::new(name, Algorithm::Ed25519, key.public())?;
        Ok(Self::by(&by, key.sign_untagged(note_text(text)?.as_bytes())))
    }

    /// A witness's kind, c2sp.org/tlog-cosignature, at a time in seconds since 1970.
    pub fn cosign(name: &str, key: &SigningKey, text: &str, at_s: u64) -> Result<Self, NoteError> {
        let by = NoteKey::new(name, Algorithm::CosignatureV1, key.public())?;
        let signature = key.sign_untagged(&cosigned_message(note_text(text)?, at_s)?);
        Ok(Self::by(&by, [&at_s.to_be_bytes()[..], &signature].concat()))
    }

    fn by(key: &NoteKey, bytes: Vec<u8>) -> Self {
        Self {
            name: key.name.clone(),
            id: key.id(),
            bytes,
        }
    }

    fn is_of(&self, key: &NoteKey) -> bool {
        self.name == key.name && self.id == key.id()
    }
}

/// The line without its newline, as it also travels alone.
impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signature = STANDARD.encode([&self.id[..], &self.bytes].concat());
        write!(f, "— {} {signature}", self.name)
    }
}

impl FromStr for Signature {
    type Err = NoteError;

    fn from_str(line: &str) -> Result<Self, NoteError> {
        let parse = || {
            let (name, encoded) = line.strip_prefix("— ")?.split_once(' ')?;
            let bytes = STANDARD.decode(encoded).ok()?;
            let (id, bytes) = bytes.split_first_chunk()?;
            (!bytes.is_empty()).then_some(())?;
            Some(Self {
                name: key_name(name).ok()?.into(),
                id: *id,
                bytes: bytes.into(),
            })
        };
        parse().ok_or(NoteError::Line { line: 1 })
    }
}

/// A text and its signature lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

/// A known key signed this text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<'k> {
    pub key: &'k NoteKey,
    /// When, by the witness's own clock; only cosignatures say.
    pub at_s: Option<u64>,
}

impl Note {
    pub fn signed(text: String, signature: Signature) -> Result<Self, NoteError> {
        note_text(&text)?;
        Ok(Self {
            text,
            signatures: vec![signature],
        })
    }

    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        let note = std::str::from_utf8(bytes).map_err(|_| NoteError::Malformed("it is not UTF-8"))?;
        // The text may hold empty lines: the last one separates.
        let middle = note
            .rfind("\n\n")
            .ok_or(NoteError::Malformed("no empty line before the signatures"))?;
        let (text, lines) = (&note[..=middle], &note[middle + 2..]);
        note_text(text)?;
        let lines = lines
            .strip_suffix('\n')
            .ok_or(NoteError::Malformed("no newline at its end"))?;
        let found = lines.split('\n').count();
        if found > MAX_SIGNATURES {
            return Err(NoteError::Count { found });
        }
        let signatures = lines.split('\n').enumerate().map(|(i, line)| {
            let signature: Result<Signature, _> = line.parse();
            signature.map_err(|_| NoteError::Line { line: i + 1 })
        });
        Ok(Self {
            text: text.into(),
            signatures: signatures.collect::<Result<_, _>>()?,
        })
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// The keys among `known` that signed, in the order of their lines. Unknown keys are ignored and a second line by one
    /// key is not read; a known key's line that does not verify spoils the note.
    pub fn verified<'k>(&self, known: &'k [NoteKey]) -> Result<Vec<Verified<'k>>, NoteError> {
        let mut verified: Vec<Verified<'k>> = Vec::new();
        for line in &self.signatures {
            let Some(key) = known.iter().find(|key| line.is_of(key)) else {
                continue;
            };
            if verified.iter().all(|earlier| earlier.key != key) {
                let at_s = key.verify(&self.text, &line.bytes)?;
                verified.push(Verified { key, at_s });
            }
        }
        Ok(verified)
    }

    /// Adds the signature of `key`, in place of an earlier one by it. One that does not verify stays out: it would spoil
    /// the note for everybody who knows the key.
    pub fn attach(&mut self, signature: Signature, key: &NoteKey) -> Result<(), NoteError> {
        if !signature.is_of(key) {
            return Err(NoteError::Unsigned(key.to_string()));
        }
        key.verify(&self.text, &signature.bytes)?;
        let mut signatures = self.signatures.clone();
        signatures.retain(|earlier| !earlier.is_of(key));
        signatures.push(signature);
        if signatures.len() > MAX_SIGNATURES {
            return Err(NoteError::Count {
                found: signatures.len(),
            });
        }
        self.signatures = signatures;
        Ok(())
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures
            .iter()
            .try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

fn cosigned_message(text: &str, at_s: u64) -> Result<Vec<u8>, NoteError> {
    if at_s > MAX_TIME_S {
        return Err(NoteError::Time(at_s));
    }
    Ok(format!("cosignature/v1\ntime {at_s}\n{text}").into_bytes())
}

fn key_name(name: &str) -> Result<&str, NoteError> {
    let forbidden = |c: char| c.is_whitespace() || c == '+' || c < ' ';
    if name.is_empty() || name.contains(forbidden) {
        return Err(NoteError::Name(name.into()));
    }
    Ok(name)
}

fn note_text(text: &str) -> Result<&str, NoteError> {
    if !text.ends_with('\n') {
        return Err(NoteError::Malformed("its text does not end in a newline"));
    }
    if text.contains(|c| c < ' ' && c != '\n') {
        return Err(NoteError::Malformed("its text holds a control character"));
    }
    Ok(text)
}
