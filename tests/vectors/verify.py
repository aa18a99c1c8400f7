"""The verifier a second time, written from the documents and not from the Rust: what a device believes.

Reads verify.json, judges every case by itself, and says where it comes to another end than the verdict that is
written there. Then it changes every bit of the first case and believes none of it. Needs the PyPI package
`cryptography`. It must never be made to agree by looking at the expected verdict.
"""

import base64
import hashlib
import json
import re
import struct
import sys
from datetime import datetime, timezone

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SKEW_MS = 300_000
KINDS = {kind: f"application/vnd.huidu.{kind}.v1+json" for kind in ("keyring", "release", "policy")}
STAMP_TYPE = "application/vnd.huidu.stamp.v1"


class Doubt(Exception):
    """Not believed; the argument is the code."""


class Needs(Exception):
    """Cannot be judged without another paper."""


def require(fact, code):
    if not fact:
        raise Doubt(code)


def strict_json(data, most, depth=8):
    """One text, one meaning: no key twice, no fraction, no integer beyond 2^53, nothing deep, nothing after."""
    if len(data) > most:
        raise ValueError("too long")

    def unique(pairs):
        keys = [key for key, _ in pairs]
        if len(set(keys)) != len(keys):
            raise ValueError("a key twice")
        return dict(pairs)

    def refuse(_):
        raise ValueError("no such number")

    value = json.loads(
        data.decode("utf-8", "strict"), object_pairs_hook=unique, parse_float=refuse, parse_constant=refuse
    )

    def walk(value, left):
        if isinstance(value, (dict, list)):
            if left == 0:
                raise ValueError("too deep")
            for one in value.values() if isinstance(value, dict) else value:
                walk(one, left - 1)
        elif isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53 - 1:
            raise ValueError("not exact")

    walk(value, depth)
    return value


def pae(media, payload):
    return b"DSSEv1 %d %s %d " % (len(media), media.encode(), len(payload)) + payload


def decoded(text, alphabet):
    """Base64 in its one canonical spelling."""
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) if alphabet == "url" else base64.b64decode(text, validate=True)
    again = base64.urlsafe_b64encode(data).decode().rstrip("=") if alphabet == "url" else base64.b64encode(data).decode()
    if again != text:
        raise ValueError("a second spelling")
    return data


def is_signed(keyring, role, message, signatures):
    """Every group of the role reaches its threshold of different public keys."""
    for group in keyring["roles"][role]["groups"]:
        voices = set()
        for kid, signature in signatures[:32]:
            key = keyring["keys"].get(kid)
            if kid not in group["kids"] or key is None or key["alg"] != "ed25519":
                continue
            try:
                Ed25519PublicKey.from_public_bytes(bytes.fromhex(key["pub"])).verify(signature, message)
            except (InvalidSignature, ValueError):
                continue
            voices.add(key["pub"])
        if len(voices) < group["threshold"]:
            return False
    return True


def opened(keyring, kind, data):
    """A paper of this installation, signed by enough of those who may; its address too."""
    try:
        envelope = strict_json(data, 65_536)
        if set(envelope) != {"payloadType", "payload", "signatures"} or envelope["payloadType"] != KINDS[kind]:
            raise ValueError("another kind")
        if len(envelope["signatures"]) > 32:
            raise ValueError("too many")
        payload = decoded(envelope["payload"], "std")
        signatures = []
        for one in envelope["signatures"]:
            if set(one) != {"keyid", "sig"} or not re.fullmatch("[0-9a-f]{16}", one["keyid"]):
                raise ValueError("no signature")
            signatures.append((one["keyid"], decoded(one["sig"], "std")))
        require(is_signed(keyring, kind, pae(KINDS[kind], payload), signatures), "paper")
        paper = strict_json(payload, 65_536)
        require(paper["v"] == 1 and paper["aud"] == keyring["aud"], "paper")
        return paper, hashlib.sha256(payload).hexdigest()
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Doubt("paper") from None


def read_stamp(header):
    try:
        parts = [one.strip(" ").split(".") for one in header.split(",")]
        if len(parts) > 32:
            raise ValueError("too many")
        signatures, stamps = [], set()
        for version, kid, stamp, signature in parts:
            if version != "v1" or not re.fullmatch("[0-9a-f]{16}", kid):
                raise ValueError("no stamp")
            stamps.add(decoded(stamp, "url"))
            signatures.append((kid, decoded(signature, "url")))
        (stamp,) = stamps
        if len(stamp) != 96 or any(len(signature) != 64 for _, signature in signatures):
            raise ValueError("another length")
        magic, flags, zero, rev, asof, lease, length, body, bind = struct.unpack(">4sB3sQQII32s32s", stamp)
        if magic != b"HDS1" or flags & ~1 or zero != bytes(3):
            raise ValueError("another form")
    except (ValueError, TypeError):
        raise Doubt("stamp") from None
    return stamp, signatures, dict(challenge=flags == 1, rev=rev, asof=asof, lease=lease, length=length, body=body, bind=bind)


def murmur3(data, seed):
    def rotl(x, r):
        return ((x << r) | (x >> (32 - r))) & 0xFFFFFFFF

    def mix(k):
        return rotl(k * 0xCC9E2D51 & 0xFFFFFFFF, 15) * 0x1B873593 & 0xFFFFFFFF

    h = seed
    whole = len(data) // 4 * 4
    for (k,) in struct.iter_unpack("<I", data[:whole]):
        h = (rotl(h ^ mix(k), 13) * 5 + 0xE6546B64) & 0xFFFFFFFF
    if data[whole:]:
        h ^= mix(int.from_bytes(data[whole:], "little"))
    h ^= len(data)
    h = (h ^ h >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    h = (h ^ h >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return h ^ h >> 16


def fine(salt, unit):
    h = murmur3(f"{salt}:{unit}".encode(), 0)
    return h % 100 * 42_949_673 + h // 100


def ticket(salt, unit, total):
    return murmur3(f"{salt}:{unit}".encode(), 86_028_157) % max(total, 1) + 1


def in_range(text, version):
    def fields(text):
        parts = text.split(".")
        if not all(re.fullmatch("[0-9]+", part) for part in parts) or len(parts) > 8:
            return None
        return [int(part) for part in parts] + [0] * (8 - len(parts))

    given = fields(version)
    if given is None:
        return False
    for term in text.split(","):
        sign, bound = re.fullmatch(r"\s*(>=|<=|>|<|=)\s*([0-9.]+)\s*", term).groups()
        bound = fields(bound)
        fits = {">=": given >= bound, "<=": given <= bound, ">": given > bound, "<": given < bound, "=": given == bound}
        if not fits[sign]:
            return False
    return True


def admits(whom, bearer):
    """Whom an answer is for, and no more than a device is willing to compute."""
    cohorts = whom.get("cohorts", [])
    if len(cohorts) > 8 or sum(len(cohort["fine"]) for cohort in cohorts) > 512:
        return False
    checks = [
        not whom.get("hosts") or bearer["host"] in whom["hosts"],
        not whom.get("platforms") or bearer["platform"] in whom["platforms"],
        not whom.get("host_version") or in_range(whom["host_version"], bearer["host_version"]),
        all(any(a <= fine(c["salt"], bearer["unit"]) < b for a, b in c["fine"]) for c in cohorts),
    ]
    if arm := whom.get("arm"):
        first, last = arm["range"]
        checks.append(first <= ticket(arm["salt"], bearer["unit"], arm["total"]) <= last)
    return all(checks)


def unix_ms(text):
    """An instant as states hold it."""
    if isinstance(text, int):
        return text
    instant = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (instant - datetime(1970, 1, 1, tzinfo=timezone.utc)) // __import__("datetime").timedelta(milliseconds=1)


def count(value):
    return (value["epoch"], value["rev"])


def is_stopped(state, app, digest, word):
    known = state["apps"].get(app) or {}
    since = [known.get("stopped", {}).get(digest), known.get("all_stopped")]
    kills = state.get("kills")
    if kills and any(k["app"] == app and k.get("sha256") in (None, digest) for k in kills["list"]["kills"]):
        since.append(kills["count"])
    return any(one is not None and word <= count(one) for one in since)


def judge(case):
    """What a device makes of an answer: the code of a doubt, `stop`, `nothing`, or what runs."""
    state, keyring = case["state"], case["state"]["keyring"]
    known = state["apps"].get(case["app"]) or {}
    now = max(unix_ms(case["now"]["wall"]), unix_ms(state["floor"]))
    heard = known.get("heard")
    body = case["body"] if case["body"] is not None else heard and heard["body"]
    require(body is not None, "hash")
    body = body.encode() if isinstance(body, str) else body
    require(len(body) <= 65_536, "hash")
    raw, signatures, stamp = read_stamp(case["stamp"])
    try:
        told = json.loads(body).get("keyring")
    except (ValueError, AttributeError):
        told = None
    newer = isinstance(told, int) and keyring["version"] < told

    def or_newer(fact, code):
        if not fact and newer:
            raise Needs("keyring")
        require(fact, code)

    end = keyring["expires"] * 1_000
    or_newer(is_signed(keyring, "online", pae(STAMP_TYPE, raw), signatures), "sig")
    or_newer(now < end, "keyring-expired")
    require(stamp["lease"] <= keyring["online"]["max_lease_ms"], "lease")
    require(stamp["length"] == len(body) and stamp["body"] == hashlib.sha256(body).digest(), "hash")
    asked = case["challenge"]
    require(stamp["challenge"] == (asked is not None), "challenge")
    if asked:
        bound = b"huidu.challenge.v1\0" + bytes.fromhex(asked["nonce"]) + bytes.fromhex(asked["request"])
        require(stamp["bind"] == hashlib.sha256(bound).digest(), "challenge")
    else:
        bound = b"huidu.scope.v1\0" + keyring["aud"].encode() + b"\0" + case["app"].encode()
        require(stamp["bind"] == hashlib.sha256(bound).digest(), "wrong-scope")
    require(stamp["asof"] < end, "future")
    require(stamp["asof"] + stamp["lease"] + SKEW_MS >= now, "freeze")

    try:
        manifest = strict_json(body, 65_536)
        require(manifest["v"] == 1, "form")
    except (ValueError, KeyError, TypeError):
        raise Doubt("form") from None
    require(manifest["aud"] == keyring["aud"], "wrong-scope")
    require(manifest["app"] == case["app"], "wrong-scope")
    require(manifest["rev"] == stamp["rev"], "form")
    here = (keyring["online"]["epoch"], stamp["rev"])
    before = count(heard["count"]) if heard else None
    since = before[1] if before and before[0] == here[0] else 0
    require(here[1] - since <= 1 << 32, "fast-forward")
    beside = before == here and heard["body"].encode() != body
    if before is not None:
        require(before <= here, "stale-node")
        later = unix_ms(heard["asof"]) <= stamp["asof"] or manifest["state"] == "killed"
        require(not beside or later, "equivocation")
    require(manifest.get("for") is None or admits(manifest["for"], case["bearer"]), "not-for-me")

    if manifest["state"] == "killed":
        stops = manifest.get("stops", [])
        running = known.get("running")
        return "stop" if not stops or running and running["bundle"] in stops else "nothing"
    if manifest["state"] == "none":
        return "nothing"
    if newer:
        raise Needs("keyring")
    require(manifest.get("bundle") is not None, "form")
    bundle = manifest["bundle"]
    stopped = is_stopped(state, case["app"], bundle["sha256"], here)
    require(not stopped, "equivocation" if beside else "rollback")
    lenient = state["guard"] == "development" and keyring["trust"] == "dev"
    policy = known.get("policy")
    named = manifest.get("policy") or 0
    if named > (policy["version"] if policy else 0):
        policy, _ = opened(keyring, "policy", case["policy"].encode())
        require(policy["app"] == case["app"], "mix")
        require(policy["version"] >= named, "policy-rollback")
    require(policy is not None or lenient, "no-policy")
    require(policy is None or now < policy["expires"] * 1_000, "policy-expired")
    address = manifest.get("release")
    release = None
    if address is None:
        tried = state["guard"] == "sandbox" and manifest["reason"] == "trial"
        placed = bool((manifest.get("for") or {}).get("hosts"))
        require(placed if tried else lenient, "no-release")
    elif known.get("release") and known["release"][0] == address:
        release = known["release"][1]
    else:
        release, found = opened(keyring, "release", case["release"].encode())
        require(found == address, "mix")
    granted = manifest.get("permissions", [])
    if release:
        fits(case, manifest, release, now)
    if policy:
        require(policy.get("state", "live") == "live", "policy")
        require(release is None or release["seq"] >= policy["floor_seq"], "policy")
        require(bundle["sha256"] not in policy["revoked"], "policy")
        most = release["permissions"] if release else granted
        require(set(most) <= set(policy["max_permissions"]), "permissions")
    gone = set(manifest.get("revoked", []))
    if state.get("kills"):
        gone |= {p["permission"] for p in state["kills"]["list"].get("permissions", []) if p["app"] == case["app"]}
    return {"run": [one for one in granted if one not in gone]}


def fits(case, manifest, release, now):
    """Whether the record is that of the answer, and for this device, now."""
    bundle, bearer = manifest["bundle"], case["bearer"]
    require(release["app"] == case["app"], "mix")
    require(release["version"] == manifest.get("version"), "mix")
    require({key: bundle[key] for key in ("sha256", "len")} == release["bundle"], "mix")
    require(not release.get("platforms") or bearer["platform"] in release["platforms"], "wrong-device")
    require(not release.get("host_version") or in_range(release["host_version"], bearer["host_version"]), "wrong-device")
    require(release.get("not_before", 0) <= now // 1_000, "season")
    require(now // 1_000 < release.get("not_after", 2**53), "season")
    require(set(manifest.get("permissions", [])) <= set(release["permissions"]), "permissions")


def kills(case):
    """What a device makes of a list of kills."""
    state, keyring = case["state"], case["state"]["keyring"]
    now = max(unix_ms(case["now"]["wall"]), unix_ms(state["floor"]))
    body = case["body"].encode()
    require(len(body) <= 262_144, "hash")
    raw, signatures, stamp = read_stamp(case["stamp"])
    end = keyring["expires"] * 1_000
    require(is_signed(keyring, "online", pae(STAMP_TYPE, raw), signatures), "sig")
    require(now < end, "keyring-expired")
    require(stamp["lease"] <= keyring["online"]["max_lease_ms"], "lease")
    require(stamp["length"] == len(body) and stamp["body"] == hashlib.sha256(body).digest(), "hash")
    require(not stamp["challenge"], "challenge")
    bound = b"huidu.scope.v1\0" + keyring["aud"].encode() + b"\0#kills"
    require(stamp["bind"] == hashlib.sha256(bound).digest(), "wrong-scope")
    require(stamp["asof"] < end, "future")
    require(stamp["asof"] + stamp["lease"] + SKEW_MS >= now, "freeze")
    try:
        told = strict_json(body, 262_144)
        require(told["v"] == 1, "form")
    except (ValueError, KeyError, TypeError):
        raise Doubt("form") from None
    require(told["aud"] == keyring["aud"], "wrong-scope")
    require(told["rev"] == stamp["rev"], "form")
    here, known = (keyring["online"]["epoch"], stamp["rev"]), state.get("kills")
    since = known["count"]["rev"] if known and known["count"]["epoch"] == here[0] else 0
    require(here[1] - since <= 1 << 32, "fast-forward")
    if known:
        same = known["sha256"] == stamp["body"].hex()
        require(count(known["count"]) < here or count(known["count"]) == here and same, "stale-node")
    listed = {**state, "kills": {"count": {"epoch": here[0], "rev": here[1]}, "list": told}}
    for app, known in state["apps"].items():
        running = known.get("running")
        if running and is_stopped(listed, app, running["bundle"], count(running["count"])):
            return "stop"
    return "noted"


def keyring_of(payload):
    """A keyring that somebody could satisfy and not everybody does."""
    ring = strict_json(payload, 65_536)
    if ring["v"] != 1 or ring["version"] < 1 or not 1 <= ring["online"]["max_lease_ms"] <= 604_800_000:
        raise ValueError("no keyring")
    for role in ("root", "release", "policy", "online", "log"):
        groups = ring["roles"][role]["groups"]
        if not 1 <= len(groups) <= 4:
            raise ValueError("no group, or too many")
        for group in groups:
            different = {(ring["keys"][kid]["alg"], ring["keys"][kid]["pub"]) for kid in group["kids"]}
            if not 1 <= group["threshold"] <= len(different):
                raise ValueError("a threshold nobody can reach, or everybody does")
    return ring


def follow(case):
    """Whether a keyring follows the one that is known."""
    known = case["state"]["keyring"]
    try:
        envelope = strict_json(case["envelope"].encode(), 65_536)
        if set(envelope) != {"payloadType", "payload", "signatures"} or envelope["payloadType"] != KINDS["keyring"]:
            raise ValueError("another kind")
        payload = decoded(envelope["payload"], "std")
        signatures = [(one["keyid"], decoded(one["sig"], "std")) for one in envelope["signatures"]]
        if len(signatures) > 32:
            raise ValueError("too many")
        message = pae(KINDS["keyring"], payload)
        if not is_signed(known, "root", message, signatures):
            return {"refused": "threshold"}
        ring = keyring_of(payload)
    except (ValueError, KeyError, TypeError, AttributeError):
        return {"refused": "form"}
    if not is_signed(ring, "root", message, signatures):
        return {"refused": "threshold"}
    if ring["aud"] != known["aud"]:
        return {"refused": "audience"}
    if ring["version"] != known["version"] + 1:
        return {"refused": "sequence"}
    if ring["trust"] != known["trust"]:
        return {"refused": "trust"}

    def online(ring):
        return {ring["keys"][kid]["pub"] for group in ring["roles"]["online"]["groups"] for kid in group["kids"]}

    old, new = known["online"]["epoch"], ring["online"]["epoch"]
    if new < old or new > old and online(known) & online(ring):
        return {"refused": "epoch"}
    return {"followed": ring["version"]}


def start(case):
    """Whether an app may be started without asking anybody."""
    state, known, now = case["state"], case["state"]["apps"].get(case["app"]) or {}, case["now"]
    offer, policy, floor = known.get("running"), known.get("policy"), unix_ms(state["floor"])
    if not offer or is_stopped(state, case["app"], offer["bundle"], count(offer["count"])):
        return "nothing"
    if policy:
        above = offer.get("trial", False) or offer["seq"] >= policy["floor_seq"]
        if policy.get("state", "live") != "live" or not above or offer["bundle"] in policy["revoked"]:
            return "forbidden"

    def holds(more_ms):
        lease = (known.get("heard") or {}).get("lease")
        if not lease:
            return False
        if lease["boot"] == now["boot"]:
            return max(0, now["mono_ms"] - lease["from_mono_ms"]) < lease["length_ms"] + more_ms
        return floor <= unix_ms(now["wall"]) < unix_ms(lease["until"]) + more_ms

    if offer["block"] and not holds(0) and not holds(policy["stale_grace_s"] * 1_000 if policy else 0):
        return "stale"
    gone = set()
    if state.get("kills"):
        gone = {p["permission"] for p in state["kills"]["list"].get("permissions", []) if p["app"] == case["app"]}
    return {"start": [one for one in offer["permissions"] if one not in gone], "fresh": holds(0)}


def stamp(case):
    """The parts of a stamp one by one: the key's id, what was signed, and the header as text."""
    key = bytes.fromhex(case["pub"])
    raw, signatures, said = read_stamp(case["stamp"])
    message = pae(STAMP_TYPE, raw)
    ((kid, signature),) = signatures
    Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    bound = b"huidu.scope.v1\0" + case["aud"].encode() + b"\0" + case["app"].encode()
    require(kid == hashlib.sha256(b"ed25519\0" + key).hexdigest()[:16], "sig")
    require(said["bind"] == hashlib.sha256(bound).digest(), "wrong-scope")
    require(said["body"] == hashlib.sha256(case["body"].encode()).digest(), "hash")
    return {"kid": kid, "pae": hashlib.sha256(message).hexdigest(), "rev": said["rev"], "asof": said["asof"], "lease": said["lease"]}


def encoding(case):
    """What is hashed and signed of texts, and the three numbers a unit draws of a salt."""
    salt, unit = case["salt"], case["unit"]
    return {
        "pae": hashlib.sha256(pae(case["type"], case["payload"].encode())).hexdigest(),
        "position": murmur3(f"{salt}:{unit}".encode(), 0),
        "fine": fine(salt, unit),
        "ticket": ticket(salt, unit, case["total"]),
    }


KINDS_OF_CASES = {"hear": judge, "kills": kills, "follow": follow, "start": start, "stamp": stamp, "encoding": encoding}


def verdict(case):
    try:
        return KINDS_OF_CASES[case.get("kind", "hear")](case)
    except InvalidSignature:
        return {"doubted": "sig"}
    except Doubt as doubt:
        return {"doubted": str(doubt)}
    except Needs as need:
        return {"needs": str(need)}


def flipped(case):
    """The case with every bit of its four parts changed, one at a time, where it still is text."""
    for part in ("stamp", "body", "release", "policy"):
        data = case[part].encode()
        for at in range(len(data)):
            for bit in range(8):
                changed = bytearray(data)
                changed[at] ^= 1 << bit
                try:
                    yield part, {**case, part: changed.decode()}
                except UnicodeDecodeError:
                    continue


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        cases = json.load(file)
    wrong = [(case["name"], verdict(case), case["verdict"]) for case in cases if verdict(case) != case["verdict"]]
    for name, given, expected in wrong:
        print(f"{name}: {given} here, {expected} there", file=sys.stderr)
    tried = accepted = 0
    for part, case in flipped(cases[0]):
        tried += 1
        if isinstance(given := verdict(case), dict) and "run" in given:
            accepted += 1
            print(f"a changed {part} was believed", file=sys.stderr)
    kinds = {kind: sum(case.get("kind", "hear") == kind for case in cases) for kind in KINDS_OF_CASES}
    print(json.dumps({"cases": len(cases), "kinds": kinds, "disagreements": len(wrong), "changed_bits": tried, "accepted": accepted}))
    sys.exit(1 if wrong or accepted else 0)


if __name__ == "__main__":
    main()
