//! Has requests answered: by the cache where it knows them, else by the engine, whose answers the cache is told.

use crate::engine::cache::{Cache, Identity, Key};
use crate::engine::{Answer, Engine, Request};
use crate::error::Problems;
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, Ordering};

/// Answers are handed to the cache so many at a time: one transaction each would be slow.
const CACHE_BATCH: usize = 256;

/// The cache and the sign to stop, for all who ask during a run.
#[derive(Debug)]
pub(super) struct Asking<'a> {
    cache: Option<&'a Cache>,
    stop: &'a AtomicBool,
    fresh: RefCell<Vec<(Key, Answer)>>,
    /// Shared beginnings that engines had to decode again.
    pub(super) evictions: Cell<usize>,
}

/// A request, and which repeat of its case it is.
pub(super) type Repeated = (Request, u32);

impl<'a> Asking<'a> {
    pub(super) fn new(cache: Option<&'a Cache>, stop: &'a AtomicBool) -> Self {
        Self { cache, stop, fresh: RefCell::default(), evictions: Cell::new(0) }
    }

    /// Whether nothing new is to be begun.
    pub(super) fn is_to_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Calls `each` with the index of a request, its answer, and whether that came from the cache; once each, fewer when
    /// the run is to stop.
    pub(super) fn answer(
        &self,
        engine: &dyn Engine,
        identity: &Identity,
        requests: Vec<Repeated>,
        each: &mut dyn FnMut(usize, Answer, bool),
    ) -> Result<(), Problems> {
        let kept = |(request, _): &Repeated| engine.may_be_kept(&request.ask);
        let keys: Vec<Key> = match self.cache.filter(|_| requests.iter().all(kept)) {
            Some(_) => requests.iter().map(|(request, repeat)| identity.key(request, *repeat)).collect(),
            None => Vec::new(),
        };
        let mut known = self.look_up(&keys).into_iter();
        let mut unknown = Vec::new();
        for (id, (request, _)) in requests.into_iter().enumerate() {
            match known.next().flatten() {
                Some(answer) => each(id, answer, true),
                None => unknown.push(Request { id, ..request }),
            }
        }
        let mut done = |id: usize, answer: Answer| {
            if let Some(key) = keys.get(id).filter(|_| !matches!(answer, Answer::Failed { .. })) {
                self.keep(*key, answer.clone());
            }
            each(id, answer, false);
        };
        let effort = engine.answer(unknown, &mut done, self.stop);
        self.flush();
        self.evictions.set(self.evictions.get() + effort?.evictions);
        Ok(())
    }

    /// What the cache knows; nothing where it fails.
    fn look_up(&self, keys: &[Key]) -> Vec<Option<Answer>> {
        match self.cache.filter(|_| !keys.is_empty()).map(|cache| cache.get(keys)) {
            Some(Ok(found)) => found,
            Some(Err(error)) => {
                tracing::warn!("{error}: asking the model instead");
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    fn keep(&self, key: Key, answer: Answer) {
        self.fresh.borrow_mut().push((key, answer));
        if self.fresh.borrow().len() >= CACHE_BATCH {
            self.flush();
        }
    }

    /// Hands the answers since the last time to the cache. One that fails costs the answers nothing.
    fn flush(&self) {
        let fresh = self.fresh.take();
        if let Some(cache) = self.cache.filter(|_| !fresh.is_empty())
            && let Err(error) = cache.put(&fresh)
        {
            tracing::warn!("{error}: going on without it");
        }
    }
}
