//! What the compiler knows about an expression before any row is seen: its kind, its bounds, whether it can be NULL.
//! Everything follows from the contract alone, so bounds are public and sensitivities derived from them are true.

use super::{Arithmetic, Expr, Function};
use governance::{Bounds, Column, LogicalType};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    Text,
    Boolean,
    Date,
    /// The literal NULL, which is of every kind.
    Null,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Number => "a number",
            Kind::Text => "a text",
            Kind::Boolean => "a condition",
            Kind::Date => "a date",
            Kind::Null => "NULL",
        }
    }

    pub fn agrees(self, other: Kind) -> bool {
        self == other || self == Kind::Null || other == Kind::Null
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Typed {
    pub expr: Expr,
    pub kind: Kind,
    /// Of a number or a date. `None`: a column in it has no bounds.
    pub interval: Option<Interval>,
    /// The distance between values that can occur, where there is one.
    pub step: Option<f64>,
    /// All texts that can occur, where they are known.
    pub texts: Option<Vec<String>>,
    pub nullable: bool,
}

impl Typed {
    pub fn new(expr: Expr, kind: Kind, nullable: bool) -> Self {
        Self {
            expr,
            kind,
            interval: None,
            step: None,
            texts: None,
            nullable,
        }
    }

    pub fn condition(expr: Expr, nullable: bool) -> Self {
        Self::new(expr, Kind::Boolean, nullable)
    }

    pub fn column(column: &Column) -> Self {
        let kind = match column.logical_type {
            LogicalType::Integer | LogicalType::Number => Kind::Number,
            LogicalType::String => Kind::Text,
            LogicalType::Boolean => Kind::Boolean,
            LogicalType::Date => Kind::Date,
        };
        let step = match column.logical_type {
            LogicalType::Integer | LogicalType::Date => Some(1.0),
            _ => column.resolution.map(|r| r.get()),
        };
        Self {
            interval: column.bounds.map(Interval::of),
            step,
            texts: (!column.categories.is_empty()).then(|| column.categories.clone()),
            // A required text outside its categories reads as NULL, but then the file broke its contract.
            ..Self::new(Expr::Column(column.name.clone()), kind, column.can_be_null())
        }
    }

    pub fn whole(&self) -> bool {
        self.step.is_some_and(|step| step.fract() == 0.0) && self.interval.is_some_and(|i| i.low.fract() == 0.0)
    }
}

/// A closed interval of finite numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Interval {
    pub low: f64,
    pub high: f64,
}

/// Beyond this a result is refused rather than computed, so that nothing overflows.
const HUGE: f64 = 1e100;

impl Interval {
    pub fn of(bounds: Bounds) -> Self {
        Self {
            low: bounds.min.get(),
            high: bounds.max.get(),
        }
    }

    pub fn point(x: f64) -> Self {
        Self { low: x, high: x }
    }

    pub fn hull(self, other: Self) -> Self {
        Self {
            low: self.low.min(other.low),
            high: self.high.max(other.high),
        }
    }

    pub fn centre(self) -> f64 {
        self.low / 2.0 + self.high / 2.0
    }

    pub fn negate(self) -> Self {
        Self {
            low: -self.high,
            high: -self.low,
        }
    }

    fn around(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        values
            .into_iter()
            .map(Self::point)
            .reduce(Self::hull)
            .filter(|i| i.low.abs() <= HUGE && i.high.abs() <= HUGE)
    }

    /// Bounds of `a op b`. A divisor that may be zero is allowed only if `whole`: then it is at least 1 away from it.
    pub fn arithmetic(op: Arithmetic, a: Self, b: Self, whole_divisor: bool) -> Result<Self, &'static str> {
        let corners = |f: fn(f64, f64) -> f64, b: &[f64]| {
            Self::around(b.iter().flat_map(|y| [f(a.low, *y), f(a.high, *y)]))
                .ok_or("the result may be too large to compute")
        };
        match op {
            Arithmetic::Add => corners(|x, y| x + y, &[b.low, b.high]),
            Arithmetic::Subtract => corners(|x, y| x - y, &[b.low, b.high]),
            Arithmetic::Multiply => corners(|x, y| x * y, &[b.low, b.high]),
            Arithmetic::Divide if b.low > 0.0 || b.high < 0.0 => corners(|x, y| x / y, &[b.low, b.high]),
            Arithmetic::Divide if whole_divisor => {
                let near: Vec<f64> = [b.low.min(-1.0), -1.0, 1.0, b.high.max(1.0)]
                    .into_iter()
                    .filter(|y| *y >= b.low && *y <= b.high)
                    .collect();
                if near.is_empty() {
                    return Err("the divisor is always zero");
                }
                corners(|x, y| x / y, &near)
            }
            Arithmetic::Divide => Err("the divisor may be arbitrarily close to zero"),
        }
    }

    pub fn call(function: Function, arguments: &[Self]) -> Self {
        let first = arguments[0];
        let fold = |f: fn(f64, f64) -> f64| {
            arguments.iter().copied().reduce(|a, b| Self {
                low: f(a.low, b.low),
                high: f(a.high, b.high),
            })
        };
        match function {
            Function::Abs if first.low >= 0.0 => first,
            Function::Abs if first.high <= 0.0 => first.negate(),
            Function::Abs => Self {
                low: 0.0,
                high: first.high.max(-first.low),
            },
            Function::Floor => Self {
                low: first.low.floor(),
                high: first.high.floor(),
            },
            Function::Ceil => Self {
                low: first.low.ceil(),
                high: first.high.ceil(),
            },
            Function::Least => fold(f64::min).unwrap_or(first),
            Function::Greatest => fold(f64::max).unwrap_or(first),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_hold_every_result() {
        let grid = [-3.0, -1.0, 0.0, 1.0, 2.0];
        let whole = |i: Interval| (i.low as i32..=i.high as i32).map(f64::from);
        for (op, f) in [
            (Arithmetic::Add, (|x, y| x + y) as fn(f64, f64) -> f64),
            (Arithmetic::Subtract, |x, y| x - y),
            (Arithmetic::Multiply, |x, y| x * y),
            (Arithmetic::Divide, |x, y| x / y),
        ] {
            for corners in 0..grid.len().pow(4) {
                let at = |i: u32| grid[corners / grid.len().pow(i) % grid.len()];
                let (a, b) = (
                    Interval {
                        low: at(0),
                        high: at(1),
                    },
                    Interval {
                        low: at(2),
                        high: at(3),
                    },
                );
                let bounds = Interval::arithmetic(op, a, b, true);
                let (Ok(bounds), true) = (bounds, a.low <= a.high && b.low <= b.high) else {
                    continue;
                };
                for x in whole(a) {
                    for y in whole(b).filter(|y| op != Arithmetic::Divide || *y != 0.0) {
                        assert!(bounds.low <= f(x, y) && f(x, y) <= bounds.high, "{op:?} {a:?} {b:?}");
                    }
                }
            }
        }
        assert!(
            Interval::arithmetic(
                Arithmetic::Divide,
                Interval::point(1.0),
                Interval { low: 0.0, high: 1.0 },
                false
            )
            .is_err()
        );
    }
}
