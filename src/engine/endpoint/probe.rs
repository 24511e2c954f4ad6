//! What a server says of itself before anything is asked of it: its models, which settings it takes, and whether its echoes
//! can be believed.

use super::ask::{Line, Question};
use super::body::Style;
use super::fault::{Cure, Fault};
use super::fleet::pause;
use super::wire::Wire;
use super::words::{Pieces, Wording};
use crate::engine::Answer;
use crate::sampling::{Extra, Sampling};
use serde_json::Value;
use std::sync::Arc;

/// What is known of a model behind a server.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Described {
    pub(super) name: String,
    /// What the server says of it, without what changes by itself.
    pub(super) said: Value,
    pub(super) context: u32,
    pub(super) parameters: u64,
    /// Settings beyond the API that the server's software takes.
    pub(super) takes: Vec<Extra>,
}

/// Asks a server for its models, and finds the one that is wanted. Where it lists none, the name is taken as it is.
pub(super) async fn describe(wire: &Wire, url: &str, wanted: Option<&str>, retries: u32) -> Result<Described, Fault> {
    let models = match listed(wire, url, retries).await {
        Ok(models) => models,
        // Some servers have no list; without a name, that is rather a wrong address.
        Err(Fault::Status { status: 404 | 405 | 501, .. }) if wanted.is_some() => Vec::new(),
        Err(fault) => return Err(fault),
    };
    let id = |model: &Value| model.get("id").and_then(Value::as_str).map(str::to_owned);
    let known: Vec<String> = models.iter().filter_map(id).collect();
    let url = url.to_owned();
    let name = match (wanted, known.as_slice()) {
        (None, [only]) => only.clone(),
        (None, _) => return Err(Fault::NeedsName { url, known }),
        (Some(name), []) => name.to_owned(),
        (Some(name), _) if known.iter().any(|id| may_be_called(id, name)) => name.to_owned(),
        (Some(name), _) => return Err(Fault::NoSuchModel { url, name: name.to_owned(), known }),
    };
    let own = models.into_iter().find(|model| id(model).is_some_and(|id| may_be_called(&id, &name)));
    Ok(of_model(name, own.unwrap_or_default()))
}

/// Whether a server takes a name for a model that it lists. Ollama lists `llama3.2:latest` and takes `llama3.2`; routers take
/// `model:provider` of a `model`; others list `models/gemini` and take `gemini`.
fn may_be_called(id: &str, name: &str) -> bool {
    let more = name.strip_prefix(id).is_some_and(|more| more.is_empty() || more.starts_with(':'));
    let before = id.strip_suffix(name).is_some_and(|before| before.ends_with('/'));
    more || before || id.strip_suffix(":latest") == Some(name)
}

/// The server's list. One that is still loading its model is waited for.
async fn listed(wire: &Wire, url: &str, retries: u32) -> Result<Vec<Value>, Fault> {
    let mut tries = 0;
    let told = loop {
        match wire.get(&format!("{url}/models")).await {
            Ok(told) => break told,
            Err(fault) if tries < retries && matches!(fault.cure(), Cure::Rest(_) | Cure::Later) => {
                tries += 1;
                let asked = if let Cure::Rest(after) = fault.cure() { after } else { None };
                if let Some(wait) = asked.filter(|wait| *wait > wire.patience()) {
                    return Err(Fault::Waits { seconds: wait.as_secs(), last: Box::new(fault) });
                }
                if tries == 1 {
                    tracing::warn!("{fault}; it is asked again up to {retries} times");
                }
                tokio::time::sleep(asked.unwrap_or_else(|| pause(tries, 0.0))).await;
            }
            Err(fault) => return Err(fault),
        }
    };
    match told {
        // Without the object around it, some clouds.
        Value::Array(models) => Ok(models),
        Value::Object(mut told) => match told.remove("data") {
            Some(Value::Array(models)) => Ok(models),
            // Ollama without a model.
            Some(Value::Null) => Ok(Vec::new()),
            _ => Err(Fault::Shape { url: format!("{url}/models"), reason: "there is no list `data`".into() }),
        },
        _ => Err(Fault::Shape { url: format!("{url}/models"), reason: "it is no JSON object".into() }),
    }
}

/// What a server says of one model.
fn of_model(name: String, mut said: Value) -> Described {
    let number = |said: &Value, places: &[&str]| places.iter().find_map(|place| said.pointer(place)?.as_u64());
    let context = number(&said, &["/max_model_len", "/meta/n_ctx", "/meta/n_ctx_train", "/context_length"]);
    let parameters = number(&said, &["/meta/n_params"]).unwrap_or(0);
    let takes = match said.get("owned_by").and_then(Value::as_str) {
        Some("llamacpp") => vec![
            Extra::TopK,
            Extra::MinP,
            Extra::RepeatPenalty,
            Extra::Grammar,
            Extra::JsonSchema,
            Extra::ChatTemplateKwargs,
        ],
        Some("vllm") => {
            vec![Extra::TopK, Extra::MinP, Extra::RepetitionPenalty, Extra::JsonSchema, Extra::ChatTemplateKwargs]
        }
        _ => Vec::new(),
    };
    if let Some(map) = said.as_object_mut() {
        // Prices, grants, load and the time of the request change while the model stays the same.
        map.retain(|key, _| STABLE.contains(&key.as_str()));
    }
    let context = context.and_then(|tokens| u32::try_from(tokens).ok()).unwrap_or(0);
    Described { name, said, context, parameters, takes }
}

/// What a server says of a model that is of the model.
const STABLE: [&str; 9] =
    ["id", "owned_by", "root", "parent", "max_model_len", "context_length", "meta", "quantization", "digest"];

/// What is asked, to see whether an echo says what generation says.
const TRIAL: &str = "The days of the week are Monday, Tuesday,";

/// How far the two may lie apart: batches move log-probabilities in their last digits, quantised caches more.
const APART: f32 = 0.1;

/// Whether a server's echoes give the log-probabilities of a prompt's tokens. One token is drawn, and the text with it echoed:
/// the echo must say of that token what was said when it was drawn. (Some servers echo without log-probabilities, some shift
/// them by a token.)
pub(super) async fn echoes(line: &Line, url: &str) -> Result<(), Fault> {
    let refuse = |reason: String| Fault::NoEcho { url: url.to_owned(), reason };
    let once = |fault: Fault| match fault {
        Fault::NoEcho { .. } => fault,
        Fault::Unaligned { reason, .. } => refuse(reason),
        fault if fault.cure() == Cure::Never => refuse(fault.to_string()),
        fault => fault,
    };
    let (echo, _) = line.echo(url, TRIAL).await.map_err(once)?;
    if echo.last().is_none() {
        return Err(refuse("its echo has no log-probabilities".into()));
    }
    let sampling = Sampling { max_tokens: 1, logprobs: Some(1), ..Sampling::default() };
    let asked = Question::Say(Wording::Text(TRIAL.into()), Box::new(sampling), 0);
    let quiet = Line {
        wire: line.wire.clone(),
        style: Style { stream: false, ..line.style.clone() },
        pieces: Pieces::default(),
        budget: None,
        spent: Arc::clone(&line.spent),
    };
    let Answer::Completion(said) = quiet.ask(url, &asked).await.map_err(once)? else { return Ok(()) };
    let Some(drawn) = said.logprobs.as_ref().and_then(|told| told.first()) else { return Ok(()) };
    let (echo, _) = line.echo(url, &format!("{TRIAL}{}", said.text)).await.map_err(once)?;
    match echo.last() {
        // A token that another tokenisation has merged with the text before it proves nothing.
        Some((at, logprob)) if at == TRIAL.chars().count() && (logprob - drawn.logprob).abs() > APART => {
            Err(refuse(format!(
                "of the token `{}` it says {:.2} when it is drawn, and {logprob:.2} when it is echoed",
                said.text.trim(),
                drawn.logprob
            )))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_name_may_be_more_or_less_than_the_list_has() {
        for (id, name) in
            [("m", "m"), ("llama3.2:latest", "llama3.2"), ("o/m", "o/m:fast"), ("models/gemini", "gemini")]
        {
            assert!(may_be_called(id, name), "{id} {name}");
        }
        for (id, name) in [("m", "m2"), ("llama3.2:1b", "llama3.2"), ("xgemini", "gemini"), ("o/m", "o")] {
            assert!(!may_be_called(id, name), "{id} {name}");
        }
    }

    #[test]
    fn knows_servers_by_what_they_say_of_a_model() {
        let llama =
            json!({"id": "q", "owned_by": "llamacpp", "created": 7, "meta": {"n_ctx_train": 4096, "n_params": 9}});
        let of = of_model("q".into(), llama.clone());
        assert_eq!((of.context, of.parameters), (4096, 9));
        assert!(of.takes.contains(&Extra::Grammar) && !of.takes.contains(&Extra::RepetitionPenalty));
        let mut later = llama;
        later["created"] = json!(8);
        later["permission"] = json!([{"id": "modelperm-1"}]);
        later["pricing"] = json!({"prompt": "0.1"});
        assert_eq!(of_model("q".into(), later.clone()).said, of.said, "time, grants and prices are no part of it");
        later["meta"]["n_params"] = json!(10);
        assert_ne!(of_model("q".into(), later).said, of.said, "its size is");
        let vllm = of_model("q".into(), json!({"id": "q", "owned_by": "vllm", "max_model_len": 8192}));
        assert_eq!((vllm.context, vllm.takes.contains(&Extra::RepetitionPenalty)), (8192, true));
        assert_eq!(of_model("q".into(), Value::Null).takes, []);
    }
}
