# SPDX-License-Identifier: GPL-2.0-only
"""Held connections: what a walk over them costs, against `ss` over the same ones, and what memory they take."""

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

POLL_S, QUIET_POLLS = 0.02, 5  # after so many polls without work, a look is over
# A longer pause between two polls that saw work ends a look: the kernel side may pause between its pieces.
PAUSE_WITHIN_LOOK_S = 0.05
LEAST_VISIBLE_NS = 300_000  # of CPU within one poll; a tick without a look takes less
LEAST_SHARE_WITHOUT_STATISTICS = 0.25  # they cost about 100 ns a visit
WALKS_FOR_SCHEDULE, SCHEDULE_TIMEOUT_S = 4, 120
LEAST_SHARE_OF_SOCKETS = 0.5  # of the held ones: what visits fewer is no walk over all of them
WALKS_A_PAIR, PAIR_S = 4, 2.0  # so many walks, or as many as come in this time, but one at least


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


# -------------------------------------------------------------------------------------------------------------------- looks


@dataclasses.dataclass
class Span:
    """What happened between two polls, or within one look: a walk over files, a sweep over what is tracked, or both."""

    at_s: float
    until_s: float
    cpu_ns: float
    walked: int  # runs of the iterator programs over files; 0 without the kernel's statistics
    swept: int  # ... over other things
    bpf_ns: int

    def add(self, other):
        self.until_s = other.until_s
        self.cpu_ns += other.cpu_ns
        self.walked += other.walked
        self.swept += other.swept
        self.bpf_ns += other.bpf_ns


class Watch:
    """Polls what a tracer uses, and finds its looks in that: they come at intervals, and in between there is little."""

    def __init__(self, pid):
        self._pid = pid
        self._iterators = Iterators(pid)

    def looks(self, count, timeout_s, is_work, counts):
        """All whole looks from now on until there are `count` of those that `counts`, or the time is over.

        `is_work` tells a span's work from idling.
        """
        spans, last, quiet = [], self._now(), QUIET_POLLS
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            time.sleep(POLL_S)
            now = self._now()
            spans.append(Span(last[0], now[0], *(later - earlier for earlier, later in zip(last[1:], now[1:]))))
            last = now
            quiet = 0 if is_work(spans[-1]) else quiet + 1
            if quiet == QUIET_POLLS and sum(map(counts, _joined(spans, is_work))) >= count:
                break
        return _joined(spans, is_work)

    def _now(self):
        return time.monotonic(), cpu_ns(self._pid), *self._iterators.counts()


def _joined(spans, is_work):
    """The looks among the spans, without what the tracer uses when it does not look."""
    idle_ns = statistics.median(span.cpu_ns for span in spans)
    looks = []
    for span in spans:
        if not is_work(span):
            continue
        work = dataclasses.replace(span, cpu_ns=span.cpu_ns - idle_ns)
        if looks and span.at_s - looks[-1].until_s < PAUSE_WITHIN_LOOK_S:
            looks[-1].add(work)
        else:
            looks.append(work)
    # What was under way when the watch began is not whole.
    return looks[1:] if looks and looks[0].at_s == spans[0].at_s else looks


@dataclasses.dataclass
class Schedule:
    """How a tracer looks, from a run with the kernel's statistics on."""

    interval_s: float | None  # from one walk over all files to the next
    visits: float  # of such a walk, and of a sweep that came with it
    ns_per_visit: float  # in BPF
    cpu_s: float  # a walk, the statistics' own cost included
    sweep_interval_s: float | None  # from one look at what is tracked to the next, with or without a walk
    sweep_visits: float | None  # of a look in between: what is tracked, and processes that are walked by themselves
    sweep_cpu_s: float | None

    @classmethod
    def of(cls, pid, sockets):
        """None where nothing walked over the held sockets."""
        def is_walk(look):
            return look.walked >= LEAST_SHARE_OF_SOCKETS * sockets

        with bpf_statistics():
            found = Watch(pid).looks(
                WALKS_FOR_SCHEDULE, SCHEDULE_TIMEOUT_S, lambda span: span.walked + span.swept > 0, is_walk)
        return cls.from_looks(found, is_walk)

    @classmethod
    def from_looks(cls, found, is_walk):
        walks = [look for look in found if is_walk(look)]
        others = [look for look in found if not is_walk(look)]
        if not walks:
            return None
        visits = statistics.median(walk.walked + walk.swept for walk in walks)
        return cls(
            _median_pause(walks), visits, statistics.median(walk.bpf_ns for walk in walks) / visits,
            statistics.median(walk.cpu_ns for walk in walks) / 1e9, _median_pause([look for look in found if look.swept]),
            statistics.median(look.walked + look.swept for look in others) if others else None,
            statistics.median(look.cpu_ns for look in others) / 1e9 if others else None)


def _median_pause(looks):
    between = [later.at_s - earlier.at_s for earlier, later in zip(looks, looks[1:])]
    return statistics.median(between) if between else None


def walk_cpu_s(pid, schedule):
    """Seconds of CPU of one walk, without the kernel's statistics; None where it is too little to be seen."""
    least_ns = schedule.cpu_s * 1e9 * LEAST_SHARE_WITHOUT_STATISTICS
    if least_ns < LEAST_VISIBLE_NS:
        return None
    interval_s = schedule.interval_s or SCHEDULE_TIMEOUT_S / WALKS_FOR_SCHEDULE
    count = max(1, min(WALKS_A_PAIR, round(PAIR_S / interval_s)))
    found = Watch(pid).looks(
        count, (count + 2) * interval_s + PAIR_S, lambda span: span.cpu_ns > LEAST_VISIBLE_NS,
        lambda look: look.cpu_ns >= least_ns)
    walks = [look.cpu_ns for look in found if look.cpu_ns >= least_ns][:count]
    return statistics.median(walks) / 1e9 if walks else None


def announced_interval_s(words):
    """The interval of its walks that the tool said it chose, if it said one: "... sweeping each 10.4 s ..."."""
    found = re.findall(r"sweep[^\n]*?\b(?:every|each) ([0-9.]+) ?(ms|min|s)\b", words.decode(errors="replace"))
    return float(found[-1][0]) * {"ms": 0.001, "s": 1, "min": 60}[found[-1][1]] if found else None


# --------------------------------------------------------------------------------------------------------------- measuring


@dataclasses.dataclass
class Result:
    """All that was measured at one number of sockets."""

    tool: str
    sockets: int
    schedule: Schedule
    pairs: list = dataclasses.field(default_factory=list)  # (seconds of CPU of ss, of a walk)
    counted_with_statistics: bool = False  # a walk is too little to be seen otherwise
    announced_interval_s: float | None = None
    cpu_share: float = 0.0  # of one CPU: walks, sweeps, ticks, everything
    rss_kib: int = 0
    user_bytes: float = 0.0  # a socket, over the same tool without sockets
    kernel_bytes: float = 0.0  # a socket: unreclaimable slab
    usage: Usage | None = None

    problem = None

    def ratios(self):
        return [walk / ss for ss, walk in self.pairs]

    def as_json(self):
        ratios = self.ratios()
        return {
            "kind": "hold",
            "load": "hold",
            "tool": self.tool,
            "sockets": self.sockets,
            "ratio": {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)},
            "pairs": [{"ss_cpu_s": ss, "walk_cpu_s": walk} for ss, walk in self.pairs],
            "counted_with_statistics": self.counted_with_statistics,
            "visits_per_walk": self.schedule.visits,
            "ns_per_visit": self.schedule.ns_per_visit,
            "interval_s": self.schedule.interval_s,
            "announced_interval_s": self.announced_interval_s,
            "sweep_interval_s": self.schedule.sweep_interval_s,
            "visits_per_sweep": self.schedule.sweep_visits,
            "sweep_cpu_s": self.schedule.sweep_cpu_s,
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
            schedule = Schedule.of(tracer.pid, held.sockets)
            if schedule is None:
                raise BenchError(f"no BPF iterator of {tool.name} walked over half of the {held.sockets} sockets "
                                 f"within {SCHEDULE_TIMEOUT_S} s")
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
        walk_s = walk_cpu_s(tracer.pid, result.schedule)
        if walk_s is None:
            result.counted_with_statistics = True
            walk_s = result.schedule.cpu_s
        result.pairs.append((ss_s, walk_s))
        note(f"hold, {held.sockets} sockets, pair {turn + 1} of {pairs}: {ss_s * 1e3:,.1f} ms of CPU for ss, "
             f"{walk_s / ss_s:.4f} of that for a walk")
    result.cpu_share = (cpu_ns(tracer.pid) - cpu_before_ns) / 1e9 / (time.monotonic() - started_s)
