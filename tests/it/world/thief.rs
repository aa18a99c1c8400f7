//! Whoever stole a server: the online key, and everything the server knows. It lies over real HTTP, to a phone
//! that turns to it, challenges included; what it lies with is signed as well as the server signs.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use ed25519_dalek::SigningKey;
use huidu::client::uptime;
use huidu_core::{
    digest::Digest,
    manifest::Manifest,
    revision::Revision,
    seal::{self, Stamp},
    time::Timestamp,
};

use super::{HOST, World};

/// A lie, ready to be told: the body, since when it is true, and for how long.
#[derive(Clone)]
struct Lie {
    manifest: Manifest,
    asof: Timestamp,
    lease_ms: u32,
}

/// Everything a thief has.
#[derive(Clone)]
pub(super) struct Thief {
    audience: &'static str,
    app: &'static str,
    key: SigningKey,
    honest: Manifest,
    pub(super) release: Vec<u8>,
    pub(super) policy: Vec<u8>,
}

impl Thief {
    /// Takes all there is at this moment.
    pub(super) fn new(
        world: &World,
        audience: &'static str,
        app: &'static str,
        key: SigningKey,
    ) -> Self {
        let mut wire = world.cluster.nodes[0].wire();
        let url = format!("/v1/manifest/{HOST}/{app}?u=phone-0001&p=android&hv=8.3");
        let honest: Manifest = serde_json::from_slice(&wire.get(&url, &[]).unwrap().body).unwrap();
        let release = honest.binding.release.unwrap();
        let url = format!("/v1/releases/{app}/{release}");
        let release = wire.get(&url, &[]).unwrap();
        let policy = wire.get(&format!("/v1/policies/{app}"), &[]).unwrap();
        assert_eq!((release.status, policy.status), (200, 200));
        Self {
            audience,
            app,
            key,
            honest,
            release: release.body,
            policy: policy.body,
        }
    }

    /// Opens a server that tells this lie, and nothing else.
    pub(super) fn tells(&self, lie: impl FnOnce(&mut Manifest)) -> Den {
        self.tells_at(uptime::now().wall, 600_000, lie)
    }

    pub(super) fn tells_at(
        &self,
        asof: Timestamp,
        lease_ms: u32,
        lie: impl FnOnce(&mut Manifest),
    ) -> Den {
        let mut manifest = self.honest.clone();
        manifest.rev = Revision::new(manifest.rev.get() + 1_000);
        lie(&mut manifest);
        let lie = Lie {
            manifest,
            asof,
            lease_ms,
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let told = Arc::new(Mutex::new(0));
        let (thief, count) = (self.clone(), Arc::clone(&told));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if thief.answers(stream, &lie, &count).is_none() {
                    return;
                }
            }
        });
        Den { url, told }
    }

    /// Answers one request; none: it was told to close.
    fn answers(&self, stream: TcpStream, lie: &Lie, told: &Mutex<usize>) -> Option<()> {
        let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
        let first = lines.next()?.ok()?;
        if first == "close" {
            return None;
        }
        let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let (mut nonce, mut tag) = (None, String::new());
        for line in lines
            .map_while(Result::ok)
            .take_while(|line| !line.is_empty())
        {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            match name.to_ascii_lowercase().as_str() {
                "huidu-challenge" => nonce = seal::nonce_of_text(value.trim()),
                "if-none-match" => value.trim().clone_into(&mut tag),
                _ => {}
            }
        }
        let (status, stamp, body) = if target.starts_with("/v1/manifest/") {
            *told.lock().unwrap() += 1;
            let body = lie.manifest.to_bytes();
            let request = seal::request("GET", &target, "", &tag);
            let scope = match &nonce {
                Some(nonce) => seal::challenge(nonce, &request),
                None => seal::scope(self.audience, self.app),
            };
            let stamp = Stamp {
                revision: lie.manifest.rev,
                asof: lie.asof,
                lease_ms: lie.lease_ms,
                body_len: u32::try_from(body.len()).unwrap(),
                body: Digest::of(&body),
                scope,
                challenge: nonce.is_some(),
            };
            ("200 OK", stamp.sign(&self.key), body.to_vec())
        } else if target.starts_with("/v1/releases/") {
            ("200 OK", String::new(), self.release.clone())
        } else if target.starts_with("/v1/policies/") {
            ("200 OK", String::new(), self.policy.clone())
        } else {
            ("404 Not Found", String::new(), Vec::new())
        };
        let stamp = match stamp.as_str() {
            "" => stamp,
            stamp => format!("Huidu-Stamp: {stamp}\r\n"),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\n{stamp}Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        let mut stream = stream;
        // The phone may have heard enough; the next request is answered all the same.
        let _hung_up = stream.write_all(head.as_bytes());
        let _hung_up = stream.write_all(&body);
        Some(())
    }
}

/// A server that lies. It closes when nobody holds it any more.
pub(super) struct Den {
    pub(super) url: String,
    told: Arc<Mutex<usize>>,
}

impl Den {
    /// How often the lie was told.
    pub(super) fn told(&self) -> usize {
        *self.told.lock().unwrap()
    }
}

impl Drop for Den {
    fn drop(&mut self) {
        let address = self.url.trim_start_matches("http://");
        if let Ok(mut stream) = TcpStream::connect(address) {
            let _gone_already = stream.write_all(b"close\r\n");
        }
    }
}
