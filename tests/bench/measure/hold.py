# SPDX-License-Identifier: GPL-2.0-only
"""Held connections: what a sweep over them costs, against `ss` over the same ones, and what memory they take."""

import dataclasses
import pathlib
import re
import statistics
import subprocess
import time

from .bpf import Iterators, bpf_statistics
from .process import BenchError, cpu_ns, cpu_of_run, memory_kib, note, reap, spawn, stop, wait_for
from .tools import SETTLE_S, Tracer, Usage

MOST_PAIRS_A_PROCESS = 9_000  # two descriptors each: below the usual RLIMIT_NOFILE of 20,000
READY_TIMEOUT_S = 180
SS = ("ss", "-tinm")

POLL_S, QUIET_POLLS = 0.02, 5  # after so many polls without work, a sweep is over
# A longer pause between two polls that saw work ends a sweep: the kernel side may pause between its pieces.
PAUSE_WITHIN_SWEEP_S = 0.05
LEAST_VISIBLE_NS = 300_000  # of CPU within one poll; a tick without a sweep takes less
LEAST_SHARE_WITHOUT_STATISTICS = 0.25  # they cost about 100 ns a visit
SWEEPS_FOR_SCHEDULE, SCHEDULE_TIMEOUT_S = 4, 100
SWEEPS_A_PAIR, PAIR_S = 4, 2.0  # so many sweeps, or as many as come in this time, but one at least


class Held:
    """A process that holds idle connections in a network namespace of its own, while the with block lasts."""

    def __init__(self, options, sockets, folder):
        pairs = sockets // 2
        processes = max(1, -(-pairs // MOST_PAIRS_A_PROCESS))
        self._command = [str(options.build / "tests/bench/hold"), "--processes", str(processes),
                         "--pairs", str(pairs // processes)]
        self._stdout_path = folder / "hold.stdout"
        self._stderr_path = folder / "hold.stderr"

    def __enter__(self):
        with open(self._stdout_path, "wb") as stdout, open(self._stderr_path, "wb") as stderr:
            self._process = spawn(self._command, stdin=subprocess.PIPE, stdout=stdout, stderr=stderr)
        try:
            wait_for("its connections were there", self._stdout_path.read_bytes, self._process,
                     self._stderr_path.read_bytes, READY_TIMEOUT_S, every_s=0.05)
            self.sockets = int(self._stdout_path.read_text().split()[1])  # ready N sockets
        except BaseException:
            stop(self._process)
            raise
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        if self._process.returncode is None and reap(self._process, READY_TIMEOUT_S) is None:
            stop(self._process)

    @property
    def pid(self):
        return self._process.pid


# ------------------------------------------------------------------------------------------------------------------- sweeps


@dataclasses.dataclass
class Span:
    """What happened between two polls, or within one sweep."""

    at_s: float
    until_s: float
    cpu_ns: float
    visits: int  # runs of the iterator programs; 0 without the kernel's statistics
    bpf_ns: int

    def add(self, other):
        self.until_s = other.until_s
        self.cpu_ns += other.cpu_ns
        self.visits += other.visits
        self.bpf_ns += other.bpf_ns


class Watch:
    """Polls what a tracer uses, and finds its sweeps in that: they come at intervals, and in between there is little."""

    def __init__(self, pid):
        self._pid = pid
        self._iterators = Iterators(pid)

    def sweeps(self, count, timeout_s, is_sweep, least_cpu_ns=0):
        """The first `count` whole sweeps from now on; fewer if the time is over. `is_sweep` tells a span's work from idling.

        What takes less than `least_cpu_ns` in all is a small walk in between, and no sweep.
        """
        def found():
            return [sweep for sweep in _joined(spans, is_sweep) if sweep.cpu_ns >= least_cpu_ns]

        spans, last, quiet = [], self._now(), QUIET_POLLS
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            time.sleep(POLL_S)
            now = self._now()
            spans.append(Span(last[0], now[0], *(later - earlier for earlier, later in zip(last[1:], now[1:]))))
            last = now
            quiet = 0 if is_sweep(spans[-1]) else quiet + 1
            if quiet == QUIET_POLLS and len(found()) >= count:
                break
        return found()[:count]

    def _now(self):
        return time.monotonic(), cpu_ns(self._pid), *self._iterators.counts()


def _joined(spans, is_sweep):
    """The sweeps among the spans, without what the tracer uses when it does not sweep."""
    idle_ns = statistics.median(span.cpu_ns for span in spans)
    sweeps = []
    for span in spans:
        if not is_sweep(span):
            continue
        work = dataclasses.replace(span, cpu_ns=span.cpu_ns - idle_ns)
        if sweeps and span.at_s - sweeps[-1].until_s < PAUSE_WITHIN_SWEEP_S:
            sweeps[-1].add(work)
        else:
            sweeps.append(work)
    # What was under way when the watch began is not whole.
    return sweeps[1:] if sweeps and sweeps[0].at_s == spans[0].at_s else sweeps


@dataclasses.dataclass
class Schedule:
    """How a tracer sweeps, from a run with the kernel's statistics on."""

    interval_s: float | None
    visits: float  # a sweep
    ns_per_visit: float  # in BPF
    cpu_s: float  # a sweep, the statistics' own cost included

    @classmethod
    def of(cls, pid):
        with bpf_statistics():
            found = Watch(pid).sweeps(SWEEPS_FOR_SCHEDULE, SCHEDULE_TIMEOUT_S, lambda span: span.visits > 0)
        if not found:
            return None
        # There may be cheap and expensive ones in turns: the expensive ones are meant.
        most = max(sweep.visits for sweep in found)
        large = [sweep for sweep in found if sweep.visits > most / 2]
        between = [later.at_s - earlier.at_s for earlier, later in zip(large, large[1:])]
        visits = statistics.median(sweep.visits for sweep in large)
        return cls(
            statistics.median(between) if between else None, visits,
            statistics.median(sweep.bpf_ns for sweep in large) / visits,
            statistics.median(sweep.cpu_ns for sweep in large) / 1e9)


def sweep_cpu_s(pid, schedule):
    """Seconds of CPU of one sweep, without the kernel's statistics; None where it is too little to be seen."""
    least_ns = schedule.cpu_s * 1e9 * LEAST_SHARE_WITHOUT_STATISTICS
    if least_ns < LEAST_VISIBLE_NS:
        return None
    interval_s = schedule.interval_s or SCHEDULE_TIMEOUT_S / SWEEPS_FOR_SCHEDULE
    count = max(1, min(SWEEPS_A_PAIR, round(PAIR_S / interval_s)))
    found = Watch(pid).sweeps(
        count, (count + 2) * interval_s + PAIR_S, lambda span: span.cpu_ns > LEAST_VISIBLE_NS, least_ns)
    return statistics.median(sweep.cpu_ns for sweep in found) / 1e9 if found else None


def announced_interval_s(words):
    """The sweep interval that the tool said it chose, if it said one: "... sweeping each 10.4 s ..."."""
    found = re.findall(r"sweep[^\n]*?\b(?:every|each) ([0-9.]+) ?(ms|min|s)\b", words.decode(errors="replace"))
    return float(found[-1][0]) * {"ms": 0.001, "s": 1, "min": 60}[found[-1][1]] if found else None


# --------------------------------------------------------------------------------------------------------------- measuring


@dataclasses.dataclass
class Result:
    """All that was measured at one number of sockets."""

    tool: str
    sockets: int
    schedule: Schedule
    pairs: list = dataclasses.field(default_factory=list)  # (seconds of CPU of ss, of a sweep)
    counted_with_statistics: bool = False  # a sweep is too little to be seen otherwise
    announced_interval_s: float | None = None
    cpu_share: float = 0.0  # of one CPU: sweeps, ticks, everything
    rss_kib: int = 0
    user_bytes: float = 0.0  # a socket, over the same tool without sockets
    kernel_bytes: float = 0.0  # a socket: unreclaimable slab
    usage: Usage | None = None

    problem = None

    def ratios(self):
        return [sweep / ss for ss, sweep in self.pairs]

    def as_json(self):
        ratios = self.ratios()
        return {
            "kind": "hold",
            "load": "hold",
            "tool": self.tool,
            "sockets": self.sockets,
            "ratio": {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)},
            "pairs": [{"ss_cpu_s": ss, "sweep_cpu_s": sweep} for ss, sweep in self.pairs],
            "counted_with_statistics": self.counted_with_statistics,
            "visits_per_sweep": self.schedule.visits,
            "ns_per_visit": self.schedule.ns_per_visit,
            "interval_s": self.schedule.interval_s,
            "announced_interval_s": self.announced_interval_s,
            "cpu_share": self.cpu_share,
            "rss_kib": self.rss_kib,
            "peak_kib": self.usage.peak_kib,
            "user_bytes_per_socket": self.user_bytes,
            "kernel_bytes_per_socket": self.kernel_bytes,
            "attach_ms": self.usage.attach_ms,
            "events_lost": self.usage.lost,
            "worst": None if self.usage.worst in ("none", "info") else self.usage.worst,
        }


def kernel_memory_kib():
    """What the kernel has allocated for its own objects and cannot give back."""
    return int(re.search(r"SUnreclaim:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text()).group(1))


def rss_without_sockets_kib(options, tool, folder):
    with Held(options, 0, folder) as held, Tracer(tool, folder, keep_output=True, netns_of=held.pid) as tracer:
        return memory_kib(tracer.pid, "VmRSS")


def measure(options, tool, sockets, folder):
    """A Result for this many sockets."""
    rss_without_kib = rss_without_sockets_kib(options, tool, folder)
    with Held(options, sockets, folder) as held:
        time.sleep(SETTLE_S)
        kernel_before_kib = kernel_memory_kib()
        with Tracer(tool, folder, keep_output=True, netns_of=held.pid) as tracer:
            schedule = Schedule.of(tracer.pid)
            if schedule is None:
                raise BenchError(f"{tool.name} ran no BPF iterator within {SCHEDULE_TIMEOUT_S} s: it does not sweep")
            result = Result(tool.name, held.sockets, schedule)
            _measure_pairs(options.pairs, tracer, held, result)
            result.rss_kib = memory_kib(tracer.pid, "VmRSS")
            result.announced_interval_s = announced_interval_s(tracer.errors())
            kernel_with_kib = kernel_memory_kib()
            result.usage = tracer.finish()
        time.sleep(4 * SETTLE_S)  # the kernel frees after a grace period
        kernel_without_kib = (kernel_before_kib + kernel_memory_kib()) / 2
        result.user_bytes = (result.rss_kib - rss_without_kib) * 1024 / held.sockets
        result.kernel_bytes = (kernel_with_kib - kernel_without_kib) * 1024 / held.sockets
    return result


def _measure_pairs(pairs, tracer, held, result):
    started_s, cpu_before_ns = time.monotonic(), cpu_ns(tracer.pid)
    for turn in range(pairs):
        ss_s = cpu_of_run(SS, held.pid)
        sweep_s = sweep_cpu_s(tracer.pid, result.schedule)
        if sweep_s is None:
            result.counted_with_statistics = True
            sweep_s = result.schedule.cpu_s
        result.pairs.append((ss_s, sweep_s))
        note(f"hold, {held.sockets} sockets, pair {turn + 1} of {pairs}: {ss_s * 1e3:,.1f} ms of CPU for ss, "
             f"{sweep_s / ss_s:.4f} of that for a sweep")
    result.cpu_share = (cpu_ns(tracer.pid) - cpu_before_ns) / 1e9 / (time.monotonic() - started_s)
