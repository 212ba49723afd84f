//! What is wrong with a layer's text, and where. All faults of a layer are told at once: a steward corrects a file, not a line.

use std::fmt;

use crate::policies::Effect;

/// A source and a line in it; line 0 is the source as a whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub source: String,
    pub line: usize,
}

impl Place {
    pub(crate) fn whole(source: &str) -> Self {
        Self {
            source: source.to_owned(),
            line: 0,
        }
    }

    /// The line of a byte offset.
    pub(crate) fn at(source: &str, text: &str, offset: usize) -> Self {
        let before = &text.as_bytes()[..offset.min(text.len())];
        Self {
            source: source.to_owned(),
            line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.source),
            line => write!(f, "{}:{line}", self.source),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("no source: name at least one file of policies, or leave the layer out")]
    NoSource,
    #[error("no policy: an empty text is no permission; write one, or leave the file out")]
    Empty,
    #[error("{found} bytes of policies: expected at most {most}")]
    TooLong { found: usize, most: usize },
    #[error("{found} policies: expected at most {most}")]
    TooMany { found: usize, most: usize },
    #[error("two sources of this name: give each its own")]
    RepeatedSource,
    #[error("not Cedar: {0}")]
    Syntax(String),
    #[error("a template (`?principal`, `?resource`): write the analyst or the dataset itself")]
    Template,
    #[error("a policy without @id: put @id(\"name\") above `{0}`; refusals and the log name policies by it")]
    NoId(Effect),
    #[error("@id(\"{0}\"): expected 1 to 64 letters, digits, `-`, `_` or `.`, a letter or digit first")]
    BadId(String),
    #[error("@id(\"{id}\") is taken by the policy at {first}")]
    RepeatedId { id: String, first: Place },
    #[error("policy `{id}` does not fit the schema: {message}")]
    Invalid { id: String, message: String },
}

/// One fault at its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {fault}")]
pub struct Wrong {
    pub place: Place,
    pub fault: Fault,
}

/// Everything that is wrong with a layer, in the order of the text; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(Vec<Wrong>);

impl Faults {
    /// `Ok` if there is none.
    pub(crate) fn none_of(mut found: Vec<Wrong>) -> Result<(), Self> {
        found.sort_by(|a, b| a.place.cmp(&b.place));
        if found.is_empty() { Ok(()) } else { Err(Self(found)) }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Wrong> {
        self.0.iter()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, wrong) in self.0.iter().enumerate() {
            let newline = if i == 0 { "" } else { "\n" };
            write!(f, "{newline}{wrong}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
