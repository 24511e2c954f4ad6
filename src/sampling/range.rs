//! The range of each sampling setting.

use super::SamplingSpec;

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
        let empty = self.stop.as_ref().map(|all| all.iter().all(|s| !s.is_empty()));
        check(empty, "stop", "an empty text".into(), "non-empty texts");
        let repeat = self.repeat_penalty;
        check(repeat.map(|v| v > 0.0 && v <= 10.0), "repeat_penalty", show(repeat), "above 0, at most 10 (1 is off)");
        for (field, value) in
            [("presence_penalty", self.presence_penalty), ("frequency_penalty", self.frequency_penalty)]
        {
            check(value.map(|v| (-2.0..=2.0).contains(&v)), field, show(value), "-2 to 2 (0 is off)");
        }
        for (token, bias) in self.logit_bias.iter().flatten() {
            let value = format!("{bias} for the token {token}");
            check(Some((-100.0..=100.0).contains(bias)), "logit_bias", value, "-100 to 100");
        }
        check(self.logprobs.map(|v| v <= 100), "logprobs", show(self.logprobs), "0 to 100");
        out
    }
}

fn show<T: std::fmt::Display>(value: Option<T>) -> String {
    value.map_or_else(String::new, |v| v.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampling::BiasToken;

    #[test]
    fn reports_every_value_outside_its_range() {
        let spec = SamplingSpec {
            max_tokens: Some(0),
            top_p: Some(1.5),
            min_p: Some(f32::NAN),
            repeat_penalty: Some(0.0),
            presence_penalty: Some(2.5),
            frequency_penalty: Some(f32::INFINITY),
            logit_bias: Some(vec![(BiasToken::Id(1), 100.0), (BiasToken::Text(" a".into()), f32::NAN)]),
            logprobs: Some(101),
            ..SamplingSpec::default()
        };
        let said: Vec<String> = spec.out_of_range().iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(said.join("\n"), @r#"
        `max_tokens` is 0, which is outside 1 or more
        `top_p` is 1.5, which is outside above 0, at most 1
        `min_p` is NaN, which is outside 0 or more, below 1
        `repeat_penalty` is 0, which is outside above 0, at most 10 (1 is off)
        `presence_penalty` is 2.5, which is outside -2 to 2 (0 is off)
        `frequency_penalty` is inf, which is outside -2 to 2 (0 is off)
        `logit_bias` is NaN for the token " a", which is outside -100 to 100
        `logprobs` is 101, which is outside 0 to 100
        "#);
    }
}
