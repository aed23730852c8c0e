# SPDX-License-Identifier: GPL-2.0-only
"""Debian packages of other suites and architectures: fetched through the system's apt configuration, never installed."""
import os
import pathlib
import re
import subprocess
import sys

KEYRINGS = pathlib.Path("/usr/share/keyrings")


class PackageError(Exception):
    """What is wrong, in words for a person."""


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
        raise PackageError("the system's apt configuration names no archive of Debian: add one to /etc/apt, then apt-get update")
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
            raise PackageError(f"the mirror {self._address} has no suite {self._suite}: {why}")
        if re.search(r"not signed|NO_PUBKEY|EXPKEYSIG|signatures", done.stderr):
            raise PackageError(f"the signature of {self._suite} could not be verified: {why}")
        raise PackageError(f"could not reach {self._address} (no network?): {why}")

    def depends(self, package):
        done = self._run("apt-cache", "depends", "--important", package)
        return re.findall(r"^\s*\|?(?:Pre)?Depends: (\S+)$", done.stdout, re.MULTILINE)

    def download(self, packages, folder):
        """These packages alone."""
        folder.mkdir()
        done = self._run("apt-get", "download", *packages, cwd=folder)
        if done.returncode != 0:
            raise PackageError(f"could not download {' '.join(packages)}: {done.stderr.strip()}")

    def download_with_all_they_need(self, packages):
        """Into a folder, which is returned."""
        done = self._run("apt-get", "install", "--download-only", "--yes", *packages)
        if done.returncode != 0:
            raise PackageError(f"could not download {' '.join(packages)}: {done.stderr.strip()}")
        return self._folder / "cache" / "archives"


def unpack(folder, root):
    there = sorted(folder.glob("*.deb"))
    if not there:
        raise PackageError(f"apt left no package in {folder}")
    for package in there:
        done = subprocess.run(["dpkg-deb", "-x", package, root], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise PackageError(f"could not unpack {package.name}: {done.stderr.strip()}")
