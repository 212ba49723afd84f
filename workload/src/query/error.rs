//! A refusal of SQL text: where, why, and what is supported instead. The caret is drawn on demand.

use std::fmt;

/// Lines and columns count from 1, columns in characters. `length` is how much the caret underlines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlError {
    /// Stable, as in docs/errors.md.
    pub code: &'static str,
    pub line: u64,
    pub column: u64,
    pub length: u64,
    pub message: String,
    pub supported: String,
}

/// The text is outside the dialect or against the contract.
pub const SQL: &str = "SOTTO-1001";
/// Epsilon or delta is no budget, or needs more noise than can be drawn.
pub const BUDGET: &str = "SOTTO-1002";
/// Declared rows times range do not fit the ring.
pub const SATURATES: &str = "SOTTO-1003";
/// The task of the request is not a query, or names another dataset.
pub const TASK: &str = "SOTTO-1004";
/// A plan or a sum that does not belong together.
pub const PLAN: &str = "SOTTO-1005";

impl SqlError {
    /// A refusal that concerns the whole question.
    pub fn whole(code: &'static str, message: impl Into<String>, supported: impl Into<String>) -> Self {
        Self {
            code,
            line: 1,
            column: 1,
            length: 1,
            message: message.into(),
            supported: supported.into(),
        }
    }

    /// The offending line with the caret below it, the reason, and what is supported.
    pub fn render(&self, sql: &str) -> String {
        let line = sql
            .split('\n')
            .nth(self.line.saturating_sub(1) as usize)
            .unwrap_or_default();
        let line = line.trim_end_matches('\r').replace('\t', " ");
        let number = self.line.to_string();
        let pad = " ".repeat(number.len());
        let before = " ".repeat(self.column.saturating_sub(1) as usize);
        let caret = "^".repeat(self.length.max(1) as usize);
        format!(
            "{pad} |\n{number} | {line}\n{pad} | {before}{caret} {}\n{pad} = {}\n",
            self.message, self.supported
        )
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}, column {}: {} ({})",
            self.line, self.column, self.message, self.supported
        )
    }
}

impl std::error::Error for SqlError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_token() {
        let error = SqlError {
            code: SQL,
            line: 2,
            column: 6,
            length: 5,
            message: "unknown table `hearts`".into(),
            supported: "the dataset is `heart`".into(),
        };
        assert_eq!(
            error.render("SELECT COUNT(*)\nFROM hearts"),
            "  |\n2 | FROM hearts\n  |      ^^^^^ unknown table `hearts`\n  = the dataset is `heart`\n"
        );
    }
}
