//! What a suite wants of a model that not every engine can give: said before anything is asked, by scorer.

use super::error::RunError;
use crate::engine::{Engine, EngineError, Offer};
use crate::error::{Explain, Place};
use crate::suite::{PromptFile, ScorerKind, ScorerSpec, Select, Suite, Variant};

/// What is wanted, by whom.
struct Wanted<'a> {
    offer: Offer,
    /// Said before the engine's own words.
    by: String,
    place: &'a Place,
    warning: bool,
}

/// What a variant wants of its engine, and cannot have. `prefilled`: one of its chats ends in the answer's first words.
pub(super) fn missing(suite: &Suite, variant: &Variant, engine: &dyn Engine, prefilled: bool) -> Vec<RunError> {
    let refused = |wanted: Wanted| {
        let error = engine.offers(wanted.offer).err()?;
        let about = format!("variant `{}`", variant.name);
        Some(unsuited(&error, (&wanted.by, about), wanted.place, wanted.warning))
    };
    wanted(suite, variant, prefilled).into_iter().filter_map(refused).collect()
}

/// Why a judge's model cannot judge.
pub(super) fn judging(spec: &ScorerSpec, engine: &dyn Engine, is_chat: bool) -> Option<RunError> {
    let offer = if is_chat { Offer::LikelihoodInChat } else { Offer::Likelihood };
    let error = engine.offers(offer).err()?;
    let by = format!("scorer `{}` judges by likelihood: ", spec.name);
    Some(unsuited(&error, (&by, "its judge".to_owned()), &spec.place, false))
}

fn unsuited(error: &EngineError, (by, about): (&str, String), place: &Place, warning: bool) -> RunError {
    let (reason, help) = (format!("{by}{error}"), error.help().unwrap_or_default());
    RunError::Unsuited { reason, help, place: place.clone(), about, warning }
}

fn wanted<'a>(suite: &'a Suite, variant: &'a Variant, prefilled: bool) -> Vec<Wanted<'a>> {
    let stages = [(&variant.prompt, &variant.sampling)];
    let then = variant.then.iter().map(|then| (&then.prompt, &then.sampling));
    let stages: Vec<_> = stages.into_iter().chain(then).collect();
    let last_is_chat = stages.last().is_some_and(|(prompt, _)| prompt.is_chat());
    let likelihood = match (suite.text.is_some(), last_is_chat) {
        (true, _) => Offer::LongText,
        (false, true) => Offer::LikelihoodInChat,
        (false, false) => Offer::Likelihood,
    };
    let scorers = suite.scorers.iter().filter(|scorer| weighs(&scorer.kind)).map(|scorer| Wanted {
        offer: likelihood,
        by: format!("scorer `{}` judges by likelihood: ", scorer.name),
        place: &scorer.place,
        warning: false,
    });
    let of_variant = |offer, warning| {
        let by = if warning { "`template_vars` reach no chat template: " } else { "" };
        Wanted { offer, by: by.to_owned(), place: &variant.place, warning }
    };
    let similar = variant.examples.as_ref().is_some_and(|examples| examples.select == Select::Similar);
    let schema = stages.iter().any(|(prompt, sampling)| sampling.json_schema.is_some() && !prompt.is_chat());
    let vars = !suite.template_vars.is_empty() && stages.iter().any(|(prompt, _)| PromptFile::is_chat(prompt));
    let others = [
        (prefilled, Offer::Prefill, false),
        (similar, Offer::States, false),
        (schema, Offer::SchemaBehindText, false),
        (vars, Offer::TemplateVars, true),
    ];
    let others =
        others.into_iter().filter(|(wanted, ..)| *wanted).map(|(_, offer, warning)| of_variant(offer, warning));
    scorers.chain(others).collect()
}

/// Whether a scorer needs the variant's own model to say how likely texts are.
fn weighs(kind: &ScorerKind) -> bool {
    let by_head = matches!(kind, ScorerKind::Label(label) if label.classifier.is_some());
    kind.by_likelihood() && !by_head
}
