//! The documents of a run as its steps see them: which rows belong to which micro-batch, and what counts in each.

use super::data::{Dataset, Group, Judged, Loader, SourceFacts};
use super::loss::{Answer, Pair};
use super::recipe::{Kind, Recipe};
use super::reference::{Reference, spans};
use crate::model::{Document, Shape};
use crate::store::training::{Material, SourceRecord};
use std::collections::HashMap;
use std::path::Path;

/// Rows of documents: what is computed at once.
pub type Rows<'a> = Vec<Vec<&'a Document>>;

/// What is learned, in the order in which it is. The order is a pure function of the step's number.
#[derive(Debug)]
pub struct Lessons<'a> {
    kind: Kind,
    loader: Loader<'a>,
    held_out: Rows<'a>,
    batch: usize,
    micro_batch: usize,
    steps: u64,
    /// The label of each document, where a head learns to tell them apart; documents are known by where they lie.
    labels: HashMap<*const Document, usize>,
    /// What was preferred in each document, where a head learns to judge.
    groups: HashMap<*const Document, &'a Group>,
}

impl<'a> Lessons<'a> {
    /// Packs the documents of a recipe into rows.
    #[must_use]
    pub fn new(recipe: &Recipe, train: &'a Dataset, held_out: &'a Dataset) -> Self {
        let loader = Loader::new(train, recipe.sequence, recipe.seed);
        // Whatever the seed: the same rows, so that two runs are measured alike.
        let packed = Loader::new(held_out, recipe.sequence, 0);
        let rows = packed.rows();
        let sets = [train, held_out];
        let labelled = sets.into_iter().flat_map(|set| set.documents.iter().zip(&set.labels));
        let grouped = sets.into_iter().flat_map(|set| set.documents.iter().zip(&set.groups));
        Self {
            kind: recipe.kind,
            held_out: if rows == 0 { Vec::new() } else { packed.batch(1, rows) },
            steps: recipe.length.steps(loader.rows(), recipe.batch),
            loader,
            batch: recipe.batch,
            micro_batch: recipe.micro_batch.clamp(1, recipe.batch.max(1)),
            labels: labelled.map(|(document, label)| (std::ptr::from_ref(document), *label)).collect(),
            groups: grouped.map(|(document, group)| (std::ptr::from_ref(document), group)).collect(),
        }
    }

    /// Steps that the recipe asks for.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Rows into which what is learned is packed.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.loader.rows()
    }

    /// The micro-batches of a step, from 1.
    #[must_use]
    pub fn parts(&self, step: u64) -> Vec<Rows<'a>> {
        self.loader.batch(step, self.batch).chunks(self.micro_batch).map(<[_]>::to_vec).collect()
    }

    /// The micro-batches in which all held-out documents come once; none where nothing is held out.
    pub fn held_out(&self) -> impl Iterator<Item = &[Vec<&'a Document>]> {
        self.held_out.chunks(self.micro_batch)
    }

    /// What counts in the loss of some rows: targets; documents where a head tells labels apart; judgements where it judges.
    #[must_use]
    pub fn targets(&self, rows: &[Vec<&Document>]) -> usize {
        let counts = rows.iter().flatten().map(|document| match self.kind {
            Kind::Sft | Kind::Pretrain | Kind::Grpo | Kind::Ppo => document.targets(),
            Kind::Classify => 1,
            Kind::Reward | Kind::Dpo => self.group(document).map_or(0, |group| group.judged.len()),
        });
        counts.sum()
    }

    /// Tokens of some rows that the model learns to say, whatever else it learns of them.
    #[must_use]
    pub fn said(rows: &[Vec<&Document>]) -> usize {
        rows.iter().flatten().map(|document| document.targets()).sum()
    }

    /// The label of each document of some rows, in order; empty where no head learns.
    #[must_use]
    pub fn labels(&self, rows: &[Vec<&Document>]) -> Vec<usize> {
        let label = |document: &&Document| self.labels.get(&std::ptr::from_ref(*document)).copied();
        rows.iter().flatten().filter_map(label).collect()
    }

    /// What was preferred in some rows, of their answers as they are read.
    #[must_use]
    pub fn pairs(&self, rows: &[Vec<&Document>]) -> Vec<Pair> {
        let (mut pairs, mut before) = (Vec::new(), 0);
        for document in rows.iter().flatten() {
            let judged = self.group(document).map_or(&[][..], |group| &group.judged);
            let pair =
                |one: &Judged| Pair { better: before + one.better, worse: before + one.worse, margin: one.margin };
            pairs.extend(judged.iter().map(pair));
            before += document.ends();
        }
        pairs
    }

    /// The answers in some rows, in the order in which [`pairs`](Self::pairs) counts them.
    #[must_use]
    pub fn answers(rows: &[Vec<&Document>], reference: &Reference) -> Vec<Answer> {
        let mut read = 0;
        let of = |document: &&Document| {
            let before = reference.of(document);
            let spans = spans(document).into_iter().enumerate();
            let answers = spans.map(|(at, len)| {
                read += len;
                Answer { tokens: read - len..read, reference: before.get(at).copied().unwrap_or(0.0) }
            });
            answers.collect::<Vec<_>>()
        };
        rows.iter().flatten().flat_map(of).collect()
    }

    /// What was preferred in a document.
    #[must_use]
    pub fn group(&self, document: &Document) -> Option<&'a Group> {
        self.groups.get(&std::ptr::from_ref(document)).copied()
    }

    /// What is learned.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The rows of everything that is learned, in micro-batches, in no order that matters.
    #[must_use]
    pub fn all(&self) -> Vec<Rows<'a>> {
        self.loader.batch(1, self.loader.rows()).chunks(self.micro_batch).map(<[_]>::to_vec).collect()
    }

    /// The most that any micro-batch of the run holds, in rows of so many tokens.
    #[must_use]
    pub fn shape(&self, sequence: usize) -> Shape {
        let mut shape = Shape { rows: self.micro_batch, len: sequence, targets: 1, ends: 1 };
        let mut widen = |rows: &[Vec<&Document>]| {
            shape.targets = shape.targets.max(Self::said(rows));
            shape.ends = shape.ends.max(rows.iter().map(|row| ends(row)).sum());
        };
        self.held_out().for_each(&mut widen);
        if self.steps.saturating_mul(self.batch as u64) <= MOST_WALKED {
            (1..=self.steps).for_each(|step| self.parts(step).iter().for_each(|rows| widen(rows)));
            return shape;
        }
        let rows = self.loader.batch(1, self.rows());
        let targets = rows.iter().map(|row| row.iter().map(|document| document.targets()).sum());
        shape.targets = shape.targets.max(largest(targets.collect(), self.micro_batch));
        shape.ends = shape.ends.max(largest(rows.iter().map(|row| ends(row)).collect(), self.micro_batch));
        shape
    }

    /// The first of the held-out documents, else of those that are learned.
    pub fn examples(&self) -> impl Iterator<Item = &'a Document> {
        let learned = if self.held_out.is_empty() { self.loader.batch(1, self.rows()) } else { Vec::new() };
        self.held_out.clone().into_iter().chain(learned).flatten()
    }
}

/// Ends of all documents of a row.
fn ends(row: &[&Document]) -> usize {
    row.iter().map(|document| document.ends()).sum()
}

/// So many rows are gone through to find the widest micro-batch; of more, a bound is taken.
const MOST_WALKED: u64 = 50_000_000;

/// The most that `drawn` rows can come to. A draw that crosses from one epoch to the next may hold a row twice.
fn largest(mut rows: Vec<usize>, drawn: usize) -> usize {
    let times = drawn.div_ceil(rows.len().max(1)) + 1;
    rows.sort_unstable_by(|a, b| b.cmp(a));
    rows.iter().flat_map(|row| std::iter::repeat_n(*row, times)).take(drawn).sum()
}

/// What the header keeps of the documents.
#[must_use]
pub fn material(lessons: &Lessons, train: &Dataset, held_out: &Dataset) -> Material {
    let all: Vec<Vec<&Document>> = vec![train.documents.iter().collect()];
    Material {
        sources: train.sources.iter().chain(&held_out.sources).map(source).collect(),
        documents: train.documents.len(),
        tokens: train.tokens() as u64,
        targets: lessons.targets(&all) as u64,
        rows: lessons.rows(),
        held_out_documents: held_out.documents.len(),
        held_out_tokens: held_out.tokens() as u64,
        held_out_rows: lessons.held_out.len(),
        sha256: train.sha256(),
        held_out_sha256: held_out.sha256(),
        heads: Vec::new(),
    }
}

fn source(facts: &SourceFacts) -> SourceRecord {
    let SourceFacts { name, sha256, rows, documents, tokens, targets, cut, dropped, .. } = facts.clone();
    // By which it is found again, wherever Tripos is started then.
    let name = Path::new(&name).canonicalize().map_or(name, |path| path.display().to_string());
    SourceRecord { name, sha256, rows, documents, tokens: tokens as u64, targets: targets as u64, cut, dropped }
}
