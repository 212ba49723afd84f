//! A job followed round by round. The coordinator's news are a watch: a slow reader sees the newest only, so what is timed
//! is when each round number is first seen to start, and rounds that went by unseen share the time between two sightings.
//! The first round, which plans, connects and reads what later rounds find ready, is left out of every figure but `seconds`.
//! Costs one message a round, and one question to each agent when the first round ends.

use std::time::Instant;

use sottovoce::{Client, Event, Problem, Question, Released};

use crate::consortium::{Consortium, Counters};

/// A job that was released, and when its rounds began.
pub struct Watched {
    /// Round number and when it was first seen; the last one is the release, as if one more round had begun.
    marks: Vec<(u32, Instant)>,
    /// Attempts that failed: their rounds took longer than a round does.
    pub retries: u32,
    pub released: Box<Released>,
    /// Wall seconds from submission to the release.
    pub seconds: f64,
    /// The first round after round 0 that was seen to begin, and what had been used by then.
    warm: Option<(u32, Counters)>,
    ended: Counters,
}

impl Watched {
    /// Submits and follows to the release.
    pub async fn job(consortium: &Consortium, client: &mut Client, question: Question) -> Result<Self, Problem> {
        let request = client.sign(question)?;
        let began = Instant::now();
        let job = client.submit(request).await?.job;
        let mut events = client.watch(&job).await?;
        let mut marks: Vec<(u32, Instant)> = Vec::new();
        let (mut rounds, mut attempt, mut retries) = (0, 0, 0);
        let mut warm = None;
        loop {
            match events.next().await? {
                Some(Event::Progress(news)) if news.phase == "round" => {
                    if marks.last().is_none_or(|(round, _)| *round < news.round) {
                        marks.push((news.round, Instant::now()));
                        if warm.is_none() && news.round > 0 {
                            warm = Some((news.round, consortium.count().await));
                        }
                    } else {
                        retries += news.attempt.saturating_sub(attempt);
                    }
                    (rounds, attempt) = (news.rounds, news.attempt);
                }
                Some(Event::Progress(_)) => {}
                Some(Event::Released(released)) => {
                    marks.push((rounds, Instant::now()));
                    return Ok(Self {
                        marks,
                        retries,
                        released,
                        seconds: began.elapsed().as_secs_f64(),
                        warm,
                        ended: consortium.count().await,
                    });
                }
                Some(Event::Failed(problem)) => return Err(problem),
                None => {
                    let message = "the coordinator closed the stream of a measured job";
                    return Err(Problem::local("measurement", message).remedy("measure again"));
                }
            }
        }
    }

    /// What all parties used in each warm round, on average; none if no round after the first was seen to begin.
    pub fn used_per_round(&self) -> Option<Counters> {
        let (from, then) = self.warm.as_ref()?;
        let (to, _) = self.marks.last()?;
        Some(self.ended.per_round(then, to.checked_sub(*from)?))
    }

    /// Wall seconds of each round but the first.
    pub fn round_seconds(&self) -> Vec<f64> {
        let warm = self.marks.iter().skip_while(|(round, _)| *round == 0);
        let warm: Vec<_> = warm.collect();
        let pairs = warm.windows(2).flat_map(|pair| {
            let rounds = pair[1].0.saturating_sub(pair[0].0);
            let each = (pair[1].1 - pair[0].1).as_secs_f64() / f64::from(rounds.max(1));
            std::iter::repeat_n(each, rounds as usize)
        });
        pairs.collect()
    }
}
