//! One physical line of a CSV file is one record: checked when a dataset is opened, so that no line can change how another
//! is read. Without this one person's stray quote swallows the rows of everybody after it, or makes the reader fail.
//!
//! Each line must be UTF-8 (two spellings of no text would be one id), have as many fields as the header, and use quotes
//! only around whole fields, closed on the same line and doubled inside. That is narrower than what readers accept, and
//! what all of them read alike. Costs one pass over the bytes, about a second per gigabyte; refusals name a line, never
//! its content.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// Far above any record; a row must not be able to exhaust memory either.
const LONGEST: usize = 1 << 20;
const BUFFER: usize = 1 << 20;

/// Why a file is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadLine {
    pub number: u64,
    pub fault: &'static str,
}

/// The first line that is not one record, if there is one.
pub(super) fn first_bad(path: &Path) -> io::Result<Option<BadLine>> {
    let mut file = BufReader::with_capacity(BUFFER, File::open(path)?);
    let (mut line, mut number, mut columns) = (Vec::new(), 0, None);
    loop {
        line.clear();
        if !next(&mut file, &mut line)? {
            return Ok(None);
        }
        number += 1;
        let bytes = match number {
            1 => line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line),
            _ => &line,
        };
        // One carriage return, as the reader takes off: a second one would follow a closing quote.
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        // The reader skips empty lines before the header only.
        if columns.is_none() && bytes.is_empty() {
            continue;
        }
        let fault = match (fields(bytes), columns) {
            (Err(fault), _) => fault,
            (Ok(found), None) => {
                columns = Some(found);
                continue;
            }
            (Ok(found), Some(expected)) if found == expected => continue,
            (Ok(_), Some(_)) => {
                "it has more or fewer fields than the header: quote fields that hold commas, remove empty lines"
            }
        };
        return Ok(Some(BadLine { number, fault }));
    }
}

/// The next line without its end. `false`: there is none. A line that is too long is cut just after the limit.
fn next(file: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        let available = file.fill_buf()?;
        if available.is_empty() {
            return Ok(!line.is_empty());
        }
        let room = (LONGEST + 2).saturating_sub(line.len()).min(available.len());
        match available[..room].iter().position(|b| *b == b'\n') {
            Some(end) => {
                line.extend_from_slice(&available[..end]);
                file.consume(end + 1);
                return Ok(true);
            }
            None => {
                line.extend_from_slice(&available[..room]);
                file.consume(room);
                if line.len() > LONGEST + 1 {
                    return Ok(true);
                }
            }
        }
    }
}

/// How many fields a line has, if it is one record.
fn fields(line: &[u8]) -> Result<usize, &'static str> {
    if line.len() > LONGEST {
        return Err("it is longer than 1 MiB");
    }
    if std::str::from_utf8(line).is_err() {
        return Err("it is not UTF-8: export the file as UTF-8");
    }
    let commas = |bytes: &[u8]| bytes.iter().filter(|b| **b == b',').count();
    if !line.contains(&b'"') {
        return Ok(1 + commas(line));
    }
    let (mut rest, mut found) = (line, 1);
    loop {
        rest = match rest.strip_prefix(b"\"") {
            Some(inside) => after_quoted(inside)?,
            None => {
                let end = rest.iter().position(|b| *b == b',').unwrap_or(rest.len());
                if rest[..end].contains(&b'"') {
                    return Err("it has a quote inside a field without quotes: quote the field and double the quote");
                }
                &rest[end..]
            }
        };
        match rest.split_first() {
            None => return Ok(found),
            Some((b',', next)) => (rest, found) = (next, found + 1),
            Some(_) => return Err("it has text after a closing quote: double the quotes inside a field"),
        }
    }
}

/// What follows a quoted field, which begins inside its quotes.
fn after_quoted(mut rest: &[u8]) -> Result<&[u8], &'static str> {
    loop {
        let Some(quote) = rest.iter().position(|b| *b == b'"') else {
            return Err("a quote is not closed on it: export without line breaks inside fields, or use Parquet");
        };
        rest = &rest[quote + 1..];
        match rest.strip_prefix(b"\"") {
            Some(inside) => rest = inside,
            None => return Ok(rest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(content: &[u8]) -> Option<u64> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        first_bad(file.path()).unwrap().map(|bad| bad.number)
    }

    #[test]
    fn records_of_one_line_pass_whatever_they_quote() {
        for good in [
            "a,b\n1,2\n",
            "a,b\r\n1,2\r\n\"x\",\"y\"\r\n",
            "\u{feff}\"a\",b\n\"x, y\",\"say \"\"hi\"\"\"\n,\"\"\n",
            "\n\na,b\n1,é",
            "a,b\n1,\"2\"\r",
            "a\n\n1\n",
            "",
        ] {
            assert_eq!(refused(good.as_bytes()), None, "{good:?}");
        }
    }

    #[test]
    fn a_line_that_others_could_depend_on_is_refused_by_its_number() {
        for bad in [
            "pX,30,say \"hi",
            "\"pX,30,n",
            "pX,30,\"two\nlines\"",
            "pX,\"a\"b,n",
            "pX,a\"b\"c,n",
            "pX,\"a\"\",\"n\"",
            "\"",
            "\"\"\"",
            "pX,30,\"n\"\r\r",
            "pX,\"30\"\r,n",
            "pX,30",
            "pX,30,n,",
            "",
        ] {
            let file = format!("id,age,note\n1,2,x\n{bad}\n1,2,y\n");
            assert_eq!(refused(file.as_bytes()), Some(3), "{bad:?}");
        }
        assert_eq!(refused(b"id\nJos\xe9\n"), Some(2));
        assert_eq!(refused(format!("id\n{}\n", "x".repeat(LONGEST)).as_bytes()), None);
        assert_eq!(
            refused(format!("id\n{}\n", "x".repeat(LONGEST + 1)).as_bytes()),
            Some(2)
        );
        assert_eq!(refused(format!("id\n{}", "x".repeat(3 * LONGEST)).as_bytes()), Some(2));
        assert_eq!(refused(b"id,\"na\n\nme\"\n1,2"), Some(1));
    }
}
