//! The lattice and the noise of a run: the finest lattice that a 32-bit sum has room for (64 bits where it has none),
//! and the smallest integer variance with which all rounds together cost the asked epsilon at the order its cap stands
//! at. An impossible budget is refused with the smallest epsilon for these rounds and the most rounds for this epsilon.

use super::error::{BUDGET, SATURATES};
use super::model::{MAX_RADIUS, UnitLattice};
use engine::{CohortTerms, Refusal, Ring};
use privacy::cost::{
    Charge, GaussianTerms, calibrate_steps, cap_order, distributed_gaussian, epsilon_at, poisson_sampled,
};
use privacy::sampler::MAX_VARIANCE;

/// `sqrt(d) / (C s) <= 2^-10`: rounding lengthens no vector by more than the bound allows.
const PER_ROOT_DIM: f64 = 1024.0;
/// The coarsest lattice, whatever the dimension: factors of a gradient are then rounded to at least eight bits.
const COARSEST: u64 = 1 << 16;
/// The finest in 32 bits; beyond it nothing is gained.
const FINEST_SHORT: u64 = 1 << 20;
/// In 64 bits, with noise and without.
const LONG: u64 = 1 << 24;
const NOISELESS: u64 = 1 << 36;

/// What a run asks of its lattice.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    /// Components, loss and count included.
    pub dim: usize,
    /// Neighbours differ by this many clipped vectors at one participant: 1 for a unit, 2 for a replaced update.
    pub vectors: u64,
    /// Participants that one person may appear at.
    pub sites: u64,
    /// Clipped vectors that one participant's sum may hold.
    pub most: u64,
    /// Rate at which one participant samples.
    pub q: f64,
    pub rounds: u32,
    pub epsilon: f64,
    pub delta: f64,
    pub cohort: CohortTerms,
}

pub(super) struct Fitted {
    pub ring: Ring,
    pub radius: u64,
    /// Each component of a participant is clamped to this.
    pub clip: i64,
    pub variance: u64,
}

impl Wish {
    /// What the cost of one round depends on.
    pub fn terms(&self, radius: u64, variance: u64) -> GaussianTerms {
        let bound = UnitLattice::new(radius).map_or(u128::MAX, |l| l.whole_squared());
        let vectors = u128::from(self.vectors) * u128::from(self.sites);
        let l2_squared = bound.saturating_mul(vectors * vectors);
        // |x|_1 <= sqrt(d) |x|_2.
        let l1 = l2_squared.saturating_mul(self.dim as u128).isqrt() + 1;
        GaussianTerms {
            shares: self.cohort.honest_shares(),
            variance,
            l2_squared,
            l1,
            dim: self.dim as u64,
        }
    }

    /// The rate at which a person takes part in a round anywhere.
    pub fn rate(&self) -> f64 {
        if self.q >= 1.0 {
            return 1.0;
        }
        // Rounded up, so that a charge is never below the truth; one site's rate is exact.
        match self.sites {
            1 => self.q,
            sites => (-(sites as f64 * (-self.q).ln_1p()).exp_m1() * (1.0 + 1e-12)).min(1.0),
        }
    }

    pub fn charge(&self, radius: u64, variance: u64) -> Charge {
        poisson_sampled(&distributed_gaussian(&self.terms(radius, variance)), self.rate())
    }

    /// "Secure aggregation only": a lattice as fine as a double.
    pub fn noiseless(&self) -> Result<Fitted, Refusal> {
        let mut radius = NOISELESS;
        while radius > 1 << 20 {
            if let Some(fitted) = self.fits(Ring::Z64, radius, 0) {
                return Ok(fitted);
            }
            radius >>= 1;
        }
        Err(self.saturates())
    }

    pub fn fit(&self) -> Result<Fitted, Refusal> {
        let coarsest = ((PER_ROOT_DIM * (self.dim as f64).sqrt()).ceil() as u64).max(COARSEST);
        if coarsest > MAX_RADIUS {
            return Err(self.saturates());
        }
        let first = self.variance(coarsest)?;
        // Variance grows with the square of the lattice: the guess decides the ring, the calibration the number.
        let mut radius = coarsest;
        let mut fine = None;
        let mut times = 1u64;
        while radius <= FINEST_SHORT.max(coarsest) {
            let guess = (first as f64 * (times * times) as f64 * 1.01) as u64;
            if self.fits(Ring::Z32, radius, guess.saturating_add(1)).is_some() {
                fine = Some(radius);
            }
            radius *= 2;
            times *= 2;
        }
        if let Some(radius) = fine {
            let variance = self.variance(radius)?;
            if let Some(fitted) = self.fits(Ring::Z32, radius, variance).filter(|f| f.variance >= 16) {
                return Ok(fitted);
            }
        }
        // Not so fine that the noise could no longer be drawn.
        let mut radius = LONG.max(coarsest);
        while radius > coarsest && first as f64 * (radius as f64 / coarsest as f64).powi(2) > MAX_VARIANCE as f64 / 4.0
        {
            radius = (radius / 2).max(coarsest);
        }
        loop {
            let variance = self.variance(radius)?;
            match self.fits(Ring::Z64, radius, variance) {
                Some(fitted) if fitted.variance >= 16 || radius > MAX_RADIUS / 4 => return Ok(fitted),
                Some(_) => radius *= 4,
                None if radius > coarsest => radius = (radius / 2).max(coarsest),
                None => return Err(self.saturates()),
            }
        }
    }

    /// Whether all sums and 64 standard deviations of noise stay within half of the ring.
    fn fits(&self, ring: Ring, radius: u64, variance: u64) -> Option<Fitted> {
        let room = match ring {
            Ring::Z32 => 2f64.powi(30),
            Ring::Z64 => 2f64.powi(61),
        };
        let clip = UnitLattice::new(radius)?.reach().checked_mul(self.most)?;
        let n = f64::from(self.cohort.n);
        let reach = n * clip as f64 + 64.0 * (n * variance as f64).sqrt();
        (reach <= room).then_some(Fitted {
            ring,
            radius,
            clip: i64::try_from(clip).ok()?,
            variance,
        })
    }

    fn variance(&self, radius: u64) -> Result<u64, Refusal> {
        let terms = self.terms(radius, 1);
        let found = calibrate_steps(&terms, self.rate(), u64::from(self.rounds), self.epsilon, self.delta);
        found.map(|c| c.variance).map_err(|e| match e {
            privacy::cost::CalibrationError::TooSmall { .. } => self.impossible(radius),
            other => Refusal::new(BUDGET, other.to_string()).remedy("epsilon and delta above zero, and s_min above c"),
        })
    }

    /// Whether the most noise that can be drawn is enough.
    fn possible(&self, radius: u64, epsilon: f64, rounds: u32) -> bool {
        let most = self.charge(radius, MAX_VARIANCE).times(u64::from(rounds));
        epsilon_at(&most, cap_order(epsilon, self.delta), self.delta) <= epsilon
    }

    fn impossible(&self, radius: u64) -> Refusal {
        let message = format!("epsilon {} is not enough for {} rounds", self.epsilon, self.rounds);
        let (mut low, mut high) = (self.epsilon, self.epsilon.max(1e-3));
        while high < 1e6 && !self.possible(radius, high, self.rounds) {
            high *= 2.0;
        }
        for _ in 0..40 {
            let middle = (low + high) / 2.0;
            match self.possible(radius, middle, self.rounds) {
                true => high = middle,
                false => low = middle,
            }
        }
        // Written with three digits, rounded up.
        let digits = 10f64.powi(2 - high.log10().floor() as i32);
        let smallest = (high * digits).ceil() / digits;
        let (mut works, mut fails) = (0, self.rounds);
        while fails - works > 1 {
            let middle = works + (fails - works) / 2;
            match self.possible(radius, self.epsilon, middle) {
                true => works = middle,
                false => fails = middle,
            }
        }
        let fewer = match works {
            0 => format!("no number of rounds works for epsilon {}", self.epsilon),
            most => format!("at most {most} rounds for epsilon {}", self.epsilon),
        };
        Refusal::new(BUDGET, message).remedy(format!(
            "at least epsilon {smallest} for {} rounds; {fewer}",
            self.rounds
        ))
    }

    fn saturates(&self) -> Refusal {
        let message = format!(
            "{} clipped vectors of {} numbers at each of {} participants do not fit a 64-bit sum",
            self.most, self.dim, self.cohort.n
        );
        Refusal::new(SATURATES, message)
            .remedy("a smaller model, a lower sampling_rate, or a contract with fewer maxRows")
    }
}
