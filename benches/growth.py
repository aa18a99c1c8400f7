"""How the cost of a poll grows: with apps, with rules in a rollout, with apps in a batch, with connections.

Each series is measured in turns over its whole length, at least five times; a point is the median of the seconds of the
server's processor for one request. What is judged is the exponent between the two ends of a series: 0 is flat, 1 is linear.
Prints a table for each series; `--svg FILE` draws them, `--json FILE` keeps the points.
"""

import argparse
import contextlib
import json
import math
import random
import tempfile

import load
import run

# series, the sizes, how it grows at most
SERIES = [
    ("apps", [1, 10, 100, 1_000, 10_000], 0.15),
    ("rules in a rollout", [1, 20, 100, 1_000], 1.0),
    ("apps in a batch", [1, 3, 10, 30, 100], 1.0),
    ("connections", [1, 8, 32, 128, 512, 2_000], 1.0),
]


def polls(apps):
    drawn = random.Random(1)
    each = lambda: run.path(drawn.randrange(apps), drawn.randrange(run.DEVICES))
    return [("GET", each(), run.AGENT, None) for _ in range(8_192)]


def batches(size):
    stated = {"unit": "device-00000000", "platform": "android", "region": "CN-31", "host_version": "8.2.1"}
    apps = [{"app": f"t{app % 50}/app-{app}", "version": "2.3.0"} for app in range(size)]
    body = json.dumps({"host": "retail-bank", "device": stated, "apps": apps}, separators=(",", ":"))
    return [("POST", "/v1/poll", {**run.AGENT, "content-type": "application/json"}, body)]


def points(series, sizes, server, folder, until):
    """For each size: the server, the load, the connections."""
    started = {}

    def serve(*arguments):
        if arguments not in started:
            started[arguments] = load.Server([server, "huidu", *arguments])
            until.callback(started[arguments].stop)
        return started[arguments]

    for size in sizes:
        if series == "apps":
            yield size, serve("--apps", str(size)), load.Load(polls(size), folder), 32
        elif series == "rules in a rollout":
            yield size, serve("--rules", str(size)), load.Load(polls(1), folder), 32
        elif series == "apps in a batch":
            first, requests = serve("--apps", "100"), batches(size)
            method, where, headers, body = requests[0]
            etag = run.get(first.address, where, headers, method, body)[1]["etag"]
            yield size, first, load.Load([(method, where, {**headers, "if-none-match": etag}, body)], folder), 32
        else:
            yield size, serve(), load.Load(polls(1), folder), size


def measured(server, turns, seconds):
    costs = {}
    for series, sizes, _ in SERIES:
        with tempfile.TemporaryDirectory(prefix="huidu-growth-") as folder, contextlib.ExitStack() as until:
            all_points = list(points(series, sizes, server, folder, until))
            taken = {size: [] for size in sizes}
            for turn in range(turns + 1):
                for size, running, requests, connections in all_points if turn % 2 else reversed(all_points):
                    sample = requests.run(running, seconds, connections)
                    if turn:
                        taken[size].append(1e6 / load.per_cpu(sample))
        costs[series] = taken
    return costs


def exponents(taken):
    """One for each turn."""
    first, last = min(taken), max(taken)
    return [math.log(high / low) / math.log(last / first) for low, high in zip(taken[first], taken[last])]


def rows(costs):
    for series, _, bar in SERIES:
        found = exponents(costs[series])
        exponent = round(load.median(found), 3)
        spread = round(max(found) - min(found), 3)
        yield {
            "work": f"cost growth: poll against {series}",
            "reference": f"exponent from {min(costs[series])} to {max(costs[series])}; 0 is flat, 1 is linear",
            "ratio": exponent,
            "spread": spread,
            "bar": f"<={bar}",
            "holds": exponent <= bar,
        }


def svg(costs):
    """Four panels, both axes logarithmic."""
    wide, high, left, top = 230, 190, 44, 26
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{len(SERIES) * wide}" height="{high}" font-family="sans-serif" font-size="10">']
    parts.append(f'<rect width="{len(SERIES) * wide}" height="{high}" fill="white"/>')
    for panel, (series, sizes, _) in enumerate(SERIES):
        at = [(size, load.median(costs[series][size])) for size in sizes]
        low, most = min(cost for _, cost in at) / 1.5, max(max(cost for _, cost in at) * 1.5, min(cost for _, cost in at) * 15)
        x = lambda size: panel * wide + left + (wide - left - 16) * math.log(size / sizes[0]) / math.log(sizes[-1] / sizes[0])
        y = lambda cost: high - 30 - (high - 30 - top) * math.log(cost / low) / math.log(most / low)
        parts.append(f'<text x="{panel * wide + left}" y="14" font-size="11" font-weight="bold">µs against {series}</text>')
        parts.append(f'<path d="M{x(sizes[0])} {top}V{high - 30}H{x(sizes[-1])}" fill="none" stroke="#888"/>')
        line = " ".join(f"{x(size):.1f},{y(cost):.1f}" for size, cost in at)
        parts.append(f'<polyline points="{line}" fill="none" stroke="#0b62a4" stroke-width="2"/>')
        for size, cost in at:
            parts.append(f'<circle cx="{x(size):.1f}" cy="{y(cost):.1f}" r="2.5" fill="#0b62a4"/>')
            parts.append(f'<text x="{x(size):.1f}" y="{y(cost) - 7:.1f}" text-anchor="middle">{cost:.3g}</text>')
            parts.append(f'<text x="{x(size):.1f}" y="{high - 16}" text-anchor="middle" fill="#555">{size}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def tables(costs):
    for series, sizes, _ in SERIES:
        print(f"\n| {series} | " + " | ".join(map(str, sizes)) + " |\n|---|" + "---|" * len(sizes))
        print("| µs of CPU a request | " + " | ".join(f"{load.median(costs[series][size]):.2f}" for size in sizes) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", action="store_true", help="print rows for benches/run.py")
    parser.add_argument("--svg", help="where to draw")
    parser.add_argument("--json", help="where to write the points: microseconds by series and size")
    parser.add_argument("--profile", default="release", help="the build that is measured")
    parser.add_argument("--server", help="a bench-server that is built already")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=1)
    asked = parser.parse_args()
    costs = measured(asked.server or run.built(asked.profile, True), asked.turns, asked.seconds)
    tables(costs)
    if asked.svg:
        with open(asked.svg, "w", encoding="utf-8") as out:
            out.write(svg(costs))
    if asked.json:
        points_of = lambda taken: {size: round(load.median(seconds), 3) for size, seconds in taken.items()}
        with open(asked.json, "w", encoding="utf-8") as out:
            json.dump({series: points_of(taken) for series, taken in costs.items()}, out, indent=1)
            out.write("\n")
    for one in rows(costs):
        print("row" if asked.rows else "", json.dumps(one, ensure_ascii=False))


if __name__ == "__main__":
    main()
