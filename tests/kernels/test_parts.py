# SPDX-License-Identifier: GPL-2.0-only
"""The parts of the matrix that need no virtual machine."""
import base64
import io
import lzma
import subprocess
import tarfile

import pytest

import expected
import initramfs
import kernels
import matrix


class FakeApt:
    """An apt that knows who depends on what."""

    def __init__(self, table):
        self._table = table

    def depends(self, package):
        return self._table.get(package, [])


def test_carriers_of_old_and_new_packages():
    old = FakeApt({"linux-image-cloud-amd64": ["linux-image-6.1.0-56-cloud-amd64"],
                   "linux-image-6.1.0-56-cloud-amd64": ["kmod", "linux-base", "initramfs-tools"]})
    assert kernels.carriers(old, "linux-image-cloud-amd64") == ["linux-image-6.1.0-56-cloud-amd64"]
    new = FakeApt({"linux-image-cloud-amd64": ["linux-image-7.2-cloud-amd64"],
                   "linux-image-7.2-cloud-amd64": ["linux-binary-7.2-cloud-amd64", "linux-modules-7.2-cloud-amd64"],
                   "linux-binary-7.2-cloud-amd64": ["linux-modules-7.2-cloud-amd64"]})
    assert sorted(kernels.carriers(new, "linux-image-cloud-amd64")) == [
        "linux-binary-7.2-cloud-amd64", "linux-image-7.2-cloud-amd64", "linux-modules-7.2-cloud-amd64"]


def test_unknown_kernel_is_named():
    with pytest.raises(kernels.KernelError, match="no such kernel: 4.19 .*6.1"):
        kernels.fetch("4.19")


def test_half_a_kernel_in_the_cache_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("TCPWHY_CACHE", str(tmp_path))
    assert kernels.cached("6.1") is None
    folder = tmp_path / "kernels" / "6.1"
    folder.mkdir(parents=True)
    (folder / "release").write_text("6.1.0-1-cloud-amd64\n")
    assert kernels.cached("6.1") is None, "its image is missing"
    (folder / "root" / "boot").mkdir(parents=True)
    (folder / "root" / "boot" / "vmlinuz-6.1.0-1-cloud-amd64").touch()
    assert kernels.cached("6.1").release == "6.1.0-1-cloud-amd64"


def test_an_archive_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("TCPWHY_CACHE", str(tmp_path))
    nowhere = f"file:{tmp_path}/nowhere"
    monkeypatch.setattr(kernels, "system_archives", lambda: {"Debian": nowhere, "Debian-Security": nowhere})
    with pytest.raises(kernels.KernelError, match="6.1: .*nowhere.* bookworm"):
        kernels.fetch("6.1")
    assert not list((tmp_path / "kernels").iterdir()), "nothing half-done is left"


def test_modules_come_after_what_they_need(tmp_path):
    kernel = tmp_path / "kernel"
    kernel.mkdir()
    (kernel / "nft_ct.ko.xz").write_bytes(lzma.compress(b"\0license=GPL\0depends=nf-tables,nf_conntrack\0"))
    (kernel / "nf_tables.ko").write_bytes(b"\0depends=nfnetlink\0")
    (kernel / "nfnetlink.ko").write_bytes(b"\0depends=\0")
    (kernel / "nf_conntrack.ko").write_bytes(b"\0depends=libcrc32c\0")
    (kernel / "other.ko").write_bytes(b"\0depends=\0")
    (tmp_path / "modules.builtin").write_text("kernel/lib/libcrc32c.ko\nkernel/drivers/net/veth.ko\n")
    order = [name for name, _ in initramfs.Modules(tmp_path).in_order(("nft_ct", "veth", "absent"))]
    assert order == ["nfnetlink", "nf_tables", "nf_conntrack", "nft_ct"]


def test_the_archive_is_one_that_cpio_reads(tmp_path):
    path = tmp_path / "archive"
    with initramfs.Archive(path) as archive:
        archive.add("/bin/one", b"12345")
        archive.add("bin/two", b"")
        archive.add("bin/one", b"again")  # a library of two programs
    with open(path, "rb") as stream:
        listed = subprocess.run([initramfs.program_path("busybox"), "cpio", "-t"], stdin=stream, capture_output=True, text=True,
                                check=True)
    assert listed.stdout.split() == ["bin", "bin/one", "bin/two"]


def test_what_is_handed_out_is_read():
    files = {"truth": '{"silent": true}\n', "truth.err": "", "truth.rc": "0\n", "said": "a\nb\n", "err": "attached\n", "rc": "0\n",
             "times": "10.50 12.25\n"}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    made = matrix.read_made(base64.b64encode(packed.getvalue()).decode())
    assert made.output.out == ["a", "b"] and made.output.rc == 0
    assert made.truth() == {"silent": True, "began": 10.5, "over": 12.25}


def test_a_kernel_that_cannot_be_had_fails_every_incident_with_its_reason(tmp_path, monkeypatch):
    def fetch(_):
        raise kernels.KernelError("no network")

    monkeypatch.setattr(kernels, "fetch", fetch)
    run = matrix.Run("6.1", [("i1", "ipv4")], tmp_path)
    assert run.verified is None
    with pytest.raises(AssertionError, match="no network"):
        run.made("i1", "ipv4")


def test_a_difference_holds_on_its_kernels_only():
    truth = {"expect": [{"finding": "stall-unacked", "cause": "accept-queue-full", "story": "a", "owner_pid": 7}]}
    assert expected.adapt("6.12", "i1", "cookies", truth)["expect"][0]["cause"] == "accept-queue-full"
    assert expected.adapt("6.1", "i1", "cookies", truth)["expect"] == [
        {"finding": "stall-unacked", "cause": "unknown", "owner_pid": 7}]
