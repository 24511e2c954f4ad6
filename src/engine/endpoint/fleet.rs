//! Several servers of one model: work goes to whichever is free; one that is down or has too much to do is left alone for
//! a while, and then tried with a single request; one that is of no use is asked no more.

use std::time::{Duration, Instant};

/// The first pause after a failure; each further one is twice as long …
const FIRST: Duration = Duration::from_millis(500);
/// … up to this.
const LONGEST: Duration = Duration::from_secs(30);

/// Requests in a row that come to nothing until a server is left alone.
const STUMBLES: u32 = 3;

/// The servers, and what each has in flight.
#[derive(Debug)]
pub(super) struct Fleet {
    servers: Vec<Server>,
    /// Most requests in flight at one server.
    most: usize,
    /// Since when none can be reached.
    down_since: Option<Instant>,
    /// Since when none has done anything but fail.
    barren_since: Option<Instant>,
}

#[derive(Debug, Clone)]
struct Server {
    flying: usize,
    /// How many requests it bears: less than allowed after it has said that it has too much to do.
    bears: usize,
    /// Answers since that number last changed.
    good: usize,
    /// Failures in a row.
    failures: u32,
    /// Requests in a row that came to nothing although the server is there.
    stumbles: u32,
    down: bool,
    /// It is of no use to this run.
    out: bool,
    rests_until: Option<Instant>,
    /// What it has asked for of that.
    asked_until: Option<Instant>,
}

impl Fleet {
    pub(super) fn new(servers: usize, most: usize) -> Self {
        let most = most.max(1);
        let server = Server {
            flying: 0,
            bears: most,
            good: 0,
            failures: 0,
            stumbles: 0,
            down: false,
            out: false,
            rests_until: None,
            asked_until: None,
        };
        Self { servers: vec![server; servers], most, down_since: None, barren_since: None }
    }

    /// The least busy server that may be asked now, another than `not` if there is one; it then has one more request in flight.
    pub(super) fn take(&mut self, now: Instant, not: Option<usize>) -> Option<usize> {
        let free = |server: &Server| {
            let most = if server.failures > 0 { 1 } else { server.bears };
            !server.out && server.flying < most && server.rests_until.is_none_or(|until| until <= now)
        };
        let found = self.servers.iter().enumerate().filter(|(_, server)| free(server));
        let (index, _) = found.min_by_key(|(at, server)| (Some(*at) == not, server.failures, server.flying))?;
        self.servers.get_mut(index)?.flying += 1;
        Some(index)
    }

    /// A request came back from a server, whatever it brought.
    pub(super) fn landed(&mut self, index: usize) {
        if let Some(server) = self.servers.get_mut(index) {
            server.flying = server.flying.saturating_sub(1);
        }
    }

    /// A server has answered as it should: it bears one more, once as many answers as it bears have come.
    pub(super) fn works(&mut self, index: usize) {
        self.answers(index);
        let most = self.most;
        if let Some(server) = self.servers.get_mut(index) {
            (server.failures, server.stumbles) = (0, 0);
            (server.rests_until, server.asked_until) = (None, None);
            server.good += 1;
            if server.good >= server.bears && server.bears < most {
                (server.bears, server.good) = (server.bears + 1, 0);
            }
        }
    }

    /// A server has done its part, be it by an answer or by a refusal of this one request.
    pub(super) fn answers(&mut self, index: usize) {
        self.heard(index);
        self.barren_since = None;
    }

    /// A server is there, for good or ill.
    fn heard(&mut self, index: usize) {
        if let Some(server) = self.servers.get_mut(index) {
            server.down = false;
        }
        self.down_since = None;
    }

    /// A request came to nothing at a server that is there: it broke off, took too long, or was an error of the server's own. One
    /// that does so again and again is left alone for a while, as long as another bears the work.
    pub(super) fn stumbles(&mut self, index: usize, now: Instant, jitter: f64) {
        self.heard(index);
        let mut others = self.servers.iter().enumerate().filter(|(at, _)| *at != index);
        let another = others.any(|(_, server)| server.failures == 0 && server.stumbles < STUMBLES);
        if let Some(server) = self.servers.get_mut(index) {
            server.stumbles = server.stumbles.saturating_add(1);
            if server.stumbles >= STUMBLES && another {
                server.fails(now, None, jitter);
            }
        }
    }

    /// A server has too much to do: it gets half as much, after the time that it asks for.
    pub(super) fn rests(&mut self, index: usize, now: Instant, after: Option<Duration>, jitter: f64) {
        self.heard(index);
        if let Some(server) = self.servers.get_mut(index) {
            (server.bears, server.good) = ((server.bears / 2).max(1), 0);
            server.asked_until = server.asked_until.max(after.map(|after| now + after));
            server.fails(now, after, jitter);
        }
        if self.left().all(|server| server.failures > 0) {
            self.barren_since.get_or_insert(now);
        }
    }

    /// A server is of no use to this run; whether another is left.
    pub(super) fn leaves(&mut self, index: usize) -> bool {
        if let Some(server) = self.servers.get_mut(index) {
            server.out = true;
        }
        self.left().next().is_some()
    }

    /// Those that may still be asked.
    fn left(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter().filter(|server| !server.out)
    }

    /// A server cannot be reached.
    pub(super) fn is_down(&mut self, index: usize, now: Instant, jitter: f64) {
        if let Some(server) = self.servers.get_mut(index) {
            server.down = true;
            server.fails(now, None, jitter);
        }
        if self.left().all(|server| server.down) {
            self.down_since.get_or_insert(now);
        }
    }

    /// How long none has been reached.
    pub(super) fn silent_for(&self, now: Instant) -> Option<Duration> {
        self.down_since.map(|since| now.saturating_duration_since(since))
    }

    /// How long none has done anything but fail.
    pub(super) fn barren_for(&self, now: Instant) -> Option<Duration> {
        self.barren_since.map(|since| now.saturating_duration_since(since))
    }

    /// How long the first of them still wants to be left alone, where all that can be reached have asked for it.
    pub(super) fn all_rest(&self, now: Instant) -> Option<Duration> {
        let there = self.left().filter(|server| !server.down);
        let asked = there.map(|server| server.asked_until?.checked_duration_since(now));
        asked.collect::<Option<Vec<_>>>()?.into_iter().min()
    }

    /// When the next one has rested.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        self.left().filter_map(|server| server.rests_until).filter(|until| *until > now).min()
    }

    /// Nothing is in flight any more: a run may have been left in the middle.
    pub(super) fn begin(&mut self) {
        self.servers.iter_mut().for_each(|server| server.flying = 0);
        (self.down_since, self.barren_since) = (None, None);
    }
}

impl Server {
    fn fails(&mut self, now: Instant, after: Option<Duration>, jitter: f64) {
        // Requests that were in flight together fail together: that is one failure.
        if self.rests_until.is_none_or(|until| until <= now) {
            self.failures = self.failures.saturating_add(1);
        }
        let until = now + after.unwrap_or_else(|| pause(self.failures, jitter));
        self.rests_until = self.rests_until.max(Some(until));
    }
}

/// The pause after so many failures in a row: doubled each time, and shortened by up to half (`jitter` from 0 to 1), so that
/// those who failed together do not come back together.
pub(super) fn pause(failures: u32, jitter: f64) -> Duration {
    let whole = FIRST.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(16))).min(LONGEST);
    whole.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(fleet: &mut Fleet, now: Instant) -> Vec<usize> {
        std::iter::from_fn(|| fleet.take(now, None)).collect()
    }

    #[test]
    fn work_goes_to_the_least_busy_up_to_the_limit_of_each() {
        let now = Instant::now();
        let mut fleet = Fleet::new(2, 2);
        assert_eq!(fill(&mut fleet, now), [0, 1, 0, 1]);
        fleet.landed(1);
        assert_eq!(fill(&mut fleet, now), [1]);
    }

    #[test]
    fn one_that_is_down_is_left_out_and_tried_again_with_one_request() {
        let now = Instant::now();
        let mut fleet = Fleet::new(2, 2);
        assert_eq!(fleet.take(now, None), Some(0));
        fleet.landed(0);
        fleet.is_down(0, now, 0.0);
        assert_eq!(fill(&mut fleet, now), [1, 1]);
        assert_eq!((fleet.next(now), fleet.silent_for(now)), (Some(now + FIRST), None));
        let later = now + FIRST;
        assert_eq!(fill(&mut fleet, later), [0], "a single request tries it");
        fleet.landed(0);
        fleet.is_down(0, later, 0.0);
        assert_eq!(fleet.next(later), Some(later + FIRST * 2), "the pause doubles");
        let again = later + FIRST * 2;
        assert_eq!(fill(&mut fleet, again), [0]);
        fleet.landed(0);
        fleet.works(0);
        assert_eq!(fill(&mut fleet, again), [0, 0]);
    }

    #[test]
    fn silence_is_when_none_can_be_reached() {
        let now = Instant::now();
        let mut fleet = Fleet::new(2, 1);
        fleet.is_down(0, now, 0.0);
        fleet.is_down(1, now, 0.0);
        let later = now + Duration::from_secs(5);
        fleet.is_down(0, later, 0.0);
        assert_eq!(fleet.silent_for(later), Some(Duration::from_secs(5)));
        fleet.heard(1);
        assert_eq!(fleet.silent_for(later), None);
    }

    #[test]
    fn one_that_is_out_is_not_asked_and_does_not_count() {
        let now = Instant::now();
        let mut fleet = Fleet::new(2, 1);
        assert!(fleet.leaves(0));
        assert_eq!(fill(&mut fleet, now), [1]);
        fleet.landed(1);
        fleet.is_down(1, now, 0.0);
        assert_eq!(fleet.silent_for(now), Some(Duration::ZERO), "the other is nobody to wait for");
        assert!(!fleet.leaves(1));
    }

    #[test]
    fn barren_is_when_all_that_are_there_only_say_no() {
        let now = Instant::now();
        let mut fleet = Fleet::new(2, 1);
        fleet.rests(0, now, None, 0.0);
        assert_eq!(fleet.barren_for(now), None, "the other may work");
        fleet.rests(1, now, None, 0.0);
        let later = now + Duration::from_mins(1);
        fleet.rests(0, later, None, 0.0);
        assert_eq!(fleet.barren_for(later), Some(Duration::from_mins(1)));
        fleet.answers(1);
        assert_eq!(fleet.barren_for(later), None, "one that refuses a prompt has read it");
    }

    #[test]
    fn one_with_too_much_to_do_gets_half_and_then_slowly_more() {
        let now = Instant::now();
        let mut fleet = Fleet::new(1, 8);
        assert_eq!(fill(&mut fleet, now).len(), 8);
        (0..8).for_each(|_| fleet.landed(0));
        fleet.rests(0, now, Some(Duration::from_secs(2)), 0.0);
        assert_eq!(fill(&mut fleet, now), [0; 0]);
        let later = now + Duration::from_secs(2);
        assert_eq!(fill(&mut fleet, later).len(), 1);
        fleet.landed(0);
        fleet.works(0);
        assert_eq!(fill(&mut fleet, later).len(), 4);
        (0..4).for_each(|_| fleet.landed(0));
        (0..3).for_each(|_| fleet.works(0));
        assert_eq!(fill(&mut fleet, later).len(), 5);
    }

    #[test]
    fn pauses_double_up_to_a_limit_and_differ() {
        assert_eq!([pause(1, 0.0), pause(2, 0.0), pause(99, 0.0)], [FIRST, FIRST * 2, LONGEST]);
        assert_eq!(pause(2, 1.0), FIRST);
    }
}
