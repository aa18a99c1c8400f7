"""`make instructions`: how many instructions a poll takes in user space, and bare hyper for the same reply.

callgrind counts them, so the figures are the same on a loaded machine and nearly the same on any other. A server answers the
same poll over one connection, a few hundred times and then some hundreds more; the difference of the two counts, divided, is
one poll: starting and stopping falls out. `--check` holds the counts against benches/instructions.json and fails on growth
of more than 5 %, naming the functions that grew; `--bless` writes that file anew.
"""

import argparse
import collections
import http.client
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import load

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUDGET = ROOT / "benches" / "instructions.json"
GROWTH, BAR = 1.05, 1.20
FEW, MORE = 300, 900
POLL = "/v1/manifest/retail-bank/t0/app-0?u=device-00000000&p=android&r=CN-31&hv=8.2.1&ov=14&v=2.3.0"
AGENT = {"accept": "*/*", "user-agent": "bank/8.2.1"}
SUBJECTS = {
    "poll 200": (["huidu"], False),
    "bare hyper 200": (["bare"], False),
    "poll 304": (["huidu"], True),
    "bare hyper 304": (["bare", "--not-modified"], True),
}


def counts(file):
    """Instructions of each function itself, from one of callgrind's files."""
    names, own, function = {}, collections.Counter(), None
    with open(file, encoding="utf-8", errors="replace") as lines:
        is_call = False
        for line in lines:
            if found := re.match(r"fn=\((\d+)\)(?: (.*))?$", line):
                number, name = found.groups()
                if name:
                    names[number] = readable(name)
                function = names[number]
            elif found := re.match(r"c?fn=\((\d+)\) (.*)$", line):
                names[found.group(1)] = readable(found.group(2))
            elif line.startswith("calls="):
                is_call = True
            elif found := re.match(r"[+*\-\d]\S* (\d+)$", line):
                if not is_call:
                    own[function] += int(found.group(1))
                is_call = False
    return own


def readable(name):
    """A function's name without what changes from build to build."""
    name = re.sub(r"(::h[0-9a-f]{16}|\.llvm\.\d+|'\d+)+$", "", name)
    return re.sub(r"\[[0-9a-f]{16}\]", "", name)


def asked(server, arguments, requests, not_modified, folder):
    """Counts of a server that answered `requests` polls."""
    out = pathlib.Path(folder) / f"callgrind.{requests}"
    valgrind = ["valgrind", "--tool=callgrind", "-q", f"--callgrind-out-file={out}", server, *arguments]
    running = load.Server(valgrind)
    host, port = running.address.split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    headers = dict(AGENT)
    for turn in range(requests + 1):
        connection.request("GET", POLL, headers=headers)
        reply = connection.getresponse()
        reply.read()
        if turn == 0 and not_modified:
            headers["if-none-match"] = reply.headers["etag"]
    assert reply.status == (304 if not_modified else 200), reply.status
    connection.close()
    running.stop()
    return counts(out)


def per_request(server, arguments, not_modified, folder):
    few = asked(server, arguments, FEW, not_modified, folder)
    more = asked(server, arguments, MORE, not_modified, folder)
    each = {name: (more[name] - few[name]) / (MORE - FEW) for name in more}
    return {name: count for name, count in each.items() if abs(count) >= 0.5}


def measured(server):
    with tempfile.TemporaryDirectory(prefix="huidu-instructions-") as folder:
        return {name: per_request(server, *how, folder) for name, how in SUBJECTS.items()}


def grown(functions, before):
    """The functions that take more than they did, the worst first."""
    more = {name: count - before.get(name, 0) for name, count in functions.items()}
    worst = sorted(more, key=more.get, reverse=True)[:5]
    return [f"    {more[name]:+.0f} ({before.get(name, 0):.0f} before) {name}" for name in worst if more[name] >= 5]


def check(functions):
    budget, failed = json.loads(BUDGET.read_text(encoding="utf-8")), False
    for name, counted in functions.items():
        total, before = sum(counted.values()), sum(budget[name].values())
        print(f"{name}: {total:.0f} instructions, {before:.0f} in the budget ({total / before - 1:+.1%})")
        if total > before * GROWTH:
            failed = True
            print("  grew by more than 5 %; what grew most:", *grown(counted, budget[name]), sep="\n")
    if failed:
        print("If this is wanted, say why in the commit and run `python3 benches/instructions.py --bless`.")
    return not failed


def bless(functions):
    kept = {name: {fn: round(count) for fn, count in sorted(counted.items()) if round(count)} for name, counted in functions.items()}
    BUDGET.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def table(functions, top):
    for name, counted in functions.items():
        print(f"{name}: {sum(counted.values()):.0f}")
        for function in sorted(counted, key=counted.get, reverse=True)[:top]:
            print(f"  {counted[function]:7.0f}  {function}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="hold against the budget")
    parser.add_argument("--bless", action="store_true", help="write the budget")
    parser.add_argument("--rows", action="store_true", help="print rows for benches/run.py, of the release build")
    parser.add_argument("--profile", help="the build that is counted")
    parser.add_argument("--top", type=int, default=25, help="functions shown")
    asked_for = parser.parse_args()
    profile = asked_for.profile or ("release" if asked_for.rows else "counted")
    build = ["cargo", "build", "--quiet", "--locked", "--profile", profile, "--example", "bench-server"]
    subprocess.run(build, cwd=ROOT, check=True)
    functions = measured(str(ROOT / "target" / profile / "examples" / "bench-server"))
    totals = {name: sum(counted.values()) for name, counted in functions.items()}
    ratios = {kind: totals[f"poll {kind}"] / totals[f"bare hyper {kind}"] for kind in ("200", "304")}
    if asked_for.rows:
        ratio = round(ratios["200"], 3)
        said = {"work": "poll 200, one hot app", "reference": "bare hyper, instructions in user space", "ratio": ratio}
        print("row", json.dumps({**said, "spread": 0.0, "bar": f"<={BAR}", "holds": ratio <= BAR}))
    elif asked_for.bless:
        bless(functions)
    elif asked_for.check:
        sys.exit(0 if check(functions) else 1)
    else:
        table(functions, asked_for.top)
    print("; ".join(f"{name} {total:.0f}" for name, total in totals.items()), "; ratios", ratios)


if __name__ == "__main__":
    main()
