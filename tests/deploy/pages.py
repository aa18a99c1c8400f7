"""Runbooks: that each tells what a person needs at night, names alerts, metrics, settings, verbs and files that exist, and is linked.

Commands of `huidu` are held against the command line by src/cli/tests/docs.rs; here is the rest.
"""

import re

from promql import alerts, asked, recorded
from tree import metrics

HERE = "docs/operations"
RUNBOOKS = ("delist-now", "redis-down", "store-down", "node-quarantined", "region-lost")
PARTS = ("How you notice", "What is true meanwhile", "What to do", "How you know that it is over", "What to write down")


def check(tree):
    faults = []
    readme = tree.text("deploy/README.md")
    known = {rule["alert"] for rule in alerts(tree)}
    for name in (*RUNBOOKS, "alerts"):
        path = f"{HERE}/{name}.md"
        text = tree.text(path)
        if f"docs/operations/{name}.md" not in readme:
            faults.append(f"deploy/README.md: does not link {path}")
        faults += [f"{path}: there is no alert {alert}" for alert in sorted(set(re.findall(r"\bHuidu[A-Z]\w+", text)) - known)]
        exist = set(metrics(tree)) | {f"{n}_{part}" for n, (kind, _) in metrics(tree).items() if kind == "histogram" for part in ("bucket", "sum", "count")}
        exist |= set(recorded(tree))
        faults += [f"{path}: there is no metric {metric}" for metric in sorted(set(re.findall(r"\bhuidu(?:_|:[a-z])[a-z_:0-9]+\b", text)) - exist)]
        faults += [f"{path}: {fault}" for query in re.findall(r"`(huidu_\w+\{[^`]*\})`", text) if '="' in query for fault in asked(tree, query)]
        faults += [f"{path}: links {link}, which does not exist" for link in re.findall(r"\]\(([\w./-]+)(?:#[\w-]+)?\)", text)
                   if not (tree.has(f"{HERE}/{link}") or tree.has(resolved(link)))]
    for name in RUNBOOKS:
        text = tree.text(f"{HERE}/{name}.md")
        parts = re.findall(r"^## (.*)$", text, re.MULTILINE)
        if [part for part in parts if part in PARTS] != list(PARTS):
            faults.append(f"{HERE}/{name}.md: has the parts {parts}, not {PARTS} in this order")
        if "```" not in text:
            faults.append(f"{HERE}/{name}.md: shows nothing to type")
    return faults + cached(tree) + sized(tree)


def resolved(link):
    """A link of docs/operations, from the top."""
    parts = HERE.split("/")
    for part in link.split("/"):
        parts = parts[:-1] if part == ".." else [*parts, part]
    return "/".join(parts)


def cached(tree):
    """What docs/scale.md says a cache may keep is what the program sends."""
    page = tree.text("docs/scale.md")
    said = re.findall(r"^\| `(/v1/[^`]*)` \| `([^`]*)` \|", page, re.MULTILINE)
    sources = "\n".join(tree.text(f"src/{path}") for path in
                        ("device/papers.rs", "device/bundle.rs", "device/poll.rs", "device/reply.rs", "node/live/mod.rs", "node/live/answer.rs"))
    routes = tree.text("src/device/mod.rs")
    faults = [] if len(said) >= 6 else ["docs/scale.md: the table of what a cache may keep is gone"]
    for path, cache in said:
        fixed = re.match(r"(/v1/[a-z0-9/]*)", path).group(1)
        if f'"{fixed}"' not in routes and f'"{fixed.rstrip("/")}"' not in routes:
            faults.append(f"docs/scale.md: {path} is no route")
        if f'"{cache}"' not in sources:
            faults.append(f"docs/scale.md: nothing sends `{cache}`")
    return faults


def sized(tree):
    """The table of docs/scale.md is what its own numbers come to, and its node is the autoscaler's."""
    page = tree.text("docs/scale.md")
    target = re.search(r"averageValue: (\d+)k", tree.text("deploy/kubernetes/availability.yaml")).group(1)
    faults = [] if f"at {target} 000" in page else [f"docs/scale.md: the autoscaler's node does {target} 000 polls a second"]
    rows = re.findall(r"^\| (\d+) min \| (\d+) \| (\d+) \|", page, re.MULTILINE)
    for minutes, polls, nodes in rows:
        mean = 100_000_000 / (int(minutes) * 60)
        wanted = max(3, -(-3 * mean // (int(target) * 1000)))
        if (round(mean), wanted) != (int(polls), int(nodes)):
            faults.append(f"docs/scale.md: every {minutes} min is {round(mean)} polls a second and {wanted:.0f} nodes")
    return faults if rows else [*faults, "docs/scale.md: the table of nodes is gone"]
