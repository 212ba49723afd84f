//! Keys of GROUP BY: an expression with a closed, public domain. Which groups exist is known before any row is read, so
//! an empty group is a row of noise around zero and never a missing row.

use super::scope::Scope;
use super::types::Kind;
use super::{Bins, Domain, GroupKey, SqlError};
use governance::canonical::Real;
use sqlparser::ast::{self, Spanned};

const MAX_INTEGERS: f64 = 1_000.0;
const MAX_BINS: f64 = 10_000.0;
const KEYS: &str = "columns with declared categories, booleans, small ranges of whole numbers, BIN(column, width), CASE with \
    constant texts, EXTRACT of a date";

impl Scope<'_> {
    pub fn key(&self, e: &ast::Expr) -> Result<GroupKey, SqlError> {
        match e {
            ast::Expr::Nested(inner) => return self.key(inner),
            ast::Expr::Function(f) if f.name.to_string().eq_ignore_ascii_case("BIN") => return self.bin(f),
            _ => {}
        }
        let typed = self.row(e, 1)?;
        let refuse = |message: String| Err(self.error(e.span(), message, KEYS));
        let domain = match typed.kind {
            Kind::Text => match typed.texts.clone() {
                Some(labels) => Domain::Texts(labels),
                None => return refuse("this text has no declared categories to group by".into()),
            },
            Kind::Boolean => Domain::Booleans,
            Kind::Number => {
                let i = self.bounded(e, &typed)?;
                if !typed.whole() || i.high.fract() != 0.0 {
                    return refuse(
                        "only whole numbers can be grouped by their value: BIN(column, width) makes bins".into(),
                    );
                }
                if i.high - i.low >= MAX_INTEGERS {
                    return refuse(format!(
                        "{} values are too many groups: BIN(column, width) makes bins",
                        i.high - i.low + 1.0
                    ));
                }
                Domain::Integers {
                    min: i.low as i64,
                    max: i.high as i64,
                }
            }
            Kind::Date => {
                return refuse("a date has too many values to group by: EXTRACT(YEAR FROM date) has few".into());
            }
            Kind::Null => return refuse("NULL cannot be grouped by".into()),
        };
        Ok(GroupKey {
            expr: typed.expr,
            domain,
            null: typed.nullable,
        })
    }

    /// `BIN(x, width)`: bins start at multiples of the width and cover the bounds.
    fn bin(&self, function: &ast::Function) -> Result<GroupKey, SqlError> {
        let arguments = self.arguments(function)?;
        let ([e, width], None, true) = (arguments.as_slice(), &function.filter, function.within_group.is_empty())
        else {
            return Err(self.misused(function, "a column and a width"));
        };
        let typed = self.number(e, 1)?;
        let i = self.bounded(e, &typed)?;
        let w = self.constant(width, "a width above zero", |w| w > 0.0)?;
        let origin = (i.low / w).floor() * w;
        let count = ((i.high - origin) / w).floor() + 1.0;
        let (Some(origin), Some(step), true) = (Real::new(origin), Real::new(w), count <= MAX_BINS) else {
            let message = format!("a width of {w} makes {count} bins over {} to {}", i.low, i.high);
            return Err(self.error(width.span(), message, format!("at most {MAX_BINS} bins")));
        };
        let bins = Bins {
            origin,
            width: step,
            count: count as u32,
        };
        Ok(GroupKey {
            expr: typed.expr,
            domain: Domain::Bins(bins),
            null: typed.nullable,
        })
    }
}
