//! The page on which a person orders answers: a small HTTP server on loopback, for one rater.
//!
//! What guards it (`guard.rs`): it listens on 127.0.0.1 only; every path begins with a random token; the Host must be its
//! own (no DNS rebinding), the Origin, too, and a request that changes something must have one (no forged requests); there
//! is no CORS; bodies are small. What is shown travels as JSON, and the script puts it into the page as text, never as HTML;
//! the policy of the page lets nothing run that is not one of its two files. A judgement is answered for when it is on disk.
//!
//! Not guarded against: who shares the machine and reads its list of processes while the system's opener is given the address.
//! There, open it by hand (`--no-open`).

mod guard;

use super::error::{RankError, RankProblem};
use super::session::{Given, Refusal, Session, View};
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, serve};
use guard::Guard;
use serde_json::json;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = concat!(
    "\"use strict\";\n",
    include_str!("nodes.js"),
    include_str!("order.js"),
    include_str!("scores.js"),
    include_str!("work.js"),
);
const ICON: &str = include_str!("icon.svg");

/// Nothing but the page's own two files runs or is applied, and nothing is sent elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Most bytes of a request's body: an order of nine answers and a comment of 4,000 characters are far less.
const MOST: usize = 64 * 1024;
/// How often it looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);
/// How long requests that are in flight may take then.
const GRACE: Duration = Duration::from_secs(2);

/// A page that listens, and serves nothing yet.
#[derive(Debug)]
pub struct Page {
    listener: TcpListener,
    guard: Guard,
}

/// What requests share.
struct Shared {
    session: Mutex<Session>,
    guard: Guard,
}

impl Page {
    /// Takes a port of 127.0.0.1 (0 for a free one) and draws the token.
    pub fn listen(port: u16) -> Result<Self, RankError> {
        let failed = |reason: String| RankError::from(RankProblem::Listen { port, reason });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|e| failed(e.to_string()))?;
        let port = listener.local_addr().map_err(|e| failed(e.to_string()))?.port();
        let mut token = [0; 16];
        getrandom::fill(&mut token).map_err(|e| failed(e.to_string()))?;
        let token = token.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { listener, guard: Guard { port, token } })
    }

    /// Its address, with the token.
    #[must_use]
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}/{}/", self.guard.port, self.guard.token)
    }

    /// Serves until `stop`, and gives the session back.
    pub fn serve(self, session: Session, stop: &AtomicBool) -> Result<Session, RankError> {
        let port = self.guard.port;
        let failed = |e: std::io::Error| RankError::from(RankProblem::Listen { port, reason: e.to_string() });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let shared = Arc::new(Shared { session: Mutex::new(session), guard: self.guard });
        let routes = routes(shared.clone());
        let listener = self.listener;
        runtime
            .block_on(async {
                listener.set_nonblocking(true)?;
                let listener = tokio::net::TcpListener::from_std(listener)?;
                let (end, ended) = tokio::sync::oneshot::channel::<()>();
                let server = serve(listener, routes).with_graceful_shutdown(async {
                    let _ = ended.await;
                });
                let mut server = tokio::spawn(server.into_future());
                loop {
                    match tokio::time::timeout(LOOK, &mut server).await {
                        Ok(done) => return done.unwrap_or(Ok(())),
                        Err(_) if stop.load(Ordering::Relaxed) => break,
                        Err(_) => {}
                    }
                }
                // An idle connection of a browser need not be waited for.
                let _ = end.send(());
                let _ = tokio::time::timeout(GRACE, server).await;
                Ok(())
            })
            .map_err(failed)?;
        drop(runtime);
        match Arc::try_unwrap(shared) {
            Ok(shared) => Ok(shared.session.into_inner().unwrap_or_else(PoisonError::into_inner)),
            Err(_) => Err(RankProblem::Listen { port, reason: "a request is still in flight".into() }.into()),
        }
    }
}

fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/{token}/", get(async || text("text/html; charset=utf-8", PAGE)))
        .route("/{token}/page.css", get(async || text("text/css; charset=utf-8", STYLE)))
        .route("/{token}/page.js", get(async || text("text/javascript; charset=utf-8", SCRIPT)))
        .route("/{token}/icon.svg", get(async || text("image/svg+xml", ICON)))
        .route("/{token}/state", get(state))
        .route("/{token}/judge", post(judge))
        .route("/{token}/undo", post(undo))
        .layer(DefaultBodyLimit::max(MOST))
        .layer(from_fn_with_state(shared.clone(), guarded))
        .with_state(shared)
}

fn text(kind: &'static str, body: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

/// Lets through what may pass, and sets the headers of every answer.
async fn guarded(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let mut response = match shared.guard.refuses(request.method(), request.uri().path(), request.headers()) {
        Some((status, why)) => (status, why).into_response(),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for (name, value) in
        [("cross-origin-resource-policy", "same-origin"), ("cross-origin-opener-policy", "same-origin")]
    {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// What the screen shows.
async fn state(State(shared): State<Arc<Shared>>, Path(_): Path<String>) -> Response {
    seen(StatusCode::OK, &shared.with(|session| session.view()), None)
}

/// Keeps a judgement and says what comes next.
async fn judge(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    match serde_json::from_slice::<Given>(&body) {
        Err(e) => (StatusCode::BAD_REQUEST, format!("no judgement: {e}")).into_response(),
        Ok(given) => shared.answer(|session| session.judge(&given)),
    }
}

/// Takes the last judgement back and shows it again.
async fn undo(State(shared): State<Arc<Shared>>) -> Response {
    shared.answer(Session::undo)
}

impl Shared {
    fn with<T>(&self, act: impl FnOnce(&mut Session) -> T) -> T {
        // A request that failed leaves the session as it was.
        act(&mut self.session.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn answer(&self, act: impl FnOnce(&mut Session) -> Result<(), Refusal>) -> Response {
        let (done, view) = self.with(|session| (act(session), session.view()));
        match done {
            Ok(()) => seen(StatusCode::OK, &view, None),
            Err(refusal) => {
                let status = match refusal {
                    Refusal::Done | Refusal::NothingDone => StatusCode::CONFLICT,
                    Refusal::NoItem | Refusal::Verdict(_) => StatusCode::UNPROCESSABLE_ENTITY,
                    Refusal::File(_) => StatusCode::INTERNAL_SERVER_ERROR,
                };
                seen(status, &view, Some(&refusal.to_string()))
            }
        }
    }
}

fn seen(status: StatusCode, view: &View, refused: Option<&str>) -> Response {
    let body = json!({"view": view, "refused": refused}).to_string();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_makes_no_html_from_texts_and_asks_nobody_else() {
        for word in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "Function(",
            "http:",
            "https:",
            ".style",
            "setAttribute(\"style\"",
            "srcdoc",
            "localStorage",
        ] {
            assert!(!SCRIPT.contains(word), "{word}");
        }
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
        assert!(
            !PAGE.contains("style=")
                && !PAGE.contains("onclick")
                && !PAGE.contains("onload")
                && PAGE.matches("<script").count() == 1
        );
    }

    #[test]
    fn every_page_has_a_token_of_its_own() {
        let (one, other) = (Page::listen(0).unwrap(), Page::listen(0).unwrap());
        assert_ne!(one.guard.token, other.guard.token);
        assert_eq!(one.guard.token.len(), 32);
        let taken = Page::listen(one.guard.port).unwrap_err();
        assert!(taken.to_string().starts_with("cannot listen on 127.0.0.1:"), "{taken}");
    }
}
