//! The rows of a task: a file that is given, files that the task names, or a data set of the hub that somebody has to fetch.

use super::config::Task;
use crate::error::{Place, Problems};
use crate::import::ImportError;
use crate::import::node::Node;
use crate::suite::{Vars, read_rows, read_text};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Rows with their places.
pub(super) type Rows = Vec<(Vars, Place)>;

/// The rows of a split.
pub(super) enum Found {
    Rows(Rows),
    /// They are on the hub.
    Remote(Remote),
}

/// Rows that are somewhere else.
#[derive(Debug, Clone)]
pub(super) struct Remote {
    dataset: String,
    config: String,
    split: String,
    /// Where the task says so.
    pub place: Place,
}

impl Remote {
    /// Which rows they are.
    pub(super) fn what(&self) -> String {
        let Self { dataset, config, split, .. } = self;
        format!("the rows are on the hub: data set `{dataset}`, configuration `{config}`, split `{split}`")
    }

    /// Where they can be fetched: as JSON, a page of a hundred, and as Parquet.
    pub(super) fn help(&self, flag: &str) -> String {
        let Self { dataset, config, split, .. } = self;
        let encoded = dataset.replace('/', "%2F");
        format!(
            "fetch hf://datasets/{dataset}@~parquet/{config}/{split} as JSON lines or CSV, or 100 rows at a time \
             as they are:\ncurl -o rows.json 'https://datasets-server.huggingface.co/rows?dataset={encoded}\
             &config={config}&split={split}&offset=0&length=100'\nand give the file: {flag} rows.json"
        )
    }
}

/// Formats that a `dataset_path` may name instead of a data set.
const LOCAL: [&str; 6] = ["json", "csv", "text", "parquet", "arrow", "pandas"];

/// The split that a task is judged on.
pub(super) fn judged_split(task: &Task) -> String {
    let named = ["test_split", "validation_split", "training_split"].iter().find_map(|key| task.text(key));
    named.unwrap_or_else(|| "test".to_owned())
}

/// The split that examples come from.
pub(super) fn example_split(task: &Task) -> String {
    let of_config = task.get("fewshot_config").and_then(|config| config.text_at("split"));
    let keys = ["fewshot_split", "training_split", "validation_split"];
    let named = of_config.or_else(|| keys.iter().find_map(|key| task.text(key)));
    named.unwrap_or_else(|| judged_split(task))
}

/// The rows of a split: of the file given, else of what the task names.
pub(super) fn rows(task: &Task, split: &str, given: Option<&Path>) -> Result<Found, Problems> {
    if let Some(path) = given {
        return of_file(&of_task(path, task)?).map(Found::Rows);
    }
    let Some(node) = task.get("dataset_path") else {
        let help = "give the rows: --data FILE (.jsonl, .csv or .json)";
        return Err(ImportError::new(&task.place(), "the task has no `dataset_path`", help).into());
    };
    if let Some(function) = node.function().or_else(|| task.get("custom_dataset").and_then(Node::function)) {
        let what = format!("`!function {function}` makes the rows, and no program is run");
        return Err(node.error(what, "run it yourself, and give the rows: --data FILE (.jsonl, .csv or .json)").into());
    }
    let dataset = node.text().unwrap_or_default();
    let folder = node.beside(&dataset);
    if LOCAL.contains(&dataset.as_str()) {
        return local(task, split).map(Found::Rows);
    }
    if folder.is_dir() {
        let files = ["jsonl", "json", "csv"].map(|ending| folder.join(format!("{split}.{ending}")));
        let Some(file) = files.iter().find(|file| file.is_file()) else {
            let what = format!("`{}` holds no {split}.jsonl, {split}.json or {split}.csv", folder.display());
            return Err(node.error(what, "give the rows: --data FILE").into());
        };
        return of_file(file).map(Found::Rows);
    }
    let config = task.text("dataset_name").unwrap_or_else(|| "default".to_owned());
    Ok(Found::Remote(Remote { dataset, config, split: split.to_owned(), place: node.place() }))
}

/// The file for a task: the one given, or the one of its name in the folder given.
fn of_task(given: &Path, task: &Task) -> Result<PathBuf, ImportError> {
    if !given.is_dir() {
        return Ok(given.to_path_buf());
    }
    let files = ["jsonl", "json", "csv"].map(|ending| given.join(format!("{}.{ending}", task.name())));
    let help = "rows of several tasks lie in one folder, each file named after its task";
    files.iter().find(|file| file.is_file()).cloned().ok_or_else(|| {
        let what = format!("this folder holds no rows of the task `{0}`: {0}.jsonl, {0}.json or {0}.csv", task.name());
        ImportError::new(&Place::file(given), what, help)
    })
}

/// `dataset_kwargs: {data_files: …}`: one file, a list, or a map of splits.
fn local(task: &Task, split: &str) -> Result<Rows, Problems> {
    let files = task.get("dataset_kwargs").and_then(|kwargs| kwargs.get("data_files"));
    let Some(files) = files else {
        let help = "write `dataset_kwargs: {data_files: FILE}`, or give the rows: --data FILE";
        return Err(ImportError::new(&task.place(), "the task names no `data_files`", help).into());
    };
    let files = if files.value().is_mapping() {
        let known = files.keys().join(", ");
        let missing = || files.error(format!("`data_files` has no split `{split}`"), format!("it has {known}"));
        files.get(split).ok_or_else(missing)?
    } else {
        files
    };
    let mut all = Rows::new();
    for node in files.items() {
        let written = node.text().unwrap_or_default();
        if written.contains("://") {
            let help = "fetch it, and give the file: --data FILE (.jsonl, .csv or .json)";
            return Err(node.error(format!("the rows are at {written}, and an import fetches nothing"), help).into());
        }
        // The harness looks from where it is started; most often that is beside the task.
        let beside = node.beside(&written);
        let path = if beside.is_file() { beside } else { PathBuf::from(&written) };
        if !path.is_file() {
            let help = "the path is seen from the task's file, or from here; or give the rows: --data FILE";
            return Err(node.error(format!("there is no file `{written}`"), help).into());
        }
        all.extend(of_file(&path)?);
    }
    Ok(all)
}

/// The rows of a file, by its ending. JSON may be a list of rows, or what the hub's own server of rows answers.
fn of_file(path: &Path) -> Result<Rows, Problems> {
    let fail = |what: &str, help: &str| Problems::from(ImportError::new(&Place::file(path), what, help));
    let rows: Rows = match path.extension().and_then(|ending| ending.to_str()).unwrap_or_default() {
        "jsonl" | "ndjson" | "csv" => {
            let (rows, problems) = read_rows(path, usize::MAX);
            let mut all = Problems::new();
            all.extend(problems);
            all.or_ok(rows)?
        }
        "json" => {
            let text = read_text(path, "the rows")?;
            let json: Value = serde_json::from_str(&text).map_err(|error| {
                let place = Place::new(path, error.line(), error.column());
                ImportError::new(
                    &place,
                    format!("this is no JSON: {error}"),
                    "give a list of rows, or JSON lines as .jsonl",
                )
            })?;
            let listed = match &json {
                Value::Object(map) => {
                    ["rows", "data", "examples"].iter().find_map(|key| map.get(*key)).unwrap_or(&json)
                }
                _ => &json,
            };
            let row = |row: &Value| row.get("row").unwrap_or(row).as_object().cloned();
            let rows = listed.as_array().and_then(|rows| rows.iter().map(row).collect::<Option<Vec<_>>>());
            let rows = rows
                .ok_or_else(|| fail("this is no list of rows", "give a JSON list of maps, or JSON lines as .jsonl"))?;
            rows.into_iter().map(|row| (row, Place::file(path))).collect()
        }
        "txt" => {
            let text = read_text(path, "the rows")?;
            let row = |(at, line): (usize, &str)| {
                (Vars::from_iter([("text".to_owned(), line.into())]), Place::new(path, at + 1, 1))
            };
            text.lines().enumerate().map(row).collect()
        }
        "parquet" => {
            let help = "write it as JSON lines (DuckDB: COPY (FROM 'rows.parquet') TO 'rows.jsonl' (FORMAT json))";
            return Err(fail("Parquet is not read", help));
        }
        _ => {
            return Err(fail(
                "the ending says how rows are read, and this one is unknown",
                "use .jsonl, .csv or .json",
            ));
        }
    };
    if rows.is_empty() {
        return Err(fail("the file has no rows", "give a file with at least one row"));
    }
    Ok(rows)
}
