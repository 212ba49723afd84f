//! The one thing that this side must know of a question before it has its contract: which dataset it is about.

/// The word after the first FROM outside quotes and comments.
pub fn table_of(sql: &str) -> Option<String> {
    let mut words = Vec::new();
    let mut chars = sql.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' => while chars.next().is_some_and(|c| c != '\'') {},
            '-' if chars.peek() == Some(&'-') => while chars.next().is_some_and(|c| c != '\n') {},
            '"' => words.push(chars.by_ref().take_while(|c| *c != '"').collect()),
            c if c.is_alphanumeric() || c == '_' => {
                let mut word = String::from(c);
                while let Some(c) = chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
                    word.push(c);
                }
                words.push(word);
            }
            _ => {}
        }
    }
    let from = words.iter().position(|word| word.eq_ignore_ascii_case("from"))?;
    words.into_iter().nth(from + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dataset_is_the_table_after_from_and_not_a_word_in_quotes() {
        assert_eq!(
            table_of("SELECT COUNT(*) FROM heart WHERE x = 'from y'").as_deref(),
            Some("heart")
        );
        assert_eq!(
            table_of("-- from nowhere\nselect 'from a', b\nfrom \"visits\" v").as_deref(),
            Some("visits")
        );
        assert_eq!(table_of("SELECT 1"), None);
        assert_eq!(table_of("SELECT 'unclosed"), None);
    }
}
