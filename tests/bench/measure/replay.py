# SPDX-License-Identifier: GPL-2.0-only
"""A recorded load, reported: how fast, in how much memory, and beside tshark on a capture of the same load."""

import dataclasses
import json
import shutil
import statistics
import subprocess
import time

from .process import BenchError, measured_run, note, run_load, spawn, stop, wait_for
from .tools import Tracer, recorder

NEEDED = {"tcpdump": "tcpdump", "tshark": "tshark"}
SNAPLEN = 128  # headers: payload tells the experts nothing


class Namespace:
    """A network namespace of its own, while the with block lasts: in it, a capture sees one load and nothing else."""

    def __enter__(self):
        self._process = spawn(
            ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep infinity"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if self._process.stdout.readline() != b"up\n":
            stop(self._process)
            raise BenchError("no network namespace could be made")
        self.pid = self._process.pid
        return self

    def __exit__(self, *_):
        stop(self._process)
        self._process.stdout.close()


class Capture:
    """tcpdump on loopback in a namespace, while the with block lasts."""

    def __init__(self, path, namespace, folder):
        self._command = ["tcpdump", "-i", "lo", "-s", str(SNAPLEN), "-B", "65536", "-Z", "root", "-w", str(path), "tcp"]
        self._namespace = namespace
        self._errors = folder / "tcpdump.stderr"

    def __enter__(self):
        with open(self._errors, "wb") as stderr:
            self._process = spawn(self._command, stdout=stderr, stderr=stderr, netns_of=self._namespace.pid)
        try:
            wait_for("it captured", lambda: b"listening on" in self._errors.read_bytes(), self._process, self._errors.read_bytes)
        except BaseException:
            stop(self._process)
            raise
        return self

    def __exit__(self, *_):
        time.sleep(1)  # what is in its buffer
        stop(self._process)


@dataclasses.dataclass
class Result:
    """Runs of one program over one file."""

    load: str
    tool: str
    file_bytes: int
    events: int | None = None
    connections: int | None = None
    lost: int | None = None
    runs: list = dataclasses.field(default_factory=list)  # (CPU s, wall s, peak KiB)
    against: list = dataclasses.field(default_factory=list)  # CPU by that of tcpwhy in the same pair

    def add(self, run):
        self.runs.append(run)

    def as_json(self):
        return {
            "kind": "replay",
            "load": self.load,
            "tool": self.tool,
            "events": self.events,
            "connections": self.connections,
            "lost": self.lost,
            "file_bytes": self.file_bytes,
            "cpu_s": spread_of([cpu for cpu, _, _ in self.runs]),
            "wall_s": spread_of([wall for _, wall, _ in self.runs]),
            "peak_kib": max(peak for _, _, peak in self.runs),
            "against_tcpwhy": spread_of(self.against) if self.against else None,
        }


def spread_of(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


class Replays:
    """All of it; results come one by one, so that what was measured before a failure is kept."""

    def __init__(self, options, folder):
        self._options = options
        self._folder = folder
        self._recording = folder / "churn.tcpwhy"
        self._capture = folder / "churn.pcap"
        self._captures = all(shutil.which(program) for program in NEEDED)
        if not self._captures:
            note(f"the comparison with tshark is left out: apt install {' '.join(NEEDED.values())}")

    def results(self):
        self._record()
        yield from self._side_by_side()
        for events in self._options.events:
            yield self._long(events)
        yield self._seek()

    def _report(self, path, *arguments):
        return measured_run([str(self._options.tcpwhy), "report", str(path), "--format", "json", *arguments])

    def _churn(self, namespace):
        run_load([str(self._options.build / "tests/bench/churn"), "--here", "--connections", str(self._options.connections),
                  "--client-cpu", str(self._options.client_cpu), "--server-cpu", str(self._options.server_cpu)],
                 netns_of=namespace.pid)

    def _record(self):
        """One load, recorded and captured at once."""
        note(f"recording {self._options.connections:,} connections")
        tool = recorder(str(self._options.tcpwhy), str(self._recording))
        with Namespace() as namespace, Tracer(tool, self._folder, keep_output=False) as tracer:
            if self._captures:
                with Capture(self._capture, namespace, self._folder):
                    self._churn(namespace)
            else:
                self._churn(namespace)
            self._usage = tracer.finish()

    def _side_by_side(self):
        load = f"replay, {self._options.connections:,} connections"
        ours = Result(load, "tcpwhy report", self._recording.stat().st_size, self._usage.events, self._options.connections,
                      self._usage.lost)
        theirs = Result(load, "tshark -z expert", self._capture.stat().st_size if self._captures else 0,
                        connections=self._options.connections)
        for turn in range(self._options.pairs):
            ours.add(self._report(self._recording))
            if not self._captures:
                continue
            theirs.add(measured_run(["tshark", "-n", "-q", "-r", str(self._capture), "-z", "expert"]))
            theirs.against.append(theirs.runs[-1][0] / ours.runs[-1][0])
            note(f"{load}, pair {turn + 1} of {self._options.pairs}: tshark takes {theirs.against[-1]:.1f} times the CPU")
        yield ours
        if theirs.runs:
            yield theirs

    def _multiplied(self, path, option, amount):
        out = run_load([str(self._options.build / "tests/bench/multiply"), "--from", str(self._recording), "--to", str(path),
                        option, str(amount)])
        return json.loads(out)

    def _long(self, events):
        path = self._folder / "long.tcpwhy"
        made = self._multiplied(path, "--events", events)
        result = Result(f"replay, {events:,} events", "tcpwhy report", path.stat().st_size, made["events"])
        for _ in range(self._options.pairs):
            result.add(self._report(path))
        note(f"{result.load}: {made['events'] / spread_of([cpu for cpu, _, _ in result.runs])['median']:,.0f} events/s of CPU")
        path.unlink()
        return result

    def _seek(self):
        """The last second but one of a tenth of the file before its end: what comes before is to be skipped."""
        path = self._folder / "large.tcpwhy"
        made = self._multiplied(path, "--bytes", self._options.seek_bytes)
        since = made["seconds"] * 0.9
        result = Result(f"--since, {self._options.seek_bytes / 2**20:,.0f} MiB", "tcpwhy report", path.stat().st_size)
        for _ in range(self._options.pairs):
            result.add(self._report(path, "--since", f"+{since:.0f}s", "--until", f"+{since + 1:.0f}s"))
        path.unlink()
        return result


def measure(options, folder):
    """Yields results; BenchError where a tool or the load failed."""
    yield from Replays(options, folder).results()
