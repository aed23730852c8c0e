# SPDX-License-Identifier: GPL-2.0-only
"""What each kernel offers: offers.json, from which doc/kernels.md is written, is what the kernels say.

Twice: from the types in a kernel's image, and as `tcpwhy doctor` told in its virtual machine. --update-offers writes it anew from
the images (and for the running kernel, where it has a row); its diff is for the review.
"""
import json
import os
import pathlib
import subprocess

import pytest

import image
import kernels
import machine

OFFERS = pathlib.Path(__file__).parent / "offers.json"
PROSPECTS = machine.ROOT / "build" / "tests" / "kernels" / "prospects"
RUNNING_BTF = pathlib.Path("/sys/kernel/btf/vmlinux")


def prospects():
    return pathlib.Path(os.environ.get("TCPWHY_PROSPECTS", PROSPECTS))


def offers_of(name, btf):
    done = subprocess.run([prospects(), "offers", f"{name}={btf}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)[name]


def kept():
    return json.loads(OFFERS.read_text())


def compare(request, name, now):
    if request.config.getoption("--update-offers"):
        OFFERS.write_text(json.dumps(kept() | {name: now}, indent=1, sort_keys=False) + "\n")
    assert now == kept().get(name), "if that is meant: pytest tests/kernels -k offers --update-offers, then tests/kernels/page.py"


def test_offers_of_the_image(request, kernel, tmp_path):
    name, kernel = kernel, kernels.cached(kernel)
    if not kernel:
        pytest.skip("this kernel is not in the cache: scripts/vm-kernels fetch")
    types = tmp_path / "btf"
    types.write_bytes(image.btf(kernel.image))
    compare(request, name, offers_of(name, types))


def test_offers_of_the_running_kernel(request):
    name = ".".join(os.uname().release.split(".")[:2])
    if name not in kept() or name in kernels.KERNELS or not RUNNING_BTF.exists():
        pytest.skip(f"{name} has no row of its own in offers.json")
    compare(request, name, offers_of(name, RUNNING_BTF))


def test_doctor_says_the_same_on_the_kernel(runs, kernel):
    told = runs(kernel).doctor
    assert told is not None, runs(kernel).failure or "the machine told nothing of its doctor"
    seen = {need["name"]: need["state"] == "ok" for need in told["needs"] if need["group"] == "kernel"}
    assert {name: seen.get(name) for name in kept()[kernel]} == kept()[kernel]


def pytest_generate_tests(metafunc):
    if "kernel" in metafunc.fixturenames:
        metafunc.parametrize("kernel", [name for name in metafunc.config.getoption("--kernels").split(",") if name])
