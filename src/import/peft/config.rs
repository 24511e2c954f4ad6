//! `adapter_config.json`: what of it counts, and what is refused.

use super::error::{PeftError, PeftProblem};
use crate::error::{Place, Problems};
use regex::Regex;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

const TRAIN_ANEW: &str = "an adapter GGUF cannot express it; train the adapter without it, \
     or merge it in PEFT (merge_and_unload) and convert the whole model";

/// Settings that change what an adapter computes and that a GGUF cannot express, with what they do.
const REFUSED: [(&str, &str); 14] = [
    ("use_dora", "scales each matrix by learned lengths (DoRA)"),
    ("lora_bias", "adds biases beside B"),
    ("fan_in_fan_out", "is for layers that keep their weights the other way round"),
    ("modules_to_save", "names modules that were trained whole"),
    ("target_parameters", "names parameters outside linear layers"),
    ("trainable_token_indices", "names embeddings that were trained whole"),
    ("layer_replication", "repeats layers of the base model"),
    ("alora_invocation_tokens", "makes the adapter apply behind certain tokens only"),
    ("use_qalora", "pools the input of A (QA-LoRA)"),
    ("use_bdlora", "keeps blocks of A and B only (BD-LoRA)"),
    ("arrow_config", "routes between several adapters (Arrow)"),
    ("lora_ga_config", "changes the base model before training (LoRA-GA)"),
    ("monteclora_config", "samples the adapter's weights (MonteCLoRA)"),
    ("kasa_config", "puts learned singular values between A and B (KaSA)"),
];

/// Settings without a part in what a trained adapter computes, or read below.
const HARMLESS: [&str; 30] = [
    "alpha_pattern",
    "auto_mapping",
    "base_model_name_or_path",
    "bias",
    "corda_config",
    "ensure_weight_tying",
    "eva_config",
    "exclude_modules",
    "inference_mode",
    "init_lora_weights",
    "layers_pattern",
    "layers_to_transform",
    "loftq_config",
    "lora_alpha",
    "lora_dropout",
    "megatron_config",
    "megatron_core",
    "peft_type",
    "peft_version",
    "qalora_group_size",
    "r",
    "rank_pattern",
    "revision",
    "runtime_config",
    "target_modules",
    "task_type",
    "tensor_parallel_plan",
    "use_rslora",
    "tied_target_modules",
    "velora_config",
];

/// Beginnings that change the base model itself, so that the adapter alone is not enough.
const CHANGED_BASE: [&str; 5] = ["pissa", "olora", "corda", "loftq", "lora_ga"];

/// What of the configuration counts.
#[derive(Debug)]
pub(super) struct Config {
    rank: usize,
    alpha: f64,
    stabilised: bool,
    ranks: Vec<(Regex, f64)>,
    alphas: Vec<(Regex, f64)>,
    /// The base model's name.
    pub(super) base: Option<String>,
    /// Settings passed over.
    pub(super) notes: Vec<String>,
}

impl Config {
    /// Reads it; problems are added to the list, and none is given where it cannot be read at all.
    pub(super) fn read(file: &Path, problems: &mut Problems) -> Option<Self> {
        let refuse = |problem| PeftError::new(file, problem);
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) => {
                problems.push(PeftError::unreadable(file, &error));
                return None;
            }
        };
        match serde_json::from_str::<Value>(&text) {
            Ok(Value::Object(map)) => Some(Reader { file, text: &text, map: &map, problems }.config()),
            Ok(_) => {
                problems.push(refuse(PeftProblem::NotConfig("it is no JSON object".into())));
                None
            }
            Err(error) => {
                problems.push(refuse(PeftProblem::NotConfig(error.to_string())));
                None
            }
        }
    }

    /// The rank that a module should have.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number, checked when read")]
    pub(super) fn rank(&self, module: &str) -> usize {
        matching(&self.ranks, module).map_or(self.rank, |rank| rank as usize)
    }

    /// Alpha of a module, such that `alpha / rank` is what it is scaled by.
    pub(super) fn alpha(&self, module: &str, rank: usize) -> f64 {
        let alpha = matching(&self.alphas, module).unwrap_or(self.alpha);
        if self.stabilised { alpha * (rank as f64).sqrt() } else { alpha }
    }

    /// The alpha that most modules have, for the file; the others' B is multiplied by what is missing.
    pub(super) fn alpha_of_most(&self, modules: &[(&str, usize)]) -> f32 {
        let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
        for (module, rank) in modules {
            *counts.entry(self.alpha(module, *rank).to_bits()).or_default() += 1;
        }
        let most =
            counts.into_iter().max_by_key(|(_, count)| *count).map_or(self.alpha, |(bits, _)| f64::from_bits(bits));
        #[expect(clippy::cast_possible_truncation, reason = "the file keeps an f32")]
        let most = most as f32;
        most
    }
}

/// The value of the first expression that matches the end of a module's name, as PEFT's `get_pattern_key` finds it.
fn matching(patterns: &[(Regex, f64)], module: &str) -> Option<f64> {
    patterns.iter().find(|(pattern, _)| pattern.is_match(module)).map(|(_, value)| *value)
}

struct Reader<'a> {
    file: &'a Path,
    text: &'a str,
    map: &'a Map<String, Value>,
    problems: &'a mut Problems,
}

impl Reader<'_> {
    fn config(mut self) -> Config {
        if self.map.get("peft_type").and_then(Value::as_str) != Some("LORA") {
            self.refuse("peft_type", "is not LORA", "only LoRA adapters can become GGUF; train one of those");
        }
        if let Some(bias) = self.map.get("bias").and_then(Value::as_str).filter(|bias| *bias != "none") {
            self.refuse("bias", &format!("is `{bias}`: biases of the base were trained too"), TRAIN_ANEW);
        }
        for (key, why) in REFUSED {
            if self.map.get(key).is_some_and(says_something) {
                self.refuse(key, why, TRAIN_ANEW);
            }
        }
        self.init();
        let rank = self.number("r", 1.0);
        let alpha = self.number("lora_alpha", f64::MIN_POSITIVE);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number in range")]
        let rank = rank as usize;
        Config {
            rank,
            alpha,
            stabilised: self.map.get("use_rslora").and_then(Value::as_bool).unwrap_or(false),
            ranks: self.patterns("rank_pattern", true),
            alphas: self.patterns("alpha_pattern", false),
            base: self.map.get("base_model_name_or_path").and_then(Value::as_str).map(str::to_owned),
            notes: self.unknown(),
        }
    }

    /// Some ways to begin training move a part of the base's weights into the adapter.
    fn init(&mut self) {
        let init = self.map.get("init_lora_weights").and_then(Value::as_str).unwrap_or_default().to_lowercase();
        if CHANGED_BASE.iter().any(|name| init.starts_with(name)) {
            let why = format!("is `{init}`, which changed the base model itself before training");
            let help = "save it as a plain LoRA first: \
                 save_pretrained(DIR, path_initial_model_for_weight_conversion=…)";
            self.refuse("init_lora_weights", &why, help);
        }
    }

    fn number(&mut self, key: &str, least: f64) -> f64 {
        let number = self.map.get(key).and_then(Value::as_f64);
        let whole = key != "r" || number.is_some_and(|n| n.fract() == 0.0);
        if let Some(number) = number.filter(|n| (least..=1e6).contains(n) && whole) {
            return number;
        }
        let what = if key == "r" { "is not a whole number above 0" } else { "is not a number above 0" };
        self.refuse(key, what, "save the adapter again: model.save_pretrained(DIR)");
        1.0
    }

    fn patterns(&mut self, key: &str, whole: bool) -> Vec<(Regex, f64)> {
        let Some(Value::Object(patterns)) = self.map.get(key) else { return Vec::new() };
        let mut read = Vec::new();
        for (pattern, value) in patterns {
            let number = value.as_f64().filter(|n| *n > 0.0 && *n <= 1e6 && (!whole || n.fract() == 0.0));
            match (Regex::new(&format!(r"^(?:.*\.)?(?:{pattern})$")), number) {
                (Ok(regex), Some(number)) => read.push((regex, number)),
                _ => self.refuse(
                    key,
                    &format!("has the entry `{pattern}: {value}`, which is not understood"),
                    TRAIN_ANEW,
                ),
            }
        }
        read
    }

    /// Newer versions of PEFT have newer settings. One that is off, or empty, changes nothing.
    fn unknown(&self) -> Vec<String> {
        let known = |key: &str| HARMLESS.contains(&key) || REFUSED.iter().any(|(refused, _)| *refused == key);
        let entries = self.map.iter().filter(|(key, value)| !known(key) && says_something(value));
        entries.map(|(key, value)| format!("`{key}: {value}` is not known here and was passed over")).collect()
    }

    fn refuse(&mut self, key: &str, why: &str, help: &'static str) {
        let quoted = format!("\"{key}\"");
        let place = match self.text.find(&quoted) {
            Some(at) => {
                let before = &self.text[..at];
                let line = before.rsplit('\n').next().unwrap_or_default();
                Place::new(self.file, before.matches('\n').count() + 1, line.chars().count() + 1)
            }
            None => super::place(self.file),
        };
        let problem = PeftProblem::Setting { key: key.to_owned(), why: why.to_owned(), help };
        self.problems.push(PeftError { place, problem });
    }
}

/// Anything but null, false, 0 and what is empty.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) => true,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<Config>, String) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("adapter_config.json");
        std::fs::write(&file, text).unwrap();
        let mut problems = Problems::new();
        let config = Config::read(&file, &mut problems);
        (config, problems.to_string().replace(&folder.path().display().to_string(), "DIR"))
    }

    #[test]
    fn rank_and_alpha_may_differ_between_modules() {
        let (config, problems) = read(
            r#"{"peft_type": "LORA", "r": 8, "lora_alpha": 16, "bias": "none",
                "rank_pattern": {"q_proj": 4, "^model.layers.1.mlp.up_proj": 2}, "alpha_pattern": {"layers.0.self_attn.q_proj": 32}}"#,
        );
        assert_eq!(problems, "");
        let config = config.unwrap();
        let (q0, q1, up1, v) = (
            "model.layers.0.self_attn.q_proj",
            "model.layers.1.self_attn.q_proj",
            "model.layers.1.mlp.up_proj",
            "model.layers.1.self_attn.v_proj",
        );
        assert_eq!([q0, q1, up1, v].map(|module| config.rank(module)), [4, 4, 2, 8]);
        let alphas = [q0, q1, v].map(|module| config.alpha(module, 4).to_string());
        assert_eq!(alphas, ["32", "16", "16"]);
        assert_eq!(config.alpha_of_most(&[(q0, 4), (q1, 4), (v, 8)]).to_bits(), 16.0_f32.to_bits());
    }

    #[test]
    fn rank_stabilised_scaling_becomes_another_alpha() {
        let (config, _) = read(r#"{"peft_type": "LORA", "r": 16, "lora_alpha": 8, "use_rslora": true}"#);
        // 8 / √16 = 32 / 16
        assert!((config.unwrap().alpha("model.layers.0.mlp.up_proj", 16) - 32.0).abs() < 1e-12);
    }

    #[test]
    fn everything_that_a_gguf_cannot_express_is_named_at_once() {
        let (_, problems) = read(
            r#"{
  "peft_type": "LORA",
  "r": 0,
  "lora_alpha": 16,
  "bias": "lora_only",
  "use_dora": true,
  "modules_to_save": ["lm_head"],
  "init_lora_weights": "pissa_niter_4",
  "rank_pattern": {"(": 4}
}"#,
        );
        insta::assert_snapshot!(problems, @r"
        error: `bias` is `lora_only`: biases of the base were trained too
          --> DIR/adapter_config.json:5:3
          help: an adapter GGUF cannot express it; train the adapter without it, or merge it in PEFT (merge_and_unload) and convert the whole model

        error: `use_dora` scales each matrix by learned lengths (DoRA)
          --> DIR/adapter_config.json:6:3
          help: an adapter GGUF cannot express it; train the adapter without it, or merge it in PEFT (merge_and_unload) and convert the whole model

        error: `modules_to_save` names modules that were trained whole
          --> DIR/adapter_config.json:7:3
          help: an adapter GGUF cannot express it; train the adapter without it, or merge it in PEFT (merge_and_unload) and convert the whole model

        error: `init_lora_weights` is `pissa_niter_4`, which changed the base model itself before training
          --> DIR/adapter_config.json:8:3
          help: save it as a plain LoRA first: save_pretrained(DIR, path_initial_model_for_weight_conversion=…)

        error: `r` is not a whole number above 0
          --> DIR/adapter_config.json:3:3
          help: save the adapter again: model.save_pretrained(DIR)

        error: `rank_pattern` has the entry `(: 4`, which is not understood
          --> DIR/adapter_config.json:9:3
          help: an adapter GGUF cannot express it; train the adapter without it, or merge it in PEFT (merge_and_unload) and convert the whole model
        ");
    }

    #[test]
    fn settings_that_are_off_are_no_matter_and_unknown_ones_are_noted() {
        let (config, problems) = read(
            r#"{"peft_type": "LORA", "r": 8, "lora_alpha": 16, "use_dora": false, "modules_to_save": null,
                "rank_pattern": {}, "brand_new": null, "brand_newer": {"a": 1}}"#,
        );
        assert_eq!(problems, "");
        assert_eq!(config.unwrap().notes, [r#"`brand_newer: {"a":1}` is not known here and was passed over"#]);
    }

    #[test]
    fn what_is_no_configuration_is_refused() {
        let first = |text: &str| read(text).1.lines().next().unwrap_or_default().to_owned();
        insta::assert_snapshot!(first("[]"), @"error: this is not PEFT's configuration: it is no JSON object");
        insta::assert_snapshot!(first("{"), @"error: this is not PEFT's configuration: EOF while parsing an object at line 1 column 1");
        insta::assert_snapshot!(first(r#"{"peft_type": "IA3", "r": 8, "lora_alpha": 16}"#), @"error: `peft_type` is not LORA");
    }
}
