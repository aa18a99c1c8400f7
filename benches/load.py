"""Servers and load for the benches: one core each, and what a reply costs the server.

A server is started pinned to the first core, the load to the last. A sample is one run of wrk: how many requests were
answered in how many seconds, and how many seconds of the processor the server's processes took for them, by
/proc/PID/stat. Only processes started here are ended, each by its own id.
"""

import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import time

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = CORES[0], CORES[-1]
TICKS = os.sysconf("SC_CLK_TCK")
HERE = pathlib.Path(__file__).resolve().parent


class Server:
    """A process that listens, and its children."""

    def __init__(self, command, address=None, cores=None):
        on = ",".join(map(str, cores or [SERVER_CORE]))
        self.process = subprocess.Popen(["taskset", "-c", on, *command], stdout=subprocess.PIPE, text=True)
        try:
            self.address = address or self._announced()
            host, port = self.address.split(":")
            wait_for_port(host, int(port))
        except BaseException:
            self.stop()
            raise

    def _announced(self):
        line = self.process.stdout.readline()
        if not line.startswith("listening "):
            raise SystemExit(f"{self.process.args}: said {line!r} in place of its address")
        return line.split()[1]

    def pids(self):
        own = self.process.pid
        with open(f"/proc/{own}/task/{own}/children", encoding="ascii") as children:
            return [own, *map(int, children.read().split())]

    def cpu(self):
        """Seconds of the processor so far, over the process and its children."""
        ticks = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
                fields = stat.read().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICKS

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def wait_for_port(host, port):
    until = time.monotonic() + 20
    while True:
        try:
            socket.create_connection((host, port), 1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def script(requests):
    """A script for wrk that sends `requests` (method, path, headers, body) in turn, each made beforehand."""
    parts = []
    # A function of Lua holds a bounded number of constants, so many requests are made in parts.
    for at in range(0, len(requests), 100):
        made = []
        for method, path, headers, body in requests[at : at + 100]:
            table = ", ".join(f"[{quoted(name)}] = {quoted(value)}" for name, value in headers.items())
            body = quoted(body) if body else "nil"
            made.append(f"  all[#all + 1] = wrk.format({quoted(method)}, {quoted(path)}, {{{table}}}, {body})\n")
        parts.append("parts[#parts + 1] = function()\n" + "".join(made) + "end\n")
    return (
        "local all, parts = {}, {}\n" + "".join(parts) + "init = function(args) for _, part in ipairs(parts) do part() end end\n"
        "local at = 0\nrequest = function() at = at % #all + 1; return all[at] end\n"
    )


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class Load:
    """Requests that wrk sends."""

    def __init__(self, requests, folder):
        handle, path = tempfile.mkstemp(suffix=".lua", dir=folder)
        with os.fdopen(handle, "w", encoding="utf-8") as lua:
            lua.write(script(requests))
        self.script = path
        self.first = requests[0]

    def run(self, server, seconds, connections=32):
        """One sample: requests, seconds, seconds of the server's processor."""
        before = server.cpu()
        command = ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", self.script, f"http://{server.address}/"]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        said = run.stdout
        if run.returncode:
            raise SystemExit(f"{command}: {run.stderr}{said}")
        cpu = server.cpu() - before
        count, took, unit = re.search(r"(\d+) requests in ([\d.]+)(s|m)", said).groups()
        errors = re.search(r"Non-2xx or 3xx responses: (\d+)", said) or re.search(r"Socket errors:.*", said)
        if errors:
            raise SystemExit(f"{self.script}: {errors.group(0)}\n{said}")
        took = float(took) * (60 if unit == "m" else 1)
        return {"requests": int(count), "seconds": took, "cpu": cpu}


def median(values):
    values = sorted(values)
    half = len(values) // 2
    return values[half] if len(values) % 2 else (values[half - 1] + values[half]) / 2


def spread(values):
    """The middle half of `values` as a part of their median."""
    values = sorted(values)
    quarter = len(values) // 4
    return round((values[-1 - quarter] - values[quarter]) / median(values), 3)


def rate(sample):
    return sample["requests"] / sample["seconds"]


def per_cpu(sample):
    return sample["requests"] / sample["cpu"]
