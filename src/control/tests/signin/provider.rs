//! A provider that does as it is told: one thread, one request a connection, on a loopback port of its own.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use data_encoding::BASE64URL_NOPAD;
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use serde_json::{Value, json};

/// What it answers on a path.
#[derive(Clone)]
pub(super) enum Answer {
    /// A document.
    Json(Value),
    /// A status, headers and a body.
    Raw(u16, &'static str, Vec<u8>),
    /// An answer that goes on until somebody hangs up.
    Endless,
    /// Nothing, until somebody hangs up.
    Silence,
}

/// What was asked: path, `Authorization`, body.
pub(super) type Asked = (String, String, String);

#[derive(Default)]
struct Script {
    answers: BTreeMap<String, Answer>,
    asked: Vec<Asked>,
}

/// The provider, with keys `ec` (P-256) and `ed` (Ed25519).
pub(super) struct Provider {
    pub(super) url: String,
    script: Arc<Mutex<Script>>,
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
}

/// A new P-256 key.
pub(super) fn p256() -> EcdsaKeyPair {
    let (random, kind) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &random).unwrap()
}

pub(super) fn encoded(bytes: impl AsRef<[u8]>) -> String {
    BASE64URL_NOPAD.encode(bytes.as_ref())
}

/// A P-256 key as a set has it.
pub(super) fn ec_jwk(kid: &str, key: &EcdsaKeyPair) -> Value {
    let point = key.public_key().as_ref();
    json!({ "kty": "EC", "crv": "P-256", "kid": kid, "use": "sig",
        "x": encoded(&point[1..33]), "y": encoded(&point[33..]) })
}

/// Head and claims, signed by `sign`.
pub(super) fn compact(head: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let signed = format!(
        "{}.{}",
        encoded(head.to_string()),
        encoded(claims.to_string())
    );
    let signature = sign(signed.as_bytes());
    format!("{signed}.{}", encoded(signature))
}

impl Provider {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script = Arc::new(Mutex::new(Script::default()));
        let told = Arc::clone(&script);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let told = Arc::clone(&told);
                thread::spawn(move || serve(connection, &told));
            }
        });
        let ed = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let provider = Self {
            url,
            script,
            ec: p256(),
            ed: Ed25519KeyPair::from_pkcs8(ed.as_ref()).unwrap(),
        };
        provider.says(
            "/.well-known/openid-configuration",
            Answer::Json(provider.discovery()),
        );
        provider.says("/jwks", Answer::Json(provider.keys()));
        provider
    }

    /// An honest discovery document.
    pub(super) fn discovery(&self) -> Value {
        let url = &self.url;
        json!({ "issuer": url, "authorization_endpoint": format!("{url}/auth"),
            "token_endpoint": format!("{url}/token"), "jwks_uri": format!("{url}/jwks"),
            "response_types_supported": ["code"], "code_challenge_methods_supported": ["S256"],
            "id_token_signing_alg_values_supported": ["ES256"] })
    }

    /// Its keys, and some that are not for statements.
    pub(super) fn keys(&self) -> Value {
        let mut encrypting = ec_jwk("enc", &self.ec);
        encrypting["use"] = json!("enc");
        let mut other = ec_jwk("es384", &self.ec);
        other["alg"] = json!("ES384");
        json!({ "keys": [
            ec_jwk("ec", &self.ec),
            { "kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": encoded(self.ed.public_key()) },
            { "kty": "oct", "kid": "oct", "k": encoded("known to everybody") },
            encrypting,
            other,
            { "kty": "none", "kid": "odd" },
            "no key at all",
        ] })
    }

    pub(super) fn says(&self, path: &str, answer: Answer) {
        self.script
            .lock()
            .unwrap()
            .answers
            .insert(path.to_owned(), answer);
    }

    /// The statement that the next codes are exchanged for.
    pub(super) fn states(&self, statement: impl Into<Value>) {
        let answer =
            json!({ "access_token": "a", "token_type": "Bearer", "id_token": statement.into() });
        self.says("/token", Answer::Json(answer));
    }

    /// What was asked so far on `path`.
    pub(super) fn asked(&self, path: &str) -> Vec<Asked> {
        let script = self.script.lock().unwrap();
        script
            .asked
            .iter()
            .filter(|asked| asked.0 == path)
            .cloned()
            .collect()
    }

    /// The public key of `ec`.
    pub(super) fn point(&self) -> Vec<u8> {
        self.ec.public_key().as_ref().to_vec()
    }

    /// A signature by `ec`.
    pub(super) fn by_ec(&self, message: &[u8]) -> Vec<u8> {
        self.ec
            .sign(&SystemRandom::new(), message)
            .unwrap()
            .as_ref()
            .to_vec()
    }

    /// A signature by `ed`.
    pub(super) fn by_ed(&self, message: &[u8]) -> Vec<u8> {
        self.ed.sign(message).as_ref().to_vec()
    }

    /// Claims, signed as an honest provider does.
    pub(super) fn signed(&self, claims: &Value) -> String {
        compact(&json!({ "alg": "ES256", "kid": "ec" }), claims, |message| {
            self.by_ec(message)
        })
    }
}

fn serve(connection: TcpStream, script: &Mutex<Script>) {
    connection
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let Some(asked) = read(&connection) else {
        return;
    };
    let answer = {
        let mut script = script.lock().unwrap();
        script.asked.push(asked.clone());
        script.answers.get(&asked.0).cloned()
    };
    let mut out = connection;
    let _hung_up = match answer {
        Some(Answer::Json(document)) => write(&mut out, 200, "", document.to_string().as_bytes()),
        Some(Answer::Raw(status, head, body)) => write(&mut out, status, head, &body),
        Some(Answer::Endless) => {
            let head = "HTTP/1.1 200 Said\r\ncontent-type: application/json\r\n\r\n";
            let piece = [b' '; 4_096];
            // Far beyond any limit, and an end even if nobody hangs up.
            out.write_all(head.as_bytes())
                .and_then(|()| (0..10_000).try_for_each(|_| out.write_all(&piece)))
        }
        Some(Answer::Silence) => out.read(&mut [0]).map(drop),
        None => write(&mut out, 404, "", b"{}"),
    };
}

fn write(out: &mut TcpStream, status: u16, head: &str, body: &[u8]) -> std::io::Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} Said\r\nconnection: close\r\ncontent-length: {length}\r\n{head}\r\n"
    );
    out.write_all(head.as_bytes())?;
    out.write_all(body)
}

fn read(connection: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let (mut length, mut authorization) = (0, String::new());
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(':') else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "authorization" => value.trim().clone_into(&mut authorization),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((path, authorization, String::from_utf8(body).ok()?))
}
