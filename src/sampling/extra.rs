//! Settings that are no part of the OpenAI API, and that some servers take all the same.

use super::Sampling;
use serde::{Deserialize, Serialize};

/// A setting beyond the OpenAI API. Servers pass over what they do not know, without a word; so it is only sent where the
/// server is known, or said, to take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extra {
    /// `top_k`.
    TopK,
    /// `min_p`.
    MinP,
    /// `repeat_penalty` under that name.
    RepeatPenalty,
    /// `repeat_penalty` under vLLM's name.
    RepetitionPenalty,
    /// `grammar`: GBNF.
    Grammar,
    /// `json_schema` behind a completion prompt; chats take it by the API itself.
    JsonSchema,
    /// `max_tokens` under the name that newer models of OpenAI want; they refuse the old one.
    MaxCompletionTokens,
    /// A suite's `template_vars`, as the arguments of the server's own chat template.
    ChatTemplateKwargs,
}

impl Extra {
    /// Its name on the wire, and in a suite's `takes`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TopK => "top_k",
            Self::MinP => "min_p",
            Self::RepeatPenalty => "repeat_penalty",
            Self::RepetitionPenalty => "repetition_penalty",
            Self::Grammar => "grammar",
            Self::JsonSchema => "json_schema",
            Self::MaxCompletionTokens => "max_completion_tokens",
            Self::ChatTemplateKwargs => "chat_template_kwargs",
        }
    }
}

impl Sampling {
    /// The first of its settings that is beyond the API, and not among those taken.
    #[must_use]
    pub fn untaken(&self, taken: &[Extra]) -> Option<Extra> {
        let penalised = self.repeat_penalty.is_some() && !taken.contains(&Extra::RepetitionPenalty);
        let wanted = [
            (self.top_k.is_some(), Extra::TopK),
            (self.min_p.is_some(), Extra::MinP),
            (penalised, Extra::RepeatPenalty),
            (self.grammar.is_some(), Extra::Grammar),
        ];
        wanted.into_iter().find_map(|(wanted, extra)| (wanted && !taken.contains(&extra)).then_some(extra))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_name_of_the_penalty_will_do() {
        let sampling = Sampling { repeat_penalty: Some(1.1), ..Sampling::default() };
        assert_eq!(sampling.untaken(&[]), Some(Extra::RepeatPenalty));
        assert_eq!(sampling.untaken(&[Extra::RepeatPenalty]), None);
        assert_eq!(sampling.untaken(&[Extra::RepetitionPenalty]), None);
        let sampling = Sampling { top_k: Some(40), ..sampling };
        assert_eq!(sampling.untaken(&[Extra::RepetitionPenalty]), Some(Extra::TopK));
    }
}
