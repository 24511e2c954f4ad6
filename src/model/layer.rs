//! One layer: attention and the feed-forward network, each behind a norm and beside a residual; forward, and back.

use super::builder::Builder;
use super::error::ModelError;
use super::linear::{AdapterState, Output};
use crate::ggml::{Operand, Tensor};
use crate::gguf::TensorType;

/// What is needed to go back through a layer; F32 unless said otherwise.
#[derive(Debug)]
pub(super) struct LayerState {
    x: Tensor,
    /// Normed `x`, as products read it.
    normed: Operand,
    query: Head,
    key: Head,
    value: Tensor,
    value_adapter: Option<AdapterState>,
    /// What attention gives, as products read it.
    mixed: Operand,
    output_adapter: Option<AdapterState>,
    /// Between attention and the feed-forward network.
    middle: Tensor,
    middle_normed: Operand,
    gate: Output,
    up: Output,
    hidden: Operand,
    down_adapter: Option<AdapterState>,
}

/// Queries, or keys.
#[derive(Debug)]
struct Head {
    /// Before their own norm, [head, heads, tokens].
    raw: Tensor,
    /// Normed and turned.
    turned: Tensor,
    adapter: Option<AdapterState>,
}

impl Builder<'_> {
    /// `x` is [width, tokens]; so is the result.
    pub(super) fn layer(&self, layer: usize, x: &Tensor) -> Result<(Tensor, LayerState), ModelError> {
        let name = |part: &str| format!("blk.{layer}.{part}");
        let (arena, config) = (self.arena(), self.config);
        let normed = self.norm(&name("attn_norm"), x)?;
        let query = self.head(layer, "q", config.heads, &normed)?;
        let key = self.head(layer, "k", config.kv_heads, &normed)?;
        let values = self.linear(&name("attn_v"), &normed)?;
        let value = arena.reshape(&values.value, &[config.head, config.kv_heads, self.tokens()])?;
        let (qkv, seen) = ([&query.turned, &key.turned, &value], &self.inputs.seen);
        let mixed = Operand::new(arena.attention(qkv, seen, self.settings.shape.len, self.by.kind())?);
        let output = self.linear(&name("attn_output"), &mixed)?;
        let middle = arena.add(x, &output.value)?;

        let middle_normed = self.norm(&name("ffn_norm"), &middle)?;
        let gate = self.linear(&name("ffn_gate"), &middle_normed)?;
        let up = self.linear(&name("ffn_up"), &middle_normed)?;
        let hidden = Operand::new(arena.swiglu(&gate.value, &up.value, self.by.kind())?);
        let down = self.linear(&name("ffn_down"), &hidden)?;
        let y = arena.add(&middle, &down.value)?;
        let state = LayerState {
            x: x.clone(),
            normed,
            query,
            key,
            value,
            value_adapter: values.adapter,
            mixed,
            output_adapter: output.adapter,
            middle,
            middle_normed,
            gate,
            up,
            hidden,
            down_adapter: down.adapter,
        };
        Ok((y, state))
    }

    fn norm(&self, name: &str, x: &Tensor) -> Result<Operand, ModelError> {
        let weight = self.weights.get(&format!("{name}.weight"))?;
        Ok(Operand::new(self.arena().rms_norm(x, &weight.value, self.config.eps, self.by.kind())?))
    }

    fn head(&self, layer: usize, part: &str, heads: usize, x: &Operand) -> Result<Head, ModelError> {
        let (arena, config) = (self.arena(), self.config);
        let product = self.linear(&format!("blk.{layer}.attn_{part}"), x)?;
        let raw = arena.reshape(&product.value, &[config.head, heads, self.tokens()])?;
        let normed = match self.weights.find(&format!("blk.{layer}.attn_{part}_norm.weight")) {
            Some(norm) => arena.rms_norm(&raw, &norm.value, config.eps, TensorType::F32)?,
            None => raw.clone(),
        };
        let turned = if config.turns(layer) { self.turn(&normed, false)? } else { normed };
        Ok(Head { raw, turned, adapter: product.adapter })
    }

    fn turn(&self, x: &Tensor, back: bool) -> Result<Tensor, ModelError> {
        let factors = self.weights.find(super::weights::ROPE_FACTORS).map(|weight| &weight.value);
        Ok(self.arena().rope(x, &self.inputs.positions, factors, (&self.config.rope, back))?)
    }

    /// Adds to the gradients of a layer from that of its result; gives that of its input where it is `wanted`.
    pub(super) fn layer_back(
        &self,
        layer: usize,
        state: &LayerState,
        dy: &Tensor,
        wanted: bool,
    ) -> Result<Option<Tensor>, ModelError> {
        let d_middle = self.feed_forward_back(layer, state, dy)?;
        let name = |part: &str| format!("blk.{layer}.{part}");
        let output = (&state.mixed, state.output_adapter.as_ref());
        let d_mixed = self.linear_back(&name("attn_output"), output, &d_middle, true)?;
        let (arena, config) = (self.arena(), self.config);
        let qkv = [&state.query.turned, &state.key.turned, &state.value];
        let d_mixed = d_mixed.ok_or_else(|| unwanted("attn_output"))?;
        let [dq, dk, dv] = arena.attention_back(qkv, &self.inputs.seen, &d_mixed, self.settings.shape.len)?;
        let dq = self.head_back((layer, "q"), &state.query, dq, config.heads)?;
        let dk = self.head_back((layer, "k"), &state.key, dk, config.kv_heads)?;
        let dv = arena.reshape(&dv, &[config.head * config.kv_heads, self.tokens()])?;
        let parts = [("q", &state.query.adapter, dq), ("k", &state.key.adapter, dk), ("v", &state.value_adapter, dv)];
        let mut d_normed: Option<Tensor> = None;
        // A norm whose weight is trained needs the gradient even where the layer's input does not.
        let weight = self.weights.get(&name("attn_norm.weight"))?;
        let wanted_inside = wanted || weight.gradient.is_some();
        for (part, adapter, dy) in parts {
            let x = (&state.normed, adapter.as_ref());
            let dx = self.linear_back(&name(&format!("attn_{part}")), x, &dy, wanted_inside)?;
            d_normed = match (d_normed, dx) {
                (Some(sum), Some(dx)) => Some(arena.add(&sum, &dx)?),
                (sum, dx) => sum.or(dx),
            };
        }
        let Some(d_normed) = d_normed else { return Ok(None) };
        let dx = self.norm_back(&name("attn_norm"), &state.x, &d_normed, Some(&d_middle))?;
        Ok(wanted.then_some(dx))
    }

    fn feed_forward_back(&self, layer: usize, state: &LayerState, dy: &Tensor) -> Result<Tensor, ModelError> {
        let name = |part: &str| format!("blk.{layer}.{part}");
        let arena = self.arena();
        let down = (&state.hidden, state.down_adapter.as_ref());
        let d_hidden = self.linear_back(&name("ffn_down"), down, dy, true)?.ok_or_else(|| unwanted("ffn_down"))?;
        let (d_gate, d_up) = arena.swiglu_back((&state.gate.value, &state.up.value), &d_hidden, self.by.kind())?;
        let (x, gate, up) = (&state.middle_normed, state.gate.adapter.as_ref(), state.up.adapter.as_ref());
        let by_gate = self.linear_back(&name("ffn_gate"), (x, gate), &d_gate, true)?;
        let by_up = self.linear_back(&name("ffn_up"), (x, up), &d_up, true)?;
        let (Some(by_gate), Some(by_up)) = (by_gate, by_up) else { return Err(unwanted("ffn_gate")) };
        self.norm_back(&name("ffn_norm"), &state.middle, &arena.add(&by_gate, &by_up)?, Some(dy))
    }

    /// From the gradient of turned queries or keys to that of the product they came from, [width, tokens].
    fn head_back(
        &self,
        (layer, part): (usize, &str),
        head: &Head,
        dy: Tensor,
        heads: usize,
    ) -> Result<Tensor, ModelError> {
        let (arena, config) = (self.arena(), self.config);
        let mut dy = if config.turns(layer) { self.turn(&dy, true)? } else { dy };
        let norm = format!("blk.{layer}.attn_{part}_norm");
        if self.weights.find(&format!("{norm}.weight")).is_some() {
            dy = self.norm_back(&norm, &head.raw, &dy, None)?;
        }
        Ok(arena.reshape(&dy, &[config.head * heads, self.tokens()])?)
    }

    /// Adds to the gradient of a norm's weight; gives that of its input, plus `residual`.
    pub(super) fn norm_back(
        &self,
        name: &str,
        x: &Tensor,
        dy: &Tensor,
        residual: Option<&Tensor>,
    ) -> Result<Tensor, ModelError> {
        let (arena, eps) = (self.arena(), self.config.eps);
        let weight = self.weights.get(&format!("{name}.weight"))?;
        if let Some(gradient) = &weight.gradient {
            self.need(&arena.rms_norm_weight_back(gradient, x, dy, eps)?);
        }
        Ok(arena.rms_norm_back((x, &weight.value), dy, residual, eps)?)
    }
}

/// Cannot be: the gradient was asked for.
fn unwanted(name: &str) -> ModelError {
    ModelError::Broken { what: format!("`{name}` has no gradient"), place: crate::error::Place::default() }
}
