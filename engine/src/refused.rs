//! A refusal after it has travelled: the same code, sentence and remedy as [`Refusal`], owned, because the other side
//! may be newer than this one and know codes that this one does not.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::workload::Refusal;

/// Why somebody said no. Never depends on data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    pub code: String,
    pub message: String,
    pub remedy: Option<String>,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self {
            code: refusal.code.to_owned(),
            message: refusal.message,
            remedy: refusal.remedy,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        match &self.remedy {
            Some(remedy) => write!(f, " ({remedy})"),
            None => Ok(()),
        }
    }
}
