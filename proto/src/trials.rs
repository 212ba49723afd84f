//! Trials and the ways of decisions that come back, on all three legs of their way: analyst, coordinator, agent. What an agent says is
//! bounded and made fit for a terminal where it arrives.

use engine::message::{Trial, TrialAnswer};
use governance::SignedTrial;
use governance::decision::path::{MAX_STEPS, Outcome, Step};
use prost::bytes::Bytes;
use std::sync::Arc;

use crate::v1;
use crate::wire::{
    MAX_DOCUMENT, MAX_NAME, MAX_SENTENCE, Malformed, at_most, cut, fixed, job, printable, required, text,
};

impl From<&SignedTrial> for v1::SignedTrial {
    fn from(trial: &SignedTrial) -> Self {
        Self {
            body: Bytes::copy_from_slice(&trial.body),
            signature: Bytes::copy_from_slice(&trial.signature),
        }
    }
}

impl TryFrom<v1::SignedTrial> for SignedTrial {
    type Error = Malformed;

    fn try_from(trial: v1::SignedTrial) -> Result<Self, Malformed> {
        at_most("trial", MAX_DOCUMENT, trial.body.len())?;
        Ok(Self {
            body: trial.body.into(),
            signature: fixed::<64>("trial signature", &trial.signature)?.to_vec(),
        })
    }
}

impl From<Trial> for v1::Trial {
    fn from(trial: Trial) -> Self {
        Self {
            id: Bytes::copy_from_slice(&trial.id.0),
            trial: Some((&*trial.trial).into()),
            epoch: trial.epoch,
            s_min: trial.s_min,
            timeout_ms: trial.timeout_ms,
        }
    }
}

impl TryFrom<v1::Trial> for Trial {
    type Error = Malformed;

    fn try_from(trial: v1::Trial) -> Result<Self, Malformed> {
        Ok(Self {
            id: job(&trial.id)?,
            trial: Arc::new(required("trial", trial.trial)?.try_into()?),
            epoch: trial.epoch,
            s_min: trial.s_min,
            timeout_ms: trial.timeout_ms,
        })
    }
}

impl From<TrialAnswer> for v1::DecisionPath {
    fn from(answer: TrialAnswer) -> Self {
        let step = |step: Step| v1::DecisionStep {
            rule: cut(step.rule, MAX_NAME),
            outcome: step.outcome.name().to_owned(),
            detail: cut(step.detail, MAX_SENTENCE),
        };
        Self {
            steps: answer.steps.into_iter().map(step).collect(),
            refused: answer.refused.map(Into::into),
        }
    }
}

impl TryFrom<v1::DecisionPath> for TrialAnswer {
    type Error = Malformed;

    fn try_from(path: v1::DecisionPath) -> Result<Self, Malformed> {
        at_most("steps of a decision", MAX_STEPS, path.steps.len())?;
        let step = |step: v1::DecisionStep| {
            let outcome = Outcome::parse(&step.outcome).ok_or(Malformed::Unreadable("outcome of a step"))?;
            Ok(Step {
                rule: printable(text("rule", MAX_NAME, step.rule)?),
                outcome,
                detail: printable(text("step of a decision", MAX_SENTENCE, step.detail)?),
            })
        };
        Ok(Self {
            steps: path.steps.into_iter().map(step).collect::<Result<_, Malformed>>()?,
            refused: path.refused.map(TryInto::try_into).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use engine::Refused;

    use super::*;

    fn answer() -> TrialAnswer {
        let step = |rule: &str, outcome| Step {
            rule: rule.to_owned(),
            outcome,
            detail: "so it is".to_owned(),
        };
        TrialAnswer {
            steps: vec![
                step("contract", Outcome::Passed),
                step("grant.revoked", Outcome::Refused),
            ],
            refused: Some(Refused {
                code: "SOTTO-3021".to_owned(),
                message: "the grant is revoked".to_owned(),
                remedy: None,
            }),
        }
    }

    #[test]
    fn a_path_arrives_as_it_was_said() {
        let sent = v1::DecisionPath::from(answer());
        assert_eq!(TrialAnswer::try_from(sent), Ok(answer()));
    }

    #[test]
    fn a_path_that_is_too_long_or_of_another_kind_is_refused_and_words_cannot_steer_a_terminal() {
        let mut long = v1::DecisionPath::from(answer());
        long.steps = vec![long.steps[0].clone(); MAX_STEPS + 1];
        assert!(matches!(TrialAnswer::try_from(long), Err(Malformed::Oversized { .. })));
        let mut other = v1::DecisionPath::from(answer());
        other.steps[0].outcome = "perhaps".to_owned();
        assert_eq!(
            TrialAnswer::try_from(other),
            Err(Malformed::Unreadable("outcome of a step"))
        );
        let mut sly = v1::DecisionPath::from(answer());
        sly.steps[0].detail = "fine\x1b[2J\nSOTTO-0000".to_owned();
        let read = TrialAnswer::try_from(sly).unwrap();
        assert!(!read.steps[0].detail.chars().any(char::is_control));
    }
}
