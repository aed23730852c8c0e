# SPDX-License-Identifier: GPL-2.0-only
"""`tcpwhy doctor` on the running kernel: what it says, and that it is true."""
import json
import os
import pathlib
import shutil
import subprocess

import jsonschema
import pytest

from conftest import ROOT

SCHEMA = json.loads((pathlib.Path(__file__).parent / "contract" / "doctor.schema.json").read_text())
FINDINGS = json.loads((pathlib.Path(__file__).parent / "contract" / "finding.schema.json").read_text())
OWN_BTF = "/sys/kernel/btf/vmlinux"
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def doctor(tool, *arguments, before=()):
    return subprocess.run([*before, str(tool), "doctor", *arguments], capture_output=True, text=True, timeout=60, check=False)


def diagnosis(tool, *arguments, before=()):
    done = doctor(tool, "--format", "json", *arguments, before=before)
    assert done.stderr == ""
    value = json.loads(done.stdout)
    jsonschema.Draft202012Validator(SCHEMA).validate(value)
    assert done.returncode == {"all": 0, "degraded": 1, "cannot-run": 3}[value["verdict"]]
    return value


def states(value):
    return {need["name"]: need["state"] for need in value["needs"]}


def test_root_can_run(tool):
    value = diagnosis(tool)
    assert value["verdict"] in ("all", "degraded")
    assert value["kernel"] == os.uname().release
    slugs = FINDINGS["$defs"]["finding"]["properties"]["finding"].get("enum")
    if slugs:
        assert {f["finding"] for f in value["findings"]} == set(slugs)


def test_tracepoints_are_as_bpftool_sees_them(tool):
    if not shutil.which("bpftool", path="/usr/sbin:/usr/bin:/sbin:/bin"):
        pytest.skip("needs bpftool")
    types = subprocess.run(["bpftool", "btf", "dump", "file", OWN_BTF, "format", "raw"], capture_output=True, text=True,
                           check=True).stdout
    for name, state in states(diagnosis(tool)).items():
        if name.startswith("tracepoint "):
            there = f"'btf_trace_{name.split()[1]}'" in types
            assert (state == "ok") == there, name


def test_self_test(tool):
    value = diagnosis(tool, "--self-test")
    assert value["self_test"]["ok"] is True, value["self_test"]
    assert 0 < value["self_test"]["told_ms"] < 5000
    text = doctor(tool, "--self-test")
    assert "its record was here after" in text.stdout


def test_self_test_without_loopback_says_so(tool):
    value = diagnosis(tool, "--self-test", before=["unshare", "--net"])
    assert value["self_test"]["ok"] is False
    assert "ip link set lo up" in value["self_test"]["hint"]
    assert value["verdict"] == "cannot-run"


def test_nobody_learns_what_it_may_see(readable_tool):
    value = diagnosis(readable_tool, before=NOBODY)
    assert value["verdict"] == "cannot-run"
    seen = states(value)
    assert seen["CAP_BPF and CAP_PERFMON"] == "missing"
    assert seen["BTF"] == "ok"
    assert any("CAP_BPF" in line for line in value["advice"])
    assert {f["finding"]: f["works"] for f in value["findings"]} == {
        f["finding"]: f["works"] for f in diagnosis(readable_tool)["findings"]}


def test_nobodys_self_test_fails_as_a_trace_would(readable_tool):
    value = diagnosis(readable_tool, "--self-test", before=NOBODY)
    assert value["self_test"]["ok"] is False
    assert "CAP_BPF" in value["self_test"]["error"]


def test_text_has_a_line_for_each_need_and_finding(tool):
    value, text = diagnosis(tool), doctor(tool).stdout
    for need in value["needs"]:
        assert need["name"] in text
    names = [need["name"] for need in value["needs"]]
    assert len(names) == len(set(names)), "a hook of two programs is told once"
    for finding in value["findings"]:
        assert any(line.split()[:2] == [finding["works"], finding["finding"]] for line in text.splitlines())


# ---------------------------------------------------------------- --btf

def test_a_copy_of_the_kernels_btf_is_as_good(tool, tmp_path):
    copy = shutil.copy(OWN_BTF, tmp_path / "vmlinux.btf")
    assert diagnosis(tool, "--btf", str(copy))["findings"] == diagnosis(tool)["findings"]
    assert diagnosis(tool, "--btf", str(copy), "--self-test")["self_test"]["ok"] is True


def other_btf(tmp_path):
    """Types, but not this kernel's: those of a small program."""
    source, program = tmp_path / "other.c", tmp_path / "other.o"
    source.write_text("struct one { int two; } three;\nint four(struct one *five) { return five->two; }\n")
    subprocess.run(["clang", "-g", "-O2", "-target", "bpf", "-c", source, "-o", program], check=True)
    return str(program)


def test_the_btf_of_another_kernel_is_refused(tool, tmp_path):
    other = other_btf(tmp_path)
    value = diagnosis(tool, "--btf", other)
    assert value["verdict"] == "cannot-run"
    assert states(value)["BTF (--btf)"] == "missing"
    assert any("leave --btf out" in line for line in value["advice"])
    traced = subprocess.run([str(tool), "trace", "--for", "1s", "--btf", other], capture_output=True, text=True, timeout=20,
                            check=False)
    assert traced.returncode == 1
    assert "is not the BTF of the running kernel" in traced.stderr
    assert traced.stdout == ""


def test_a_file_that_is_no_btf(tool, tmp_path):
    (tmp_path / "text").write_text("not BTF\n")
    value = diagnosis(tool, "--btf", str(tmp_path / "text"))
    assert value["verdict"] == "cannot-run"
    assert {f["works"] for f in value["findings"]} == {"no"}
    assert value["findings"]


def test_wrong_usage_is_2(tool):
    for arguments in (["--btf", "/nonexistent"], ["--format", "xml"], ["--port", "80"], ["more"]):
        done = doctor(tool, *arguments)
        assert done.returncode == 2, arguments
        assert "see tcpwhy doctor --help" in done.stderr


def test_this_kernel_offers_what_the_page_of_kernels_says(tool):
    """doc/kernels.md is written from offers.json."""
    kept = json.loads((ROOT / "tests" / "kernels" / "offers.json").read_text())
    release = ".".join(os.uname().release.split(".")[:2])
    if release not in kept:
        pytest.skip(f"{release} is not on the page")
    seen = {need["name"]: need["state"] == "ok" for need in diagnosis(tool)["needs"] if need["group"] == "kernel"}
    assert {name: seen.get(name) for name in kept[release]} == kept[release]
