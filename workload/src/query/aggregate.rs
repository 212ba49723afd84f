//! Aggregates of SQL, and the components they are made of. Two aggregates that need the same component share it.
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
//! COUNT(x) is COUNT(*) exactly when x cannot be NULL, so AVG shares COUNT(*) only then.

use super::scope::Scope;
use super::types::{Interval, Kind, Typed};
use super::{Aggregate, Arithmetic, Bins, Expr, SqlError};
use governance::canonical::Real;
use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, FunctionArguments, Spanned};

pub(super) const NAMES: &[&str] = &[
    "COUNT", "SUM", "AVG", "VAR", "VARIANCE", "VAR_SAMP", "VAR_POP", "STDDEV", "STDDEV_SAMP",
    "STDDEV_POP", "MEDIAN", "QUANTILE", "PERCENTILE_CONT", "MIN", "MAX", "HISTOGRAM", "COVAR",
    "COVAR_SAMP", "COVAR_POP", "CORR", "SHARE", "PERCENTAGE",
];
/// MIN and MAX are these quantiles: an extreme of one row cannot be told privately.
pub(super) const EXTREME: f64 = 0.01;
const MAX_BINS: f64 = 10_000.0;
/// Leaves of a quantile tree over values without a step.
const LEAVES: f64 = 1_024.0;
const MAX_LEAVES: f64 = 4_096.0;

/// An aggregate as asked, before components are shared out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wish {
    pub filter: Option<Expr>,
    pub kind: WishKind,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum WishKind {
    Rows,
    Units,
    Sum(Typed),
    Average(Typed),
    Variance { of: Typed, sample: bool, root: bool },
    Covariance { left: Typed, right: Typed, sample: bool },
    Correlation { left: Typed, right: Typed },
    Quantile { of: Typed, p: Real },
    Histogram { of: Typed, bins: u32 },
}

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
    Sum { expr: Expr, interval: Interval, centre: f64, step: Option<f64> },
    Histogram { expr: Expr, bins: Bins },
    Tree { expr: Expr, bins: Bins, branching: u32, levels: u32, leaves: u32 },
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
            WishKind::Rows => Aggregate::Count { component: self.add(filter, Measure::Rows) },
            WishKind::Units => Aggregate::Count { component: self.add(filter, Measure::Units) },
            WishKind::Sum(of) => {
                let count = Draft { filter: present(filter, &[of]), measure: Measure::Rows };
                let count = self.0.iter().position(|d| *d == count);
                let centre = if count.is_some() { interval(of).centre() } else { 0.0 };
                Aggregate::Sum { sum: self.sum(filter, of, centre), count }
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
                Aggregate::Quantile { tree: self.add(filter, measure), p: *p, steps }
            }
            WishKind::Histogram { of, bins } => {
                let i = interval(of);
                let width = (i.high - i.low) / f64::from(*bins);
                let bins = Bins { origin: real(i.low), width: real(width), count: *bins };
                let measure = Measure::Histogram { expr: of.expr.clone(), bins };
                Aggregate::Count { component: self.add(filter, measure) }
            }
        }
    }

    fn add(&mut self, filter: &Option<Expr>, measure: Measure) -> usize {
        let draft = Draft { filter: filter.clone(), measure };
        self.0.iter().position(|d| *d == draft).unwrap_or_else(|| {
            self.0.push(draft);
            self.0.len() - 1
        })
    }

    fn sum(&mut self, filter: &Option<Expr>, of: &Typed, centre: f64) -> usize {
        let (expr, interval, step) = (of.expr.clone(), interval(of), of.step);
        self.add(filter, Measure::Sum { expr, interval, centre, step })
    }

    /// The sum of (x - c)(y - d), with c and d the centres of x and y.
    fn product(&mut self, filter: &Option<Expr>, left: &Typed, right: &Typed) -> usize {
        let centred = |t: &Typed| {
            let c = Expr::Number(real(interval(t).centre()));
            Box::new(Expr::Arithmetic(Arithmetic::Subtract, Box::new(t.expr.clone()), Box::new(c)))
        };
        let half = |t: &Typed| (interval(t).high - interval(t).low) / 2.0;
        let high = half(left) * half(right);
        let low = if left.expr == right.expr { 0.0 } else { -high };
        let interval = Interval { low, high };
        let expr = Expr::Arithmetic(Arithmetic::Multiply, centred(left), centred(right));
        // Centres of whole numbers are halves, so products are quarters.
        let step = (left.step == Some(1.0) && right.step == Some(1.0)).then_some(0.25);
        let centre = interval.centre();
        self.add(filter, Measure::Sum { expr, interval, centre, step })
    }
}

/// `filter` and none of these is NULL.
fn present(filter: &Option<Expr>, all: &[&Typed]) -> Option<Expr> {
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
    if parts.len() < 2 { parts.pop() } else { Some(Expr::And(parts)) }
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
    let bins = Bins { origin: real(origin), width: real(width), count };
    let expr = of.expr.clone();
    (Measure::Tree { expr, bins, branching, levels, leaves }, step.is_some())
}

/// Bounds of an argument; `Scope::argument` has refused those without.
fn interval(of: &Typed) -> Interval {
    of.interval.unwrap_or(Interval::point(0.0))
}

fn real(x: f64) -> Real {
    // Unwrap safety: every number here is computed from bounds below 1e100.
    Real::new(x).expect("finite by construction")
}

impl Scope<'_> {
    /// The positional arguments of a call, if it has nothing but arguments.
    pub fn arguments<'e>(&self, function: &'e ast::Function) -> Result<Vec<&'e ast::Expr>, SqlError> {
        let plain = function.over.is_none()
            && function.null_treatment.is_none()
            && function.parameters == FunctionArguments::None
            && !function.uses_odbc_syntax;
        let list = match &function.args {
            FunctionArguments::List(list) if plain && list.clauses.is_empty() => list,
            FunctionArguments::None if plain => return Ok(Vec::new()),
            _ => return Err(self.misused(function, "its arguments in parentheses and nothing else")),
        };
        if list.duplicate_treatment.is_some() {
            return Err(self.misused(function, "no DISTINCT or ALL"));
        }
        let one = |argument: &'e FunctionArg| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) => Ok(e),
            _ => Err(self.misused(function, "expressions as arguments")),
        };
        list.args.iter().map(one).collect()
    }

    pub fn misused(&self, function: &ast::Function, expected: &str) -> SqlError {
        let name = function.name.to_string().to_ascii_uppercase();
        let usage = "COUNT(*), COUNT(x), COUNT(DISTINCT unit), SUM(x), AVG(x), STDDEV(x), MEDIAN(x), QUANTILE(x, 0.9), \
             PERCENTILE_CONT(0.9) WITHIN GROUP (ORDER BY x), HISTOGRAM(x, 10), CORR(x, y)";
        self.error(function.name.span(), format!("{name} takes {expected}"), usage)
    }

    /// An aggregate call; the factor is 100 for PERCENTAGE.
    pub fn wish(&self, function: &ast::Function) -> Result<(Wish, f64), SqlError> {
        let name = function.name.to_string().to_ascii_uppercase();
        let filter = function.filter.as_deref().map(|e| self.condition(e, 1)).transpose()?;
        let filter = filter.map(|t| t.expr);
        if !function.within_group.is_empty() && name != "PERCENTILE_CONT" {
            return Err(self.misused(function, "no WITHIN GROUP"));
        }
        if name == "COUNT" {
            return Ok((self.count(function, filter)?, 1.0));
        }
        let arguments = self.arguments(function)?;
        let expect = |n: usize, what: &str| {
            if arguments.len() == n { Ok(()) } else { Err(self.misused(function, what)) }
        };
        let one = || expect(1, "one argument").and_then(|()| self.argument(arguments[0]));
        let two = || {
            expect(2, "two columns")?;
            Ok::<_, SqlError>((self.argument(arguments[0])?, self.argument(arguments[1])?))
        };
        let quantile = |of, p: f64| WishKind::Quantile { of, p: real(p) };
        let kind = match name.as_str() {
            "SUM" => WishKind::Sum(one()?),
            "AVG" | "SHARE" | "PERCENTAGE" => WishKind::Average(one()?),
            "VAR" | "VARIANCE" | "VAR_SAMP" => WishKind::Variance { of: one()?, sample: true, root: false },
            "VAR_POP" => WishKind::Variance { of: one()?, sample: false, root: false },
            "STDDEV" | "STDDEV_SAMP" => WishKind::Variance { of: one()?, sample: true, root: true },
            "STDDEV_POP" => WishKind::Variance { of: one()?, sample: false, root: true },
            "MEDIAN" => quantile(one()?, 0.5),
            "MIN" => quantile(one()?, EXTREME),
            "MAX" => quantile(one()?, 1.0 - EXTREME),
            "QUANTILE" => {
                expect(2, "a column and a share from 0 to 1")?;
                quantile(self.argument(arguments[0])?, self.share(arguments[1])?)
            }
            "PERCENTILE_CONT" => {
                expect(1, "one share from 0 to 1")?;
                let p = self.share(arguments[0])?;
                let [order] = function.within_group.as_slice() else {
                    return Err(self.misused(function, "WITHIN GROUP (ORDER BY x) after it"));
                };
                let descending = matches!(order.options.sort, Some(ast::OrderBySort::Desc));
                quantile(self.argument(&order.expr)?, if descending { 1.0 - p } else { p })
            }
            "HISTOGRAM" => {
                expect(2, "a column and a number of bins")?;
                let of = self.argument(arguments[0])?;
                let bins = self.constant(arguments[1], "a whole number of bins", |x| {
                    x.fract() == 0.0 && (1.0..=MAX_BINS).contains(&x)
                })?;
                WishKind::Histogram { of, bins: bins as u32 }
            }
            "COVAR" | "COVAR_SAMP" | "COVAR_POP" => {
                let (left, right) = two()?;
                WishKind::Covariance { left, right, sample: name != "COVAR_POP" }
            }
            _ => {
                let (left, right) = two()?;
                WishKind::Correlation { left, right }
            }
        };
        Ok((Wish { filter, kind }, if name == "PERCENTAGE" { 100.0 } else { 1.0 }))
    }

    fn count(&self, function: &ast::Function, filter: Option<Expr>) -> Result<Wish, SqlError> {
        let FunctionArguments::List(list) = &function.args else {
            return Err(self.misused(function, "*, a column, or DISTINCT and the privacy unit"));
        };
        let wish = |filter, kind| Ok(Wish { filter, kind });
        match (list.duplicate_treatment, list.args.as_slice()) {
            (None, [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)]) => wish(filter, WishKind::Rows),
            (None, _) => {
                let arguments = self.arguments(function)?;
                let [e] = arguments.as_slice() else {
                    return Err(self.misused(function, "*, a column, or DISTINCT and the privacy unit"));
                };
                let of = self.row(e, 1)?;
                wish(present(&filter, &[&of]), WishKind::Rows)
            }
            (Some(_), [FunctionArg::Unnamed(FunctionArgExpr::Expr(ast::Expr::Identifier(name)))])
                if self.is_unit(name) =>
            {
                wish(filter, WishKind::Units)
            }
            (Some(_), arguments) => {
                let span = arguments.first().map_or(function.name.span(), Spanned::span);
                let supported = match &self.contract.privacy_unit {
                    Some(unit) => format!("COUNT(DISTINCT {unit}) counts privacy units"),
                    None => "a row is the privacy unit of this dataset: COUNT(*) counts units".into(),
                };
                Err(self.error(span, "only privacy units can be counted distinctly", supported))
            }
        }
    }

    /// An argument with bounds; a condition counts as 1 where true and 0 where false.
    fn argument(&self, e: &ast::Expr) -> Result<Typed, SqlError> {
        let typed = self.row(e, 1)?;
        if typed.kind == Kind::Boolean {
            let condition = typed.expr;
            let zero = (Expr::Not(Box::new(condition.clone())), Expr::Number(real(0.0)));
            let case = Expr::Case(vec![(condition, Expr::Number(real(1.0))), zero], Box::new(Expr::Null));
            return Ok(Typed {
                interval: Some(Interval { low: 0.0, high: 1.0 }),
                step: Some(1.0),
                ..Typed::new(case, Kind::Number, typed.nullable)
            });
        }
        self.expect(e, &typed, Kind::Number)?;
        self.bounded(e, &typed)?;
        Ok(typed)
    }

    fn share(&self, e: &ast::Expr) -> Result<f64, SqlError> {
        self.constant(e, "a constant share from 0 to 1, such as 0.9", |p| (0.0..=1.0).contains(&p))
    }

    pub fn constant(&self, e: &ast::Expr, what: &str, good: impl Fn(f64) -> bool) -> Result<f64, SqlError> {
        match self.row(e, 1)?.expr {
            Expr::Number(x) if good(x.get()) => Ok(x.get()),
            _ => Err(self.error(e.span(), format!("expected {what}"), "a constant, so that the layout is public")),
        }
    }
}
