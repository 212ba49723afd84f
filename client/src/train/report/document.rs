//! A document in a handful of blocks, and its two renderings. Every word is escaped here and nowhere else: a dataset called
//! `<script>` is a name in both. The page has no scripts and asks for nothing from outside; its header forbids both.

use crate::Problem;
use crate::plot::Figure;

#[derive(Clone, Debug)]
pub(super) struct Document {
    pub title: String,
    pub blocks: Vec<Block>,
}

#[derive(Clone, Debug)]
pub(super) enum Block {
    Heading(String),
    Text(String),
    /// What a reader must not miss.
    Warning(String),
    List(Vec<String>),
    /// Names and values.
    Facts(Vec<(String, String)>),
    Table {
        head: Vec<String>,
        rows: Vec<Vec<String>>,
    },
    Picture(Picture),
}

#[derive(Clone, Debug)]
pub(super) struct Picture {
    /// Of the files, without an ending.
    pub name: &'static str,
    pub title: String,
    pub svg: String,
    pub png: Vec<u8>,
}

impl Picture {
    pub fn new(name: &'static str, figure: &Figure) -> Result<Self, Problem> {
        let failed = |error| Problem::local(format!("picture `{name}`"), error);
        Ok(Self {
            name,
            title: figure.title.clone(),
            svg: figure.svg().map_err(failed)?,
            png: figure.png().map_err(failed)?,
        })
    }
}

impl Block {
    pub fn heading(words: &str) -> Self {
        Block::Heading(words.to_owned())
    }

    pub fn facts<const N: usize>(facts: [(&str, String); N]) -> Self {
        Block::Facts(facts.map(|(name, value)| (name.to_owned(), value)).into())
    }

    pub fn table<const N: usize>(head: [&str; N], rows: Vec<Vec<String>>) -> Self {
        let head = head.map(str::to_owned).into();
        Block::Table { head, rows }
    }
}

impl Document {
    pub fn pictures(&self) -> impl Iterator<Item = &Picture> {
        self.blocks.iter().filter_map(|block| match block {
            Block::Picture(picture) => Some(picture),
            _ => None,
        })
    }

    pub fn markdown(&self) -> String {
        let mut text = format!("# {}\n", md(&self.title));
        for block in &self.blocks {
            text.push('\n');
            text += &match block {
                Block::Heading(words) => format!("## {}\n", md(words)),
                Block::Text(words) => format!("{}\n", md(words)),
                Block::Warning(words) => format!("> **{}**\n", md(words)),
                Block::List(items) => items.iter().map(|item| format!("- {}\n", md(item))).collect(),
                Block::Facts(facts) => facts
                    .iter()
                    .map(|(name, value)| format!("- {}: {}\n", md(name), md(value)))
                    .collect(),
                Block::Table { head, rows } => {
                    let row = |cells: &Vec<String>| {
                        let cells: Vec<String> = cells.iter().map(|cell| md(cell)).collect();
                        format!("| {} |\n", cells.join(" | "))
                    };
                    let rule = format!("|{}\n", "---|".repeat(head.len()));
                    row(head) + &rule + &rows.iter().map(row).collect::<String>()
                }
                Block::Picture(picture) => format!("![{}]({}.png)\n", md(&picture.title), picture.name),
            };
        }
        text
    }

    pub fn html(&self) -> String {
        let mut body = format!("<h1>{}</h1>\n", ht(&self.title));
        for block in &self.blocks {
            body += &match block {
                Block::Heading(words) => format!("<h2>{}</h2>\n", ht(words)),
                Block::Text(words) => format!("<p>{}</p>\n", ht(words)),
                Block::Warning(words) => format!("<p class=\"warning\">{}</p>\n", ht(words)),
                Block::List(items) => {
                    let items = items.iter().map(|item| format!("<li>{}</li>\n", ht(item)));
                    format!("<ul>\n{}</ul>\n", items.collect::<String>())
                }
                Block::Facts(facts) => {
                    let row = |(name, value): &(String, String)| {
                        format!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", ht(name), ht(value))
                    };
                    format!(
                        "<table class=\"facts\">\n{}</table>\n",
                        facts.iter().map(row).collect::<String>()
                    )
                }
                Block::Table { head, rows } => {
                    let cells = |cells: &[String], tag: &str| {
                        let cells = cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", ht(cell)));
                        format!("<tr>{}</tr>\n", cells.collect::<String>())
                    };
                    let rows: String = rows.iter().map(|row| cells(row, "td")).collect();
                    format!(
                        "<table>\n<thead>{}</thead>\n<tbody>\n{rows}</tbody>\n</table>\n",
                        cells(head, "th")
                    )
                }
                Block::Picture(picture) => {
                    format!(
                        "<figure aria-label=\"{}\">\n{}</figure>\n",
                        ht(&picture.title),
                        picture.svg
                    )
                }
            };
        }
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n",
            ht(&self.title)
        )
    }
}

const STYLE: &str = "
body { max-width: 54rem; margin: 2.5rem auto; padding: 0 1.25rem; color: #222; background: #fff;
       font: 1rem/1.55 system-ui, sans-serif }
h1 { font-size: 1.5rem; line-height: 1.3; overflow-wrap: anywhere }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; padding-bottom: .25rem; border-bottom: 1px solid #ddd }
table { border-collapse: collapse; margin: .8rem 0; font-size: .925rem; font-variant-numeric: tabular-nums }
th, td { text-align: left; vertical-align: top; padding: .28rem 1.4rem .28rem 0; border-bottom: 1px solid #eee;
         overflow-wrap: anywhere }
thead th { border-bottom: 1px solid #999 }
.facts { width: 100% }
.facts th { font-weight: normal; color: #606060; width: 16rem; min-width: 9rem }
.warning { padding: .6rem .9rem; border-left: 4px solid #d55e00; background: #fdf3ec; font-weight: 600 }
figure { margin: 1.2rem 0 } figure svg { max-width: 100%; height: auto }
@media print { body { margin: 0; max-width: none } figure, tr { break-inside: avoid } }
";

/// One line of Markdown that is read as these words and nothing else.
fn md(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for c in words.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '&' | '~' | '$' => out.extend(['\\', c]),
            c if c.is_whitespace() || c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

fn ht(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for c in words.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
