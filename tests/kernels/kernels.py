# SPDX-License-Identifier: GPL-2.0-only
"""Debian's kernels: fetched through the system's apt configuration into a cache, unpacked, never installed.

Everything lies under one folder of the cache for each kernel:

    apt/        sources, lists and state of an apt of its own
    packages/   what was downloaded
    root/       the packages' files: boot/vmlinuz-RELEASE, lib/modules/RELEASE
    release     written last: the kernel is whole
"""
import dataclasses
import os
import pathlib
import re
import shutil

import packages

CARRIERS = re.compile(r"linux-(image|binary|modules)-\S+$")


class KernelError(Exception):
    """What is wrong, in words for a person."""


@dataclasses.dataclass(frozen=True)
class Kernel:
    name: str
    # (the archive's label, the suite), the best first: the first that has it gives it.
    suites: tuple
    arch: str = "amd64"
    # QEMU's name of the processor.
    cpu: str = "max"
    # Its first two numbers, where they are not its name.
    series: str = ""
    # Part of the matrix where no kernel is named.
    usual: bool = True

    @property
    def package(self):
        return f"linux-image-cloud-{self.arch}"

    @property
    def version(self):
        return self.series or self.name

    @property
    def title(self):
        return f"{self.series} {self.name}" if self.series else self.name


KERNELS = {kernel.name: kernel for kernel in (
    Kernel("5.10", (("Debian-Security", "bullseye-security"), ("Debian", "bullseye"))),
    Kernel("6.1", (("Debian-Security", "bookworm-security"), ("Debian", "bookworm"))),
    Kernel("6.12", (("Debian", "bookworm-backports"), ("Debian-Security", "trixie-security"), ("Debian", "trixie")),
           # QEMU 7.2 computes wrong flags after cmpxchg16b, which this kernel's slab allocator uses; an interrupt then
           # saves and restores them (a trap flag out of nowhere). Without the instruction it takes a lock.
           cpu="max,-cx16"),
    Kernel("7.2", (("Debian", "sid"),)),
    # Another architecture: asked for by its name. It needs programs of its own, and a cross-built tool.
    Kernel("arm64", (("Debian", "bookworm-backports"), ("Debian-Security", "trixie-security"), ("Debian", "trixie")),
           # A server's processor; what "max" adds (signed pointers among it) takes time to emulate.
           arch="arm64", cpu="neoverse-n1", series="6.12", usual=False),
)}


def usual():
    """The kernels of the matrix where none is named."""
    return [kernel.name for kernel in KERNELS.values() if kernel.usual]


def cache():
    default = pathlib.Path(os.environ.get("HOME", "/root")) / ".cache" / "tcpwhy"
    return pathlib.Path(os.environ.get("TCPWHY_CACHE", default)) / "kernels"


def known(name):
    if name not in KERNELS:
        raise KernelError(f"no such kernel: {name} (known: {', '.join(KERNELS)})")
    return KERNELS[name]


# ---------------------------------------------------------------- what is in the cache

@dataclasses.dataclass(frozen=True)
class Unpacked:
    name: str
    release: str
    folder: pathlib.Path

    @property
    def cpu(self):
        return KERNELS[self.name].cpu

    @property
    def arch(self):
        return KERNELS[self.name].arch

    @property
    def image(self):
        return self.folder / "root" / "boot" / f"vmlinuz-{self.release}"

    @property
    def modules(self):
        for parent in ("lib", "usr/lib"):
            found = self.folder / "root" / parent / "modules" / self.release
            if found.is_dir():
                return found
        raise KernelError(f"{self.name}: no modules of {self.release} in {self.folder}: remove that folder and fetch again")


def cached(name):
    """The kernel, if it is there and whole."""
    folder = cache() / known(name).name
    try:
        release = (folder / "release").read_text().strip()
    except OSError:
        return None
    kernel = Unpacked(name, release, folder)
    return kernel if kernel.image.is_file() else None


# ---------------------------------------------------------------- fetching

def carriers(apt, package):
    """The packages that hold the image and the modules which the metapackage stands for."""
    found, ask = [], [package]
    while ask:
        for name in apt.depends(ask.pop()):
            if CARRIERS.match(name) and name not in found:
                found.append(name)
                ask.append(name)
    return found


def unpack(folder):
    root = folder / "root"
    packages.unpack(folder / "packages", root)
    # Debian puts the image there from 7.x on.
    for image in root.glob("usr/lib/modules/*/vmlinuz"):
        target = root / "boot" / f"vmlinuz-{image.parent.name}"
        target.parent.mkdir(exist_ok=True)
        target.unlink(missing_ok=True)
        target.hardlink_to(image)
    releases = [image.name.removeprefix("vmlinuz-") for image in root.glob("boot/vmlinuz-*")]
    if len(releases) != 1:
        raise KernelError(f"the packages in {folder} hold {len(releases)} kernel images instead of one")
    return releases[0]


def fetch_from(kernel, address, suite, folder):
    apt = packages.Apt(folder / "apt", address, suite, kernel.arch)
    apt.update()
    names = carriers(apt, kernel.package)
    if not any(name.startswith(f"linux-{kind}-{kernel.version}") for name in names for kind in ("image", "binary")):
        raise KernelError(f"{suite} has no {kernel.package} of {kernel.version} ({', '.join(names) or 'none at all'})")
    apt.download(names, folder / "packages")
    return unpack(folder)


def archives_of(name):
    try:
        return packages.system_archives()
    except packages.PackageError as error:
        raise KernelError(f"{name}: {error}") from None


def fetch(name, update=False):
    """The kernel, from the cache or from the mirror."""
    kernel = known(name)
    there = cached(name)
    if there and not update:
        return there
    archives = archives_of(name)
    cache().mkdir(parents=True, exist_ok=True)
    folder = cache() / f"{name}.new.{os.getpid()}"
    reasons = []
    for label, suite in kernel.suites:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            release = fetch_from(kernel, archives[label], suite, folder)
        except (KernelError, packages.PackageError) as error:
            reasons.append(str(error))
            continue
        (folder / "release").write_text(release + "\n")
        shutil.rmtree(folder / "apt" / "lists", ignore_errors=True)
        shutil.rmtree(cache() / name, ignore_errors=True)
        folder.rename(cache() / name)
        return cached(name)
    shutil.rmtree(folder, ignore_errors=True)
    raise KernelError(f"{name}: " + "; ".join(reasons))
