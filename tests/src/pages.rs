//! Parses documentation pages: their code blocks, their links, and the anchors to which links may lead.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::workspace;

/// A page.
#[derive(Clone, Debug)]
pub struct Page {
    /// The path, relative to the checkout.
    pub path: PathBuf,
    /// The code blocks, in order.
    pub blocks: Vec<Block>,
    /// The links, in order.
    pub links: Vec<Link>,
    /// The anchors of the headings, as links write them after `#`.
    pub anchors: Vec<String>,
    /// The lines outside code blocks, each with its number counted from 1.
    pub prose: Vec<(usize, String)>,
}

/// A fenced code block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The line of the first fence, counted from 1.
    pub line: usize,
    /// The tag after the fence: `sh`, `output`, `console`.
    pub tag: String,
    /// The content.
    pub text: String,
}

/// A link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The line, counted from 1.
    pub line: usize,
    /// The target, as written.
    pub target: String,
}

impl Page {
    /// Reads a page of the checkout.
    pub fn read(path: &Path) -> Result<Self> {
        let full = workspace::root().join(path);
        let text = fs::read_to_string(&full).with_context(|| format!("cannot read {}", full.display()))?;
        Self::parse(path, &text)
    }

    /// Parses a page.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let mut page =
            Self { path: path.to_owned(), blocks: vec![], links: vec![], anchors: vec![], prose: vec![] };
        let mut open: Option<Block> = None;
        for (line, content) in (1..).zip(text.lines()) {
            match (content.strip_prefix("```"), open.take()) {
                (Some(_), Some(block)) => page.blocks.push(block),
                (Some(tag), None) => {
                    open = Some(Block { line, tag: tag.trim().to_owned(), text: String::new() });
                }
                (None, Some(mut block)) => {
                    block.text.push_str(content);
                    block.text.push('\n');
                    open = Some(block);
                }
                (None, None) => {
                    page.prose.push((line, content.to_owned()));
                    if let Some(title) = content.strip_prefix('#') {
                        page.anchors.push(anchor(title.trim_start_matches('#').trim()));
                    }
                    page.links.extend(links(content).map(|target| Link { line, target }));
                }
            }
        }
        let unclosed = open.map(|block| block.line);
        ensure!(unclosed.is_none(), "{}:{}: this block never ends", path.display(), unclosed.unwrap_or(0));
        Ok(page)
    }

    /// The page and a line, as `FILE:LINE`.
    pub fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }
}

/// The contents of `](…)`, outside code.
fn links(line: &str) -> impl Iterator<Item = String> {
    // Every second piece between backticks is code.
    let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
    let pieces: Vec<String> = prose.split("](").skip(1).map(str::to_owned).collect();
    pieces.into_iter().filter_map(|piece| Some(piece.split_once(')')?.0.to_owned()))
}

/// The anchor that code hosts generate for a heading: lower case, dashes instead of spaces, no punctuation.
fn anchor(title: &str) -> String {
    let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>().to_lowercase()
}

/// Whether a line matches a pattern in which each `…` matches anything. The width of gaps between words does
/// not matter, because column widths depend on the content.
pub fn is_like(line: &str, expected: &str) -> bool {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (line, expected) = (words(line), words(expected));
    let mut pieces = expected.split('…');
    let Some(mut rest) = pieces.next().and_then(|first| line.strip_prefix(first)) else { return false };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_is_parsed_into_blocks_links_and_anchors() {
        let text = "# A `title`, or two\n[x](y.md#z) `[no](link)` [b](c)\n```sh\n# no heading\necho\n```\n";
        let page = Page::parse(Path::new("p.md"), text).unwrap();
        assert_eq!(page.anchors, ["a-title-or-two"]);
        let link = |target: &str| Link { line: 2, target: target.to_owned() };
        assert_eq!(page.links, [link("y.md#z"), link("c")]);
        let block = Block { line: 3, tag: "sh".to_owned(), text: "# no heading\necho\n".to_owned() };
        assert_eq!(page.blocks, [block]);
        assert_eq!(page.prose.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn unclosed_block_is_an_error() {
        let error = Page::parse(Path::new("p.md"), "text\n```sh\n").unwrap_err();
        assert_eq!(error.to_string(), "p.md:2: this block never ends");
    }

    #[test]
    fn ellipsis_matches_anything() {
        for (line, expected, like) in [
            ("sha256  5f1d", "sha256  5f1d", true),
            ("sha256  5f1d", "sha256  …", true),
            ("a b c d", "a … d", true),
            ("a b c d", "…b…d", true),
            ("a b c d", "a … c", false),
            ("a b c d", "…d…b…", false),
            ("a b", "a b c", false),
            ("a b c", "a b", false),
            ("  a    b", "a b", true),
            ("ab", "a b", false),
        ] {
            assert_eq!(is_like(line, expected), like, "{line:?} {expected:?}");
        }
    }
}
