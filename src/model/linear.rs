//! One matrix of the model, with its adapter and bias: forward, and back.

use super::builder::Builder;
use super::error::ModelError;
use super::weights::Lora;
use crate::ggml::Tensor;
use crate::gguf::TensorType;
use std::cell::OnceCell;

/// Inputs of a product, [width, tokens], as products read them; turned once, however many matrices share them.
#[derive(Debug, Clone)]
pub(super) struct Input {
    pub(super) value: Tensor,
    turned: OnceCell<Tensor>,
}

impl Input {
    pub(super) fn new(value: Tensor) -> Self {
        Self { value, turned: OnceCell::new() }
    }

    /// [tokens, width].
    fn turned(&self, builder: &Builder<'_>) -> Result<Tensor, ModelError> {
        if let Some(turned) = self.turned.get() {
            return Ok(turned.clone());
        }
        let turned = builder.arena().transposed(&self.value, builder.kind)?;
        Ok(self.turned.get_or_init(|| turned).clone())
    }
}

/// What is needed to go back through an adapter.
#[derive(Debug, Clone)]
pub(super) struct AdapterState {
    /// The inputs, with some dropped.
    input: Input,
    /// scale · A x, [rank, tokens].
    inner: Tensor,
}

/// A product's result, [out, tokens] in f32, and what is needed to go back.
#[derive(Debug, Clone)]
pub(super) struct Output {
    pub(super) value: Tensor,
    pub(super) adapter: Option<AdapterState>,
}

impl Builder<'_> {
    /// W x + bias, and the adapter's part; `name` is the matrix's without `.weight`.
    pub(super) fn linear(&self, name: &str, x: &Input) -> Result<Output, ModelError> {
        let weight = self.weights.get(&format!("{name}.weight"))?;
        let arena = self.arena();
        let mut value = arena.mul_mat(&arena.cast(&weight.value, self.kind)?, &x.value)?;
        let adapter = match &weight.lora {
            None => None,
            Some(lora) => {
                let (part, state) = self.adapter(lora, x)?;
                value = arena.add(&value, &part)?;
                Some(state)
            }
        };
        if let Some(bias) = self.weights.find(&format!("{name}.bias")) {
            value = arena.add(&value, &bias.value)?;
        }
        Ok(Output { value, adapter })
    }

    fn adapter(&self, lora: &Lora, x: &Input) -> Result<(Tensor, AdapterState), ModelError> {
        let arena = self.arena();
        let drops = lora.dropout > 0.0 && self.learns;
        let input = if drops {
            Input::new(arena.dropout(&x.value, &self.inputs.key, lora.site, lora.dropout)?)
        } else {
            x.clone()
        };
        let inner = arena.mul_mat(&arena.cast(&lora.a.value, self.kind)?, &input.value)?;
        let inner = arena.scale(&inner, lora.scale)?;
        Ok((arena.mul_mat(&lora.b.value, &inner)?, AdapterState { input, inner }))
    }

    /// Adds to the gradients of a matrix, its bias and its adapter, from that of its result (`dy`, [out, tokens]); gives
    /// that of its input where it is `wanted`.
    pub(super) fn linear_back(
        &self,
        name: &str,
        (x, adapter): (&Input, Option<&AdapterState>),
        dy: &Tensor,
        wanted: bool,
    ) -> Result<Option<Tensor>, ModelError> {
        let (arena, dy) = (self.arena(), Input::new(dy.clone()));
        let weight = self.weights.get(&format!("{name}.weight"))?;
        if let Some(gradient) = &weight.gradient {
            self.add_to(gradient, &arena.mul_mat(&x.turned(self)?, &dy.turned(self)?)?)?;
        }
        if let Some(gradient) = self.weights.find(&format!("{name}.bias")).and_then(|bias| bias.gradient.as_ref()) {
            self.need(&arena.bias_back(gradient, &arena.cast(&dy.value, TensorType::F32)?)?);
        }
        let mut dx = None;
        if wanted {
            dx = Some(arena.mul_mat(&arena.transposed(&weight.value, self.kind)?, &dy.value)?);
        }
        if let (Some(lora), Some(state)) = (&weight.lora, adapter) {
            let part = self.adapter_back(lora, state, &dy, wanted)?;
            dx = match (dx, part) {
                (Some(dx), Some(part)) => Some(arena.add(&dx, &part)?),
                (dx, _) => dx,
            };
        }
        Ok(dx)
    }

    /// dB = (A x) dyᵀ, d(A x) = Bᵀ dy, dA = d(A x) xᵀ, dx = Aᵀ d(A x), each with the scale where it belongs.
    fn adapter_back(
        &self,
        lora: &Lora,
        state: &AdapterState,
        dy: &Input,
        wanted: bool,
    ) -> Result<Option<Tensor>, ModelError> {
        let arena = self.arena();
        let inner = arena.transposed(&state.inner, self.kind)?;
        self.add_to(&lora.b.gradient, &arena.mul_mat(&inner, &dy.turned(self)?)?)?;
        let d_inner = arena.mul_mat(&arena.transposed(&lora.b.value, self.kind)?, &dy.value)?;
        let d_inner = arena.scale(&d_inner, lora.scale)?;
        let turned = arena.transposed(&d_inner, self.kind)?;
        self.add_to(&lora.a.gradient, &arena.mul_mat(&state.input.turned(self)?, &turned)?)?;
        if !wanted {
            return Ok(None);
        }
        let dx = arena.mul_mat(&arena.transposed(&lora.a.value, TensorType::F32)?, &d_inner)?;
        let drops = lora.dropout > 0.0 && self.learns;
        Ok(Some(if drops { arena.dropout(&dx, &self.inputs.key, lora.site, lora.dropout)? } else { dx }))
    }
}
