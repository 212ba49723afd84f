//! One group's cells to estimates of its aggregates, each with a value, a gradient and an interval of its own.

use super::aggregate::EXTREME;
use super::dual::{Dual, Z};
use super::table::Method;
use super::{Aggregate, Component, ComponentKind, Lattice, Layout, QueryPlan};
use privacy::tree::TreeLayout;

/// The cells of one group.
pub(super) struct Group<'a> {
    pub plan: &'a QueryPlan,
    pub layout: &'a Layout,
    pub cells: &'a [i64],
    /// Of the noise on each cell.
    pub variance: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Estimate {
    /// `None` where noise leaves nothing to say.
    pub dual: Option<Dual>,
    pub interval: Option<(f64, f64)>,
    pub method: Method,
}

impl Estimate {
    /// The plain interval of a number computed from cells.
    pub fn of(dual: Dual, variance: f64) -> Self {
        let half = Z * dual.sd(variance);
        Self {
            interval: Some((dual.value - half, dual.value + half)),
            method: match (dual.is_constant(), dual.linear) {
                (true, _) => Method::Exact,
                (false, true) => Method::Normal,
                (false, false) => Method::Delta,
            },
            dual: Some(dual),
        }
    }

    pub fn nothing(method: Method, interval: Option<(f64, f64)>) -> Self {
        Self {
            dual: None,
            interval,
            method,
        }
    }

    fn within(mut self, low: f64, high: f64) -> Self {
        self.interval = self.interval.map(|(a, b)| (a.max(low).min(high), b.max(low).min(high)));
        self
    }
}

/// How the intervals of an aggregate are made, and what its column should say.
pub(super) fn describe(aggregate: &Aggregate) -> (Method, Option<String>) {
    match aggregate {
        Aggregate::Count { .. } | Aggregate::Sum { .. } => (Method::Normal, None),
        Aggregate::Average { .. } => (Method::Fieller, None),
        Aggregate::Variance { .. } | Aggregate::Covariance { .. } | Aggregate::Correlation { .. } => {
            (Method::Delta, None)
        }
        Aggregate::Quantile { p, .. } if p.get() == EXTREME => (
            Method::Rank,
            Some(format!("the {EXTREME} quantile, in place of a minimum")),
        ),
        Aggregate::Quantile { p, .. } if p.get() == 1.0 - EXTREME => (
            Method::Rank,
            Some(format!("the {} quantile, in place of a maximum", 1.0 - EXTREME)),
        ),
        Aggregate::Quantile { .. } => (Method::Rank, None),
    }
}

impl Group<'_> {
    pub fn estimate(&self, aggregate: &Aggregate) -> Estimate {
        match aggregate {
            Aggregate::Count { component } => Estimate::of(self.count(*component), self.variance),
            Aggregate::Sum { sum, count } => {
                let s = self.sum(*sum);
                let centre = self.lattice(*sum).map_or(0.0, |l| l.centre.get());
                let dual = count.map_or(s.clone(), |count| s.plus(&self.count(count).scaled(centre)));
                Estimate::of(dual, self.variance)
            }
            Aggregate::Average { sum, count } => self.average(*sum, *count),
            Aggregate::Variance {
                sum,
                square,
                count,
                sample,
                root,
            } => self.variance_of(*sum, *square, *count, *sample, *root),
            Aggregate::Covariance {
                left,
                right,
                product,
                count,
                sample,
            } => {
                let n = self.count(*count);
                let covariance = self
                    .moment(*left, *right, *product, &n)
                    .and_then(|c| bessel(c, &n, *sample));
                self.delta(covariance, &n, f64::INFINITY)
            }
            Aggregate::Correlation {
                left,
                right,
                left_square,
                right_square,
                product,
                count,
            } => {
                let n = self.count(*count);
                let correlation = (|| {
                    let covariance = self.moment(*left, *right, *product, &n)?;
                    let spread = self.moment(*left, *left, *left_square, &n)?.times(&self.moment(
                        *right,
                        *right,
                        *right_square,
                        &n,
                    )?);
                    covariance.over(&root(spread, self.variance)?)
                })();
                self.delta(correlation.map(|c| c.clamped(-1.0, 1.0)), &n, 1.0)
            }
            Aggregate::Quantile { tree, p, steps } => self.quantile(*tree, p.get(), *steps),
        }
    }

    fn component(&self, index: usize) -> (&Component, &[i64]) {
        let component = &self.plan.components[index];
        let start = self.layout.offsets[index];
        (component, &self.cells[start..start + component.kind.cells()])
    }

    pub fn count(&self, index: usize) -> Dual {
        let (component, cells) = self.component(index);
        Dual::cell(index, cells[0], component.kind.weight() as f64)
    }

    /// One bin of a histogram.
    pub fn bin(&self, index: usize, bin: usize) -> Dual {
        let (component, cells) = self.component(index);
        Dual::cell(index, cells[bin], component.kind.weight() as f64)
    }

    fn lattice(&self, index: usize) -> Option<&Lattice> {
        match &self.plan.components[index].kind {
            ComponentKind::Sum { lattice, .. } => Some(lattice),
            _ => None,
        }
    }

    /// The sum around its centre, in units of the expression.
    fn sum(&self, index: usize) -> Dual {
        let scale = self.lattice(index).map_or(1.0, |l| l.scale.get());
        Dual::cell(index, self.component(index).1[0], scale)
    }

    /// Fieller's interval for c + s / n: the values t for which s - (t - c) n is within 1.96 of its deviation.
    fn average(&self, sum: usize, count: usize) -> Estimate {
        let (s, n) = (self.sum(sum), self.count(count));
        let Some(lattice) = self.lattice(sum) else {
            return Estimate::nothing(Method::Fieller, None);
        };
        let (low, high, centre) = (lattice.low.get(), lattice.high.get(), lattice.centre.get());
        let mean = if n.value > 0.0 { s.over(&n) } else { None };
        let mean = mean.map(|m| m.plus(&Dual::constant(centre)).clamped(low, high));
        let (vs, vn) = (Z * Z * s.sd(self.variance).powi(2), Z * Z * n.sd(self.variance).powi(2));
        let a = n.value * n.value - vn;
        let interval = if mean.is_some() && a > 0.0 {
            let middle = s.value * n.value;
            let spread = (n.value * n.value * vs + s.value * s.value * vn - vs * vn)
                .max(0.0)
                .sqrt();
            (centre + (middle - spread) / a, centre + (middle + spread) / a)
        } else {
            (low, high)
        };
        Estimate {
            dual: mean,
            interval: Some(interval),
            method: Method::Fieller,
        }
        .within(low, high)
    }

    /// mean(product) - mean(left) mean(right), all around their centres.
    fn moment(&self, left: usize, right: usize, product: usize, n: &Dual) -> Option<Dual> {
        if n.value <= 0.0 {
            return None;
        }
        let centre = self.lattice(product).map_or(0.0, |l| l.centre.get());
        let mean = self.sum(product).over(n)?.plus(&Dual::constant(centre));
        Some(mean.minus(&self.sum(left).over(n)?.times(&self.sum(right).over(n)?)))
    }

    fn variance_of(&self, sum: usize, square: usize, count: usize, sample: bool, rooted: bool) -> Estimate {
        let n = self.count(count);
        let variance = self.moment(sum, sum, square, &n).and_then(|v| bessel(v, &n, sample));
        let estimate = self.delta(variance, &n, f64::INFINITY).within(0.0, f64::INFINITY);
        let dual = estimate.dual.map(|d| d.clamped(0.0, f64::INFINITY));
        if !rooted {
            return Estimate { dual, ..estimate };
        }
        Estimate {
            dual: dual.and_then(|d| root(d, self.variance)),
            interval: estimate.interval.map(|(low, high)| (low.sqrt(), high.sqrt())),
            method: Method::Delta,
        }
    }

    /// First-order interval; where the count itself is lost in noise, none.
    fn delta(&self, dual: Option<Dual>, n: &Dual, limit: f64) -> Estimate {
        match dual {
            Some(dual) if n.value > Z * n.sd(self.variance) => {
                let estimate = Estimate::of(dual, self.variance).within(-limit, limit);
                Estimate {
                    method: Method::Delta,
                    ..estimate
                }
            }
            Some(dual) => Estimate {
                dual: Some(dual),
                interval: None,
                method: Method::Delta,
            },
            None => Estimate::nothing(Method::Delta, None),
        }
    }

    /// The tree made consistent, then read at p (`privacy::tree`).
    fn quantile(&self, index: usize, p: f64, steps: bool) -> Estimate {
        let (component, cells) = self.component(index);
        let ComponentKind::Tree {
            bins,
            branching,
            levels,
            leaves,
            weight,
            ..
        } = &component.kind
        else {
            return Estimate::nothing(Method::Rank, None);
        };
        let weight = *weight as f64;
        let at = |leaf: f64| bins.origin.get() + leaf * bins.width.get();
        let bounds = if steps {
            (at(0.5), at(f64::from(*leaves) - 0.5))
        } else {
            (at(0.0), at(f64::from(*leaves)))
        };
        let sd = self.variance.sqrt() / weight;
        let read = (|| {
            let tree = TreeLayout::new(*branching as usize, *levels, 0, i64::from(bins.count) - 1).ok()?;
            let counts = tree
                .consistent_leaves(&known(cells, *branching, *levels, *leaves, weight))
                .ok()?;
            let total: f64 = counts.iter().sum();
            let found = tree.quantile(&counts, *leaves as usize, p, sd).ok()?;
            Some((total, found))
        })();
        let Some((_, found)) = read.filter(|(total, _)| *total > 0.0) else {
            return Estimate::nothing(Method::Rank, Some(bounds));
        };
        // A leaf of one value is that value.
        let (value, low, high) = if steps {
            (at(found.leaf as f64 + 0.5), at(found.low + 0.5), at(found.high - 0.5))
        } else {
            (at(found.value), at(found.low), at(found.high))
        };
        let dual = Dual {
            value,
            gradient: Vec::new(),
            extra: ((high - low) / (2.0 * Z)).powi(2),
            linear: false,
        };
        Estimate {
            dual: Some(dual),
            interval: Some((low, high)),
            method: Method::Rank,
        }
    }
}

/// The counts of a tree's cells. Those whose leaves all lie beyond the last are known: nothing can be in them.
fn known(cells: &[i64], branching: u32, levels: u32, leaves: u32, weight: f64) -> Vec<f64> {
    let mut counts: Vec<f64> = cells.iter().map(|c| *c as f64 / weight).collect();
    let mut start = 0;
    for level in 1..=levels {
        let nodes = branching.pow(level) as usize;
        let held = leaves.div_ceil(branching.pow(levels - level)) as usize;
        counts[start + held..start + nodes].fill(0.0);
        start += nodes;
    }
    counts
}

/// times n / (n - 1)
fn bessel(dual: Dual, n: &Dual, sample: bool) -> Option<Dual> {
    if !sample {
        return Some(dual);
    }
    if n.value <= 1.0 {
        return None;
    }
    Some(dual.times(&n.over(&n.minus(&Dual::constant(1.0)))?))
}

/// The square root; below one deviation of noise its slope is taken there, for at zero it has none.
fn root(dual: Dual, variance: f64) -> Option<Dual> {
    let floor = dual.value.max(dual.sd(variance)).max(f64::MIN_POSITIVE);
    let value = dual.value.max(0.0).sqrt();
    Some(Dual {
        value,
        linear: false,
        ..dual.scaled(0.5 / floor.sqrt())
    })
}
