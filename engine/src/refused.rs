//! A refusal after it has travelled: the same code, sentence and remedy as [`Refusal`], owned, because the other side
//! may be newer than this one and know codes that this one does not.

use std::fmt;

use governance::RegisterError;
use governance::grant::GrantError;
use serde::{Deserialize, Serialize};

use crate::codes;
use crate::workload::Refusal;

/// What is said of an act that cannot be taken.
pub(crate) fn of_act(error: &RegisterError) -> Refusal {
    let (code, remedy) = match error {
        RegisterError::UnknownGrant(_) => (codes::UNKNOWN_GRANT, "`sotto grant list` shows yours"),
        RegisterError::Grant(GrantError::Terms(_)) => (
            codes::ACT,
            "correct what is named: `sotto purpose list` and `sotto dataset show` say what there is",
        ),
        RegisterError::Grant(_) => (codes::ACT, "`sotto grant show` says where it stands"),
        RegisterError::Act(_) => (codes::ACT, "`sotto doctor` compares keys and clocks"),
        RegisterError::Stale { .. } => (codes::ACT, "look again: somebody published meanwhile"),
        _ => (
            codes::ACT,
            "somebody who may signs it; the handbook says who decides what",
        ),
    };
    Refusal::new(code, error.to_string()).remedy(remedy)
}

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
