//! Text files: plain text, cut into documents where a line is blank.

use crate::error::Place;
use crate::suite::{SuiteError, SuiteProblem, Vars};
use std::path::Path;

/// Paragraphs are put together until a document has so many characters.
const DOCUMENT: usize = 2_000;
/// A line longer than this is no prose.
const LINE: usize = 1 << 20;

/// The documents of a text file, each with the place of its first line; at most `limit` of them. What is not UTF-8 becomes
/// U+FFFD, by which cleaning knows it.
pub(super) fn read(file: &Path, limit: usize) -> (Vec<(Vars, Place)>, Vec<SuiteError>) {
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) => {
            let what = format!("the text `{}`", file.display());
            let problem = SuiteProblem::Unreadable { what, reason: error.to_string() };
            return (Vec::new(), vec![SuiteError::new(Place::file(file), problem)]);
        }
    };
    let text = String::from_utf8_lossy(&bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let endless = text.lines().enumerate().find(|(_, line)| line.len() > LINE);
    if let Some((at, line)) = endless {
        let what = format!("this line has {} bytes, so the text cannot be cut into documents", line.len());
        let help = "break it into lines, with a blank one between documents; or write JSONL rows of `text`".to_owned();
        let place = Place::new(file, at + 1, 0);
        return (Vec::new(), vec![SuiteError::new(place, SuiteProblem::Contradiction { what, help })]);
    }
    let documents = documents(text).into_iter().take(limit);
    let row = |(line, text): (usize, String)| {
        let vars = Vars::from_iter([("text".to_owned(), text.into())]);
        (vars, Place::new(file, line, 0))
    };
    (documents.map(row).collect(), Vec::new())
}

/// Runs of whole paragraphs of about [`DOCUMENT`] characters, each with its first line's number.
fn documents(text: &str) -> Vec<(usize, String)> {
    let (mut documents, mut current, mut first) = (Vec::new(), String::new(), 1);
    for (at, line) in text.lines().enumerate() {
        let blank = line.trim().is_empty();
        if blank && current.len() >= DOCUMENT {
            documents.push((first, std::mem::take(&mut current)));
        }
        if current.is_empty() {
            first = at + 1;
        }
        if !(blank && current.is_empty()) {
            current.push_str(line);
            current.push('\n');
        }
    }
    documents.push((first, current));
    documents.retain(|(_, text)| !text.trim().is_empty());
    documents.into_iter().map(|(line, text)| (line, text.trim_end().to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_blank_lines_and_nothing_of_it_is_lost() {
        let paragraph = |n: usize| format!("{n}: {}\nsecond line {n}", "word ".repeat(90));
        let text = format!("\n\n{}\n", (0..12).map(paragraph).collect::<Vec<_>>().join("\n\n"));
        let found = documents(&text);
        assert_eq!(found.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 18, 33]);
        assert!(found.iter().all(|(_, text)| text.len() < 3_000));
        let joined = found.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("\n\n");
        assert_eq!(joined, text.trim());
        assert!(documents("\n \n").is_empty());
    }

    #[test]
    fn an_endless_line_a_missing_file_and_bytes_that_are_no_text() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.txt");
        std::fs::write(&file, "x".repeat(LINE + 1)).unwrap();
        let said = |file: &Path| read(file, 9).1.remove(0).to_string();
        assert!(said(&file).starts_with("this line has 1048577 bytes"));
        assert!(said(&dir.path().join("no.txt")).starts_with("cannot read the text"));
        std::fs::write(&file, b"\xEF\xBB\xBFgood\xFF\n").unwrap();
        let (rows, problems) = read(&file, 9);
        assert!(problems.is_empty() && rows[0].0["text"] == "good\u{fffd}");
    }
}
