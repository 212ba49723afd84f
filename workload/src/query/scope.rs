//! Names: which columns exist, which may be asked about, and what an unknown name was probably meant to be.

use super::syntax::Source;
use super::types::Typed;
use super::{Expr, ScanColumn, ScanKind, SqlError};
use governance::canonical::Real;
use governance::{Column, Contract, LogicalType, NullRule, Scalar};
use sqlparser::ast::{Ident, Spanned};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

pub(super) struct Scope<'a> {
    pub source: &'a Source,
    pub contract: &'a Contract,
    pub table_alias: Option<String>,
    /// Columns used so far.
    pub reads: RefCell<BTreeSet<String>>,
    /// Columns that WHERE leaves no NULL of.
    pub present: RefCell<BTreeSet<String>>,
    /// Expressions lowered so far.
    pub work: Cell<u32>,
}

/// BETWEEN, CASE and aliases repeat what they name, so nesting them could grow a plan without end.
/// What a row costs may depend on the row (WHERE comes first), so this also bounds what an analyst can read off a clock.
const MAX_WORK: u32 = 4_096;

impl Scope<'_> {
    /// Counts one more expression, and refuses when there are too many.
    pub fn step(&self, e: &sqlparser::ast::Expr) -> Result<(), SqlError> {
        self.charge(e, 1)
    }

    /// Counts work that is as much as so many expressions.
    pub fn charge(&self, e: &sqlparser::ast::Expr, work: usize) -> Result<(), SqlError> {
        let work = u32::try_from(work).unwrap_or(MAX_WORK);
        self.work.set(self.work.get().saturating_add(work));
        if self.work.get() > MAX_WORK {
            let message = "the question is too large";
            return Err(self.source.error(e.span(), message, "fewer or simpler expressions"));
        }
        Ok(())
    }

    /// A column that may be asked about, or why not.
    pub fn column(&self, name: &Ident) -> Result<Typed, SqlError> {
        let refuse = |message: String, supported: String| Err(self.source.error(name.span, message, supported));
        let Some(column) = find(self.contract, name) else {
            let asked = &name.value;
            let nearest = self.nearest(asked);
            let known = self.names().collect::<Vec<_>>().join(", ");
            return refuse(
                match nearest {
                    Some(nearest) => format!("unknown column `{asked}`: did you mean `{nearest}`?"),
                    None => format!("unknown column `{asked}`"),
                },
                format!("columns of `{}`: {known}", self.contract.name),
            );
        };
        if column.site_identifying {
            return refuse(
                format!(
                    "column `{}` identifies a participant: the contract forbids its use",
                    column.name
                ),
                "questions over all participants together".into(),
            );
        }
        if !column.queryable {
            let unit = self.contract.privacy_unit.as_deref() == Some(column.name.as_str());
            return refuse(
                format!("column `{}` is forbidden by the contract", column.name),
                if unit {
                    format!("COUNT(DISTINCT {}) counts privacy units", column.name)
                } else {
                    format!(
                        "columns that may be used: {}",
                        self.names().collect::<Vec<_>>().join(", ")
                    )
                },
            );
        }
        self.reads.borrow_mut().insert(column.name.clone());
        let typed = Typed::column(column);
        let nullable = typed.nullable && !self.present.borrow().contains(&column.name);
        Ok(Typed { nullable, ..typed })
    }

    /// Notes the columns that cannot be NULL where `filter` is true: then COUNT(x) is COUNT(*) and shares it.
    pub fn assume(&self, filter: &Expr) {
        let parts = match filter {
            Expr::And(parts) => parts.as_slice(),
            one => std::slice::from_ref(one),
        };
        for part in parts {
            match part {
                Expr::Compare(_, a, b) => [a, b].into_iter().for_each(|e| self.strict(e)),
                Expr::InList(e, _) | Expr::Like(e, _) => self.strict(e),
                Expr::Not(inner) => match &**inner {
                    Expr::IsNull(e) | Expr::InList(e, _) | Expr::Like(e, _) => self.strict(e),
                    _ => {}
                },
                _ => {}
            }
        }
    }

    /// The columns whose NULL makes this expression NULL.
    fn strict(&self, e: &Expr) {
        match e {
            Expr::Column(name) => {
                self.present.borrow_mut().insert(name.clone());
            }
            Expr::Negate(e) | Expr::DatePart(_, e) => self.strict(e),
            Expr::Arithmetic(_, a, b) => [a, b].into_iter().for_each(|e| self.strict(e)),
            Expr::Call(_, list) => list.iter().for_each(|e| self.strict(e)),
            _ => {}
        }
    }

    /// Whether an unquoted or quoted identifier is a column, allowed or not.
    pub fn is_column(&self, name: &Ident) -> bool {
        find(self.contract, name).is_some()
    }

    /// How the contract spells a column.
    pub fn spelling(&self, name: &Ident) -> Option<&str> {
        find(self.contract, name).map(|c| c.name.as_str())
    }

    /// Whether the identifier is the privacy unit's column.
    pub fn is_unit(&self, name: &Ident) -> bool {
        let column = find(self.contract, name).map(|c| c.name.as_str());
        column.is_some() && column == self.contract.privacy_unit.as_deref()
    }

    /// How the columns that were used are scanned, sorted by name.
    pub fn scans(&self) -> Vec<ScanColumn> {
        let reads = self.reads.borrow();
        reads
            .iter()
            .filter_map(|name| self.contract.column(name))
            .map(scan)
            .collect()
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let open = self
            .contract
            .columns
            .iter()
            .filter(|c| c.queryable && !c.site_identifying);
        open.map(|c| c.name.as_str())
    }

    fn nearest(&self, asked: &str) -> Option<&str> {
        nearest(asked, self.names())
    }
}

/// Unquoted names match in any case, quoted ones exactly.
fn find<'a>(contract: &'a Contract, name: &Ident) -> Option<&'a Column> {
    contract.columns.iter().find(|c| match name.quote_style {
        None => c.name.eq_ignore_ascii_case(&name.value),
        Some(_) => c.name == name.value,
    })
}

/// How a contract's column is read.
pub(crate) fn scan(column: &Column) -> ScanColumn {
    let bounds = column.bounds;
    let kind = match column.logical_type {
        LogicalType::Integer | LogicalType::Number => ScanKind::Number {
            bounds: bounds.map(|b| (b.min, b.max)),
            whole: column.logical_type == LogicalType::Integer,
        },
        LogicalType::String => ScanKind::Text {
            categories: column.categories.clone(),
        },
        LogicalType::Boolean => ScanKind::Boolean,
        LogicalType::Date => ScanKind::Date {
            bounds: bounds.map(|b| (b.min.get() as i32, b.max.get() as i32)),
        },
    };
    let null = match (&column.null_rule, &kind) {
        (NullRule::Impute(value), _) => Some(value.clone()),
        (NullRule::Ignore, _) if column.nullable => None,
        // A NULL in a required column breaks the contract. The engine stays total: the middle of the bounds, or false.
        (
            _,
            ScanKind::Number {
                bounds: Some((low, high)),
                ..
            },
        ) => Real::new((low.get() / 2.0 + high.get() / 2.0).floor()).map(Scalar::Number),
        (_, ScanKind::Number { bounds: None, .. }) => Real::new(0.0).map(Scalar::Number),
        (_, ScanKind::Boolean) => Some(Scalar::Boolean(false)),
        (_, ScanKind::Date { bounds }) => Some(Scalar::Date(bounds.map_or(0, |(low, high)| low + (high - low) / 2))),
        (_, ScanKind::Text { .. }) => None,
    };
    ScanColumn {
        name: column.name.clone(),
        kind,
        null,
    }
}

/// The known name that was meant by an unknown one, if a finger slipped: one edit, and one more for every four letters.
pub fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = unknown.to_lowercase();
    let far = |name: &'a str| (distance(&lower, &name.to_lowercase()), name);
    let near = known.into_iter().map(far).min();
    near.filter(|(far, _)| *far <= 1 + unknown.chars().count() / 4)
        .map(|(_, name)| name)
}

/// Edits (insert, delete, replace, swap neighbours) between two short names.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_near_when_a_finger_slipped() {
        assert_eq!(distance("chol", "chol"), 0);
        assert_eq!(distance("chlo", "chol"), 1);
        assert_eq!(distance("cholesterol", "chol"), 7);
        assert_eq!(distance("", "age"), 3);
        assert_eq!(nearest("chole", ["age", "chol"]), Some("chol"));
        assert_eq!(nearest("lr", ["evaluate_group", "mu"]), None);
    }
}
