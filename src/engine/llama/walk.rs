//! The way through a prefix tree: what is decoded when, and where.
//!
//! A node is decoded in a sequence of its own; when it is done, the sequence is copied WHOLE to each node below it and to
//! each completion that begins there. (A part of a sequence is never copied: recurrent models cannot, and answer wrongly
//! in silence.) Each step decodes one batch: the newest token of every completion, then as much of the nodes as fits.
//! Nodes are begun depth first, when there is room for all that they may need, so what is in a batch depends on the
//! requests alone, never on time: the same run gives the same bytes.
//!
//! Where nothing else can go on, the sequence of a node that still has work below it is given up (*evicted*); it is
//! decoded again when its turn comes.

use super::cells::{Room, Segment};
use super::draw::Drawer;
use super::line::Line;
use super::scheduler::{BATCH, Scheduler};
use super::slot::{Outcome, Slot};
use super::tells::{Tells, Told, read};
use super::tree::Tree;
use crate::engine::{Answer, Ask, EngineError};
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::token::LlamaToken;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Prompt tokens that are slow to decode together: from 64 on, ggml's flash attention works in tiles on a CPU, ten times as
/// fast for each token (bundled model, 700 cells: 47 tokens took 40 ms, 86 took 11).
const SLOW: std::ops::Range<usize> = 16..64;

/// A tree being decoded.
pub(super) struct Walk<'w, 'a> {
    scheduler: &'w mut Scheduler<'a>,
    lines: &'w [Line<'w>],
    done: &'w mut dyn FnMut(usize, Answer),
    tree: Tree,
    tells: Tells,
    /// Of each node, the tasks below it that are not begun.
    waiting: Vec<usize>,
    /// The sequences of nodes that are decoded and have tasks waiting.
    held: BTreeMap<usize, (i32, Rc<Segment>)>,
    room: Room,
    /// What can be begun, the next one last.
    tasks: Vec<Task>,
    decoding: Vec<Decoding>,
    drawing: Vec<Drawing>,
    batch: LlamaBatch<'static>,
}

/// Something to begin.
enum Task {
    /// Decode a node.
    Node(usize),
    /// Decode an evicted node again, on the account of a line below it.
    Again { node: usize, line: usize },
    /// Go on with a completion whose first token was drawn behind a node.
    Draw { node: usize, line: usize, slot: Box<Slot> },
}

/// A task whose tokens are being decoded, `next..end` of its line to go.
struct Decoding {
    task: Task,
    line: usize,
    sequence: i32,
    segment: Rc<Segment>,
    next: usize,
    end: usize,
}

/// A completion being drawn.
struct Drawing {
    slot: Slot,
    sequence: i32,
    segment: Rc<Segment>,
}

/// Tokens of one task in the batch, the first at index `at` of it.
struct Part {
    at: usize,
    count: usize,
}

impl<'w, 'a> Walk<'w, 'a> {
    pub(super) fn new(
        scheduler: &'w mut Scheduler<'a>,
        lines: &'w [Line<'w>],
        done: &'w mut dyn FnMut(usize, Answer),
    ) -> Self {
        let tree = Tree::new(&lines.iter().map(|line| line.tokens.as_ref()).collect::<Vec<_>>());
        let room = Room::new(scheduler.limits.cells, i32::try_from(scheduler.limits.sequences).unwrap_or(1));
        Self {
            tells: Tells::new(&tree, lines),
            waiting: vec![0; tree.nodes.len()],
            held: BTreeMap::new(),
            room,
            tasks: tree.roots.iter().rev().map(|&root| Task::Node(root)).collect(),
            decoding: Vec::new(),
            drawing: Vec::new(),
            batch: LlamaBatch::new(BATCH as usize, 1),
            tree,
            lines,
            done,
            scheduler,
        }
    }

    /// Decodes it all; once `stop` is set, only what is being drawn is finished.
    pub(super) fn run(mut self, stop: &AtomicBool) -> Result<(), EngineError> {
        loop {
            if stop.load(Ordering::Relaxed) {
                self.tasks.clear();
                for Decoding { sequence, .. } in std::mem::take(&mut self.decoding) {
                    self.forget(sequence)?;
                }
            }
            self.begin()?;
            if !self.step()? {
                return self.end();
            }
        }
    }

    /// Leaves the cache as it was found.
    fn end(mut self) -> Result<(), EngineError> {
        for (sequence, _) in std::mem::take(&mut self.held).into_values() {
            self.forget(sequence)?;
        }
        Ok(())
    }

    /// Begins tasks as long as there is room for all that they may need.
    fn begin(&mut self) -> Result<(), EngineError> {
        while let Some(task) = self.tasks.pop() {
            if let Some(again) = self.parent_again(&task) {
                let under_way = self.is_decoded_again(&again);
                self.tasks.push(task);
                if under_way {
                    return Ok(());
                }
                self.tasks.push(again);
                continue;
            }
            let from = self.held_above(&task);
            let to_decode: usize = self.decoding.iter().map(|d| d.end - d.next).sum();
            let draws = self.drawing.len() + self.decoding.iter().filter(|d| self.draws(&d.task)).count();
            let own = self.end_of(&task) - from.map_or(0, |node| self.tree.nodes[node].end);
            let cells = own + self.most_drawn(&task);
            // Each sequence that is decoded beside others makes attention run over the cells of all.
            let full = to_decode > 0 && to_decode + own > BATCH as usize;
            let busy = full || (self.draws(&task) && draws >= self.scheduler.limits.parallel);
            if !busy && self.room.fits(cells) {
                self.start(task, from, cells)?;
                continue;
            }
            let idle = self.decoding.is_empty() && self.drawing.is_empty();
            self.tasks.push(task);
            if !idle {
                return Ok(());
            }
            if !self.evict(from)? {
                let reason = format!("a request needs {cells} tokens of context, and there are {}", self.room.cells());
                return Err(EngineError::Decode { reason });
            }
        }
        Ok(())
    }

    /// What has to come first where a task's parent was evicted and others wait for it, too.
    fn parent_again(&self, task: &Task) -> Option<Task> {
        let (parent, line) = match task {
            Task::Node(node) => (self.tree.nodes[*node].parent?, self.tree.nodes[*node].line),
            Task::Draw { node, line, .. } => (*node, *line),
            Task::Again { .. } => return None,
        };
        let evicted = !self.held.contains_key(&parent) && self.waiting[parent] > 1;
        evicted.then_some(Task::Again { node: parent, line })
    }

    fn is_decoded_again(&self, task: &Task) -> bool {
        let Task::Again { node: wanted, .. } = task else { return false };
        self.decoding.iter().any(|d| matches!(&d.task, Task::Again { node, .. } if node == wanted))
    }

    /// The nearest node above a task whose sequence is there to be copied.
    fn held_above(&self, task: &Task) -> Option<usize> {
        let (node, own) = match task {
            Task::Node(node) | Task::Again { node, .. } => (*node, None),
            Task::Draw { node, .. } => (*node, Some(*node)),
        };
        own.into_iter().chain(self.tree.ancestors(node)).find(|node| self.held.contains_key(node))
    }

    fn end_of(&self, task: &Task) -> usize {
        let (Task::Node(node) | Task::Again { node, .. } | Task::Draw { node, .. }) = task;
        self.tree.nodes[*node].end
    }

    /// Tokens that a task may draw in its own sequence.
    fn most_drawn(&self, task: &Task) -> usize {
        let line = match task {
            Task::Node(node) => self.only_completion(*node),
            Task::Again { .. } => None,
            Task::Draw { line, .. } => Some(*line),
        };
        line.map_or(0, |line| self.scheduler.most_drawn(&self.lines[line]))
    }

    fn draws(&self, task: &Task) -> bool {
        match task {
            Task::Node(node) => self.only_completion(*node).is_some(),
            Task::Again { .. } => false,
            Task::Draw { .. } => true,
        }
    }

    /// The line of a node below which there is nothing but one completion: it goes on in the node's own sequence.
    fn only_completion(&self, node: usize) -> Option<usize> {
        let node = &self.tree.nodes[node];
        let mut drawn = node.ends.iter().copied().filter(|&line| self.lines[line].targets.is_empty());
        let only = drawn.next().filter(|_| node.children.is_empty())?;
        drawn.next().is_none().then_some(only)
    }

    /// Begins a task in a new sequence, a copy of what a node above holds.
    fn start(&mut self, task: Task, from: Option<usize>, cells: usize) -> Result<(), EngineError> {
        let above = from.and_then(|node| self.held.get(&node));
        let (copied, above) = above.map_or((None, None), |(held, segment)| (Some(*held), Some(Rc::clone(segment))));
        let Some((sequence, segment)) = self.room.take(cells, above) else { return Ok(()) };
        if let Some(held) = copied {
            self.scheduler.context.copy_kv_cache_seq(held, sequence, None, None).map_err(failed)?;
        }
        let (line, parent) = match &task {
            Task::Node(node) => (self.tree.nodes[*node].line, self.tree.nodes[*node].parent),
            Task::Again { line, .. } => (*line, None),
            Task::Draw { node, line, .. } => (*line, Some(*node)),
        };
        let next = from.map_or(0, |node| self.tree.nodes[node].end);
        let end = self.end_of(&task);
        match task {
            Task::Draw { slot, .. } if next == end => self.drawing.push(Drawing { slot: *slot, sequence, segment }),
            task => self.decoding.push(Decoding { task, line, sequence, segment, next, end }),
        }
        match parent {
            Some(parent) => self.begun_below(parent),
            None => Ok(()),
        }
    }

    /// Notes that a task below a node has begun; after the last the node's sequence is not needed any more.
    fn begun_below(&mut self, node: usize) -> Result<(), EngineError> {
        self.waiting[node] -= 1;
        if self.waiting[node] == 0
            && let Some((sequence, _)) = self.held.remove(&node)
        {
            self.forget(sequence)?;
        }
        Ok(())
    }

    /// Gives up the smallest of the held nodes, the one that the next task builds on only when there is no other.
    fn evict(&mut self, keep: Option<usize>) -> Result<bool, EngineError> {
        let end = |node: usize| self.tree.nodes[node].end - self.tree.nodes[node].start;
        let others = self.held.keys().copied().filter(|node| Some(*node) != keep);
        let Some(node) = others.min_by_key(|&node| (end(node), node)).or(keep) else { return Ok(false) };
        if let Some((sequence, _)) = self.held.remove(&node) {
            self.forget(sequence)?;
            self.scheduler.effort.evictions += 1;
        }
        Ok(true)
    }

    fn forget(&mut self, sequence: i32) -> Result<(), EngineError> {
        self.scheduler.context.clear_kv_cache_seq(u32::try_from(sequence).ok(), None, None).map_err(failed)?;
        self.room.give_back(sequence);
        Ok(())
    }

    /// Decodes one batch and takes in what it tells; false when there is nothing to decode.
    fn step(&mut self) -> Result<bool, EngineError> {
        let parts = self.fill()?;
        let total = self.batch.n_tokens();
        if total == 0 {
            return Ok(false);
        }
        let started = Instant::now();
        self.scheduler.context.decode(&mut self.batch).map_err(failed)?;
        self.scheduler.context.synchronize();
        let each = started.elapsed().as_secs_f64() / f64::from(total);
        for (decoding, part) in self.decoding.iter().zip(&parts) {
            let request = self.lines[decoding.line].request;
            self.scheduler.accounts[request].charge(part.count, each * part.count as f64);
            self.scheduler.effort.tokens_decoded += part.count;
        }
        self.draw(each)?;
        self.told(&parts);
        let mut ready = Vec::new();
        for (mut decoding, Part { at, count }) in std::mem::take(&mut self.decoding).into_iter().zip(parts) {
            decoding.next += count;
            if decoding.next == decoding.end {
                ready.push((decoding, at + count));
            } else {
                self.decoding.push(decoding);
            }
        }
        for (decoding, end) in ready {
            self.ready(decoding, end)?;
        }
        Ok(true)
    }

    /// Lays the next batch: one token of each completion, then what is to be decoded, in the order of its beginning.
    fn fill(&mut self) -> Result<Vec<Part>, EngineError> {
        self.batch.clear();
        for Drawing { slot, sequence, .. } in &self.drawing {
            let Some((token, position)) = slot.newest() else { continue };
            self.batch.add(token, index(position)?, &[*sequence], true).map_err(failed)?;
        }
        let room = if self.waits_for_more() { self.drawing.len() } else { BATCH as usize };
        let mut parts = Vec::with_capacity(self.decoding.len());
        for decoding in &self.decoding {
            let at = usize::try_from(self.batch.n_tokens()).unwrap_or(0);
            let count = (decoding.end - decoding.next).min(room - at);
            let positions = decoding.next..decoding.next + count;
            let told = match decoding.task {
                Task::Node(node) => self.tells.within(node, positions.clone()),
                Task::Again { .. } | Task::Draw { .. } => Vec::new(),
            };
            let mut told = told.into_iter().map(|(position, _)| position).peekable();
            let tokens = self.lines[decoding.line].tokens.get(positions.clone()).unwrap_or_default();
            for (position, token) in positions.zip(tokens) {
                while told.next_if(|earlier| *earlier < position).is_some() {}
                let tells = told.peek() == Some(&position);
                let token = LlamaToken(token.cast_signed());
                self.batch.add(token, index(position)?, &[decoding.sequence], tells).map_err(failed)?;
            }
            parts.push(Part { at, count });
        }
        Ok(parts)
    }

    /// Whether what is to be decoded waits for more of it, while enough completions go on beside: see [`SLOW`].
    fn waits_for_more(&self) -> bool {
        let to_decode: usize = self.decoding.iter().map(|d| d.end - d.next).sum();
        SLOW.contains(&to_decode) && self.drawing.len() * 4 >= self.scheduler.limits.parallel * 3
    }

    /// Draws the next token of each completion.
    fn draw(&mut self, each: f64) -> Result<(), EngineError> {
        for (at, Drawing { mut slot, sequence, segment }) in (0..).zip(std::mem::take(&mut self.drawing)) {
            self.scheduler.accounts[slot.request].charge(0, each);
            match slot.draw(&self.scheduler.context, &self.scheduler.tokenizer.vocab(), at) {
                Outcome::More => self.drawing.push(Drawing { slot, sequence, segment }),
                Outcome::Done => {
                    self.finish(slot);
                    self.forget(sequence)?;
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self, slot: Slot) {
        let request = slot.request;
        let completion = slot.finish(&self.scheduler.accounts[request]);
        (self.done)(self.scheduler.requests[request].id, Answer::Completion(completion));
    }

    /// Reads the likelihoods that positions of the batch tell.
    fn told(&mut self, parts: &[Part]) {
        let mut positions: BTreeMap<i32, Vec<Told>> = BTreeMap::new();
        for (decoding, part) in self.decoding.iter().zip(parts) {
            let Task::Node(node) = decoding.task else { continue };
            let span = decoding.next..decoding.next + part.count;
            for (position, line) in self.tells.within(node, span) {
                let Some(token) = self.lines[line].target(position) else { continue };
                let Ok(at) = i32::try_from(part.at + position - decoding.next) else { continue };
                positions.entry(at).or_default().push(Told { line, position, token });
            }
        }
        for (Told { line, position, .. }, logprob) in read(&self.scheduler.context, positions) {
            self.tell(line, position, logprob);
        }
    }

    fn tell(&mut self, line: usize, position: usize, logprob: f32) {
        let line = &self.lines[line];
        let account = &mut self.scheduler.accounts[line.request];
        account.tell(line.part, position - line.from(), logprob);
        if position + 1 == line.tokens.len()
            && let Some(answer) = account.likelihoods()
        {
            (self.done)(self.scheduler.requests[line.request].id, answer);
        }
    }

    /// Goes on below what is decoded; its last token stands just before `end` in the batch.
    fn ready(&mut self, decoding: Decoding, end: usize) -> Result<(), EngineError> {
        let Decoding { task, sequence, segment, .. } = decoding;
        match task {
            Task::Draw { slot, .. } => self.drawing.push(Drawing { slot: *slot, sequence, segment }),
            Task::Again { node, .. } => {
                self.held.insert(node, (sequence, segment));
            }
            Task::Node(node) => {
                let mut slots = self.first_draws(node, end)?;
                if self.only_completion(node).is_some() {
                    match slots.pop() {
                        Some((_, slot)) => self.drawing.push(Drawing { slot, sequence, segment }),
                        None => self.forget(sequence)?,
                    }
                    return Ok(());
                }
                let children = &self.tree.nodes[node].children;
                self.waiting[node] = slots.len() + children.len();
                if self.waiting[node] == 0 {
                    return self.forget(sequence);
                }
                self.tasks.extend(children.iter().rev().map(|&child| Task::Node(child)));
                let draws = slots.into_iter().rev();
                self.tasks.extend(draws.map(|(line, slot)| Task::Draw { node, line, slot: Box::new(slot) }));
                self.held.insert(node, (sequence, segment));
            }
        }
        Ok(())
    }

    /// The first token of every completion that begins behind a node; returns those that want more.
    fn first_draws(&mut self, node: usize, end: usize) -> Result<Vec<(usize, Slot)>, EngineError> {
        let at = index(end.saturating_sub(1))?;
        let mut going_on = Vec::new();
        for line in self.tree.nodes[node].ends.clone() {
            let number = self.lines[line].request;
            let request = &self.scheduler.requests[number];
            let Ask::Generate { sampling, seed } = &request.ask else { continue };
            let drawer = Drawer::new(sampling, *seed, self.scheduler.tokenizer)?;
            let mut slot = Slot::new(number, request, sampling, drawer);
            match slot.draw(&self.scheduler.context, &self.scheduler.tokenizer.vocab(), at) {
                Outcome::More => going_on.push((line, slot)),
                Outcome::Done => self.finish(slot),
            }
        }
        Ok(going_on)
    }
}

fn index(position: usize) -> Result<i32, EngineError> {
    i32::try_from(position).map_err(|_| EngineError::Decode { reason: "a position exceeds 2^31".into() })
}

#[allow(clippy::needless_pass_by_value)] // it is what map_err hands over
fn failed(error: impl std::fmt::Display) -> EngineError {
    EngineError::Decode { reason: error.to_string() }
}
