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
    Groups { list, above: Vec::new() }.read(file)
}

/// Reads groups of groups.
struct Groups<'a> {
    list: &'a mut List,
    /// The files of the groups that are being read, the outermost first.
    above: Vec<PathBuf>,
}

impl Groups<'_> {
    fn read(&mut self, file: &Path) -> Result<Vec<Task>, Problems> {
        let root = Node::open(file)?;
        if !root.value().is_mapping() {
            let help = "a task is a YAML map with `task`, `dataset_path`, `doc_to_text` and so on";
            return Err(root.error("this is no task of lm-evaluation-harness", help).into());
        }
        let task = Task::of(&root)?;
        if let Some(members) = task.get("task").filter(|node| node.value().is_sequence()) {
            self.group(task.keys().iter().filter_map(|key| Some((key, task.get(key)?))));
            self.above.push(file.to_path_buf());
            let found = self.members(members);
            self.above.pop();
            return found;
        }
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
        Err(ImportError::new(&Place::file(file), "this is no task of lm-evaluation-harness", help).into())
    }

    /// Lists what a group says beside its members.
    fn group<'n>(&mut self, keys: impl Iterator<Item = (&'n String, &'n Node)>) {
        for (key, node) in keys.filter(|(key, _)| !OF_GROUPS.contains(&key.as_str())) {
            let why = "each task has a table of its own, and none is made of several";
            self.list.left_out(format!("`{key}` of the group"), why, &node.place());
        }
    }

    /// The tasks of a list; all that cannot be read are errors.
    fn members(&mut self, members: &Node) -> Result<Vec<Task>, Problems> {
        let (mut found, mut problems) = (Vec::new(), Problems::new());
        for member in members.items() {
            match self.member(&member) {
                Ok(tasks) => found.extend(tasks),
                Err(more) => problems.append(more),
            }
        }
        problems.or_ok(found)
    }

    /// What a member stands for: a task, those of a group or of a tag, by name; or a group or a task that is written there.
    /// What the list says of it comes over what its own file says.
    fn member(&mut self, node: &Node) -> Result<Vec<Task>, Problems> {
        if let Some(members) = node.get("task").filter(|task| task.value().is_sequence()) {
            let keys: Vec<(String, Node)> =
                node.keys().into_iter().filter_map(|key| Some((key.clone(), node.get(&key)?))).collect();
            self.group(keys.iter().map(|(key, node)| (key, node)));
            return self.members(&members);
        }
        let name = node.text().or_else(|| node.text_at("task"));
        let group = self.above.last().map_or_else(|| node.file(), PathBuf::as_path);
        let files = name.as_deref().map(|name| named(name, group)).unwrap_or_default();
        if files.is_empty() {
            let itself = ["dataset_path", "include", "doc_to_text"].iter().any(|key| node.get(key).is_some());
            return match name {
                Some(name) if !itself => {
                    let what = format!("no file beside this one has `task: {name}`, `group: {name}` or `tag: {name}`");
                    let help = "a group's tasks are looked for in its own folder: import that of the task by itself";
                    Err(node.error(what, help).into())
                }
                _ if node.value().is_mapping() => Ok(vec![Task::of(node)?]),
                _ => Err(node.error("this is no task", "a group lists names of tasks, or maps with `task`").into()),
            };
        }
        let mut tasks = Vec::new();
        for file in files {
            if self.above.contains(&file) {
                let way: Vec<String> =
                    self.above.iter().chain([&file]).map(|file| file.display().to_string()).collect();
                let what = format!("this group is a member of itself: {}", way.join(" > "));
                return Err(node.error(what, "take one of them out of the other").into());
            }
            tasks.extend(self.read(&file)?);
        }
        for task in tasks.iter_mut().filter(|_| node.value().is_mapping()) {
            let own = task.get("task").cloned();
            task.lay(node, 0)?;
            // The list names a group or a tag, perhaps.
            if let Some(own) = own {
                task.set("task".to_owned(), own);
            }
        }
        Ok(tasks)
    }
}

/// The files beside a group's that a name stands for: that of the task or the group of that name, else those of all
/// tasks with such a tag. Earlier versions of the harness write the tag as the task's `group`.
fn named(name: &str, group: &Path) -> Vec<PathBuf> {
    let folder = group.parent().filter(|folder| !folder.as_os_str().is_empty());
    let entries = std::fs::read_dir(folder.unwrap_or(Path::new("."))).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| folder.map_or_else(|| PathBuf::from(entry.file_name()), |folder| folder.join(entry.file_name())))
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml") && path != group)
        .collect();
    files.sort();
    let (mut tagged, mut whole) = (Vec::new(), None);
    for file in files {
        // A file that cannot be read is none of this group, as far as anybody can tell.
        let Some(task) = Node::open(&file).ok().and_then(|node| Task::of(&node).ok()) else { continue };
        let says = |key: &str| {
            task.get(key).is_some_and(|node| node.items().iter().any(|one| one.text().as_deref() == Some(name)))
        };
        let is_group = task.get("task").is_some_and(|node| node.value().is_sequence());
        if task.text(if is_group { "group" } else { "task" }).as_deref() == Some(name) {
            whole.get_or_insert(file);
        } else if task.text("task").is_some() && ["tag", "tags", "group"].into_iter().any(says) {
            tagged.push(file);
        }
    }
    whole.map_or(tagged, |file| vec![file])
}
