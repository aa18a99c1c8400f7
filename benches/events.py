"""What do events of devices cost a node: a batch of four new ones, whole, with its way to the other nodes over Redis?

The reference is bare hyper with the same settings of the listener, which reads the same bodies and says the same words.
Every batch has ids that were never seen; the whole process counts, also the thread that claims ids and tells counts.
Prints one `row {...}` for each size of a batch; the one of four has a bar.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile

import load
import run

BAR = 0.6
BATCHES = [4, 1, 32]


def report(events):
    """The body of a batch, with a mark of 32 digits for each id."""
    kinds = ["downloaded", "activated", "converted", "script-error"]
    one = lambda n: {
        "id": f"{n:032x}",
        "app": "t0/app-0",
        "version": "2.4.0" if n % 2 else "2.3.1",
        "event": kinds[n % 4],
        "ago": 12,
    }
    return json.dumps({"host": "retail-bank", "events": [one(n) for n in range(events)]}, separators=(",", ":"))


def script(body, events):
    """A script for wrk that writes new ids into the body, each time."""
    parts = body
    for n in range(events):
        parts = parts.replace(f"{n:032x}", "%s", 1)
    head = {**run.AGENT, "content-type": "application/json", "content-length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return (
        f"local body = {load.quoted(parts)}\n"
        f"local head = {load.quoted('POST /v1/events HTTP/1.1@Host: bench@' + lines.replace(chr(13) + chr(10), '@') + '@')}\n"
        "head = head:gsub('@', '\\r\\n')\n"
        "local run, at, ids = string.format('%08x%08x', os.time(), tonumber(tostring({}):match('0x(%x+)'):sub(-8), 16)), 0, {}\n"
        f"request = function()\n  for n = 1, {events} do at = at + 1; ids[n] = run .. string.format('%016x', at) end\n"
        "  return head .. string.format(body, unpack(ids))\nend\n"
    )


class Events(load.Load):
    """Batches of new events."""

    def __init__(self, events, folder):
        handle, self.script = tempfile.mkstemp(suffix=".lua", dir=folder)
        with os.fdopen(handle, "w", encoding="utf-8") as lua:
            lua.write(script(report(events), events))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", help="a bench-server that is built already")
    parser.add_argument("--profile", default="release", help="the build that is measured")
    parser.add_argument("--turns", type=int, default=9, help="samples of each side")
    parser.add_argument("--seconds", type=int, default=2, help="of one sample")
    asked = parser.parse_args()
    server = asked.server or run.built(asked.profile, True)
    holds = True
    with tempfile.TemporaryDirectory(prefix="huidu-bench-") as folder, contextlib.ExitStack() as until:
        port = load.free_port()
        command = ["taskset", "-c", str(load.LOAD_CORE), "redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder]
        redis = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until.callback(lambda: (redis.terminate(), redis.wait()))
        load.wait_for_port("127.0.0.1", port)
        for events in BATCHES:
            # A process each, so that what one remembers does not fill the other.
            with contextlib.ExitStack() as stopped:
                huidu = load.Server([server, "huidu", "--redis", f"redis://127.0.0.1:{port}/"])
                stopped.callback(huidu.stop)
                bare = load.Server([server, "bare", "--takes-events"])
                stopped.callback(bare.stop)
                batch = Events(events, folder)
                subjects = {"events": (huidu, batch), "bare": (bare, batch)}
                samples = run.measured(subjects, asked.turns, asked.seconds)
                metrics = told(huidu, events)
            print(run.rates(samples), "\n", metrics)
            work = f"{events} new events in a batch, claimed and told over Redis" if events > 1 else "1 new event, claimed and told over Redis"
            reference = "bare hyper taking the same bodies, requests per CPU-second"
            row = run.compared(samples, work, reference, "events", "bare", BAR if events == 4 else None)
            holds &= row["holds"]
            print("row " + json.dumps(row))
    sys.exit(0 if holds else 1)


def told(server, events):
    """What the server says of one more batch: that the load was taken is what its answers said."""
    body = report(events).replace("0000", "feed")
    status, _, said = run.get(server.address, "/v1/events", {**run.AGENT, "content-type": "application/json"}, "POST", body)
    assert status == 202 and json.loads(said)["accepted"] == events, (status, said)
    return said.decode()


if __name__ == "__main__":
    main()
