//! Many requests at once: handed to servers as they become free, asked again where that may help, given up where not.

use super::ask::{Line, Question};
use super::fault::{Cure, Fault};
use super::fleet::{Fleet, pause};
use crate::engine::{Answer, Effort, Request};
use crate::seed;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How often it looks whether it is to stop, and whether a server has rested.
const LOOK: Duration = Duration::from_millis(50);

/// How long servers may do nothing but say that they cannot, at least.
const BARREN: Duration = Duration::from_secs(20);

/// What may be asked in all, over all windows of a run.
#[derive(Debug, Default)]
pub(super) struct Limits {
    /// Times that a request is asked again.
    pub(super) retries: u32,
    /// When the last request may begin, and the seconds that this is after the first.
    pub(super) until: Option<(Instant, u64)>,
    /// How long no server may be reachable before the run ends; also the longest that a server may ask to wait.
    pub(super) patience: Duration,
}

/// A request on its way.
#[derive(Debug)]
struct Job {
    id: usize,
    question: Arc<Question>,
    /// Tries so far.
    tries: u32,
    /// The server of the last try.
    last: Option<usize>,
}

/// A request that came back.
struct Landed {
    job: Job,
    server: usize,
    result: Result<Answer, Fault>,
}

/// The requests of one window.
pub(super) struct Sitting<'a> {
    line: Arc<Line>,
    urls: &'a [String],
    fleet: &'a mut Fleet,
    limits: &'a mut Limits,
    waiting: VecDeque<Job>,
    /// Those that are asked again later.
    later: Vec<(Instant, Job)>,
    flying: JoinSet<Landed>,
    effort: Effort,
    /// What the last server that could not be reached came to.
    last: Option<Fault>,
    /// What ends the run, once nothing is in flight any more.
    end: Option<Fault>,
}

impl<'a> Sitting<'a> {
    pub(super) fn new(
        (line, urls): (Arc<Line>, &'a [String]),
        (fleet, limits): (&'a mut Fleet, &'a mut Limits),
        requests: Vec<Request>,
    ) -> Self {
        fleet.begin();
        let job =
            |request: Request| Job { id: request.id, question: Arc::new(Question::of(request)), tries: 0, last: None };
        let waiting = requests.into_iter().map(job).collect();
        let (later, flying, effort) = (Vec::new(), JoinSet::new(), Effort::default());
        Self { line, urls, fleet, limits, waiting, later, flying, effort, last: None, end: None }
    }

    /// Has them answered, calling `done` as each is. Nothing new is begun once `stop` is set.
    ///
    /// # Errors
    /// What would befall every other request, too.
    pub(super) async fn run(mut self, done: &mut dyn FnMut(usize, Answer), stop: &AtomicBool) -> Result<Effort, Fault> {
        loop {
            let now = Instant::now();
            if stop.load(Ordering::Relaxed) || self.end.is_some() {
                self.waiting.clear();
                self.later.clear();
            } else if let Some(fault) = self.over(now) {
                let left = self.waiting.drain(..).chain(self.later.drain(..).map(|(_, job)| job));
                left.for_each(|job| done(job.id, failed(&fault)));
            }
            self.begin(now);
            if self.flying.is_empty() && self.waiting.is_empty() && self.later.is_empty() {
                return self.end.map_or(Ok(self.effort), Err);
            }
            if self.flying.is_empty() {
                self.given_up(now)?;
                tokio::time::sleep(self.wait(now)).await;
            } else if let Ok(Some(landed)) = tokio::time::timeout(self.wait(now), self.flying.join_next()).await {
                match landed {
                    Ok(landed) => self.landed(landed, done),
                    Err(error) => return Err(Fault::Client { reason: error.to_string() }),
                }
            }
        }
    }

    /// Why nothing more may be asked.
    fn over(&self, now: Instant) -> Option<Fault> {
        let late = self.limits.until.filter(|(until, _)| *until <= now).map(|(_, seconds)| Fault::Late { seconds });
        late.or_else(|| self.line.over())
    }

    /// Sends what may be sent now.
    fn begin(&mut self, now: Instant) {
        let due = self.later.extract_if(.., |(due, _)| *due <= now);
        self.waiting.extend(due.map(|(_, job)| job));
        while let Some(job) = self.waiting.front() {
            let Some(server) = self.fleet.take(now, job.last) else { break };
            let (Some(job), Some(url)) = (self.waiting.pop_front(), self.urls.get(server)) else { break };
            let (line, url) = (Arc::clone(&self.line), url.clone());
            self.flying.spawn(async move {
                let result = line.ask(&url, &job.question).await;
                Landed { job, server, result }
            });
        }
    }

    /// Until when nothing can happen but an answer.
    fn wait(&self, now: Instant) -> Duration {
        let due = self.later.iter().map(|(due, _)| *due).min();
        let next = due.into_iter().chain(self.fleet.next(now)).min();
        next.map_or(LOOK, |next| next.saturating_duration_since(now).clamp(Duration::from_millis(1), LOOK))
    }

    /// No server can be reached, and has not been for too long; or all of them ask to be left alone for too long, or do.
    fn given_up(&self, now: Instant) -> Result<(), Fault> {
        let Some(last) = self.last.clone().map(Box::new) else { return Ok(()) };
        if let Some(wait) = self.fleet.all_rest(now).filter(|wait| *wait > self.limits.patience) {
            return Err(Fault::Waits { seconds: (wait + Duration::from_millis(999)).as_secs(), last });
        }
        let over = |since: Option<Duration>, most| since.filter(|since| *since >= most).map(|since| since.as_secs());
        if let Some(seconds) = over(self.fleet.silent_for(now), self.limits.patience) {
            return Err(Fault::Gone { seconds, last });
        }
        // A server that rests is tried once at a time, after pauses that grow: it gets several tries.
        match over(self.fleet.barren_for(now), self.limits.patience.max(BARREN)) {
            Some(seconds) => Err(Fault::Barren { seconds, last }),
            None => Ok(()),
        }
    }

    fn landed(&mut self, landed: Landed, done: &mut dyn FnMut(usize, Answer)) {
        let Landed { mut job, server, result } = landed;
        self.fleet.landed(server);
        let fault = match result {
            Ok(answer) => {
                self.fleet.works(server);
                self.effort.tokens_decoded += decoded(&answer);
                return done(job.id, answer);
            }
            Err(fault) => fault,
        };
        let now = Instant::now();
        let jitter = jitter(&job);
        job.last = Some(server);
        let cure = fault.cure();
        match cure {
            Cure::Fatal => return self.leave(server, job, fault),
            Cure::Down => {
                self.fleet.is_down(server, now, jitter);
                if self.fleet.silent_for(now) == Some(Duration::ZERO) {
                    tracing::warn!("{fault}; it is tried again for {} s", self.limits.patience.as_secs());
                }
                self.last = Some(fault);
                // The request is not to blame: another server takes it, or this one when it is back.
                return self.waiting.push_front(job);
            }
            Cure::Rest(after) => {
                self.fleet.rests(server, now, after, jitter);
                self.last = Some(fault.clone());
            }
            Cure::Later => self.fleet.stumbles(server, now, jitter),
            Cure::Never => self.fleet.answers(server),
        }
        job.tries += 1;
        // Whether to go on is looked at once nothing is in flight: what is still coming is not thrown away.
        if cure == Cure::Never {
            done(job.id, failed(&fault));
        } else if job.tries > self.limits.retries {
            let fault = if job.tries == 1 { fault } else { Fault::GivenUp { times: job.tries, last: Box::new(fault) } };
            done(job.id, failed(&fault));
        } else if cure == Cure::Later {
            self.later.push((now + pause(job.tries, jitter), job));
        } else {
            self.waiting.push_front(job);
        }
    }

    /// A server can do nothing for this run: the others go on, or it ends when there is none.
    fn leave(&mut self, server: usize, job: Job, fault: Fault) {
        if self.fleet.leaves(server) {
            tracing::warn!("{fault}; the other servers are asked");
            self.waiting.push_front(job);
        } else {
            self.end.get_or_insert(fault);
        }
    }
}

/// A number from 0 to 1 that no other process draws for its own request at the same moment.
fn jitter(job: &Job) -> f64 {
    let parts = [job.id.to_string(), job.tries.to_string(), std::process::id().to_string()];
    let key = seed::key(0, &["retry", &parts[0], &parts[1], &parts[2]]);
    (key >> 11) as f64 / (1_u64 << 53) as f64
}

fn decoded(answer: &Answer) -> usize {
    match answer {
        Answer::Completion(said) => said.prompt_tokens_decoded,
        Answer::Likelihood(told) => told.tokens_decoded,
        Answer::Embedding(_) | Answer::State(_) | Answer::Failed { .. } => 0,
    }
}

fn failed(fault: &Fault) -> Answer {
    Answer::Failed { reason: fault.to_string(), help: fault.help() }
}
