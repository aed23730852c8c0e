# SPDX-License-Identifier: GPL-2.0-only
"""Stalls with a known onset: how long after onset and threshold the finding comes."""

import dataclasses
import datetime
import json
import statistics
import subprocess
import time

from .hold import Held
from .process import BenchError, note, reap, spawn, stop, tail
from .tools import Tracer, Usage

# Each finding with the stall of tests/bench/onset.cpp that must raise it, and its threshold as README and --help tell it.
STALLS = {"stall-unread": ("unread", 2.0), "stall-unacked": ("unacked", 1.0)}
WARM_UP_S, SPACING_S = 1.5, 0.73  # the spacing is no multiple of anything, so that onsets meet all phases of the sweeps
GRACE_S = 15.0  # over the threshold; then it is missing
POLL_S = 0.01


class Lines:
    """The lines of a growing file, each with the time at which it was seen."""

    def __init__(self, path):
        self._file = open(path, "rb")  # pylint: disable=consider-using-with
        self._rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def new(self):
        """[(time.time(), object)] of the JSON lines that came since."""
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        return [(time.time(), json.loads(line)) for line in lines]


class Stalls:
    """The load generator, while the with block lasts."""

    def __init__(self, options, stall, netns_of, folder):
        self._command = [
            str(options.build / "tests/bench/onset"), "--stall", stall, "--count", str(options.onsets),
            "--warm-up", str(round(WARM_UP_S * 1000)), "--spacing", str(round(SPACING_S * 1000))]
        self._netns_of = netns_of
        self.stdout_path = folder / "onset.stdout"
        self._stderr_path = folder / "onset.stderr"

    def __enter__(self):
        with open(self.stdout_path, "wb") as stdout, open(self._stderr_path, "wb") as stderr:
            self._process = spawn(
                self._command, stdin=subprocess.PIPE, stdout=stdout, stderr=stderr, netns_of=self._netns_of)
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        if self._process.returncode is None and reap(self._process, GRACE_S) is None:
            stop(self._process)

    def check(self):
        if errors := self._stderr_path.read_bytes():
            raise BenchError(tail(errors))


@dataclasses.dataclass
class Result:
    """All that was measured of one finding with one number of held sockets."""

    tool: str
    finding: str
    sockets: int
    onsets: int
    delays: list  # (by the time in the finding, by when its line could be read), seconds after onset and threshold
    usage: Usage

    @property
    def problem(self):
        missing = self.onsets - len(self.delays)
        return f"{missing} of {self.onsets} onsets raised no {self.finding}" if missing else None

    def as_json(self):
        return {
            "kind": "onset",
            "load": "onset",
            "tool": self.tool,
            "finding": self.finding,
            "threshold_s": STALLS[self.finding][1],
            "sockets": self.sockets,
            "onsets": self.onsets,
            "delays": [{"stamped_s": stamped, "printed_s": printed} for stamped, printed in self.delays],
            "stamped_s": _median_and_max(stamped for stamped, _ in self.delays),
            "printed_s": _median_and_max(printed for _, printed in self.delays),
            "cpu_share": self.usage.cpu_s / self.usage.wall_s,
            "peak_kib": self.usage.peak_kib,
            "attach_ms": self.usage.attach_ms,
            "events_lost": self.usage.lost,
        }


def _median_and_max(values):
    values = list(values)
    return {"median": statistics.median(values), "max": max(values)} if values else None


def measure(options, tool, finding, sockets, folder):
    """A Result for this finding with this many held sockets."""
    stall, threshold_s = STALLS[finding]
    with Held(options, sockets, folder) as held, \
            Tracer(tool, folder, keep_output=True, netns_of=held.pid) as tracer, \
            Stalls(options, stall, held.pid, folder) as stalls:
        delays = _follow(stalls, tracer, finding, threshold_s, options.onsets)
        note(f"onset, {held.sockets} sockets: {len(delays)} of {options.onsets} {finding}")
        return Result(tool.name, finding, held.sockets, options.onsets, delays, tracer.finish())


def _follow(stalls, tracer, finding, threshold_s, count):
    """The delays of all that was found."""
    onsets, findings = {}, {}  # by the port of the stall's listener
    deadline = time.monotonic() + WARM_UP_S + count * SPACING_S + threshold_s + GRACE_S
    with Lines(stalls.stdout_path) as truth, Lines(tracer.stdout_path) as output:
        while time.monotonic() < deadline and (len(onsets) < count or onsets.keys() - findings.keys()):
            time.sleep(POLL_S)
            onsets.update((line["port"], line["onset_ns"] / 1e9) for _, line in truth.new())
            for seen_s, line in output.new():
                if line.get("finding") == finding:
                    findings.setdefault(_service_port(line), (epoch_s(line["time"]), seen_s))
            stalls.check()
    due = {port: onset_s + threshold_s for port, onset_s in onsets.items()}
    return [(stamp_s - due[port], seen_s - due[port]) for port, (stamp_s, seen_s) in findings.items() if port in due]


def _service_port(line):
    """Of the listening side: the finding's own word, else the end that accepted."""
    if "service" in line:
        return line["service"]["port"]
    connection = line.get("connection", {})
    end = "local" if connection.get("role") == "server" else "remote"
    return connection.get(end, {}).get("port")


def epoch_s(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
