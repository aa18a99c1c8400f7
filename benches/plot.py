#!/usr/bin/env python3
"""Plots what benches wrote down as SVG: lines over one quantity, side by side, by the standard library alone.

    python3 benches/plot.py --out docs/growth.svg \\
        'memory by apps: benches/runs/scale-growth.json x=apps y=resident_mib where=versions:100' \\
        'start by apps:  benches/runs/scale-growth.json x=apps y=start_s,start_one_core_s where=versions:100'

Each argument is one panel: a title, a file of rows (a JSON list of objects), the quantity of the x axis, those
of the y axis, and which rows. Both axes are logarithmic, so what grows linearly is parallel to the dashed line
that runs through the first point of each panel, and what is flat is level. A row without a quantity is left
out; a panel without rows is a mistake and ends the run.
"""

import argparse
import json
import math
import sys
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 360, 270
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 34, 62
COLOURS = ["#1f6feb", "#d1242f", "#1a7f37", "#8250df", "#9a6700"]


class Panel:
    """One panel: where its rows are and what of them is shown."""

    def __init__(self, text):
        try:
            self.title, rest = (part.strip() for part in text.split(":", 1))
            self.file, *options = rest.split()
            named = dict(option.split("=", 1) for option in options)
            self.x, self.ys = named["x"], named["y"].split(",")
            where = named.get("where", "")
            self.where = dict(one.split(":", 1) for one in where.split(",") if one)
        except (KeyError, ValueError) as error:
            sys.exit(f"no panel: {text!r} ({error}); write `title: file x=… y=…,… where=name:value`")

    def lines(self):
        """The points of each quantity, by rising x."""
        with open(self.file, encoding="utf-8") as file:
            rows = json.load(file)
        rows = [row for row in rows if all(str(row.get(k)) == v for k, v in self.where.items())]
        lines = {}
        for y in self.ys:
            points = [(row[self.x], row[y]) for row in rows if row.get(self.x, 0) > 0 and row.get(y, 0) > 0]
            if not points:
                sys.exit(f"{self.file} has no rows with `{self.x}` and `{y}` where {self.where}")
            lines[y] = sorted(points)
        return lines


def decades(low, high):
    """The powers of ten around a range."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    return first, max(last, first + 1)


def number(value):
    """A power of ten as people write it."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:g}{unit}"
    return f"{value:g}"


def text(x, y, what, anchor="middle", size=11, colour="#57606a"):
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}">{escape(what)}</text>'
    )


def drawn(panel, left):
    """The panel as SVG, `left` from the left."""
    lines = panel.lines()
    points = [point for line in lines.values() for point in line]
    x0, x1 = decades(min(x for x, _ in points), max(x for x, _ in points))
    y0, y1 = decades(min(y for _, y in points), max(y for _, y in points))
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def at(x, y):
        return (
            left + LEFT + (math.log10(x) - x0) / (x1 - x0) * wide,
            TOP + (y1 - math.log10(y)) / (y1 - y0) * high,
        )

    parts = [text(left + LEFT + wide / 2, 20, panel.title, size=13, colour="#1f2328")]
    for power in range(x0, x1 + 1):
        x, y = at(10**power, 10**y0)
        parts.append(f'<path d="M{x:.1f} {TOP}V{y:.1f}" stroke="#d0d7de"/>')
        parts.append(text(x, y + 15, number(10**power)))
    for power in range(y0, y1 + 1):
        x, y = at(10**x0, 10**power)
        parts.append(f'<path d="M{x:.1f} {y:.1f}h{wide}" stroke="#d0d7de"/>')
        parts.append(text(x - 6, y + 4, number(10**power), anchor="end"))
    parts.append(text(left + LEFT + wide / 2, HEIGHT - 30, panel.x))
    # What would be linear, from the first point to the edge of the panel.
    (fx, fy), room = points[0], min(10**x1 / points[0][0], 10**y1 / points[0][1])
    (ax, ay), (bx, by) = at(fx, fy), at(fx * room, fy * room)
    parts.append(f'<path d="M{ax:.1f} {ay:.1f}L{bx:.1f} {by:.1f}" stroke="#8c959f" stroke-dasharray="4 4"/>')
    for nth, (name, line) in enumerate(lines.items()):
        colour = COLOURS[nth % len(COLOURS)]
        placed = [at(x, y) for x, y in line]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in placed)
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.extend(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in placed)
        parts.append(text(left + LEFT + nth * wide / len(lines), HEIGHT - 10, name, "start", 11, colour))
    return "\n".join(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("panels", nargs="+", metavar="PANEL")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    panels = [Panel(text) for text in args.panels]
    width = WIDTH * len(panels)
    body = "\n".join(drawn(panel, nth * WIDTH) for nth, panel in enumerate(panels))
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" width="{width}" height="{HEIGHT}" '
        f'font-family="system-ui, sans-serif">\n<rect width="100%" height="100%" fill="#ffffff"/>\n{body}\n</svg>\n'
    )
    with open(args.out, "w", encoding="utf-8") as file:
        file.write(svg)


if __name__ == "__main__":
    main()
