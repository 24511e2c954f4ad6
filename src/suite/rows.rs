//! Cases from files: JSON lines, CSV and YAML, in our own shape or with other people's column names.

use super::case::{Case, Vars, text_of};
use super::error::{SuiteError, SuiteProblem};
use super::file::{CaseEntry, CaseFile};
use super::yaml::{Document, open_file};
use crate::error::Place;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// A case and the place it was read from.
pub(super) type Placed = (Case, Place);

/// Reads the first `limit` rows of a .jsonl, .csv or .yaml file as they are, each with its place. Broken rows are
/// problems, the others are kept.
#[must_use]
pub fn read_rows(path: &Path, limit: usize) -> (Vec<(Vars, Place)>, Vec<SuiteError>) {
    let mut problems = Vec::new();
    let rows = rows(path, limit, &mut problems);
    (rows, problems)
}

fn rows(path: &Path, limit: usize, problems: &mut Vec<SuiteError>) -> Vec<(Vars, Place)> {
    match path.extension().and_then(|e| e.to_str()) {
        Some("jsonl" | "ndjson") => json_lines(path, limit, problems),
        Some("csv") => csv_rows(path, limit, problems),
        Some("yaml" | "yml") => yaml_rows(path, limit, problems),
        _ => {
            let what = "the ending of a file of rows says how it is read, and this one is unknown".into();
            let problem = SuiteProblem::Contradiction { what, help: "use .jsonl, .csv or .yaml".into() };
            problems.push(SuiteError::new(Place::file(path), problem));
            Vec::new()
        }
    }
}

/// Reads every row of a file; broken rows are problems, the others are kept. Ids are 1-based row numbers where the
/// row has none.
pub(super) fn read(path: &Path, columns: Option<&CaseFile>, problems: &mut Vec<SuiteError>) -> Vec<Placed> {
    let limit = columns.and_then(|c| c.limit).unwrap_or(usize::MAX);
    let rows = rows(path, limit, problems);
    let csv = path.extension().is_some_and(|e| e == "csv");
    let mut cases = Vec::with_capacity(rows.len());
    for (number, (row, place)) in rows.into_iter().enumerate() {
        let case = match columns {
            Some(columns) if columns.vars.is_some() || columns.target.is_some() || columns.id.is_some() => {
                renamed(row, columns)
            }
            _ if csv => Ok(reserved(row)),
            _ => own_shape(row),
        };
        match case {
            Ok(mut case) => {
                if case.id.is_empty() {
                    case.id = (number + 1).to_string();
                }
                cases.push((case, place));
            }
            Err(problem) => problems.push(SuiteError::new(place, problem)),
        }
    }
    cases
}

/// A row in our own shape: `{id, vars, target, tags}`.
pub(super) fn case_from(entry: CaseEntry) -> Case {
    Case {
        id: entry.id.map(|id| id.0).unwrap_or_default(),
        vars: entry.vars,
        target: entry.target.map(|target| target.0),
        tags: entry.tags,
        probe: None,
    }
}

fn own_shape(row: Vars) -> Result<Case, SuiteProblem> {
    let columns: Vec<String> = row.keys().cloned().collect();
    serde_json::from_value::<CaseEntry>(Value::Object(row)).map(case_from).map_err(|e| SuiteProblem::Row {
        reason: e.to_string(),
        help: format!(
            "a row is {{\"vars\": {{…}}, \"target\": …}}; for other columns write \
             `cases: {{file: …, vars: {{NAME: COLUMN}}, target: COLUMN}}` (columns here: {})",
            columns.join(", ")
        ),
    })
}

/// A CSV row: `id`, `target` and `tags` (separated by spaces or semicolons) mean what they say, the rest are variables.
fn reserved(mut row: Vars) -> Case {
    let mut text = |key: &str| row.remove(key).and_then(|v| text_of(&v)).filter(|t| !t.is_empty());
    let (id, target, tags) = (text("id").unwrap_or_default(), text("target"), text("tags").unwrap_or_default());
    Case { id, vars: row, target, tags: split_tags(&tags), probe: None }
}

fn split_tags(tags: &str) -> Vec<String> {
    tags.split([' ', ';', ',']).filter(|t| !t.is_empty()).map(str::to_owned).collect()
}

/// A row with other people's column names.
fn renamed(mut row: Vars, columns: &CaseFile) -> Result<Case, SuiteProblem> {
    let missing = |column: &str, row: &Vars| SuiteProblem::Unknown {
        what: "column",
        name: column.to_owned(),
        known: row.keys().cloned().collect(),
    };
    let scalar = |column: &Option<String>, row: &Vars| -> Result<Option<String>, SuiteProblem> {
        let Some(column) = column else { return Ok(None) };
        row.get(column).map(text_of).ok_or_else(|| missing(column, row))
    };
    let (id, target) = (scalar(&columns.id, &row)?.unwrap_or_default(), scalar(&columns.target, &row)?);
    let tags = match columns.tags.as_ref().map(|c| row.get(c).ok_or_else(|| missing(c, &row))).transpose()? {
        Some(Value::Array(list)) => list.iter().filter_map(text_of).collect(),
        Some(value) => split_tags(&text_of(value).unwrap_or_default()),
        None => Vec::new(),
    };
    let vars = if let Some(names) = &columns.vars {
        names
            .iter()
            .map(|(name, column)| Ok((name.clone(), row.get(column).ok_or_else(|| missing(column, &row))?.clone())))
            .collect::<Result<Vars, SuiteProblem>>()?
    } else {
        for column in [&columns.id, &columns.target, &columns.tags].into_iter().flatten() {
            row.remove(column);
        }
        row
    };
    Ok(Case { id, vars, target, tags, probe: None })
}

fn open(path: &Path, problems: &mut Vec<SuiteError>) -> Option<File> {
    open_file(path)
        .map_err(|e| {
            problems.push(SuiteError::new(
                Place::file(path),
                SuiteProblem::Unreadable { what: "the case file".into(), reason: e.to_string() },
            ));
        })
        .ok()
}

fn json_lines(path: &Path, limit: usize, problems: &mut Vec<SuiteError>) -> Vec<(Vars, Place)> {
    let Some(file) = open(path, problems) else { return Vec::new() };
    let mut rows = Vec::new();
    for (number, line) in BufReader::new(file).split(b'\n').enumerate() {
        if rows.len() >= limit {
            break;
        }
        let place = |column| Place::new(path, number + 1, column);
        let broken = |reason: String, column| {
            let help = "each line is one JSON object, on one line".into();
            SuiteError::new(place(column), SuiteProblem::Row { reason, help })
        };
        let line = match line {
            Ok(line) => line,
            Err(e) => {
                problems.push(broken(e.to_string(), 0));
                break;
            }
        };
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice(line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line)) {
            Ok(row) => rows.push((row, place(1))),
            Err(e) => problems.push(broken(strip_location(&e.to_string()), e.column())),
        }
    }
    rows
}

/// serde_json's message without "at line 1 column 7", which the place says.
fn strip_location(message: &str) -> String {
    message.rsplit_once(" at line ").map_or(message, |(text, _)| text).to_owned()
}

fn csv_rows(path: &Path, limit: usize, problems: &mut Vec<SuiteError>) -> Vec<(Vars, Place)> {
    let Some(file) = open(path, problems) else { return Vec::new() };
    let broken = |e: &csv::Error| {
        let line = e.position().map_or(1, |p| usize::try_from(p.line()).unwrap_or(0));
        let help = "each row has as many fields as the header; a field with a comma or a line break is in \"quotes\"";
        SuiteError::new(Place::new(path, line, 1), SuiteProblem::Row { reason: e.to_string(), help: help.into() })
    };
    let mut reader = csv::Reader::from_reader(file);
    let header = match reader.headers() {
        Ok(header) => header.clone(),
        Err(e) => {
            problems.push(broken(&e));
            return Vec::new();
        }
    };
    let mut rows = Vec::new();
    for record in reader.records().take(limit) {
        match record {
            Ok(record) => {
                let line = record.position().map_or(0, |p| usize::try_from(p.line()).unwrap_or(0));
                let name = |name: &str| name.trim_start_matches('\u{feff}').to_owned();
                let row = header.iter().zip(&record).map(|(k, v)| (name(k), Value::from(v))).collect();
                rows.push((row, Place::new(path, line, 1)));
            }
            Err(e) => problems.push(broken(&e)),
        }
    }
    rows
}

fn yaml_rows(path: &Path, limit: usize, problems: &mut Vec<SuiteError>) -> Vec<(Vars, Place)> {
    let document = match Document::open(path, "the case file") {
        Ok(document) => document,
        Err(error) => {
            problems.push(error);
            return Vec::new();
        }
    };
    let read = document.read::<Vec<Vars>>();
    problems.extend(read.problems);
    let place = |i| document.place(&read.pruned.original(&format!("[{i}]")));
    read.value.unwrap_or_default().into_iter().take(limit).enumerate().map(|(i, row)| (row, place(i))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(name: &str, text: &str, columns: Option<&CaseFile>) -> (Vec<Case>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        let mut problems = Vec::new();
        let cases = read(&path, columns, &mut problems);
        let shown = problems.iter().map(|p| format!("{}:{} {p}", p.place.line, p.place.column)).collect();
        (cases.into_iter().map(|(case, _)| case).collect(), shown)
    }

    #[test]
    fn the_same_cases_come_from_json_lines_csv_and_yaml() {
        let json = "{\"id\":\"a\",\"vars\":{\"q\":\"1+1\"},\"target\":2,\"tags\":[\"x\",\"y\"]}\n\n";
        let csv = "id,q,target,tags\na,1+1,2,x;y\n";
        let yaml = "- {id: a, vars: {q: 1+1}, target: 2, tags: [x, y]}\n";
        let expected = Case { tags: vec!["x".into(), "y".into()], ..Case::new("a", [("q", "1+1")], Some("2")) };
        for (name, text) in [("c.jsonl", json), ("c.csv", csv), ("c.yaml", yaml)] {
            assert_eq!(read_text(name, text, None), (vec![expected.clone()], vec![]), "{name}");
        }
    }

    #[test]
    fn other_peoples_columns_are_renamed_and_a_missing_one_is_named() {
        let columns = CaseFile {
            file: String::new(),
            vars: Some([("question".to_owned(), "problem".to_owned())].into()),
            target: Some("answer".into()),
            id: None,
            tags: None,
            limit: Some(2),
        };
        let text =
            "{\"problem\":\"p1\",\"answer\":\"#### 4\"}\n{\"problem\":\"p2\"}\n{\"problem\":\"p3\",\"answer\":1}\n";
        let (cases, problems) = read_text("g.jsonl", text, Some(&columns));
        assert_eq!(cases, [Case::new("1", [("question", "p1")], Some("#### 4"))]);
        assert_eq!(problems, ["2:1 column `answer` does not exist"]);
    }

    #[test]
    fn a_broken_line_is_named_by_line_and_the_others_are_kept() {
        let (cases, problems) = read_text("c.jsonl", "{\"vars\":{\"q\":1}}\n{\"vars\":\n{\"vars\":{\"q\":2}}\n", None);
        assert_eq!(cases.len(), 2);
        assert_eq!(problems, ["2:8 broken line: EOF while parsing a value"]);
        let (cases, problems) = read_text("c.csv", "q,target\na,1\nb\n", None);
        assert_eq!(cases.len(), 1);
        assert!(problems[0].starts_with("3:1 broken line"), "{problems:?}");
    }
}
