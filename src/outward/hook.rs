//! A receiver of webhooks told something: one signed message, one answer of which the status alone counts.
//!
//! Blocking like all of this folder. Where to is what a setting said when the process started; nothing that was asked for,
//! and nothing that a receiver answers, leads anywhere else. A receiver's address may hold a secret, so no error names it.

use std::{fmt, time::Duration};

use data_encoding::HEXLOWER;
use ring::hmac;
use ureq::{Agent, unversioned::transport::DefaultConnector};

use super::{
    NoCertificates,
    reach::{Bounded, Reach},
};

/// A whole call, from the name's resolution to the status.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// To connect.
const CONNECT: Duration = Duration::from_secs(2);
/// Bytes of an answer's head.
const HEAD_BYTES: usize = 16 * 1024;
/// What carries the signatures.
pub const HEADER: &str = "huidu-signature";

/// One receiver.
pub struct Hook {
    agent: Agent,
    address: String,
    keys: Vec<hmac::Key>,
}

/// Why a message counts as not delivered.
#[derive(Debug, thiserror::Error)]
pub enum Undelivered {
    /// It answered, and not that it has it.
    #[error("it answers {0}")]
    Status(u16),
    /// It does not answer in time, or cannot be reached, or may not be.
    #[error("{0}")]
    Silent(String),
}

impl Hook {
    /// The receiver at `address`, which is reached within `reach`; messages are signed by each of `secrets`. It shows a
    /// certificate that leads to `authorities` (PEM), or to those that browsers trust.
    pub fn new<'a>(
        address: &str,
        reach: Reach,
        secrets: impl IntoIterator<Item = &'a [u8]>,
        authorities: Option<&[u8]>,
    ) -> Result<Self, NoCertificates> {
        let config = super::agent(authorities)?
            .timeout_global(Some(PATIENCE))
            .timeout_connect(Some(CONNECT))
            .max_response_header_size(HEAD_BYTES)
            // A name is looked up, and what it leads to looked at, each time.
            .max_idle_connections(0)
            .build();
        let key = |secret| hmac::Key::new(hmac::HMAC_SHA256, secret);
        Ok(Self {
            agent: Agent::with_parts(config, DefaultConnector::new(), Bounded(reach)),
            address: address.to_owned(),
            keys: secrets.into_iter().map(key).collect(),
        })
    }

    /// Sends `body`, said to be sent at `seconds` since 1970.
    pub fn tell(&self, body: &[u8], seconds: u64) -> Result<(), Undelivered> {
        let request = self
            .agent
            .post(&self.address)
            .header("content-type", "application/json")
            .header(HEADER, self.signature(body, seconds));
        let reply = request
            .send(body)
            .map_err(|error| Undelivered::Silent(why(&error)))?;
        match reply.status().as_u16() {
            200..=299 => Ok(()),
            status => Err(Undelivered::Status(status)),
        }
    }

    /// `t=<seconds>,v1=<hex>`: HMAC-SHA256 over the seconds, a dot and the body; once for each secret.
    fn signature(&self, body: &[u8], seconds: u64) -> String {
        let mut text = format!("t={seconds}");
        for key in &self.keys {
            let mut signing = hmac::Context::with_key(key);
            signing.update(seconds.to_string().as_bytes());
            signing.update(b".");
            signing.update(body);
            text.push_str(",v1=");
            text.push_str(&HEXLOWER.encode(signing.sign().as_ref()));
        }
        text
    }
}

/// In few words, none of them the address.
fn why(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => format!("no answer within {PATIENCE:?}"),
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::HostNotFound => "its name is not known".into(),
        ureq::Error::ConnectionFailed => "it cannot be connected to".into(),
        ureq::Error::Other(error) => error.to_string(),
        ureq::Error::Tls(what) => format!("TLS: {what}"),
        ureq::Error::Rustls(error) => format!("TLS: {error}"),
        _ => "it does not speak HTTP as it should".into(),
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{SocketAddr, TcpListener},
        sync::{Arc, Mutex},
        thread,
    };

    use super::*;

    /// Answers each connection with the next of `answers`; what it was sent. An empty answer is none at all.
    fn receiver(answers: &'static [&'static str]) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, heard) = (
            listener.local_addr().unwrap(),
            Arc::<Mutex<Vec<String>>>::default(),
        );
        let told = Arc::clone(&heard);
        thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let (mut text, mut part) = (String::new(), [0; 4_096]);
                while !text.ends_with('}') {
                    let read = stream.read(&mut part).unwrap();
                    if read == 0 {
                        break;
                    }
                    text.push_str(std::str::from_utf8(&part[..read]).unwrap());
                }
                told.lock().unwrap().push(text);
                let _gone = stream.write_all(answer.as_bytes());
            }
        });
        (address, heard)
    }

    fn hook(address: &str, reach: Reach) -> Hook {
        Hook::new(address, reach, ["s".repeat(32).as_bytes()], None).unwrap()
    }

    #[derive(serde::Deserialize)]
    struct Vectors {
        secrets: Vec<String>,
        timestamp: u64,
        messages: Vec<Vector>,
    }

    #[derive(serde::Deserialize)]
    struct Vector {
        body: String,
        signature: String,
    }

    /// Receivers out there check this.
    #[test]
    fn a_message_is_signed_by_every_secret_as_the_vectors_say() {
        let kept: Vectors =
            serde_json::from_str(include_str!("../../tests/vectors/webhook.json")).unwrap();
        let secrets = kept.secrets.iter().map(String::as_bytes);
        let hook = Hook::new("http://127.0.0.1:1", Reach::Loopback, secrets, None).unwrap();
        for message in kept.messages {
            let signed = hook.signature(message.body.as_bytes(), kept.timestamp);
            assert_eq!(signed, message.signature);
        }
        assert!(!format!("{hook:?}").contains("127"));
    }

    #[test]
    fn the_status_alone_counts_and_a_redirect_leads_nowhere() {
        let (elsewhere, never) = receiver(&["HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"]);
        let redirect = format!(
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://{elsewhere}/\r\ncontent-length: 0\r\n\r\n"
        );
        let answers: &'static [&'static str] = Box::leak(Box::new([
            "HTTP/1.1 204 No Content\r\n\r\n",
            &*Box::leak(redirect.into_boxed_str()),
            "HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n",
            "",
        ]));
        let (address, heard) = receiver(answers);
        let hook = hook(&format!("http://{address}/huidu?room=7"), Reach::Loopback);
        let tell = || hook.tell(br#"{"v":1}"#, 1_795_521_601);
        assert!(tell().is_ok());
        assert!(matches!(tell(), Err(Undelivered::Status(307))));
        assert!(matches!(tell(), Err(Undelivered::Status(500))));
        assert!(matches!(tell(), Err(Undelivered::Silent(_))));
        let heard = heard.lock().unwrap();
        assert_eq!(heard.len(), 4);
        let first = heard[0].to_ascii_lowercase();
        assert!(
            first.starts_with("post /huidu?room=7 http/1.1\r\n"),
            "{first}"
        );
        assert!(
            first.contains("\r\nhuidu-signature: t=1795521601,v1="),
            "{first}"
        );
        assert!(first.ends_with("\r\n\r\n{\"v\":1}"), "{first}");
        assert!(never.lock().unwrap().is_empty());
    }

    #[test]
    fn nothing_is_sent_to_a_network_that_is_not_allowed() {
        let (address, heard) = receiver(&["HTTP/1.1 204 No Content\r\n\r\n"; 2]);
        let port = address.port();
        for target in [
            format!("http://127.0.0.1:{port}/"),
            format!("http://localhost:{port}/"),
            format!("http://[::ffff:127.0.0.1]:{port}/"),
            format!("http://2130706433:{port}/"),
            format!("http://0x7f.1:{port}/"),
        ] {
            let why = hook(&target, Reach::Public)
                .tell(b"{}", 1)
                .unwrap_err()
                .to_string();
            assert!(!why.contains("127"), "{why}");
        }
        assert!(heard.lock().unwrap().is_empty());
        let told = hook(&format!("http://localhost:{port}/"), Reach::Private).tell(b"{}", 1);
        assert!(told.is_ok(), "{told:?}");
        assert_eq!(heard.lock().unwrap().len(), 1);
    }
}
