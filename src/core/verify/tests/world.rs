//! An installation in miniature: its keys, its papers, and one poll of one device, honest until a test
//! changes something. Never anything random: a failing case is the same case tomorrow.

use ed25519_dalek::SigningKey;

use crate::{
    binding::{Bearer, Binding, Whom},
    digest::Digest,
    envelope::{Envelope, Signed},
    judge::{Check, Judge, Strict},
    key::{KeyId, PublicKey, Signer},
    keyring::{Group, Guard, Keyring, Online, Quorum, Role, Roles, Trust},
    manifest::{self, BundleRef, Manifest, OnStale, Reason},
    name::AppId,
    paper::Paper,
    policy::{Policy, Standing},
    release::{Release, SignedBundle},
    revision::Revision,
    seal::{self, Stamp},
    time::Timestamp,
    verify::{Answer, Challenge, Need, Now, Papers, State, Verdict},
    version::{Bundle, BundleFormat},
};

/// The installation.
pub(super) const AUD: &str = "bank/prod";
/// The app.
pub(super) const APP: &str = "pingan/travel";
/// When all this happens, Unix seconds.
pub(super) const TODAY_S: u64 = 1_767_225_600;
/// When the answer was true, Unix milliseconds.
pub(super) const ASOF_MS: u64 = TODAY_S * 1_000;
/// How long a stamp is trusted.
pub(super) const LEASE_MS: u32 = 600_000;
/// When the keyring ends, Unix seconds: before policies do.
pub(super) const KEYRING_END_S: u64 = TODAY_S + 30 * 86_400;
/// When the policy ends, Unix seconds.
pub(super) const POLICY_END_S: u64 = TODAY_S + 60 * 86_400;

pub(super) const ROOT: [u8; 3] = [1, 2, 3];
pub(super) const RELEASE: [u8; 3] = [11, 12, 13];
pub(super) const POLICY: [u8; 2] = [21, 22];
pub(super) const ONLINE: [u8; 1] = [31];
pub(super) const LOG: [u8; 1] = [41];
/// Keys that no keyring knows.
pub(super) const THIEF: [u8; 2] = [91, 92];

/// Blind to one check: what would happen if it were forgotten.
pub(super) struct Blind(pub(super) Check);

impl Judge for Blind {
    fn holds(&self, check: Check, fact: bool) -> bool {
        fact || check == self.0
    }
}

/// Counts names of keys where keys should be counted.
pub(super) struct CountsNames;

impl Judge for CountsNames {
    fn voices(&self, signers: &[(&str, &PublicKey)]) -> usize {
        let mut names: Vec<_> = signers.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        names.len()
    }
}

pub(super) fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub(super) fn kid(seed: u8) -> KeyId {
    key(seed).public_key().id()
}

pub(super) fn app(name: &str) -> AppId {
    name.parse().unwrap()
}

/// SHA-256 of an archive that stands for itself by a name.
pub(super) fn archive(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

pub(super) fn keyring() -> Keyring {
    let quorum =
        |threshold, seeds: &[u8]| Quorum::of(threshold, seeds.iter().copied().map(kid).collect());
    let seeds = [&ROOT[..], &RELEASE, &POLICY, &ONLINE, &LOG].concat();
    Keyring {
        v: 1,
        aud: AUD.into(),
        version: 1,
        expires: KEYRING_END_S,
        trust: Trust::Prod,
        online: Online {
            epoch: 1,
            max_lease_ms: 900_000,
        },
        keys: seeds
            .iter()
            .map(|seed| (kid(*seed), key(*seed).public_key()))
            .collect(),
        roles: Roles {
            root: quorum(2, &ROOT),
            release: quorum(2, &RELEASE),
            policy: quorum(2, &POLICY),
            online: quorum(1, &ONLINE),
            log: quorum(1, &LOG),
        },
    }
}

/// A paper in its envelope, signed by these.
pub(super) fn signed<T: Paper>(paper: &T, seeds: &[u8]) -> Vec<u8> {
    enveloped(paper, seeds).to_bytes()
}

pub(super) fn enveloped<T: Paper>(paper: &T, seeds: &[u8]) -> Envelope {
    let mut envelope = Envelope::new(T::KIND, paper.to_payload());
    for seed in seeds {
        envelope.sign(&key(*seed)).unwrap();
    }
    envelope
}

/// The signature of `seed` over `envelope` under a name of one's own choosing.
pub(super) fn signature(envelope: &Envelope, seed: u8, called: KeyId) -> Signed {
    Signed {
        key: called,
        signature: Signer::sign(&key(seed), &envelope.message()).unwrap(),
    }
}

pub(super) fn release() -> Release {
    Release {
        v: 1,
        aud: AUD.into(),
        app: app(APP),
        seq: 5,
        version: "2.1.0".parse().unwrap(),
        bundle: SignedBundle {
            sha256: archive("travel 2.1.0"),
            len: 4_096,
        },
        files_sha256: None,
        host_version: Some(">=8.0".parse().unwrap()),
        platforms: vec!["android".parse().unwrap(), "ios".parse().unwrap()],
        permissions: vec!["camera".parse().unwrap(), "location".parse().unwrap()],
        filing: None,
        not_before: None,
        not_after: None,
        review: None,
    }
}

pub(super) fn policy() -> Policy {
    Policy {
        v: 1,
        aud: AUD.into(),
        app: app(APP),
        version: 3,
        expires: POLICY_END_S,
        state: Standing::Live,
        floor_seq: 2,
        revoked: vec![archive("travel 1.9.0")],
        max_permissions: vec![
            "camera".parse().unwrap(),
            "contacts".parse().unwrap(),
            "location".parse().unwrap(),
        ],
        on_stale: OnStale::Run,
        stale_grace_s: 0,
    }
}

fn manifest() -> Manifest {
    let bundle = Bundle {
        sha256: archive("travel 2.1.0"),
        bytes: 4_096,
        format: BundleFormat::Zip,
        files: 3,
        unpacked_bytes: 9_000,
    };
    Manifest {
        v: 1,
        aud: AUD.into(),
        app: app(APP),
        rev: Revision::new(7),
        state: manifest::State::Run,
        version: Some("2.1.0".parse().unwrap()),
        bundle: Some(BundleRef::of(&bundle)),
        permissions: vec!["camera".parse().unwrap()],
        revoked: Vec::new(),
        rule: None,
        arm: None,
        since: None,
        params: std::collections::BTreeMap::new(),
        force: false,
        reason: Reason::Stable,
        poll_after_ms: 60_000,
        poll_spread_ms: 6_000,
        on_stale: OnStale::Run,
        binding: Binding::default(),
    }
}

/// One poll, from what the device knew to what it was sent.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) state: State,
    pub(super) asked: AppId,
    pub(super) unit: &'static str,
    pub(super) platform: &'static str,
    pub(super) host_version: &'static str,
    pub(super) manifest: Manifest,
    /// False: a 304, the body is the one heard before.
    pub(super) sends_body: bool,
    /// What the stamp says; digest and length are the body's until a test says otherwise.
    pub(super) rev: u64,
    pub(super) asof_ms: u64,
    pub(super) lease_ms: u32,
    pub(super) body: Option<Digest>,
    pub(super) scope: Option<Digest>,
    pub(super) is_challenge: bool,
    pub(super) stamped_by: Vec<u8>,
    pub(super) challenge: Option<Challenge>,
    pub(super) release: Release,
    pub(super) release_by: Vec<u8>,
    /// What the manifest calls the record, where that is not its address.
    pub(super) release_named: Option<Option<Digest>>,
    pub(super) policy: Policy,
    pub(super) policy_by: Vec<u8>,
    pub(super) policy_named: Option<u64>,
    pub(super) now: Now,
}

impl Case {
    /// Everything as it should be.
    pub(super) fn honest() -> Self {
        Self {
            state: State::new(
                keyring(),
                Guard::Production,
                Timestamp::from_unix_ms(ASOF_MS - 86_400_000),
            ),
            asked: app(APP),
            unit: "d-1042",
            platform: "android",
            host_version: "8.3",
            manifest: manifest(),
            sends_body: true,
            rev: 7,
            asof_ms: ASOF_MS,
            lease_ms: LEASE_MS,
            body: None,
            scope: None,
            is_challenge: false,
            stamped_by: ONLINE.to_vec(),
            challenge: None,
            release: release(),
            release_by: RELEASE[..2].to_vec(),
            release_named: None,
            policy: policy(),
            policy_by: POLICY.to_vec(),
            policy_named: Some(3),
            now: Now {
                wall: Timestamp::from_unix_ms(ASOF_MS + 1_000),
                mono_ms: 50_000,
                boot: 1,
            },
        }
    }

    /// The same device, later, with a newer honest answer on its way.
    pub(super) fn next(state: State, rev: u64) -> Self {
        let mut case = Self::honest();
        case.state = state;
        case.at_rev(rev);
        case.asof_ms += rev * 1_000;
        case.now.wall = Timestamp::from_unix_ms(case.asof_ms + 1_000);
        case.now.mono_ms += rev * 1_000;
        case
    }

    pub(super) fn at_rev(&mut self, rev: u64) {
        self.manifest.rev = Revision::new(rev);
        self.rev = rev;
    }

    /// A version under review, in the sandbox `bank`: nobody signed for it yet.
    pub(super) fn on_trial(&mut self) {
        self.manifest.reason = Reason::Trial;
        self.release_named = Some(None);
        self.manifest.binding.whom = Some(Whom {
            hosts: vec!["bank".parse().unwrap()],
            ..Whom::default()
        });
    }

    /// The same device with a test build of the bank app.
    pub(super) fn test_device(&mut self) {
        let born = Timestamp::from_unix_ms(ASOF_MS - 86_400_000);
        self.state = State::new(keyring(), Guard::Sandbox, born);
    }

    pub(super) fn later(&mut self, ms: u64) {
        self.now.wall = self.now.wall.plus_ms(ms);
        self.now.mono_ms += ms;
    }

    pub(super) fn release_bytes(&self) -> Vec<u8> {
        signed(&self.release, &self.release_by)
    }

    pub(super) fn policy_bytes(&self) -> Vec<u8> {
        signed(&self.policy, &self.policy_by)
    }

    /// The body as it is sent.
    pub(super) fn body_bytes(&self) -> Vec<u8> {
        let mut manifest = self.manifest.clone();
        if manifest.state == manifest::State::Run {
            let address = enveloped(&self.release, &[]).address();
            manifest.binding.release = self.release_named.unwrap_or(Some(address));
            manifest.binding.policy = self.policy_named;
        }
        manifest.to_bytes().to_vec()
    }

    /// The header as it is sent.
    pub(super) fn header(&self) -> String {
        let body = self.body_bytes();
        let scope = match (self.scope, &self.challenge) {
            (Some(scope), _) => scope,
            (None, Some(challenge)) => seal::challenge(&challenge.nonce, &challenge.request),
            (None, None) => seal::scope(AUD, self.asked.as_str()),
        };
        let stamp = Stamp {
            revision: Revision::new(self.rev),
            asof: Timestamp::from_unix_ms(self.asof_ms),
            lease_ms: self.lease_ms,
            body_len: u32::try_from(body.len()).unwrap(),
            body: self.body.unwrap_or_else(|| Digest::of(&body)),
            scope,
            challenge: self.is_challenge,
        };
        let each = self.stamped_by.iter().map(|seed| stamp.sign(&key(*seed)));
        each.collect::<Vec<_>>().join(", ")
    }

    pub(super) fn bearer(&self) -> Bearer<'static> {
        Bearer {
            unit: self.unit,
            platform: self.platform,
            host: "bank",
            host_version: self.host_version,
        }
    }

    /// What the device makes of it; papers it asks for are handed over.
    pub(super) fn play(&self, judge: &impl Judge) -> (State, Verdict) {
        let (header, body) = (self.header(), self.body_bytes());
        self.hear(
            judge,
            &header,
            &body,
            &self.release_bytes(),
            &self.policy_bytes(),
        )
    }

    pub(super) fn hear(
        &self,
        judge: &impl Judge,
        header: &str,
        body: &[u8],
        release: &[u8],
        policy: &[u8],
    ) -> (State, Verdict) {
        let answer = Answer {
            app: &self.asked,
            stamp: header,
            body: self.sends_body.then_some(body),
            challenge: self.challenge,
        };
        let mut papers = Papers::default();
        let mut state = self.state.clone();
        for _ in 0..3 {
            let heard = state.hear_with(judge, &self.bearer(), &answer, &papers, self.now);
            match heard {
                (after, Verdict::Needs(Need::Release(..))) if papers.release.is_none() => {
                    papers.release = Some(release);
                    state = after;
                }
                (after, Verdict::Needs(Need::Policy(..))) if papers.policy.is_none() => {
                    papers.policy = Some(policy);
                    state = after;
                }
                ended => return ended,
            }
        }
        unreachable!("a paper is asked for at most once")
    }

    /// What an honest device knows after it.
    pub(super) fn heard(&self) -> State {
        let (state, verdict) = self.play(&Strict);
        assert!(
            !matches!(verdict, Verdict::Doubted(_) | Verdict::Needs(_)),
            "{verdict:?}"
        );
        state
    }
}

/// Keys of two kinds that must both sign.
pub(super) fn two_groups(first: &[u8], second: &[u8]) -> Quorum {
    let group = |seeds: &[u8]| Group {
        kids: seeds.iter().copied().map(kid).collect(),
        threshold: 1,
    };
    Quorum {
        groups: vec![group(first), group(second)],
    }
}

/// The role's signers in `keyring` from now on: `threshold` of `seeds`.
pub(super) fn with_role(mut keyring: Keyring, role: Role, threshold: u32, seeds: &[u8]) -> Keyring {
    for seed in seeds {
        keyring.keys.insert(kid(*seed), key(*seed).public_key());
    }
    *keyring.quorum_mut(role) = Quorum::of(threshold, seeds.iter().copied().map(kid).collect());
    keyring
}
