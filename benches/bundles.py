#!/usr/bin/env python3
"""Bundles, TLS and HTTP/2 of the real server beside Debian's nginx: one run, one core each.

Both servers are pinned to one core and the load to the other; rounds alternate between them, and only
ratios of one round are looked at. The server's time is what the kernel accounts to it
(/proc/PID/task/*/schedstat). nginx gets the same bytes of the same bundles, its best settings for files
(sendfile, tcp_nopush, an open file cache) and one worker; huidu runs as people run it, with its limits,
timers, metrics and stamps. Bundles are read by a loader of this file, which throws bytes away without
copying them (MSG_TRUNC), so that the server is what is measured; polls are asked by wrk and h2load.

    cargo build --release --bin huidu --example bench-cores && python3 benches/bundles.py [--rounds 5] [--seconds 2] [--only WORD]

Prints one line `row {...}` of JSON for each row, and with --json FILE writes them as a list.
"""

import argparse, atexit, contextlib, json, os, pathlib, re, select, shutil, signal, socket, statistics
import subprocess, sys, tempfile, time, urllib.request, zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
MIB = 1024 * 1024
SERVER_CORE, LOADER_CORE = 0, 1
RUNNING = []

def on_core(core, args, **more):
    return subprocess.Popen(["taskset", "-c", str(core), *map(str, args)], **more)

@atexit.register
def end_all():
    for process in RUNNING:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
    for process in RUNNING:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)

def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

def until(what, done, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if done():
                return
        time.sleep(0.02)
    sys.exit(f"{what}: not within {seconds} s")

def listens(port):
    socket.create_connection(("127.0.0.1", port), 1).close()
    return True

def children(pid):
    text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]

class Server:
    """A process whose time can be told."""
    def __init__(self, pids, port):
        self.pids, self.port = pids, port

    def cpu(self):
        """Seconds on a core so far, of all its threads."""
        total = 0
        for pid in self.pids:
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def rss(self):
        text = pathlib.Path(f"/proc/{self.pids[0]}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", text).group(1)) * 1024

# --- what is compared ------------------------------------------------------------------------------

def certificate(at):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                    "-nodes", "-keyout", at / "key.pem", "-out", at / "cert.pem", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                   check=True, capture_output=True)

def huidu(program, at, tls=None):
    """A server, and its control port and token."""
    at.mkdir()
    device, control = free_port(), free_port()
    args = [program, "serve", "--data-dir", at, "--review", "skipped", "--device-listen", f"127.0.0.1:{device}",
            "--control-listen", f"127.0.0.1:{control}", "--log-level", "warn", "--set", "device.cores=1",
            "--set", "bundles.packed_max=64 MiB"]
    if tls:
        args += ["--set", f"device.tls.cert={tls / 'cert.pem'}", "--set", f"device.tls.key={tls / 'key.pem'}"]
    process = on_core(SERVER_CORE, args, stdout=subprocess.DEVNULL, stderr=open(at / "log", "w"))
    RUNNING.append(process)
    until("huidu", lambda: listens(device) and (at / "admin.token").exists())
    env = {**os.environ, "HUIDU_SERVER": f"http://127.0.0.1:{control}",
           "HUIDU_TOKEN": (at / "admin.token").read_text().strip()}
    def run(*args):
        done = subprocess.run([program, *map(str, args)], env=env, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"huidu {args}: {done.stdout}{done.stderr}")
    run("host", "add", "retail-bank", "--title", "Retail bank")
    run("app", "add", "pingan/travel", "--title", "Travel")
    return Server([process.pid], device), run

def publish(run, at, server, files, sizes):
    """A version for each size, and a rollout of 20 rules. The paths of the bundles; `files` gets the same
    bytes under the same paths."""
    paths = []
    for number, size in enumerate(sizes):
        package, version = at / f"package-{number}.zip", f"1.0.{number}"
        with zipfile.ZipFile(package, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("app.json", '{"pages":["index"]}')
            archive.writestr("data.bin", os.urandom(size))
        run("version", "submit", "pingan/travel", version, package, "--list")
        rules = at / f"rules-{number}-{len(sizes)}"
        rules.mkdir()
        text = "".join(f'[[rule]]\nname = "rule-{n}"\nshare = "0.1%"\nserve = "{version}"\n'
                       f'when = {{ platform = ["android", "harmony"], host_version = ">=8.{n}" }}\n'
                       for n in range(20))
        (rules / "travel.toml").write_text(
            f'app = "pingan/travel"\nhosts = ["retail-bank"]\nstable = "{version}"\n{text}')
        run("rules", "apply", rules, "--yes")
        if server:
            base = f"http://127.0.0.1:{server.port}"
            path = json.load(urllib.request.urlopen(base + POLL))["bundle"]["url"]
            copy = files / path.lstrip("/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(urllib.request.urlopen(base + path).read())
            paths.append(path)
    return paths

POLL = "/v1/manifest/retail-bank/pingan/travel?u=device-00000017&p=android&r=CN-31&hv=8.2.1&ov=14&v=1.0.0"
# The app of benches/server.
POLL_OF_CORES = POLL.replace("pingan/travel", "t0/app-0")

def nginx(at, files, tls, poll):
    """nginx for files, for TLS and for HTTP/2, each on its port; the answer to a poll is always `poll`."""
    ports = {"files": free_port(), "tls": free_port(), "h2": free_port()}
    head, body = poll
    # Quotes and braces of the body stand for themselves; a variable would be looked up.
    text = body.replace("\\", "\\\\").replace("'", "\\'")
    headers = "".join(f"add_header {name} '{value}';" for name, value in head if name.lower() not in
                      ("connection", "content-type", "content-length", "date"))
    answer = f"location /v1/manifest/ {{ default_type application/json; {headers} return 200 '{text}'; }}"
    (at / "nginx.conf").write_text(f"""
daemon off; worker_processes 1; pid {at}/nginx.pid; error_log {at}/nginx.log crit;
worker_cpu_affinity 01;
events {{ worker_connections 4096; }}
http {{
  access_log off; sendfile on; tcp_nopush on; tcp_nodelay on;
  keepalive_requests 100000000; keepalive_timeout 75s; open_file_cache max=1000;
  client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f;
  uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;
  server {{ listen 127.0.0.1:{ports['files']} reuseport; root {files}; {answer} }}
  server {{ listen 127.0.0.1:{ports['tls']} ssl; ssl_certificate {tls}/cert.pem;
            ssl_certificate_key {tls}/key.pem; ssl_protocols TLSv1.3; {answer} }}
  server {{ listen 127.0.0.1:{ports['h2']} http2; {answer} }}
}}""")
    process = on_core(SERVER_CORE, ["/usr/sbin/nginx", "-c", at / "nginx.conf", "-p", at],
                      stderr=subprocess.DEVNULL)
    RUNNING.append(process)
    until("nginx", lambda: all(listens(port) for port in ports.values()))
    worker = children(process.pid)
    return {name: Server(worker, port) for name, port in ports.items()}

# --- load ------------------------------------------------------------------------------------------

class Reader:
    """A connection that asks for one thing again and again, and throws the body away."""
    def __init__(self, port, request):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.request, self.left, self.done, self.bytes = request, 0, 0, 0
        self.head = bytearray()
        self.socket.send(request)

    def read(self, away):
        """Reads what is there."""
        try:
            if self.left == 0:
                self.head += self.socket.recv(16384)
                end = self.head.find(b"\r\n\r\n")
                if end < 0:
                    return
                length = re.search(rb"(?i)content-length: (\d+)", self.head[:end])
                if self.head[9:12] not in (b"200", b"206"):
                    sys.exit(f"refused: {bytes(self.head[:200])}")
                come = len(self.head) - end - 4
                self.left = int(length.group(1)) - come
                self.bytes += come
                self.head.clear()
            while self.left:
                read = self.socket.recv_into(away, min(self.left, len(away)), socket.MSG_TRUNC)
                if read == 0:
                    sys.exit("the server broke off")
                self.left -= read
                self.bytes += read
            self.done += 1
            self.socket.send(self.request)
        except BlockingIOError:
            pass

def read_bodies(port, path, connections, seconds, ranged=None):
    """Bytes and requests per second, read by `connections` for `seconds`."""
    more = f"range: {ranged}\r\n" if ranged else ""
    request = f"GET {path} HTTP/1.1\r\nhost: localhost\r\n{more}\r\n".encode()
    readers = {}
    poll = select.epoll()
    for _ in range(connections):
        reader = Reader(port, request)
        readers[reader.socket.fileno()] = reader
        poll.register(reader.socket, select.EPOLLIN)
    away = bytearray(4 * MIB)
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        for number, _ in poll.poll(1):
            readers[number].read(away)
    took = time.monotonic() - begun
    for reader in readers.values():
        reader.socket.close()
    return sum(r.bytes for r in readers.values()) / took, sum(r.done for r in readers.values()) / took

def bodies(server, path, connections, seconds, ranged=None):
    """{rate: bytes per second, cpu: server seconds per byte}."""
    before = server.cpu()
    rate, _ = read_bodies(server.port, path, connections, seconds, ranged)
    return {"rate": rate, "cpu": (server.cpu() - before) / (rate * seconds)}

def tool(server, args, found, core=LOADER_CORE):
    before = server.cpu()
    done = on_core(core, args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    text, _ = done.communicate(timeout=120)
    rate, total = found(text)
    return {"rate": rate, "cpu": (server.cpu() - before) / total}

def wrk(server, scheme, seconds, connections, headers=()):
    def found(text):
        if re.search(r"Non-2xx|Socket errors: .*(connect|timeout) [1-9]", text):
            sys.exit(text)
        return (float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)),
                int(re.search(r"(\d+) requests in", text).group(1)))
    extra = [part for header in headers for part in ("-H", header)]
    return tool(server, ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", *extra,
                         f"{scheme}://127.0.0.1:{server.port}{POLL}"], found)

def h2load(server, seconds):
    def found(text):
        done = re.search(r"requests: (\d+) total.* (\d+) succeeded, (\d+) failed", text)
        if int(done.group(3)):
            sys.exit(text)
        return (float(re.search(r"finished in .*?, ([\d.]+) req/s", text).group(1)), int(done.group(2)))
    return tool(server, ["h2load", "-t1", "-c8", "-m32", f"-D{seconds}",
                         f"http://127.0.0.1:{server.port}{POLL}"], found)

# --- rows ------------------------------------------------------------------------------------------

ROWS = []

def row(work, reference, ratios, bar):
    ratio = statistics.median(ratios)
    spread = (max(ratios) - min(ratios)) / 2 if len(ratios) > 1 else 0.0
    sign, limit = bar[:2], float(bar[2:])
    holds = ratio >= limit if sign == ">=" else ratio <= limit
    ROWS.append({"work": work, "reference": reference, "ratio": round(ratio, 3), "spread": round(spread, 3),
                 "bar": bar, "holds": holds})
    print("row", json.dumps(ROWS[-1]), flush=True)

def compare(rounds, ours, theirs):
    """Ratios of rate and of time per unit of work, one of each round; the first round warms up."""
    rates, cpus = [], []
    for number in range(rounds + 1):
        pair = (ours(), theirs()) if number % 2 else tuple(reversed((theirs(), ours())))
        if number:
            rates.append(pair[0]["rate"] / pair[1]["rate"])
            cpus.append(pair[0]["cpu"] / pair[1]["cpu"])
            print(f"  ours {pair[0]['rate']:.4g}/s {pair[0]['cpu'] * 1e9:.4g} ns · "
                  f"theirs {pair[1]['rate']:.4g}/s {pair[1]['cpu'] * 1e9:.4g} ns", file=sys.stderr)
    return rates, cpus

def both_cores(program, mode):
    process = subprocess.Popen([program, mode], stdout=subprocess.PIPE, text=True,
                               preexec_fn=lambda: os.sched_setaffinity(0, range(os.cpu_count())))
    RUNNING.append(process)
    return Server([process.pid], int(process.stdout.readline()))

def everywhere(server, seconds):
    """Polls from all cores to all cores: server and load share them, as the kernel likes."""
    def found(text):
        return (float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)),
                int(re.search(r"(\d+) requests in", text).group(1)))
    cores = os.cpu_count()
    return tool(server, ["wrk", f"-t{cores}", f"-c{32 * cores}", f"-d{seconds}s",
                         f"http://127.0.0.1:{server.port}{POLL_OF_CORES}"], found, f"0-{cores - 1}")

def slow_readers(server, path, count):
    """Resident bytes with `count` connections that have polled once, and with as many that have begun to
    read a bundle and then rest. Each is looked at when it changes no more."""
    def settled():
        seen = [server.rss()]
        until("rest", lambda: (time.sleep(0.3), seen.append(server.rss()), abs(seen[-1] - seen[-2]) < MIB)[2])
        return seen[-1]
    resting = []
    for target in (POLL, path):
        sockets = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(count)]
        for one in sockets:
            one.settimeout(20)
            one.sendall(f"GET {target} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
            if not one.recv(65536).startswith(b"HTTP/1.1 200"):
                sys.exit("refused")
        resting.append(settled())
        for one in sockets:
            one.close()
    return resting

def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--huidu", default=str(ROOT / "target/release/huidu"))
    parser.add_argument("--cores", default=str(ROOT / "target/release/examples/bench-cores"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--only", default="")
    parser.add_argument("--json")
    args = parser.parse_args()
    os.sched_setaffinity(0, {LOADER_CORE})
    dir = pathlib.Path(tempfile.mkdtemp(prefix="huidu-bench-"))
    atexit.register(shutil.rmtree, dir, True)
    # Workers of nginx run as another user.
    dir.chmod(0o755)
    certificate(dir)
    files = dir / "files"
    plain, run = huidu(args.huidu, dir / "plain")
    small, large = publish(run, dir, plain, files, [2 * MIB, 20 * MIB - 64 * 1024])
    secure, run_secure = huidu(args.huidu, dir / "secure", dir)
    publish(run_secure, dir, None, None, [1000])
    reply = urllib.request.urlopen(f"http://127.0.0.1:{plain.port}{POLL}")
    other = nginx(dir, files, dir, (reply.getheaders(), reply.read().decode()))
    rounds, seconds = args.rounds, args.seconds
    wanted = lambda *works: any(args.only in work for work in works)

    for name, path in (("bundle 2 MiB", small), ("bundle 20 MiB", large)):
        if wanted(name):
            rates, cpus = compare(rounds, lambda: bodies(plain, path, 8, seconds),
                                  lambda: bodies(other["files"], path, 8, seconds))
            row(name, "nginx sendfile", rates, ">=1.0")
            row(name + " CPU per byte", "nginx sendfile", cpus, "<=1.05")
    if wanted("bundle range 256 KiB"):
        ranged = f"bytes={MIB}-{MIB + 256 * 1024 - 1}"
        _, cpus = compare(rounds, lambda: bodies(plain, large, 8, seconds, ranged),
                          lambda: bodies(other["files"], large, 8, seconds, ranged))
        row("bundle range 256 KiB CPU per byte", "nginx sendfile", cpus, "<=0.85")
    if wanted("TLS 1.3 poll"):
        _, cpus = compare(rounds, lambda: wrk(secure, "https", seconds, 32),
                          lambda: wrk(other["tls"], "https", seconds, 32))
        row("TLS 1.3 poll", "nginx TLS 1.3, `return 200`, requests per CPU-second", [1 / cpu for cpu in cpus], ">=1.2")
    if wanted("new TLS connections"):
        close = ["Connection: close"]
        rates, cpus = compare(rounds, lambda: wrk(secure, "https", seconds, 32, close),
                              lambda: wrk(other["tls"], "https", seconds, 32, close))
        row("new TLS connections", "nginx TLS 1.3", rates, ">=1.15")
        row("new TLS connections CPU", "nginx TLS 1.3", cpus, "<=0.6")
    if wanted("HTTP/2 poll"):
        _, cpus = compare(rounds, lambda: h2load(plain, seconds), lambda: h2load(other["h2"], seconds))
        row("HTTP/2 poll", "nginx HTTP/2, `return 200`, requests per CPU-second", [1 / cpu for cpu in cpus], ">=1.1")
    if wanted("both cores"):
        ours, theirs = both_cores(args.cores, "per-core"), both_cores(args.cores, "multi-thread")
        rates, _ = compare(rounds, lambda: everywhere(ours, seconds), lambda: everywhere(theirs, seconds))
        row("both cores", "the same service on tokio's multi-thread runtime", rates, ">=1.15")
    if wanted("1000 slow readers memory"):
        polled, reading = slow_readers(plain, large, 1000)
        print(f"  polled once {polled / MIB:.1f} MiB · reading {reading / MIB:.1f} MiB", file=sys.stderr)
        row("1000 slow readers memory", "1000 connections that polled once", [reading / polled], "<=1.25")
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(ROWS, indent=1) + "\n")
    sys.exit(0 if all(one["holds"] for one in ROWS) else 1)

if __name__ == "__main__":
    main()
