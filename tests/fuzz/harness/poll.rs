//! Polls: the query string of one app, the JSON of a batch, the line of a sample, and the context of an evaluation.
//!
//! Nothing panics; what is refused is told in a short sentence of ours, without a word of the device's;
//! what is taken keeps its meaning however it is spelt.

use huidu_core::{
    limits,
    poll::{BatchPoll, Device, Evaluation, Poll, PollError, PollLine, Scratch},
};

pub fn run(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        query(text);
    }
    batch(data);
    line(data);
    evaluation(data);
}

fn query(text: &str) {
    let mut scratch = Scratch::default();
    let poll = match Poll::from_query(text, &mut scratch) {
        Ok(poll) => poll,
        Err(error) => return refused(error),
    };
    device(&poll.device);
    // The same pairs with every byte of every value escaped mean the same poll.
    let pairs: Vec<String> = text.split('&').map(escaped).collect();
    let again = pairs.join("&");
    if again.len() > limits::QUERY_BYTES {
        return;
    }
    let mut scratch = Scratch::default();
    let same = Poll::from_query(&again, &mut scratch).expect("an escaped poll is taken too");
    assert_eq!(format!("{same:?}"), format!("{poll:?}"));
}

/// The pair with its value decoded by the plainest means there is and escaped again, whole.
fn escaped(pair: &str) -> String {
    let Some((key, value)) = pair.split_once('=') else {
        return pair.to_owned();
    };
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let hex = hex.filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match (first, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    let value: String = bytes.iter().map(|byte| format!("%{byte:02x}")).collect();
    format!("{key}={value}")
}

fn batch(data: &[u8]) {
    let batch = match BatchPoll::from_json(data) {
        Ok(batch) => batch,
        Err(error) => return refused(error),
    };
    device(&batch.device());
    assert!(batch.apps().len() <= limits::POLL_APPS);
    let json = serde_json::to_vec(&batch).expect("a batch has a written form");
    let same = BatchPoll::from_json(&json).expect("what is written is read");
    assert_eq!(same, batch);
}

fn line(data: &[u8]) {
    let line = match PollLine::from_json(data) {
        Ok(line) => line,
        Err(error) => return refused(error),
    };
    device(&line.device());
    let json = serde_json::to_vec(&line).expect("a line has a written form");
    let same = PollLine::from_json(&json).expect("what is written is read");
    assert_eq!(same, line);
    assert_eq!(same.into_owned(), line);
}

fn evaluation(data: &[u8]) {
    let asked = match Evaluation::from_json(data) {
        Ok(asked) => asked,
        Err(error) => return refused(error),
    };
    device(&asked.device());
    assert!(!asked.host().is_empty());
    let apps = asked.apps().unwrap_or_default();
    assert!(apps.len() <= limits::FLAGS);
    assert!(
        apps.windows(2).all(|pair| pair[0] < pair[1]),
        "sorted, each once"
    );
}

/// What every device that was taken keeps to.
fn device(device: &Device<'_>) {
    assert!((1..=limits::UNIT_BYTES).contains(&device.unit.len()));
    let stated = [
        Some(device.unit),
        device.platform,
        device.region,
        device.city,
        device.language,
        device.model,
        device.channel,
        device.host_version.as_ref().map(|version| version.text),
        device.os_version.as_ref().map(|version| version.text),
    ];
    for text in stated.into_iter().flatten() {
        assert!(!text.is_empty() && text.len() <= limits::ATTR_BYTES);
        assert!(!text.chars().any(char::is_control));
    }
}

/// A refusal is one of our own short sentences.
fn refused(error: PollError) {
    let told = error.to_string();
    assert!(told.is_ascii() && told.len() < 256, "{told}");
}
