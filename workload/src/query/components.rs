//! The components that aggregates are made of. Two aggregates that need the same component share it.
//!
//! | aggregate | components |
//! |---|---|
//! | COUNT(*), COUNT(x), COUNT(DISTINCT unit) | rows; rows where x is not NULL; units |
//! | AVG(x) | centred sum of x, rows where x is not NULL |
//! | SUM(x) | the same two if the count is measured anyway, else the plain sum alone (a count for nothing else never pays: sqrt(2 (h^2 + c^2)) >= h + |c|) |
//! | VAR, STDDEV | those of AVG, centred sum of (x - c)^2 |
//! | COVAR, CORR | over rows where both are not NULL: sums of x, y, (x - c)(y - d); CORR both squares too |
//! | MEDIAN, QUANTILE, PERCENTILE_CONT, MIN, MAX | a tree of counts |
//! | HISTOGRAM | a count for each bin |
//!
//! COUNT(x) is COUNT(*) exactly when x cannot be NULL (by the contract, or because WHERE compares it), so AVG shares
//! COUNT(*) only then.

use super::aggregate::{Wish, WishKind};
use super::types::{Interval, Typed};
use super::{Aggregate, Arithmetic, Bins, Expr};
use governance::canonical::Real;

/// Leaves of a quantile tree over values without a step.
const LEAVES: f64 = 1_024.0;
const MAX_LEAVES: f64 = 4_096.0;

/// A component before its lattice is known.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Draft {
    pub filter: Option<Expr>,
    pub measure: Measure,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Measure {
    Rows,
    Units,
    Sum {
        expr: Expr,
        interval: Interval,
        centre: f64,
        step: Option<f64>,
    },
    Histogram {
        expr: Expr,
        bins: Bins,
    },
    Tree {
        expr: Expr,
        bins: Bins,
        branching: u32,
        levels: u32,
        leaves: u32,
    },
}

#[derive(Default)]
pub(super) struct Drafts(pub Vec<Draft>);

impl Drafts {
    /// Turns wishes into aggregates over as few components as possible, in the order of the text.
    pub fn grant(&mut self, wishes: &[Wish]) -> Vec<Aggregate> {
        let sums = |w: &&Wish| matches!(w.kind, WishKind::Sum(_));
        // Sums last: by then it is known which counts are measured anyway.
        for wish in wishes.iter().filter(|w| !sums(w)) {
            self.aggregate(wish);
        }
        wishes.iter().map(|wish| self.aggregate(wish)).collect()
    }

    fn aggregate(&mut self, wish: &Wish) -> Aggregate {
        let filter = &wish.filter;
        match &wish.kind {
            WishKind::Rows => Aggregate::Count {
                component: self.add(filter, Measure::Rows),
            },
            WishKind::Units => Aggregate::Count {
                component: self.add(filter, Measure::Units),
            },
            WishKind::Sum(of) => {
                let count = Draft {
                    filter: present(filter, &[of]),
                    measure: Measure::Rows,
                };
                let count = self.0.iter().position(|d| *d == count);
                let centre = if count.is_some() { interval(of).centre() } else { 0.0 };
                Aggregate::Sum {
                    sum: self.sum(filter, of, centre),
                    count,
                }
            }
            WishKind::Average(of) => Aggregate::Average {
                sum: self.sum(filter, of, interval(of).centre()),
                count: self.add(&present(filter, &[of]), Measure::Rows),
            },
            WishKind::Variance { of, sample, root } => Aggregate::Variance {
                sum: self.sum(filter, of, interval(of).centre()),
                square: self.product(filter, of, of),
                count: self.add(&present(filter, &[of]), Measure::Rows),
                sample: *sample,
                root: *root,
            },
            WishKind::Covariance { left, right, sample } => {
                let both = present(filter, &[left, right]);
                Aggregate::Covariance {
                    left: self.sum(&both, left, interval(left).centre()),
                    right: self.sum(&both, right, interval(right).centre()),
                    product: self.product(&both, left, right),
                    count: self.add(&both, Measure::Rows),
                    sample: *sample,
                }
            }
            WishKind::Correlation { left, right } => {
                let both = present(filter, &[left, right]);
                Aggregate::Correlation {
                    left: self.sum(&both, left, interval(left).centre()),
                    right: self.sum(&both, right, interval(right).centre()),
                    left_square: self.product(&both, left, left),
                    right_square: self.product(&both, right, right),
                    product: self.product(&both, left, right),
                    count: self.add(&both, Measure::Rows),
                }
            }
            WishKind::Quantile { of, p } => {
                let (measure, steps) = tree(of);
                Aggregate::Quantile {
                    tree: self.add(filter, measure),
                    p: *p,
                    steps,
                }
            }
            WishKind::Histogram { of, bins } => {
                let i = interval(of);
                let width = (i.high - i.low) / f64::from(*bins);
                let bins = Bins {
                    origin: real(i.low),
                    width: real(width),
                    count: *bins,
                };
                let measure = Measure::Histogram {
                    expr: of.expr.clone(),
                    bins,
                };
                Aggregate::Count {
                    component: self.add(filter, measure),
                }
            }
        }
    }

    fn add(&mut self, filter: &Option<Expr>, measure: Measure) -> usize {
        let draft = Draft {
            filter: filter.clone(),
            measure,
        };
        self.0.iter().position(|d| *d == draft).unwrap_or_else(|| {
            self.0.push(draft);
            self.0.len() - 1
        })
    }

    fn sum(&mut self, filter: &Option<Expr>, of: &Typed, centre: f64) -> usize {
        let (expr, interval, step) = (of.expr.clone(), interval(of), of.step);
        self.add(
            filter,
            Measure::Sum {
                expr,
                interval,
                centre,
                step,
            },
        )
    }

    /// The sum of (x - c)(y - d), with c and d the centres of x and y.
    fn product(&mut self, filter: &Option<Expr>, left: &Typed, right: &Typed) -> usize {
        let centred = |t: &Typed| {
            let c = Expr::Number(real(interval(t).centre()));
            Box::new(Expr::Arithmetic(
                Arithmetic::Subtract,
                Box::new(t.expr.clone()),
                Box::new(c),
            ))
        };
        let half = |t: &Typed| (interval(t).high - interval(t).low) / 2.0;
        let high = half(left) * half(right);
        let low = if left.expr == right.expr { 0.0 } else { -high };
        let interval = Interval { low, high };
        let expr = Expr::Arithmetic(Arithmetic::Multiply, centred(left), centred(right));
        // Centres of whole numbers are halves, so products are quarters.
        let step = (left.step == Some(1.0) && right.step == Some(1.0)).then_some(0.25);
        let centre = interval.centre();
        self.add(
            filter,
            Measure::Sum {
                expr,
                interval,
                centre,
                step,
            },
        )
    }
}

/// `filter` and none of these is NULL.
pub(super) fn present(filter: &Option<Expr>, all: &[&Typed]) -> Option<Expr> {
    let mut parts: Vec<Expr> = match filter {
        None => Vec::new(),
        Some(Expr::And(parts)) => parts.clone(),
        Some(other) => vec![other.clone()],
    };
    for typed in all.iter().filter(|t| t.nullable) {
        let there = Expr::Not(Box::new(Expr::IsNull(Box::new(typed.expr.clone()))));
        if !parts.contains(&there) {
            parts.push(there);
        }
    }
    if parts.len() < 2 {
        parts.pop()
    } else {
        Some(Expr::And(parts))
    }
}

/// A tree whose leaves are single values where values have a step (each leaf is one value wide, the value in its middle).
/// Of the shapes with enough leaves the one whose ranks err least: (branching - 1) levels^2 is least.
fn tree(of: &Typed) -> (Measure, bool) {
    let i = interval(of);
    let range = (i.high - i.low).max(f64::MIN_POSITIVE);
    let step = of.step.filter(|step| range / step < MAX_LEAVES);
    let leaves = step.map_or(LEAVES, |step| (range / step).round() + 1.0);
    let shape = |b: u32| {
        let levels = (1..=12).find(|l| f64::from(b).powi(*l) >= leaves).unwrap_or(12);
        (b, levels as u32)
    };
    let cost = |(b, levels): (u32, u32)| (b - 1) * levels * levels;
    let (branching, levels) = (2..=64).map(shape).min_by_key(|s| cost(*s)).unwrap_or((2, 12));
    let count = branching.pow(levels);
    let (origin, width, leaves) = match step {
        Some(step) => (i.low - step / 2.0, step, leaves as u32),
        None => (i.low, range / f64::from(count), count),
    };
    let bins = Bins {
        origin: real(origin),
        width: real(width),
        count,
    };
    let expr = of.expr.clone();
    (
        Measure::Tree {
            expr,
            bins,
            branching,
            levels,
            leaves,
        },
        step.is_some(),
    )
}

/// Bounds of an argument; `Scope::argument` has refused those without.
fn interval(of: &Typed) -> Interval {
    of.interval.unwrap_or(Interval::point(0.0))
}

pub(super) fn real(x: f64) -> Real {
    // Unwrap safety: every number here is computed from bounds below 1e100.
    Real::new(x).expect("finite by construction")
}
