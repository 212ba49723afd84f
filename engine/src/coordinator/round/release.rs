//! What becomes of a sum: another round or a release, with a privacy statement that says what was really done. One job, one
//! release; the same question over the same data by the same cohort is answered from the books at no cost.

use governance::{Contract, Request};

use super::Head;
use super::unmask::Summed;
use crate::context::Planned;
use crate::coordinator::jobs::Prepared;
use crate::coordinator::{Coordinator, Turn};
use crate::ids::{AgentId, JobId};
use crate::message::RoundStart;
use crate::record::CoordinatorRecord;
use crate::release::{Receipt, Release, SignedRelease};
use crate::step::CoordinatorEvent;
use crate::workload::{Neighbours, Outcome, PlainSum};

/// What makes two questions one: plan, contract, analyst, purpose (people consent to a purpose), and who answers from which snapshot.
pub(crate) fn identity(planned: &Planned, request: &Request, owners: &[(AgentId, String)]) -> secagg::Digest {
    let mut parts: Vec<&[u8]> = vec![
        &planned.hash.0,
        &request.contract.0,
        request.analyst.as_bytes(),
        request.purpose.as_bytes(),
    ];
    for (agent, snapshot) in owners {
        parts.push(agent.as_str().as_bytes());
        parts.push(snapshot.as_bytes());
    }
    secagg::Digest::of("sottovoce/engine/v1/question", &parts)
}

impl Coordinator {
    /// A round ended well.
    pub(super) fn round_summed(&mut self, head: Head, summed: Summed, turn: &mut Turn) {
        let RoundStart { at, job, round, .. } = head.start;
        let Summed { sum, cohort } = summed;
        self.uploads.closed(at);
        for blame in sum.blames() {
            if let Some(agent) = head.name(blame.member) {
                self.epochs.bench(&agent, &self.config.limits, turn.now_ms);
                turn.misbehaved(
                    &agent,
                    crate::workload::Refusal::new(crate::codes::ABORT, blame.fault.to_string()),
                );
            }
        }
        let contributors = u32::from(sum.contributors());
        let digest = sum.digest();
        let plan = head.planned.plan.clone();
        let vector = sum.into_ring_vec();
        let plain = PlainSum::new(&vector, contributors, &plan);
        let Some(workload) = self.config.workloads.get(&head.request.kind).cloned() else {
            return;
        };
        let link = self.books.open(&job).and_then(|progress| progress.previous.as_ref());
        let state = link.map(|link| link.state.clone());
        let outcome = workload.absorb(&plan, round, state.as_deref(), &plain);
        turn.event(CoordinatorEvent::RoundSummed {
            job,
            round,
            at,
            contributors,
            cohort: cohort.len() as u32,
            figure: match &outcome {
                Ok(Outcome::Again { figure, .. }) => *figure,
                _ => None,
            },
        });
        match outcome {
            Ok(Outcome::Again { state, .. }) => {
                let grants = self.runs_under(&job);
                self.record(
                    CoordinatorRecord::Advanced {
                        job,
                        round,
                        previous_sum: digest,
                        terms: head.planned.terms,
                        contributors,
                        grants,
                        state,
                        sum: vector.into_bytes().into(),
                    },
                    turn,
                );
                self.jobs.advanced(&job, cohort);
                self.next_round(&head, turn);
            }
            Ok(Outcome::Done { release }) => {
                self.tell_round_ended(at, None, turn);
                self.answer(&head, &plain, cohort, digest, release, turn);
            }
            Err(refusal) => {
                self.tell_round_ended(at, None, turn);
                self.fail_job(job, refusal, turn);
            }
        }
    }

    /// Starts the next round with the message that ends this one, if it can start now on the same epoch.
    fn next_round(&mut self, head: &Head, turn: &mut Turn) {
        let RoundStart { at, job, .. } = head.start;
        if self.gives_way(&job, turn.now_ms) {
            return self.tell_round_ended(at, None, turn); // `schedule` goes on with whose turn it is
        }
        let Prepared::Go(next, gather) = self.prepare(job, turn.now_ms) else {
            return self.tell_round_ended(at, None, turn); // `schedule` says why and tries again
        };
        let same_epoch = next.start.at.epoch == at.epoch;
        let launched = self.launch(*next, *gather, turn);
        if same_epoch {
            self.tell_round_ended(at, Some(launched), turn);
        } else {
            self.tell_round_ended(at, None, turn);
            self.send_start(&launched, turn);
        }
    }

    fn answer(
        &mut self,
        head: &Head,
        plain: &PlainSum,
        cohort: std::collections::BTreeSet<AgentId>,
        sum: secagg::Digest,
        body: Vec<u8>,
        turn: &mut Turn,
    ) {
        let job = head.start.job;
        let Some(contract) = self.catalogue.contract(&head.request.contract).cloned() else {
            return;
        };
        let receipt = receipt(head, &contract, plain, cohort.len() as u32, sum);
        let release = Release {
            id: job,
            request_hash: head.start.request.hash(),
            analyst: head.request.analyst.clone(),
            dataset: head.request.dataset.clone(),
            body: String::from_utf8_lossy(&body).into_owned(),
            receipt,
        };
        let answered: Vec<_> = head
            .owners
            .iter()
            .filter(|(agent, _)| cohort.contains(agent))
            .cloned()
            .collect();
        let identity = (head.planned.plan.rounds == 1).then(|| identity(&head.planned, &head.request, &answered));
        self.publish(job, release, identity, turn);
    }

    /// Answers a job from an earlier release: no round, no charge.
    pub(in crate::coordinator) fn repeat(&mut self, job: JobId, earlier: &SignedRelease, turn: &mut Turn) {
        let Some(entry) = self.books.job(&job) else { return };
        let mut release = earlier.release.clone();
        release.receipt.repeated = Some(release.receipt.repeated.unwrap_or(release.id));
        release.receipt.attempts = 0;
        release.receipt.epsilon_charged = Some(0.0);
        release.id = job;
        release.request_hash = entry.hash;
        self.publish(job, release, None, turn);
    }

    fn publish(&mut self, job: JobId, release: Release, identity: Option<secagg::Digest>, turn: &mut Turn) {
        let repeated = release.receipt.repeated.is_some();
        let request_hash = release.request_hash.0;
        let release = Box::new(SignedRelease::sign(release, &self.config.signing_key));
        let at_ms = turn.now_ms;
        let adds = self.books.job(&job).filter(|_| !repeated).and_then(|entry| {
            let workload = self.config.workloads.get(&entry.request.kind)?;
            workload.adds(&entry.request, release.release.body.as_bytes())
        });
        self.log_release(job, &release, adds.as_ref(), turn);
        let grants = match release.release.receipt.repeated {
            Some(first) => self.books.grants_of(&first).clone(),
            None => self.runs_under(&job),
        };
        self.record(
            CoordinatorRecord::Released {
                release,
                identity,
                at_ms,
                adds,
                grants,
            },
            turn,
        );
        self.jobs.ended(&job);
        turn.event(CoordinatorEvent::Witnessing { job });
        self.tell_ended(job, request_hash, turn);
    }
}

fn receipt(head: &Head, contract: &Contract, plain: &PlainSum, cohort: u32, sum: secagg::Digest) -> Receipt {
    let (plan, terms) = (&head.planned.plan, head.planned.terms);
    let rounds = head.start.round + 1;
    // A run that ends early leaves the token of its next round set aside in vain.
    let ended_early = rounds < plan.rounds;
    let tokens = u64::from(rounds + head.start.attempt + u32::from(ended_early));
    let delta = head.request.delta;
    let unit = contract.privacy_unit.clone().unwrap_or_else(|| "row".to_owned());
    let sites = match contract.contribution.participants {
        1 => "one participant".to_owned(),
        sites => format!("up to {sites} participants"),
    };
    let whole = plan.charge.times(u64::from(rounds));
    let mechanism = match plan.variance {
        0 => "secure aggregation only: exact sum, no noise, no differential privacy".to_owned(),
        variance => format!(
            "discrete Gaussian in shares of variance {variance}: {} accounted for, {} present",
            terms.honest_shares(),
            plain.contributors
        ),
    };
    Receipt {
        neighbouring: match (plan.variance, plan.neighbours, &contract.privacy_unit) {
            // Between no two datasets is anything claimed.
            (0, ..) => "none: nothing is claimed about neighbouring data".to_owned(),
            (_, Neighbours::Sites, _) => "all data of one participant replaced".to_owned(),
            (_, Neighbours::Units, Some(unit)) => format!("all rows of one {unit} added or removed at {sites}"),
            (_, Neighbours::Units, None) => format!("one row added or removed at {sites}"),
        },
        unit,
        epsilon: epsilon(&whole, delta),
        delta,
        rho: rho(&whole),
        epsilon_charged: epsilon(&plan.charge.times(tokens), delta),
        mechanism,
        contributors: plain.contributors,
        cohort,
        members: terms.n,
        s_min: terms.s_min,
        c: terms.c,
        rounds,
        attempts: head.start.attempt + 1,
        contract: head.request.contract,
        plan: head.planned.hash,
        sum,
        repeated: None,
    }
}

fn epsilon(charge: &privacy::Charge, delta: f64) -> Option<f64> {
    let epsilon = privacy::cost::epsilon(charge, delta);
    (!charge.is_infinite() && epsilon.is_finite()).then_some(epsilon)
}

/// A zCDP parameter that covers every order held.
fn rho(charge: &privacy::Charge) -> Option<f64> {
    (!charge.is_infinite()).then(|| privacy::cost::rho(charge))
}
