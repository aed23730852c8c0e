# SPDX-License-Identifier: GPL-2.0-only
"""Very many connections that get stuck at one instant: when all of them are in findings, in how many lines, for how much CPU."""

import dataclasses
import json
import signal
import subprocess
import time

from .onset import epoch_s
from .process import BenchError, reap, spawn, stop, tail, wait_for
from .storm import Run

FINDING, THRESHOLD_S = "stall-unread", 2.0
WATCHED_S = 10.0  # after the onset
READY_TIMEOUT_S = 300
# (processes, connections of each)
CROWDS = ((1_000, 1), (1, 10_000))


class Stuck:
    """The load generator: idle until `send()`."""

    def __init__(self, options, processes, connections, folder):
        self._command = [str(options.build / "tests/bench/stuck"), "--processes", str(processes), "--connections", str(connections)]
        self._stdout_path, self._stderr_path = folder / "stuck.stdout", folder / "stuck.stderr"

    def __enter__(self):
        with open(self._stdout_path, "wb") as stdout, open(self._stderr_path, "wb") as stderr:
            self._process = spawn(self._command, stdin=subprocess.PIPE, stdout=stdout, stderr=stderr)
        try:
            self._wait("its connections were there", 1)
        except BaseException:
            stop(self._process)
            raise
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        if self._process.returncode is None and reap(self._process, READY_TIMEOUT_S) is None:
            stop(self._process)

    def _lines(self):
        return self._stdout_path.read_text().splitlines()

    def _wait(self, what, lines):
        wait_for(what, lambda: len(self._lines()) >= lines, self._process, self._stderr_path.read_bytes, READY_TIMEOUT_S,
                 every_s=0.05)

    def send(self):
        """What it says as data waits on all connections."""
        self._process.stdin.write(b"go\n")
        self._process.stdin.flush()
        self._wait("data waited on all", 2)
        return json.loads(self._lines()[1])


@dataclasses.dataclass
class Result:
    tool: str
    processes: int
    connections: int
    found: int = 0  # connections, in findings
    first_s: float | None = None  # after onset and threshold
    all_s: float | None = None
    findings: int = 0
    json_lines: int = 0
    text_lines: int = 0
    cpu_share: float = 0.0
    peak_kib: int = 0
    lost: int = 0
    behind_ms: int | None = None

    @property
    def problem(self):
        return None if self.found == self.connections else f"{self.found} of {self.connections} connections are in a {FINDING}"

    def as_json(self):
        return {"kind": "stuck", "load": "onset", "finding": FINDING, "threshold_s": THRESHOLD_S, **dataclasses.asdict(self)}


def judge(result, lines, onset):
    """Fills in what the lines say of these connections."""
    due_s = onset["onset_ns"] / 1e9 + THRESHOLD_S
    counts = {}
    for line in lines:
        if line["finding"] != FINDING or (line.get("service") or {}).get("port") != onset["port"]:
            continue
        counts[line["id"]] = max(line["count_total"], counts.get(line["id"], 0))
        at_s = epoch_s(line["time"]) - due_s
        result.first_s = at_s if result.first_s is None else result.first_s
        if result.all_s is None and sum(counts.values()) >= result.connections:
            result.all_s = at_s
    result.findings, result.found = len(counts), sum(counts.values())
    result.json_lines = len(lines)


def measure(options, tcpwhy, processes, connections, folder):
    recording = folder / "stuck.tcpwhy"
    result = Result(tcpwhy.name, processes, processes * connections)
    with Stuck(options, processes, connections, folder) as stuck, \
            Run([*tcpwhy.command, "--record", recording, "--force"], folder) as run:
        onset = stuck.send()
        before_s, began_s = run.cpu_s(), time.monotonic()
        time.sleep(THRESHOLD_S + WATCHED_S)
        result.cpu_share = (run.cpu_s() - before_s) / (time.monotonic() - began_s)
        run.send(signal.SIGINT)
        _, code, result.peak_kib = run.wait()
        if code != 0:
            raise BenchError(f"ended with {code}: {tail(run.errors())}")
        summary = run.summary()
        result.lost, result.behind_ms = summary["events_lost"], summary.get("behind_ms")
        judge(result, run.findings(), onset)
    result.text_lines = _text_lines(options, recording)
    recording.unlink()
    return result


def _text_lines(options, recording):
    """What `trace` would have printed as text: a report of its recording says the same."""
    done = subprocess.run([str(options.tcpwhy), "report", str(recording)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"the recording cannot be read: {tail(done.stderr.encode())}")
    return sum(1 for line in done.stdout.splitlines() if line.strip())
