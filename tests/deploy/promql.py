"""Alerts, recording rules, the adapter and the dashboard: that what they ask exists, and that every alert fires and is silent."""

import json
import pathlib
import re
import subprocess
import tempfile
import tomllib

import yaml

from tree import HOW, known_labels, metrics

HERE = "deploy/prometheus"
RULES = (f"{HERE}/recording.rules.yaml", f"{HERE}/alerts.rules.yaml")
DASHBOARD = "deploy/grafana/huidu.json"
# Prometheus' own.
FOREIGN = {"up", "ALERTS"}
# Labels whose values are words that the program writes.
WORDS = {"outcome", "code", "verb", "key", "event", "state", "reason", "source", "when", "act", "phase", "verdict"}
EVERY_ALERT = 'count by (alertname) (ALERTS{alertstate="firing"})'
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def recorded(tree):
    """What recording rules make: name and expression."""
    groups = tree.documents(RULES[0])[0]["groups"]
    return {rule["record"]: rule["expr"] for group in groups for rule in group["rules"]}


def alerts(tree):
    return [rule for group in tree.documents(RULES[1])[0]["groups"] for rule in group["rules"]]


def asked(tree, query):
    """Faults of one query: metrics, labels and values that do not exist. Quoted texts are no names."""
    known, made, added = metrics(tree), recorded(tree), known_labels(tree)
    bare = re.sub(r'"[^"]*"', '""', query)
    faults, labels = [], set(added) | ({"alertname", "alertstate", "severity"} if "ALERTS" in bare else set())
    for name in set(re.findall(r"\bhuidu[_:][\w:]+", bare)):
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        if name in made:
            labels |= made_labels(tree, made[name])
        elif name in known and known[name][0] != "histogram":
            labels |= known[name][1]
        elif known.get(base, ("",))[0] == "histogram" and base != name:
            labels |= known[base][1] | {"le"}
        else:
            faults.append(f"there is no metric {name}")
    for name in set(re.findall(r"(?<![\w:.$])([a-z][a-z_:0-9]*)\s*[{\[]", bare)):
        if not name.startswith("huidu") and name not in FOREIGN:
            faults.append(f"{name} is not ours and not Prometheus' own")
    grouped = re.findall(r"\b(?:by|on|ignoring|without|group_left|group_right)\s*\(([^()]*)\)", bare)
    used = {label.strip() for group in grouped for label in group.split(",") if label.strip()}
    for selector in re.findall(r"\{([^{}]*)\}", query):
        for label, value in re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"', selector):
            used.add(label)
            if label in WORDS and "$" not in value:
                faults += [f"nothing in src/ says {label}={word}" for word in value.split("|") if f'"{word}"' not in source()]
    return faults + [f"{label} is no label of what is asked" for label in sorted(used - labels)]


def made_labels(tree, expr):
    known = metrics(tree)
    names = re.findall(r"\bhuidu_\w+", expr)
    return set().union(*(known.get(re.sub(r"_(bucket|sum|count)$", "", name), ("", set()))[1] for name in names)) if names else set()


def source(said=[]):
    """All of src/, where values of labels are written."""
    if not said:
        root = pathlib.Path(__file__).resolve().parents[2] / "src"
        said.append("\n".join(at.read_text() for at in sorted(root.rglob("*.rs"))))
    return said[0]


def promtool(tree, *words, rules=None):
    """What promtool says of the folder, and whether it is content."""
    with tempfile.TemporaryDirectory() as folder:
        for path in tree.names(HERE):
            text = tree.text(path)
            if path.endswith("prometheus.yaml"):
                text = without_discovery(text)
            pathlib.Path(folder, path.split("/")[-1]).write_text(text)
        if rules is not None:
            pathlib.Path(folder, "alerts.rules.yaml").write_text(yaml.safe_dump(rules))
        try:
            ran = subprocess.run(["promtool", *words], cwd=folder, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return False, f"promtool is missing; install it with `{HOW}` or `apt-get install prometheus`"
        return ran.returncode == 0, ran.stdout + ran.stderr


def without_discovery(text):
    """Debian builds promtool without the discovery of Kubernetes; all else is checked as it is."""
    config = yaml.safe_load(text)
    for job in config["scrape_configs"]:
        if job.pop("kubernetes_sd_configs", None):
            job["static_configs"] = [{"targets": ["node:8081"]}]
    return yaml.safe_dump(config)


def check(tree):
    faults = tried(tree)
    for name, expr in recorded(tree).items():
        faults += [f"{name}: {fault}" for fault in asked(tree, expr)]
    for rule in alerts(tree):
        faults += [f"{rule['alert']}: {fault}" for fault in asked(tree, rule["expr"]) + paged(tree, rule)]
    for rule in tree.documents(f"{HERE}/adapter.yaml")[0]["rules"]:
        series = rule["seriesQuery"]
        faults += [f"adapter: {fault}" for fault in asked(tree, series)]
        query = rule["metricsQuery"].replace("<<.Series>>", series.split("{")[0]).replace("<<.LabelMatchers>>", "").replace("<<.GroupBy>>", "pod")
        faults += [f"adapter: {fault}" for fault in asked(tree, query)]
        faults += [f"adapter: {label} is no label" for label in set(rule["resources"]["overrides"]) - known_labels(tree)]
    lease = tomllib.loads(tree.text("deploy/kubernetes/huidu.toml"))["device"]["lease"]
    if recorded(tree)["huidu:lease_seconds"] != f"vector({int(lease.removesuffix('m')) * 60})":
        faults.append(f"huidu:lease_seconds is not the lease of huidu.toml, {lease}")
    # What takes seconds comes last, and only over what reads well.
    for words in (("check", "config", "prometheus.yaml"), ("test", "rules", "alerts.test.yaml")):
        content, said = (True, "") if faults else promtool(tree, *words)
        if not content:
            faults.append(f"promtool {' '.join(words)}: {said.strip()}")
    return faults


def tried(tree):
    """Every alert is wanted by a test, and a sound fleet wants none: an alert that never or always fires breaks a test."""
    tests = tree.documents(f"{HERE}/alerts.test.yaml")[0]["tests"]
    asks = [ask for test in tests for ask in test["promql_expr_test"] if ask["expr"].startswith("count by (alertname) (ALERTS{")]
    wanted = {re.search(r'alertname="(\w+)"', sample["labels"]).group(1) for ask in asks for sample in ask["exp_samples"]}
    faults = [f"{rule['alert']}: no test wants it to fire" for rule in alerts(tree) if rule["alert"] not in wanted]
    sound = [ask for ask in tests[0]["promql_expr_test"] if ask["expr"] == EVERY_ALERT]
    if not sound or any(ask["exp_samples"] for ask in sound):
        faults.append("the first test is not that of a sound fleet in which nothing fires")
    return faults


def paged(tree, rule):
    """An alert says how urgent it is and names a page that names it."""
    told = rule.get("annotations", {})
    page = told.get("runbook", "")
    faults = [] if rule.get("labels", {}).get("severity") in ("page", "ticket") else ["does not say how urgent it is"]
    faults += [] if told.get("summary") else ["has no summary"]
    if not page.startswith("docs/operations/") or not tree.has(page):
        return [*faults, f"its page {page} does not exist"]
    return faults if re.search(rf"`{rule['alert']}`", tree.text(page)) else [*faults, f"{page} does not speak of it"]


def mutants(tree, every):
    """Alerts that never fire, or always do: of every so many one, as each takes a run of all tests. The tests must notice."""
    missed, runs = [], 0
    for at in range(0, len(alerts(tree)), every):
        for what, expr in (("never fires", "vector(0) > 1"), ("always fires", "vector(1)")):
            rules = tree.documents(RULES[1])[0]
            rule = [one for group in rules["groups"] for one in group["rules"]][at]
            rule["expr"] = expr
            rule.pop("for", None)
            runs += 1
            if promtool(tree, "test", "rules", "alerts.test.yaml", rules=rules)[0]:
                missed.append(f"{rule['alert']}: no test sees that it {what}")
    return runs, missed


def dashboard(tree):
    """Every query of the dashboard names what exists; panels can be told apart, have units, and ask a chosen source."""
    board = json.loads(tree.text(DASHBOARD))
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    faults, ids = [], [panel["id"] for panel in board["panels"]]
    faults += [f"panel id {one} is there twice" for one in sorted({one for one in ids if ids.count(one) > 1})]
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    if variables.get("datasource", {}).get("type") != "datasource":
        faults.append("the source of data is no variable")
    for panel in panels:
        title = panel["title"]
        if panel.get("datasource") != DATASOURCE:
            faults.append(f"{title}: asks {panel.get('datasource')}, not the chosen source")
        if not panel["fieldConfig"]["defaults"].get("unit"):
            faults.append(f"{title}: has no unit")
        if not panel.get("description"):
            faults.append(f"{title}: does not say what it shows")
        refs = [target["refId"] for target in panel["targets"]]
        if not refs or len(set(refs)) != len(refs):
            faults.append(f"{title}: its queries cannot be told apart")
        for target in panel["targets"]:
            query = target["expr"].replace("$__rate_interval", "5m")
            faults += [f"{title}: {fault}" for fault in asked(tree, query) + parsed(query)]
            faults += [f"{title}: there is no variable {name}" for name in re.findall(r"\$(\w+)", query) if name not in variables]
    for name, variable in variables.items():
        if variable["type"] == "query":
            metric, label = re.fullmatch(r"label_values\((\w+)(?:\{[^}]*\})?, (\w+)\)", variable["query"]).groups()
            known = metrics(tree).get(metric)
            if known is None or label not in known[1] | known_labels(tree):
                faults.append(f"variable {name}: {metric} has no {label}")
    at = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in board["panels"]]
    return faults + ([] if len(set(at)) == len(at) else ["two panels lie in one place"])


def parsed(query, said={}):
    """Promtool's own parser: a query is a recording rule that it takes or not."""
    query = re.sub(r"\$(\w+)", r"\1", query)
    if query not in said:
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            yaml.safe_dump({"groups": [{"name": "q", "rules": [{"record": "q", "expr": query}]}]}, file)
            file.flush()
            ran = subprocess.run(["promtool", "check", "rules", file.name], capture_output=True, text=True, check=False)
            said[query] = [] if ran.returncode == 0 else [ran.stderr.strip()]
    return said[query]
