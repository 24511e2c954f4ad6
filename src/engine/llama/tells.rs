//! Which positions of a tree tell a likelihood, and reading it.

use super::line::Line;
use super::logprob::logprobs_of;
use super::tree::Tree;
use crate::engine::Token;
use llama_cpp_2::context::LlamaContext;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::ops::Range;

/// Of each node, the positions whose logits are wanted, and which line wants them.
pub(super) struct Tells(Vec<Vec<(usize, usize)>>);

/// A token whose likelihood a position tells.
pub(super) struct Told {
    pub(super) line: usize,
    pub(super) position: usize,
    pub(super) token: Token,
}

impl Tells {
    pub(super) fn new(tree: &Tree, lines: &[Line]) -> Self {
        let mut tells: Vec<Vec<(usize, usize)>> = vec![Vec::new(); tree.nodes.len()];
        for (last, node) in tree.nodes.iter().enumerate() {
            for &line in &node.ends {
                let from = lines[line].from();
                for above in std::iter::once(last).chain(tree.ancestors(last)) {
                    let node = &tree.nodes[above];
                    if node.end <= from {
                        break;
                    }
                    tells[above].extend((node.start.max(from)..node.end).map(|position| (position, line)));
                }
            }
        }
        for of_node in &mut tells {
            of_node.sort_unstable();
        }
        Self(tells)
    }

    /// The positions of a node in a span, in their order, each with the line that is told.
    pub(super) fn within(&self, node: usize, span: Range<usize>) -> Vec<(usize, usize)> {
        let of_node = self.0.get(node).map_or(&[][..], Vec::as_slice);
        let first = of_node.partition_point(|(position, _)| *position < span.start);
        of_node[first..].iter().take_while(|(position, _)| span.contains(position)).copied().collect()
    }
}

/// Reads log-probabilities off the last batch, by index in it.
pub(super) fn read(context: &LlamaContext, positions: BTreeMap<i32, Vec<Told>>) -> Vec<(Told, f32)> {
    let logits: Vec<&[f32]> = positions.keys().map(|&at| context.get_logits_ith(at)).collect();
    let wanted: Vec<Vec<Told>> = positions.into_values().collect();
    let told = logits.into_par_iter().zip(wanted).flat_map_iter(|(logits, wanted)| {
        let logprobs = logprobs_of(logits, wanted.iter().map(|told| told.token));
        wanted.into_iter().zip(logprobs)
    });
    told.collect()
}
