//! The web console as it is served: files that were built beforehand and lie in the binary.
//!
//! What a browser may do with them is said here, by one content security policy for every page. A build without the
//! console is a server without one, and says how it is made. It must never read a file that a request names from
//! the disk of a release, never build anything, and never hold what is anybody's: everything here is public.

use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode,
    header::{
        ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
        LOCATION, REFERRER_POLICY, VARY,
    },
};
use rust_embed::RustEmbed;

/// Where the console is.
const HOME: &str = "/console/";
/// What a page of ours may load and do: everything from here, nothing inline, no text into markup.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; require-trusted-types-for 'script'",
);
/// Names of these files hold a digest of what is in them.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// The page of a server without a console.
const NOT_BUILT: &str = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>huidu</title>\n<h1>The console is not in this build</h1>\n<p>Run <code>make console</code> and build the server again; everything else works without it.</p>\n<p lang=\"zh\">此服务器未内置控制台：请运行 <code>make console</code> 后重新构建服务器；其余功能不受影响。</p>\n</html>\n";

/// The files, by their path under `console/dist`.
#[derive(RustEmbed)]
#[folder = "console/dist"]
#[allow_missing = true]
struct Built;

/// A built file: its bytes, as they are or as `.gz` beside them.
fn file(path: &str, headers: &HeaderMap) -> Option<Response<Vec<u8>>> {
    let packed = takes_gzip(headers)
        .then(|| Built::get(&format!("{path}.gz")))
        .flatten();
    let is_packed = packed.is_some();
    let file = packed.or_else(|| Built::get(path))?;
    let mut response = Response::new(file.data.into_owned());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind(path)?));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if is_packed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let cache = if path.starts_with("assets/") {
        FOR_EVER
    } else {
        NO_STORE
    };
    headers.insert(CACHE_CONTROL, cache);
    Some(response)
}

/// The media type of a file by its name; what has none here is not served.
fn kind(path: &str) -> Option<&'static str> {
    Some(match path.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => return None,
    })
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut said = headers.get_all(ACCEPT_ENCODING).iter();
    said.any(|line| {
        let line = line.to_str().unwrap_or_default();
        let mut words = line.split(',').map(str::trim);
        words.any(|word| {
            let (name, quality) = word.split_once(';').unwrap_or((word, ""));
            let quality = quality.trim().trim_start_matches("q=");
            let refused = !quality.is_empty() && quality.trim_matches(['0', '.']).is_empty();
            name.trim().eq_ignore_ascii_case("gzip") && !refused
        })
    })
}

/// What is served at `path`; none: it is nothing of the console.
pub fn serve(method: &Method, path: &str, headers: &HeaderMap) -> Option<Response<Vec<u8>>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    if path == "/" || path == HOME.trim_end_matches('/') {
        let mut response = Response::new(Vec::new());
        *response.status_mut() = StatusCode::SEE_OTHER;
        let headers = response.headers_mut();
        headers.insert(LOCATION, HeaderValue::from_static(HOME));
        return Some(response);
    }
    let within = path.strip_prefix(HOME)?;
    // Pages have addresses of their own, and all of them are one document; files are files.
    let is_file = within.starts_with("assets/") || within == "icon.svg";
    // A build for development reads the files from the disk, where a name can lead elsewhere.
    if is_file && within.split('/').any(|part| part.starts_with('.')) {
        return None;
    }
    let name = if is_file { within } else { "index.html" };
    let mut response = match file(name, headers) {
        Some(response) => response,
        None if is_file => return None,
        None => not_built(),
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Some(response)
}

fn not_built() -> Response<Vec<u8>> {
    let mut response = Response::new(NOT_BUILT.as_bytes().to_vec());
    *response.status_mut() = StatusCode::NOT_FOUND;
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str) -> Option<Response<Vec<u8>>> {
        serve(&Method::GET, path, &HeaderMap::new())
    }

    #[test]
    fn pages_are_one_document_under_one_policy_whether_or_not_it_was_built() {
        for path in ["/console/", "/console/apps/pingan/travel", "/console/x.js"] {
            let reply = get(path).unwrap();
            assert_eq!(reply.headers()[CONTENT_SECURITY_POLICY], POLICY, "{path}");
            assert_eq!(
                reply.headers()[CONTENT_TYPE],
                "text/html; charset=utf-8",
                "{path}"
            );
            let says = String::from_utf8(reply.into_body()).unwrap();
            assert!(
                says.contains("make console") || says.contains("/console/assets/"),
                "{path}: {says}"
            );
        }
        assert_eq!(get("/").unwrap().headers()[LOCATION], HOME);
    }

    #[test]
    fn nothing_else_is_the_consoles() {
        for path in [
            "/api/v1/nothing",
            "/consoles",
            "/console/assets/../index.html",
            "/console/assets/../../Cargo.toml",
            "/console/assets/nothing.js",
        ] {
            assert!(get(path).is_none(), "{path}");
        }
        assert!(serve(&Method::POST, "/console/", &HeaderMap::new()).is_none());
    }

    #[test]
    fn gzip_is_sent_to_whoever_takes_it() {
        for (said, takes) in [
            ("gzip, deflate, br", true),
            ("br;q=1.0, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip;q=0.0", false),
            ("br", false),
            ("xgzip", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, said.parse().unwrap())]);
            assert_eq!(takes_gzip(&headers), takes, "{said}");
        }
    }
}
