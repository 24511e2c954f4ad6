//! A model behind a server that speaks the OpenAI API: llama-server, vLLM, Ollama, LM Studio, a cloud.
//!
//! A completion prompt goes to `/completions` as it is. A chat goes to `/chat/completions` as messages: the server applies its
//! own template. The server's tokens stay with it, so tokens here are characters (`words`), no record shows them, and whether
//! a prompt fits is the server's to say. How likely given texts are is read from echoes (`echo`), where a server gives them.
//!
//! Several addresses are a fleet (`fleet`): each request goes to whichever is free. What may pass is asked again (`fault`);
//! what cannot be answered comes back as [`Answer::Failed`]. A server that refuses the key, or has nothing at its address, is
//! asked no more. The run ends where no server is left, or none can be reached any more.
//!
//! What a server runs behind a name can change from one day to the next, so its answers are not kept for another run unless
//! its user vouches for it ([`EndpointSettings::keep`]).

mod ask;
mod body;
mod echo;
mod fault;
mod fleet;
mod heard;
mod probe;
mod sitting;
mod sse;
mod wire;
mod words;

pub use fault::Fault;
pub use wire::Key;

use super::{Answer, Ask, Effort, Engine, EngineError, ModelFacts, Offer, Request, SERVED, Token};
use crate::error::Place;
use crate::sampling::{BiasToken, Extra, Sampling};
use ask::Line;
use body::Style;
use fleet::Fleet;
use probe::Described;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use sitting::{Limits, Sitting};
use std::fmt::Write as _;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use wire::Wire;

/// Which servers are asked, and how.
#[derive(Debug, Clone)]
pub struct EndpointSettings {
    /// Their addresses, up to and with `/v1`, without a slash at the end; at least one.
    pub urls: Vec<String>,
    /// The model's name there; `None` is the only one that there is.
    pub name: Option<String>,
    /// The variable that holds the key, and what it holds.
    pub key: Option<(String, Option<Key>)>,
    /// What stands between here and them.
    pub proxies: Proxies,
    /// Most requests in flight at each server.
    pub concurrency: usize,
    /// How often a request is asked again.
    pub retries: u32,
    /// How long one request may take.
    pub timeout: Duration,
    /// How long all of them may take together; nothing is begun after that.
    pub total: Option<Duration>,
    /// How many tokens may be used; nothing is begun once they are.
    pub budget: Option<u64>,
    /// Answers are read as they are made.
    pub stream: bool,
    /// Settings beyond the API that the servers take.
    pub takes: Vec<Extra>,
    /// Answers may be kept for other runs.
    pub keep: bool,
    /// Variables for the servers' chat template.
    pub template_vars: Map<String, Value>,
    /// Where the suite names them.
    pub place: Place,
}

/// The proxies of the environment.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// For `http://`.
    pub http: Option<String>,
    /// For `https://`.
    pub https: Option<String>,
    /// The hosts that are asked without one, as in `NO_PROXY`.
    pub none: Option<String>,
}

/// A model behind one or several servers.
pub struct Endpoint {
    facts: ModelFacts,
    settings: EndpointSettings,
    line: Arc<Line>,
    /// The servers that answered when it was opened; none where none was asked.
    met: Vec<String>,
    echoes: OnceLock<Result<(), Fault>>,
    desk: Mutex<Desk>,
}

/// What asking needs to itself.
struct Desk {
    runtime: Runtime,
    fleet: Fleet,
    limits: Limits,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("urls", &self.settings.urls).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// A model behind servers. With `connect` each is asked for its models, and at least one must answer; without, nobody is
    /// asked anything, and little is known.
    ///
    /// # Errors
    /// A key that is not there, servers that cannot be reached, a name that they do not know.
    pub fn open(settings: EndpointSettings, connect: bool) -> Result<Self, EngineError> {
        let place = settings.place.clone();
        Self::opened(settings, connect).map_err(|fault| server(&place, fault))
    }

    fn opened(settings: EndpointSettings, connect: bool) -> Result<Self, Fault> {
        let (variable, key) = match &settings.key {
            Some((variable, None)) if connect => return Err(Fault::KeyUnset { variable: variable.clone() }),
            Some((variable, key)) => (variable.as_str(), key.clone()),
            None => ("", None),
        };
        let wire = Wire::new((key, variable), &settings.proxies, settings.timeout, settings.concurrency)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Fault::Client { reason: error.to_string() })?;
        let (met, described) = if connect {
            runtime.block_on(meet(&wire, &settings))?
        } else {
            (Vec::new(), Described { name: settings.name.clone().unwrap_or_default(), ..Described::default() })
        };
        let mut takes = [described.takes.as_slice(), &settings.takes].concat();
        takes.sort_unstable();
        takes.dedup();
        let style = Style {
            name: described.name.clone(),
            stream: settings.stream,
            takes,
            template_vars: settings.template_vars.clone(),
        };
        let line =
            Line { wire, style, pieces: words::Pieces::default(), budget: settings.budget, spent: Arc::default() };
        let fleet = Fleet::new(settings.urls.len(), settings.concurrency);
        let limits = Limits { retries: settings.retries, patience: settings.timeout, ..Limits::default() };
        Ok(Self {
            facts: facts(&settings, &described, &line.style.takes),
            line: Arc::new(line),
            met,
            echoes: OnceLock::new(),
            desk: Mutex::new(Desk { runtime, fleet, limits }),
            settings,
        })
    }

    /// Whether the servers' echoes can be believed; each is asked once.
    fn echoes(&self) -> Result<(), Fault> {
        let ask = || {
            let desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
            self.met.iter().try_for_each(|url| desk.runtime.block_on(probe::echoes(&self.line, url)))
        };
        self.echoes.get_or_init(ask).clone()
    }

    fn takes(&self, extra: Extra) -> Result<(), Fault> {
        let taken = self.met.is_empty() || self.line.style.takes.contains(&extra);
        if taken { Ok(()) } else { Err(Fault::Setting { setting: extra.name() }) }
    }

    fn offer(&self, what: Offer) -> Result<(), Fault> {
        let beyond = |what, help| Err(Fault::Beyond { what, help });
        match what {
            Offer::Likelihood => self.echoes(),
            Offer::SchemaBehindText => self.takes(Extra::JsonSchema),
            Offer::TemplateVars => self.takes(Extra::ChatTemplateKwargs),
            Offer::LikelihoodInChat => beyond(
                "how likely a given answer is in a chat no server says: only what it answers itself",
                "ask by a completion prompt (`.txt`), or take a GGUF",
            ),
            Offer::LongText => beyond(
                "a long text is cut into windows by the model's own tokens, which a server keeps to itself",
                "take a GGUF, or short texts as cases with a `target`",
            ),
            Offer::Prefill => beyond(
                "a server answers a chat, and does not go on with first words of its own",
                "leave the last `assistant` message out, or ask by a completion prompt (`.txt`)",
            ),
            Offer::States => beyond(
                "a server keeps the states of its model, by which texts are found similar, to itself",
                "choose examples by `first`, `random` or `balanced`",
            ),
        }
    }
}

impl Engine for Endpoint {
    fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    /// Whether a prompt fits is the server's to say.
    fn context(&self) -> usize {
        usize::MAX / 2
    }

    fn tokenize(&self, text: &str, quoted: &[Range<usize>]) -> Vec<Token> {
        words::tokens(text, quoted)
    }

    fn start(&self) -> Option<Token> {
        None
    }

    fn bytes(&self, tokens: &[Token]) -> Vec<u8> {
        self.line.pieces.bytes(tokens)
    }

    fn knows_tokens(&self) -> bool {
        false
    }

    /// Answers with log-probabilities are not kept: they name tokens by numbers that last as long as the program.
    fn may_be_kept(&self, ask: &Ask) -> bool {
        self.settings.keep && !matches!(ask, Ask::Generate { sampling, .. } if sampling.logprobs.is_some())
    }

    fn offers(&self, what: Offer) -> Result<(), EngineError> {
        self.offer(what).map_err(|fault| server(&self.settings.place, fault))
    }

    fn check(&self, sampling: &Sampling) -> Result<(), EngineError> {
        let bias = sampling.logit_bias.iter().find_map(|(token, _)| match token {
            BiasToken::Text(text) => Some(Fault::Bias { text: text.clone() }),
            BiasToken::Id(_) => None,
        });
        let untaken = sampling.untaken(&self.line.style.takes).filter(|_| !self.met.is_empty());
        let fault = bias.or(untaken.map(|extra| Fault::Setting { setting: extra.name() }));
        fault.map_or(Ok(()), |fault| Err(server(&self.settings.place, fault)))
    }

    fn answer(
        &self,
        requests: Vec<Request>,
        done: &mut dyn FnMut(usize, Answer),
        stop: &AtomicBool,
    ) -> Result<Effort, EngineError> {
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        let Desk { runtime, fleet, limits } = &mut *desk;
        // The time begins to run with the first request.
        let total = self.settings.total;
        limits.until = limits.until.or_else(|| total.map(|total| (Instant::now() + total, total.as_secs())));
        runtime
            .block_on(async {
                let asked = (Arc::clone(&self.line), self.settings.urls.as_slice());
                Sitting::new(asked, (fleet, limits), requests).run(done, stop).await
            })
            .map_err(|fault| server(&self.settings.place, fault))
    }
}

/// Asks each server for its models. One that cannot be reached is left out for now, as long as another is there; a name that
/// one of them does not know is an error, and so are two models. What not all of them take is not sent.
async fn meet(wire: &Wire, settings: &EndpointSettings) -> Result<(Vec<String>, Described), Fault> {
    let (mut met, mut found, mut absent) = (Vec::new(), None::<Described>, None);
    for url in &settings.urls {
        match probe::describe(wire, url, settings.name.as_deref(), settings.retries).await {
            Ok(described) => {
                let first = found.get_or_insert_with(|| described.clone());
                if first.name != described.name {
                    let (name, other) = (described.name, first.name.clone());
                    return Err(Fault::Unlike { url: url.clone(), name, other });
                }
                first.takes.retain(|extra| described.takes.contains(extra));
                met.push(url.clone());
            }
            Err(fault @ (Fault::Unreachable { .. } | Fault::Tls { .. } | Fault::Timeout { .. })) => {
                if settings.urls.len() > 1 {
                    tracing::warn!("{fault}; the other servers are asked");
                }
                absent.get_or_insert(fault);
            }
            Err(fault) => return Err(fault),
        }
    }
    let found = found.ok_or_else(|| absent.unwrap_or(Fault::Client { reason: "there is no address".into() }))?;
    Ok((met, found))
}

fn server(place: &Place, fault: Fault) -> EngineError {
    EngineError::Server { place: place.clone(), fault: Box::new(fault) }
}

/// What can be said of such a model. Its hash is that of the addresses, of what the server says of it, and of what is sent it
/// beside the sampling: another server, another description, or other variables for its template are another model.
fn facts(settings: &EndpointSettings, described: &Described, takes: &[Extra]) -> ModelFacts {
    let mut urls = settings.urls.clone();
    urls.sort();
    let identity = json!({"urls": urls, "name": described.name, "said": described.said, "takes": takes,
        "template_vars": settings.template_vars});
    let sha256 = Sha256::digest(identity.to_string()).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    ModelFacts {
        // A name may itself be a path from the root, which `join` would put in the address's place.
        path: PathBuf::from(format!("{}/{}", settings.urls.join(","), described.name)),
        sha256,
        architecture: SERVED.into(),
        parameters: described.parameters,
        quantisation: "the server's own".into(),
        trained_context: described.context,
        chat_template: Some(words::TEMPLATE.into()),
        rewards: Vec::new(),
        bos: None,
        eos: None,
        controls: words::controls(),
        width: 0,
    }
}
