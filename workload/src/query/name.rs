//! The name of a column that has no alias: its expression in one spelling, so that white space and case do not matter.

use super::scope::Scope;
use sqlparser::ast::{self, Ident};

pub(super) fn canonical_name(e: &ast::Expr, scope: &Scope<'_>) -> String {
    if let ast::Expr::Nested(inner) = e {
        return canonical_name(inner, scope);
    }
    let text = e.to_string();
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '\'' | '"' => rest[1..].find(c).map_or(rest.len(), |i| i + 2),
            c if c.is_ascii_alphabetic() || c == '_' => rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                .unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        match c {
            '\'' => out.push_str(token),
            '"' => out.push_str(token.trim_matches('"')),
            _ => match scope.spelling(&Ident::new(token)) {
                Some(column) => out.push_str(column),
                None => out.push_str(&token.to_ascii_lowercase()),
            },
        }
        rest = after;
    }
    out
}
