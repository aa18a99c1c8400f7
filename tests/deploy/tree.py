"""The files that are looked at, so that a planted mistake can stand in the place of one; and the small readers all checks use."""

import pathlib
import re

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
HOW = "tests/setup.sh test"


class Tree:
    """The repository, with some files replaced."""

    def __init__(self, replaced=None):
        self.replaced = replaced or {}

    def text(self, path):
        if path in self.replaced:
            return self.replaced[path]
        at = ROOT / path
        return at.read_text() if at.is_file() else ""

    def has(self, path):
        return path in self.replaced or (ROOT / path).is_file()

    def documents(self, path):
        return [document for document in yaml.safe_load_all(self.text(path)) if document]

    def names(self, folder):
        there = {str(at.relative_to(ROOT)) for at in (ROOT / folder).iterdir()}
        return sorted(there | {path for path in self.replaced if path.startswith(folder + "/")})


def metrics(tree):
    """Every metric: its kind and its labels, from the table that is made of the program."""
    rows = re.findall(r"^\| `(huidu_\w+)` \| (\w+) \| ([^|]*)\|", tree.text("docs/metrics.md"), re.MULTILINE)
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def known_labels(tree):
    """What Prometheus adds to what it scrapes: what the scrape configuration sets, and its own two."""
    config = yaml.safe_load(tree.text("deploy/prometheus/prometheus.yaml"))
    rules = [rule for job in config["scrape_configs"] for rule in job["relabel_configs"]]
    return {rule["target_label"] for rule in rules if "target_label" in rule} | {"job", "instance"}
