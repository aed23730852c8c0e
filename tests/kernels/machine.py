# SPDX-License-Identifier: GPL-2.0-only
"""A virtual machine with a kernel of the cache: emulated (no KVM is needed), no network, no disk."""
import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import initramfs

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CPUS = 2
MEMORY_MIB = 4096  # tcp_mem is a share of it


@dataclasses.dataclass(frozen=True)
class Platform:
    """What QEMU is told for an architecture, and where what runs there is built."""

    qemu: str
    options: tuple
    console: str
    kernel_words: str
    preset: str
    build: str
    # Names another build folder.
    variable: str


PLATFORMS = {
    "amd64": Platform("qemu-system-x86_64", (), "ttyS0", "random.trust_cpu=on no_timer_check", "release", "build", "TCPWHY_BUILD"),
    "arm64": Platform("qemu-system-aarch64", ("-machine", "virt"), "ttyAMA0", "", "aarch64", "build-aarch64", "TCPWHY_BUILD_ARM64"),
}


def built(arch, name, variable=None):
    """What was built for an architecture, or what a variable of the environment names instead."""
    platform = PLATFORMS[arch]
    # One program for all architectures there is not.
    if variable and arch == "amd64" and variable in os.environ:
        return pathlib.Path(os.environ[variable]).resolve()
    path = pathlib.Path(os.environ.get(platform.variable, ROOT / platform.build)).resolve() / name
    if not path.exists():
        raise NotBuilt(f"{path} is not there: scripts/build {platform.preset}" + (" (after scripts/setup --arm64)" if arch == "arm64" else " all"))
    return path


class NotBuilt(Exception):
    """What is missing, in words for a person."""


def causes_path(arch="amd64"):
    return built(arch, "tests/causes", "TCPWHY_CAUSES")


def tool_path(arch):
    return built(arch, "tcpwhy-static", "TCPWHY_STATIC")


def verified_path(arch):
    return built(arch, "tests/kernels/verified")


def standard_files(arch):
    """The tool and the causes, as the machine sees them."""
    files = {"bin/tcpwhy": tool_path(arch)}
    for cause in sorted(causes_path(arch).iterdir()):
        if cause.is_file() and os.access(cause, os.X_OK):
            files[f"causes/{cause.name}"] = cause
    return files


class Machine:
    """with Machine(kernel, job="shell commands") as machine: machine.run(limit_s)

    What the job writes comes to `output` (a path) or to our own stdout; the kernel's console to `console`.
    Without a job the console is a shell, and ours is its terminal.
    """

    def __init__(self, kernel, job=None, files=None, output=None):
        self._kernel = kernel
        self._job = job
        self._files = standard_files(kernel.arch) | (files or {})
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="tcpwhy-vm-"))
        self._output = output
        self.console = self._folder / "console"

    def __enter__(self):
        files = dict(self._files)
        if self._job is not None:
            job = self._folder / "job"
            job.write_text(f"#!/bin/busybox sh\n{self._job}\n")
            files["job"] = job
        try:
            initramfs.build(self._folder / "initramfs", self._kernel, files)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        shutil.rmtree(self._folder, ignore_errors=True)

    def _command(self):
        interactive = self._job is None
        # Through a file, not a pipe: what was said before a machine hung is there all the same.
        said = self._output or self._folder / "said"
        platform = PLATFORMS[self._kernel.arch]
        # Whatever ends us ends the machine.
        return ["setpriv", "--pdeathsig", "KILL", platform.qemu, *platform.options, "-accel", "tcg", "-cpu", self._kernel.cpu,
                "-smp", str(CPUS), "-m", str(MEMORY_MIB),
                "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-nic", "none",
                "-serial", "stdio" if interactive else f"file:{self.console}",
                "-device", "virtio-serial-pci",
                "-chardev", f"file,id=said,path={said}", "-device", "virtserialport,chardev=said,nr=1",
                "-chardev", f"file,id=answer,path={self._folder}/answer", "-device", "virtserialport,chardev=answer,nr=2",
                "-kernel", str(self._kernel.image), "-initrd", str(self._folder / "initramfs"),
                "-append", f"console={platform.console} quiet loglevel=4 panic=-1 {platform.kernel_words}"]

    def run(self, limit_s):
        """The job's exit code; raises TimeoutError where it does not end, RuntimeError where the machine died."""
        try:
            done = subprocess.run(self._command(), timeout=limit_s, check=False, stderr=subprocess.PIPE, text=True,
                                  stdin=None if self._job is None else subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"the machine with {self._kernel.release} did not end within {limit_s} s:\n{self.tail()}") from None
        if self._output is None and self._job is not None:
            sys.stdout.write((self._folder / "said").read_text(errors="replace"))
            sys.stdout.flush()
        answer = self._folder / "answer"
        text = answer.read_text().strip() if answer.exists() else ""
        if not text:
            raise RuntimeError(f"the machine with {self._kernel.release} ended without an answer:\n{done.stderr}{self.tail()}")
        return int(text)

    def tail(self, lines=30):
        """The last of what the kernel said."""
        if not self.console.exists():
            return ""
        return "\n".join(self.console.read_text(errors="replace").splitlines()[-lines:])

