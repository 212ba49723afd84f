//! The integers that a unit becomes: its clipped vector, then what it adds to `loss` and to `count`. A unit adds all of
//! it or nothing, and all of it together is never longer than `whole_squared`; `proofs/clipped-sums.md`.

/// Adding it and taking it away again rounds a double below 2^51 in size to the nearest integer, ties to even, without
/// a call. A larger one may come out as a half: its square is then beyond `EXACT`, and the unit is dropped.
pub(super) const ROUND: f64 = 6_755_399_441_055_744.0;
/// Integers in doubles are exact up to here.
pub(super) const EXACT: f64 = 9_007_199_254_740_992.0;
/// The largest radius of a lattice: sums of thousands of units stay below 2^53.
pub const MAX_RADIUS: u64 = 1 << 40;
/// Components at the end of every vector, behind the gradient or update: `loss`, then `count`.
pub const FIGURES: usize = 2;
/// Of the radius, what a unit weighs in each figure. Both together lengthen a unit by a factor `sqrt(1 + 2/64)`, which
/// is 1.6 % more noise on everything; a larger share would make the loss clearer and the model worse.
const FIGURE_SHARE: u64 = 8;

/// The integers that a clipped vector is rounded to: clip norm C, C s = `radius` lattice units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitLattice {
    radius: u64,
}

impl UnitLattice {
    /// `None` beyond `MAX_RADIUS`, where sums would not be exact, or at zero.
    pub fn new(radius: u64) -> Option<Self> {
        (1..=MAX_RADIUS).contains(&radius).then_some(Self { radius })
    }

    pub fn radius(&self) -> u64 {
        self.radius
    }

    /// `floor(radius^2 (1 + 2^-10)^2)`: no unit's gradient or update is longer, squared.
    pub fn bound_squared(&self) -> u128 {
        (u128::from(self.radius) * 1025).pow(2) >> 20
    }

    /// What a unit adds to `count`, and the most that it adds to `loss`.
    pub fn weight(&self) -> u64 {
        (self.radius / FIGURE_SHARE).max(1)
    }

    /// No unit's whole vector, loss and count included, is longer, squared: what neighbours are charged for.
    pub fn whole_squared(&self) -> u128 {
        self.bound_squared() + 2 * u128::from(self.weight()).pow(2)
    }

    /// The largest component a unit's vector can have.
    pub fn reach(&self) -> u64 {
        (self.bound_squared().isqrt() as u64).max(self.weight())
    }

    /// What a unit adds to `loss`, its mean loss given as a share of the bound; `None` if that is no finite number. A
    /// loss beyond the bound counts as the bound.
    pub fn loss(&self, share: f64) -> Option<i64> {
        let integer = || ((share.clamp(0.0, 1.0) * self.weight() as f64 + ROUND) - ROUND) as i64;
        share.is_finite().then(integer)
    }

    /// Adds one unit to `out`: `vector * (C s / C)`, clipped and rounded, then loss and count. `false` and untouched if
    /// vector or loss is not finite or the vector came out too long.
    pub fn add(&self, vector: &[f64], clip_norm: f64, loss_share: f64, out: &mut [i64]) -> bool {
        let norm = sum_squares(vector).sqrt();
        let scale = self.radius as f64 / norm.max(clip_norm);
        if !(norm.is_finite() && scale.is_finite()) {
            return false;
        }
        let integer = |x: &f64| ((x * scale + ROUND) - ROUND) as i64;
        let squared: u128 = vector
            .iter()
            .map(|x| u128::from(integer(x).unsigned_abs()).pow(2))
            .sum();
        let Some(loss) = self.loss(loss_share).filter(|_| squared <= self.bound_squared()) else {
            return false;
        };
        let (own, figures) = split(out);
        own.iter_mut().zip(vector).for_each(|(own, x)| *own += integer(x));
        figures[0] += loss;
        figures[1] += self.weight() as i64;
        true
    }
}

/// A vector, and the two figures at its end.
pub(super) fn split<T>(out: &mut [T]) -> (&mut [T], &mut [T; FIGURES]) {
    // Unwrap safety: callers size it as a plan's `dim`, which counts the figures.
    out.split_last_chunk_mut().expect("a vector ends with loss and count")
}

/// Eight running sums, so that the compiler may use its vectors. Exact for integers while it is below 2^53; and never
/// below 2^53 if the truth is not, as rounding is monotone.
pub(super) fn sum_squares(values: &[f64]) -> f64 {
    let (eights, rest) = values.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for eight in eights {
        for (sum, x) in sums.iter_mut().zip(eight) {
            *sum += x * x;
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(|x| x * x).sum::<f64>()
}
