# SPDX-License-Identifier: GPL-2.0-only
"""The root of a virtual machine, as the archive that the kernel unpacks at boot: busybox, programs, modules."""
import lzma
import os
import pathlib
import re
import stat
import subprocess

import userland

GUEST = pathlib.Path(__file__).resolve().parent / "guest"
# What the machine itself and the causes need, whatever of it is not built in.
MODULES = (
    "virtio_pci", "virtio_console",
    "veth", "dummy", "inet_diag", "tcp_diag",
    "sch_htb", "sch_tbf", "sch_netem", "cls_u32",
    "nf_tables", "nft_counter", "nft_numgen", "nft_limit", "nft_ct", "nft_reject", "nft_reject_inet",
)


# ---------------------------------------------------------------- modules

def module_name(path):
    return path.name.split(".ko")[0].replace("-", "_")


def module_text(path):
    data = path.read_bytes()
    if path.suffix == ".xz":
        return lzma.decompress(data)
    if path.suffix == ".zst":
        return subprocess.run(["zstd", "-dc", path], capture_output=True, check=True).stdout
    return data


class Modules:
    """A kernel's modules. Which needs which is read from the modules themselves: depmod has never run here."""

    def __init__(self, folder):
        self._paths = {module_name(path): path for path in folder.rglob("*.ko*") if ".ko" in path.name}
        builtin = (folder / "modules.builtin")
        names = builtin.read_text().split() if builtin.is_file() else []
        self.builtin = {module_name(pathlib.Path(name)) for name in names}

    def in_order(self, wanted):
        """[(name, bytes)]: what is wanted and is no part of the image, each after those that it needs."""
        out = {}

        def add(name):
            if name in out or name in self.builtin or name not in self._paths:
                return
            data = module_text(self._paths[name])
            needs = re.search(rb"\0depends=([^\0]*)\0", data)
            for need in (needs.group(1).decode().split(",") if needs else []):
                add(need.replace("-", "_"))
            out[name] = data

        for name in wanted:
            add(name)
        return list(out.items())


# ---------------------------------------------------------------- the archive

class Archive:
    """A cpio archive in the format that the kernel reads (newc)."""

    def __init__(self, path):
        self._file = open(path, "wb")
        self._folders = set()
        self._names = set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._entry("TRAILER!!!", 0, b"")
        self._file.close()

    def _entry(self, name, mode, data):
        text = name.encode() + b"\0"
        fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(text), 0)
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + text
        for part in (head, data):
            self._file.write(part)
            self._file.write(b"\0" * (-len(part) % 4))

    def folder(self, name):
        name = name.strip("/")
        if not name or name in self._folders:
            return
        self.folder(os.path.dirname(name))
        self._folders.add(name)
        self._entry(name, stat.S_IFDIR | 0o755, b"")

    def add(self, name, data, mode=0o755):
        name = name.strip("/")
        if name in self._names:
            return
        self._names.add(name)
        self.folder(os.path.dirname(name))
        self._entry(name, stat.S_IFREG | mode, data)

    def add_file(self, name, path):
        self.add(name, pathlib.Path(path).read_bytes())

    def add_program(self, name, path, libraries):
        self.add_file(name, path)
        for there, here in libraries.items():
            self.add_file(there, here)


def build(target, kernel, files):
    """Writes the archive; `files` is {name in the machine: path here}, all executable."""
    with Archive(target) as archive:
        for folder in ("proc", "sys", "dev", "tmp", "run", "out", "etc", "root", "var/run"):
            archive.folder(folder)
        for guest in sorted(GUEST.iterdir()):
            archive.add_file("init" if guest.name == "init" else f"bin/{guest.name}", guest)
        programs = userland.of(kernel.arch)
        for name in userland.PROGRAMS:
            path = programs.path(name)
            archive.add_program(f"bin/{name}", path, programs.libraries(path))
        modules = Modules(kernel.modules).in_order(MODULES)
        for name, data in modules:
            archive.add(f"modules/{name}.ko", data, 0o644)
        archive.add("modules/order", "".join(f"{name}\n" for name, _ in modules).encode(), 0o644)
        for name, path in files.items():
            archive.add_file(name, path)
