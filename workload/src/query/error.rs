//! A refusal of SQL text: where, why, and what is supported instead. The caret is drawn on demand.

use std::fmt;

/// Lines and columns count from 1, columns in characters. `length` is how much the caret underlines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlError {
    pub line: u64,
    pub column: u64,
    pub length: u64,
    pub message: String,
    pub supported: String,
}

impl SqlError {
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
