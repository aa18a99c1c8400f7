//! As much of a browser as a sign-in needs: cookies by host and path, redirects, forms, a page that leads on;
//! and the rule that a strict cookie stays at home when another site leads the way.

use std::time::Duration;

use http::Uri;
use ureq::Agent;

/// Redirects of one navigation.
const REDIRECTS: usize = 12;

struct Cookie {
    host: String,
    path: String,
    name: String,
    value: String,
    is_strict: bool,
}

/// A browser.
pub(super) struct Browser {
    agent: Agent,
    cookies: Vec<Cookie>,
    /// Stops in front of addresses that hold this.
    pub(super) stops_at: Option<&'static str>,
}

/// A page that was reached.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) address: String,
    pub(super) status: u16,
    pub(super) body: String,
}

impl Page {
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// What stands between `before` and `after`.
    fn between(&self, before: &str, after: &str) -> Option<&str> {
        self.body.split_once(before)?.1.split(after).next()
    }
}

fn host(address: &str) -> String {
    address.parse::<Uri>().unwrap().host().unwrap().to_owned()
}

impl Browser {
    pub(super) fn new() -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(Duration::from_secs(20)))
            .build()
            .new_agent();
        Self {
            agent,
            cookies: Vec::new(),
            stops_at: None,
        }
    }

    /// Types an address.
    pub(super) fn open(&mut self, address: &str) -> Page {
        self.navigate("GET", address, None, false)
    }

    /// Fills in the provider's form and goes wherever it leads.
    pub(super) fn log_in(&mut self, page: &Page, who: &str) -> Page {
        let action = page
            .between("action=\"", "\"")
            .unwrap_or_else(|| panic!("no form: {page:?}"));
        let form = format!("prompt=login&login={who}&password=any");
        let action = action.to_owned();
        self.navigate("POST", &action, Some(&form), false)
    }

    /// Goes on where a page leads by itself: the page's own doing, so strict cookies go along.
    pub(super) fn go_on(&mut self, page: &Page) -> Page {
        let next = page
            .between("content=\"0;url=", "\"")
            .unwrap_or_else(|| panic!("leads nowhere: {page:?}"));
        let origin = page
            .address
            .splitn(4, '/')
            .take(3)
            .collect::<Vec<_>>()
            .join("/");
        let next = format!("{origin}{next}");
        self.navigate("GET", &next, None, false)
    }

    /// Asks as a script of a page of `origin` does.
    pub(super) fn fetch(&mut self, origin: &str, method: &str, address: &str, body: &str) -> Page {
        let led = host(origin) != host(address);
        let request = self.request(method, address, led).header("origin", origin);
        let request = request
            .header("content-type", "application/json")
            .header("if-match", "*");
        let request = request.body(body.to_owned()).unwrap();
        self.answered(address, request).0
    }

    /// A cookie's value.
    pub(super) fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies
            .iter()
            .find(|cookie| cookie.name == name)
            .map(|cookie| &*cookie.value)
    }

    fn navigate(&mut self, method: &str, address: &str, form: Option<&str>, led: bool) -> Page {
        let (mut method, mut address, mut form, mut led) = (
            method.to_owned(),
            address.to_owned(),
            form.map(str::to_owned),
            led,
        );
        for _ in 0..REDIRECTS {
            if self.stops_at.is_some_and(|stop| address.contains(stop)) {
                return Page {
                    address,
                    status: 0,
                    body: String::new(),
                };
            }
            let mut request = self.request(&method, &address, led);
            if form.is_some() {
                request = request.header("content-type", "application/x-www-form-urlencoded");
            }
            let request = request.body(form.take().unwrap_or_default()).unwrap();
            let (page, location) = self.answered(&address, request);
            let Some(location) = location else {
                return page;
            };
            let next = if location.starts_with('/') {
                let origin = address.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
                format!("{origin}{location}")
            } else {
                location
            };
            led |= host(&next) != host(&address);
            (method, address) = ("GET".to_owned(), next);
        }
        panic!("led in circles: {address}");
    }

    fn request(&self, method: &str, address: &str, led: bool) -> http::request::Builder {
        let uri = address.parse::<Uri>().unwrap();
        let here = |cookie: &&Cookie| {
            uri.host() == Some(&*cookie.host)
                && uri.path().starts_with(&cookie.path)
                && !(led && cookie.is_strict)
        };
        let cookies = self.cookies.iter().filter(here);
        let cookies: Vec<_> = cookies
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        let request = http::Request::builder()
            .method(method)
            .uri(address)
            .header("accept", "text/html");
        if cookies.is_empty() {
            request
        } else {
            request.header("cookie", cookies.join("; "))
        }
    }

    fn answered(
        &mut self,
        address: &str,
        request: http::Request<String>,
    ) -> (Page, Option<String>) {
        let mut response = self.agent.run(request).unwrap();
        let lines: Vec<_> = response
            .headers()
            .get_all("set-cookie")
            .iter()
            .cloned()
            .collect();
        for line in lines {
            self.keep(address, line.to_str().unwrap());
        }
        let location = response
            .headers()
            .get("location")
            .map(|to| to.to_str().unwrap().to_owned());
        let page = Page {
            address: address.to_owned(),
            status: response.status().as_u16(),
            body: response.body_mut().read_to_string().unwrap(),
        };
        (page, location)
    }

    fn keep(&mut self, address: &str, line: &str) {
        let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
        let (name, value) = pair.split_once('=').unwrap();
        let mut parts = attributes
            .split(';')
            .filter_map(|part| part.trim().split_once('='));
        let path = parts.find(|(name, _)| name.eq_ignore_ascii_case("path"));
        let path = path.map_or("/", |(_, path)| path).to_owned();
        let attributes = attributes.to_ascii_lowercase();
        if name.starts_with("__Host-") {
            assert!(
                attributes.contains("secure") && path == "/" && !attributes.contains("domain"),
                "a browser refuses {line}"
            );
        }
        let host = host(address);
        self.cookies
            .retain(|cookie| (&*cookie.name, &cookie.host, &cookie.path) != (name, &host, &path));
        if !value.is_empty() {
            let (name, value) = (name.to_owned(), value.to_owned());
            let is_strict = attributes.contains("samesite=strict");
            self.cookies.push(Cookie {
                host,
                path,
                name,
                value,
                is_strict,
            });
        }
    }
}
