//! Aggregates of SQL as they are called: which there are, what they take, and what is refused.
//! `components.rs` says what each is made of.

use super::components::{present, real};
use super::scope::Scope;
use super::types::{Interval, Kind, Typed};
use super::{Expr, SqlError};
use governance::canonical::Real;
use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, FunctionArguments, Spanned};

pub(super) const NAMES: &[&str] = &[
    "COUNT",
    "SUM",
    "AVG",
    "VAR",
    "VARIANCE",
    "VAR_SAMP",
    "VAR_POP",
    "STDDEV",
    "STDDEV_SAMP",
    "STDDEV_POP",
    "MEDIAN",
    "QUANTILE",
    "PERCENTILE_CONT",
    "MIN",
    "MAX",
    "HISTOGRAM",
    "COVAR",
    "COVAR_SAMP",
    "COVAR_POP",
    "CORR",
    "SHARE",
    "PERCENTAGE",
];
/// MIN and MAX are these quantiles: an extreme of one row cannot be told privately.
pub(super) const EXTREME: f64 = 0.01;
const MAX_BINS: f64 = 10_000.0;

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
            if arguments.len() == n {
                Ok(())
            } else {
                Err(self.misused(function, what))
            }
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
            "VAR" | "VARIANCE" | "VAR_SAMP" => WishKind::Variance {
                of: one()?,
                sample: true,
                root: false,
            },
            "VAR_POP" => WishKind::Variance {
                of: one()?,
                sample: false,
                root: false,
            },
            "STDDEV" | "STDDEV_SAMP" => WishKind::Variance {
                of: one()?,
                sample: true,
                root: true,
            },
            "STDDEV_POP" => WishKind::Variance {
                of: one()?,
                sample: false,
                root: true,
            },
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
                WishKind::Covariance {
                    left,
                    right,
                    sample: name != "COVAR_POP",
                }
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
        self.constant(e, "a constant share from 0 to 1, such as 0.9", |p| {
            (0.0..=1.0).contains(&p)
        })
    }

    pub fn constant(&self, e: &ast::Expr, what: &str, good: impl Fn(f64) -> bool) -> Result<f64, SqlError> {
        match self.row(e, 1)?.expr {
            Expr::Number(x) if good(x.get()) => Ok(x.get()),
            _ => Err(self.error(
                e.span(),
                format!("expected {what}"),
                "a constant, so that the layout is public",
            )),
        }
    }
}
