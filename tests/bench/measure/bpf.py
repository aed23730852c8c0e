# SPDX-License-Identifier: GPL-2.0-only
"""What the kernel says of the BPF programs of a process."""

import contextlib
import ctypes
import dataclasses
import json
import os
import pathlib
import platform
import re
import subprocess

from .process import BenchError, tail


@contextlib.contextmanager
def bpf_statistics():
    """The kernel counts the runs and the time of BPF programs while this is open.

    BPF_ENABLE_STATS (Linux 5.8) does what kernel.bpf_stats_enabled does, but ends with its file descriptor, so that they cannot
    be left on, however this process ends.
    """
    bpf_enable_stats, bpf_stats_run_time = 32, 0
    numbers = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "ppc64le": 361, "s390x": 351}
    if platform.machine() not in numbers:
        raise BenchError(f"the number of the bpf system call on {platform.machine()} is unknown to this script")
    libc = ctypes.CDLL(None, use_errno=True)
    attributes = ctypes.c_uint32(bpf_stats_run_time)
    fd = libc.syscall(
        ctypes.c_long(numbers[platform.machine()]), ctypes.c_long(bpf_enable_stats), ctypes.byref(attributes),
        ctypes.c_long(ctypes.sizeof(attributes)))
    if fd < 0:
        raise BenchError(f"BPF statistics cannot be enabled: {os.strerror(ctypes.get_errno())}")
    try:
        yield
    finally:
        os.close(fd)


def bpftool(*arguments):
    done = subprocess.run(["bpftool", "-j", *arguments], capture_output=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"bpftool {' '.join(arguments)} failed: {tail(done.stderr or done.stdout)}")
    return json.loads(done.stdout or "[]")


def fd_facts(pid, key, only=""):
    """The values of `key` (prog_id, link_id) in what the kernel says of each file descriptor of `pid` that matches `only`.

    Asked here and not of bpftool's "pids", which distributions' builds of bpftool often lack.
    """
    found = set()
    for entry in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        text = _text_of(entry)
        if re.search(only, text, re.MULTILINE):
            found.update(map(int, re.findall(rf"^{key}:\s*(\d+)", text, re.MULTILINE)))
    return found


def is_attached(pid):
    try:
        # Tracepoints were attached by perf events before they were by links, and by bpftrace still are.
        return bool(fd_facts(pid, "link_id")) or any(event["pid"] == pid for event in bpftool("perf", "show"))
    except OSError:
        return False  # it has ended: the caller sees that


def programs_of(pid):
    """{(id, name): (run_time_ns, run_cnt)} of the BPF programs that `pid` holds."""
    owned = fd_facts(pid, "prog_id")
    return {
        (program["id"], program.get("name", "?")): (program.get("run_time_ns", 0), program.get("run_cnt", 0))
        for program in bpftool("prog", "show")
        if program["id"] in owned
    }


class Iterators:
    """The runs of a process's BPF iterators and their time, cheap enough to be asked fifty times a second.

    An iterator's program runs once for each object that it walks over, and once at the end of a walk. Both are counted
    only while bpf_statistics(). Those over processes' files (task_file) are counted apart from the others.
    """

    def __init__(self, pid):
        of_files = fd_facts(pid, "prog_id", only=r"^link_type:\s*iter\n(.*\n)*?target_name:\s*task_file")
        of_others = fd_facts(pid, "prog_id", only=r"^link_type:\s*iter") - of_files
        self._entries = {True: [], False: []}  # where the kernel tells the counts of each, by whether it walks files
        for entry in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
            text = _text_of(entry)
            if "prog_type" in text and (number := _number(text, "prog_id")) in of_files | of_others:
                self._entries[number in of_files].append(entry)

    def counts(self):
        """(runs over files, runs over other things, nanoseconds of all)."""
        texts = {of_files: list(filter(None, map(_text_of, entries))) for of_files, entries in self._entries.items()}
        runs = [sum(_number(text, "run_cnt") for text in texts[of_files]) for of_files in (True, False)]
        return *runs, sum(_number(text, "run_time_ns") for text in texts[True] + texts[False])


def _number(text, key):
    return int(re.search(rf"^{key}:\s*(\d+)", text, re.MULTILINE).group(1))


def _text_of(entry):
    try:
        return entry.read_text()
    except OSError:
        return ""  # closed since


@dataclasses.dataclass
class BpfCost:
    """What the BPF programs of one tool took in one run."""

    units: float  # connections, requests or megabytes of that run
    programs: list  # {"name", "run_time_ns", "run_cnt"}

    @classmethod
    def between(cls, before, after, units):
        programs = []
        for key, (time_ns, count) in after.items():
            time_before_ns, count_before = before.get(key, (0, 0))
            programs.append({"name": key[1], "run_time_ns": time_ns - time_before_ns, "run_cnt": count - count_before})
        return cls(units, sorted(programs, key=lambda program: -program["run_time_ns"]))

    def ns_per_unit(self):
        return sum(program["run_time_ns"] for program in self.programs) / self.units

    def state_changes(self):
        return sum(program["run_cnt"] for program in self._on_state_changes())

    def ns_per_state_change(self):
        count = self.state_changes()
        return sum(program["run_time_ns"] for program in self._on_state_changes()) / count if count else None

    def _on_state_changes(self):
        # Each tool's program there is named after sock:inet_sock_set_state; without BTF of its own its name is cut to 15
        # characters.
        return [program for program in self.programs if "set_s" in program["name"]]
