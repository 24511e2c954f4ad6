//! `prompts:` inline, from files, and as chats.

use super::{ending, is_program};
use crate::error::Place;
use crate::import::listed::List;
use crate::import::node::Node;
use regex::Regex;
use serde_json::Value as Json;
use std::path::{Path, PathBuf};

/// A prompt, still in Nunjucks.
#[derive(Debug, Clone)]
pub(super) struct Prompt {
    /// What people call it; its file and its variants are named after it.
    pub label: String,
    /// By what else a provider may choose it.
    pub id: String,
    pub body: Body,
    pub place: Place,
}

/// What is asked.
#[derive(Debug, Clone)]
pub(super) enum Body {
    Text(String),
    /// Roles and what they say.
    Chat(Vec<Turn>),
}

/// A role and what it says.
pub(super) type Turn = (&'static str, String);

/// Files that hold prompts.
const TEXTS: [&str; 8] = ["txt", "md", "j2", "json", "yaml", "yml", "jsonl", "csv"];

/// Every prompt that can be read; the others are listed.
pub(super) fn read(node: &Node, list: &mut List) -> Vec<Prompt> {
    let mut reader = Reader { found: Vec::new(), list };
    for item in node.items() {
        match item.text() {
            Some(text) => reader.written(&item, &text, None),
            None => reader.map(&item),
        }
    }
    reader.found
}

struct Reader<'a> {
    found: Vec<Prompt>,
    list: &'a mut List,
}

impl Reader<'_> {
    /// `{id, label, raw}`, or the old `{file: label}`.
    fn map(&mut self, node: &Node) {
        let label = node.text_at("label");
        for key in ["function", "config", "prefix", "suffix"] {
            if let Some(there) = node.get(key) {
                self.list.left_out(format!("`{key}` of a prompt"), "prompts are plain text here", &there.place());
            }
        }
        match (node.text_at("raw"), node.text_at("id").or_else(|| node.text_at("file")), node.keys().as_slice()) {
            (Some(raw), ..) => self.inline(node, &raw, label.as_deref()),
            (None, Some(id), _) => self.written(node, &id, label.as_deref()),
            (None, None, [file]) if label.is_none() => {
                let label = node.text_at(file);
                self.written(node, file, label.as_deref());
            }
            (None, None, _) if label.is_some() => self.inline(node, &label.unwrap_or_default(), None),
            _ => self.list.left_out("a prompt", "it has neither `raw` nor `id`", &node.place()),
        }
    }

    /// A prompt as written, or the file that it names.
    fn written(&mut self, node: &Node, text: &str, label: Option<&str>) {
        if text.starts_with("exec:") {
            return self.program(text, &node.place());
        }
        let (path, named) = match text.strip_prefix("file://") {
            Some(path) => (path, true),
            None => (text, false),
        };
        let one_line = !path.contains('\n');
        if one_line && is_program(path) && (named || !path.contains(' ')) {
            return self.program(text, &node.place());
        }
        let is_file = one_line && TEXTS.contains(&ending(path)) && !path.contains(' ') && !path.contains("{{");
        if !named && !is_file {
            return self.inline(node, text, label);
        }
        let files = matching(&node.beside(path));
        if files.is_empty() {
            self.list.left_out(format!("prompt `{text}`"), "there is no such file", &node.place());
        }
        for file in files {
            self.file(&file, &node.place(), label);
        }
    }

    fn program(&mut self, name: &str, place: &Place) {
        let help = "write the prompt as a template, and what it computes into `vars`";
        self.list.left_out_but(format!("prompt `{name}`"), "a program makes it, and suites run none", help, place);
    }

    fn inline(&mut self, node: &Node, text: &str, label: Option<&str>) {
        let body = body(text);
        self.push(label.unwrap_or(text), text, body, node.place());
    }

    fn file(&mut self, file: &Path, place: &Place, label: Option<&str>) {
        let name = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let label = label.unwrap_or(&name);
        let id = file.display().to_string();
        let text = match crate::suite::read_text(file, "the prompt") {
            Ok(text) => text,
            Err(error) => return self.list.left_out(format!("prompt `{id}`"), error.to_string(), place),
        };
        let place = Place::new(file, 1, 1);
        match file.extension().and_then(|ending| ending.to_str()).unwrap_or_default() {
            "txt" => {
                for part in separated(&text) {
                    self.push(label, &id, Body::Text(part), place.clone());
                }
            }
            "json" => {
                let body = body(&text);
                self.push(label, &id, body, place);
            }
            "yaml" | "yml" => {
                let chat = serde_yaml::from_str::<Json>(&text).ok().as_ref().and_then(chat).map(Body::Chat);
                match chat {
                    Some(body) => self.push(label, &id, body, place),
                    None => self.list.left_out(format!("prompt `{id}`"), "it is no list of roles and contents", &place),
                }
            }
            "jsonl" => {
                for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
                    let body = body(line);
                    self.push(label, &id, body, Place::new(file, at + 1, 1));
                }
            }
            "csv" => self.csv(label, &text, &place, &id),
            _ => self.push(label, &id, Body::Text(text), place),
        }
    }

    /// A prompt a row, in the column `prompt` or the first; `label` names it. Rows that cannot be read are listed.
    fn csv(&mut self, label: &str, text: &str, place: &Place, name: &str) {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let line = |at: Option<&csv::Position>| at.map_or(1, |at| usize::try_from(at.line()).unwrap_or(1));
        let broken = |error: &csv::Error| {
            (format!("a row of prompt `{name}`"), error.to_string(), Place::new(&place.file, line(error.position()), 1))
        };
        let header: Vec<String> = match reader.headers() {
            Ok(names) => names.iter().map(str::to_owned).collect(),
            Err(error) => {
                let (what, why, at) = broken(&error);
                return self.list.left_out(what, why, &at);
            }
        };
        let column = |name: &str| header.iter().position(|column| column == name);
        let (prompt, named) = (column("prompt").unwrap_or(0), column("label"));
        for row in reader.records() {
            let row = match row {
                Ok(row) => row,
                Err(error) => {
                    let (what, why, at) = broken(&error);
                    self.list.left_out(what, why, &at);
                    continue;
                }
            };
            let text = row.get(prompt).unwrap_or_default();
            let label = named.and_then(|at| row.get(at)).unwrap_or(label);
            self.push(label, text, Body::Text(text.to_owned()), Place::new(&place.file, line(row.position()), 1));
        }
    }

    fn push(&mut self, label: &str, id: &str, body: Body, place: Place) {
        self.found.push(Prompt { label: label.to_owned(), id: id.to_owned(), body, place });
    }
}

/// The prompts of a text file: lines of `---` stand between them.
fn separated(text: &str) -> Vec<String> {
    let mut parts = vec![Vec::new()];
    for line in text.lines() {
        if line.trim() == "---" {
            parts.push(Vec::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(line);
        }
    }
    let texts = parts.into_iter().map(|lines| lines.join("\n").trim().to_owned());
    texts.filter(|text| !text.is_empty()).collect()
}

fn body(text: &str) -> Body {
    chat_text(text).map_or_else(|| Body::Text(text.to_owned()), Body::Chat)
}

/// A chat as JSON: `[{"role": "system", "content": "…"}, …]`.
pub(super) fn chat_text(text: &str) -> Option<Vec<Turn>> {
    if !text.trim_start().starts_with('[') {
        return None;
    }
    chat(&serde_json::from_str(text).ok()?)
}

fn chat(json: &Json) -> Option<Vec<Turn>> {
    let turn = |turn: &Json| {
        let role = match turn.get("role")?.as_str()? {
            "system" | "developer" => "system",
            "user" => "user",
            "assistant" => "assistant",
            _ => return None,
        };
        let content = turn.get("content")?;
        let part = |part: &Json| part.get("text")?.as_str().map(str::to_owned);
        let content = match content {
            Json::String(text) => text.clone(),
            Json::Array(parts) => parts.iter().map(part).collect::<Option<Vec<_>>>()?.join("\n"),
            _ => return None,
        };
        Some((role, content))
    };
    let turns: Vec<Turn> = json.as_array()?.iter().map(turn).collect::<Option<_>>()?;
    (!turns.is_empty()).then_some(turns)
}

/// The files that a path with `*` in its last part stands for, sorted; or the one that it names.
pub(super) fn matching(path: &Path) -> Vec<PathBuf> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if !name.contains('*') {
        return if path.is_file() { vec![path.to_path_buf()] } else { Vec::new() };
    }
    let parts: Vec<String> = name.split('*').map(regex::escape).collect();
    let Ok(pattern) = Regex::new(&format!("^{}$", parts.join(".*"))) else { return Vec::new() };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .filter(|entry| pattern.is_match(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_file_holds_several_prompts_between_lines() {
        assert_eq!(separated("one\ntwo\n---\n\nthree\n  ---\n---\n"), ["one\ntwo", "three"]);
    }

    #[test]
    fn a_list_of_roles_is_a_chat_and_another_list_is_text() {
        let chat = chat_text(r#"[{"role": "developer", "content": [{"type": "text", "text": "Hi {{ q }}"}]}]"#);
        assert_eq!(chat, Some(vec![("system", "Hi {{ q }}".to_owned())]));
        assert!(chat_text(r#"["a"]"#).is_none() && chat_text("[x").is_none() && chat_text("Hello").is_none());
        assert!(chat_text(r#"[{"role": "tool", "content": "x"}]"#).is_none());
    }
}
