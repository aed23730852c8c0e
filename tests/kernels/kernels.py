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
import subprocess
import sys

KEYRINGS = pathlib.Path("/usr/share/keyrings")
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

    @property
    def package(self):
        return "linux-image-arm64" if self.arch == "arm64" else f"linux-image-cloud-{self.arch}"


KERNELS = {kernel.name: kernel for kernel in (
    Kernel("5.10", (("Debian-Security", "bullseye-security"), ("Debian", "bullseye"))),
    Kernel("6.1", (("Debian-Security", "bookworm-security"), ("Debian", "bookworm"))),
    Kernel("6.12", (("Debian", "bookworm-backports"), ("Debian-Security", "trixie-security"), ("Debian", "trixie")),
           # QEMU 7.2 computes wrong flags after cmpxchg16b, which this kernel's slab allocator uses; an interrupt then
           # saves and restores them (a trap flag out of nowhere). Without the instruction it takes a lock.
           cpu="max,-cx16"),
    Kernel("7.2", (("Debian", "sid"),)),
)}


def usual():
    """The kernels of the matrix where none is named."""
    return list(KERNELS)


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


# ---------------------------------------------------------------- apt

def system_archives():
    """The addresses of Debian's archives in the system's apt configuration, by label."""
    form = "$(LABEL)|$(REPO_URI)"
    told = subprocess.run(["apt-get", "indextargets", "--format", form, "Created-By: Packages"],
                          capture_output=True, text=True, check=False)
    archives = {}
    for line in told.stdout.splitlines():
        label, _, address = line.partition("|")
        archives.setdefault(label, address)
    if "Debian" not in archives:
        raise KernelError("the system's apt configuration names no archive of Debian: add one to /etc/apt, then apt-get update")
    # A mirror has the security archive beside the main one, as a rule.
    archives.setdefault("Debian-Security", archives["Debian"].rstrip("/") + "-security/")
    return archives


def keyring():
    for name in ("debian-archive-keyring.gpg", "debian-archive-keyring.pgp"):
        if (KEYRINGS / name).is_file():
            return KEYRINGS / name
    return None


class Apt:
    """An apt with sources, lists and state of its own; proxies and credentials are the system's."""

    def __init__(self, folder, address, suite, arch):
        self._suite = suite
        self._address = address
        self._folder = folder
        for part in ("lists/partial", "cache/archives/partial"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        keys = keyring()
        if not keys:
            print(f"vm-kernels: no keyring of Debian in {KEYRINGS}: {suite} is not verified (debian-archive-keyring has one)",
                  file=sys.stderr, flush=True)
        options = f"signed-by={keys}" if keys else "trusted=yes"
        (folder / "sources.list").write_text(f"deb [{options} arch={arch}] {address} {suite} main\n")
        (folder / "status").touch()
        (folder / "apt.conf").write_text(
            f'Dir::Etc::SourceList "{folder}/sources.list";\nDir::Etc::SourceParts "-";\n'
            f'Dir::State "{folder}";\nDir::State::Status "{folder}/status";\nDir::State::Lists "{folder}/lists";\n'
            f'Dir::Cache "{folder}/cache";\nAPT::Architecture "{arch}";\nAPT::Architectures {{ "{arch}"; }};\n'
            '#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n#clear DPkg::Post-Invoke;\n'
            'APT::Sandbox::User "root";\nAcquire::Languages "none";\nAcquire::Retries "3";\n'
            'APT::Install-Recommends "false";\nAPT::Update::Error-Mode "any";\n')

    def _run(self, program, *words, cwd=None):
        return subprocess.run([program, "-c", self._folder / "apt.conf", "-qq", *words], cwd=cwd, capture_output=True, text=True,
                              check=False, env=dict(os.environ, LC_ALL="C"))

    def update(self):
        done = self._run("apt-get", "update")
        if done.returncode == 0:
            return
        why = next((line for line in done.stderr.splitlines() if line.startswith(("E:", "W:"))), done.stderr.strip())
        if re.search(r"does not have a Release file|404|is not .*available", done.stderr):
            raise KernelError(f"the mirror {self._address} has no suite {self._suite}: {why}")
        if re.search(r"not signed|NO_PUBKEY|EXPKEYSIG|signatures", done.stderr):
            raise KernelError(f"the signature of {self._suite} could not be verified: {why}")
        raise KernelError(f"could not reach {self._address} (no network?): {why}")

    def depends(self, package):
        done = self._run("apt-cache", "depends", "--important", package)
        return re.findall(r"^\s*\|?(?:Pre)?Depends: (\S+)$", done.stdout, re.MULTILINE)

    def download(self, packages, folder):
        done = self._run("apt-get", "download", *packages, cwd=folder)
        if done.returncode != 0:
            raise KernelError(f"could not download {' '.join(packages)}: {done.stderr.strip()}")


def carriers(apt, package):
    """The packages that hold the image and the modules which the metapackage stands for."""
    found, ask = [], [package]
    while ask:
        for name in apt.depends(ask.pop()):
            if CARRIERS.match(name) and name not in found:
                found.append(name)
                ask.append(name)
    return found


# ---------------------------------------------------------------- fetching

def unpack(folder):
    root = folder / "root"
    for package in sorted((folder / "packages").glob("*.deb")):
        done = subprocess.run(["dpkg-deb", "-x", package, root], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise KernelError(f"could not unpack {package.name}: {done.stderr.strip()}")
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
    apt = Apt(folder / "apt", address, suite, kernel.arch)
    apt.update()
    packages = carriers(apt, kernel.package)
    if not any(name.startswith(f"linux-{kind}-{kernel.name}") for name in packages for kind in ("image", "binary")):
        raise KernelError(f"{suite} has no {kernel.package} of {kernel.name} ({', '.join(packages) or 'none at all'})")
    (folder / "packages").mkdir()
    apt.download(packages, folder / "packages")
    return unpack(folder)


def fetch(name, update=False):
    """The kernel, from the cache or from the mirror."""
    kernel = known(name)
    there = cached(name)
    if there and not update:
        return there
    archives = system_archives()
    cache().mkdir(parents=True, exist_ok=True)
    folder = cache() / f"{name}.new.{os.getpid()}"
    reasons = []
    for label, suite in kernel.suites:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            release = fetch_from(kernel, archives[label], suite, folder)
        except KernelError as error:
            reasons.append(str(error))
            continue
        (folder / "release").write_text(release + "\n")
        shutil.rmtree(folder / "apt" / "lists", ignore_errors=True)
        shutil.rmtree(cache() / name, ignore_errors=True)
        folder.rename(cache() / name)
        return cached(name)
    shutil.rmtree(folder, ignore_errors=True)
    raise KernelError(f"{name}: " + "; ".join(reasons))
