//! What can go wrong between here and a server: what, how to mend it, and whether asking again may help.

use crate::error::did_you_mean;
use std::time::Duration;

/// Why a server gave no answer, or cannot be asked at all.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Fault {
    /// The variable that holds the key is not set.
    #[error("the key of the server is to be in the environment variable {variable}, which is not set or empty")]
    KeyUnset {
        /// Its name.
        variable: String,
    },
    /// It holds what no HTTP header can.
    #[error("the environment variable {variable} holds characters that no key can have")]
    KeyUnfit {
        /// Its name.
        variable: String,
    },
    /// No HTTP client can be made.
    #[error("no HTTP client can be made: {reason}")]
    Client {
        /// The library's words.
        reason: String,
    },
    /// What is no address at all.
    #[error("{url} is no address: {reason}")]
    NoAddress {
        /// As written.
        url: String,
        /// The library's words.
        reason: String,
    },
    /// Nobody listens, or there is no such host.
    #[error("{url} cannot be reached: {reason}")]
    Unreachable {
        /// The address.
        url: String,
        /// The system's words.
        reason: String,
    },
    /// No secure connection.
    #[error("no secure connection to {url}: {reason}")]
    Tls {
        /// The address.
        url: String,
        /// The library's words.
        reason: String,
    },
    /// No whole answer in time.
    #[error("no answer from {url} within {seconds} s")]
    Timeout {
        /// The address.
        url: String,
        /// The limit.
        seconds: u64,
    },
    /// An HTTP status that is no success.
    #[error("{url} answers {status}{}", said(message))]
    Status {
        /// The address.
        url: String,
        /// The status.
        status: u16,
        /// The server's words; may be empty.
        message: String,
        /// How long it asks to wait.
        after: Option<Duration>,
        /// The variable of the key that was sent.
        key: Option<String>,
    },
    /// A web page.
    #[error("{url} answers with a web page, not with JSON")]
    Page {
        /// The address.
        url: String,
    },
    /// JSON, or what should be, of another shape.
    #[error("{url} answers with something else than the API says: {reason}")]
    Shape {
        /// The address.
        url: String,
        /// Where it differs.
        reason: String,
    },
    /// The connection ended before the answer did.
    #[error("the answer of {url} broke off: {reason}")]
    Broken {
        /// The address.
        url: String,
        /// How.
        reason: String,
    },
    /// An answer without content.
    #[error("the answer of {url} has no content{}", said(why))]
    Empty {
        /// The address.
        url: String,
        /// What the server gives as the reason; may be empty.
        why: String,
        /// The tokens that it took all the same.
        took: u64,
    },
    /// The server has no such model.
    #[error("{url} has no model `{name}`")]
    NoSuchModel {
        /// The address.
        url: String,
        /// The name asked for.
        name: String,
        /// Those that it has.
        known: Vec<String>,
    },
    /// Servers of one fleet have different models.
    #[error("the servers have different models: {url} has `{name}`, and one before it `{other}`")]
    Unlike {
        /// The address.
        url: String,
        /// What it has.
        name: String,
        /// What another has.
        other: String,
    },
    /// The server has several models, or does not say which.
    #[error("{url} {}, and the suite does not say which to ask", if known.is_empty() { "lists no model".to_owned() } else { format!("has {} models", known.len()) })]
    NeedsName {
        /// The address.
        url: String,
        /// Those that it has.
        known: Vec<String>,
    },
    /// It cannot say how likely given texts are.
    #[error("{url} does not say how likely a given text is: {reason}")]
    NoEcho {
        /// The address.
        url: String,
        /// What was tried.
        reason: String,
    },
    /// The likelihood of one text could not be read.
    #[error("the log-probabilities of {url} cannot be laid onto the text: {reason}")]
    Unaligned {
        /// The address.
        url: String,
        /// Why.
        reason: String,
    },
    /// A setting that the server is not known to take.
    #[error("the server is not known to take `{setting}`")]
    Setting {
        /// The setting.
        setting: &'static str,
    },
    /// A bias for a text: which token it is only the server knows.
    #[error("`logit_bias` names `{text}`, and which token that is only the server knows")]
    Bias {
        /// The text.
        text: String,
    },
    /// Something that needs the model itself, or its tokens.
    #[error("{what}")]
    Beyond {
        /// What, and why a server cannot.
        what: &'static str,
        /// How to do without.
        help: &'static str,
    },
    /// There is a budget, and the server does not say what it took.
    #[error("{url} does not say how many tokens an answer took, and there is a budget")]
    Uncounted {
        /// The address.
        url: String,
    },
    /// The budget is spent.
    #[error("not asked: the budget of {budget} tokens is spent")]
    Spent {
        /// Tokens.
        budget: u64,
    },
    /// The time is up.
    #[error("not asked: the {seconds} s for all requests are over")]
    Late {
        /// Seconds.
        seconds: u64,
    },
    /// Every server asks to be left alone for longer than anybody waits.
    #[error("{last}; it asks to wait {seconds} s")]
    Waits {
        /// For how long.
        seconds: u64,
        /// What it answered.
        last: Box<Fault>,
    },
    /// No server has answered for a while.
    #[error("no server can be reached any more, for {seconds} s: {last}")]
    Gone {
        /// For how long.
        seconds: u64,
        /// What the last try came to.
        last: Box<Fault>,
    },
    /// Servers that are there and have done nothing for a while.
    #[error("no server has answered for {seconds} s: {last}")]
    Barren {
        /// For how long.
        seconds: u64,
        /// What the last try came to.
        last: Box<Fault>,
    },
    /// Asked so many times, in vain.
    #[error("{last} (asked {times} times)")]
    GivenUp {
        /// How often.
        times: u32,
        /// What the last try came to.
        last: Box<Fault>,
    },
}

/// The server's own words behind a colon.
fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

/// Whether it is worth asking again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cure {
    /// The same request would fail again.
    Never,
    /// Every request to that server would fail.
    Fatal,
    /// This request may do better later.
    Later,
    /// The server has too much to do: it is left alone for a while.
    Rest(Option<Duration>),
    /// The server is not there: the others are asked, and it is tried again.
    Down,
}

impl Fault {
    /// What to do about it.
    pub(super) fn cure(&self) -> Cure {
        match self {
            Self::Unreachable { .. } | Self::Tls { .. } => Cure::Down,
            Self::Timeout { .. } | Self::Broken { .. } => Cure::Later,
            Self::Status { status, after, .. } => match status {
                // Not 403: some refuse one prompt by it.
                401 | 402 | 404 | 405 | 501 => Cure::Fatal,
                429 | 502..=504 | 529 => Cure::Rest(*after),
                408 | 425 | 500..=599 => Cure::Later,
                _ => Cure::Never,
            },
            // What is not counted is paid for all the same.
            Self::Uncounted { .. } | Self::NoAddress { .. } => Cure::Fatal,
            _ => Cure::Never,
        }
    }

    /// How to mend it.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::KeyUnset { variable } => {
                format!("export {variable}=…, or leave `key_env` out where the server wants no key")
            }
            Self::KeyUnfit { variable } => format!("look at {variable}: a key is one line of printable ASCII"),
            Self::Client { .. } => "look at the proxy's address, if one is set (HTTP_PROXY, HTTPS_PROXY)".into(),
            Self::Unreachable { url, .. } => {
                format!("is the server running? curl {url}; a proxy is passed by with NO_PROXY")
            }
            Self::Tls { .. } => {
                "an address without encryption begins with http://; the server's certificate must be one that this system \
                 trusts"
                    .into()
            }
            Self::Timeout { seconds, .. } => {
                format!("set `timeout_s` above {seconds}, a smaller `concurrency`, or a smaller `max_tokens`")
            }
            Self::Status { status: 401 | 403, key: Some(variable), .. } => {
                format!("the key in {variable} is refused: is it one of this server, and allowed to use this model?")
            }
            Self::Status { status, .. } => by_status(*status).into(),
            Self::Page { .. } => "the address of the API mostly ends in /v1; a login page or a proxy answers, too".into(),
            Self::Shape { .. } => "only the OpenAI API is spoken: look at the address, and at the server's own log".into(),
            Self::Broken { .. } => {
                "look at the server's own log; `stream: false` may let it say why; a proxy may cut long answers, and some \
                 servers drop one for the next (`concurrency: 1`)"
                    .into()
            },
            Self::Empty { .. } => {
                "a model that thinks may have used up `max_tokens` before it said anything; or it was filtered".into()
            }
            Self::Waits { seconds, .. } => format!("ask again in {seconds} s, or set a longer `timeout_s`"),
            Self::GivenUp { last, .. } | Self::Gone { last, .. } | Self::Barren { last, .. } => last.help(),
            Self::NoAddress { .. } => "it looks like `http://localhost:8080/v1`".into(),
            _ => self.help_before(),
        }
    }

    /// The same for what is said before anything is asked, or not asked at all.
    fn help_before(&self) -> String {
        match self {
            Self::NoSuchModel { name, known, .. } => did_you_mean(name, &names(known)),
            Self::NeedsName { known, .. } if known.is_empty() => "add `name: …` beside `endpoint`".into(),
            Self::NeedsName { known, .. } => format!("add `name: …` beside `endpoint`: {}", names(known).join(", ")),
            Self::Unlike { .. } => "add a `name: …` that all of them know, or ask them as models of their own".into(),
            Self::Unaligned { .. } => {
                "not every server spells out the control tokens of a prompt (`<|im_start|>`): ask by one without them, or \
                 take a GGUF"
                    .into()
            }
            Self::NoEcho { .. } => {
                "take a server whose /completions knows `echo` with `logprobs` (vLLM), a GGUF, or a scorer that reads what is \
                 said"
                    .into()
            }
            Self::Setting { setting } => format!(
                "leave it out; or, where the server's documentation has it, add `takes: [{setting}]` beside `endpoint`"
            ),
            Self::Bias { .. } => "give the token's id: `logit_bias: {12366: 5}`".into(),
            Self::Beyond { help, .. } => (*help).into(),
            Self::Uncounted { .. } => "add `stream: false`, or leave `budget_tokens` out".into(),
            Self::Spent { .. } => "set a larger `budget_tokens`; --resume asks what is left, with a budget of its own".into(),
            Self::Late { .. } => "set a larger `total_s`; --resume asks what is left, with the same time again".into(),
            _ => String::new(),
        }
    }
}

/// Names for a message: not more than fit one.
fn names(known: &[String]) -> Vec<&str> {
    known.iter().map(String::as_str).take(MOST_NAMES).collect()
}

/// Names of models that a message lists.
const MOST_NAMES: usize = 20;

fn by_status(status: u16) -> &'static str {
    match status {
        300..=399 => "write the address that it points to",
        401 | 403 => "the server wants a key: put one into an environment variable, and its name into `key_env`",
        402 => "the account of the key has nothing left to spend",
        404 | 405 => "look at the address, which mostly ends in /v1, and at the model's `name`",
        400 | 413 | 422 => "the server's words say what it does not take: a prompt too long for it, or a setting",
        429 => "the server has too much to do: set a smaller `concurrency` or more `retries`, or ask later",
        _ => "look at the server's own log",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16, after: Option<Duration>) -> Cure {
        Fault::Status { url: "u".into(), status, message: String::new(), after, key: None }.cure()
    }

    #[test]
    fn what_may_pass_is_asked_again_and_what_cannot_is_not() {
        let wait = Some(Duration::from_secs(3));
        assert_eq!((status(429, wait), status(503, None)), (Cure::Rest(wait), Cure::Rest(None)));
        assert_eq!((status(500, None), status(408, None)), (Cure::Later, Cure::Later));
        assert_eq!((status(400, None), status(302, None)), (Cure::Never, Cure::Never));
        assert_eq!((status(404, None), status(501, None)), (Cure::Fatal, Cure::Fatal), "there is no such place");
        assert_eq!((status(401, None), status(402, None)), (Cure::Fatal, Cure::Fatal));
        assert_eq!(status(403, None), Cure::Never);
        assert_eq!(Fault::Unreachable { url: "u".into(), reason: "r".into() }.cure(), Cure::Down);
        assert_eq!(Fault::Page { url: "u".into() }.cure(), Cure::Never);
    }

    #[test]
    fn what_was_given_up_says_what_and_how_often() {
        let last = Box::new(Fault::Timeout { url: "http://h/v1".into(), seconds: 3 });
        let fault = Fault::GivenUp { times: 4, last };
        insta::assert_snapshot!(format!("{fault}; {}", fault.help()), @"no answer from http://h/v1 within 3 s (asked 4 times); set `timeout_s` above 3, a smaller `concurrency`, or a smaller `max_tokens`");
    }
}
