"""`make bench`: everything that is compared, side by side in one run, as ratios.

Every work is measured against its reference in turns: a sample of the one, a sample of the other, at least five times, the
order turned around each time, so that other load on the machine meets both. A row's ratio is the median over the turns of
the ratio within one turn. What is compared is requests per second of the server's processor, unless the row says otherwise.
Rows that other benches measure are gathered from what they print: each line `row {json}`. benches/README.md says what
question each row answers.
"""

import argparse
import contextlib
import datetime
import http.client
import json
import os
import pathlib
import platform
import random
import shlex
import subprocess
import sys
import tempfile

import load
import nginx

ROOT = pathlib.Path(__file__).resolve().parent.parent
RUNS = ROOT / "benches" / "runs"

# Benches that print `row {json}` lines, and how many rows each owes. One line for each bench; --quick leaves out what is slow.
GATHERED = [
    # (command, rows it owes, also in the quick run)
    ("python3 benches/instructions.py --rows", 1, True),
    ("python3 benches/growth.py --rows --svg docs/growth.svg --json benches/runs/growth.json", 4, False),
    ("cargo bench --quiet --locked -p huidu-core --bench resolve", 2, True),
    ("cargo bench --quiet --locked -p huidu-core --bench bucketing", 1, True),
    ("cargo bench --quiet --locked -p huidu-core --bench segment", 4, False),
    ("cargo bench --quiet --locked -p huidu-core --bench verify", 1, False),
    ("cargo run --quiet --release --locked --manifest-path benches/evaluators/Cargo.toml", 3, False),
    ("python3 benches/bundles.py", 11, False),
    ("target/release/examples/scale --rounds 5", 5, False),
    # No rows; a failure is said.
    ("cargo bench --quiet --locked -p huidu-core --bench compile", 0, False),
    ("cargo bench --quiet --locked -p huidu --bench stamps", 0, False),
]

APPS, DEVICES, BATCH = 1_000, 4_096, 30
AGENT = {"accept": "*/*", "user-agent": "bank/8.2.1"}
BARE = "bare hyper, requests per CPU-second"

# work, reference, the subject measured, the subject it is measured against, bar
COMPARED = [
    ("poll 200, one hot app", BARE, "poll", "bare", 0.92),
    ("poll 200, 1 000 apps and 4 096 devices", BARE, "poll-spread", "bare-spread", 0.85),
    ("poll 200, one hot app", "nginx `return 200`, requests per CPU-second", "poll", "return", 1.0),
    ("poll 200, one hot app", "nginx static file, requests per CPU-second", "poll", "static", 1.2),
    ("poll 304", "nginx 304, requests per CPU-second", "poll-304", "nginx-304", 1.0),
    ("batch poll of 30 apps, nothing changed", "one app's 304, requests per CPU-second", "batch-304", "poll-304", 0.6),
]
# Shown beside them: what explains a row, without a bar.
SHOWN = [
    ("poll 304", "bare hyper 304, requests per CPU-second", "poll-304", "bare-304"),
    ("poll 200, 1 000 apps and 4 096 devices", "bare hyper with the replies of 1 000 apps in turn, requests per CPU-second", "poll-spread", "bare-many"),
    ("poll 200, one hot app", "nginx `return 200` with the same headers, requests per CPU-second", "poll", "return-with-headers"),
]


def path(app, device):
    return (
        f"/v1/manifest/retail-bank/t{app % 50}/app-{app}"
        f"?u=device-{device:08}&p=android&r=CN-31&hv=8.2.1&ov=14&v=2.3.0"
    )


def get(address, where, headers=None, method="GET", body=None):
    host, port = address.split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    connection.request(method, where, body, headers or {})
    reply = connection.getresponse()
    said = reply.read()
    connection.close()
    return reply.status, dict(reply.getheaders()), said


class World:
    """The servers, and the loads they are measured under."""

    def __init__(self, folder, server, until):
        """Everything that is started ends when `until`, a stack of what is to be undone, is left."""

        def started(running):
            until.callback(running.stop)
            return running

        start = lambda *arguments: started(load.Server([server, *arguments]))
        self.hot = start("huidu")
        self.many = start("huidu", "--apps", str(APPS))
        self.bare = start("bare")
        self.bare_304 = start("bare", "--not-modified")
        self.bare_many = start("bare", "--apps", str(APPS))
        status, headers, body = get(self.hot.address, path(0, 0))
        assert status == 200, status
        kept = {name: value for name, value in headers.items() if name.lower() not in ("date", "content-length")}
        self.nginx = started(nginx.start(folder, body.decode(), kept))
        self.subjects = self._subjects(folder, headers["etag"])

    def _subjects(self, folder, etag):
        polls = [("GET", path(0, device), AGENT, None) for device in self._taking_stable(64)]
        drawn = random.Random(1)
        spread = [("GET", path(drawn.randrange(APPS), drawn.randrange(DEVICES)), AGENT, None) for _ in range(16_384)]
        unchanged = [(method, where, {**headers, "if-none-match": etag}, body) for method, where, headers, body in polls]
        static_etag = get(self.nginx.address, "/static")[1]["ETag"]
        of_nginx = lambda where, **more: [("GET", where, {**AGENT, **more}, None)]
        loads = {
            "poll": (self.hot, polls),
            "bare": (self.bare, polls),
            "poll-spread": (self.many, spread),
            "bare-spread": (self.bare, spread),
            "bare-many": (self.bare_many, spread),
            "poll-304": (self.hot, unchanged),
            "bare-304": (self.bare_304, unchanged),
            "batch-304": (self.many, self._batches()),
            "return": (self.nginx, of_nginx("/return")),
            "return-with-headers": (self.nginx, of_nginx("/return-with-headers")),
            "static": (self.nginx, of_nginx("/static")),
            "nginx-304": (self.nginx, of_nginx("/static", **{"if-none-match": static_etag})),
        }
        subjects = {}
        for name, (server, requests) in loads.items():
            method, where, headers, body = requests[0]
            status = get(server.address, where, headers, method, body)[0]
            assert status == (304 if "304" in name else 200), (name, status)
            subjects[name] = (server, load.Load(requests, folder))
        return subjects

    def _taking_stable(self, count):
        """Devices that no rule takes: they are all told the same bytes."""
        same = get(self.hot.address, path(0, 0))[2]
        found = []
        for device in range(DEVICES):
            if len(found) < count and get(self.hot.address, path(0, device))[2] == same:
                found.append(device)
        return found

    def _batches(self):
        """The apps of one bank on many devices, which have what they were told the last time."""
        batches = []
        apps = [{"app": f"t{app % 50}/app-{app}", "version": "2.3.0"} for app in random.Random(2).sample(range(APPS), BATCH)]
        for device in range(256):
            stated = {"unit": f"device-{device:08}", "platform": "android", "region": "CN-31", "host_version": "8.2.1", "os_version": "14"}
            body = json.dumps({"host": "retail-bank", "device": stated, "apps": apps}, separators=(",", ":"))
            headers = {**AGENT, "content-type": "application/json"}
            status, said, _ = get(self.many.address, "/v1/poll", headers, "POST", body)
            assert status == 200, status
            batches.append(("POST", "/v1/poll", {**headers, "if-none-match": said["etag"]}, body))
        return batches


def measured(subjects, turns, seconds):
    """`turns` samples of each subject, in turns; a first, short turn warms up and is forgotten."""
    samples = {name: [] for name in subjects}
    names = list(subjects)
    for turn in range(turns + 1):
        for name in names if turn % 2 else reversed(names):
            server, requests = subjects[name]
            sample = requests.run(server, seconds if turn else 1)
            if turn:
                samples[name].append(sample)
    return samples


def compared(samples, work, reference, subject, against, bar, measure=load.per_cpu):
    ratios = [measure(one) / measure(other) for one, other in zip(samples[subject], samples[against])]
    return row(work, reference, ratios, bar)


def row(work, reference, ratios, bar):
    ratio = round(load.median(ratios), 3)
    return {
        "work": work,
        "reference": reference,
        "ratio": ratio,
        "spread": load.spread(ratios),
        "bar": None if bar is None else f">={bar}",
        "holds": bar is None or ratio >= bar,
    }


def gathered(quick):
    RUNS.mkdir(exist_ok=True)
    rows = []
    for command, owed, is_quick in GATHERED:
        if quick and not is_quick:
            continue
        said = subprocess.run(shlex.split(command), cwd=ROOT, capture_output=True, text=True, check=False)
        found = [json.loads(line[4:]) for line in said.stdout.splitlines() if line.startswith("row {")]
        # A bench that judges for itself fails where a bar does not hold: its rows say so.
        if len(found) < owed:
            sys.stderr.write(said.stdout + said.stderr)
            print(f"`{command}` ended with {said.returncode} and {len(found)} of {owed} rows", file=sys.stderr)
            found.append({"work": command, "reference": "", "ratio": None, "spread": None, "bar": "measured", "holds": False})
        rows += found
    return rows


def as_table(rows):
    lines = ["| work | reference | ratio | spread | bar | holds |", "|---|---|---|---|---|---|"]
    for one in rows:
        holds = "" if one["bar"] is None else "yes" if one["holds"] else "**no**"
        lines.append(f"| {one['work']} | {one['reference']} | {one['ratio']} | {one['spread']} | {one['bar'] or ''} | {holds} |")
    return "\n".join(lines)


def rates(samples):
    lines = ["| subject | requests/s | requests per CPU-second | µs of CPU |", "|---|---|---|---|"]
    for name, taken in samples.items():
        cost = load.median([load.per_cpu(one) for one in taken])
        lines.append(f"| {name} | {load.median([load.rate(one) for one in taken]):.0f} | {cost:.0f} | {1e6 / cost:.2f} |")
    return "\n".join(lines)


def built(profile, quick):
    """Builds what is measured: the bench server, and for a whole run the product and the drivers of other benches."""
    what = ["--example", "bench-server"]
    if not quick:
        what += ["--bin", "huidu", "--example", "bench-cores", "--example", "scale"]
    subprocess.run(["cargo", "build", "--quiet", "--locked", "--profile", profile, *what], cwd=ROOT, check=True)
    return str(ROOT / "target" / profile / "examples" / "bench-server")


def keep(rows, samples, about):
    RUNS.mkdir(exist_ok=True)
    today = datetime.date.today().isoformat()
    machine = platform.node().split(".")[0] or "machine"
    with_bars = [one for one in rows if one["bar"] is not None]
    whole = {**about, "date": today, "rows": rows, "samples": samples}
    (RUNS / f"{today}-{machine}.json").write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    latest = RUNS / "latest.json"
    before = json.loads(latest.read_text(encoding="utf-8")) if latest.exists() else []
    # A quick run leaves the rows it did not measure as they were.
    of = lambda one: (one["work"], one["reference"])
    measured_now = {of(one) for one in with_bars}
    kept = [one for one in before if of(one) not in measured_now] if about["quick"] else []
    latest.write_text(json.dumps(with_bars + kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under three minutes, builds aside")
    parser.add_argument("--profile", default="release", help="the build that is measured")
    parser.add_argument("--server", help="a bench-server that is built already")
    parser.add_argument("--turns", type=int, help="samples of each subject")
    parser.add_argument("--seconds", type=int, help="of one sample")
    parser.add_argument("--only", help="subjects to measure, with commas; nothing is kept")
    asked = parser.parse_args()
    turns = asked.turns or (9 if asked.quick else 15)
    seconds = asked.seconds or (1 if asked.quick else 2)
    server = asked.server or built(asked.profile, asked.quick or asked.only)
    with tempfile.TemporaryDirectory(prefix="huidu-bench-") as folder, contextlib.ExitStack() as until:
        subjects = World(folder, server, until).subjects
        if asked.only:
            subjects = {name: subjects[name] for name in asked.only.split(",")}
        samples = measured(subjects, turns, seconds)
    print(rates(samples), "\n")
    both = lambda rule: rule[2] in samples and rule[3] in samples
    rows = [compared(samples, *rule) for rule in COMPARED if both(rule)]
    rows += [compared(samples, *rule, None) for rule in SHOWN if both(rule)]
    if not asked.only:
        rows += gathered(asked.quick)
        about = {
            "cpu": next((line.split(":")[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8") if line.startswith("model name")), ""),
            "cores": os.cpu_count(),
            "kernel": platform.release(),
            "quick": asked.quick,
            "turns": turns,
            "seconds": seconds,
        }
        keep(rows, samples, about)
    print(as_table(rows))


if __name__ == "__main__":
    main()
