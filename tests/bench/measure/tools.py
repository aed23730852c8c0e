# SPDX-License-Identifier: GPL-2.0-only
"""The tracers that are measured."""

import dataclasses
import json
import os
import re
import subprocess
import tempfile
import time

from .bpf import is_attached
from .process import BenchError, cpu_ns, memory_kib, reap, spawn, stop, tail, wait_for

SETTLE_S = 0.5  # the kernel takes a run's network namespace apart in the background


@dataclasses.dataclass(frozen=True)
class Tool:
    name: str
    command: tuple = ()
    package: str = ""  # Debian's; empty for ours
    says_attached: str = ""  # a word on stderr once all is live; without one, its programs are looked for
    summarizes: bool = False  # the last line of its stdout is a tcpwhy.summary/1; else each line is an event
    header_lines: int = 0
    recording: str = ""  # a file that it makes, whose events are what it reported


BPFTRACE_PROGRAM = """
tracepoint:sock:inet_sock_set_state {
  printf("%d %s %s:%d %s:%d %d -> %d\\n", pid, comm, ntop(args->family, args->saddr), args->sport,
         ntop(args->family, args->daddr), args->dport, args->oldstate, args->newstate);
}
"""


def recorder(tcpwhy, path):
    return Tool("record", (tcpwhy, "record", "-o", path, "--force"), says_attached="attached", recording=path)


def all_tools(tcpwhy):
    rows = (
        Tool("none"),
        Tool("tcpwhy", (tcpwhy, "trace", "--format", "json"), says_attached="attached", summarizes=True),
        recorder(tcpwhy, os.path.join(tempfile.gettempdir(), "tcpwhy-bench.tcpwhy")),
        Tool("tcpstates", ("tcpstates",), package="libbpf-tools", header_lines=1),
        Tool("bpftrace", ("bpftrace", "-e", BPFTRACE_PROGRAM), package="bpftrace", header_lines=1),
    )
    return {tool.name: tool for tool in rows}


@dataclasses.dataclass
class Usage:
    """What one run of a tool cost and reported."""

    cpu_s: float = 0.0  # without its start
    wall_s: float = 0.0  # the time that this is of
    peak_kib: int = 0
    attach_ms: float = 0.0
    events: int | None = None
    lost: int | None = None
    file_bytes: int | None = None  # of a recording
    worst: str | None = None  # of tcpwhy: the worst severity that it found in this healthy load


class Tracer:
    """One running tool. Use as a context manager; `finish()` within it stops it properly and tells what it cost."""

    def __init__(self, tool, folder, keep_output, netns_of=None):
        self._tool = tool
        self._netns_of = netns_of
        self.stdout_path = folder / "stdout"
        self._stderr_path = folder / "stderr"
        self._keeps_output = keep_output or tool.summarizes

    def __enter__(self):
        started = time.monotonic()
        stdout_path = self.stdout_path if self._keeps_output else os.devnull
        with open(stdout_path, "wb") as stdout, open(self._stderr_path, "wb") as stderr:
            self._process = spawn(self._tool.command, stdout=stdout, stderr=stderr, netns_of=self._netns_of)
        try:
            wait_for("it was attached", self._is_attached, self._process, self.errors)
        except BaseException:
            stop(self._process)
            raise
        self.attach_ms = (time.monotonic() - started) * 1000
        time.sleep(SETTLE_S)
        self._started_s = time.monotonic()
        self._cpu_at_start_s = cpu_ns(self.pid) / 1e9
        return self

    def __exit__(self, *_):
        stop(self._process)

    @property
    def pid(self):
        return self._process.pid

    def errors(self):
        """What it has said on stderr so far."""
        return self._stderr_path.read_bytes()

    def finish(self):
        if reap(self._process, 0) is not None:
            raise BenchError(f"{self._tool.name} ended by itself ({self._process.returncode}): {tail(self.errors())}")
        peak_kib = memory_kib(self.pid, "VmHWM")
        wall_s = time.monotonic() - self._started_s
        usage = stop(self._process)
        if usage is None or (self._tool.summarizes and self._process.returncode != 0):
            raise BenchError(f"{self._tool.name} did not end well ({self._process.returncode}): {tail(self.errors())}")
        cpu_s = max(0.0, usage.ru_utime + usage.ru_stime - self._cpu_at_start_s)
        result = Usage(cpu_s=cpu_s, wall_s=wall_s, peak_kib=peak_kib, attach_ms=self.attach_ms)
        if self._tool.recording:
            self._read_recording(result)
        elif self._tool.summarizes:
            with open(self.stdout_path, encoding="utf-8") as lines:
                self._read_summary(lines, result)
        else:
            self._count_lines(result)
        return result

    def _is_attached(self):
        if self._tool.says_attached:
            return self._tool.says_attached.encode() in self.errors()
        return is_attached(self.pid)

    def _read_recording(self, result):
        """What is in it, as `report` counts it; and it is gone."""
        command = [self._tool.command[0], "report", self._tool.recording, "--format", "json", "--severity", "critical"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BenchError(f"the recording cannot be read: {tail(done.stderr.encode())}")
        self._read_summary(done.stdout.splitlines(), result)
        result.file_bytes = os.stat(self._tool.recording).st_size

    def _read_summary(self, lines, result):
        summary = None
        for line in lines:
            if '"tcpwhy.summary/1"' in line:
                summary = json.loads(line)
        if summary is None:
            raise BenchError(f"{self._tool.name} printed no summary: {tail(self.errors())}")
        result.events = sum(summary["events"].values())
        result.lost = summary["events_lost"] + summary["recorder_lost"]
        result.worst = summary["worst"]

    def _count_lines(self, result):
        lost_message = re.compile(rb"[Ll]ost (\d+) events")
        result.lost = sum(map(int, lost_message.findall(self.errors())))
        if self._keeps_output:
            lines = 0
            with open(self.stdout_path, "rb") as output:
                for line in output:
                    if lost := lost_message.match(line):
                        result.lost += int(lost.group(1))
                    elif line.strip():
                        lines += 1
            result.events = lines - self._tool.header_lines
