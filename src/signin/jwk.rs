//! Public keys of a provider, and whether a signature is by one of them.
//!
//! A key says what it may sign: an algorithm belongs to a kind of key, and no statement can choose another.
//! There is no `none` and nothing symmetric here, so neither can be asked for. The arithmetic is `ring`'s.

use data_encoding::BASE64URL_NOPAD;
use ring::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde::Deserialize;

/// Keys of a set that are looked at.
const KEYS: usize = 32;

/// What statements may be signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

impl Algorithm {
    /// As statements and keys write it.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::RS256,
            "RS384" => Self::RS384,
            "RS512" => Self::RS512,
            "PS256" => Self::PS256,
            "PS384" => Self::PS384,
            "PS512" => Self::PS512,
            "ES256" => Self::ES256,
            "ES384" => Self::ES384,
            "EdDSA" | "Ed25519" => Self::EdDSA,
            _ => return None,
        })
    }

    const fn rsa(self) -> Option<&'static RsaParameters> {
        Some(match self {
            Self::RS256 => &RSA_PKCS1_2048_8192_SHA256,
            Self::RS384 => &RSA_PKCS1_2048_8192_SHA384,
            Self::RS512 => &RSA_PKCS1_2048_8192_SHA512,
            Self::PS256 => &RSA_PSS_2048_8192_SHA256,
            Self::PS384 => &RSA_PSS_2048_8192_SHA384,
            Self::PS512 => &RSA_PSS_2048_8192_SHA512,
            Self::ES256 | Self::ES384 | Self::EdDSA => return None,
        })
    }
}

/// A set of keys as a provider publishes it.
#[derive(Debug, Deserialize)]
pub(super) struct JwkSet {
    keys: Vec<serde_json::Value>,
}

/// A key as written.
#[derive(Debug, Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// The keys that can be used.
#[derive(Debug, Default)]
pub(super) struct Keys(Vec<Key>);

/// A key that can be used.
#[derive(Debug)]
struct Key {
    kid: Option<String>,
    /// The one algorithm that it names for itself.
    only: Option<Algorithm>,
    material: Material,
}

#[derive(Debug)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// Whether there is a key for a statement.
pub(super) enum Found<'a> {
    /// This one.
    Key(UsableKey<'a>),
    /// None of that name; the provider may have made it since.
    Unknown,
    /// One of that name which does not sign so.
    Unfit,
}

/// A key and the algorithm it is used with.
pub(super) struct UsableKey<'a>(&'a Key, Algorithm);

impl From<JwkSet> for Keys {
    /// Keeps what can be used and leaves out what cannot: a set may hold keys for other purposes.
    fn from(set: JwkSet) -> Self {
        let keys = set.keys.into_iter().take(KEYS);
        Self(
            keys.filter_map(|key| Key::read(serde_json::from_value(key).ok()?))
                .collect(),
        )
    }
}

impl Keys {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key that a statement names. A nameless statement is by the only key there is, or by none.
    pub(super) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Found<'_> {
        let mut named = self.0.iter().filter(|key| match kid {
            Some(kid) => key.kid.as_deref() == Some(kid),
            None => self.0.len() == 1,
        });
        match (named.next(), named.next()) {
            (Some(key), None) if key.signs(algorithm) => Found::Key(UsableKey(key, algorithm)),
            (Some(_), _) => Found::Unfit,
            (None, _) => Found::Unknown,
        }
    }
}

impl Key {
    fn read(jwk: Jwk) -> Option<Self> {
        let is_for_signatures = jwk.r#use.is_none_or(|purpose| purpose == "sig")
            && (jwk.key_ops).is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        let only = match jwk.alg.as_deref() {
            Some(name) => Some(Algorithm::named(name)?),
            None => None,
        };
        let bytes = |text: Option<String>| BASE64URL_NOPAD.decode(text?.as_bytes()).ok();
        let point = |len: usize| {
            let (x, y) = (bytes(jwk.x.clone())?, bytes(jwk.y.clone())?);
            let mut point = vec![4];
            point.extend(x.iter().chain(&y));
            (x.len() == len && y.len() == len).then_some(point)
        };
        let material = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => Material::Rsa {
                n: bytes(jwk.n)?,
                e: bytes(jwk.e)?,
            },
            ("EC", Some("P-256")) => Material::P256(point(32)?),
            ("EC", Some("P-384")) => Material::P384(point(48)?),
            ("OKP", Some("Ed25519")) => Material::Ed25519(bytes(jwk.x)?),
            // A symmetric key is nobody's to publish.
            _ => return None,
        };
        let key = Self {
            kid: jwk.kid,
            only,
            material,
        };
        is_for_signatures.then_some(key)
    }

    fn signs(&self, algorithm: Algorithm) -> bool {
        let fits = match self.material {
            Material::Rsa { .. } => algorithm.rsa().is_some(),
            Material::P256(_) => algorithm == Algorithm::ES256,
            Material::P384(_) => algorithm == Algorithm::ES384,
            Material::Ed25519(_) => algorithm == Algorithm::EdDSA,
        };
        fits && self.only.is_none_or(|only| only == algorithm)
    }
}

impl UsableKey<'_> {
    /// Whether `signature` is this key's under `message`.
    pub(super) fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let Self(key, algorithm) = self;
        let by = |kind: &'static dyn signature::VerificationAlgorithm, point: &[u8]| {
            UnparsedPublicKey::new(kind, point).verify(message, signature)
        };
        let verified = match &key.material {
            Material::Rsa { n, e } => match algorithm.rsa() {
                Some(parameters) => {
                    RsaPublicKeyComponents { n, e }.verify(parameters, message, signature)
                }
                None => return false,
            },
            Material::P256(point) => by(&ECDSA_P256_SHA256_FIXED, point),
            Material::P384(point) => by(&ECDSA_P384_SHA384_FIXED, point),
            Material::Ed25519(point) => by(&ED25519, point),
        };
        verified.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use ring::{
        rand::SystemRandom,
        rsa::PublicKeyComponents,
        signature::{
            ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256,
            RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512,
            RsaEncoding, RsaKeyPair,
        },
    };
    use serde_json::{Value, json};

    use super::*;

    const RSA: &[u8] = include_bytes!("vectors/rsa-2048-only-for-tests.pk8");

    fn keys(keys: &Value) -> Keys {
        serde_json::from_value::<JwkSet>(json!({ "keys": keys }))
            .unwrap()
            .into()
    }

    fn verified(keys: &Keys, name: &str, message: &[u8], signature: &[u8]) -> bool {
        match keys.find(Some("k"), Algorithm::named(name).unwrap()) {
            Found::Key(key) => key.signed(message, signature),
            Found::Unknown | Found::Unfit => false,
        }
    }

    #[test]
    fn each_rsa_algorithm_verifies_its_own_signatures_and_no_others() {
        let pair = RsaKeyPair::from_pkcs8(RSA).unwrap();
        let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(pair.public());
        let encoded = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        let jwk = json!({ "kty": "RSA", "kid": "k", "n": encoded(&n), "e": encoded(&e) });
        let any = keys(&json!([jwk]));
        let algorithms: [(&str, &'static dyn RsaEncoding); 6] = [
            ("RS256", &RSA_PKCS1_SHA256),
            ("RS384", &RSA_PKCS1_SHA384),
            ("RS512", &RSA_PKCS1_SHA512),
            ("PS256", &RSA_PSS_SHA256),
            ("PS384", &RSA_PSS_SHA384),
            ("PS512", &RSA_PSS_SHA512),
        ];
        for (signed_by, encoding) in algorithms {
            let mut signature = vec![0; pair.public().modulus_len()];
            pair.sign(encoding, &SystemRandom::new(), b"m", &mut signature)
                .unwrap();
            for (named, _) in algorithms {
                let fits = named == signed_by;
                assert_eq!(
                    verified(&any, named, b"m", &signature),
                    fits,
                    "{signed_by} as {named}"
                );
                assert!(
                    !verified(&any, named, b"n", &signature),
                    "{signed_by} as {named}"
                );
                // A key that names its algorithm signs with no other.
                let mut only = jwk.clone();
                only["alg"] = json!(named);
                assert_eq!(
                    verified(&keys(&json!([only])), signed_by, b"m", &signature),
                    fits
                );
            }
            assert!(!verified(&any, "ES256", b"m", &signature));
        }
    }

    #[test]
    fn a_p384_key_verifies_es384_alone() {
        let (random, kind) = (SystemRandom::new(), &ECDSA_P384_SHA384_FIXED_SIGNING);
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &random).unwrap();
        let point = pair.public_key().as_ref();
        let (x, y) = (
            BASE64URL_NOPAD.encode(&point[1..49]),
            BASE64URL_NOPAD.encode(&point[49..]),
        );
        let set = keys(&json!([{ "kty": "EC", "crv": "P-384", "kid": "k", "x": x, "y": y }]));
        let signature = pair.sign(&random, b"m").unwrap();
        assert!(verified(&set, "ES384", b"m", signature.as_ref()));
        assert!(!verified(&set, "ES384", b"n", signature.as_ref()));
        for name in ["ES256", "RS256", "EdDSA"] {
            assert!(!verified(&set, name, b"m", signature.as_ref()), "{name}");
        }
    }

    #[test]
    fn what_is_no_key_for_signatures_is_left_out_and_a_set_is_bounded() {
        let x = BASE64URL_NOPAD.encode(&[7; 32]);
        let good = json!({ "kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x });
        let with = |name: &str, value: Value| {
            let mut key = good.clone();
            key[name] = value;
            key
        };
        for (what, key) in [
            ("encryption", with("use", json!("enc"))),
            ("signing alone", with("key_ops", json!(["sign"]))),
            ("a symmetric algorithm", with("alg", json!("HS256"))),
            ("no algorithm", with("alg", json!("none"))),
            ("another curve", with("crv", json!("X25519"))),
            ("no bytes", with("x", json!("%"))),
            ("symmetric", json!({ "kty": "oct", "kid": "k", "k": x })),
            (
                "half a point",
                json!({ "kty": "EC", "crv": "P-256", "kid": "k", "x": x }),
            ),
            (
                "a short point",
                json!({ "kty": "EC", "crv": "P-256", "kid": "k", "x": x, "y": "AA" }),
            ),
            ("a number", json!(7)),
        ] {
            assert!(keys(&json!([key])).is_empty(), "{what}");
        }
        assert_eq!(keys(&json!(vec![good.clone(); 1_000])).0.len(), KEYS);
        // Two keys of one name: nobody knows which is meant.
        let twice = keys(&json!([good, good]));
        assert!(matches!(
            twice.find(Some("k"), Algorithm::EdDSA),
            Found::Unfit
        ));
    }
}
