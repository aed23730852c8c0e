# SPDX-License-Identifier: GPL-2.0-only
"""The parts of the matrix that need no virtual machine."""
import base64
import gzip
import io
import json
import lzma
import pathlib
import shutil
import struct
import subprocess
import tarfile

import lz4.block
import pytest
import zstandard

import expected
import image
import initramfs
import kernels
import machine
import matrix
import second_tries
import userland


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
    monkeypatch.setattr(kernels.packages, "system_archives", lambda: {"Debian": nowhere, "Debian-Security": nowhere})
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


def test_programs_of_another_architecture_come_with_what_they_need(tmp_path):
    native = userland.Native()
    sh = native.path("sh")
    (tmp_path / "usr" / "bin").mkdir(parents=True)
    shutil.copy(sh, tmp_path / "usr" / "bin" / "dash")
    for place, here in native.libraries(sh).items():
        folder = tmp_path / "usr" / "lib"
        folder.mkdir(exist_ok=True)
        name = pathlib.PurePath(place).name
        if name.startswith("libc"):  # as a link from the root, which leads into that root
            shutil.copy(here, folder / "real")
            (folder / name).symlink_to("/usr/lib/real")
        else:
            shutil.copy(here, folder / name)
    foreign = userland.Foreign(tmp_path)
    needed = foreign.libraries(foreign.path("sh"))
    assert {pathlib.PurePath(there).name for there in needed} == {
        pathlib.PurePath(there).name for there in native.libraries(sh)}
    assert needed["/lib/libc.so.6"] == tmp_path / "usr" / "lib" / "real"
    with pytest.raises(userland.MissingProgram, match="no nft"):
        foreign.path("nft")
    (tmp_path / "usr" / "lib" / "libc.so.6").unlink()
    with pytest.raises(userland.MissingProgram, match="needs /lib/libc.so.6"):
        userland.Foreign(tmp_path).libraries(foreign.path("sh"))


def test_what_is_not_built_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("TCPWHY_BUILD_ARM64", str(tmp_path))
    with pytest.raises(machine.NotBuilt, match="tcpwhy-static is not there: scripts/build aarch64"):
        machine.tool_path("arm64")


def test_the_archive_is_one_that_cpio_reads(tmp_path):
    path = tmp_path / "archive"
    with initramfs.Archive(path) as archive:
        archive.add("/bin/one", b"12345")
        archive.add("bin/two", b"")
        archive.add("bin/one", b"again")  # a library of two programs
    with open(path, "rb") as stream:
        listed = subprocess.run([userland.Native().path("busybox"), "cpio", "-t"], stdin=stream, capture_output=True, text=True,
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
    truth = {"expect": [{"finding": "stall-unacked", "cause": "accept-queue-full", "owner_pid": 7, "peer_pid": 9}]}
    assert expected.adapt("6.12", "i1", "cookies", truth)["expect"][0]["peer_pid"] == 9
    assert expected.adapt("6.1", "i1", "cookies", truth)["expect"] == [
        {"finding": "stall-unacked", "cause": "accept-queue-full", "owner_pid": 7}]


def test_what_a_machine_blurs_is_allowed():
    stall = {"finding": "stall-unacked", "cause": "accept-queue-full", "count_total": {"min": 5}}
    reset = {"finding": "reset", "cause": "never-accepted"}
    truth = expected.adapt("7.2", "i2", "ipv4", {"expect": [stall, reset], "allow": []})
    assert truth == {"expect": [reset], "allow": [{"finding": "stall-unacked", "cause": "accept-queue-full"}]}


def test_what_needed_a_second_try_in_the_machine_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(matrix.Run, "_boot", lambda *_: None)
    monkeypatch.setattr(kernels, "fetch", lambda name: name)
    run = matrix.Run("6.1", [], tmp_path)
    run.read("\nagain i1-ipv4 nobody was stuck\n\nincident i1-ipv4 packed\n")
    assert run.made_again == {"i1-ipv4": "nobody was stuck"}


def test_a_second_try_is_noted_with_the_difference(tmp_path, monkeypatch):
    monkeypatch.setenv(second_tries.FILE, str(tmp_path / "notes"))
    story = "\nDIFFERENCES\n  - reset / peer-abort: never said\n  - i6: neither expected nor allowed\nTRUTH of i6 cut\n"
    with pytest.warns(UserWarning, match="6.1 i6 cut needed a second try"):
        second_tries.note("6.1 i6 cut", story, None)
    with pytest.warns(UserWarning):
        second_tries.note("i1 ipv4", "the cause failed", story)
    rows = [json.loads(line) for line in (tmp_path / "notes").read_text().splitlines()]
    assert rows[0] == {"test": "6.1 i6 cut", "second": None, "made": True,
                       "first": ["reset / peer-abort: never said", "i6: neither expected nor allowed"]}
    assert rows[1]["first"] == ["the cause failed"] and rows[1]["second"] == rows[0]["first"]
    lines, few = second_tries.judge(rows, 401)
    assert few and lines[0] == "second tries: 2 in 401 tests, 2 allowed (1 in 400)"
    assert "    first try:  reset / peer-abort: never said" in "\n".join(lines).splitlines()


@pytest.mark.parametrize(("tries", "tests", "few"), [(0, 0, True), (1, 300, True), (2, 400, False), (2, 401, True), (4, 1200, False)])
def test_more_second_tries_than_one_in_400_are_too_many(tries, tests, few):
    rows = [{"test": "i1", "first": ["late"], "second": None}] * tries
    assert second_tries.judge(rows, tests)[1] == few


@pytest.mark.parametrize(("not_made", "tests", "few"), [(2, 100, True), (3, 100, False)])
def test_an_incident_that_did_not_come_about_is_the_causes_own(not_made, tests, few):
    rows = [{"test": "i1", "first": ["cause: slow"], "second": None, "made": False}] * not_made
    lines, judged_few = second_tries.judge(rows, tests)
    assert judged_few == few
    assert lines[0] == f"second tries: 0 in {tests} tests, 1 allowed (1 in 400); {not_made} more whose incident did not come about, 2 allowed"


def elf_of(sections):
    """A 64-bit ELF file with nothing but these sections and the table of their names."""
    names, bodies, rows = b"\0", b"", []
    for name, body in [*sections.items(), (".shstrtab", None)]:
        at = len(names)
        names += name.encode() + b"\0"
        body = names if body is None else body
        rows.append(struct.pack("<IIQQQQ", at, 1, 0, 0, 64 + len(bodies), len(body)).ljust(64, b"\0"))
        bodies += body
    head = b"\x7fELF\x02\x01".ljust(0x28, b"\0") + struct.pack("<Q", 64 + len(bodies))
    head = head.ljust(0x3a, b"\0") + struct.pack("<HHH", 64, len(rows), len(rows) - 1)
    return head + bodies + b"".join(rows)


def image_of(payload, sectors=3, offset=100):
    setup = bytearray((sectors + 1) * 512 + offset)
    setup[0x1f1] = sectors
    setup[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", setup, 0x248, offset, len(payload))
    return bytes(setup) + payload + b"what follows"


def lz4_legacy(data, block=8 << 20):
    packed = [lz4.block.compress(data[at:at + block], store_size=False) for at in range(0, len(data), block)]
    return b"\x02\x21\x4c\x18" + b"".join(struct.pack("<I", len(one)) + one for one in packed) + struct.pack("<I", len(data))


@pytest.mark.parametrize("compress", [gzip.compress, lambda data: lzma.compress(data, preset=0), zstandard.compress, lz4_legacy, bytes],
                         ids=["gzip", "xz", "zstd", "lz4", "none"])
def test_types_are_read_from_an_image(tmp_path, compress):
    types = bytes(range(256)) * 33_000  # more than one block of lz4
    (tmp_path / "vmlinuz").write_bytes(image_of(compress(elf_of({".text": b"code", ".BTF": types, ".BTF_ids": b"x"}))))
    assert image.btf(tmp_path / "vmlinuz") == types


def memory_image(*parts):
    return b"MZ".ljust(0x38, b"\0") + b"ARM\x64" + b"".join(parts)


def test_types_are_read_from_an_arm64_image(tmp_path):
    types = struct.pack("<HBBIIIII", 0xeb9f, 1, 0, 24, 0, 40, 40, 9) + bytes(40) + b"\0int\0int\0"
    by_chance = b"\x9f\xeb\x01\x00" + b"\xff" * 30
    (tmp_path / "vmlinuz").write_bytes(memory_image(b"code", by_chance, types, b"data"))
    assert image.btf(tmp_path / "vmlinuz") == types
    (tmp_path / "vmlinuz").write_bytes(memory_image(b"code", by_chance, types[:-1]))
    with pytest.raises(image.NoTypes, match="no types"):
        image.btf(tmp_path / "vmlinuz")


def test_an_image_without_types_says_so(tmp_path):
    for data, why in ((b"nothing", "no image"), (image_of(b"????"), "not known here"), (image_of(elf_of({".text": b""})), "no section .BTF"),
                      (image_of(b"\x7fELF\x01\x01" + bytes(100)), "64-bit")):
        (tmp_path / "vmlinuz").write_bytes(data)
        with pytest.raises(image.NoTypes, match=why):
            image.btf(tmp_path / "vmlinuz")
