"""The well-behaved: runs of the load tester, one after the other for as long as the soak lasts. Each keeps a ledger of every message."""

import json
import os
import re
import subprocess
import tempfile
import threading

# What a tester demands by itself but a crowd of floods beside it may break without fault of the broker's: how late the tester was
# (its verdict INVALID says so), and how soon the last subscriber of a load other than the quiet one had its message.
LENIENT = ["late_subscribers < 1000000", "silence < 30s", "lag.p99 < 10s"]
QUIET = ["latency.p99 < 50ms"]

# Name, preset, and what differs from it.
LOADS = [
    ("quiet", "chat", ["--topics=1", "--publishers=1", "--subscribers=20", "--rate=20", "--arrival=constant"]),
    ("chat", "chat", ["--topics=10", "--publishers=5", "--subscribers=100", "--rate=50"]),
    ("msgpack", "chat", ["--adapter=fanwire-msgpack", "--topics=5", "--publishers=5", "--subscribers=50", "--rate=30"]),
    ("churn", "churn", ["--topics=10", "--subscribers=100", "--rate=50"]),
    # Who reads nothing answers no ping, and is closed for it: those six, and nobody else.
    ("stalled", "stalled.toml", ["--threshold", "disconnects <= 6"]),
    ("ticker", "ticker", ["--rate=200", "--subscribers=50"]),
    ("game", "game", ["--topics=3", "--publishers=6", "--subscribers=30", "--rate=60"]),
    ("events", "bridge", ["--adapter=fanwire-sse", "--topics=5", "--subscribers=50", "--rate=30"]),
    ("durable", "chat", ["--topic-prefix=order:", "--ack=durable", "--topics=5", "--publishers=5", "--subscribers=50", "--rate=50"]),
    ("collab", "collab", ["--topics=5", "--publishers=5", "--subscribers=25", "--rate=20"]),
    ("webhooks", "webhooks", ["--topics=5", "--publishers=2", "--subscribers=25", "--rate=20"]),
]


class Loads:
    """Every load in a thread of its own, each window a run with new topics and connections."""

    def __init__(self, tester, url, pid, window_s, until, report, only):
        self.tester, self.url, self.pid, self.window_s, self.until, self.report = tester, url, pid, window_s, until, report
        chosen = [load for load in LOADS if re.search(only, load[0])]
        self.windows = {name: [] for name, _, _ in chosen}
        self.threads = [threading.Thread(target=self._repeat, args=load) for load in chosen]

    def start(self):
        for thread in self.threads:
            thread.start()

    def join(self):
        for thread in self.threads:
            thread.join()

    def _repeat(self, name, preset, arguments):
        while not self.until.is_set():
            self.windows[name].append(self._run(name, preset, arguments))

    def _run(self, name, preset, arguments):
        here = os.path.dirname(os.path.abspath(__file__))
        scenario = os.path.join(here, preset) if preset.endswith(".toml") else preset
        with tempfile.NamedTemporaryFile(suffix=".json") as result:
            command = [self.tester, "run", scenario, "--url", self.url, "--pid", str(self.pid), "--no-pin", "--json", result.name]
            command += [f"--duration={self.window_s}s", f"--seed={len(self.windows[name]) + 1}", *arguments]
            for threshold in (LENIENT + QUIET) if name == "quiet" else LENIENT:
                command += ["--threshold", threshold]
            # What measures goes before what is measured beside it: the quiet chat's tester is to be late by itself least of all.
            ran = subprocess.run(
                command, capture_output=True, text=True, timeout=self.window_s + 300,
                preexec_fn=(lambda: os.nice(-10)) if name == "quiet" and os.geteuid() == 0 else None,
                env={**os.environ, "LOADTEST_HOOK": "loadtest-signs-with-this"},
            )
            try:
                figures = json.load(open(result.name))
            except ValueError:
                figures = {}
        window = Window(ran.returncode, figures, ran.stdout + ran.stderr)
        if window.fault:
            self.report(f"{name}, window {len(self.windows[name]) + 1}: {window.fault}\n{window.text}")
        return window


class Window:
    """What one run found."""

    # The tester's exit codes: 0 all thresholds met, 3 it was the bottleneck; then its latencies are worth nothing, its ledger is.
    CODES = {0: "", 3: "", 1: "a threshold missed", 2: "it could not run", 4: "messages lost, repeated, reordered or altered"}

    def __init__(self, code, figures, text):
        self.text = text
        self.invalid = code == 3
        self.fault = self.CODES.get(code, f"ended with {code}")
        self.p99_ms = figures.get("latency", {}).get("p99_ms")
        counts = figures.get("counts", {})
        self.sent, self.deliveries = counts.get("sent", 0), counts.get("deliveries", 0)
