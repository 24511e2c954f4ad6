//! The rows of a task: a file that is given, files that the task names, or a data set of the hub that somebody has to fetch.

use super::config::Task;
use crate::error::{Place, Problems};
use crate::import::ImportError;
use crate::import::listed::List;
use crate::import::node::Node;
use crate::suite::{Vars, read_rows, read_text, text_of};
use serde_json::Value;
use std::collections::BTreeSet;
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

/// Refuses one file of rows for tasks that are not the same: each would be asked those of the others.
pub(super) fn for_all(tasks: &[Task], given: Option<&Path>) -> Result<(), ImportError> {
    let Some(path) = given.filter(|path| !path.is_dir()) else { return Ok(()) };
    let names: BTreeSet<String> = tasks.iter().map(Task::name).collect();
    if names.len() < 2 {
        return Ok(());
    }
    let what = format!("one file cannot hold the rows of {} tasks", names.len());
    let files = names.iter().take(2).map(|name| format!("{name}.jsonl")).collect::<Vec<_>>().join(", ");
    let help = format!("give a folder with a file for each task: {files} and so on");
    Err(ImportError::new(&Place::file(path), what, help))
}

/// The rows of a split: of the file given, else of what the task names.
pub(super) fn rows(task: &Task, split: &str, given: Option<&Path>, list: &mut List) -> Result<Found, Problems> {
    if let Some(path) = given {
        return of_file(&of_task(path, task)?, list).map(Found::Rows);
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
        return local(task, split, list).map(Found::Rows);
    }
    if folder.is_dir() {
        let files = ["jsonl", "json", "csv"].map(|ending| folder.join(format!("{split}.{ending}")));
        let Some(file) = files.iter().find(|file| file.is_file()) else {
            let what = format!("`{}` holds no {split}.jsonl, {split}.json or {split}.csv", folder.display());
            return Err(node.error(what, "give the rows: --data FILE").into());
        };
        return of_file(file, list).map(Found::Rows);
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
fn local(task: &Task, split: &str, list: &mut List) -> Result<Rows, Problems> {
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
        all.extend(of_file(&path, list)?);
    }
    Ok(all)
}

/// The rows of a file, by its ending.
fn of_file(path: &Path, list: &mut List) -> Result<Rows, Problems> {
    let fail = |what: &str, help: &str| Problems::from(ImportError::new(&Place::file(path), what, help));
    let rows: Rows = match path.extension().and_then(|ending| ending.to_str()).unwrap_or_default() {
        "jsonl" | "ndjson" | "csv" => {
            let (rows, problems) = read_rows(path, usize::MAX);
            let mut all = Problems::new();
            all.extend(problems);
            all.or_ok(rows)?
        }
        "json" => of_json(path, list)?,
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

/// The rows of a JSON file: a list of rows, or what the hub's own server of rows answers.
fn of_json(path: &Path, list: &mut List) -> Result<Rows, Problems> {
    let text = read_text(path, "the rows")?;
    let json: Value = serde_json::from_str(&text).map_err(|error| {
        let place = Place::new(path, error.line(), error.column());
        ImportError::new(&place, format!("this is no JSON: {error}"), "give a list of rows, or JSON lines as .jsonl")
    })?;
    let listed = match &json {
        Value::Object(map) => ["rows", "data", "examples"].iter().find_map(|key| map.get(*key)).unwrap_or(&json),
        _ => &json,
    };
    let entries = listed.as_array().map(Vec::as_slice).unwrap_or_default();
    let row = |entry: &Value| Some((entry.get("row").unwrap_or(entry).as_object()?.clone(), Place::file(path)));
    let rows = listed.as_array().and_then(|rows| rows.iter().map(row).collect::<Option<Rows>>());
    let rows = rows.ok_or_else(|| {
        ImportError::new(
            &Place::file(path),
            "this is no list of rows",
            "give a JSON list of maps, or JSON lines as .jsonl",
        )
    })?;
    is_whole(path, &json, entries, list)?;
    Ok(rows)
}

/// A page of the hub's server of rows may hold cells that it cut, which is an error, and holds a hundred rows at most.
fn is_whole(path: &Path, page: &Value, entries: &[Value], list: &mut List) -> Result<(), Problems> {
    let mut problems = Problems::new();
    for (at, entry) in entries.iter().enumerate() {
        let cut = entry.get("row").and_then(|_| entry.get("truncated_cells")?.as_array());
        let names: Vec<String> =
            cut.into_iter().flatten().map(|name| format!("`{}`", text_of(name).unwrap_or_default())).collect();
        if !names.is_empty() {
            let number = entry.get("row_idx").and_then(Value::as_u64).unwrap_or(at as u64);
            let what = format!("the hub's server of rows has cut {} of row {number} short", names.join(", "));
            let help = "fetch fewer rows at a time (&length=10), or the Parquet file, which has them whole";
            problems.push(ImportError::new(&Place::file(path), what, help));
        }
    }
    problems.or_ok(())?;
    let total = page.get("num_rows_total").and_then(Value::as_u64);
    let missing = total.is_some_and(|total| total > entries.len() as u64);
    if missing || page.get("partial") == Some(&Value::Bool(true)) {
        let of = total.map_or_else(String::new, |total| format!(" of {total}"));
        let why = format!("the file is a page of the hub's server of rows and holds {}{of}", entries.len());
        let help = "fetch the other pages, too (&offset=100 and so on), and give all rows as one file";
        list.left_out_but("a part of the rows", why, help, &Place::file(path));
    }
    Ok(())
}
