#!/usr/bin/env python3
"""Draws what the simulation of guards measured as SVG, by the standard library alone: `make statistics` runs both.

    python3 tests/stats/plot.py target/tmp/stats docs/statistics

reads what the tests of tests/stats kept and writes one picture for each question into the second folder. A curve that is missing
is a mistake and ends the run.
"""

import json
import math
import pathlib
import sys
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 170, 44, 52
COLOURS = ["#1f6feb", "#1a7f37", "#8250df", "#9a6700", "#d1242f"]
GREY, DARK = "#57606a", "#1f2328"


class Picture:
    """Axes with lines on them: a logarithmic x axis, a linear or logarithmic y axis."""

    def __init__(self, title, x, y, xs, ys, is_log=False):
        self.xs, self.ys, self.is_log = xs, ys, is_log
        self.notes, self.parts = [], []
        self.text(WIDTH / 2, 22, title, size=15, colour=DARK)
        self.text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, x)
        self.parts.append(
            f'<text transform="translate(16 {(TOP + HEIGHT - BOTTOM) / 2:.0f}) rotate(-90)" text-anchor="middle" '
            f'font-size="12" fill="{GREY}">{escape(y)}</text>'
        )

    def at(self, x, y):
        def part(value, low, high, is_log):
            value = min(max(value, low), high)
            if is_log:
                value, low, high = math.log(value), math.log(low), math.log(high)
            return (value - low) / (high - low)

        wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
        return LEFT + part(x, *self.xs, True) * wide, HEIGHT - BOTTOM - part(y, *self.ys, self.is_log) * high

    def text(self, x, y, what, anchor="middle", size=12, colour=GREY):
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}">{escape(what)}</text>'
        )

    def ticks(self, xs, ys, unit="%"):
        for x in xs:
            left, bottom = self.at(x, self.ys[0])
            self.parts.append(f'<path d="M{left:.1f} {TOP}V{bottom:.1f}" stroke="#d0d7de"/>')
            self.text(left, bottom + 16, f"{x:,}".replace(",", " "))
        for y in ys:
            left, bottom = self.at(self.xs[0], y)
            self.parts.append(f'<path d="M{left:.1f} {bottom:.1f}H{WIDTH - RIGHT}" stroke="#d0d7de"/>')
            self.text(left - 6, bottom + 4, f"{y:g} {unit}", anchor="end")

    def line(self, points, colour, note=None, dash="", width=2):
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in (self.at(*point) for point in points))
        self.parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-dasharray="{dash}"/>')
        if note:
            self.notes.append([self.at(*points[-1])[1], note, colour])

    def area(self, lows, highs, colour):
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in (self.at(*point) for point in [*lows, *reversed(highs)]))
        self.parts.append(f'<path d="M{path}Z" fill="{colour}" fill-opacity="0.18" stroke="{colour}" stroke-opacity="0.5"/>')

    def write(self, file):
        # Notes stand at the ends of their lines, moved apart where they would touch.
        below = TOP
        for height, note, colour in sorted(self.notes):
            height = max(height, below)
            below = height + 15
            self.text(WIDTH - RIGHT + 8, height + 4, note, "start", 12, colour)
        body = "\n".join(self.parts)
        file.write_text(
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
            f'font-family="system-ui, sans-serif">\n<rect width="100%" height="100%" fill="#ffffff"/>\n{body}\n</svg>\n',
            encoding="utf-8",
        )
        print(f"{file}")


def stairs(curve, first, last):
    """A share that rises by steps: level between the looks at which something was stopped."""
    points, share = [(first, 0.0)], 0.0
    for units, percent in curve:
        points += [(max(units, first), share), (max(units, first), percent)]
        share = percent
    return [*points, (last, share)]


def main():
    measured, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)

    def kept(name):
        file = measured / f"{name}.json"
        if not file.exists():
            sys.exit(f"{file} is missing; `make statistics` measures it")
        return json.loads(file.read_text(encoding="utf-8"))

    def drawn(picture, names, last, first=50):
        for nth, (name, note, colour, dash) in enumerate(names):
            picture.line(stairs(kept(name)["curve"], first, last), colour or COLOURS[nth], note, dash)

    streams = kept("harmless-2")["streams"]
    picture = Picture(
        f"Harmless releases stopped, of {streams} streams looked at every 50 devices",
        "devices in each cohort", "stopped so far", (50, 40_000), (0, 50),
    )
    picture.ticks([50, 200, 1_000, 5_000, 40_000], [0, 5, 10, 20, 30, 40, 50])
    picture.line([(50, 5), (40_000, 5)], DARK, "the bar: 5 %", "6 4", 1)
    drawn(picture, [
        ("harmless-2", "guard, 2 % fail", None, ""),
        ("harmless-0.5", "guard, 0.5 % fail", None, ""),
        ("harmless-0.05", "guard, 0.05 % fail", None, ""),
        ("harmless-0", "guard, none fail", None, ""),
        ("planted-z", "z-test for one look", COLOURS[4], "3 3"),
    ], 40_000)
    picture.write(out / "harmless.svg")

    picture = Picture(
        f"Harmful releases stopped, of {streams} streams", "devices in each cohort", "stopped so far", (50, 10_000), (0, 100)
    )
    picture.ticks([50, 100, 300, 1_000, 3_000, 10_000], [0, 25, 50, 75, 100])
    picture.line([(50, 50), (10_000, 50)], DARK, "half of them", "6 4", 1)
    drawn(picture, [
        ("harm-2-10", "2 → 10 %", None, ""),
        ("harm-0.5-5", "0.5 → 5 %", None, ""),
        ("harm-0-3", "0 → 3 %", None, ""),
        ("harm-2-4", "2 → 4 %", None, ""),
    ], 10_000)
    picture.write(out / "harmful.svg")

    picture = Picture(
        "Ramps stopped by an outage that hits both cohorts", "devices in each cohort", "stopped so far", (50, 40_000), (0, 100)
    )
    picture.ticks([50, 200, 1_000, 5_000, 40_000], [0, 5, 25, 50, 75, 100])
    picture.line([(50, 5), (40_000, 5)], DARK, "the bar: 5 %", "6 4", 1)
    drawn(picture, [
        ("outage", "guard", None, ""),
        ("planted-no-control", "without control", COLOURS[4], "3 3"),
    ], 40_000)
    picture.write(out / "outage.svg")

    rows = kept("interval")["rows"]
    picture = Picture(
        "One stream, 2 % → 4 %: the difference as it is read at each look", "devices in each arm", "difference",
        (rows[0][0], 40_000), (-6, 10),
    )
    picture.ticks([500, 1_000, 5_000, 40_000], [-6, -4, -2, 0, 2, 4, 6, 8, 10], unit="pp")
    picture.area([(row[0], 100 * row[2]) for row in rows], [(row[0], 100 * row[3]) for row in rows], COLOURS[0])
    picture.line([(row[0], 100 * (row[1] - row[4])) for row in rows], COLOURS[4], None, "3 3", 1)
    picture.line([(row[0], 100 * (row[1] + row[4])) for row in rows], COLOURS[4], "for one look", "3 3", 1)
    picture.line([(row[0], 100 * row[1]) for row in rows], COLOURS[0], "seen, at any look")
    picture.line([(rows[0][0], 2), (40_000, 2)], DARK, "the truth", "6 4", 1)
    picture.write(out / "interval.svg")


if __name__ == "__main__":
    main()
