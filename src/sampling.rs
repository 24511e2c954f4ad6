//! How tokens are drawn: what a user may write ([`SamplingSpec`]) and what a trial uses ([`Sampling`]).

use serde::{Deserialize, Serialize};

/// How the tokens of one completion are drawn. The default is greedy, 256 tokens at most.
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
    /// Keep the log-probability of each token drawn, and of so many alternatives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<u32>,
}

impl Sampling {
    /// Whether every token is the likeliest one, so that no random number is drawn.
    #[must_use]
    pub fn is_greedy(&self) -> bool {
        self.temperature <= 0.0
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
            logprobs: None,
        }
    }
}

/// The sampling settings that a suite or a variant writes; what is absent is inherited.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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
}

/// Why a sampling value is refused: the field and the range it must lie in.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("`{field}` is {value}, which is outside {range}")]
pub struct OutOfRange {
    /// The field's name.
    pub field: &'static str,
    /// What was written.
    pub value: String,
    /// What is allowed.
    pub range: &'static str,
}

impl SamplingSpec {
    /// These settings where they are given, else those of `base`.
    #[must_use]
    pub fn over(&self, base: &Sampling) -> Sampling {
        Sampling {
            max_tokens: self.max_tokens.unwrap_or(base.max_tokens),
            temperature: self.temperature.unwrap_or(base.temperature),
            top_k: self.top_k.or(base.top_k),
            top_p: self.top_p.or(base.top_p),
            min_p: self.min_p.or(base.min_p),
            stop: self.stop.clone().unwrap_or_else(|| base.stop.clone()),
            seed: self.seed.unwrap_or(base.seed),
            logprobs: base.logprobs,
        }
    }

    /// Every value that lies outside its range.
    #[must_use]
    pub fn out_of_range(&self) -> Vec<OutOfRange> {
        let mut out = Vec::new();
        let mut check = |ok: Option<bool>, field, value: String, range| {
            if ok == Some(false) {
                out.push(OutOfRange { field, value, range });
            }
        };
        check(self.max_tokens.map(|v| v > 0), "max_tokens", show(self.max_tokens), "1 or more");
        check(self.temperature.map(|v| (0.0..=100.0).contains(&v)), "temperature", show(self.temperature), "0 to 100");
        check(self.top_k.map(|v| v > 0 && i32::try_from(v).is_ok()), "top_k", show(self.top_k), "1 or more");
        check(self.top_p.map(|v| v > 0.0 && v <= 1.0), "top_p", show(self.top_p), "above 0, at most 1");
        check(self.min_p.map(|v| (0.0..1.0).contains(&v)), "min_p", show(self.min_p), "0 or more, below 1");
        check(
            self.stop.as_ref().map(|all| all.iter().all(|s| !s.is_empty())),
            "stop",
            "an empty text".into(),
            "non-empty texts",
        );
        out
    }
}

fn show<T: std::fmt::Display>(value: Option<T>) -> String {
    value.map_or_else(String::new, |v| v.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_overrides_only_what_it_names() {
        let base = Sampling { max_tokens: 10, temperature: 0.7, ..Sampling::default() };
        let spec = SamplingSpec { temperature: Some(0.0), ..SamplingSpec::default() };
        let merged = spec.over(&base);
        assert_eq!((merged.max_tokens, merged.temperature), (10, 0.0));
    }

    #[test]
    fn reports_every_value_outside_its_range() {
        let spec =
            SamplingSpec { max_tokens: Some(0), top_p: Some(1.5), min_p: Some(f32::NAN), ..SamplingSpec::default() };
        let fields: Vec<_> = spec.out_of_range().iter().map(|o| o.field).collect();
        assert_eq!(fields, ["max_tokens", "top_p", "min_p"]);
    }
}
