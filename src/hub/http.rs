//! Requests: redirects followed by hand, retries with patience, and an end at Ctrl-C.
//!
//! Redirects are followed here and not by the library, because the token must not leave the hub, and because a circle is a
//! problem with words of its own. 429, 5xx and failing connections are tried again after 0.5, 1, 2 … seconds (a quarter more
//! or less, so that many do not come back at once), or after what the server asks for.

use super::error::HubProblem;
use super::{Settings, Watch};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Client, NoProxy, Proxy, Response, StatusCode, Url};
use std::error::Error as _;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Redirects that are followed.
const MOST_REDIRECTS: usize = 10;
/// Requests in a row that may fail.
pub(super) const TRIES: u32 = 5;
/// The same where nobody is there at all: a name that is misspelt stays so.
const TRIES_TO_REACH: u32 = 3;
/// The first pause; each next one is twice as long.
const PAUSE: Duration = Duration::from_millis(500);
/// A server that asks for more is left alone.
const MOST_PATIENCE: u64 = 120;
/// How often it is looked whether to stop.
const TICK: Duration = Duration::from_millis(100);
/// A description of a repository has no more bytes.
const MOST_JSON: usize = 32 << 20;

/// What requests are sent with.
pub(super) struct Http<'a> {
    runtime: tokio::runtime::Runtime,
    client: Client,
    endpoint: Url,
    token: Option<HeaderValue>,
    pub(super) watch: Watch<'a>,
}

/// Why a request came to nothing, and whether another may come to something.
enum Fault {
    /// The server is not to be reached.
    Connection(HubProblem),
    /// Anything else.
    Final(HubProblem),
}

impl<'a> Http<'a> {
    /// Ready to send; nothing is sent yet.
    pub(super) fn new(settings: &Settings, watch: Watch<'a>) -> Result<Self, HubProblem> {
        let setting = |what, value: &str, why: &dyn std::fmt::Display| HubProblem::Setting {
            what,
            value: setting_without_secrets(value),
            why: why.to_string(),
        };
        let endpoint = settings.endpoint.trim_end_matches('/');
        let endpoint = Url::parse(endpoint)
            .map_err(|_| setting("HF_ENDPOINT", endpoint, &"it is no address such as https://huggingface.co"))?;
        if !matches!(endpoint.scheme(), "http" | "https") {
            return Err(setting("HF_ENDPOINT", endpoint.as_str(), &"it begins with https://"));
        }
        // The token itself is not said.
        let token = settings.token.as_ref().map(|token| {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim()))
                .map_err(|_| setting("HF_TOKEN", "…", &"it holds characters that no token has"))?;
            value.set_sensitive(true);
            Ok(value)
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = runtime.map_err(|e| setting("the network", "", &e))?;
        let mut client = Client::builder()
            .user_agent(concat!("tripos/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_mins(1))
            .no_proxy();
        // The environment is the command line's to read.
        let apart = settings.no_proxy.as_deref().and_then(NoProxy::from_string);
        for (what, address) in [("HTTP_PROXY", &settings.http_proxy), ("HTTPS_PROXY", &settings.https_proxy)] {
            let Some(address) = address else { continue };
            let proxy = if what == "HTTP_PROXY" { Proxy::http(address) } else { Proxy::https(address) };
            client = client.proxy(proxy.map_err(|e| setting(what, address, &deepest(&e)))?.no_proxy(apart.clone()));
        }
        // Where the program has chosen already, that is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = client.build().map_err(|e| setting("the network", "", &deepest(&e)))?;
        Ok(Self { runtime, client, endpoint, token: token.transpose()?, watch })
    }

    /// An address of the hub, by the parts of its path.
    pub(super) fn hub(&self, parts: &[&str]) -> Url {
        let mut url = self.endpoint.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(parts);
        }
        url
    }

    /// The hub's address, for people: without what `HF_ENDPOINT` may hold of a name, a password and a query.
    pub(super) fn site(&self) -> String {
        shown(&self.endpoint).trim_end_matches('/').to_owned()
    }

    /// The hub's host.
    pub(super) fn host(&self) -> String {
        host(&self.endpoint)
    }

    /// Whether requests to the hub say who asks.
    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Sends a request until it is answered by something else than 429 or 5xx, or patience ends.
    pub(super) fn get(&self, url: &Url, headers: &HeaderMap) -> Result<Response, HubProblem> {
        let mut tries = 0;
        loop {
            tries += 1;
            let (problem, most, after) = match self.follow(url, headers) {
                Ok(response) if is_passing(response.status()) => {
                    let (after, host, status) = (retry_after(response.headers()), host(url), words(response.status()));
                    let problem = match response.status() {
                        StatusCode::TOO_MANY_REQUESTS => HubProblem::Busy { host, after },
                        _ => HubProblem::Server { host, status, tries },
                    };
                    (problem, TRIES, after)
                }
                Ok(response) => return Ok(response),
                Err(Fault::Final(problem)) => return Err(problem),
                Err(Fault::Connection(problem)) => (problem, TRIES_TO_REACH, None),
            };
            if tries >= most || after.is_some_and(|seconds| seconds > MOST_PATIENCE) {
                return Err(problem);
            }
            let pause = after.map_or_else(|| pause(tries), Duration::from_secs);
            self.watch.observer.waits(&format!("{problem}; again in {:.1} s", pause.as_secs_f64()));
            self.pause(pause)?;
        }
    }

    /// Waits, unless it is stopped.
    pub(super) fn pause(&self, length: Duration) -> Result<(), HubProblem> {
        self.until(async move { tokio::time::sleep(length).await }).ok_or(HubProblem::Interrupted { kept: 0 })
    }

    /// The next piece of a body; `None` at its end. A failing connection is an error of the inner kind.
    pub(super) fn chunk(&self, response: &mut Response) -> Result<Result<Option<Vec<u8>>, String>, HubProblem> {
        let next = self.until(async { response.chunk().await }).ok_or(HubProblem::Interrupted { kept: 0 })?;
        Ok(next.map(|piece| piece.map(|bytes| bytes.to_vec())).map_err(|e| deepest(&e)))
    }

    /// The whole of a body that is not large.
    pub(super) fn body(&self, mut response: Response) -> Result<Vec<u8>, HubProblem> {
        let mut body = Vec::new();
        loop {
            match self.chunk(&mut response)? {
                Ok(Some(piece)) if body.len() + piece.len() <= MOST_JSON => body.extend(piece),
                Ok(None) => return Ok(body),
                Ok(Some(_)) => {
                    return Err(HubProblem::NotHub { host: host(response.url()), found: "more than 32 MiB".into() });
                }
                Err(why) => return Err(HubProblem::Unreachable { host: host(response.url()), why }),
            }
        }
    }

    /// One request and the redirects behind it.
    fn follow(&self, first: &Url, headers: &HeaderMap) -> Result<Response, Fault> {
        let mut seen = vec![first.clone()];
        let mut url = first.clone();
        let circle = |why: String| Fault::Final(HubProblem::Redirects { host: host(first), why });
        loop {
            let mut request = self.client.get(url.clone()).headers(headers.clone());
            // Only the hub learns who asks: not the servers that it sends to.
            if let Some(token) = self.token.as_ref().filter(|_| url.origin() == self.endpoint.origin()) {
                request = request.header(AUTHORIZATION, token.clone());
            }
            let sent =
                self.until(async { request.send().await }).ok_or(Fault::Final(HubProblem::Interrupted { kept: 0 }))?;
            let response = sent.map_err(|error| fault(&url, &error))?;
            if !response.status().is_redirection() || response.status() == StatusCode::NOT_MODIFIED {
                return Ok(response);
            }
            let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).and_then(|to| url.join(to).ok());
            let to = to.ok_or_else(|| circle(format!("{} without a place to go to", words(response.status()))))?;
            if url.scheme() == "https" && to.scheme() != "https" {
                return Err(circle(format!("from https to {}", to.scheme())));
            }
            if seen.contains(&to) {
                return Err(circle(format!("{} leads back to itself", shown(&to))));
            }
            if seen.len() > MOST_REDIRECTS {
                return Err(circle(format!("more than {MOST_REDIRECTS} redirects")));
            }
            seen.push(to.clone());
            url = to;
        }
    }

    /// Runs something to its end, or until it is stopped. It is an `async` block wherever it may look for a clock: there is one
    /// inside only.
    fn until<F: Future>(&self, future: F) -> Option<F::Output> {
        self.runtime.block_on(async {
            let mut future = pin!(future);
            // Looked at first: pieces may come faster than the clock ticks.
            while !self.watch.stop.load(Ordering::Relaxed) {
                if let Ok(done) = tokio::time::timeout(TICK, future.as_mut()).await {
                    return Some(done);
                }
            }
            None
        })
    }
}

/// What a server says that does not give what was asked for.
pub(super) fn refusal(response: &Response) -> HubProblem {
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (code, said) = (header("x-error-code").unwrap_or_default(), header("x-error-message"));
    HubProblem::Status { host: host(response.url()), status: words(response.status()), code, said }
}

/// Whether a status may be another one in a while.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
}

/// The pause before the next of so many tries.
pub(super) fn pause(tries: u32) -> Duration {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.subsec_nanos());
    let part = f64::from(nanos % 1000) / 1000.0;
    PAUSE.saturating_mul(1 << (tries.saturating_sub(1)).min(6)).mul_f64(0.75 + part / 2.0)
}

/// `Retry-After`, in seconds: a number, or a date.
fn retry_after(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    text.parse().ok().or_else(|| {
        let then = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        u64::try_from(then.as_second() - jiff::Timestamp::now().as_second()).ok()
    })
}

fn fault(url: &Url, error: &reqwest::Error) -> Fault {
    let (host, why) = (host(url), deepest(error));
    if error.is_builder() {
        return Fault::Final(HubProblem::Unreachable { host, why });
    }
    let folded = why.to_lowercase();
    if ["certificate", "tls", "handshake", "corrupt message"].iter().any(|word| folded.contains(word)) {
        return Fault::Final(HubProblem::Tls { host, why });
    }
    Fault::Connection(HubProblem::Unreachable { host, why })
}

/// The innermost of an error's reasons, which names what happened.
fn deepest(error: &reqwest::Error) -> String {
    let mut words = error.to_string();
    // The library's own words hold the whole address.
    if let Some(url) = error.url() {
        words = words.replace(url.as_str(), &shown(url));
    }
    let mut inner = error.source();
    while let Some(error) = inner {
        words = error.to_string();
        inner = error.source();
    }
    if error.is_timeout() { "it does not answer in time".into() } else { words }
}

/// `host` or `host:port`.
pub(super) fn host(url: &Url) -> String {
    let name = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}

/// An address without a name, a password, a query and a fragment.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // What cannot have them has none.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    url.into()
}

/// A setting that should be an address, and may be none: whatever stands before an `@` may be a password, also where it holds
/// what ends a host.
fn setting_without_secrets(value: &str) -> String {
    let (scheme, rest) = value.split_once("://").map_or(("", value), |(scheme, rest)| (scheme, rest));
    let scheme = if scheme.is_empty() { String::new() } else { format!("{scheme}://") };
    let (secret, rest) = rest.rsplit_once('@').map_or(("", rest), |(_, rest)| ("…@", rest));
    format!("{scheme}{secret}{}", rest.split(['?', '#']).next().unwrap_or(rest))
}

/// `503 Service Unavailable`
pub(super) fn words(status: StatusCode) -> String {
    format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default()).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_differ_a_little() {
        for tries in 1..=4 {
            let usual = 0.5 * f64::from(1 << (tries - 1));
            let found = pause(tries).as_secs_f64();
            assert!((usual * 0.75..=usual * 1.25).contains(&found), "{tries}: {found}");
        }
        assert!(pause(1000) < Duration::from_secs(41));
    }

    #[test]
    fn settings_and_addresses_are_shown_without_secrets() {
        for (value, expected) in [
            ("huggingface.co", "huggingface.co"),
            ("http://me:pa/ss@proxy:80x/", "http://…@proxy:80x/"),
            ("socks9://me:secret@proxy", "socks9://…@proxy"),
            ("me:secret@proxy:8080?x=secret", "…@proxy:8080"),
        ] {
            assert_eq!(setting_without_secrets(value), expected);
        }
        let url = Url::parse("https://me:secret@h:8443/a%20b.gguf?X-Amz-Signature=secret#secret").unwrap();
        assert_eq!(shown(&url), "https://h:8443/a%20b.gguf");
    }

    #[test]
    fn the_library_names_no_secret_of_an_address() {
        let settings = |endpoint: &str, proxy: Option<&str>| Settings {
            endpoint: endpoint.into(),
            token: None,
            hub: "hub".into(),
            own: "own".into(),
            http_proxy: proxy.map(str::to_owned),
            https_proxy: None,
            no_proxy: None,
            offline: false,
        };
        let stop = std::sync::atomic::AtomicBool::new(false);
        let watch = Watch { observer: &crate::hub::Silent, stop: &stop };
        let problem = |settings: &Settings| Http::new(settings, watch).err().unwrap().to_string();
        for endpoint in ["ftp://me:secret@h", "http://me:secret@h:port"] {
            let said = problem(&settings(endpoint, None));
            assert!(said.starts_with("HF_ENDPOINT `") && !said.contains("secret"), "{said}");
        }
        let said = problem(&settings("http://h", Some("http://me:secret@h:port")));
        assert!(said.starts_with("HTTP_PROXY `http://…@h:port`") && !said.contains("secret"), "{said}");
        let http = Http::new(&settings("https://me:secret@hub.example/sub/?x=secret", None), watch).unwrap();
        assert_eq!(http.site(), "https://hub.example/sub");
    }

    #[test]
    fn a_server_may_ask_to_wait_in_seconds_or_until_a_time() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(text).unwrap());
            retry_after(&headers)
        };
        assert_eq!(of("7"), Some(7));
        assert_eq!(of("soon"), None);
        assert_eq!(of("Wed, 21 Oct 2015 07:28:00 GMT"), None, "it is past");
        assert!(of("Fri, 31 Dec 2100 23:59:59 GMT").is_some_and(|seconds| seconds > 1_000_000_000));
    }
}
