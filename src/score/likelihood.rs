//! How likely a model finds a text: what scorers by likelihood judge.

use super::candidate::Behind;
use serde::{Deserialize, Deserializer, Serialize};

/// One candidate continuation of a prompt (or one window of a long text) and its log-probability.
///
/// ```
/// use tripos::score::Likelihood;
/// let line = r#"{"text":" Paris","logprob":-1.2,"tokens":1,"bytes":6,"unconditional":-8.1}"#;
/// let paris: Likelihood = serde_json::from_str(line)?;
/// assert_eq!((paris.tokens, paris.bytes), (1, 6));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Likelihood {
    /// The text behind the prompt, the space before it included.
    pub text: String,
    /// Sum of the log-probabilities of its tokens, given all before them (natural logarithm). JSON has no infinities: an
    /// impossible text is `null` there.
    #[serde(deserialize_with = "number_or_impossible")]
    pub logprob: f64,
    /// How many tokens were summed over: those of the whole (prompt and candidate) behind what it shares with the prompt.
    pub tokens: usize,
    /// Bytes of `text`.
    pub bytes: usize,
    /// The same sum without the prompt, behind the token that begins a text; where the scorer needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unconditional: Option<f64>,
}

/// A text whose likelihood behind the prompt a scorer needs.
///
/// Between the prompt and the text stands the scorer's `delimiter`. Where the suite gives none, it is one space; and
/// nothing behind a chat prompt, where the prompt is empty or ends in white space, or where the text begins with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The text, the space before it included.
    pub text: String,
    /// Whether its likelihood without the prompt is needed, too.
    pub unconditional: bool,
}

impl Candidate {
    /// A text behind a completion prompt, as the scorer `choice` puts its choices there; the likelihood without the prompt is
    /// wanted, too.
    ///
    /// ```
    /// use tripos::score::Candidate;
    /// assert_eq!(Candidate::behind("The sky is", "blue").text, " blue");
    /// assert_eq!(Candidate::behind("The sky is ", "blue").text, "blue");
    /// ```
    #[must_use]
    pub fn behind(prompt: &str, text: &str) -> Self {
        let behind = Behind { prompt, chat: false, delimiter: None };
        Self { text: behind.text(text), unconditional: true }
    }
}

fn number_or_impossible<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NEG_INFINITY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_impossible_text_can_be_written_and_read_again() {
        let impossible =
            Likelihood { text: "x".into(), logprob: f64::NEG_INFINITY, tokens: 1, bytes: 1, unconditional: None };
        let line = serde_json::to_string(&impossible).unwrap();
        assert_eq!(serde_json::from_str::<Likelihood>(&line).unwrap(), impossible);
    }
}
