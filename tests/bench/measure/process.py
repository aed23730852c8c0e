# SPDX-License-Identifier: GPL-2.0-only
"""Child processes: started, waited for, stopped, and what they used."""

import ctypes
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

RUN_TIMEOUT_S, ATTACH_TIMEOUT_S, STOP_TIMEOUT_S = 600, 30, 10


class BenchError(Exception):
    """A tool or a load that failed; the text is for the user."""


def note(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def _in_child(cpu, netns_of, cgroup):
    """What each child does before exec: die with us, even on SIGKILL, stay on its CPU, enter its cgroup and its network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    pr_set_pdeathsig, clone_newnet = 1, 0x40000000

    def prepare():
        libc.prctl(pr_set_pdeathsig, signal.SIGKILL)
        if cpu is not None:
            os.sched_setaffinity(0, {cpu})
        if cgroup is not None:
            (cgroup / "cgroup.procs").write_text("0")  # the process that writes
        if netns_of is not None:
            namespace = os.open(f"/proc/{netns_of}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            if libc.setns(namespace, clone_newnet) != 0:
                raise OSError(ctypes.get_errno(), "setns")

    return prepare


def spawn(command, *, stdout, stderr, stdin=subprocess.DEVNULL, cpu=None, netns_of=None, cgroup=None):
    """Starts `command`; on that CPU, in the network namespace of the process `netns_of`, in that cgroup's folder, where given."""
    # A session of its own: Ctrl-C reaches only us, and we stop the children in order.
    return subprocess.Popen(
        command, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True, preexec_fn=_in_child(cpu, netns_of, cgroup))


def reap(process, timeout_s):
    """The resource usage of `process` once it has ended, None if it has not within the time."""
    deadline = time.monotonic() + timeout_s
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return usage
        if time.monotonic() > deadline:
            return None
        time.sleep(0.01)


def stop(process):
    """Ends `process` as a user would, and by force if it does not listen. Returns its resource usage, None if it was gone."""
    if process.returncode is not None:
        return None
    for wanted in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        process.send_signal(wanted)
        usage = reap(process, STOP_TIMEOUT_S)
        if usage is not None:
            return usage
        note(f"{process.args[0]} does not end on {wanted.name}")
    return None


def run_load(command, cpu=None, netns_of=None):
    """Runs a load generator to its end and returns what it printed."""
    process = spawn(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cpu=cpu, netns_of=netns_of)
    try:
        out, err = process.communicate(timeout=RUN_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise BenchError(f"{command[0]} did not end within {RUN_TIMEOUT_S} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            process.wait()
    if process.returncode != 0:
        raise BenchError(f"{command[0]} failed ({process.returncode}): {tail(err or out)}")
    return out.decode()


def measured_run(command, netns_of=None):
    """Runs `command` to its end, its output thrown away; (seconds of CPU, of the clock, peak KiB)."""
    started = time.monotonic()
    process = spawn(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, netns_of=netns_of)
    usage = reap(process, RUN_TIMEOUT_S)
    if usage is None or process.returncode != 0:
        stop(process)
        raise BenchError(f"{' '.join(command)} failed ({process.returncode})")
    return usage.ru_utime + usage.ru_stime, time.monotonic() - started, usage.ru_maxrss


def cpu_of_run(command, netns_of):
    """The same, but only the CPU."""
    return measured_run(command, netns_of)[0]


def tail(text):
    lines = text.decode(errors="replace").strip().splitlines()
    return " / ".join(lines[-3:]) or "it said nothing"


def cpu_ns(pid):
    """User and system time of all threads of `pid`, as precisely as this kernel tells."""
    try:
        tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)
    except FileNotFoundError:  # built without CONFIG_SCHED_INFO: in ticks, then
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])  # utime and stime: fields 14 and 15
        return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def memory_kib(pid, key):
    """VmRSS, or VmHWM for its highest value so far."""
    return int(re.search(rf"{key}:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1))


def wait_for(what, condition, process, errors, timeout_s=ATTACH_TIMEOUT_S, every_s=0.005):
    """Waits until `condition()`, and fails when `process` ends first. `errors()` are its last words."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if reap(process, 0) is not None:
            raise BenchError(f"{process.args[0]} ended ({process.returncode}) before {what}: {tail(errors())}")
        if time.monotonic() > deadline:
            raise BenchError(f"{process.args[0]}: no sign within {timeout_s} s of {what}: {tail(errors())}")
        time.sleep(every_s)
