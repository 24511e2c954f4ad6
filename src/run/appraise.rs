//! A reward model asked directly: answers to prompts, without a suite.

use super::asking::Asking;
use super::base::need_of_head;
use super::error::RunError;
use super::models::{RunSettings, identity, open};
use super::rewards::judged_tokens;
use crate::engine::cache::Identity;
use crate::engine::{Answer, Ask, Engine, Render, Request, RewardModel};
use crate::error::{Place, Problems};
use crate::prompt::{Asked, ChatSettings, ChatTemplate, Controls};
use crate::score::{ScoreError, ScoreProblem};
use crate::suite::{self, KvType, ModelRef, ScorerKind, ScorerSpec, Vars};
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// A reward model on its base, ready to judge.
pub struct Appraiser {
    model: RewardModel,
    engine: Box<dyn Engine>,
    identity: Identity,
    controls: Controls,
    chat: Option<ChatTemplate>,
}

impl std::fmt::Debug for Appraiser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Appraiser").field("model", &self.engine.facts().path).finish_non_exhaustive()
    }
}

impl Appraiser {
    /// Opens a reward model and finds its base: the one given, else one of its hash beside it, in `models/` or among those kept.
    ///
    /// # Errors
    /// A file that cannot be read or is no reward model; a base that is not found, or another.
    pub fn open(file: &Path, base: Option<&Path>, settings: &RunSettings) -> Result<Self, Problems> {
        let fault = |fault| ScoreProblem {
            error: ScoreError::RewardModel { file: file.to_path_buf(), fault },
            owner: "--reward".to_owned(),
            place: Place::file(file),
        };
        let model = RewardModel::open(file)?.map_err(fault)?;
        let base = base.map(|path| ModelRef::Gguf(path.to_path_buf()));
        let spec = suite::Reward { file: file.to_path_buf(), base, prompt: None, context: None };
        let scorer = ScorerSpec {
            name: "reward".to_owned(),
            not: false,
            weight: 1.0,
            group: None,
            answer: None,
            kind: ScorerKind::Reward(spec),
            place: Place::file(file),
        };
        let need = match need_of_head(&scorer, &[], settings) {
            Some(Ok(need)) => need,
            Some(Err(error)) => return Err((*error).into()),
            None => return Err(fault(crate::engine::HeadFault::NoRewardHead).into()),
        };
        let (engine, record) = open(&need, (KvType::default(), &Vars::new()), settings)?;
        let (facts, width) = (engine.facts(), engine.facts().width);
        if width != model.width() {
            let (classifier, head, model) = (file.to_path_buf(), model.width(), facts.path.clone());
            return Err(RunError::HeadWidth { classifier, head, model, width, place: Place::file(file) }.into());
        }
        let of = |text: &Option<String>| text.clone().unwrap_or_default();
        let chat = ChatSettings { bos: of(&facts.bos), eos: of(&facts.eos), ..ChatSettings::default() };
        let template = facts.chat_template.as_ref().filter(|_| model.render == Render::Chat);
        let chat = template.map(|source| ChatTemplate::compile(source, &chat)).transpose()?;
        let controls = Controls::new(&facts.controls)?;
        let identity = identity(&record, &settings.llama_cpp);
        Ok(Self { model, engine, identity, controls, chat })
    }

    /// By what the answers were judged that it learned from; empty where nobody said.
    #[must_use]
    pub fn axes(&self) -> &[String] {
        &self.model.axes
    }

    /// The reward of each answer, or why it has none: as what was not judged before `stop`.
    ///
    /// # Errors
    /// When the model cannot be loaded or decoding fails.
    pub fn judge(
        &self,
        items: &[(Asked, String)],
        settings: &RunSettings,
        stop: &AtomicBool,
    ) -> Result<Vec<Result<f64, String>>, Problems> {
        let context = self.engine.context();
        let tokens = |(asked, answer): &(Asked, String)| {
            let tokens = judged_tokens(self.engine.as_ref(), (asked, answer), &self.controls, self.chat.as_ref());
            match tokens {
                Ok(tokens) if (1..=context).contains(&tokens.len()) => Ok(tokens),
                Ok(tokens) => Err(format!("{} tokens of prompt and answer > {context} context tokens", tokens.len())),
                Err(error) => Err(error.to_string()),
            }
        };
        let mut found = vec![Err("it was not judged".to_owned()); items.len()];
        let (mut places, mut requests) = (Vec::new(), Vec::new());
        for (place, item) in items.iter().enumerate() {
            match tokens(item) {
                Ok(tokens) => {
                    places.push(place);
                    requests.push((Request { id: 0, tokens, ask: Ask::State }, 0));
                }
                Err(reason) => found[place] = Err(reason),
            }
        }
        let asking = Asking::new(settings.memory.as_deref().filter(|_| settings.use_cache), stop);
        asking.answer(self.engine.as_ref(), &self.identity, requests, &mut |id, answer, _| {
            if let (Some(place), Answer::State(state)) = (places.get(id), answer) {
                found[*place] = Ok(self.model.reward(&state));
            }
        })?;
        Ok(found)
    }
}
