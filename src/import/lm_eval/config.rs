//! The configuration of a task: its file, what that includes, and the tasks of a group.

use crate::error::{Place, Problems};
use crate::import::ImportError;
use crate::import::listed::List;
use crate::import::node::Node;
use serde_yaml::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Files may include files so deep.
const DEEPEST: usize = 8;
/// What a group says that no score depends on.
const OF_GROUPS: [&str; 6] = ["group", "group_alias", "metadata", "tag", "task", "task_alias"];

/// One task: each key with the place of the file that says it.
#[derive(Debug, Clone)]
pub(super) struct Task {
    fields: BTreeMap<String, Node>,
    /// The order in which they were met.
    order: Vec<String>,
    file: PathBuf,
}

impl Task {
    /// Its name.
    pub(super) fn name(&self) -> String {
        let stem = || self.file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        self.text("task").unwrap_or_else(stem)
    }

    /// The file as a whole.
    pub(super) fn place(&self) -> Place {
        Place::file(&self.file)
    }

    /// What a key says; `None` where it is absent or null.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.fields.get(key).filter(|node| !node.value().is_null())
    }

    /// The text of a key.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.get(key)?.text()
    }

    /// The keys, in order.
    pub(super) fn keys(&self) -> &[String] {
        &self.order
    }

    fn set(&mut self, key: String, node: Node) {
        if !self.order.contains(&key) {
            self.order.push(key.clone());
        }
        self.fields.insert(key, node);
    }

    /// The keys of a node over what is there; what it includes comes first.
    fn lay(&mut self, node: &Node, depth: usize) -> Result<(), Problems> {
        for include in node.get("include").map(|node| node.items()).unwrap_or_default() {
            let written = include.text().unwrap_or_default();
            let path = include.beside(&written);
            if depth >= DEEPEST {
                let help = "a file may not include itself";
                return Err(include.error(format!("`include` goes more than {DEEPEST} deep"), help).into());
            }
            if !path.is_file() {
                let help = "the path is seen from the file that includes it";
                return Err(include.error(format!("there is no file `{}` to include", path.display()), help).into());
            }
            self.lay(&Node::open(&path)?, depth + 1)?;
        }
        for key in node.keys().into_iter().filter(|key| key != "include") {
            // A null takes back what an included file says.
            let value = node.get(&key).unwrap_or_else(|| node.with(Value::Null));
            self.set(key, value);
        }
        Ok(())
    }

    fn of(node: &Node) -> Result<Self, Problems> {
        let mut task = Self { fields: BTreeMap::new(), order: Vec::new(), file: node.file().to_path_buf() };
        task.lay(node, 0)?;
        Ok(task)
    }
}

/// The task of a file, or the tasks of its group. Tasks that a group only names are looked for in its folder.
pub(super) fn read(file: &Path, list: &mut List) -> Result<Vec<Task>, Problems> {
    let root = Node::open(file)?;
    if !root.value().is_mapping() {
        let help = "a task is a YAML map with `task`, `dataset_path`, `doc_to_text` and so on";
        return Err(root.error("this is no task of lm-evaluation-harness", help).into());
    }
    let task = Task::of(&root)?;
    let members = task.get("task").filter(|node| node.value().is_sequence()).cloned();
    let Some(members) = members else {
        let is_task =
            ["doc_to_text", "doc_to_target", "output_type", "dataset_path"].iter().any(|key| task.get(key).is_some());
        if is_task {
            return Ok(vec![task]);
        }
        let promptfoo = root.get("prompts").is_some();
        let help = if promptfoo {
            format!("it looks like a configuration of promptfoo: tripos import promptfoo {}", file.display())
        } else {
            "a task has `doc_to_text` and `doc_to_target`; a group has a list as its `task`".to_owned()
        };
        return Err(ImportError::new(&Place::file(file), "this is no task of lm-evaluation-harness", help).into());
    };
    for key in task.keys().iter().filter(|key| !OF_GROUPS.contains(&key.as_str())) {
        if let Some(node) = task.get(key) {
            let why = "each task has a table of its own, and none is made of several";
            list.left_out(format!("`{key}` of the group"), why, &node.place());
        }
    }
    let mut found = Vec::new();
    for member in members.items() {
        found.extend(self::member(&member, file, list)?);
    }
    Ok(found)
}

/// A task of a group: by its name, or as a map.
fn member(node: &Node, group: &Path, list: &mut List) -> Result<Vec<Task>, Problems> {
    let name = node.text().or_else(|| node.text_at("task"));
    let inline =
        node.get("dataset_path").is_some() || node.get("include").is_some() || node.get("doc_to_text").is_some();
    if node.value().is_mapping() && (inline || name.is_none()) {
        return Ok(vec![Task::of(node)?]);
    }
    let name = name.unwrap_or_default();
    let Some(file) = named(&name, group) else {
        let help = "a group's tasks are looked for in its own folder: import that of the task by itself";
        return Err(node.error(format!("no file beside this one has `task: {name}`"), help).into());
    };
    let mut tasks = read(&file, list)?;
    if node.value().is_mapping() {
        // What the group says of it comes last.
        for task in &mut tasks {
            for key in node.keys().into_iter().filter(|key| key != "task") {
                if let Some(value) = node.get(&key) {
                    task.set(key, value);
                }
            }
        }
    }
    Ok(tasks)
}

/// The file beside a group's that has a task or a group of a name.
fn named(name: &str, group: &Path) -> Option<PathBuf> {
    let folder = group.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml"))
        .filter(|path| path.file_name() != group.file_name())
        .collect();
    files.sort();
    let has = |path: &PathBuf| {
        let node = Node::open(path).ok();
        node.is_some_and(|node| ["task", "group"].iter().any(|key| node.text_at(key).as_deref() == Some(name)))
    };
    files.into_iter().find(has)
}
