"""The figures of trust: runs each harness and writes one JSON line for each number it prints.

{"figure", "value", "bar", "holds", "command"}, to target/figures.jsonl. A figure holds when its harness passed and its
number keeps its bar. Harnesses that inject faults assert themselves that they find a planted one.

    tests/figures.py               runs every harness, those that time things among them
    tests/figures.py --from LOG    reads the numbers that a whole run of the tests printed (`make test` does)
    tests/figures.py --campaign    runs the long campaign (`make campaign` does) and appends its figures to the others

The campaign tells its figures itself, as such lines behind `figure-line: `, with its bars (tests/campaign/table.rs).
"""

import json
import os
import pathlib
import re
import subprocess
import sys

CORE = "cargo nextest run --locked -p huidu-core --no-capture"
STATS = f"{CORE} --test stats"
LIB = "cargo nextest run --locked -p huidu --lib --no-capture"
IT = "cargo nextest run --locked -p huidu --test it --no-capture"

# figure, command, what finds the number, the bar as text, whether the number keeps it
FIGURES = [
    ("thieves tried by the attack suite", f"{CORE} every_thief_is_doubted", r"(\d+) thieves, accepted: 0", "at least 50, accepted 0", lambda n: n >= 50),
    ("thieves believed by a verifier without the check they need", f"{CORE} without_its_check_every_thief", r"(\d+) passed", "the harness passes", lambda n: n == 1),
    ("changed bits of an answer and its papers", f"{CORE} no_changed_bit_of_an_answer_runs", r"changed bits tried: (\d+), accepted: 0", "at least 10000, accepted 0", lambda n: n >= 10_000),
    ("changed bits of a keyring", f"{CORE} no_changed_bit_of_a_keyring", r"changed bits of a keyring: (\d+), accepted: 0", "at least 5000, accepted 0", lambda n: n >= 5_000),
    ("changed bits of a list of kills", f"{CORE} no_changed_bit_of_a_list", r"changed bits of a list of kills: (\d+), accepted: 0", "at least 2000, accepted 0", lambda n: n >= 2_000),
    ("changed bits of a 304 and of an answer to a challenge", f"{CORE} no_changed_bit_of_a_304", r"to a challenge: (\d+), accepted: 0", "at least 5000, accepted 0", lambda n: n >= 5_000),
    ("fields swapped across apps, installations, epochs and revisions", f"{CORE} no_mixture_of_honest_things", r"figure: swapped fields (\d+) tried, accepted: 0", "at least 80000, accepted 0", lambda n: n >= 80_000),
    ("keyrings offered out of their turn", f"{CORE} fifty_keyrings_are_walked", r"figure: keyrings out of their turn (\d+) refused, followed: 0", "at least 2000, followed 0", lambda n: n >= 2_000),
    ("endless and slow answers to the real client", f"{LIB} nobody_holds_a_device_up", r"figure: endless and slow answers (\d+) tried, accepted: 0", "at least 20, accepted 0", lambda n: n >= 20),
    ("sets of signatures below and above the threshold", f"{CORE} no_set_of_signatures_below", r"(\d+) sets of signatures, accepted below the threshold: 0", "at least 256, accepted 0", lambda n: n >= 256),
    ("looks at a node that is cut off for an hour", f"{LIB} a_node_that_is_cut_off", r"looked at (\d+) times, invented times: 0", "at least 60, invented times 0", lambda n: n >= 60),
    ("forgeries held against validity", f"{CORE} nothing_that_was_written_past", r"(\d+) forgeries, counted: 0", "at least 70, counted 0", lambda n: n >= 70),
    ("honest records changed in one place", f"{CORE} whatever_counts_could_have", r"(\d+) changed records, \d+ of them count, 0 unexplained", "at least 3000, none counts that nobody could have asked for", lambda n: n >= 3_000),
    ("cases on which a verifier in Python agrees", f"{IT} vectors::a_verifier_in_another_language", r'"cases": ?(\d+)', "at least 140, disagreements 0", lambda n: n >= 140),
    ("changed bits tried by the verifier in Python", f"{IT} vectors::a_verifier_in_another_language", r'"changed_bits": ?(\d+)', "at least 10000, accepted 0", lambda n: n >= 10_000),
    ("copies of a bucket in which somebody changed something", f"{IT} audit::every_edit", r"clumsy: (\d+) copies, missed: 0", "at least 300, missed 0", lambda n: n >= 300),
    ("histories rewritten with every hash computed anew", f"{IT} audit::every_edit", r"skilled, without a key: (\d+) copies, missed: 0", "at least 20, missed 0", lambda n: n >= 20),
    ("histories rewritten with a stolen server's key as well", f"{IT} audit::every_edit", r"with a stolen server's key: (\d+) copies, missed: 0", "at least 5, missed 0", lambda n: n >= 5),
    ("agreements forged with that key", f"{IT} audit::every_edit", r"forged with that key: (\d+) copies, missed: 0", "at least 5, missed 0", lambda n: n >= 5),
    ("checkpoints that somebody forged", f"{IT} audit::every_edit", r"checkpoints: (\d+) copies, missed: 0", "at least 20, missed 0", lambda n: n >= 20),
    ("ambiguous HTTP messages, to each port", f"{IT} no_two_readers", r"(\d+) ambiguous messages to each of two ports, understood as two: 0", "at least 90, understood as two 0", lambda n: n >= 90),
    ("connections that dribble beside good polls", f"{IT} thousands_of_connections", r"beside (\d+) connections that dribble", "at least 5000", lambda n: n >= 5_000),
    ("99 of 100 polls beside them, ms", f"{IT} thousands_of_connections", r"99 of 100 polls within ([\d.]+) ms beside \d+ connections that dribble", "at most 250", lambda n: n <= 250),
    ("floods of HTTP/2 frames beside good polls", f"{IT} floods_of_frames", r"(\d+) floods of frames, polls over the budget: 0", "at least 8, polls over 250 ms 0", lambda n: n >= 8),
    ("memory of a node after the floods, MiB", f"{IT} floods_of_frames", r"memory after them: (\d+) MiB", "at most 256", lambda n: n <= 256),
    ("requests from the OpenAPI document", f"{IT} schema::every_answer", r"schemathesis: (\d+) generated", "at least 1000, server errors and schema violations 0", lambda n: n >= 1_000),
    ("hostile archives made by hand", f"{LIB} no_hostile_archive", r"(\d+) hostile archives by hand and \d+ mutated, \d+ of these harmless; written outside: 0", "at least 60, files written outside 0", lambda n: n >= 60),
    ("mutated archives", f"{LIB} no_hostile_archive", r"by hand and (\d+) mutated, \d+ of these harmless; written outside: 0", "at least 10000, files written outside 0", lambda n: n >= 10_000),
    ("memory that judging them adds, KiB", f"{LIB} no_hostile_archive", r"judging them added: (\d+) KiB", "at most 49152", lambda n: n <= 49_152),
    ("calls of the matrix of routes and roles", f"{LIB} every_role_may_call_exactly_this", r"(\d+) calls, leaks: 0", "at least 400, leaks 0", lambda n: n >= 400),
    ("requests of partners for what belongs to others", f"{LIB} nobody_is_told_what_belongs_to_another_tenant", r"(\d+) calls for foreign things, leaks: 0", "at least 400, leaks 0", lambda n: n >= 400),
    ("mistakes planted against the isolation of tenants", f"{LIB} isolation::it_would_notice", r"(\d+) tests? run: \1 passed", "all 5 found", lambda n: n >= 5),
    ("calls by tokens of one scope", f"{LIB} every_scope_opens_exactly_this", r"calls by narrowed tokens (\d+)", "at least 800, as the table says", lambda n: n >= 800),
    ("commands by role and scope", f"{CORE} a_credential_may_what_its_role", r"commands by role and scope (\d+)", "at least 10000, as the table says", lambda n: n >= 10_000),
    ("requests by a session that is no longer fresh", f"{LIB} every_grave_change_takes_a_fresh_proof", r"no longer fresh (\d+)", "every route, the 11 grave ones refused", lambda n: n >= 60),
    ("hostile statements of an identity provider", f"{LIB} signin::hostile", r"figure: hostile statements (\d+) refused", "at least 100, believed 0", lambda n: n >= 100),
    ("known-bad stores refused by `huidu store check`", f"{IT} refuses::every_dialect", r"figure: known-bad stores (\d+) refused, taken for good: 0", "at least 13, taken for good 0", lambda n: n >= 13),
    ("kill -9 of a node on a directory", f"{IT} crash::a_node_on_a_directory", r"figure: kill -9 (\d+) times on a directory, changes lost or resurrected, false failures and successes: 0", "at least 5, changes lost, kills resurrected, false failures and successes 0", lambda n: n >= 5),
    ("kill -9 of nodes on S3", f"{IT} crash::three_nodes_on_s3", r"figure: kill -9 (\d+) times on S3, changes lost or resurrected, false failures and successes: 0", "at least 1, changes lost, kills resurrected, false failures and successes 0", lambda n: n >= 1),
    ("mistakes planted in what is deployed", f"{IT} deploy::every_mistake", r"figure: mistakes planted in deploy/ (\d+) found, missed: 0", "at least 70, missed 0", lambda n: n >= 70),
    ("forged notices of kills, to a node in this process", f"{LIB} no_forged_notice_puts", r"forged notices tried: (\d+), put in force: 0", "at least 100, put in force 0", lambda n: n >= 100),
    ("forged notices of kills by a hostile Redis", f"{IT} a_hostile_redis_kills_nothing", r"figure: forged notices by Redis (\d+) and by posts \d+, put in force: 0", "at least 50, put in force 0", lambda n: n >= 50),
    ("kill answered to last of 3 nodes refusing, healthy, p99 ms", f"{IT} the_last_of_three_nodes_refuses", r"figure: healthy: 50 kills, answered to last refusal p50 [\d.]+ ms, p99 ([\d.]+) ms", "at most 50", lambda n: n <= 50),
    ("the same with Redis dead, p99 ms", f"{IT} the_last_of_three_nodes_refuses", r"figure: Redis dead: 50 kills, answered to last refusal p50 [\d.]+ ms, p99 ([\d.]+) ms", "at most 1200", lambda n: n <= 1_200),
    ("the same with the store 2 s slower and Redis dead, p99 ms", f"{IT} the_last_of_three_nodes_refuses", r"figure: store \+2 s, Redis dead: 50 kills, answered to last refusal p50 [\d.]+ ms, p99 ([\d.]+) ms", "at most 50", lambda n: n <= 50),
    ("the same with the store down and Redis dead, p99 ms", f"{IT} the_last_of_three_nodes_refuses", r"figure: store down, Redis dead: 50 kills, answered to last refusal p50 [\d.]+ ms, p99 ([\d.]+) ms", "at most 50", lambda n: n <= 50),
    ("kill asked to last of 3 nodes refusing, healthy, p99 ms", f"{IT} the_last_of_three_nodes_refuses", r"figure: healthy: 50 kills, .*asked to last refusal p50 [\d.]+ ms, p99 ([\d.]+) ms", "at most 250", lambda n: n <= 250),
    ("memory of a node with 10000 idle listeners, MiB", f"{IT} ten_thousand_idle_listeners", r"figure: 10000 idle listeners: (\d+) MiB", "at most 300", lambda n: n <= 300),
    ("all of them told of a kill, ms", f"{IT} ten_thousand_idle_listeners", r"all told of a kill after (\d+) ms", "at most 10000", lambda n: n <= 10_000),
    ("damaged copies of the ledger on a node's disk", f"{LIB} a_damaged_copy_is_found_out", r"figure: damaged copies (\d+) tried, served wrong: 0", "at least 60, served wrong 0", lambda n: n >= 60),
    ("cold start without store and Redis, ms from exec to the first right answer", f"{IT} a_node_starts_with_nothing_but_its_copy", r"first right answer after (\d+) ms", "at most 5000", lambda n: n <= 5_000),
    ("polls a second of processor time of that node, of those of a healthy one", f"{IT} a_node_starts_with_nothing_but_its_copy", r"polls of a healthy node ([\d.]+)", "at least 0.5", lambda n: n >= 0.5),
    ("polls failed in a rolling restart behind a client that follows readyz", f"{IT} no_poll_fails_while_nodes", r"figure: polls failed in a rolling restart (\d+) of", "0", lambda n: n == 0),
    ("304s answered by an overloaded core", f"{IT} an_overloaded_core_answers", r"figure: under overload 304s (\d+) and lists of kills \d+ answered, put off: 0", "at least 40, put off 0", lambda n: n >= 40),
    ("crash signal at a node to the rollout back at the last of 3 nodes, once the test has decided, ms", f"{IT} a_crash_rolls_a_ramp_back", r"once the test has decided, ms: (\d+) at most", "at most 6000", lambda n: n <= 6_000),
    ("events lost when a node is killed, of those it acknowledged within its last second", f"{IT} feedback::counts_are_off_by_what", r"figure: a node killed: .* lost of these ([\d.]+)", "at most 1", lambda n: n <= 1),
    ("the same with Redis dead for three seconds", f"{IT} feedback::counts_are_off_by_no_more_when_redis", r"three seconds later: .* lost of these ([\d.]+)", "at most 1", lambda n: n <= 1),
    ("the same with both killed at once", f"{IT} feedback::counts_are_off_by_no_more_when_both", r"killed at once: .* lost of these ([\d.]+)", "at most 1", lambda n: n <= 1),
    ("flags that real OpenFeature clients read, as a phone is told", f"{IT} openfeature::clients_read", r"figure: flags read by OpenFeature clients (\d+), wrong: 0", "at least 80, wrong 0", lambda n: n >= 80),
    ("OpenFeature pages at two nodes see a kill by events, ms", f"{IT} openfeature::a_page_sees", r"saw a change after \d+ ms and a kill after (\d+) ms", "at most 2000", lambda n: n <= 2_000),
    ("seeds of the simulation", f"{LIB} simulated_no_promise", r"simulation: (\d+) seeds, violations: 0", "at least 2000, violations 0", lambda n: n >= 2_000),
    ("faults in those seeds", f"{LIB} simulated_no_promise", r"simulation: (\d+) faults in it", "at least 20000", lambda n: n >= 20_000),
    ("stories of the simulation told twice", f"{LIB} simulated_twice", r"simulation: (\d+) stories told twice, different: 0", "at least 40, different 0", lambda n: n >= 40),
    ("mistakes planted into the simulation", f"{LIB} simulated_every", r"simulation: (\d+) planted mistakes found", "at least 8, all found", lambda n: n >= 8),
    ("harmless releases stopped while looked at 800 times, none failing, %", f"{STATS} that_never_fail", r"stopped at harmless 0: ([\d.]+) %", "at most 5", lambda n: n <= 5),
    ("the same at 0.05 %, %", f"{STATS} 5_times_in_10_000", r"stopped at harmless 0\.05: ([\d.]+) %", "at most 5", lambda n: n <= 5),
    ("the same at 0.5 %, %", f"{STATS} 5_times_in_1_000", r"stopped at harmless 0\.5: ([\d.]+) %", "at most 5", lambda n: n <= 5),
    ("the same at 2 %, %", f"{STATS} 2_times_in_100", r"stopped at harmless 2: ([\d.]+) %", "at most 5", lambda n: n <= 5),
    ("units of each cohort until half are stopped, 2 to 10 %", f"{STATS} harm_is_stopped_soon", r"harm-2-10: (\d+)", "at most 300", lambda n: n <= 300),
    ("units of each cohort until half are stopped, 0.5 to 5 %", f"{STATS} harm_is_stopped_soon", r"harm-0\.5-5: (\d+)", "at most 400", lambda n: n <= 400),
    ("units of each cohort until half are stopped, 2 to 4 %", f"{STATS} harm_is_stopped_soon", r"harm-2-4: (\d+)", "at most 1300", lambda n: n <= 1_300),
    ("units of each cohort until half are stopped, 0 to 3 %", f"{STATS} harm_is_stopped_soon", r"harm-0-3: (\d+)", "at most 300", lambda n: n <= 300),
    ("ramps stopped by an outage that hits both cohorts, %", f"{STATS} an_outage_that_hits", r"outage that hits both cohorts: ([\d.]+) %", "at most 5", lambda n: n <= 5),
    ("experiments on equal arms whose interval ever leaves the truth out, %", f"{STATS} the_true_difference", r"leaves the truth out, equal arms: ([\d.]+) %", "at most 5", lambda n: n <= 5),
    ("right sample ratios that the sequential test doubts, %", f"{STATS} sample_ratios_that_are_right", r"sequential ([\d.]+) %", "at most 0.3", lambda n: n <= 0.3),
    ("random cases on which scipy and gbstats agree", f"{STATS} cases_that_nobody", r"random cases of scipy and gbstats (\d+) compared, different: 0", "at least 500, different 0", lambda n: n >= 500),
    ("planted: a z-test for one look, % stopped", f"{STATS} a_test_for_one_look", r"a z-test for one look: ([\d.]+) %", "above 5: noticed", lambda n: n > 5),
    ("planted: one side's price for two sides, % stopped", f"{STATS} one_sided_bounds", r"at the price of one: ([\d.]+) %", "above 5: noticed", lambda n: n > 5),
    ("planted: the control is not looked at, % stopped", f"{STATS} looks_past_its_control", r"is not looked at: ([\d.]+) %", "above 5: noticed", lambda n: n > 5),
    ("polls with stamps, beside polls without", "cargo bench --locked -p huidu --bench stamps", r"cost ([\d.]+) of polls without", "at most 1.03 at 5000 live answers and a lease of ten minutes", lambda n: n <= 1.03),
    ("an answer believed with its papers, microseconds", "cargo bench --locked -p huidu-core --bench verify", r"with its papers, at best: (\d+)", "at most 500", lambda n: n <= 500),
]


def figures(said_by):
    """Each figure's line, from what `said_by(command)` answers: whether the harness passed, and what it printed."""
    for figure, command, pattern, bar, keeps in FIGURES:
        passed, text = said_by(command)
        found = re.search(pattern, text)
        value = float(found.group(1)) if found else None
        value = int(value) if value is not None and value.is_integer() else value
        holds = passed and value is not None and keeps(value)
        yield {"figure": figure, "value": value, "bar": bar, "holds": holds, "command": command}


def ran(command, said={}):
    """Runs a harness, once for all figures that it prints."""
    if command not in said:
        run = subprocess.run(command.split(), capture_output=True, text=True, check=False)
        said[command] = (run.returncode == 0, run.stdout + run.stderr)
    return said[command]


def campaign_lines(text):
    """The figures that a campaign told of itself."""
    lines = re.findall(r"figure-line: (\{.*\})", text)
    return [json.loads(line) for line in lines]


# The long campaign: kill -9 a thousand times, then everything else. Its figures stand beside the others.
CAMPAIGN = [
    (f"{IT} crash::a_node_on_a_directory", {"HUIDU_CRASHES": "950"}),
    (f"{IT} crash::three_nodes_on_s3", {"HUIDU_CRASHES": "50"}),
    # As it is served, without what takes a release most of its build: times of a debug build under load say nothing.
    ("cargo nextest run --cargo-profile counted --locked -p huidu --test campaign --no-capture the_campaign", {"HUIDU_CAMPAIGN": "long"}),
]


def campaign(out):
    told, passed = [], True
    for command, environment in CAMPAIGN:
        run = subprocess.Popen(command.split(), env=os.environ | environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        text = ""
        for line in run.stdout:
            text += line
            print(line, end="", flush=True)
        passed &= run.wait() == 0
        told += campaign_lines(text)
        count = re.search(r"figure: kill -9 (\d+) times (on .*?), changes lost or resurrected, false failures and successes: 0", text)
        if count:
            least = int(environment["HUIDU_CRASHES"])
            value = int(count.group(1))
            told.append({"figure": f"kill -9 {count.group(2)}, long", "value": value, "bar": f"at least {least}, changes lost, kills resurrected, false failures and successes 0", "holds": value >= least, "command": "make campaign"})
    with out.open("a", encoding="utf-8") as lines:
        for line in told:
            lines.write(json.dumps(line, ensure_ascii=False) + "\n")
    print(f"{len(told)} figures appended to {out}")
    sys.exit(0 if passed and all(line["holds"] for line in told) else 1)


def main():
    global FIGURES
    said_by = ran
    if sys.argv[1:2] == ["--campaign"]:
        campaign(pathlib.Path("target/figures.jsonl"))
    if sys.argv[1:2] == ["--from"]:
        text = pathlib.Path(sys.argv[2]).read_text(encoding="utf-8", errors="replace")
        FIGURES = [figure for figure in FIGURES if "nextest" in figure[1] and "passed" not in figure[2]]
        # The run as a whole passed, or this is not called.
        said_by = lambda command: (True, text)
    out = pathlib.Path("target/figures.jsonl")
    out.parent.mkdir(exist_ok=True)
    all_hold = True
    # The cut of the campaign is part of a whole run, and is not run again for its figures alone.
    cut = campaign_lines(text) if sys.argv[1:2] == ["--from"] else []
    with out.open("w", encoding="utf-8") as lines:
        for line in [*figures(said_by), *cut]:
            all_hold &= line["holds"]
            lines.write(json.dumps(line, ensure_ascii=False) + "\n")
            print(f"{'holds' if line['holds'] else 'DOES NOT HOLD':14} {line['value']!s:>8}  {line['figure']} ({line['bar']})", flush=True)
    sys.exit(0 if all_hold else 1)


if __name__ == "__main__":
    main()
