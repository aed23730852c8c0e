# SPDX-License-Identifier: GPL-2.0-only
"""The programs that run in a virtual machine: this machine's own, or, for another architecture, Debian's, fetched into the cache."""
import os
import pathlib
import re
import shutil
import subprocess

import kernels
import packages

# What the causes run; dash, and not busybox's shell, which takes its own ip and tc before those of the path.
PROGRAMS = {"busybox": "busybox-static", "sh": "dash", "ip": "iproute2", "tc": "iproute2", "ss": "iproute2", "nft": "nftables",
            "bpftool": "bpftool", "lighttpd": "lighttpd", "ab": "apache2-utils"}
# Of the Debian that this is built on.
SUITE = "bookworm"
AGAIN = "scripts/vm-kernels fetch --update fetches anew"


class MissingProgram(Exception):
    """What is missing, in words for a person."""


class Native:
    """This machine's programs."""

    def path(self, name):
        found = shutil.which("dash" if name == "sh" else name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if not found:
            raise MissingProgram(f"{name} is not installed: run scripts/setup --kernels")
        return found

    def libraries(self, program):
        """{path there: path here} of the libraries and the interpreter that a program needs."""
        told = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
        return {path: os.path.realpath(path) for path in re.findall(r"(/\S+) \(0x", told)}


class Foreign:
    """Another architecture's programs, below `root`."""

    def __init__(self, root):
        self._root = pathlib.Path(root)
        # By name alone: what is there twice (Perl's modules, the interpreter by its two folders) is the same or not asked for.
        self._libraries = {path.name: path for path in self._root.rglob("*.so*")}

    def path(self, name):
        for folder in ("bin", "sbin", "usr/bin", "usr/sbin"):
            found = self._real(self._root / folder / ("dash" if name == "sh" else name))
            if found.is_file():
                return found
        raise MissingProgram(f"{self._root} has no {name}: {AGAIN}")

    def libraries(self, program):
        out, ask = {}, [program]
        while ask:
            told = subprocess.run(["readelf", "-ldW", ask.pop()], capture_output=True, text=True, check=True).stdout
            interpreter = re.findall(r"program interpreter: (/\S+)\]", told)
            needed = [f"/lib/{name}" for name in re.findall(r"\(NEEDED\).*\[(\S+)\]", told)]
            for there in interpreter + needed:
                here = self._libraries.get(pathlib.PurePath(there).name)
                if here is None:
                    raise MissingProgram(f"{program} needs {there}, which is not in {self._root}: {AGAIN}")
                if there not in out:
                    out[there] = self._real(here)
                    ask.append(out[there])
        return out

    def _real(self, path):
        """Links are followed below the root, absolute ones too."""
        while path.is_symlink():
            target = os.readlink(path)
            path = self._root / target.lstrip("/") if target.startswith("/") else path.parent / target
        return path


def fetch(arch, update=False):
    """The folder with that architecture's programs, from the cache or from the mirror."""
    folder = kernels.cache() / f"programs-{arch}"
    if (folder / "root").is_dir() and (folder / "whole").exists() and not update:
        return folder / "root"
    new = folder.with_suffix(f".new.{os.getpid()}")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        apt = packages.Apt(new / "apt", packages.system_archives()["Debian"], SUITE, arch)
        apt.update()
        packages.unpack(apt.download_with_all_they_need(sorted(set(PROGRAMS.values()))), new / "root")
        fetched = Foreign(new / "root")
        for name in PROGRAMS:
            fetched.libraries(fetched.path(name))
    except (packages.PackageError, MissingProgram) as error:
        shutil.rmtree(new, ignore_errors=True)
        raise MissingProgram(f"the programs for {arch}: {error}") from None
    shutil.rmtree(new / "apt")
    (new / "whole").touch()
    shutil.rmtree(folder, ignore_errors=True)
    new.rename(folder)
    return folder / "root"


def of(arch, update=False):
    native = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=False).stdout.strip()
    return Native() if arch == native else Foreign(fetch(arch, update))
