//! The place of a mistake inside a text that stands in a YAML file.

use super::yaml::Document;
use crate::error::Place;

impl Document {
    /// The place of a line and a column (from 1) of the text at a path. A block text (`|`) keeps its lines, and a text on
    /// the key's own line its columns; of any other, and where the file does not show the line as it was read, the
    /// place is that of the text as a whole.
    pub(super) fn place_within(&self, path: &str, value: &str, (line, column): (usize, usize)) -> Place {
        let whole = self.place(path);
        self.exact(&whole, value, line, column).unwrap_or(whole)
    }

    fn exact(&self, whole: &Place, value: &str, line: usize, column: usize) -> Option<Place> {
        let key_line = self.text().lines().nth(whole.line.checked_sub(1)?)?;
        // `key: value` in characters, since columns count them.
        let (before, after) = key_line.split_at(key_line.char_indices().nth(whole.column.checked_sub(1)?)?.0);
        let (key, written) = after.split_once(':')?;
        let content = written.trim_start();
        if content.starts_with('|') {
            let wanted = value.lines().nth(line.checked_sub(1)?)?;
            let found = self.text().lines().nth(whole.line + line - 1)?;
            let indent = found.strip_suffix(wanted)?;
            let blank = indent.chars().all(|c| c == ' ');
            return blank.then(|| Place::new(&whole.file, whole.line + line, indent.chars().count() + column));
        }
        let unquoted = content.strip_prefix(['"', '\'']).unwrap_or(content);
        let value = value.trim_end_matches('\n');
        if line != 1 || value.is_empty() || !unquoted.starts_with(value) {
            return None;
        }
        let skipped = before.chars().count() + key.chars().count() + 1;
        let blank = written.chars().count() - unquoted.chars().count();
        Some(Place::new(&whole.file, whole.line, skipped + blank + column))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Where the document shows the place of a line and a column of its `a.grammar`.
    fn place(yaml: &str, line: usize, column: usize) -> String {
        let document = Document::parse(Path::new("s.yaml"), yaml).unwrap();
        let value = document.value()["a"]["grammar"].as_str().unwrap().to_owned();
        document.place_within("a.grammar", &value, (line, column)).to_string()
    }

    #[test]
    fn block_texts_keep_their_lines_and_columns() {
        assert_eq!(place("a:\n  grammar: |\n    x\n      y z\n  b: 1\n", 2, 3), "s.yaml:4:7");
        assert_eq!(place("a:\n  grammar: |2-\n\n      é y\n", 2, 5), "s.yaml:4:9");
        assert_eq!(place("a:\r\n  grammar: |\r\n    x\r\n    y\r\n", 2, 1), "s.yaml:4:5");
    }

    #[test]
    fn texts_on_the_line_of_their_key_keep_their_columns() {
        assert_eq!(place("a: {b: é, grammar: 'x y', c: 1}\n", 1, 3), "s.yaml:1:23");
        assert_eq!(place("a:\n  grammar: x y\n", 1, 3), "s.yaml:2:14");
    }

    #[test]
    fn what_the_file_shows_otherwise_has_the_place_of_the_whole() {
        assert_eq!(place("a: {grammar: \"x\\ty z\"}\n", 1, 3), "s.yaml:1:5");
        assert_eq!(place("a:\n  grammar: >\n    x\n    y\n\n    z\n", 2, 1), "s.yaml:2:3");
        assert_eq!(place("a:\n  grammar:\n    x\n    y\n", 1, 3), "s.yaml:2:3");
        assert_eq!(place("b: &t x\na: {grammar: *t}\n", 1, 1), "s.yaml:2:5");
    }
}
