//! What owners said to a trial: how each of them would decide a question, rule by rule. A trial is signed here, in a domain of its own;
//! nothing is submitted, charged or logged.

use std::time::Duration;

use engine::message::TrialAnswer;
use governance::decision::path::Outcome;
use proto::{printable, v1};
use serde_json::{Value, json};

use crate::client::{Question, refused, timed};
use crate::released::unreadable;
use crate::{Client, Exit, Problem};

/// How long a trial stays valid: answered at once or not at all.
const VALID: Duration = Duration::from_secs(120);

/// One owner's way to its decision.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnerPath {
    pub participant: String,
    pub organisation: String,
    /// None: it did not say in time.
    pub answer: Option<TrialAnswer>,
}

impl Client {
    /// Asks every owner of the dataset how it would decide this question.
    pub async fn explain(&mut self, question: Question) -> Result<Vec<OwnerPath>, Problem> {
        let question = Question {
            valid_for: VALID,
            ..question
        };
        let trial = self
            .request(question)?
            .sign_trial(&self.signing_key()?)
            .map_err(|error| Problem::new(Exit::Refused, "SOTTO-7301", error.to_string()))?;
        let explained = self
            .rpc
            .explain(timed(v1::SignedTrial::from(&trial)))
            .await
            .map_err(refused)?;
        let owners = explained.into_inner().owners.into_iter();
        owners.map(OwnerPath::try_from).collect()
    }
}

impl TryFrom<v1::OwnerPath> for OwnerPath {
    type Error = Problem;

    fn try_from(owner: v1::OwnerPath) -> Result<Self, Problem> {
        Ok(Self {
            participant: printable(owner.participant),
            organisation: printable(owner.organisation),
            answer: owner.path.map(TrialAnswer::try_from).transpose().map_err(unreadable)?,
        })
    }
}

impl OwnerPath {
    /// allow, refuse or silent.
    pub fn verdict(&self) -> &'static str {
        match &self.answer {
            None => "silent",
            Some(TrialAnswer { refused: None, .. }) => "allow",
            Some(_) => "refuse",
        }
    }

    pub fn to_json(&self) -> Value {
        let steps = self.answer.iter().flat_map(|answer| &answer.steps);
        let steps =
            steps.map(|step| json!({ "rule": step.rule, "outcome": step.outcome.name(), "detail": step.detail }));
        json!({
            "participant": self.participant,
            "organisation": self.organisation,
            "verdict": self.verdict(),
            "refused": self.answer.as_ref().and_then(|answer| answer.refused.as_ref()),
            "steps": steps.collect::<Vec<_>>(),
        })
    }

    /// A heading, a line for each rule, and what would help.
    pub fn words(&self) -> String {
        let mut text = format!("{}, {}: {}", self.participant, self.organisation, self.verdict());
        let Some(answer) = &self.answer else {
            return text + " (it did not say in time; `sotto participant` shows who is online)\n";
        };
        if let Some(refused) = &answer.refused {
            text += &format!(" ({})", refused.code);
        }
        text.push('\n');
        let wide = answer
            .steps
            .iter()
            .map(|step| step.rule.len())
            .max()
            .unwrap_or_default();
        for step in &answer.steps {
            let mark = match step.outcome {
                Outcome::Passed => "yes",
                Outcome::Refused => "NO ",
                Outcome::Untold => "?  ",
            };
            text += &format!("  {mark} {:wide$}  {}\n", step.rule, step.detail);
        }
        if let Some(refused) = &answer.refused {
            if answer.steps.last().is_none_or(|step| step.outcome != Outcome::Refused) {
                text += &format!("  NO  {}\n", refused.message);
            }
            if let Some(remedy) = &refused.remedy {
                text += &format!("  to be allowed: {remedy}\n");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use engine::Refused;
    use governance::decision::path::Step;

    use super::*;

    fn owner(refused: Option<Refused>) -> OwnerPath {
        let step = |rule: &str, outcome, detail: &str| Step {
            rule: rule.to_owned(),
            outcome,
            detail: detail.to_owned(),
        };
        let last = match refused {
            Some(_) => step("grant.revoked", Outcome::Refused, "grant 3f9c is revoked"),
            None => step("budget", Outcome::Untold, "your part covers it"),
        };
        OwnerPath {
            participant: "cleveland".to_owned(),
            organisation: "Cleveland Clinic".to_owned(),
            answer: Some(TrialAnswer {
                steps: vec![step("contract", Outcome::Passed, "version 1"), last],
                refused,
            }),
        }
    }

    #[test]
    fn a_way_reads_from_the_first_rule_to_what_would_help() {
        let refused = Refused {
            code: "SOTTO-3021".to_owned(),
            message: "not on the list, and grant 3f9c is revoked [grant.revoked]".to_owned(),
            remedy: Some("ask for a new one".to_owned()),
        };
        let said = owner(Some(refused));
        assert_eq!(
            said.words(),
            "cleveland, Cleveland Clinic: refuse (SOTTO-3021)\n  \
             yes contract       version 1\n  \
             NO  grant.revoked  grant 3f9c is revoked\n  \
             to be allowed: ask for a new one\n"
        );
        assert_eq!(said.to_json()["refused"]["code"], "SOTTO-3021");
        assert_eq!(said.to_json()["steps"][1]["outcome"], "refused");
        let allowed = owner(None);
        assert_eq!(
            (allowed.verdict(), allowed.to_json()["refused"].is_null()),
            ("allow", true)
        );
        assert!(
            allowed.words().contains("?   budget    your part covers it"),
            "{}",
            allowed.words()
        );
        let silent = OwnerPath {
            answer: None,
            ..allowed
        };
        assert!(silent.words().contains("silent") && silent.to_json()["verdict"] == "silent");
    }
}
