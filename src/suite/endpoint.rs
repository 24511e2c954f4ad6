//! `model: {endpoint: URL}`: a model behind a server that speaks the OpenAI API.

use super::error::SuiteProblem;
use super::file::ModelEntry;
use super::load::Loader;
use super::{AdapterRef, ModelRef};
use crate::error::Place;
use crate::sampling::Extra;
use serde::{Deserialize, Deserializer, Serialize};
use serde_untagged::UntaggedEnumVisitor;
use std::collections::BTreeSet;

/// A model behind one or several servers, and how they are asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Endpoint {
    /// The servers' addresses, up to and with `/v1`; several are a fleet.
    pub urls: Vec<String>,
    /// The model's name there; `None` is the only one that there is.
    pub name: Option<String>,
    /// The environment variable that holds the key. The key itself stands nowhere.
    pub key_env: Option<String>,
    /// Most requests in flight at each server.
    pub concurrency: u32,
    /// How often a request is asked again.
    pub retries: u32,
    /// How long one request may take, in seconds.
    pub timeout_s: u32,
    /// How long all of them may take together; nothing is begun after that.
    pub total_s: Option<u32>,
    /// How many tokens may be used, prompts and answers together; nothing is begun once they are.
    pub budget_tokens: Option<u64>,
    /// Answers are read as they are made.
    pub stream: bool,
    /// Settings beyond the API that the servers take.
    pub takes: Vec<Extra>,
    /// Answers are kept for other runs: whoever sets it vouches that the server's model stays the same.
    pub cache: bool,
    /// Where it stands. It does not make another model of it: the same servers named twice are one.
    #[serde(skip)]
    pub place: Aside<Place>,
}

/// What is the same wherever it differs.
#[derive(Debug, Clone, Default)]
pub struct Aside<T>(pub T);

impl<T> PartialEq for Aside<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T> Eq for Aside<T> {}

impl<T> std::hash::Hash for Aside<T> {
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}

impl<T> PartialOrd for Aside<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Aside<T> {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

/// The same as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndpointEntry {
    endpoint: Addresses,
    name: Option<String>,
    key_env: Option<String>,
    concurrency: Option<u32>,
    retries: Option<u32>,
    timeout_s: Option<u32>,
    total_s: Option<u32>,
    budget_tokens: Option<u64>,
    stream: Option<bool>,
    #[serde(default)]
    takes: Vec<Extra>,
    cache: Option<bool>,
}

impl EndpointEntry {
    /// What a matrix calls it: the model's name, else the first address without its scheme.
    pub(super) fn called(&self) -> String {
        let first = self.endpoint.0.first().map(String::as_str).unwrap_or_default();
        let host = first.split_once("://").map_or(first, |(_, rest)| rest).split('/').next().unwrap_or_default();
        // A variant's name has no colon: what picks one of a run by name is `RUN:VARIANT`.
        self.name.as_deref().unwrap_or(host).replace(':', "-")
    }
}

/// One address, or a list.
#[derive(Debug, Clone)]
struct Addresses(Vec<String>);

impl<'de> Deserialize<'de> for Addresses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        UntaggedEnumVisitor::new()
            .expecting("`endpoint` as an address, or a list of them")
            .string(|address| Ok(Self(vec![address.to_owned()])))
            .seq(|list| list.deserialize().map(Self))
            .deserialize(deserializer)
    }
}

/// Requests in flight at a server where the suite does not say.
const CONCURRENCY: u32 = 8;
/// Times that a request is asked again where the suite does not say.
const RETRIES: u32 = 5;
/// Seconds that a request may take where the suite does not say.
const TIMEOUT: u32 = 120;

impl Loader<'_> {
    /// A server as model; `None` where something is wrong with it, which is then reported.
    pub(super) fn endpoint(&mut self, at: &str, entry: &EndpointEntry) -> Option<ModelRef> {
        let mut faults: Vec<(&str, String, &str)> = Vec::new();
        let urls: Vec<String> = entry.endpoint.0.iter().map(|url| url.trim_end_matches('/').to_owned()).collect();
        for url in &urls {
            faults.extend(wrong_address(url).map(|(what, help)| ("endpoint", what, help)));
        }
        if urls.is_empty() {
            faults.push((
                "endpoint",
                "`endpoint` is empty".into(),
                "write an address: `endpoint: http://localhost:8080/v1`",
            ));
        }
        if urls.iter().collect::<BTreeSet<_>>().len() < urls.len() {
            faults.push(("endpoint", "an address is there twice".into(), "write each server once"));
        }
        if entry.key_env.as_deref().is_some_and(|name| !is_variable(name)) {
            // What stands there may be the key itself, so it is not repeated.
            let help = "write the name of the variable that holds the key: `key_env: MY_KEY`; never the key itself";
            faults.push(("key_env", "`key_env` is no name of an environment variable".into(), help));
        }
        let numbers = [
            ("concurrency", entry.concurrency, 1..=1024),
            ("retries", entry.retries, 0..=100),
            ("timeout_s", entry.timeout_s, 1..=86_400),
            ("total_s", entry.total_s, 1..=u32::MAX),
        ];
        if entry.budget_tokens == Some(0) {
            let what = "`budget_tokens` is 0, and nothing would be asked".to_owned();
            faults.push(("budget_tokens", what, "leave it out for no budget"));
        }
        for (field, value, range) in numbers {
            let Some(value) = value.filter(|value| !range.contains(value)) else { continue };
            let what = format!("`{field}` is {value}, and lies from {} to {}", range.start(), range.end());
            faults.push((field, what, "leave it out for the usual value"));
        }
        let sound = faults.is_empty();
        for (field, what, help) in faults {
            let problem = SuiteProblem::Contradiction { what, help: help.to_owned() };
            self.fail(&format!("{at}.{field}"), problem);
        }
        let endpoint = Endpoint {
            urls,
            name: entry.name.clone(),
            key_env: entry.key_env.clone(),
            concurrency: entry.concurrency.unwrap_or(CONCURRENCY),
            retries: entry.retries.unwrap_or(RETRIES),
            timeout_s: entry.timeout_s.unwrap_or(TIMEOUT),
            total_s: entry.total_s,
            budget_tokens: entry.budget_tokens,
            stream: entry.stream.unwrap_or(true),
            takes: entry.takes.clone(),
            cache: entry.cache.unwrap_or(false),
            place: Aside(self.place(at)),
        };
        sound.then(|| ModelRef::Endpoint(Box::new(endpoint)))
    }

    /// A model that a head sits on: its states are needed, so it is a file.
    pub(super) fn base_model(&mut self, at: &str, entry: &ModelEntry) -> Option<ModelRef> {
        if matches!(entry, ModelEntry::Endpoint(_)) {
            let what = "a head reads the states of its model, and a server keeps them to itself".to_owned();
            let help = "name the GGUF that it was trained on".to_owned();
            self.fail(at, SuiteProblem::Contradiction { what, help });
            return None;
        }
        self.named_model(at, entry)
    }

    /// Reports an adapter for a model that is not here.
    pub(super) fn no_adapter_on_a_server(
        &mut self,
        path: &str,
        model: Option<&ModelRef>,
        adapter: Option<&AdapterRef>,
    ) {
        if let (Some(ModelRef::Endpoint(_)), Some(adapter)) = (model, adapter) {
            let what = format!("the adapter `{}` cannot be put on the model of a server", adapter.path.display());
            let help = "load it into the server, and ask that by the name that it then has: `name: …`".to_owned();
            self.fail(path, SuiteProblem::Contradiction { what, help });
        }
    }
}

/// What is wrong with an address. One that may hold a password is not repeated.
fn wrong_address(url: &str) -> Option<(String, &'static str)> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    if host.is_some_and(|host| host.contains('@')) || url.contains(['?', '#']) {
        let what = "the address holds a name, a password or parameters, which would stand in every record".into();
        return Some((what, "put the key into an environment variable, and write its name: `key_env: MY_KEY`"));
    }
    if host.is_none_or(|host| !is_host(host)) || url.contains(char::is_whitespace) {
        return Some((format!("`{url}` is no address of a server"), "it looks like `http://localhost:8080/v1`"));
    }
    let whole = ["/completions", "/models"].iter().any(|path| url.ends_with(path));
    whole.then(|| (format!("`{url}` is one of the API's own addresses"), "write it up to `/v1`; the rest is added"))
}

/// Whether it can be a host with or without a port: a name, or an address in brackets.
fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port.parse::<u16>().is_ok()),
        _ => (host, true),
    };
    let inner = name.strip_prefix('[').map(|rest| rest.strip_suffix(']').unwrap_or_default());
    let fits = match inner {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_')),
    };
    port && fits
}

/// Whether it can name a variable: letters, digits and `_`, no digit first. What looks like a key does not.
fn is_variable(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(plain) && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.len() <= 64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(yaml: &str) -> EndpointEntry {
        serde_yaml::from_str(yaml).unwrap()
    }

    #[test]
    fn is_called_by_its_name_or_its_host() {
        assert_eq!(entry("endpoint: http://h:8080/v1").called(), "h-8080");
        assert_eq!(entry("{endpoint: [http://h/v1, http://i/v1], name: 'q:7b'}").called(), "q-7b");
        assert!(
            serde_yaml::from_str::<EndpointEntry>("{endpoint: x, key: sk}").unwrap_err().to_string().contains("`key`")
        );
    }

    #[test]
    fn says_what_is_wrong_with_an_address_and_repeats_no_password() {
        for fine in ["http://localhost:8080/v1", "https://api.example.com", "http://[::1]:80/v1", "http://[::1]/v1"] {
            assert_eq!(wrong_address(fine), None, "{fine}");
        }
        let what = |url: &str| wrong_address(url).unwrap().0;
        assert!(what("localhost:8080/v1").contains("`localhost:8080/v1` is no address"));
        assert!(what("http://").contains("no address"));
        for odd in ["http://localhost:99999/v1", "http://h:x/v1", "http://[::1/v1", "http://h%/v1", "http://:80/v1"] {
            assert!(what(odd).contains("no address"), "{odd}");
        }
        assert!(what("http://h/v1/chat/completions").contains("one of the API's own"));
        for secret in ["http://ann:hunter2@h/v1", "http://h/v1?api_key=hunter2"] {
            assert!(!what(secret).contains("hunter2"), "{secret}");
        }
    }

    #[test]
    fn a_key_is_no_name_of_a_variable() {
        assert!(is_variable("OPENAI_API_KEY") && is_variable("_k1"));
        assert!(!is_variable("sk-0123") && !is_variable("") && !is_variable("1A") && !is_variable(&"A".repeat(65)));
    }
}
