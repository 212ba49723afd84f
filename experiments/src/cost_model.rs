//! What a round costs, as a sum of terms in n participants and d values, fitted to measured cells.
//!
//! Where the terms come from: an agent checks n signatures, expands n pairwise masks of d values, draws d noises and uploads d
//! values; the coordinator checks n signatures, decrypts and adds n vectors, strips n self masks and reads d sums. So both
//! cost a + b n + c d + e n d of CPU. Where all agents share the cores of one machine, wall time has n times the agent's
//! cost in it, so n^2 and n^2 d as well.
//!
//! Least squares on relative error, since cells differ by four orders of magnitude; a coefficient below 0 is left out, as
//! no work takes less than no time. Costs microseconds.

use serde_json::json;

use crate::measure::median_of;

/// A term: its name, and its value at n participants and d values.
pub type Term = (&'static str, fn(f64, f64) -> f64);

/// CPU of one party.
pub const PARTY: &[Term] = &[
    ("1", |_, _| 1.0),
    ("n", |n, _| n),
    ("d", |_, d| d),
    ("n d", |n, d| n * d),
];

/// Wall time where all agents share cores.
pub const SHARED: &[Term] = &[
    ("1", |_, _| 1.0),
    ("n", |n, _| n),
    ("d", |_, d| d),
    ("n d", |n, d| n * d),
    ("n^2", |n, _| n * n),
    ("n^2 d", |n, d| n * n * d),
];

/// A measured cost at n and d.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    pub n: f64,
    pub d: f64,
    pub seconds: f64,
}

/// A fitted cost.
#[derive(Clone, Debug)]
pub struct Fit {
    terms: &'static [Term],
    coefficients: Vec<f64>,
    pub median_relative_error: f64,
    pub r2: f64,
}

impl Fit {
    /// None with fewer points than terms, or where the points do not tell the terms apart.
    pub fn of(terms: &'static [Term], points: &[Point]) -> Option<Self> {
        if points.len() < terms.len() || points.iter().any(|point| point.seconds <= 0.0) {
            return None;
        }
        let mut used: Vec<usize> = (0..terms.len()).collect();
        let coefficients = loop {
            let rows: Vec<Vec<f64>> = points
                .iter()
                .map(|p| used.iter().map(|i| terms[*i].1(p.n, p.d) / p.seconds).collect())
                .collect();
            let solved = least_squares(&rows)?;
            let least = (0..solved.len()).min_by(|a, b| solved[*a].total_cmp(&solved[*b]))?;
            if solved[least] >= 0.0 {
                let mut all = vec![0.0; terms.len()];
                used.iter().zip(&solved).for_each(|(i, x)| all[*i] = *x);
                break all;
            }
            used.remove(least);
        };
        let mut fit = Self {
            terms,
            coefficients,
            median_relative_error: 0.0,
            r2: 0.0,
        };
        let off = |p: &Point| fit.seconds(p.n, p.d) - p.seconds;
        let errors: Vec<f64> = points.iter().map(|p| (off(p) / p.seconds).abs()).collect();
        let mean = points.iter().map(|p| p.seconds).sum::<f64>() / points.len() as f64;
        let left: f64 = points.iter().map(|p| off(p).powi(2)).sum();
        let all: f64 = points.iter().map(|p| (p.seconds - mean).powi(2)).sum();
        (fit.median_relative_error, fit.r2) = (median_of(&errors), 1.0 - left / all);
        Some(fit)
    }

    /// The cost at n participants and d values.
    pub fn seconds(&self, n: f64, d: f64) -> f64 {
        let terms = self.terms.iter().zip(&self.coefficients);
        terms.map(|((_, term), coefficient)| coefficient * term(n, d)).sum()
    }

    /// `1.2e-3 + 4.5e-9 n d`.
    pub fn formula(&self) -> String {
        let terms = self.terms.iter().zip(&self.coefficients);
        let terms = terms.filter(|(_, coefficient)| **coefficient > 0.0);
        let words: Vec<String> = terms
            .map(|((name, _), x)| match *name {
                "1" => format!("{x:.2e}"),
                name => format!("{x:.2e} {name}"),
            })
            .collect();
        words.join(" + ")
    }

    pub fn to_json(&self) -> serde_json::Value {
        let terms = self.terms.iter().zip(&self.coefficients);
        let coefficients: serde_json::Map<_, _> = terms.map(|((name, _), x)| ((*name).to_owned(), json!(x))).collect();
        json!({
            "coefficients": coefficients,
            "median_relative_error": self.median_relative_error,
            "r2": self.r2,
        })
    }
}

/// The x that brings `rows x` nearest to all ones, by the normal equations with columns scaled to length 1.
fn least_squares(rows: &[Vec<f64>]) -> Option<Vec<f64>> {
    let width = rows.first()?.len();
    let column = |i: usize| rows.iter().map(move |row| row[i]);
    let scale: Vec<f64> = (0..width)
        .map(|i| column(i).map(|x| x * x).sum::<f64>().sqrt())
        .collect();
    let mut system: Vec<Vec<f64>> = (0..width)
        .map(|i| {
            let products = (0..width).map(|j| column(i).zip(column(j)).map(|(x, y)| x * y).sum::<f64>());
            let mut line: Vec<f64> = products.enumerate().map(|(j, x)| x / scale[i] / scale[j]).collect();
            line.push(column(i).sum::<f64>() / scale[i]);
            line
        })
        .collect();
    for pivot in 0..width {
        let best = (pivot..width).max_by(|a, b| system[*a][pivot].abs().total_cmp(&system[*b][pivot].abs()))?;
        if system[best][pivot].abs() < 1e-12 {
            return None;
        }
        system.swap(pivot, best);
        let line = system[pivot].clone();
        for (_, other) in system.iter_mut().enumerate().filter(|(i, _)| *i != pivot) {
            let factor = other[pivot] / line[pivot];
            other.iter_mut().zip(&line).for_each(|(x, y)| *x -= factor * y);
        }
    }
    Some((0..width).map(|i| system[i][width] / system[i][i] / scale[i]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(cost: impl Fn(f64, f64) -> f64) -> Vec<Point> {
        let cells = [3.0, 4.0, 8.0, 16.0, 32.0, 64.0].map(|n| [1e3, 1e4, 1e5, 1e6].map(|d| (n, d)));
        let cells = cells.iter().flatten();
        cells
            .map(|(n, d)| Point {
                n: *n,
                d: *d,
                seconds: cost(*n, *d),
            })
            .collect()
    }

    #[test]
    fn a_cost_made_of_the_terms_is_found_again() {
        let cost = |n: f64, d: f64| 2e-3 + 1e-4 * n + 3e-8 * d + 5e-9 * n * d;
        let fit = Fit::of(PARTY, &grid(cost)).unwrap();
        assert!(fit.median_relative_error < 1e-6 && fit.r2 > 0.999_999, "{fit:?}");
        let predicted = fit.seconds(65.0, 1e7);
        assert!((predicted / cost(65.0, 1e7) - 1.0).abs() < 1e-6, "{predicted}");
    }

    #[test]
    fn small_rounds_weigh_as_much_as_large_ones() {
        // One part in ten off everywhere: an absolute fit would give the small cells up.
        let mut wave = 0.9;
        let points: Vec<Point> = grid(|n, d| 1e-3 + 2e-9 * n * d)
            .into_iter()
            .map(|p| {
                wave = 2.0 - wave;
                Point {
                    seconds: p.seconds * wave,
                    ..p
                }
            })
            .collect();
        let fit = Fit::of(PARTY, &points).unwrap();
        assert!(fit.median_relative_error < 0.12, "{fit:?}");
        assert!((fit.seconds(3.0, 1e3) / 1e-3 - 1.0).abs() < 0.15, "{fit:?}");
    }

    #[test]
    fn no_term_costs_less_than_nothing() {
        let fit = Fit::of(PARTY, &grid(|n, d| 1e-3 + 1e-8 * n * d - 1e-9 * d)).unwrap();
        assert!(fit.coefficients.iter().all(|x| *x >= 0.0), "{fit:?}");
        assert!(!fit.formula().contains("+ -"), "{}", fit.formula());
    }

    #[test]
    fn cells_of_one_dimension_do_not_tell_its_terms_apart() {
        let one: Vec<Point> = grid(|n, d| n * d).into_iter().filter(|p| p.d == 1e3).collect();
        assert!(Fit::of(PARTY, &one).is_none());
    }
}
