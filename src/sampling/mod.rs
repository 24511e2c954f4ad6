//! How tokens are drawn: what a user may write ([`SamplingSpec`]), what a trial uses ([`Sampling`]), and the checks
//! that keep a bad grammar or schema away from llama.cpp ([`check_grammar`], [`check_schema`]).

mod bias;
mod extra;
mod grammar;
mod range;
mod schema;

pub use bias::BiasToken;
pub use extra::Extra;
pub use grammar::{GrammarProblem, check_grammar};
pub use range::OutOfRange;
pub use schema::{SchemaProblem, check_schema};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How the tokens of one completion are drawn. The default is greedy, 256 tokens at most.
///
/// What is absent is not serialised where a field came later than the first release: headers and cache keys of suites
/// that do without it stay as they were.
///
/// ```
/// use tripos::sampling::Sampling;
/// let sampling = Sampling::default();
/// assert!(sampling.is_greedy());
/// assert_eq!(sampling.max_tokens, 256);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// Most tokens to draw; the completion is `cut` when it is reached.
    pub max_tokens: u32,
    /// 0 is greedy; higher is more random.
    pub temperature: f32,
    /// Keep the k most likely tokens (Fan et al. 2018).
    pub top_k: Option<u32>,
    /// Keep the smallest set whose probability reaches p (Holtzman et al. 2019).
    pub top_p: Option<f32>,
    /// Drop tokens less likely than `min_p` times the likeliest (Nguyen et al. 2024).
    pub min_p: Option<f32>,
    /// Texts that end a completion; they are not part of it.
    pub stop: Vec<String>,
    /// Moves every draw of the suite.
    pub seed: u64,
    /// GBNF that the completion must satisfy; [`check_grammar`] found nothing wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grammar: Option<String>,
    /// A JSON Schema that it must satisfy instead; [`check_schema`] found nothing wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_schema: Option<Value>,
    /// Divides the positive logits of the last 64 tokens, and multiplies the negative ones (Keskar et al. 2019); 1 is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat_penalty: Option<f32>,
    /// Taken off the logit of each token among the last 64; 0 is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence_penalty: Option<f32>,
    /// Taken off the logit of a token once for each time it is among the last 64; 0 is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frequency_penalty: Option<f32>,
    /// Added to the logits of single tokens; sorted, no token twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logit_bias: Vec<(BiasToken, f32)>,
    /// Keep the log-probability of each token drawn, and this many of the likeliest beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<u32>,
}

impl Sampling {
    /// Whether every token is the likeliest one, so that no random number is drawn.
    #[must_use]
    pub fn is_greedy(&self) -> bool {
        self.temperature <= 0.0
    }

    /// Whether that is the likeliest by the model's own logits: nothing constrains them, penalises or biases them.
    #[must_use]
    pub fn is_plain_greedy(&self) -> bool {
        let penalised = self.repeat_penalty.is_some_and(|penalty| (penalty - 1.0).abs() > 0.0)
            || [self.presence_penalty, self.frequency_penalty].iter().flatten().any(|penalty| penalty.abs() > 0.0);
        let constrained = self.grammar.is_some() || self.json_schema.is_some();
        self.is_greedy() && !penalised && !constrained && self.logit_bias.is_empty()
    }
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            max_tokens: 256,
            temperature: 0.0,
            top_k: None,
            top_p: None,
            min_p: None,
            stop: Vec::new(),
            seed: 0,
            grammar: None,
            json_schema: None,
            repeat_penalty: None,
            presence_penalty: None,
            frequency_penalty: None,
            logit_bias: Vec::new(),
            logprobs: None,
        }
    }
}

/// The sampling settings that a suite, a variant or a stage writes; what is absent is inherited.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SamplingSpec {
    /// See [`Sampling::max_tokens`].
    pub max_tokens: Option<u32>,
    /// See [`Sampling::temperature`].
    pub temperature: Option<f32>,
    /// See [`Sampling::top_k`].
    pub top_k: Option<u32>,
    /// See [`Sampling::top_p`].
    pub top_p: Option<f32>,
    /// See [`Sampling::min_p`].
    pub min_p: Option<f32>,
    /// See [`Sampling::stop`].
    pub stop: Option<Vec<String>>,
    /// See [`Sampling::seed`].
    pub seed: Option<u64>,
    /// See [`Sampling::grammar`]. As written it may be the path of a `.gbnf` file, which the suite's reader replaces.
    pub grammar: Option<String>,
    /// See [`Sampling::json_schema`]. As written it may be the path of a `.json` file, which the suite's reader replaces.
    pub json_schema: Option<Value>,
    /// See [`Sampling::repeat_penalty`].
    pub repeat_penalty: Option<f32>,
    /// See [`Sampling::presence_penalty`].
    pub presence_penalty: Option<f32>,
    /// See [`Sampling::frequency_penalty`].
    pub frequency_penalty: Option<f32>,
    /// See [`Sampling::logit_bias`]; the map as a whole is inherited or replaced.
    #[serde(deserialize_with = "bias::from_map")]
    pub logit_bias: Option<Vec<(BiasToken, f32)>>,
    /// See [`Sampling::logprobs`].
    pub logprobs: Option<u32>,
}

impl SamplingSpec {
    /// These settings where they are given, else those of `base`. A grammar replaces a schema, and a schema a grammar:
    /// a completion is held to one of them.
    #[must_use]
    pub fn over(&self, base: &Sampling) -> Sampling {
        let constrains = self.grammar.is_some() || self.json_schema.is_some();
        let (grammar, json_schema) =
            if constrains { (&self.grammar, &self.json_schema) } else { (&base.grammar, &base.json_schema) };
        Sampling {
            max_tokens: self.max_tokens.unwrap_or(base.max_tokens),
            temperature: self.temperature.unwrap_or(base.temperature),
            top_k: self.top_k.or(base.top_k),
            top_p: self.top_p.or(base.top_p),
            min_p: self.min_p.or(base.min_p),
            stop: self.stop.clone().unwrap_or_else(|| base.stop.clone()),
            seed: self.seed.unwrap_or(base.seed),
            grammar: grammar.clone(),
            json_schema: json_schema.clone(),
            repeat_penalty: self.repeat_penalty.or(base.repeat_penalty),
            presence_penalty: self.presence_penalty.or(base.presence_penalty),
            frequency_penalty: self.frequency_penalty.or(base.frequency_penalty),
            logit_bias: self.logit_bias.clone().unwrap_or_else(|| base.logit_bias.clone()),
            logprobs: self.logprobs.or(base.logprobs),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_overrides_only_what_it_names() {
        let base = Sampling { max_tokens: 10, temperature: 0.7, logprobs: Some(3), ..Sampling::default() };
        let spec = SamplingSpec { temperature: Some(0.0), repeat_penalty: Some(1.1), ..SamplingSpec::default() };
        let merged = spec.over(&base);
        assert_eq!((merged.max_tokens, merged.temperature), (10, 0.0));
        assert_eq!((merged.repeat_penalty, merged.logprobs), (Some(1.1), Some(3)));
    }

    #[test]
    fn a_schema_replaces_the_grammar_below_it_and_a_grammar_the_schema() {
        let base = Sampling { grammar: Some("root ::= \"a\"".into()), ..Sampling::default() };
        let schema = SamplingSpec { json_schema: Some(true.into()), ..SamplingSpec::default() };
        let with_schema = schema.over(&base);
        assert_eq!((&with_schema.grammar, &with_schema.json_schema), (&None, &Some(true.into())));
        let grammar = SamplingSpec { grammar: base.grammar.clone(), ..SamplingSpec::default() };
        assert_eq!(grammar.over(&with_schema), base);
        assert_eq!(SamplingSpec::default().over(&base), base);
    }

    #[test]
    fn what_is_absent_is_not_serialised_so_that_headers_and_cache_keys_stay() {
        let expected =
            r#"{"max_tokens":256,"temperature":0.0,"top_k":null,"top_p":null,"min_p":null,"stop":[],"seed":0}"#;
        assert_eq!(serde_json::to_string(&Sampling::default()).unwrap(), expected);
        let full = Sampling {
            json_schema: Some(serde_json::json!({"type": "string"})),
            presence_penalty: Some(0.5),
            logit_bias: vec![(BiasToken::Id(3), 1.0), (BiasToken::Text(" a".into()), -2.0)],
            logprobs: Some(0),
            ..Sampling::default()
        };
        let text = serde_json::to_string(&full).unwrap();
        assert_eq!(serde_json::from_str::<Sampling>(&text).unwrap(), full);
    }

    #[test]
    fn plain_greedy_is_greedy_with_nothing_in_the_way() {
        let with = |change: fn(&mut Sampling)| {
            let mut sampling = Sampling::default();
            change(&mut sampling);
            sampling.is_plain_greedy()
        };
        assert!(with(|_| {}));
        assert!(with(|s| (s.repeat_penalty, s.presence_penalty, s.logprobs) = (Some(1.0), Some(0.0), Some(5))));
        assert!(!with(|s| s.temperature = 0.1));
        assert!(!with(|s| s.grammar = Some(String::new())));
        assert!(!with(|s| s.json_schema = Some(true.into())));
        assert!(!with(|s| s.repeat_penalty = Some(1.1)));
        assert!(!with(|s| s.frequency_penalty = Some(-0.1)));
        assert!(!with(|s| s.logit_bias = vec![(BiasToken::Id(0), 1.0)]));
    }
}
