# SPDX-License-Identifier: GPL-2.0-only
"""Every incident on every kernel: what the tool says there is compared with what truly happened."""
import re

import pytest

import expected
import kernels
import matrix
import second_tries
import truth as truths

# Not what an emulated processor alone brings about (a stall of RCU, a clock that is unstable).
HARM = re.compile(r"BUG:|Oops|general protection|WARNING: CPU|kernel panic|unable to handle", re.IGNORECASE)


def pytest_generate_tests(metafunc):
    names = [name for name in metafunc.config.getoption("--kernels").split(",") if name]
    if "program" not in metafunc.fixturenames:
        if "kernel" in metafunc.fixturenames:
            metafunc.parametrize("kernel", names)
        return
    rows = [pytest.param(name, program, variant, id=f"{name}-{program}-{variant}")
            for name in names for program, variant in matrix.incidents(metafunc.config.getoption("--incidents"))]
    metafunc.parametrize(("kernel", "program", "variant"), rows)


def test_incident(runs, kernel, program, variant):
    try:
        failure = matrix.failure_of(kernel, runs(kernel), program, variant)
        made_again = runs(kernel).made_again.get(f"{program}-{variant}")
        if failure:
            story, failure = failure, matrix.failure_of(kernel, runs.second(kernel), program, variant)
            second_tries.note(f"{kernel} {program} {variant}", story, failure)
        elif made_again is not None:
            second_tries.note(f"{kernel} {program} {variant}", f"the cause did not make its incident: {made_again}", None,
                              made=False)
    except truths.Skipped as why:
        pytest.skip(str(why))
    if failure:
        pytest.fail(failure, pytrace=False)


def test_the_kernel_came_to_no_harm(runs, kernel):
    """Whatever ran on it: no tool may bring a host down."""
    console = runs(kernel).console
    assert console, runs(kernel).failure or "the machine has no console"  # its last line says that it switches off
    found = [line for line in console.splitlines() if HARM.search(line)]
    assert not found, console


def test_harm_is_seen():
    assert HARM.search("[   70.5] BUG: kernel NULL pointer dereference, address: 0000000000000088")
    assert HARM.search("[   70.5] WARNING: CPU: 1 PID: 186 at kernel/bpf/syscall.c:10")
    assert not HARM.search("[  121.1] reboot: Power down")


def test_what_is_left_out_or_different_exists():
    """The tables name incidents and kernels that there are."""
    there = set(matrix.incidents()) | set(expected.LEFT_OUT)
    for program, variant in expected.LEFT_OUT:
        assert variant in matrix.listed(program), f"{program} has no {variant}"
    for row in expected.DIFFERENCES:
        assert set(row.kernels) <= set(kernels.KERNELS) and set(row.incidents) <= there and row.lacks
