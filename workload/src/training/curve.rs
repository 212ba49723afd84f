//! The loss over a run, from the two figures at the end of every sum: at most 256 blocks of whole rounds, so that a million
//! rounds cost six kilobytes of state. A block is a sum over its rounds, in units rather than in lattice units, as another
//! attempt may run on another lattice; when there are 256 and another round comes, neighbours merge.
//!
//! The loss of a block is its loss over *its own* count. Pooling the count of a whole run would spare at most the count's
//! share of the noise (a tenth where the loss is half of its bound), but a round that a large participant missed has a
//! smaller count per contributor than the run, and would show a loss that nobody has; and the chance of who is sampled,
//! which falls out of the quotient, would stay in. + - * / sqrt only: every agent keeps the same curve on any CPU.

use super::plan::TrainPlan;
use engine::PlainSum;
use governance::canonical::Real;
use serde::{Deserialize, Serialize};

/// Blocks that are kept.
const BLOCKS: u32 = 256;
/// Deviations of its noise that a count has to be above zero before anything is divided by it.
const CLEARLY: f64 = 3.0;
/// The share of a run that its last figure is about.
const TAIL: u32 = 20;

/// Sums of `loss` (in shares of its bound) and `count` over blocks of whole rounds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    blocks: Vec<Block>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Block {
    loss: f64,
    count: f64,
    /// Of the noise on each of the two.
    variance: f64,
}

/// The mean loss of the units that took part in these rounds, each at the model before its round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossPoint {
    /// First and last round, counted from 0.
    pub from_round: u32,
    pub to_round: u32,
    /// `None` where the count is lost in the noise.
    pub loss: Option<Real>,
    /// Standard deviation that the noise alone explains.
    pub deviation: Option<Real>,
}

impl Curve {
    /// Appends the figures of round `round`, counted from 0.
    pub(super) fn push(&mut self, plan: &TrainPlan, round: u32, sum: &PlainSum) {
        let Some(lattice) = plan.lattice() else { return };
        let unit = lattice.weight() as f64;
        let [.., loss, count] = sum.values[..] else { return };
        self.append(
            round,
            Block {
                loss: loss as f64 / unit,
                count: count as f64 / unit,
                variance: sum.variance as f64 / (unit * unit),
            },
        );
    }

    fn append(&mut self, round: u32, block: Block) {
        let width = width(round + 1);
        if width > self::width(round) {
            let merged = self.blocks.chunks(2).map(|pair| pair.iter().copied().sum());
            self.blocks = merged.collect();
        }
        match self.blocks.last_mut() {
            Some(last) if !round.is_multiple_of(width) => *last = [*last, block].into_iter().sum(),
            _ => self.blocks.push(block),
        }
    }

    /// Numbers of a curve after this many rounds.
    pub(super) fn numbers_after(rounds: u32) -> usize {
        3 * rounds.div_ceil(width(rounds)) as usize
    }

    pub(super) fn numbers(&self) -> Vec<f64> {
        self.blocks.iter().flat_map(|b| [b.loss, b.count, b.variance]).collect()
    }

    /// The inverse of `numbers`; `None` if a variance is below zero.
    pub(super) fn from_numbers(numbers: &[f64]) -> Option<Self> {
        let block = |[loss, count, variance]: &[f64; 3]| {
            (*variance >= 0.0).then_some(Block {
                loss: *loss,
                count: *count,
                variance: *variance,
            })
        };
        let (blocks, rest) = numbers.as_chunks::<3>();
        let blocks = blocks.iter().map(block).collect::<Option<Vec<_>>>()?;
        rest.is_empty().then_some(Self { blocks })
    }

    /// What is known after `rounds` rounds, a point a block.
    pub fn points(&self, plan: &TrainPlan, rounds: u32) -> Vec<LossPoint> {
        let width = width(rounds);
        let point = |(i, block): (u32, &Block)| {
            let (loss, deviation) = block.read(plan).unzip();
            LossPoint {
                from_round: i * width,
                to_round: ((i + 1) * width).min(rounds) - 1,
                loss: loss.and_then(Real::new),
                deviation: deviation.and_then(Real::new),
            }
        };
        (0..).zip(&self.blocks).map(point).collect()
    }

    /// The loss over about the last twentieth of the planned rounds, so that it is not all noise.
    pub(super) fn newest(&self, plan: &TrainPlan, rounds: u32) -> Option<f64> {
        let width = width(rounds);
        // The last block may have begun just now: another whole one makes up for it.
        let begun = u32::from(!rounds.is_multiple_of(width));
        let blocks = plan.task.rounds.div_ceil(TAIL).div_ceil(width) + begun;
        let tail = self.blocks.iter().rev().take(blocks as usize).copied();
        tail.sum::<Block>().read(plan).map(|(loss, _)| loss)
    }
}

impl Block {
    /// Loss and its deviation, if the count is clearly there. A quotient of two sums with noise of one variance s^2 each
    /// varies by `s / count * sqrt(1 + (loss / count)^2)`, to first order.
    fn read(&self, plan: &TrainPlan) -> Option<(f64, f64)> {
        let deviation = self.variance.sqrt();
        if self.count <= 0.0 || self.count < CLEARLY * deviation {
            return None;
        }
        let (bound, share) = (plan.shape.loss_bound(), self.loss / self.count);
        Some((
            bound * share,
            bound * deviation / self.count * (1.0 + share * share).sqrt(),
        ))
    }
}

impl std::iter::Sum for Block {
    fn sum<I: Iterator<Item = Self>>(blocks: I) -> Self {
        blocks.fold(Self::default(), |a, b| Self {
            loss: a.loss + b.loss,
            count: a.count + b.count,
            variance: a.variance + b.variance,
        })
    }
}

/// Rounds of a block after this many: the smallest power of two with which they fit.
fn width(rounds: u32) -> u32 {
    rounds.div_ceil(BLOCKS).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_keeps_every_round_in_at_most_256_blocks_and_survives_its_numbers() {
        let mut curve = Curve::default();
        for round in 0..3000u32 {
            assert_eq!(curve.numbers().len(), Curve::numbers_after(round));
            curve.append(
                round,
                Block {
                    loss: f64::from(round),
                    count: 1.0,
                    variance: 2.0,
                },
            );
            let width = width(round + 1);
            assert!(curve.blocks.len() <= 256);
            let full = curve.blocks[..curve.blocks.len() - 1].iter();
            assert!(full.clone().all(|block| block.count == f64::from(width)));
            assert_eq!(curve.blocks.iter().map(|b| b.count).sum::<f64>(), f64::from(round + 1));
        }
        let last = curve.blocks[curve.blocks.len() - 1];
        // 3000 = 187 blocks of 16 rounds, and 8 more.
        assert_eq!((curve.blocks.len(), last.count), (188, 8.0));
        assert_eq!(last.loss, (2992..3000).map(f64::from).sum::<f64>());
        assert_eq!(Curve::numbers_after(1_000_000), 3 * 245);
        assert_eq!(Curve::from_numbers(&curve.numbers()).unwrap(), curve);
        assert!(Curve::from_numbers(&[0.0, 1.0, -1.0]).is_none() && Curve::from_numbers(&[0.0]).is_none());
    }
}
