//! What a resolved recipe must fulfil beyond its shape: names, ranges, files, the suite.

use super::load::Loader;
use super::{By, HeldOut, Kind, Length, Recipe, TooLong};
use crate::error::Level;
use crate::model::Trained;
use crate::suite::{self, ModelRef, ScorerKind, ScorerSpec};
use std::path::Path;

/// The shortest row that a task of any kind fits into.
const SHORTEST: usize = 8;

impl Loader<'_> {
    /// Reports everything that does not fit. `kind` is `None` where it is not known; `context` is the model's, in tokens.
    pub(super) fn check(&mut self, recipe: &Recipe, kind: Option<Kind>, context: Option<usize>) {
        self.name(&recipe.name);
        self.rows(recipe, context);
        self.lengths(recipe);
        self.rates(recipe);
        self.trained(&recipe.train, kind);
        if kind == Some(Kind::Pretrain) && recipe.train != Trained::Full {
            self.fail("train", "a model from nothing is trained as a whole", "leave `train` out");
        }
        self.evaluation(recipe);
        self.classifier(recipe, kind);
        self.judged(recipe);
        if let Some(suite) = &recipe.suite {
            self.suite(suite, recipe);
        }
        if let Some(output) = &recipe.output {
            self.output(output, &recipe.model);
        }
    }

    /// Reports a number that is not within its range; `range` says what it may be.
    pub(super) fn within(&mut self, path: &str, value: impl std::fmt::Display, good: bool, range: &str) {
        if !good {
            let name = path.rsplit('.').next().unwrap_or(path);
            self.fail(path, &format!("`{name}` is {value}"), &format!("it is {range}"));
        }
    }

    fn name(&mut self, name: &str) {
        let plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || !name.chars().all(plain) || name.starts_with('.') {
            let what = format!("`{name}` cannot name a recipe: its runs are folders of that name");
            self.fail("recipe", &what, "use letters, digits, `-`, `_` and `.`");
        }
    }

    fn rows(&mut self, recipe: &Recipe, context: Option<usize>) {
        let (sequence, batch, part) = (recipe.sequence, recipe.batch, recipe.micro_batch);
        match context.filter(|context| *context < sequence) {
            Some(context) => {
                let what = format!("`sequence` is {sequence}, and the model was made for {context} tokens");
                self.fail("sequence", &what, &format!("set it to {context} or less"));
            }
            None => self.within("sequence", sequence, sequence >= SHORTEST, &format!("{SHORTEST} or more")),
        }
        self.within("batch", batch, batch >= 1, "1 or more");
        if batch >= 1 && (part == 0 || !batch.is_multiple_of(part)) {
            let what = format!("`micro_batch` is {part}, and `batch` is {batch}");
            let fits: Vec<String> =
                (1..=batch.min(1024)).filter(|n| batch.is_multiple_of(*n)).map(|n| n.to_string()).collect();
            self.fail("micro_batch", &what, &format!("a batch is made of whole parts: {}", fits.join(", ")));
        }
    }

    fn lengths(&mut self, recipe: &Recipe) {
        match recipe.length {
            Length::Steps(steps) => {
                let path = if self.overrides.steps.is_some() { "--steps" } else { "steps" };
                self.within(path, steps, steps >= 1, "1 or more");
            }
            Length::Epochs(epochs) => {
                self.within("epochs", epochs, epochs.is_finite() && epochs > 0.0, "a number above 0");
            }
        }
        self.within("checkpoint.every", recipe.checkpoint.every, recipe.checkpoint.every >= 1, "1 or more");
        self.within("checkpoint.keep", recipe.checkpoint.keep, recipe.checkpoint.keep >= 1, "1 or more");
    }

    #[allow(clippy::cast_possible_truncation, reason = "the optimiser counts in f32")]
    fn rates(&mut self, recipe: &Recipe) {
        let (schedule, optimiser) = (&recipe.schedule, &recipe.optimiser);
        let lr = if self.overrides.lr.is_some() { "--lr" } else { "schedule.lr" };
        let share = 0.0..=1.0;
        self.within(lr, schedule.lr, schedule.lr > 0.0 && schedule.lr <= 1.0, "a number above 0 and at most 1");
        self.within("schedule.warmup", schedule.warmup, (0.0..1.0).contains(&schedule.warmup), "a share, 0 to below 1");
        self.within("schedule.final", schedule.r#final, share.contains(&schedule.r#final), "a share, 0 to 1");
        self.within("schedule.warmdown", schedule.warmdown, share.contains(&schedule.warmdown), "a share, 0 to 1");
        if schedule.warmup + schedule.warmdown > 1.0 + 1e-9 {
            let what = "`warmup` and `warmdown` together are more than the whole";
            self.fail("schedule.warmdown", what, "they are shares of all steps: make one smaller");
        }
        for beta in [optimiser.betas.0, optimiser.betas.1] {
            self.within(
                "optimiser.betas",
                beta,
                (0.0..1.0).contains(&(beta as f32)) && beta >= 0.0,
                "two numbers, each 0 to below 1",
            );
        }
        let above = |value: f64| (value as f32).is_finite() && value as f32 > 0.0;
        let decay = optimiser.weight_decay;
        self.within("optimiser.eps", optimiser.eps, above(optimiser.eps), "a number above 0");
        self.within("optimiser.clip", optimiser.clip, above(optimiser.clip), "a number above 0");
        self.within("optimiser.weight_decay", decay, (decay as f32).is_finite() && decay >= 0.0, "0 or more");
    }

    fn trained(&mut self, train: &Trained, kind: Option<Kind>) {
        let Trained::Lora(lora) = train else { return };
        if kind.is_some_and(Kind::practises) && lora.dropout > 0.0 {
            let help = "leave it out: what is learned from would not be the policy that drew";
            self.fail("train.lora.dropout", "a policy that practises has no dropout", help);
        }
        self.within("train.lora.rank", lora.rank, (1..=4096).contains(&lora.rank), "1 to 4096");
        self.within("train.lora.alpha", lora.alpha, lora.alpha.is_finite() && lora.alpha > 0.0, "a number above 0");
        self.within("train.lora.dropout", lora.dropout, (0.0..1.0).contains(&lora.dropout), "a share, 0 to below 1");
    }

    fn evaluation(&mut self, recipe: &Recipe) {
        let evaluate = &recipe.evaluate;
        self.within("evaluate.max_tokens", evaluate.max_tokens, evaluate.max_tokens >= 1, "1 or more");
        if let Some(patience) = evaluate.patience {
            self.within("evaluate.patience", patience, patience >= 1, "1 or more evaluations");
            if evaluate.every == 0 {
                let what = "`patience` counts evaluations, and there are none";
                self.fail("evaluate.patience", what, "set `evaluate: {every: 50}`, or leave `patience` out");
            }
        }
        let HeldOut::Share(share) = recipe.held_out else { return };
        self.within("held_out.share", share, (0.0..1.0).contains(&share), "a share, 0 to below 1");
        if share == 0.0 && evaluate.every > 0 {
            let help = "hold out a share (`0.05`), or do not evaluate (`evaluate: {every: 0}`)";
            self.fail("held_out.share", "nothing is held out, and there is nothing to evaluate on", help);
        }
    }

    fn classifier(&mut self, recipe: &Recipe, kind: Option<Kind>) {
        match kind {
            Some(kind) if kind != Kind::Classify && !recipe.labels.is_empty() => {
                self.fail("labels", "`labels` belong to `kind: classify`", "leave them out, or write `kind: classify`");
            }
            Some(Kind::Classify) if recipe.labels.len() == 1 && !self.refused("labels") => {
                self.fail("labels", "there is one label, and nothing to tell apart", "write at least two");
            }
            Some(kind) if kind.has_head() && !recipe.evaluate.prompts.is_empty() => {
                let what = "a head says nothing, so `prompts` cannot be asked";
                self.fail("evaluate.prompts", what, "leave them out");
            }
            _ => {}
        }
    }

    /// What belongs to judgements alone.
    fn judged(&mut self, recipe: &Recipe) {
        let Some(judging) = &recipe.judging else { return };
        match judging.by {
            By::Centring(c) => self.within("centring", c, c.is_finite() && c >= 0.0, "0 or more"),
            By::Beta(beta) => self.within("beta", beta, beta.is_finite() && beta > 0.0, "more than 0"),
        }
        let language = judging.language;
        self.within("language", language, language.is_finite() && language >= 0.0, "0 or more");
        if matches!(recipe.too_long, TooLong::Cut | TooLong::Split) && !self.refused("too_long") {
            let help = "write `too_long: drop` or `too_long: refuse`, and a larger `sequence`";
            self.fail("too_long", "part of an answer cannot be judged for all of it", help);
        }
    }

    /// The suite that is run at the end, on the model that is trained. Its own errors have their own places.
    fn suite(&mut self, path: &Path, recipe: &Recipe) {
        let nothing = recipe.from_nothing.is_some();
        if !self.must_be_file("suite", "the suite", path) || recipe.model.as_os_str().is_empty() && !nothing {
            return;
        }
        let model = (!nothing).then(|| ModelRef::Gguf(recipe.model.clone()));
        let output = recipe.output.clone().map(|path| suite::Output { path, trained: None });
        let located = recipe.located.clone();
        let asked = suite::Overrides { model, output, located, ..suite::Overrides::default() };
        let (loaded, mut found) = suite::load(path, &asked);
        found.retain(|problem| problem.level() == Level::Error);
        let sound = found.is_empty();
        self.problems.append(found);
        let classifies =
            |scorer: &ScorerSpec| matches!(&scorer.kind, ScorerKind::Label(label) if label.classifier.is_some());
        let asked = loaded.is_some_and(|suite| suite.scorers.iter().any(classifies));
        if recipe.kind == Kind::Classify && sound && !asked {
            let help = match &recipe.output {
                Some(output) => format!("give it the scorer `label: {{classifier: {}}}`", output.display()),
                None => "set `output`, and give the suite the scorer `label: {classifier: OUTPUT}`".to_owned(),
            };
            self.fail("suite", "the suite asks no classifier, so it would tell nothing of what is trained", &help);
        }
    }

    fn output(&mut self, path: &Path, model: &Path) {
        if path.extension().is_none_or(|ending| ending != "gguf") {
            self.fail("output", "the trained file is a GGUF", "let `output` end in .gguf");
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            let what = format!("there is no folder `{}` for the output", folder.display());
            self.fail("output", &what, "make it, or name another; paths are relative to the recipe's file");
        }
        if path.exists() && matches!((path.canonicalize(), model.canonicalize()), (Ok(a), Ok(b)) if a == b) {
            self.fail("output", "the output would take the place of the base model", "name another file");
        }
    }
}
