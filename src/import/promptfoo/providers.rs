//! `providers:` as models and sampling.

use super::ask::Question;
use super::{ending, is_program};
use crate::error::Place;
use crate::import::ImportError;
use crate::import::listed::List;
use crate::import::model::Model;
use crate::import::node::Node;
use serde_yaml::{Mapping, Value};
use std::path::Path;

/// Who is asked.
#[derive(Debug, Clone)]
pub(super) struct Provider {
    /// What people call it.
    pub label: String,
    pub model: Model,
    /// A text is asked as a user's message: what servers do, but for those asked by `completion:`.
    pub chat: bool,
    pub sampling: Mapping,
    /// The labels of the prompts that it is asked; all where there are none.
    pub prompts: Vec<String>,
    pub place: Place,
}

impl Provider {
    /// Whether it is asked a prompt: by label, by the prompt itself, or by the last parts of its file's path.
    pub(super) fn asks(&self, question: &Question) -> bool {
        let chosen = |name: &String| {
            let path = name.trim_start_matches("file://").trim_start_matches("./");
            *name == question.label || *name == question.id || Path::new(&question.id).ends_with(path)
        };
        self.prompts.is_empty() || self.prompts.iter().any(chosen)
    }
}

/// Servers that speak OpenAI's language: the first part of a provider's name, the address, and the variable of its key.
const SERVERS: [(&str, &str, Option<&str>); 11] = [
    ("openai", "https://api.openai.com/v1", Some("OPENAI_API_KEY")),
    ("ollama", "http://localhost:11434/v1", None),
    ("localai", "http://localhost:8080/v1", None),
    ("llama", "http://localhost:8080/v1", None),
    ("llamacpp", "http://localhost:8080/v1", None),
    ("vllm", "http://localhost:8000/v1", None),
    ("openrouter", "https://openrouter.ai/api/v1", Some("OPENROUTER_API_KEY")),
    ("groq", "https://api.groq.com/openai/v1", Some("GROQ_API_KEY")),
    ("mistral", "https://api.mistral.ai/v1", Some("MISTRAL_API_KEY")),
    ("deepseek", "https://api.deepseek.com/v1", Some("DEEPSEEK_API_KEY")),
    ("togetherai", "https://api.together.xyz/v1", Some("TOGETHER_API_KEY")),
];

/// What a provider's `config` says of sampling, there and here.
const SAMPLING: [(&str, &str); 12] = [
    ("temperature", "temperature"),
    ("max_tokens", "max_tokens"),
    ("max_completion_tokens", "max_tokens"),
    ("max_new_tokens", "max_tokens"),
    ("num_predict", "max_tokens"),
    ("top_p", "top_p"),
    ("top_k", "top_k"),
    ("stop", "stop"),
    ("seed", "seed"),
    ("presence_penalty", "presence_penalty"),
    ("frequency_penalty", "frequency_penalty"),
    ("repeat_penalty", "repeat_penalty"),
];

/// Settings of a connection, which the server's line says.
const CONNECTION: [&str; 3] = ["apiBaseUrl", "apiHost", "apiKeyEnvar"];

/// The variables of `env` that move the server `openai`; the first goes first.
const BASES: [&str; 2] = ["OPENAI_API_BASE_URL", "OPENAI_BASE_URL"];

/// Models of OpenAI's own server that take less than others.
const NEWER: [&str; 4] = ["o1", "o3", "o4", "gpt-5"];

/// A provider as written, before it is known whether Tripos can ask it.
struct Written {
    id: String,
    label: String,
    config: Option<Node>,
    /// Its own variables.
    env: Option<Node>,
    prompts: Vec<String>,
    place: Place,
}

/// The providers that can be asked. `instead` is asked once in all for those that are no files here, which is listed;
/// without it one that cannot be asked is an error.
pub(super) fn read(root: &Node, instead: Option<&Model>, list: &mut List) -> Result<Vec<Provider>, ImportError> {
    let node = root.get("providers").or_else(|| root.get("targets"));
    let env = root.get("env");
    unset(env.as_ref(), "", list);
    let mut written = Vec::new();
    for item in node.as_ref().map(Node::items).unwrap_or_default() {
        gather(&item, list, &mut written, 0);
    }
    let mut found: Vec<Provider> = Vec::new();
    let mut refused: Option<(String, Place)> = None;
    for entry in written {
        let provider = |model: Model, sampling: Mapping| {
            let (label, prompts) = (entry.label.clone(), entry.prompts.clone());
            let chat = model.is_server() && !entry.id.contains(":completion:");
            Provider { label, model, chat, sampling, prompts, place: entry.place.clone() }
        };
        let model = match (model(&entry, env.as_ref()), instead) {
            (Ok(server @ Model::Endpoint { .. }), Some(_)) => {
                Err(("--model was given".to_owned(), format!("without --model it is `{}`", server.shown())))
            }
            (model, _) => model,
        };
        match (model, instead) {
            (Ok(model), _) => {
                refusals(&entry, &model, list);
                found.push(provider(model, sampling(&entry, list)));
            }
            (Err((why, help)), Some(instead)) => {
                let why = format!("{why}; asked instead is {}", instead.shown());
                list.left_out_but(format!("provider `{}`", entry.id), why, help, &entry.place);
                let same = Provider { label: "model".to_owned(), ..provider(instead.clone(), sampling(&entry, list)) };
                if !found
                    .iter()
                    .any(|one| one.model == same.model && one.sampling == same.sampling && one.prompts == same.prompts)
                {
                    found.push(same);
                }
            }
            (Err((why, _)), None) => {
                refused.get_or_insert((format!("provider `{}` cannot be asked: {why}", entry.id), entry.place));
            }
        }
    }
    match (refused, instead) {
        (Some((what, place)), _) => {
            Err(ImportError::new(&place, what, "name the model to ask instead: --model FILE.gguf"))
        }
        (None, Some(instead)) if found.is_empty() => {
            let (model, sampling, prompts) = (instead.clone(), Mapping::new(), Vec::new());
            let chat = model.is_server();
            let label = "model".to_owned();
            Ok(vec![Provider { label, model, chat, sampling, prompts, place: root.place() }])
        }
        (None, None) if found.is_empty() => {
            let node = node.as_ref().unwrap_or(root);
            Err(node.error("the file names no model to ask", "name one: --model FILE.gguf"))
        }
        (None, _) => Ok(found),
    }
}

/// A provider by name, as a map, as `{name: {config}}`, or in a file of its own.
fn gather(node: &Node, list: &mut List, found: &mut Vec<Written>, depth: usize) {
    let place = node.place();
    if let Some(id) = node.text() {
        let file = id.strip_prefix("file://").filter(|file| matches!(ending(file), "yaml" | "yml"));
        match file.filter(|_| depth < 4).map(|file| Node::open(&node.beside(file))) {
            Some(Ok(inner)) => inner.items().iter().for_each(|item| gather(item, list, found, depth + 1)),
            Some(Err(_)) => {
                list.left_out(format!("provider `{id}`"), "there is no such file, or it is no YAML", &place);
            }
            None => {
                found.push(Written { label: id.clone(), id, config: None, env: None, prompts: Vec::new(), place });
            }
        }
        return;
    }
    let (id, inner) = match (node.text_at("id"), node.keys().as_slice()) {
        (Some(id), _) => (id, node.clone()),
        (None, [only]) => (only.clone(), node.get(only).unwrap_or_else(|| node.clone())),
        _ => return list.left_out("a provider", "it has no `id`", &place),
    };
    for key in inner.keys() {
        let known = ["id", "label", "config", "prompts", "env"].contains(&key.as_str());
        if let Some(there) = inner.get(&key).filter(|_| !known) {
            list.left_out(format!("`{key}` of a provider"), "Tripos has nothing like it", &there.place());
        }
    }
    let env = inner.get("env");
    unset(env.as_ref(), " of a provider", list);
    let label = inner.text_at("label").unwrap_or_else(|| id.clone());
    let prompts = inner.get("prompts").map(|node| node.items().iter().filter_map(Node::text).collect());
    let (config, prompts) = (inner.get("config"), prompts.unwrap_or_default());
    found.push(Written { id, label, config, env, prompts, place });
}

/// Lists the variables that a suite does not set. What they hold may be a key, and is not repeated.
fn unset(env: Option<&Node>, whose: &str, list: &mut List) {
    let Some(env) = env else { return };
    if !env.value().is_mapping() {
        list.left_out(format!("`env`{whose}"), "it is no map of variables", &env.place());
    }
    for key in env.keys().into_iter().filter(|key| !BASES.contains(&key.as_str())) {
        let place = env.get(&key).unwrap_or_else(|| env.clone()).place();
        let why = "a suite sets no variables of the environment";
        list.left_out_but(format!("`{key}` of `env`{whose}"), why, "set it yourself before a run", &place);
    }
}

/// The model behind a provider; else why there is none, and what could be written.
fn model(entry: &Written, env: Option<&Node>) -> Result<Model, (String, String)> {
    let id = &entry.id;
    let path = id.strip_prefix("file://").unwrap_or(id);
    if ending(path) == "gguf" {
        let path = crate::suite::beside(&entry.place.file, path);
        if path.is_file() {
            return Ok(Model::File(path));
        }
        return Err(("there is no such file".to_owned(), format!("put the model at {}", path.display())));
    }
    let config = |key: &str| entry.config.as_ref().and_then(|config| config.text_at(key));
    let (first, name) = id.split_once(':').unwrap_or((id, ""));
    let Some((_, url, key)) = SERVERS.iter().find(|(server, ..)| *server == first) else {
        let help = "a GGUF of that model runs here: --model FILE.gguf".to_owned();
        let why = if is_program(path) || first == "exec" || first == "python" {
            "it is a program, and suites run none"
        } else {
            "Tripos knows no server of that kind"
        };
        return Err((why.to_owned(), help));
    };
    let name = ["chat:", "completion:", "responses:"].iter().find_map(|kind| name.strip_prefix(kind)).unwrap_or(name);
    let host = config("apiHost").map(|host| format!("https://{host}/v1"));
    let set = |env: Option<&Node>| BASES.iter().find_map(|name| env?.text_at(name)).filter(|_| first == "openai");
    let moved = || set(entry.env.as_ref()).or_else(|| set(env));
    let url = config("apiBaseUrl").or(host).or_else(moved).unwrap_or_else(|| (*url).to_owned());
    let key = config("apiKeyEnvar").or(key.map(str::to_owned));
    let model = Model::Endpoint { url, name: name.to_owned(), key };
    match model.fault() {
        None => Ok(model),
        Some(why) => Err((why, "write its address, up to `/v1`, into `apiBaseUrl`".to_owned())),
    }
}

/// Notes a model of OpenAI's own server that refuses settings which every suite sends.
fn refusals(entry: &Written, model: &Model, list: &mut List) {
    let Model::Endpoint { url, name, .. } = model else { return };
    if url.starts_with("https://api.openai.com/") && NEWER.iter().any(|start| name.starts_with(start)) {
        let how = "newer OpenAI models refuse `max_tokens` and a temperature: add `takes: [max_completion_tokens]` to the model, and `temperature: 1` to the sampling";
        list.changed(format!("provider `{}`", entry.id), how, &entry.place);
    }
}

fn sampling(entry: &Written, list: &mut List) -> Mapping {
    let mut sampling = Mapping::new();
    let Some(config) = &entry.config else { return sampling };
    for key in config.keys().into_iter().filter(|key| !CONNECTION.contains(&key.as_str())) {
        let Some(node) = config.get(&key) else { continue };
        match SAMPLING.iter().find(|(there, _)| *there == key) {
            Some((_, here)) => {
                let value = match (*here, node.value()) {
                    ("stop", Value::String(text)) => vec![Value::from(text.as_str())].into(),
                    (_, value) => value.clone(),
                };
                sampling.insert((*here).into(), value);
            }
            None if key == "apiKey" => {
                let why = "no suite holds a key: `key_env` names the variable that does";
                let help = "put the key into such a variable, and name it with the model: `key_env: MY_KEY`";
                list.left_out_but("`apiKey` of a provider", why, help, &node.place());
            }
            None => list.left_out(format!("`{key}` of a provider"), "Tripos has no such setting", &node.place()),
        }
    }
    sampling
}
