//! A plan's expressions as polars expressions over the files' own columns, so that one lazy query does all and polars
//! pushes projection and predicate into the scan. The meaning is `workload::query::Expr::evaluate`, bit for bit.
//!
//! Where polars computes something else than the specification (its division by a constant multiplies by the
//! reciprocal), lacks it in this build (floor, LIKE) or could raise an error, the specification's own function is called
//! per value. Scanned columns are inlined into every expression, since a predicate on a computed alias is not pushed down.

use crate::data::{Source, map_options, map_values};
use governance::Scalar;
use polars::prelude::{
    BooleanType, DataType, Expr, Float64Chunked, Float64Type, Int32Type, IntoColumn, NULL, NamedFrom, PlSmallStr,
    Series, StringType, lit, when,
};
use std::collections::BTreeMap;
use workload::query::{self, Arithmetic, Comparison, Function, QueryPlan, ScanColumn, ScanKind, Value};

/// The columns of a plan over one source, ready to be put into expressions.
pub(super) struct Columns<'a> {
    by_name: BTreeMap<&'a str, (Expr, DataType)>,
    typed: BTreeMap<&'a str, Expr>,
}

impl<'a> Columns<'a> {
    /// `None`: the contract lacks a column that the plan reads.
    pub fn new(plan: &'a QueryPlan, source: &Source<'_>) -> Option<Self> {
        let mut columns = Self {
            by_name: BTreeMap::new(),
            typed: BTreeMap::new(),
        };
        for column in &plan.columns {
            let typed = source.column(&column.name)?;
            columns
                .by_name
                .insert(&column.name, (normal(column, typed.clone()), dtype(&column.kind)));
            columns.typed.insert(&column.name, typed);
        }
        Some(columns)
    }

    /// The column as the scan delivers it.
    pub fn get(&self, name: &str) -> Option<Expr> {
        self.by_name.get(name).map(|(expr, _)| expr.clone())
    }

    /// A text column without the check of its categories, and without its constant for NULL.
    pub fn unchecked(&self, name: &str) -> Option<Expr> {
        self.typed.get(name).cloned()
    }

    /// `expr` as polars' own, of type `want`. `None`: it names an unknown column.
    pub fn translate(&self, expr: &query::Expr, want: &DataType) -> Option<Expr> {
        use query::Expr as E;
        let number = |e: &E| self.translate(e, &DataType::Float64);
        let boolean = |e: &E| self.translate(e, &DataType::Boolean);
        let natural = |e: &E| self.translate(e, &self.type_of(e));
        Some(match expr {
            E::Null => lit(NULL).cast(want.clone()),
            E::Number(x) => lit(x.get()),
            E::Text(text) => lit(text.as_str()),
            E::Boolean(b) => lit(*b),
            E::Date(days) => lit(*days),
            E::Column(name) => self.get(name)?,
            E::Negate(e) => map_values::<Float64Type, Float64Type, _>(number(e)?, DataType::Float64, |x| Some(-x)),
            E::Arithmetic(Arithmetic::Add, a, b) => number(a)? + number(b)?,
            E::Arithmetic(Arithmetic::Subtract, a, b) => number(a)? - number(b)?,
            E::Arithmetic(Arithmetic::Multiply, a, b) => number(a)? * number(b)?,
            E::Arithmetic(Arithmetic::Divide, a, b) => by_spec(vec![number(a)?, number(b)?], |x| {
                query::arithmetic(Arithmetic::Divide, x[0], x[1])
            }),
            E::Call(function, arguments) => {
                let function: Function = *function;
                let arguments = arguments.iter().map(number).collect::<Option<Vec<_>>>()?;
                by_spec(arguments, move |x| query::call(function, x))
            }
            E::Compare(op, a, b) => {
                let common = match self.type_of(a) {
                    DataType::Null => self.type_of(b),
                    known => known,
                };
                compare(*op, self.translate(a, &common)?, self.translate(b, &common)?)
            }
            E::Not(e) => boolean(e)?.not(),
            E::And(parts) => self.joined(parts, true)?,
            E::Or(parts) => self.joined(parts, false)?,
            E::IsNull(e) => natural(e)?.is_null(),
            E::InList(e, list) => in_list(natural(e)?, &self.type_of(e), list),
            E::Like(e, pattern) => {
                let pattern = query::like_tokens(pattern);
                let text = self.translate(e, &DataType::String)?;
                map_values::<StringType, BooleanType, _>(text, DataType::Boolean, move |t| {
                    Some(query::like(&pattern, t))
                })
            }
            E::Case(branches, otherwise) => {
                let mut answer = self.translate(otherwise, want)?;
                for (condition, then) in branches.iter().rev() {
                    answer = when(boolean(condition)?)
                        .then(self.translate(then, want)?)
                        .otherwise(answer);
                }
                answer
            }
            E::DatePart(part, e) => {
                let part = *part;
                let date = self.translate(e, &DataType::Int32)?;
                map_values::<Int32Type, Float64Type, _>(date, DataType::Float64, move |days| {
                    as_number(query::date_part(part, days))
                })
            }
        })
    }

    /// Halves, not a chain: a list of thousands must not be an expression as deep as it is long.
    fn joined(&self, parts: &[query::Expr], all: bool) -> Option<Expr> {
        match parts {
            [] => Some(lit(all)),
            [one] => self.translate(one, &DataType::Boolean),
            many => {
                let (left, right) = many.split_at(many.len() / 2);
                let (left, right) = (self.joined(left, all)?, self.joined(right, all)?);
                Some(if all { left.and(right) } else { left.or(right) })
            }
        }
    }

    /// `Null`: nothing but NULLs.
    fn type_of(&self, expr: &query::Expr) -> DataType {
        use query::Expr as E;
        match expr {
            E::Null => DataType::Null,
            E::Number(_) | E::Negate(_) | E::Arithmetic(..) | E::Call(..) | E::DatePart(..) => DataType::Float64,
            E::Text(_) => DataType::String,
            E::Date(_) => DataType::Int32,
            E::Column(name) => self
                .by_name
                .get(name.as_str())
                .map_or(DataType::Null, |(_, dtype)| dtype.clone()),
            E::Case(branches, otherwise) => branches
                .iter()
                .map(|(_, then)| then)
                .chain([otherwise.as_ref()])
                .map(|e| self.type_of(e))
                .find(|dtype| *dtype != DataType::Null)
                .unwrap_or(DataType::Null),
            _ => DataType::Boolean,
        }
    }
}

/// A column as `ScanKind` says, whatever the file holds.
fn normal(column: &ScanColumn, typed: Expr) -> Expr {
    match (&column.kind, &column.null) {
        (ScanKind::Number { bounds, whole }, null) => {
            let (low, high) = bounds.map_or((f64::NEG_INFINITY, f64::INFINITY), |(low, high)| {
                (low.get(), high.get())
            });
            let imputed = match null {
                Some(Scalar::Number(x)) => Some(x.get()),
                _ => None,
            };
            normal_number(typed, low, high, *whole, imputed)
        }
        (ScanKind::Text { categories }, null) => {
            let known = match categories.is_empty() {
                true => typed,
                false => {
                    let list = lit(Series::new("".into(), categories)).implode(true);
                    when(typed.clone().is_in(list, false))
                        .then(typed)
                        .otherwise(lit(NULL).cast(DataType::String))
                }
            };
            match null {
                Some(Scalar::Text(text)) => known.fill_null(lit(text.as_str())),
                _ => known,
            }
        }
        (ScanKind::Boolean, Some(Scalar::Boolean(b))) => typed.fill_null(lit(*b)),
        (ScanKind::Boolean, _) => typed,
        (ScanKind::Date { bounds }, null) => {
            let (low, high) = bounds.unwrap_or((i32::MIN, i32::MAX));
            let imputed = match null {
                Some(Scalar::Date(days)) => Some(*days),
                _ => None,
            };
            map_options::<Int32Type, Int32Type, _>(typed, DataType::Int32, move |days| {
                days.or(imputed).map(|d| d.max(low).min(high))
            })
        }
    }
}

/// The hot one: without NULLs it is a branchless loop over a slice.
fn normal_number(typed: Expr, low: f64, high: f64, whole: bool, imputed: Option<f64>) -> Expr {
    let one = move |x: f64| {
        let rounded = if whole { x.round_ties_even() } else { x };
        // Not finite: NaN, which stands for NULL below.
        if x.is_finite() {
            rounded.max(low).min(high)
        } else {
            f64::NAN
        }
    };
    let imputed = imputed.map(one);
    typed.map(
        move |column| {
            let name = column.name().clone();
            let numbers = column.f64()?;
            let normal: Float64Chunked = if numbers.null_count() == 0 {
                let mut values = Vec::with_capacity(numbers.len());
                for chunk in numbers.downcast_iter() {
                    values.extend(chunk.values().iter().map(|x| one(*x)));
                }
                match values.iter().any(|x| x.is_nan()) {
                    false => Float64Chunked::from_vec(name.clone(), values),
                    true => values
                        .into_iter()
                        .map(|x| if x.is_nan() { imputed } else { Some(x) })
                        .collect(),
                }
            } else {
                numbers
                    .iter()
                    .map(|x| x.map(one).filter(|x| !x.is_nan()).or(imputed))
                    .collect()
            };
            Ok(normal.with_name(name).into_column())
        },
        |_, field| Ok(field.clone()),
    )
}

fn dtype(kind: &ScanKind) -> DataType {
    match kind {
        ScanKind::Number { .. } => DataType::Float64,
        ScanKind::Text { .. } => DataType::String,
        ScanKind::Boolean => DataType::Boolean,
        ScanKind::Date { .. } => DataType::Int32,
    }
}

fn compare(op: Comparison, a: Expr, b: Expr) -> Expr {
    match op {
        Comparison::Equal => a.eq(b),
        Comparison::NotEqual => a.neq(b),
        Comparison::Less => a.lt(b),
        Comparison::LessOrEqual => a.lt_eq(b),
        Comparison::Greater => a.gt(b),
        Comparison::GreaterOrEqual => a.gt_eq(b),
    }
}

/// Membership per value, so that a long list is neither a deep expression nor a type to be guessed.
fn in_list(e: Expr, dtype: &DataType, list: &[query::Expr]) -> Expr {
    match dtype {
        DataType::String => {
            let text = |item: &query::Expr| match item {
                query::Expr::Text(text) => Some(text.clone()),
                _ => None,
            };
            let list: std::collections::BTreeSet<String> = list.iter().filter_map(text).collect();
            map_values::<StringType, BooleanType, _>(e, DataType::Boolean, move |t| Some(list.contains(t)))
        }
        DataType::Int32 => {
            let date = |item: &query::Expr| match item {
                query::Expr::Date(days) => Some(*days),
                _ => None,
            };
            let list: Vec<i32> = list.iter().filter_map(date).collect();
            map_values::<Int32Type, BooleanType, _>(e, DataType::Boolean, move |days| Some(list.contains(&days)))
        }
        DataType::Boolean => {
            let holds = |b: bool| list.contains(&query::Expr::Boolean(b));
            when(e.clone().is_null())
                .then(lit(NULL).cast(DataType::Boolean))
                .otherwise(when(e).then(lit(holds(true))).otherwise(lit(holds(false))))
        }
        _ => {
            let number = |item: &query::Expr| match item.evaluate(&|_| Value::Null) {
                Value::Number(x) => Some(x),
                _ => None,
            };
            let list: Vec<f64> = list.iter().filter_map(number).collect();
            map_values::<Float64Type, BooleanType, _>(e.cast(DataType::Float64), DataType::Boolean, move |x| {
                Some(list.contains(&x))
            })
        }
    }
}

/// A function of numbers as the specification computes it; NULL if any argument is NULL.
fn by_spec(arguments: Vec<Expr>, of: impl Fn(&[f64]) -> Value + Send + Sync + 'static) -> Expr {
    polars::prelude::map_multiple(
        move |columns| {
            // A constant comes as one value and is stretched to the batch, also to a batch of no rows.
            let empty = columns.iter().any(|c| c.is_empty());
            let height = if empty {
                0
            } else {
                columns.iter().map(|c| c.len()).max().unwrap_or(0)
            };
            let name: PlSmallStr = columns[0].name().clone();
            let columns: Vec<Float64Chunked> = columns.iter().map(|c| c.f64().cloned()).collect::<Result<_, _>>()?;
            let mut numbers = Vec::with_capacity(columns.len());
            let mut iterators: Vec<_> = columns
                .iter()
                .map(|c| ((c.len() == 1).then(|| c.get(0)), c.iter()))
                .collect();
            let row = |_| {
                numbers.clear();
                for (constant, values) in &mut iterators {
                    numbers.extend(constant.unwrap_or_else(|| values.next().flatten()));
                }
                if numbers.len() == columns.len() {
                    as_number(of(&numbers))
                } else {
                    None
                }
            };
            let answer: Float64Chunked = (0..height).map(row).collect();
            Ok(answer.with_name(name).into_column())
        },
        arguments,
        |_, fields| Ok(polars::prelude::Field::new(fields[0].name().clone(), DataType::Float64)),
    )
}

fn as_number(value: Value) -> Option<f64> {
    match value {
        Value::Number(x) => Some(x),
        _ => None,
    }
}
