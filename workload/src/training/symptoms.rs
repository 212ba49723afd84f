//! What a finished run shows of a learning rate that was too large: post-processing of what was released, so it costs nothing.
//!
//! A private run seldom leaves the finite numbers. A step moves the model by at most the learning rate times the clip, and a loss is cut at a
//! public bound, so a run that diverged ends with numbers like any other. Two signs are left: the loss rose, or the model's numbers are so
//! large that they are of no use. The second is needed beside the first: a model of two classes that is certain and wrong
//! about half of the rows shows 2 ln 2 on one half and 0 on the other, which is the ln 2 that it began with.

use super::curve::LossPoint;
use super::release::TrainRelease;
use serde::Serialize;

/// Half of a 95 % interval of a normal law, in standard deviations.
const TWO_SIDED: f64 = 1.96;
/// The share of the curve that stands for its end.
const END: usize = 5;
/// Who takes part moves a loss by as much, also where no noise does.
const LEAST: f64 = 0.01;
/// Features lie in [-1, 1]: a number beyond this makes any chance 0 or 1, and a number of the target one far out of its bounds.
const OVERGROWN: f64 = 50.0;

/// A loss that lies higher at the end of a run than at its start, further than its noise explains.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rise {
    pub start: f64,
    /// Mean of about the last fifth of the curve.
    pub end: f64,
    /// Half of the 95 % interval of their difference, by the noise alone.
    pub margin: f64,
}

impl TrainRelease {
    /// Whether the loss rose; `None` as well where the noise hides it.
    pub fn loss_rose(&self) -> Option<Rise> {
        rise(&self.losses)
    }

    /// The largest number of a model that has outgrown all use.
    pub fn overgrown(&self) -> Option<f64> {
        let weights = self.model.weights().ok()?;
        let largest = weights.iter().fold(0.0f64, |most, x| most.max(x.abs()));
        (largest > OVERGROWN).then_some(largest)
    }
}

fn rise(points: &[LossPoint]) -> Option<Rise> {
    let known = |point: &LossPoint| Some((point.loss?.get(), point.deviation?.get()));
    let (first, rest) = points.split_first()?;
    let (start, start_deviation) = known(first)?;
    let last = points.len().div_ceil(END).min(rest.len());
    let end: Vec<(f64, f64)> = rest[rest.len() - last..].iter().filter_map(known).collect();
    let count = end.len() as f64;
    let mean = end.iter().map(|(loss, _)| loss).sum::<f64>() / count;
    let variance = end.iter().map(|(_, deviation)| deviation * deviation).sum::<f64>() / (count * count);
    let margin = TWO_SIDED * (variance + start_deviation * start_deviation).sqrt();
    let rose = Rise {
        start,
        end: mean,
        margin,
    };
    // Not of an empty end: its mean is no number, and no number is above another.
    (mean - start > margin.max(LEAST * start.abs())).then_some(rose)
}

#[cfg(test)]
mod tests {
    use super::*;
    use governance::canonical::Real;

    fn curve(losses: &[Option<f64>], deviation: f64) -> Vec<LossPoint> {
        let point = |(round, loss): (u32, &Option<f64>)| LossPoint {
            from_round: round,
            to_round: round,
            loss: loss.and_then(Real::new),
            deviation: loss.and(Real::new(deviation)),
        };
        (0..).zip(losses).map(point).collect()
    }

    #[test]
    fn a_loss_that_ends_above_its_start_is_told_and_one_within_its_noise_is_not() {
        let rising = [0.7, 0.9, 1.0, 1.1, 1.2, 1.2, 1.3, 1.3, 1.3, 1.3].map(Some);
        let rose = rise(&curve(&rising, 0.1)).unwrap();
        assert_eq!((rose.start, rose.end), (0.7, 1.3));
        // A point's deviation at the start, and that of two points at the end.
        assert!(
            (rose.margin - 1.96 * (0.01f64 + 0.005).sqrt()).abs() < 1e-12,
            "{rose:?}"
        );
        assert_eq!(rise(&curve(&rising, 0.5)), None);
        let falling = rising.iter().rev().copied().collect::<Vec<_>>();
        assert_eq!(rise(&curve(&falling, 0.0)), None);
    }

    #[test]
    fn who_takes_part_is_no_rise_and_what_the_noise_ate_is_none() {
        assert_eq!(rise(&curve(&[Some(0.7), Some(0.705)], 0.0)), None);
        assert!(rise(&curve(&[Some(0.7), Some(0.72)], 0.0)).is_some());
        for lost in [&[][..], &[Some(0.7)], &[None, Some(0.9)], &[Some(0.7), None]] {
            assert_eq!(rise(&curve(lost, 0.0)), None, "{lost:?}");
        }
    }
}
