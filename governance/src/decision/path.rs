//! The way to a decision, for people: which rules were looked at, in order, and what each of them said. Nothing of it depends on data.
//!
//! A round decides with a silent path, which costs nothing and writes no word; a trial (`request::Request::sign_trial`) decides by the
//! same code with a path that is kept.

/// Rules of one decision: more are not kept, so that no answer grows without bound.
pub const MAX_STEPS: usize = 64;

/// What one rule said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Stable name of the rule, as refusals have it in brackets.
    pub rule: String,
    pub outcome: Outcome,
    pub detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    Refused,
    /// Looked at when a round runs, and not told of.
    Untold,
}

impl Outcome {
    pub const ALL: [Self; 3] = [Self::Passed, Self::Refused, Self::Untold];

    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Refused => "refused",
            Self::Untold => "untold",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == name)
    }
}

/// Steps as they are taken; none are written down on a silent path.
#[derive(Debug, Default)]
pub struct Path(Option<Vec<Step>>);

impl Path {
    /// What rounds decide with.
    pub fn silent() -> Self {
        Self(None)
    }

    /// What trials decide with.
    pub fn kept() -> Self {
        Self(Some(Vec::new()))
    }

    pub fn passed(&mut self, rule: &'static str, detail: impl FnOnce() -> String) {
        self.push(rule, Outcome::Passed, detail);
    }

    pub fn untold(&mut self, rule: &'static str, detail: impl FnOnce() -> String) {
        self.push(rule, Outcome::Untold, detail);
    }

    pub fn refused(&mut self, rule: &'static str, detail: impl FnOnce() -> String) {
        self.push(rule, Outcome::Refused, detail);
    }

    /// An empty path, kept if this one is: for what may turn out not to be the way.
    pub fn fork(&self) -> Self {
        Self(self.0.as_ref().map(|_| Vec::new()))
    }

    /// It was the way.
    pub fn join(&mut self, fork: Self) {
        if let Some(steps) = &mut self.0 {
            steps.extend(fork.into_steps());
            steps.truncate(MAX_STEPS);
        }
    }

    pub fn into_steps(self) -> Vec<Step> {
        self.0.unwrap_or_default()
    }

    fn push(&mut self, rule: &'static str, outcome: Outcome, detail: impl FnOnce() -> String) {
        if let Some(steps) = self.0.as_mut().filter(|steps| steps.len() < MAX_STEPS) {
            let (rule, detail) = (rule.to_owned(), detail());
            steps.push(Step { rule, outcome, detail });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_path_never_asks_for_words() {
        let mut path = Path::silent();
        path.passed("contract", || unreachable!("nobody reads it"));
        let mut fork = path.fork();
        fork.refused("budget", || unreachable!("nobody reads it"));
        path.join(fork);
        assert!(path.into_steps().is_empty());
    }

    #[test]
    fn a_kept_path_holds_what_each_rule_said_and_stays_short() {
        let mut path = Path::kept();
        path.passed("contract", || "version 3".to_owned());
        path.fork().refused("budget", || "a way not taken".to_owned());
        let mut fork = path.fork();
        fork.refused("budget", || "exhausted".to_owned());
        path.join(fork);
        (0..100).for_each(|_| path.untold("more", String::new));
        let steps = path.into_steps();
        assert_eq!(
            (steps[0].rule.as_str(), steps[0].outcome),
            ("contract", Outcome::Passed)
        );
        assert_eq!(
            (steps[1].outcome, steps[1].detail.as_str()),
            (Outcome::Refused, "exhausted")
        );
        assert_eq!(steps.len(), MAX_STEPS);
        assert!(Outcome::ALL.iter().all(|one| Outcome::parse(one.name()) == Some(*one)));
    }
}
