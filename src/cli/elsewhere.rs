//! Models that lie elsewhere, brought here before anything is asked of them: what `hf://…` in a suite, a recipe or behind
//! `--model` becomes. `check` and `--dry-run` bring nothing; they say what would be.

use super::environment;
use super::failure::Failure;
use super::interrupt;
use super::output::complain;
use super::rewriting::size;
use crate::error::{Explain, Place, Problems};
use crate::hub::{Hub, HubError, Observer, Silent, Uri, Watch};
use crate::suite::{AdapterRef, Document, Located, beside, elsewhere, is_elsewhere, split_scale};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// Without a terminal, a line is printed after so long at the earliest.
const SELDOM: Duration = Duration::from_secs(10);

/// What is over at once is not stopped.
static NEVER: AtomicBool = AtomicBool::new(false);

/// What becomes of models that are not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absent {
    /// They are downloaded.
    Bring,
    /// It is said what would be.
    Say,
    /// Nobody is asked; the rest of the file is looked at as if they were here.
    Leave,
}

/// Does something with the hub as the environment sets it, under a bar.
pub(super) fn with_hub<T>(quiet: bool, act: impl FnOnce(&Hub) -> Result<T, HubError>) -> Result<T, Failure> {
    let settings = environment::hub()?;
    let progress = Progress::new(quiet);
    let done = interrupt::listen_while(|stop| act(&Hub::new(settings, Watch { observer: &progress, stop })));
    progress.clear();
    done.map_err(failed)
}

/// An interruption has its own exit code, and what it leaves is said.
fn failed(error: HubError) -> Failure {
    if !error.is_interrupted() {
        return error.into();
    }
    let help = error.help().unwrap_or_default();
    complain(&format!("{error}\n  {help}\n"));
    Failure::Code(130)
}

/// The models of the cache, whoever put them there; none where there is no cache.
pub(super) fn kept() -> Vec<PathBuf> {
    let Ok(settings) = environment::hub() else { return Vec::new() };
    let hub = Hub::new(settings, Watch { observer: &Silent, stop: &NEVER });
    hub.entries().into_iter().filter(|entry| entry.complete).map(|entry| entry.path).collect()
}

/// The file of a model that a flag or an argument names: a path, or what is brought from elsewhere.
pub(super) fn local(model: &Path, quiet: bool) -> Result<PathBuf, Failure> {
    let Some(uri) = model.to_str().filter(|_| is_elsewhere(model)) else { return Ok(model.to_path_buf()) };
    let uri = Uri::parse(uri)?;
    with_hub(quiet, |hub| hub.bring(&uri)).map(|found| found.path)
}

/// The file of an adapter, with the scale that may stand behind it.
pub(super) fn local_adapter(written: &str, quiet: bool) -> Result<AdapterRef, Failure> {
    let (path, scale) = split_scale(written);
    Ok(AdapterRef { path: local(Path::new(path), quiet)?, scale })
}

/// The files of the models that a suite or a recipe names, `model` and `adapter` being what flags put in their place.
///
/// A file that cannot be read names nothing: whoever reads it says so.
pub(super) fn locate(
    file: &Path,
    (model, adapter): (Option<&Path>, Option<&Path>),
    absent: Absent,
    quiet: bool,
) -> Result<Located, Failure> {
    let flags = model.into_iter().chain(adapter).filter(|path| is_elsewhere(path)).filter_map(Path::to_str);
    let mut named: Vec<(String, Option<Place>)> = flags.map(|uri| (uri.to_owned(), None)).collect();
    if let Ok(document) = Document::open(file, "the file") {
        let places = elsewhere(&document, model.is_none());
        named.extend(places.into_iter().map(|(uri, place)| (uri, Some(place))));
        named.extend(of_suites(file, &document).into_iter().map(|(uri, place)| (uri, Some(place))));
    }
    if named.is_empty() {
        return Ok(Located::default());
    }
    let (located, problems) = with_hub(quiet || absent != Absent::Bring, |hub| {
        let (mut located, mut problems) = (Located::default(), Problems::new());
        for (uri, place) in named {
            match one(hub, &uri, absent, &mut located) {
                Ok(()) => {}
                Err(error) if error.is_interrupted() => return Err(error),
                Err(error) => problems.push(if let Some(place) = place { error.named_at(place) } else { error }),
            }
        }
        Ok((located, problems))
    })?;
    Ok(problems.or_ok(located)?)
}

/// One of them.
fn one(hub: &Hub, written: &str, absent: Absent, located: &mut Located) -> Result<(), HubError> {
    let uri = Uri::parse(written)?;
    if absent == Absent::Bring {
        located.insert(written, hub.bring(&uri)?.path);
        return Ok(());
    }
    if let Some(found) = hub.find(&uri)? {
        located.insert(written, found.path);
        return Ok(());
    }
    if absent == Absent::Leave {
        located.would(written, "it is fetched before anything is asked".to_owned());
        return Ok(());
    }
    let fate = match hub.would_come(&uri) {
        Ok(Some(0)) => "its bytes are here, and nothing would be downloaded".to_owned(),
        Ok(Some(bytes)) => format!("{} would be downloaded", size(bytes)),
        Ok(None) => "it would be downloaded".to_owned(),
        Err(error) if error.is_out_of_reach() => format!("it would be downloaded, and cannot be now ({error})"),
        Err(error) => return Err(error),
    };
    located.would(written, fate);
    Ok(())
}

/// The length of a file.
pub(super) fn local_bytes(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |about| about.len())
}

/// What the suites of a recipe judge with; their own models are not asked.
fn of_suites(file: &Path, recipe: &Document) -> Vec<(String, Place)> {
    let value = recipe.value();
    let practised = value.get("practice").and_then(|practice| practice.get("suite"));
    let suites = [value.get("recipe").and_then(|_| value.get("suite")), practised];
    let paths = suites.into_iter().flatten().filter_map(|suite| suite.as_str()).map(|suite| beside(file, suite));
    let documents = paths.filter_map(|path| Document::open(&path, "the suite").ok());
    documents.flat_map(|document| elsewhere(&document, false)).collect()
}

/// Shows downloads on stderr: a bar on a terminal, now and then a line elsewhere, or nothing.
pub(super) struct Progress {
    quiet: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    bar: Option<ProgressBar>,
    file: String,
    pace: Option<Pace>,
}

/// How fast a file comes.
struct Pace {
    /// When it began, and how much was here then.
    began: (Instant, u64),
    /// When it was last told.
    told: Instant,
}

impl Pace {
    fn new(done: u64) -> Self {
        Self { began: (Instant::now(), done), told: Instant::now() }
    }

    /// Bytes a second, where it was not told for so long. A download may begin anew with less than there was.
    fn speed(&mut self, done: u64, seldom: Duration) -> Option<f64> {
        if done < self.began.1 {
            self.began = (Instant::now(), done);
        }
        if self.told.elapsed() < seldom {
            return None;
        }
        self.told = Instant::now();
        let (began, before) = self.began;
        Some((done - before) as f64 / began.elapsed().as_secs_f64().max(1e-9))
    }
}

impl Progress {
    pub(super) fn new(quiet: bool) -> Self {
        Self { quiet, state: Mutex::new(State::default()) }
    }

    fn with(&self, act: impl FnOnce(&mut State)) {
        if !self.quiet {
            act(&mut self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        }
    }

    /// Takes the bar away.
    pub(super) fn clear(&self) {
        self.ended();
    }
}

impl Observer for Progress {
    fn began(&self, file: &str, done: u64, total: Option<u64>) {
        self.with(|state| {
            let before = if done > 0 { format!(", {} of it here already", size(done)) } else { String::new() };
            let all = total.map_or_else(String::new, |total| format!(" ({})", size(total)));
            complain(&format!("downloading {file}{all}{before}\n"));
            file.clone_into(&mut state.file);
            state.pace = Some(Pace::new(done));
            state.bar = std::io::stderr().is_terminal().then(|| bar(total, done));
        });
    }

    fn came(&self, done: u64, total: Option<u64>) {
        self.with(|state| {
            if let Some(bar) = &state.bar {
                if let Some(total) = total {
                    bar.set_length(total);
                }
                return bar.set_position(done);
            }
            if let Some(pace) = &mut state.pace
                && let Some(speed) = pace.speed(done, SELDOM)
            {
                complain(&line(&state.file, done, total, speed));
            }
        });
    }

    fn ended(&self) {
        self.with(|state| {
            if let Some(bar) = state.bar.take() {
                bar.finish_and_clear();
            }
        });
    }

    fn waits(&self, why: &str) {
        self.with(|state| match &state.bar {
            Some(bar) => bar.suspend(|| complain(&format!("{why}\n"))),
            None => complain(&format!("{why}\n")),
        });
    }
}

/// `a.gguf: 1.2 GiB of 4.6 GiB (26 %), 31.0 MiB/s, 112 s left`
fn line(file: &str, done: u64, total: Option<u64>, speed: f64) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a float saturates
    let second = size(speed as u64);
    let left = total.map_or_else(String::new, |total| {
        let seconds = total.saturating_sub(done) as f64 / speed.max(1.0);
        format!(" of {} ({} %), {second}/s, {seconds:.0} s left", size(total), done.saturating_mul(100) / total.max(1))
    });
    let left = if left.is_empty() { format!(", {second}/s") } else { left };
    format!("{file}: {}{left}\n", size(done))
}

fn bar(total: Option<u64>, done: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(5));
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left") {
        bar.set_style(style);
    }
    bar.set_position(done);
    bar.reset_eta();
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_that_begins_anew_has_a_pace_of_its_own() {
        let mut pace = Pace::new(3_000_000);
        assert!(pace.speed(3_500_000, Duration::ZERO).is_some_and(|speed| speed > 0.0));
        assert_eq!(pace.speed(4_000_000, Duration::from_mins(1)), None, "it was told just now");
        assert!(pace.speed(1_000, Duration::ZERO).is_some_and(|speed| speed < 1.0), "nothing has come since");
        assert!(pace.speed(2_000, Duration::ZERO).is_some_and(|speed| speed > 0.0));
    }

    #[test]
    fn a_line_says_how_far_and_how_fast() {
        assert_eq!(
            line("a.gguf", 5 << 20, Some(20 << 20), 1_048_576.0),
            "a.gguf: 5.0 MiB of 20.0 MiB (25 %), 1.0 MiB/s, 15 s left\n"
        );
        assert_eq!(line("a.gguf", 5 << 20, None, 1_048_576.0), "a.gguf: 5.0 MiB, 1.0 MiB/s\n");
    }
}
