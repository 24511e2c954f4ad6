//! The two readings of a batch: the log-probability of each target, and the outputs of a head where it is read; and the way
//! back from what a loss says of them.

use super::builder::{Builder, Ends, Targets};
use super::error::ModelError;
use crate::ggml::{Operand, Sum, Tensor};
use crate::gguf::TensorType;

/// Most bytes of logits computed at once. A vocabulary is wide: the logits of a whole batch would be the largest thing in
/// memory.
const LOGITS: usize = 64 << 20;
/// Chunks of targets are multiples of this, for ggml's fast products.
const STEP: usize = 32;

/// What is needed to go back from the log-probabilities.
#[derive(Debug)]
pub(super) struct TargetState {
    /// The states at the targets' places, before the output norm, [width, targets].
    picked: Tensor,
    /// After it, as products read them.
    normed: Tensor,
    /// The output matrix, as products read it.
    matrix: Operand,
    /// The logits, if they were few enough to be kept.
    logits: Option<Tensor>,
}

/// How many targets have their logits computed at once, for a vocabulary of this size.
pub(super) fn at_once(vocabulary: usize) -> usize {
    (LOGITS / (4 * vocabulary) / STEP * STEP).max(STEP)
}

impl Builder<'_> {
    /// Sets the log-probability of each target, from the last layer's states, [width, tokens].
    pub(super) fn logprobs(&self, x: &Tensor, targets: &Targets) -> Result<TargetState, ModelError> {
        let arena = self.arena();
        let picked = arena.get_rows(x, &targets.places)?;
        let norm = self.weights.get("output_norm.weight")?;
        let normed = arena.rms_norm(&picked, &norm.value, self.config.eps, self.by.kind())?;
        let matrix = Operand::new(self.weights.get(self.output())?.value.clone());
        let mut state = TargetState { picked, normed, matrix, logits: None };
        for chunk in self.chunks(targets) {
            let logits = self.logits(&state, chunk)?;
            let out = arena.part(&targets.logprobs, 2 * chunk.0, &[2, chunk.1])?;
            let tokens = arena.part(&targets.tokens, chunk.0, &[chunk.1])?;
            self.need(&arena.logprob_into(&out, &logits, &tokens)?);
            state.logits = (chunk.1 == targets.count).then_some(logits);
        }
        Ok(state)
    }

    /// (first, count) of the targets computed at once.
    fn chunks(&self, targets: &Targets) -> Vec<(usize, usize)> {
        let most = at_once(self.config.vocabulary);
        (0..targets.count).step_by(most).map(|first| (first, most.min(targets.count - first))).collect()
    }

    fn logits(&self, state: &TargetState, (first, count): (usize, usize)) -> Result<Tensor, ModelError> {
        let (arena, width) = (self.arena(), self.config.width);
        let states = Operand::new(arena.part(&state.normed, first * width, &[width, count])?);
        self.product((&state.matrix, Sum::Rows), (&states, Sum::Rows))
    }

    /// The output matrix: the embedding, in models that use it for both.
    fn output(&self) -> &'static str {
        if self.weights.find("output.weight").is_some() { "output.weight" } else { "token_embd.weight" }
    }

    /// The gradient of the last layer's states, [width, tokens], from the coefficients of the log-probabilities.
    pub(super) fn logprobs_back(
        &self,
        state: &TargetState,
        targets: &Targets,
        coefficients: &Tensor,
    ) -> Result<Option<Tensor>, ModelError> {
        let (arena, width) = (self.arena(), self.config.width);
        let weight = self.weights.get(self.output())?;
        let mut sum: Option<Tensor> = None;
        for chunk @ (first, count) in self.chunks(targets) {
            let logits = match &state.logits {
                Some(logits) => logits.clone(),
                None => self.logits(state, chunk)?,
            };
            let tokens = arena.part(&targets.tokens, first, &[count])?;
            let logprobs = arena.part(&targets.logprobs, 2 * first, &[2, count])?;
            let coefficients = arena.part(coefficients, first, &[count])?;
            let d_logits = arena.logprob_back((&logits, &tokens), &logprobs, &coefficients, self.by.kind())?;
            let d_logits = Operand::new(d_logits);
            if let Some(gradient) = &weight.gradient {
                let normed = Operand::new(arena.part(&state.normed, first * width, &[width, count])?);
                self.add_to(gradient, &self.product((&normed, Sum::Columns), (&d_logits, Sum::Columns))?)?;
            }
            let d_normed = self.product((&state.matrix, Sum::Columns), (&d_logits, Sum::Rows))?;
            let picked = arena.part(&state.picked, first * width, &[width, count])?;
            let d_picked = self.norm_back("output_norm", &picked, &d_normed, None)?;
            let places = arena.part(&targets.places, first, &[count])?;
            let spread = match &sum {
                None => arena.spread_rows(&d_picked, &places, self.tokens())?,
                Some(sum) => arena.get_rows_back(sum, &d_picked, &places)?,
            };
            self.need(&spread);
            sum = Some(spread);
        }
        Ok(sum)
    }

    /// Sets the head's outputs where it is read; gives the states there before the output norm, and
    /// after it, [width, ends].
    pub(super) fn outputs(&self, x: &Tensor, ends: &Ends) -> Result<(Tensor, Tensor), ModelError> {
        let arena = self.arena();
        let picked = arena.get_rows(x, &ends.places)?;
        let norm = self.weights.get("output_norm.weight")?;
        let normed = arena.rms_norm(&picked, &norm.value, self.config.eps, TensorType::F32)?;
        let [weight, bias] = self.head_weights()?;
        let outputs = arena.add(&arena.mul_mat(&weight.value, &normed)?, &bias.value)?;
        self.need(&arena.copy_into(&ends.outputs, &outputs)?);
        Ok((picked, normed))
    }

    fn head_weights(&self) -> Result<&[super::weights::Learned; 2], ModelError> {
        let what = || ModelError::Setting { what: "there is no head".into() };
        self.weights.head.as_ref().ok_or_else(what)
    }

    /// The gradient of the last layer's states, [width, tokens], from the coefficients of the outputs.
    pub(super) fn outputs_back(
        &self,
        (picked, normed): &(Tensor, Tensor),
        ends: &Ends,
        coefficients: &Tensor,
    ) -> Result<Tensor, ModelError> {
        let arena = self.arena();
        let dy = arena.reshape(coefficients, &[ends.width, ends.count])?;
        let [weight, bias] = self.head_weights()?;
        let (x, turned) = (arena.transposed(normed, TensorType::F32)?, arena.transposed(&dy, TensorType::F32)?);
        self.add_to(&weight.gradient, &arena.mul_mat(&x, &turned)?)?;
        self.need(&arena.bias_back(&bias.gradient, &dy)?);
        let d_normed = arena.mul_mat(&arena.transposed(&weight.value, TensorType::F32)?, &dy)?;
        let d_picked = self.norm_back("output_norm", picked, &d_normed, None)?;
        Ok(arena.spread_rows(&d_picked, &ends.places, self.tokens())?)
    }
}
