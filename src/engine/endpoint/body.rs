//! Requests as JSON: what of a sampling the API has, under the API's names.

use super::words::Wording;
use crate::sampling::{BiasToken, Extra, Sampling};
use serde_json::{Map, Value, json};

/// What the bodies for one model have in common.
#[derive(Debug, Clone, Default)]
pub(super) struct Style {
    /// The model's name there.
    pub(super) name: String,
    pub(super) stream: bool,
    pub(super) takes: Vec<Extra>,
    /// For the server's chat template.
    pub(super) template_vars: Map<String, Value>,
}

impl Style {
    /// Where a completion is asked, and the body. The seed is cut to 31 bits: servers keep it in all kinds of integers.
    pub(super) fn complete(&self, wording: &Wording, sampling: &Sampling, seed: u64) -> (&'static str, Vec<u8>) {
        let mut body = self.common(sampling, seed);
        let path = match wording {
            Wording::Text(text) => {
                body.insert("prompt".into(), text.as_str().into());
                body.extend(sampling.logprobs.map(|top| ("logprobs".into(), top.into())));
                if let Some(schema) = &sampling.json_schema {
                    body.insert("json_schema".into(), schema.clone());
                }
                "completions"
            }
            Wording::Chat(messages) => {
                let message = |(role, content): &(&str, String)| json!({"role": role, "content": content});
                body.insert("messages".into(), messages.iter().map(message).collect());
                if let Some(top) = sampling.logprobs {
                    body.insert("logprobs".into(), true.into());
                    body.insert("top_logprobs".into(), top.into());
                }
                if self.takes.contains(&Extra::ChatTemplateKwargs) && !self.template_vars.is_empty() {
                    body.insert("chat_template_kwargs".into(), self.template_vars.clone().into());
                }
                "chat/completions"
            }
        };
        if let Some(schema) = &sampling.json_schema {
            let schema = json!({"name": "answer", "strict": true, "schema": schema});
            body.insert("response_format".into(), json!({"type": "json_schema", "json_schema": schema}));
        }
        (path, Value::Object(body).to_string().into_bytes())
    }

    fn common(&self, sampling: &Sampling, seed: u64) -> Map<String, Value> {
        let mut body = Map::new();
        body.insert("model".into(), self.name.as_str().into());
        let newer = self.takes.contains(&Extra::MaxCompletionTokens);
        let limit = if newer { Extra::MaxCompletionTokens.name() } else { "max_tokens" };
        body.insert(limit.into(), sampling.max_tokens.into());
        body.insert("temperature".into(), number(sampling.temperature));
        body.insert("seed".into(), (seed & 0x7fff_ffff).into());
        if !sampling.stop.is_empty() {
            body.insert("stop".into(), sampling.stop.clone().into());
        }
        let numbers = [
            ("top_p", sampling.top_p),
            ("min_p", sampling.min_p),
            ("presence_penalty", sampling.presence_penalty),
            ("frequency_penalty", sampling.frequency_penalty),
            (self.penalty().name(), sampling.repeat_penalty),
        ];
        body.extend(self.off());
        body.extend(numbers.into_iter().filter_map(|(name, value)| Some((name.to_owned(), number(value?)))));
        body.extend(sampling.top_k.map(|k| ("top_k".into(), k.into())));
        body.extend(sampling.grammar.as_ref().map(|grammar| ("grammar".into(), grammar.as_str().into())));
        let biases: Map<String, Value> = sampling.logit_bias.iter().filter_map(bias).collect();
        if !biases.is_empty() {
            body.insert("logit_bias".into(), biases.into());
        }
        if self.stream {
            body.insert("stream".into(), true.into());
            body.insert("stream_options".into(), json!({"include_usage": true}));
        }
        body
    }

    /// What the server takes beyond the API, switched off. Left out, it would be what the server's operator, or the model's
    /// own files, think best (llama-server: top-k 40, min-p 0.05; llama-cpp-python: a penalty of 1.1).
    fn off(&self) -> Map<String, Value> {
        let every = self.penalty() == Extra::RepetitionPenalty;
        let off = [
            // 0 and -1 are both "all tokens": old vLLMs take only the one, llama-cpp-python only the other.
            (Extra::TopK, if every { json!(-1) } else { json!(0) }),
            (Extra::MinP, json!(0)),
            (self.penalty(), json!(1)),
        ];
        let taken = off.into_iter().filter(|(extra, _)| self.takes.contains(extra));
        let mut taken: Map<String, Value> = taken.map(|(extra, value)| (extra.name().to_owned(), value)).collect();
        if !taken.is_empty() {
            taken.insert("top_p".into(), 1.into());
        }
        taken
    }

    /// What the server calls `repeat_penalty`.
    fn penalty(&self) -> Extra {
        if self.takes.contains(&Extra::RepetitionPenalty) { Extra::RepetitionPenalty } else { Extra::RepeatPenalty }
    }

    /// The body that has a text echoed with the log-probability of each of its tokens. One more token is drawn, because
    /// servers take a `max_tokens` of 0 for "as many as you like".
    pub(super) fn echo(&self, text: &str) -> Vec<u8> {
        let name = &self.name;
        let body =
            json!({"model": name, "prompt": text, "max_tokens": 1, "temperature": 0, "echo": true, "logprobs": 1});
        body.to_string().into_bytes()
    }
}

fn bias((token, bias): &(BiasToken, f32)) -> Option<(String, Value)> {
    match token {
        BiasToken::Id(id) => Some((id.to_string(), number(*bias))),
        BiasToken::Text(_) => None,
    }
}

/// 0.7 as 0.7, and not as the double nearest to the float nearest to it.
fn number(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(style: &Style, wording: &Wording, sampling: &Sampling) -> (&'static str, Value) {
        let (path, body) = style.complete(wording, sampling, u64::MAX);
        (path, serde_json::from_slice(&body).unwrap())
    }

    #[test]
    fn a_text_and_a_chat_are_asked_at_their_own_places() {
        let style = Style { name: "m".into(), stream: true, ..Style::default() };
        let sampling = Sampling { temperature: 0.7, stop: vec!["\n".into()], logprobs: Some(2), ..Sampling::default() };
        let (path, text) = body(&style, &Wording::Text("Q:".into()), &sampling);
        assert_eq!(
            (path, text),
            (
                "completions",
                json!({"model": "m", "max_tokens": 256, "temperature": 0.7, "seed": 0x7fff_ffff, "stop": ["\n"],
                    "stream": true, "stream_options": {"include_usage": true}, "prompt": "Q:", "logprobs": 2})
            )
        );
        let style = Style { stream: false, ..style };
        let (path, chat) = body(&style, &Wording::Chat(vec![("user", "Hi".into())]), &sampling);
        assert_eq!(
            (path, chat),
            (
                "chat/completions",
                json!({"model": "m", "max_tokens": 256, "temperature": 0.7, "seed": 0x7fff_ffff, "stop": ["\n"],
                    "messages": [{"role": "user", "content": "Hi"}], "logprobs": true, "top_logprobs": 2})
            )
        );
    }

    #[test]
    fn settings_have_the_names_that_the_server_knows() {
        let sampling = Sampling {
            top_k: Some(40),
            min_p: Some(0.05),
            repeat_penalty: Some(1.1),
            frequency_penalty: Some(0.5),
            logit_bias: vec![(BiasToken::Id(3), -2.0)],
            json_schema: Some(json!({"type": "string"})),
            ..Sampling::default()
        };
        let style = Style { takes: vec![Extra::RepetitionPenalty], ..Style::default() };
        let (_, told) = body(&style, &Wording::Chat(Vec::new()), &sampling);
        assert_eq!((&told["repetition_penalty"], told.get("repeat_penalty")), (&json!(1.1), None));
        assert_eq!(
            (&told["top_k"], &told["min_p"], &told["frequency_penalty"]),
            (&json!(40), &json!(0.05), &json!(0.5))
        );
        assert_eq!(told["logit_bias"], json!({"3": -2.0}));
        assert_eq!(told["response_format"]["json_schema"]["schema"], json!({"type": "string"}));
    }

    #[test]
    fn what_a_suite_does_not_say_is_off_where_the_server_would_else_decide() {
        let of = |takes: &[Extra], sampling: &Sampling| {
            let style = Style { takes: takes.to_vec(), ..Style::default() };
            body(&style, &Wording::Text("Q:".into()), sampling).1
        };
        let cloud = of(&[], &Sampling::default());
        assert!(["top_k", "top_p", "min_p", "repeat_penalty"].iter().all(|key| cloud.get(key).is_none()), "{cloud}");
        let llama = of(&[Extra::TopK, Extra::MinP, Extra::RepeatPenalty], &Sampling::default());
        assert_eq!((&llama["top_k"], &llama["top_p"], &llama["min_p"]), (&json!(0), &json!(1), &json!(0)));
        assert_eq!(llama["repeat_penalty"], json!(1));
        let vllm = of(&[Extra::TopK, Extra::RepetitionPenalty], &Sampling { top_p: Some(0.9), ..Sampling::default() });
        assert_eq!((&vllm["top_k"], &vllm["top_p"], vllm.get("min_p")), (&json!(-1), &json!(0.9), None));
        assert_eq!(vllm["repetition_penalty"], json!(1));
    }

    #[test]
    fn the_limit_has_the_name_that_the_server_takes() {
        let style = Style { takes: vec![Extra::MaxCompletionTokens], ..Style::default() };
        let told = body(&style, &Wording::Chat(Vec::new()), &Sampling::default()).1;
        assert_eq!((&told["max_completion_tokens"], told.get("max_tokens")), (&json!(256), None));
        assert_eq!((told.get("top_p"), told.get("top_k")), (None, None), "it says nothing of other settings");
    }

    #[test]
    fn variables_reach_the_template_of_a_server_that_takes_them() {
        let template_vars: Map<String, Value> = [("enable_thinking".to_owned(), json!(false))].into_iter().collect();
        let style = Style { takes: vec![Extra::ChatTemplateKwargs], template_vars, ..Style::default() };
        let chat = Wording::Chat(vec![("user", "Hi".into())]);
        let (_, told) = body(&style, &chat, &Sampling::default());
        assert_eq!(told["chat_template_kwargs"], json!({"enable_thinking": false}));
        let (_, told) = body(&Style { takes: Vec::new(), ..style }, &chat, &Sampling::default());
        assert_eq!(told.get("chat_template_kwargs"), None);
    }
}
