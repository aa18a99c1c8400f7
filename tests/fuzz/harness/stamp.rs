//! Stamps: no bytes panic, what decodes is encoded to the same bytes, and a header is accepted only as it
//! was signed, for the body and scope it was signed for.

use std::sync::LazyLock;

use ed25519_dalek::{SigningKey, VerifyingKey};
use huidu_core::{
    digest::Digest,
    seal::{STAMP_BYTES, Stamp, scope},
};

static KEYS: LazyLock<(SigningKey, VerifyingKey)> = LazyLock::new(|| {
    let key = SigningKey::from_bytes(&[7; 32]);
    let verifying = key.verifying_key();
    (key, verifying)
});

/// Where the name of the key stands in a header: a hint, deliberately not trusted.
const HINT: std::ops::Range<usize> = 3..19;

pub fn run(data: &[u8]) {
    let (key, verifying) = &*KEYS;
    let here = scope("bank/prod", "pingan/travel");
    // Nobody but the holder of the key makes a header.
    if let Ok(text) = std::str::from_utf8(data) {
        let seen = Stamp::verify(text, verifying, b"body", &here);
        assert!(seen.is_err(), "a forged header is accepted: {text}");
    }
    let Some((head, body)) = data.split_first_chunk::<STAMP_BYTES>() else {
        return;
    };
    let Ok(mut stamp) = Stamp::decode(head) else {
        return;
    };
    assert_eq!(stamp.encode(), *head);
    assert!(stamp.expires() >= stamp.asof);
    stamp.body = Digest::of(body);
    stamp.body_len = body.len() as u32;
    stamp.scope = here;
    stamp.challenge = false;
    let header = stamp.sign(key);
    assert_eq!(Stamp::verify(&header, verifying, body, &here), Ok(stamp));
    let (Some(at), Some(byte)) = (body.first(), body.last()) else {
        return;
    };
    // Any other header, body or scope is refused.
    let mut changed = header.clone().into_bytes();
    let at = usize::from(*at) % changed.len();
    if changed[at] != *byte && !HINT.contains(&at) {
        changed[at] = *byte;
        if let Ok(changed) = String::from_utf8(changed) {
            let seen = Stamp::verify(&changed, verifying, body, &here);
            assert!(seen.is_err(), "byte {at} of {header} may be {byte}");
        }
    }
    assert!(Stamp::verify(&header, verifying, &body[1..], &here).is_err());
    assert!(
        Stamp::verify(
            &header,
            verifying,
            body,
            &scope("bank/prod", "pingan/trave")
        )
        .is_err()
    );
}
