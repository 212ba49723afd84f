//! A number computed from noisy cells, with its first derivative in each: error propagation by the delta method.
//!
//! All cells of a vector carry independent noise of one variance, so the variance of a result is that variance times the
//! squared length of the gradient, exactly if the result is linear in the cells and to first order otherwise.

use super::{Arithmetic, Function};

/// 97.5 % point of the standard normal distribution.
pub(super) const Z: f64 = 1.959_963_984_540_054;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Dual {
    pub value: f64,
    /// Derivative in the cell of each component.
    pub gradient: Vec<f64>,
    /// Variance from estimates that have no gradient (quantiles).
    pub extra: f64,
    pub linear: bool,
}

impl Dual {
    pub fn constant(value: f64) -> Self {
        Self {
            value,
            gradient: Vec::new(),
            extra: 0.0,
            linear: true,
        }
    }

    /// The cell of a component whose value is `cell / scale`.
    pub fn cell(component: usize, cell: i64, scale: f64) -> Self {
        let mut gradient = vec![0.0; component + 1];
        gradient[component] = 1.0 / scale;
        Self {
            value: cell as f64 / scale,
            gradient,
            extra: 0.0,
            linear: true,
        }
    }

    /// Standard deviation, if each cell has noise of `variance`.
    pub fn sd(&self, variance: f64) -> f64 {
        let squared: f64 = self.gradient.iter().map(|g| g * g).sum();
        (squared * variance + self.extra).sqrt()
    }

    pub fn is_constant(&self) -> bool {
        self.extra == 0.0 && self.gradient.iter().all(|g| *g == 0.0)
    }

    /// `x * self + y * other`, keeping linearity if the weights are constants.
    fn combine(&self, x: f64, other: &Self, y: f64, value: f64, linear: bool) -> Self {
        let n = self.gradient.len().max(other.gradient.len());
        let at = |d: &Self, i: usize| d.gradient.get(i).copied().unwrap_or(0.0);
        Self {
            value,
            gradient: (0..n).map(|i| x * at(self, i) + y * at(other, i)).collect(),
            extra: x * x * self.extra + y * y * other.extra,
            linear: linear && self.linear && other.linear,
        }
    }

    pub fn scaled(&self, factor: f64) -> Self {
        self.combine(factor, &Self::constant(0.0), 0.0, self.value * factor, true)
    }

    pub fn plus(&self, other: &Self) -> Self {
        self.combine(1.0, other, 1.0, self.value + other.value, true)
    }

    pub fn minus(&self, other: &Self) -> Self {
        self.combine(1.0, other, -1.0, self.value - other.value, true)
    }

    pub fn times(&self, other: &Self) -> Self {
        let linear = self.is_constant() || other.is_constant();
        self.combine(other.value, other, self.value, self.value * other.value, linear)
    }

    /// `None` where the divisor is zero.
    pub fn over(&self, other: &Self) -> Option<Self> {
        if other.value == 0.0 {
            return None;
        }
        let quotient = self.value / other.value;
        Some(self.combine(
            1.0 / other.value,
            other,
            -quotient / other.value,
            quotient,
            other.is_constant(),
        ))
    }

    /// The same value moved into an interval; the derivative stays.
    pub fn clamped(mut self, low: f64, high: f64) -> Self {
        self.value = self.value.max(low).min(high);
        self
    }

    pub fn arithmetic(op: Arithmetic, a: &Self, b: &Self) -> Option<Self> {
        Some(match op {
            Arithmetic::Add => a.plus(b),
            Arithmetic::Subtract => a.minus(b),
            Arithmetic::Multiply => a.times(b),
            Arithmetic::Divide => return a.over(b),
        })
        .filter(|d| d.value.is_finite())
    }

    pub fn call(function: Function, arguments: Vec<Self>) -> Option<Self> {
        let pick = |better: fn(f64, f64) -> bool, list: Vec<Self>| {
            let best = list
                .into_iter()
                .reduce(|a, b| if better(b.value, a.value) { b } else { a });
            best.map(|d| Self { linear: false, ..d })
        };
        let mut list = arguments;
        match function {
            Function::Least => pick(|a, b| a < b, list),
            Function::Greatest => pick(|a, b| a > b, list),
            Function::Abs => list.pop().map(|d| {
                if d.value < 0.0 {
                    Self {
                        linear: false,
                        ..d.scaled(-1.0)
                    }
                } else {
                    Self { linear: false, ..d }
                }
            }),
            Function::Floor => list.pop().map(|d| Self {
                value: d.value.floor(),
                linear: false,
                ..d
            }),
            Function::Ceil => list.pop().map(|d| Self {
                value: d.value.ceil(),
                linear: false,
                ..d
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_agree_with_small_steps() {
        let f = |x: f64, y: f64| {
            let (x, y) = (
                Dual {
                    value: x,
                    ..Dual::cell(0, 0, 2.0)
                },
                Dual {
                    value: y,
                    ..Dual::cell(1, 0, 4.0)
                },
            );
            x.times(&y).minus(&x.over(&y).unwrap()).plus(&Dual::constant(3.0))
        };
        let (x, y, h) = (5.0, 7.0, 1e-6);
        let d = f(x, y);
        let (dx, dy) = ((f(x + h, y).value - d.value) / h, (f(x, y + h).value - d.value) / h);
        assert!((d.gradient[0] - dx / 2.0).abs() < 1e-4 && (d.gradient[1] - dy / 4.0).abs() < 1e-4);
        assert!(!d.linear && Dual::cell(0, 3, 1.0).scaled(2.0).linear);
    }
}
