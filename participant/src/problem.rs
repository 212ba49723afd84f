//! Why an order of this machine's operator was not carried out: a stable code, what was expected and found, and what to do about it, as
//! `sotto` has them. With `--json` the same is one object on standard output; docs/errors.md lists every code.

use engine::Refusal;
use engine::participant::ReplayRefused;
use serde_json::{Value, json};

use crate::Fatal;
use crate::config::ConfigError;
use crate::consent::{ConsentError, ImportError, OrderError};
use crate::rules::PolicyError;
use crate::serving::ServingError;

/// No running agent answers at the socket.
pub const NOT_RUNNING: &str = "SOTTO-7701";
/// The agent's configuration, or a file that it names, has a mistake.
pub const CONFIGURATION: &str = "SOTTO-7702";
/// No dataset, population or grant of this name is known here, or several are meant.
pub const UNKNOWN: &str = "SOTTO-7703";
/// The configuration says otherwise, and it goes first.
pub const CONFIGURED: &str = "SOTTO-7704";
/// No dataset requires consent of these people, or it is not said of which.
pub const WHOSE_CONSENT: &str = "SOTTO-7705";
/// A file of consents cannot be read.
pub const CONSENT_FILE: &str = "SOTTO-7706";
/// A file of consents has a mistake at the place that is named.
pub const CONSENT_ENTRY: &str = "SOTTO-7707";
/// A consent that cannot be given so: purpose, date, window.
pub const CONSENT: &str = "SOTTO-7708";
/// Nobody of this id is on record.
pub const NOT_ON_RECORD: &str = "SOTTO-7709";
/// Nothing is to be replayed, or not now.
pub const NO_REPLAY: &str = "SOTTO-7710";
/// Two people did not sign this, or signed something else.
pub const NOT_SIGNED: &str = "SOTTO-7711";
/// A file of approvals, or a key that signs them, cannot be used.
pub const APPROVAL_FILE: &str = "SOTTO-7712";
/// The agent, or this machine, did not do what it should.
pub const LOCAL: &str = "SOTTO-7713";
/// `check` found datasets that would be refused.
pub const WOULD_BE_REFUSED: &str = "SOTTO-7714";
/// The running agent does not understand the order.
pub const OTHER_VERSION: &str = "SOTTO-7715";
/// As of `sotto`: the command line, and a set of policies.
pub const USAGE: &str = "SOTTO-7002";
const POLICIES: &str = "SOTTO-7601";

/// What helps where whoever refuses knows nothing better.
fn remedy(code: &str) -> &'static str {
    match code {
        NOT_RUNNING => "start it: `sotto-participant run`",
        CONFIGURATION => "participant.example.toml documents every key",
        UNKNOWN => "`sotto-participant status`, `ledger` and `grants` list what is known here",
        CONFIGURED => "change it in the configuration, and restart the agent",
        WHOSE_CONSENT => "set consent = \"required\" in the dataset's table, and name its people with --population",
        CONSENT_FILE => "a CSV, Parquet, JSON or NDJSON file that the agent can read",
        CONSENT_ENTRY => "put that place right, and import the file again",
        CONSENT => "`sotto dataset show` lists purposes; days are written 2027-01-31",
        NOT_ON_RECORD => "compare the id with the data; --even-if-unknown records it all the same",
        NO_REPLAY => "`sotto-participant status` says what the store lacks",
        NOT_SIGNED => "two of `[approvers]` sign the file: `sotto-participant budget sign`",
        APPROVAL_FILE => "`sotto-participant budget propose` writes a file, `budget key` a key",
        LOCAL => "the agent's log says more",
        WOULD_BE_REFUSED => "put the mapping or the files right, and check again",
        OTHER_VERSION => "restart the agent with the version that is installed",
        USAGE => "--help of the command",
        POLICIES => "`sotto policy check` names file and line",
        _ => "docs/errors.md explains the code",
    }
}

/// An error to show to a person or to a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `SOTTO-` and four digits.
    pub code: String,
    pub message: String,
    pub remedy: String,
}

impl Problem {
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            remedy: remedy(code).to_owned(),
        }
    }

    /// The same with a better way out.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// Reads what [`Self::to_json`] writes; an agent of before there were codes says it in words alone.
    pub fn of_answer(answer: &Value) -> Option<Self> {
        let error = answer.get("error")?;
        let text = |key: &str| error[key].as_str().map(str::to_owned);
        let (Some(code), Some(message)) = (text("code"), text("message")) else {
            return Some(Self::new(LOCAL, error.as_str().unwrap_or("refused")));
        };
        let problem = Self::new(&code, message);
        Some(match text("remedy") {
            Some(remedy) => problem.remedy(remedy),
            None => problem,
        })
    }

    /// As it goes over the socket and to standard output.
    pub fn to_json(&self) -> Value {
        json!({ "error": { "code": self.code, "message": self.message, "remedy": self.remedy, "exit": 1 } })
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "error[{}]: {}\n  try: {}", self.code, self.message, self.remedy)
    }
}

impl std::error::Error for Problem {}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let problem = Self::new(refusal.code, refusal.message);
        match refusal.remedy {
            Some(remedy) => problem.remedy(remedy),
            None => problem,
        }
    }
}

impl From<OrderError> for Problem {
    fn from(error: OrderError) -> Self {
        let code = match &error {
            OrderError::Consent(ConsentError::Import(ImportError::File { .. })) => CONSENT_FILE,
            OrderError::Consent(ConsentError::Import(ImportError::At { .. })) => CONSENT_ENTRY,
            OrderError::Consent(ConsentError::Store(_)) => LOCAL,
            OrderError::Consent(ConsentError::Population(_)) | OrderError::Which(_) | OrderError::NotRequired => {
                WHOSE_CONSENT
            }
            OrderError::Choice(_) | OrderError::Fault(_) => CONSENT,
            OrderError::Unknown(_) => NOT_ON_RECORD,
        };
        Self::new(code, error.to_string())
    }
}

impl From<ReplayRefused> for Problem {
    fn from(refused: ReplayRefused) -> Self {
        let code = match &refused {
            ReplayRefused::Unapproved(_) => NOT_SIGNED,
            _ => NO_REPLAY,
        };
        Self::new(code, refused.to_string())
    }
}

impl From<ConfigError> for Problem {
    fn from(error: ConfigError) -> Self {
        Self::new(CONFIGURATION, error.to_string())
    }
}

impl From<PolicyError> for Problem {
    fn from(error: PolicyError) -> Self {
        Self::new(POLICIES, error.to_string())
    }
}

impl From<ServingError> for Problem {
    fn from(error: ServingError) -> Self {
        match error {
            ServingError::Approval(problem) => problem,
            ServingError::Policy(error) => error.into(),
            ServingError::Store(_) | ServingError::Record(_) | ServingError::BoundingKey { .. } => {
                Self::new(LOCAL, error.to_string())
            }
            _ => Self::new(CONFIGURATION, error.to_string()),
        }
    }
}

impl From<Fatal> for Problem {
    fn from(fatal: Fatal) -> Self {
        match fatal {
            Fatal::Config(error) => error.into(),
            Fatal::Serving(error) => error.into(),
            Fatal::Identity(_) | Fatal::Name { .. } | Fatal::Metrics(_) => Self::new(CONFIGURATION, fatal.to_string()),
            _ => Self::new(LOCAL, fatal.to_string()),
        }
    }
}

impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Self {
        Self::new(LOCAL, error.to_string())
    }
}

impl From<serde_json::Error> for Problem {
    fn from(error: serde_json::Error) -> Self {
        Self::new(OTHER_VERSION, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_says_what_helps_and_is_said_for_one_thing_alone() {
        let source = include_str!("problem.rs");
        let consts = source
            .lines()
            .filter_map(|line| line.trim_start_matches("pub ").strip_prefix("const "));
        let codes: Vec<&str> = consts.filter_map(|line| line.split('"').nth(1)).collect();
        assert!(codes.len() > 14, "{codes:?}");
        let vague = |code: &&&str| remedy(code).starts_with("docs/errors.md");
        assert_eq!(codes.iter().filter(vague).collect::<Vec<_>>(), Vec::<&&str>::new());
        let once: std::collections::BTreeSet<_> = codes.iter().collect();
        assert_eq!(once.len(), codes.len());
    }

    #[test]
    fn what_goes_over_the_socket_is_read_back() {
        let problem = Problem::new(UNKNOWN, "unknown dataset `hart`").remedy("say `heart`");
        assert_eq!(Problem::of_answer(&problem.to_json()), Some(problem));
        let old = json!({ "error": "unknown dataset `hart`" });
        assert_eq!(Problem::of_answer(&old).unwrap().message, "unknown dataset `hart`");
        assert_eq!(Problem::of_answer(&json!({ "done": true })), None);
    }
}
