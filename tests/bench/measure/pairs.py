# SPDX-License-Identifier: GPL-2.0-only
"""Loads that a tracer may slow down, run in pairs: without it and with it."""

import dataclasses
import json
import pathlib
import re
import socket
import statistics
import tempfile
import time

from .bpf import BpfCost, bpf_statistics, programs_of
from .process import BenchError, note, run_load, spawn, stop, tail, wait_for
from .tools import SETTLE_S, Tracer, Usage


class Churn:
    """Opens and closes connections as fast as two CPUs can."""

    name, unit = "churn", "connection"

    def __init__(self, options):
        self._command = [
            str(options.build / "tests/bench/churn"), "--connections", str(options.connections),
            "--client-cpu", str(options.client_cpu), "--server-cpu", str(options.server_cpu)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def run(self):
        """One run; (units per second, units)."""
        result = json.loads(run_load(self._command))
        return result["connections_per_s"], result["connections"]


class Server:
    """A server process on loopback that lives as long as the with block around the load."""

    def __init__(self, options):
        self._options = options

    def _start(self, command):
        self._errors = tempfile.TemporaryFile()
        self._process = spawn(command, stdout=self._errors, stderr=self._errors, cpu=self._options.server_cpu)
        try:
            wait_for("it listened", lambda: is_listening(self._port), self._process, self._last_words)
        except BaseException:
            self._stop()
            raise

    def _stop(self):
        stop(self._process)
        self._errors.close()

    def _last_words(self):
        self._errors.seek(0)
        return self._errors.read()


class Redis(Server):
    """Many small requests on 50 connections."""

    unit = "request"
    needs = {"redis-server": "redis-server", "redis-benchmark": "redis-tools"}

    def __init__(self, options, pipeline):
        super().__init__(options)
        self.name = f"redis -P {pipeline}"
        self._pipeline = pipeline
        self._requests = 50_000  # of the warm-up; then as many as take options.seconds

    def __enter__(self):
        self._port = free_port()
        self._folder = tempfile.TemporaryDirectory(prefix="tcpwhy-bench-redis-")
        try:
            self._start([
                "redis-server", "--bind", "127.0.0.1", "--port", str(self._port), "--dir", self._folder.name,
                "--save", "", "--appendonly", "no", "--daemonize", "no"])
            rate, _ = self.run()
            self._requests = max(50_000, round(rate * self._options.seconds, -4))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._stop()
        self._folder.cleanup()

    def run(self):
        out = run_load(
            ["redis-benchmark", "-h", "127.0.0.1", "-p", str(self._port), "-t", "get", "-c", "50", "-P", str(self._pipeline),
             "-n", str(int(self._requests)), "--csv"], cpu=self._options.client_cpu)
        found = re.search(r'^"GET[^"]*","([0-9.]+)"', out, re.MULTILINE)
        if not found:
            raise BenchError(f"redis-benchmark printed no GET line: {tail(out.encode())}")
        return float(found.group(1)), self._requests


class Iperf(Server):
    """Bulk data on one connection."""

    name, unit = "iperf3", "megabyte"
    needs = {"iperf3": "iperf3"}

    def __enter__(self):
        self._port = free_port()
        self._start(["iperf3", "--server", "--bind", "127.0.0.1", "--port", str(self._port)])
        return self

    def __exit__(self, *_):
        self._stop()

    def run(self):
        out = run_load(
            ["iperf3", "--client", "127.0.0.1", "--port", str(self._port), "--time", str(self._options.seconds), "--json"],
            cpu=self._options.client_cpu)
        received = json.loads(out)["end"]["sum_received"]
        return received["bits_per_second"] / 8e6, received["bytes"] / 1e6


def free_port():
    with socket.socket() as any_port:
        any_port.bind(("127.0.0.1", 0))
        return any_port.getsockname()[1]


def is_listening(port):
    # Looked up, not tried: iperf3 takes the first connection for a test's.
    listening = "0A"
    rows = (line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:])
    return any(row[1].endswith(f":{port:04X}") and row[3] == listening for row in rows)


@dataclasses.dataclass
class Result:
    """All that was measured of one tool under one load."""

    load: str
    unit: str
    tool: str
    pairs: list = dataclasses.field(default_factory=list)  # (rate without, rate with), units per second
    usages: list = dataclasses.field(default_factory=list)  # of each timed run
    bpf: BpfCost | None = None  # of the run with statistics
    counted: Usage | None = None  # the same

    def ratios(self):
        return [with_tool / without for without, with_tool in self.pairs]

    def ratio(self):
        return statistics.median(self.ratios())

    def cpu_s(self):
        return statistics.median(usage.cpu_s for usage in self.usages) if self.usages else None

    def attach_ms(self):
        return statistics.median(usage.attach_ms for usage in self.usages) if self.usages else None

    def cpu_share(self):
        return statistics.median(usage.cpu_s / usage.wall_s for usage in self.usages) if self.usages else None

    def peak_kib(self):
        return max(usage.peak_kib for usage in self.usages) if self.usages else None

    def events(self):
        return self.counted.events if self.counted else None

    def bytes_per_event(self):
        found = [usage.file_bytes / usage.events for usage in self.usages if usage.file_bytes and usage.events]
        return statistics.median(found) if found else None

    def lost(self):
        known = [usage.lost for usage in [*self.usages, self.counted] if usage and usage.lost is not None]
        return sum(known) if known else None

    def worst(self):
        return next((usage.worst for usage in self.usages if usage.worst not in (None, "none", "info")), None)

    def as_json(self):
        return {
            "kind": "pairs",
            "load": self.load,
            "unit": self.unit,
            "tool": self.tool,
            "ratio": {"median": self.ratio(), "min": min(self.ratios()), "max": max(self.ratios())},
            "pairs": [{"without_per_s": without, "with_per_s": with_tool} for without, with_tool in self.pairs],
            "bpf": self.bpf and {
                "ns_per_state_change": self.bpf.ns_per_state_change(),
                "ns_per_unit": self.bpf.ns_per_unit(),
                "state_changes": self.bpf.state_changes(),
                "units": self.bpf.units,
                "programs": self.bpf.programs,
            },
            "events": self.events(),
            "events_lost": self.lost(),
            "bytes_per_event": self.bytes_per_event(),
            "cpu_s": self.cpu_s(),
            "cpu_share": self.cpu_share(),
            "peak_kib": self.peak_kib(),
            "attach_ms": self.attach_ms(),
            "worst": self.worst(),
        }


class Bench:
    """Runs loads with and without tools, and keeps the results and the failures."""

    def __init__(self, pairs, folder):
        self._pairs = pairs
        self._folder = folder
        self.results = []  # each has as_json()
        self.failures = []  # (load, tool, text)

    def measure_once(self, what, step):
        """Adds the result that step() gives, and its `problem` to the failures if it has one."""
        try:
            result = step(self._folder)
            self.results.append(result)
            if result.problem:
                self._failed(f"{what}: {result.problem}")
        except BenchError as error:
            self._failed(f"{what}: {error}")

    def measure_each(self, what, steps):
        """Adds the results that steps() yields."""
        try:
            for result in steps(self._folder):
                self.results.append(result)
        except BenchError as error:
            self._failed(f"{what}: {error}")

    def measure(self, load, tools):
        """Adds a result for each tool under this load. The tools take turns, so that a drift of the machine meets all of them."""
        try:
            with load:
                load.run()  # warm-up
                results = {tool: Result(load.name, load.unit, tool.name) for tool in tools}
                self._measure_pairs(load, results)
                for tool, result in results.items():
                    self._try(result, lambda tool=tool, result=result: self._count(load, tool, result))
                self.results += [result for result in results.values() if result.pairs]
        except BenchError as error:
            self._failed(f"{load.name}: {error}")

    def _measure_pairs(self, load, results):
        for turn in range(self._pairs):
            for tool, result in results.items():
                if result.tool in self._broken(load):
                    continue
                # Every other pair the other way round: what comes second is then not always the same.
                if self._try(result, lambda tool=tool, result=result: self._pair(load, tool, result, bool(turn % 2))):
                    without, with_tool = result.pairs[-1]
                    note(f"{load.name}, pair {turn + 1} of {self._pairs}, {tool.name}: "
                         f"{without:,.0f} {load.unit}s/s without, {with_tool / without:.3f} of that with")

    def _pair(self, load, tool, result, tool_first):
        if tool_first:
            with_tool, usage = self._run_with(load, tool)
            without = self._run_without(load)
        else:
            without = self._run_without(load)
            with_tool, usage = self._run_with(load, tool)
        result.pairs.append((without, with_tool))
        if usage:
            result.usages.append(usage)

    def _run_without(self, load):
        time.sleep(SETTLE_S)
        rate, _ = load.run()
        return rate

    def _run_with(self, load, tool):
        if not tool.command:
            return self._run_without(load), None
        with Tracer(tool, self._folder, keep_output=False) as tracer:  # which settles too
            rate, _ = load.run()
            return rate, tracer.finish()

    def _count(self, load, tool, result):
        """One more run, not timed: the kernel's statistics on, the tool's output kept and counted."""
        if not tool.command or not result.pairs:
            return
        time.sleep(SETTLE_S)
        with Tracer(tool, self._folder, keep_output=True) as tracer, bpf_statistics():
            before = programs_of(tracer.pid)
            _, units = load.run()
            after = programs_of(tracer.pid)
            result.bpf = BpfCost.between(before, after, units)
            result.counted = tracer.finish()

    def _broken(self, load):
        return {tool for name, tool, _ in self.failures if name == load.name}

    def _try(self, result, step):
        try:
            step()
            return True
        except BenchError as error:
            self._failed(f"{result.load}, {result.tool}: {error}", result)
            return False

    def _failed(self, text, result=None):
        note(text)
        self.failures.append((result.load if result else "", result.tool if result else "", text))
