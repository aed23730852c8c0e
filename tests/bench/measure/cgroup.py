# SPDX-License-Identifier: GPL-2.0-only
"""A memory cgroup with a limit, as systemd makes one for MemoryMax=."""

import os
import pathlib
import tempfile
import time

from .process import BenchError

V1 = pathlib.Path("/sys/fs/cgroup/memory")
V2 = pathlib.Path("/sys/fs/cgroup")


class MemoryCgroup:
    """While the with block lasts; version 1 or 2, whichever has the memory controller."""

    def __init__(self, most_bytes):
        self._most_bytes = most_bytes
        self._second = "memory" in _words(V2 / "cgroup.controllers")
        if not self._second and not (V1 / "memory.limit_in_bytes").exists():
            raise BenchError("no memory cgroup here: neither /sys/fs/cgroup/memory (v1) nor the memory controller of v2")

    def __enter__(self):
        if self._second and "memory" not in _words(V2 / "cgroup.subtree_control"):
            (V2 / "cgroup.subtree_control").write_text("+memory")
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="tcpwhy-bench-", dir=V2 if self._second else V1))
        (self.path / ("memory.max" if self._second else "memory.limit_in_bytes")).write_text(str(self._most_bytes))
        return self

    def __exit__(self, *_):
        for _try in range(50):  # a process that has just ended may still be in it
            try:
                os.rmdir(self.path)
                return
            except OSError:
                time.sleep(0.1)

    def peak_bytes(self):
        return int((self.path / ("memory.peak" if self._second else "memory.max_usage_in_bytes")).read_text())


def _words(path):
    try:
        return path.read_text().split()
    except OSError:
        return []
