# SPDX-License-Identifier: GPL-2.0-only
"""A soak: the plan is played under one trace, and judged."""
import dataclasses
import itertools
import json
import pathlib
import re
import signal
import subprocess
import threading
import time
import traceback

from loads import LOADS
from servers import Box, Namespace
from tracer import Tracer

from . import judge, plan, stalls

TAIL_S = 2.0
EXIT_LIMIT_S = 60
STALL_PORTS = range(1100, 11000)  # below those of the healthy servers


@dataclasses.dataclass
class Outcome:
    seconds: int
    seed: int
    verdict: judge.Verdict
    made: int  # stalls
    troubles: list  # of the soak itself
    loads: int
    connections: int  # of churn
    memory: list  # (seconds, KiB)
    summary: dict

    @property
    def good(self):
        return self.verdict.good and not self.troubles

    def as_json(self):
        return {
            "schema": "tcpwhy.soak/1", "seconds": self.seconds, "seed": self.seed, "stalls": self.made, "loads": self.loads,
            "connections": self.connections,
            "findings": {slug: dataclasses.asdict(count) for slug, count in sorted(self.verdict.counts.items())},
            "memory_kib": self.memory[-1][1] if self.memory else None, "memory_peak_kib": max((kib for _, kib in self.memory), default=None),
            "memory_slope_kib_per_min": judge.slope(self.memory),
            "events": sum(self.summary.get("events", {}).values()), "events_lost": self.summary.get("events_lost"),
            "losses": self.summary.get("losses"), "notes": self.verdict.notes, "troubles": self.troubles,
        }


class Soak:
    """Threads that play the plan's parts; what they learn is kept here."""

    def __init__(self, seconds, seed, build):
        self._plan, self._build = plan.make(seconds, seed), build
        self._seconds, self._seed = seconds, seed
        self._lock = threading.Lock()
        self._ports = itertools.cycle(STALL_PORTS)
        self._ours, self._made, self._troubles, self._memory = set(), [], [], []
        self._loads = self._connections = 0
        self._over = threading.Event()

    def run(self, tool, keep=None):
        recording = ["--record", keep, "--force"] if keep else []
        with Tracer(tool, *recording) as tracer:
            self._began = time.monotonic()
            threads = [threading.Thread(target=part, args=arguments) for part, *arguments in self._parts(tracer.pid)]
            for thread in threads:
                thread.start()
            try:
                self._until(self._seconds)
            finally:
                self._over.set()
                for thread in threads:
                    thread.join()
            time.sleep(TAIL_S)
            _stop(tracer)
        return self._outcome(tracer)

    def _parts(self, pid):
        yield self._watch_memory, pid
        yield (self._play_loads,)
        yield (self._play_bursts,)
        for lane in range(plan.LANES):
            yield self._play_stalls, lane

    def _until(self, at_s):
        """Whether that time came before the end was asked for."""
        return not self._over.wait(max(0.0, self._began + at_s - time.monotonic()))

    def _seen(self, *namespaces):
        with self._lock:
            self._ours.update(namespaces)

    def _noting(self, what, act):
        try:
            return act()
        except Exception as error:  # the others go on, and it is told at the end
            text = str(error) if isinstance(error, stalls.SoakError) else traceback.format_exc()
            with self._lock:
                self._troubles.append(f"{what}: {text}")
            return None

    def _play_stalls(self, lane):
        for stall in self._plan.stalls:
            if stall.lane != lane or not self._until(stall.start_s):
                continue
            with self._lock:
                port = next(self._ports)
            truth = self._noting(stall.kind, lambda stall=stall, port=port: stalls.make(stall, port, self._seen))
            with self._lock:
                self._made += [truth] if truth else []

    def _play_loads(self):
        for load in self._plan.loads:
            if self._until(load.start_s):
                self._noting(load.name, lambda load=load: self._play_load(load))

    def _play_load(self, load):
        row = LOADS[load.name]
        box = Box(load.name, load.seconds, **row.box)
        try:
            self._seen(*box.netns)
            acts = row.play(box)
            next(acts)
            box.begin()
            next(acts, None)
            self._loads += 1
        finally:
            box.close()

    def _play_bursts(self):
        for burst in self._plan.bursts:
            if self._until(burst.start_s):
                self._noting("churn", lambda burst=burst: self._play_burst(burst))

    def _play_burst(self, burst):
        namespace = Namespace()
        try:
            self._seen(namespace.inode)
            program = self._build / "tests/bench/churn"
            subprocess.run([*namespace.enter, program, "--here", "--connections", str(burst.connections)], check=True,
                           capture_output=True, timeout=60)
            self._connections += burst.connections
        finally:
            namespace.end()

    def _watch_memory(self, pid):
        while not self._over.wait(1):
            self._noting("memory", lambda: self._memory.append((time.monotonic() - self._began, _resident_kib(pid))))

    def _outcome(self, tracer):
        troubles = [*self._troubles, *(f"the trace: {problem}" for problem in _unsound(tracer))]
        verdict = judge.judge(self._made, tracer.findings(), self._ours)
        return Outcome(self._seconds, self._seed, verdict, len(self._made), troubles, self._loads, self._connections, self._memory,
                       _summary(tracer))


def _resident_kib(pid):
    return int(re.search(r"VmRSS:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1))


def _stop(tracer):
    tracer._process.send_signal(signal.SIGINT)
    tracer.wait_end(EXIT_LIMIT_S)


def _summary(tracer):
    try:
        return tracer.summary()
    except (AssertionError, ValueError):
        return {}


def _unsound(tracer):
    """Losses are shown apart, they are no trouble of their own."""
    return [problem for problem in tracer.problems() if "events_lost" not in problem][:10]


def as_text(outcome):
    doc = outcome.as_json()
    lines = [f"{doc['stalls']} stalls, {doc['loads']} healthy loads, {doc['connections']:,} short connections in {doc['seconds']} s "
             f"(seed {doc['seed']})", ""]
    rows = [("finding", "right", "false", "late", "missed")]
    rows += [(slug, *(str(count[key]) for key in ("right", "false", "late", "missed"))) for slug, count in doc["findings"].items()]
    width = max(len(row[0]) for row in rows)
    lines += [row[0].ljust(width) + "".join(cell.rjust(8) for cell in row[1:]) for row in rows]
    slope = doc["memory_slope_kib_per_min"]
    grew = "too short a run for its slope" if slope is None else f"{slope:+.1f} KiB a minute in the second half"
    lines += ["", f"memory: {(doc['memory_kib'] or 0) / 1024:.1f} MiB at the end, {(doc['memory_peak_kib'] or 0) / 1024:.1f} at most, {grew}",
              f"events: {doc['events']:,}, lost {doc['events_lost']}; other losses: {json.dumps(doc['losses'])}"]
    return "\n".join([*lines, *doc["notes"], *(f"trouble: {text}" for text in doc["troubles"])])
