# SPDX-License-Identifier: GPL-2.0-only
"""Storms that an unprivileged process makes: does the trace end in time, what does it use, what is lost, is it still right?"""

import contextlib
import dataclasses
import json
import os
import pathlib
import shlex
import signal
import subprocess
import time

from .cgroup import MemoryCgroup
from .onset import epoch_s
from .process import BenchError, cpu_ns, memory_kib, note, reap, run_load, spawn, stop, tail, wait_for

STORMS = ("resets", "refused", "syns")
# What each incident of tests/bench/storm.cpp must raise, and by when: stall-unread after 2 s; a refused connect waits 1 s for
# a success elsewhere, and the client tries 10 times a second.
INCIDENTS = {"reader": ("stall-unread", "process-stopped", 2.0), "listener": ("connect-refused", "listener-gone", 1.1)}
BEFORE_S, AFTER_S = 0.5, 1.5  # of the storm within --for
SIGNAL_AT = 0.5  # of the storm
END_LIMIT_S = 300
UNIT = pathlib.Path(__file__).resolve().parents[3] / "scripts/systemd/tcpwhy-flight-recorder.service"


class Run:
    """tcpwhy, watched: what it used since it was attached, and how it ended."""

    def __init__(self, command, folder, cgroup=None):
        self._command, self._cgroup = list(map(str, command)), cgroup
        self.stdout_path, self._stderr_path = folder / "storm.stdout", folder / "storm.stderr"

    def __enter__(self):
        with open(self.stdout_path, "wb") as stdout, open(self._stderr_path, "wb") as stderr:
            self._process = spawn(self._command, stdout=stdout, stderr=stderr, cgroup=self._cgroup)
        try:
            wait_for("it was attached", lambda: b"attached" in self.errors(), self._process, self.errors)
        except BaseException:
            stop(self._process)
            raise
        self.attached_s, self._cpu_ns = time.monotonic(), cpu_ns(self.pid)
        return self

    def __exit__(self, *_):
        if self._process.returncode is None:
            self._process.kill()
            reap(self._process, END_LIMIT_S)

    @property
    def pid(self):
        return self._process.pid

    def errors(self):
        return self._stderr_path.read_bytes()

    def cpu_s(self):
        return (cpu_ns(self.pid) - self._cpu_ns) / 1e9

    def send(self, number):
        self._process.send_signal(number)

    def wait(self):
        """(seconds from now until it ended, its exit code, its peak of memory in KiB)"""
        asked = time.monotonic()
        usage = reap(self._process, END_LIMIT_S)
        if usage is None:
            raise BenchError(f"{' '.join(self._command[:2])} did not end within {END_LIMIT_S} s")
        return time.monotonic() - asked, self._process.returncode, usage.ru_maxrss

    def summary(self):
        lines = self.stdout_path.read_text(encoding="utf-8").splitlines()
        found = [json.loads(line) for line in lines if '"tcpwhy.summary/1"' in line]
        if not found:
            raise BenchError(f"it printed no summary: {tail(self.errors())}")
        return found[-1]

    def findings(self):
        return [line for line in map(json.loads, self.stdout_path.read_text(encoding="utf-8").splitlines()) if "finding" in line]


class Storm:
    """The load generator; `finish()` gives its lines."""

    def __init__(self, options, name, seconds, incident=None):
        self._command = [str(options.build / "tests/bench/storm"), name, "--for", str(round(seconds * 1000))]
        self._command += ["--incident", incident] if incident else []

    def __enter__(self):
        self._process = spawn(self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return self

    def __exit__(self, *_):
        if self._process.returncode is None:
            self._process.kill()
            self._process.communicate()

    def finish(self):
        out, err = self._process.communicate(timeout=END_LIMIT_S)
        if self._process.returncode != 0:
            raise BenchError(f"storm failed: {tail(err or out)}")
        return [json.loads(line) for line in out.decode().splitlines()]


@dataclasses.dataclass
class Result:
    """All that was measured of one storm."""

    storm: str
    seconds: float
    rest_s: float
    without_per_s: float = 0.0
    with_per_s: float = 0.0
    wanted_per_s: float = 0.0
    events: int = 0
    lost: int = 0
    behind_ms: int | None = None  # where the summary has it
    cpu_share: float = 0.0  # during the storm
    idle_kib: int = 0
    peak_kib: int = 0
    rested_kib: int = 0
    ended_s: dict = dataclasses.field(default_factory=dict)  # by what ended it: seconds
    incidents: dict = dataclasses.field(default_factory=dict)
    recorder: dict = dataclasses.field(default_factory=dict)

    @property
    def problem(self):
        wrong = [f"the {name}'s incident: {row['problem']}" for name, row in self.incidents.items() if row.get("problem")]
        if self.recorder.get("problem"):
            wrong.append(f"flight recorder: {self.recorder['problem']}")
        return "; ".join(wrong) or None

    def as_json(self):
        return {"kind": "storm", "load": f"storm {self.storm}", "tool": "tcpwhy", **dataclasses.asdict(self)}


def measure(options, tcpwhy, name, folder):
    """A Result for this storm: some two minutes, or one with a shorter rest."""
    seconds, result = options.storm_seconds, Result(name, options.storm_seconds, options.rest)
    command = [str(options.build / "tests/bench/storm"), name, "--for", str(round(seconds * 1000))]
    result.without_per_s = json.loads(run_load(command))["per_s"]
    _measure_rest(options, tcpwhy, result, folder)
    for incident in INCIDENTS:
        _measure_incident(options, tcpwhy, incident, result, folder)
    for number in (signal.SIGINT, signal.SIGTERM):
        result.ended_s[number.name] = _ended_by(options, tcpwhy, name, number, folder)
    result.recorder = _fly(options, name, folder)
    note(f"storm {name}: {json.dumps(result.as_json())}")
    return result


def _measure_rest(options, tcpwhy, result, folder):
    """What it uses in the storm, and what it gives back."""
    with Run(tcpwhy.command, folder) as run:
        time.sleep(BEFORE_S)
        result.idle_kib = memory_kib(run.pid, "VmRSS")
        before_s, began_s = run.cpu_s(), time.monotonic()
        with Storm(options, result.storm, result.seconds) as storm:
            made = storm.finish()[-1]
        result.cpu_share = (run.cpu_s() - before_s) / (time.monotonic() - began_s)
        result.with_per_s, result.wanted_per_s = made["per_s"], made["wanted_per_s"]
        time.sleep(result.rest_s)
        result.rested_kib = memory_kib(run.pid, "VmRSS")
        run.send(signal.SIGINT)
        _, _, result.peak_kib = run.wait()
        summary = run.summary()
        result.events = sum(summary["events"].values())
        result.lost = summary["events_lost"]
        result.behind_ms = summary.get("behind_ms")


def _measure_incident(options, tcpwhy, incident, result, folder):
    """With --for, a storm and an incident within it."""
    run_for_s = BEFORE_S + result.seconds + AFTER_S
    with Run([*tcpwhy.command, "--for", f"{round(run_for_s * 1000)}ms"], folder) as run:
        time.sleep(BEFORE_S)
        with Storm(options, result.storm, result.seconds, incident) as storm:
            onset = storm.finish()[0]
        run.wait()
        late_s = time.monotonic() - run.attached_s - run_for_s
        result.ended_s["--for"] = max(late_s, result.ended_s.get("--for", 0.0))
        result.incidents[incident] = judge(incident, onset, run.findings())


def judge(incident, onset, findings):
    """When the incident was found after its threshold, and as what."""
    slug, cause, threshold_s = INCIDENTS[incident]
    ours = [line for line in findings if line["finding"] == slug and (line.get("service") or {}).get("port") == onset["port"]]
    if not ours:
        return {"found_s": None, "cause": None, "problem": f"no {slug} of it"}
    first = next((line for line in ours if line["cause"] == cause and line["culprit"].get("pid") == onset["pid"]), None)
    if first is None:
        told = f"{ours[0]['cause']} by {ours[0]['culprit']}"
        return {"found_s": None, "cause": ours[0]["cause"], "problem": f"{slug} as {told} instead of {cause} by {onset['pid']}"}
    return {"found_s": epoch_s(first["time"]) - onset["onset_ns"] / 1e9 - threshold_s, "cause": cause}


def _ended_by(options, tcpwhy, name, number, folder):
    """Seconds from the signal, in the midst of a storm, to the end."""
    with Run(tcpwhy.command, folder) as run, Storm(options, name, options.storm_seconds):
        time.sleep(options.storm_seconds * SIGNAL_AT)
        run.send(number)
        seconds, code, _ = run.wait()
        if code != 0:
            raise BenchError(f"ended with {code} after {number.name}: {tail(run.errors())}")
        run.summary()
        return seconds


# ------------------------------------------------------------------------------------------------------- flight recorder


def unit_of(path=UNIT):
    """(the words of the unit's command, the bytes of its MemoryMax)."""
    rows = dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line and not line.startswith("#"))
    size = rows["MemoryMax"]
    factor = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(size[-1])
    return shlex.split(rows["ExecStart"]), int(size[:-1]) * factor if factor else int(size)


def _fly(options, name, folder):
    """The unit's command under the unit's memory limit: does it live through the storm, and is there a recording of it?"""
    (_, *words), most_bytes = unit_of()
    saved = folder / f"flight-{name}"
    saved.mkdir()
    words[words.index("-o") + 1] = str(saved)
    with contextlib.ExitStack() as stack:
        cgroup = stack.enter_context(MemoryCgroup(most_bytes))
        run = stack.enter_context(Run([options.tcpwhy, *words], folder, cgroup.path))
        with Storm(options, name, options.storm_seconds) as storm:
            storm.finish()
        try:
            run.send(signal.SIGUSR1)
            time.sleep(1)
            run.send(signal.SIGINT)
        except ProcessLookupError:
            pass
        _, code, _ = run.wait()
        row = {"code": code, "limit_mib": most_bytes >> 20, "peak_mib": round(cgroup.peak_bytes() / 2**20, 1)}
        if code != 0:
            return {**row, "problem": f"ended with {code}: {tail(run.errors())}"}
    return {**row, **_saved(options, saved)}


def _saved(options, saved):
    files = sorted(saved.glob("*.tcpwhy"))
    if not files:
        return {"problem": "it saved nothing"}
    done = subprocess.run([str(options.tcpwhy), "report", *map(str, files[-1:]), "--format", "json", "--severity", "critical"],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0 or not done.stdout:
        return {"problem": f"what it saved cannot be read: {tail(done.stderr.encode())}"}
    events = sum(json.loads(done.stdout.splitlines()[-1])["events"].values())
    size = sum(os.stat(file).st_size for file in files)
    return {"events": events, "file_mib": round(size / 2**20, 1), "problem": None if events else "no event is in what it saved"}
