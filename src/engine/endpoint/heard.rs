//! What a server says, whole or in pieces: one shape for chats and completions, as the servers in use write it.

use super::fault::Fault;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// An answer, or a piece of one.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reply {
    #[serde(deserialize_with = "or_default")]
    choices: Vec<Choice>,
    usage: Option<Usage>,
    error: Option<Value>,
    /// `error`, where the error is the whole (older vLLM).
    object: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Choice {
    /// Of a completion.
    text: Option<String>,
    /// Of a chat, whole.
    message: Option<Message>,
    /// Of a chat, in pieces.
    delta: Option<Message>,
    finish_reason: Option<String>,
    logprobs: Option<Logprobs>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Message {
    content: Option<String>,
    refusal: Option<String>,
}

/// Tokens that an answer took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Usage {
    #[serde(deserialize_with = "or_default")]
    pub(super) prompt_tokens: usize,
    #[serde(deserialize_with = "or_default")]
    pub(super) completion_tokens: usize,
    prompt_tokens_details: Option<Details>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Option<usize>,
}

impl Usage {
    /// Tokens of the prompt that the server did not have already.
    pub(super) fn decoded(&self) -> usize {
        let cached = self.prompt_tokens_details.and_then(|details| details.cached_tokens);
        self.prompt_tokens.saturating_sub(cached.unwrap_or(0))
    }

    /// All of them.
    pub(super) fn all(&self) -> u64 {
        (self.prompt_tokens + self.completion_tokens) as u64
    }
}

/// Log-probabilities: `content` in chats (and in llama-server's completions), the parallel lists in completions.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[allow(clippy::struct_field_names, reason = "the names of the API")]
struct Logprobs {
    content: Option<Vec<Named>>,
    tokens: Option<Vec<String>>,
    token_logprobs: Option<Vec<Option<f32>>>,
    top_logprobs: Option<Vec<Option<Map<String, Value>>>>,
    text_offset: Option<Vec<usize>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    token: String,
    bytes: Option<Vec<u8>>,
    logprob: Option<f32>,
    #[serde(deserialize_with = "or_default")]
    top_logprobs: Vec<Named>,
}

/// `null` where the API has a list or a number.
fn or_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl Named {
    fn bytes(&self) -> Vec<u8> {
        self.bytes.clone().filter(|bytes| !bytes.is_empty()).unwrap_or_else(|| self.token.clone().into_bytes())
    }
}

/// A token as the server names it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Piece {
    pub(super) bytes: Vec<u8>,
    /// `None` for the first token of an echo, which nothing stands before.
    pub(super) logprob: Option<f32>,
    /// The likeliest with theirs, best first.
    pub(super) top: Vec<(Vec<u8>, f32)>,
    /// Where it begins, in characters of the whole, where the server says.
    pub(super) offset: Option<usize>,
}

/// All that was heard of one answer.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) text: String,
    pub(super) finish: Option<String>,
    pub(super) tokens: Vec<Piece>,
    pub(super) usage: Option<Usage>,
    /// Pieces with text in them.
    pub(super) pieces: usize,
    /// There was a choice at all.
    choice: bool,
    /// One of them had no content, not even an empty one.
    null: bool,
    refusal: String,
}

impl Heard {
    /// Takes in a whole answer, or the next piece of a stream.
    pub(super) fn add(&mut self, url: &str, json: &str) -> Result<(), Fault> {
        let reply: Reply = serde_json::from_str(json)
            .or_else(|error| serde_json::from_str(&without_infinities(json)).map_err(|_| error))
            .map_err(|error| Fault::Shape { url: url.to_owned(), reason: short(&error.to_string()) })?;
        let whole = || serde_json::from_str(json).unwrap_or_default();
        if let Some(error) = reply.error.or_else(|| (reply.object.as_deref() == Some("error")).then(whole)) {
            let status = status_of(&error);
            return Err(Fault::Status {
                url: url.to_owned(),
                status,
                message: message_of(&error),
                after: None,
                key: None,
            });
        }
        self.usage = reply.usage.or(self.usage);
        let Some(choice) = reply.choices.into_iter().next() else { return Ok(()) };
        self.choice = true;
        self.null |= match (&choice.message, &choice.delta) {
            (Some(message), _) => message.content.is_none(),
            (None, Some(_)) => false,
            (None, None) => choice.text.is_none(),
        };
        let said = choice.message.or(choice.delta);
        self.refusal += said.as_ref().and_then(|said| said.refusal.as_deref()).unwrap_or_default();
        let text = said.and_then(|said| said.content).or(choice.text).unwrap_or_default();
        self.pieces += usize::from(!text.is_empty());
        self.text += &text;
        // Some gateways write an empty one into every piece.
        self.finish = choice.finish_reason.filter(|reason| !reason.is_empty()).or(self.finish.take());
        self.tokens.extend(choice.logprobs.map(pieces).unwrap_or_default());
        Ok(())
    }

    /// Whether there was a choice at all, be it an empty one.
    pub(super) fn has_begun(&self) -> bool {
        self.choice
    }

    /// Whether the server has said that this is all.
    pub(super) fn is_finished(&self) -> bool {
        self.finish.is_some()
    }

    /// The answer, where it has content: an empty text is one, `null` is not, unless the limit cut it.
    pub(super) fn whole(self, url: &str) -> Result<Self, Fault> {
        let finish = self.finish.as_deref().unwrap_or_default();
        let cut = finish == "length";
        let withheld = matches!(finish, "content_filter" | "tool_calls" | "function_call");
        // The last piece of a completion may have none.
        let said = !self.null || !self.text.is_empty();
        if self.choice && !withheld && self.refusal.is_empty() && (cut || said) {
            return Ok(self);
        }
        let why = if self.refusal.is_empty() { finish.to_owned() } else { short(&self.refusal) };
        Err(Fault::Empty { url: url.to_owned(), why, took: self.usage.map_or(0, |usage| usage.all()) })
    }
}

fn pieces(told: Logprobs) -> Vec<Piece> {
    let named = told.content.unwrap_or_default().into_iter().map(|one| Piece {
        bytes: one.bytes(),
        logprob: one.logprob,
        top: one.top_logprobs.iter().filter_map(|top| Some((top.bytes(), top.logprob?))).collect(),
        offset: None,
    });
    let (logprobs, tops) = (told.token_logprobs.unwrap_or_default(), told.top_logprobs.unwrap_or_default());
    let offsets = told.text_offset.unwrap_or_default();
    let listed = told.tokens.unwrap_or_default().into_iter().enumerate().map(|(at, token)| Piece {
        bytes: token.into_bytes(),
        logprob: logprobs.get(at).copied().flatten(),
        top: tops.get(at).and_then(Option::as_ref).map(best_first).unwrap_or_default(),
        offset: offsets.get(at).copied(),
    });
    named.chain(listed).collect()
}

#[allow(clippy::cast_possible_truncation, reason = "a log-probability is kept as f32")]
fn best_first(told: &Map<String, Value>) -> Vec<(Vec<u8>, f32)> {
    let one = |(token, logprob): (&String, &Value)| Some((token.clone().into_bytes(), logprob.as_f64()? as f32));
    let mut top: Vec<(Vec<u8>, f32)> = told.iter().filter_map(one).collect();
    top.sort_by(|a, b| b.1.total_cmp(&a.1));
    top
}

/// The status that an error names which came with one of success: a number, or the kind of a request that is wrong.
fn status_of(error: &Value) -> u16 {
    let code = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    let kinds = ["type", "code"].into_iter().filter_map(|field| error.get(field)?.as_str());
    let other = if kinds.into_iter().any(|kind| kind.starts_with("invalid")) { 400 } else { 500 };
    code.filter(|status| (400..600).contains(status)).unwrap_or(other)
}

/// JSON without the numbers that Python writes and JSON has not: `-Infinity`, as of a token that was forced, becomes `null`.
fn without_infinities(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut rest, mut quoted) = (json, false);
    while let Some(char) = rest.chars().next() {
        let number = ["-Infinity", "Infinity", "NaN"].into_iter().find(|number| !quoted && rest.starts_with(number));
        // In a text, a backslash and what it stands before are one.
        let length = number.map_or_else(
            || if quoted && char == '\\' { 1 + rest.chars().nth(1).map_or(0, char::len_utf8) } else { char.len_utf8() },
            str::len,
        );
        quoted ^= char == '"';
        let (taken, left) = rest.split_at(length);
        out += if number.is_some() { "null" } else { taken };
        rest = left;
    }
    out
}

/// The server's own words in an error, wherever it has put them: `error.message`, `error`, `detail`, `message`.
pub(super) fn message_of(error: &Value) -> String {
    let found = ["/error/message", "/message", "/detail", "/error"];
    let text = found.iter().find_map(|at| match error.pointer(at)? {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    });
    short(&text.or_else(|| error.as_str().map(str::to_owned)).unwrap_or_default())
}

/// Most characters of foreign words in a message.
const SHORT: usize = 300;

/// Somebody else's words, on one line and not too many.
pub(super) fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHORT) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(parts: &[&str]) -> Result<Heard, Fault> {
        let mut heard = Heard::default();
        parts.iter().try_for_each(|part| heard.add("u", part))?;
        heard.whole("u")
    }

    #[test]
    fn a_chat_in_pieces_is_the_chat_as_a_whole() {
        let whole = heard(&[r#"{"choices":[{"message":{"role":"assistant","content":" Paris."},"finish_reason":"stop",
            "logprobs":{"content":[{"token":" Paris","bytes":[32,80,97,114,105,115],"logprob":-0.1,"top_logprobs":[{"token":" Paris","logprob":-0.1},{"token":" A","logprob":-3.0}]}]}}],
            "usage":{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":4}}}"#])
        .unwrap();
        let pieces = heard(&[
            r#"{"choices":[{"delta":{"role":"assistant","content":null},"finish_reason":null}]}"#,
            r#"{"choices":[{"delta":{"content":" Paris"},"logprobs":{"content":[{"token":" Paris","logprob":-0.1,"top_logprobs":[{"token":" Paris","logprob":-0.1},{"token":" A","logprob":-3.0}]}]}}],"usage":null}"#,
            r#"{"choices":[{"delta":{"content":"."}}]}"#,
            r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":4}}}"#,
        ])
        .unwrap();
        assert_eq!((&whole.text, &whole.finish, &whole.tokens), (&pieces.text, &pieces.finish, &pieces.tokens));
        assert_eq!((whole.usage, whole.usage.unwrap().decoded()), (pieces.usage, 5));
        assert_eq!(whole.tokens[0].top, [(b" Paris".to_vec(), -0.1), (b" A".to_vec(), -3.0)]);
    }

    #[test]
    fn a_completion_has_its_lists_side_by_side() {
        let told = heard(&[r#"{"choices":[{"text":"a b","finish_reason":"length","logprobs":{"tokens":["a"," b"],
            "token_logprobs":[null,-1.5],"top_logprobs":[null,{" c":-2.0," b":-1.5}],"text_offset":[0,1]}}]}"#])
        .unwrap();
        assert_eq!(
            (told.tokens[0].logprob, told.tokens[1].logprob, told.tokens[1].offset),
            (None, Some(-1.5), Some(1))
        );
        assert_eq!(told.tokens[1].top[0], (b" b".to_vec(), -1.5));
    }

    #[test]
    fn nothing_said_is_an_answer_and_null_is_none() {
        let said = |choice: &str| heard(&[&format!("{{\"choices\":[{choice}]}}")]);
        assert_eq!(said(r#"{"message":{"content":""},"finish_reason":"stop"}"#).unwrap().text, "");
        assert!(said(r#"{"message":{"content":null},"finish_reason":"length"}"#).is_ok(), "cut while it thought");
        for none in [
            "",
            r#"{"message":{"content":null},"finish_reason":"stop"}"#,
            r#"{"message":{"content":null},"finish_reason":"tool_calls"}"#,
            r#"{"message":{"content":"x"},"finish_reason":"content_filter"}"#,
            r#"{"message":{"content":null,"refusal":"I will not."},"finish_reason":"stop"}"#,
        ] {
            assert!(matches!(said(none), Err(Fault::Empty { .. })), "{none}");
        }
        let error = heard(&[r#"{"error":{"message":"too  long","code":400}}"#]).unwrap_err();
        assert!(matches!(error, Fault::Status { status: 400, message, .. } if message == "too long"));
        assert!(matches!(heard(&["[1]"]), Err(Fault::Shape { .. })));
    }

    #[test]
    fn finds_the_words_of_an_error_where_servers_put_them() {
        for body in [
            r#"{"error":{"message":"no"}}"#,
            r#"{"error":"no"}"#,
            r#"{"detail":"no"}"#,
            r#"{"message":"no"}"#,
            r#""no""#,
        ] {
            assert_eq!(message_of(&serde_json::from_str(body).unwrap()), "no", "{body}");
        }
    }

    #[test]
    fn what_python_writes_of_an_impossible_token_is_read() {
        let json = r#"{"choices": [{"text": "-Infinity \"NaN", "finish_reason": "stop",
            "logprobs": {"tokens": ["a", "b"], "token_logprobs": [-0.5, -Infinity], "top_logprobs": [{"c": NaN}, null]}}]}"#;
        let mut heard = Heard::default();
        heard.add("u", json).unwrap();
        assert_eq!(heard.text, "-Infinity \"NaN", "a text stays what it is");
        let told: Vec<Option<f32>> = heard.tokens.iter().map(|piece| piece.logprob).collect();
        assert_eq!((told, heard.tokens[0].top.len()), (vec![Some(-0.5), None], 0));
    }
}
