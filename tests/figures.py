"""The figures of trust: runs each harness and writes one JSON line for each number it prints.

{"figure", "value", "bar", "holds", "command"}, to target/figures.jsonl. A figure holds when its harness passed and its
number keeps its bar. Harnesses that inject faults assert themselves that they find a planted one.
"""

import json
import pathlib
import re
import subprocess
import sys

CORE = "cargo nextest run --locked -p huidu-core --no-capture"
LIB = "cargo nextest run --locked -p huidu --lib --no-capture"
IT = "cargo nextest run --locked -p huidu --test it --no-capture"

# figure, command, what finds the number, the bar as text, whether the number keeps it
FIGURES = [
    ("thieves tried by the attack suite", f"{CORE} every_thief_is_doubted", r"(\d+) thieves, accepted: 0", "at least 43, accepted 0", lambda n: n >= 43),
    ("thieves believed by a verifier without the check they need", f"{CORE} without_its_check_every_thief", r"(\d+) passed", "the harness passes", lambda n: n == 1),
    ("changed bits of an answer and its papers", f"{CORE} no_changed_bit_of_an_answer_runs", r"changed bits tried: (\d+), accepted: 0", "at least 10000, accepted 0", lambda n: n >= 10_000),
    ("sets of signatures below and above the threshold", f"{CORE} no_set_of_signatures_below", r"(\d+) sets of signatures, accepted below the threshold: 0", "at least 256, accepted 0", lambda n: n >= 256),
    ("looks at a node that is cut off for an hour", f"{LIB} a_node_that_is_cut_off", r"looked at (\d+) times, invented times: 0", "at least 60, invented times 0", lambda n: n >= 60),
    ("forged records held against validity", f"{CORE} a_forged_record_does_not_count", r"(\d+) forged records, counted: 0", "at least 20, counted 0", lambda n: n >= 20),
    ("cases on which a verifier in Python agrees", f"{IT} vectors::a_verifier_in_another_language", r'"cases": ?(\d+)', "at least 50, disagreements 0", lambda n: n >= 50),
    ("changed bits tried by the verifier in Python", f"{IT} vectors::a_verifier_in_another_language", r'"changed_bits": ?(\d+)', "at least 10000, accepted 0", lambda n: n >= 10_000),
    ("copies of a bucket in which somebody changed something", f"{IT} audit::every_edit", r"clumsy: (\d+) copies, missed: 0", "at least 300, missed 0", lambda n: n >= 300),
    ("histories rewritten with every hash computed anew", f"{IT} audit::every_edit", r"skilled: (\d+) copies, missed: 0", "at least 50, missed 0", lambda n: n >= 50),
    ("ambiguous HTTP messages", f"{IT} abuse::no_two_readers", r"(\d+) ambiguous messages, understood as two: 0", "at least 80, understood as two 0", lambda n: n >= 80),
    ("connections that dribble beside good polls", f"{IT} abuse::thousands_of_connections", r"beside (\d+) connections that dribble", "at least 2000, 99 of 100 polls within 250 ms", lambda n: n >= 2_000),
    ("requests from the OpenAPI document", f"{IT} schema::every_answer", r"schemathesis: (\d+) generated", "at least 1000, server errors and schema violations 0", lambda n: n >= 1_000),
    ("hostile archives and their neighbours", f"{LIB} archive::", r"(\d+) tests? run: \1 passed", "all pass", lambda n: n > 20),
    ("calls of the matrix of routes and roles", f"{LIB} every_role_may_call_exactly_this", r"(\d+) calls, leaks: 0", "at least 400, leaks 0", lambda n: n >= 400),
    ("hostile statements of an identity provider", f"{LIB} signin::hostile", r"figure: hostile statements (\d+) refused", "at least 100, believed 0", lambda n: n >= 100),
]


def main():
    out = pathlib.Path("target/figures.jsonl")
    out.parent.mkdir(exist_ok=True)
    said, all_hold = {}, True
    with out.open("w", encoding="utf-8") as lines:
        for figure, command, pattern, bar, keeps in FIGURES:
            if command not in said:
                run = subprocess.run(command.split(), capture_output=True, text=True, check=False)
                said[command] = (run.returncode, run.stdout + run.stderr)
            code, text = said[command]
            found = re.search(pattern, text)
            value = int(found.group(1)) if found else None
            holds = code == 0 and value is not None and keeps(value)
            all_hold &= holds
            line = {"figure": figure, "value": value, "bar": bar, "holds": holds, "command": command}
            lines.write(json.dumps(line, ensure_ascii=False) + "\n")
            print(f"{'holds' if holds else 'DOES NOT HOLD':14} {value!s:>8}  {figure} ({bar})", flush=True)
    sys.exit(0 if all_hold else 1)


if __name__ == "__main__":
    main()
