//! Which requests may pass: those of the page itself, in the browser of whoever started it.

use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};

/// What a request must know and say.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    /// The port that is listened on.
    pub port: u16,
    /// The first part of every path.
    pub token: String,
}

impl Guard {
    /// Why a request must not pass, if it must not.
    ///
    /// A foreign page can make a browser send requests here, and by DNS rebinding under a name of its own: so the Host must
    /// be ours. It cannot forge the Origin: so that must be ours where there is one, and be there where something is changed.
    /// It does not know the token, without which nothing is answered but "not found".
    pub(super) fn refuses(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Option<(StatusCode, &'static str)> {
        let hosts = [format!("127.0.0.1:{}", self.port), format!("localhost:{}", self.port)];
        let ours = |name: HeaderName, before: &str| {
            let mut values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
            let value = values.next().and_then(|value| value.strip_prefix(before));
            value.is_some_and(|value| hosts.iter().any(|host| host == value)) && values.next().is_none()
        };
        if !ours(header::HOST, "") {
            return Some((StatusCode::FORBIDDEN, "this page answers to 127.0.0.1 alone"));
        }
        let changes = *method != Method::GET && *method != Method::HEAD;
        if (changes || headers.contains_key(header::ORIGIN)) && !ours(header::ORIGIN, "http://") {
            return Some((StatusCode::FORBIDDEN, "this request comes from another page"));
        }
        let token = path.strip_prefix('/').and_then(|path| path.split('/').next()).unwrap_or_default();
        if !same(token, &self.token) {
            return Some((StatusCode::NOT_FOUND, "open the whole address that tripos printed"));
        }
        let fetched_by = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
        let is_visit = headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate") && !changes;
        if !matches!(fetched_by, None | Some("same-origin" | "none")) && !is_visit {
            return Some((StatusCode::FORBIDDEN, "this request comes from another page"));
        }
        let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if changes && kind != Some("application/json") {
            return Some((StatusCode::UNSUPPORTED_MEDIA_TYPE, "a judgement is JSON"));
        }
        None
    }
}

/// Whether two texts are equal, in a time that does not tell where they differ.
fn same(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.bytes().zip(other.bytes()).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(method: &Method, path: &str, headers: &[(&'static str, &str)]) -> Option<u16> {
        let guard = Guard { port: 4000, token: "abc".into() };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        guard.refuses(method, path, &map).map(|(status, _)| status.as_u16())
    }

    const HOST: (&str, &str) = ("host", "127.0.0.1:4000");
    const ORIGIN: (&str, &str) = ("origin", "http://127.0.0.1:4000");
    const JSON: (&str, &str) = ("content-type", "application/json");

    #[test]
    fn the_page_and_its_own_requests_pass() {
        assert_eq!(status(&Method::GET, "/abc/", &[HOST]), None);
        assert_eq!(
            status(&Method::GET, "/abc/state", &[("host", "localhost:4000"), ("sec-fetch-site", "same-origin")]),
            None
        );
        assert_eq!(status(&Method::POST, "/abc/judge", &[HOST, ORIGIN, JSON]), None);
        let visit = [HOST, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
        assert_eq!(status(&Method::GET, "/abc/", &visit), None, "a link in a terminal that is a web page");
    }

    #[test]
    fn everything_else_is_refused() {
        let get = |path, headers: &[(&'static str, &str)]| status(&Method::GET, path, headers);
        for host in
            ["", "evil.example", "evil.example:4000", "127.0.0.1", "127.0.0.1:4001", "127.0.0.1:4000.evil.example"]
        {
            assert_eq!(get("/abc/", &[("host", host)]), Some(403), "{host}");
        }
        assert_eq!(get("/abc/", &[]), Some(403));
        assert_eq!(get("/abc/", &[HOST, HOST]), Some(403), "two hosts");
        for path in ["/", "", "/abd/", "/ab/", "/abcd/", "/ABC/", "//abc/", "/state", "/abd/../abc/"] {
            assert_eq!(get(path, &[HOST]), Some(404), "{path}");
        }
        for origin in
            ["null", "http://evil.example", "https://127.0.0.1:4000", "http://127.0.0.1:4001", "http://127.0.0.1:4000/"]
        {
            assert_eq!(get("/abc/state", &[HOST, ("origin", origin)]), Some(403), "{origin}");
            assert_eq!(status(&Method::POST, "/abc/judge", &[HOST, ("origin", origin), JSON]), Some(403), "{origin}");
        }
        assert_eq!(status(&Method::POST, "/abc/judge", &[HOST, JSON]), Some(403), "no origin");
        assert_eq!(status(&Method::POST, "/abc/judge", &[HOST, ORIGIN]), Some(415));
        assert_eq!(status(&Method::POST, "/abc/judge", &[HOST, ORIGIN, ("content-type", "text/plain")]), Some(415));
        assert_eq!(get("/abc/state", &[HOST, ("sec-fetch-site", "cross-site")]), Some(403));
        let forged = [HOST, ORIGIN, JSON, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
        assert_eq!(status(&Method::POST, "/abc/judge", &forged), Some(403));
    }
}
