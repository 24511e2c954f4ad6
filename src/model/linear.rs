//! One matrix of the model, with its adapter and bias: forward, and back.

use super::builder::Builder;
use super::error::ModelError;
use super::weights::Lora;
use crate::ggml::{Operand, Sum, Tensor};
use crate::gguf::TensorType;

/// What is needed to go back through an adapter.
#[derive(Debug, Clone)]
pub(super) struct AdapterState {
    /// The inputs, with some dropped.
    input: Operand,
    /// scale · A x, [rank, tokens].
    inner: Operand,
}

/// A product's result, [out, tokens] in f32, and what is needed to go back.
#[derive(Debug, Clone)]
pub(super) struct Output {
    pub(super) value: Tensor,
    pub(super) adapter: Option<AdapterState>,
}

impl Builder<'_> {
    /// W x + bias, and the adapter's part; `name` is the matrix's without `.weight`.
    pub(super) fn linear(&self, name: &str, x: &Operand) -> Result<Output, ModelError> {
        let weight = self.weights.get(&format!("{name}.weight"))?;
        let arena = self.arena();
        let matrix = Operand::new(weight.value.clone());
        let mut value = self.product((&matrix, Sum::Rows), (x, Sum::Rows))?;
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

    fn adapter(&self, lora: &Lora, x: &Operand) -> Result<(Tensor, AdapterState), ModelError> {
        let arena = self.arena();
        let drops = lora.dropout > 0.0 && self.learns;
        let input = if drops {
            Operand::new(arena.dropout(x.value(), &self.inputs.key, lora.site, lora.dropout)?)
        } else {
            x.clone()
        };
        let (a, b) = (Operand::new(lora.a.value.clone()), Operand::new(lora.b.value.clone()));
        let inner = self.product((&a, Sum::Rows), (&input, Sum::Rows))?;
        let inner = Operand::new(arena.scale(&inner, lora.scale)?);
        Ok((self.product((&b, Sum::Rows), (&inner, Sum::Rows))?, AdapterState { input, inner }))
    }

    /// Adds to the gradients of a matrix, its bias and its adapter, from that of its result (`dy`, [out, tokens]); gives
    /// that of its input where it is `wanted`.
    pub(super) fn linear_back(
        &self,
        name: &str,
        (x, adapter): (&Operand, Option<&AdapterState>),
        dy: &Tensor,
        wanted: bool,
    ) -> Result<Option<Tensor>, ModelError> {
        let (arena, dy) = (self.arena(), Operand::new(dy.clone()));
        let weight = self.weights.get(&format!("{name}.weight"))?;
        if let Some(gradient) = &weight.gradient {
            self.add_to(gradient, &self.product((x, Sum::Columns), (&dy, Sum::Columns))?)?;
        }
        if let Some(gradient) = self.weights.find(&format!("{name}.bias")).and_then(|bias| bias.gradient.as_ref()) {
            self.need(&arena.bias_back(gradient, &arena.cast(dy.value(), TensorType::F32)?)?);
        }
        let mut dx = None;
        if wanted {
            let matrix = Operand::new(weight.value.clone());
            dx = Some(self.product((&matrix, Sum::Columns), (&dy, Sum::Rows))?);
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
        dy: &Operand,
        wanted: bool,
    ) -> Result<Option<Tensor>, ModelError> {
        let (arena, a, b) = (self.arena(), Operand::new(lora.a.value.clone()), Operand::new(lora.b.value.clone()));
        self.add_to(&lora.b.gradient, &self.product((&state.inner, Sum::Columns), (dy, Sum::Columns))?)?;
        let d_inner = self.product((&b, Sum::Columns), (dy, Sum::Rows))?;
        let d_inner = Operand::new(arena.scale(&d_inner, lora.scale)?);
        self.add_to(&lora.a.gradient, &self.product((&state.input, Sum::Columns), (&d_inner, Sum::Columns))?)?;
        if !wanted {
            return Ok(None);
        }
        let dx = self.product((&a, Sum::Columns), (&d_inner, Sum::Rows))?;
        let drops = lora.dropout > 0.0 && self.learns;
        Ok(Some(if drops { arena.dropout(&dx, &self.inputs.key, lora.site, lora.dropout)? } else { dx }))
    }
}
