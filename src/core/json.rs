//! Strict JSON: one text, one meaning, in every language.
//!
//! What is signed is read by programs of many hands. Where two readers could differ (a key twice, a
//! fraction, an integer that a double cannot hold, deep nesting, anything after the end) nothing is read.
//! Which fields there may be is the type's matter: envelopes refuse unknown ones, papers ignore them.

use std::collections::BTreeSet;

use serde::de::{DeserializeOwned, DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};

use crate::limits;

/// Why bytes are not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Larger than it may be.
    #[error("{bytes} bytes are over the limit of {most}")]
    TooLong {
        /// How many there are.
        bytes: usize,
        /// How many there may be.
        most: usize,
    },
    /// Not JSON, ambiguous JSON, or not the document that was expected.
    #[error("{detail}")]
    Refused {
        /// What is wrong, and where.
        detail: String,
    },
}

/// Reads a document of at most `most` bytes.
pub fn read<T: DeserializeOwned>(bytes: &[u8], most: usize) -> Result<T, JsonError> {
    if bytes.len() > most {
        return Err(JsonError::TooLong {
            bytes: bytes.len(),
            most,
        });
    }
    let refused = |error: serde_json::Error| JsonError::Refused {
        detail: error.to_string(),
    };
    let mut walk = serde_json::Deserializer::from_slice(bytes);
    Plain { depth: 0 }.deserialize(&mut walk).map_err(refused)?;
    walk.end().map_err(refused)?;
    serde_json::from_slice(bytes).map_err(refused)
}

/// Walks a value and keeps nothing of it.
#[derive(Clone, Copy)]
struct Plain {
    depth: usize,
}

impl Plain {
    fn below<E: Error>(self) -> Result<Self, E> {
        let depth = self.depth + 1;
        if depth > limits::JSON_DEPTH {
            return Err(E::custom("nested too deeply"));
        }
        Ok(Self { depth })
    }
}

impl<'de> DeserializeSeed<'de> for Plain {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Plain {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON without fractions")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        if number > limits::JSON_INTEGER {
            return Err(E::custom("an integer beyond 2^53-1"));
        }
        Ok(())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.visit_u64(number.unsigned_abs())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Err(E::custom("a number that is no integer"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        let below = self.below()?;
        while values.next_element_seed(below)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let below = self.below()?;
        let mut keys = BTreeSet::new();
        while let Some(key) = fields.next_key::<String>()? {
            if keys.contains(&key) {
                return Err(A::Error::custom(format_args!(
                    "the key `{key}` is there twice"
                )));
            }
            keys.insert(key);
            fields.next_value_seed(below)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;

    #[test]
    fn what_two_readers_could_read_differently_is_not_read() {
        for (text, why) in [
            (r#"{"a":1,"a":1}"#, "the key `a` is there twice"),
            (r#"{"b":{"a":1,"\u0061":2}}"#, "the key `a` is there twice"),
            (r#"{"a":1.0}"#, "no integer"),
            (r#"{"a":1e3}"#, "no integer"),
            (r#"{"a":-0}"#, "no integer"),
            (r#"{"a":9007199254740992}"#, "2^53-1"),
            (r#"{"a":-9007199254740992}"#, "2^53-1"),
            (r#"{"a":18446744073709551616}"#, "no integer"),
            (r#"{"a":1} "#, ""),
            (r#"{"a":1}x"#, "trailing"),
            (r#"{"a":1}{"#, "trailing"),
            (r#"{"a":1,}"#, "trailing comma"),
            (r#"{"a":01}"#, "invalid number"),
            (r#"{a:1}"#, "key must be a string"),
            (r#"{"a":[[[[[[[[1]]]]]]]]}"#, "nested too deeply"),
            ("", "EOF"),
        ] {
            let read = read::<Value>(text.as_bytes(), 100);
            if why.is_empty() {
                assert!(read.is_ok(), "{text}");
            } else {
                let told = read.unwrap_err().to_string();
                assert!(told.contains(why), "{text}: {told}");
            }
        }
        assert!(read::<Value>(b"{\"a\":\"\xff\"}", 100).is_err());
        let long = read::<Value>(b"[1]", 2);
        assert_eq!(long, Err(JsonError::TooLong { bytes: 3, most: 2 }));
    }

    #[test]
    fn the_largest_integer_and_the_deepest_nesting_are_read() {
        let text = r#"{"a":9007199254740991}"#;
        let read_back: BTreeMap<String, u64> = read(text.as_bytes(), 100).unwrap();
        assert_eq!(read_back["a"], limits::JSON_INTEGER);
        assert!(read::<Value>(b"[[[[[[[[1]]]]]]]]", 100).is_ok());
    }
}
