# SPDX-License-Identifier: GPL-2.0-only
"""Every incident on every kernel: what the tool says there is compared with what truly happened."""
import warnings

import pytest

import expected
import kernels
import matrix
import truth as truths


def pytest_generate_tests(metafunc):
    if "program" not in metafunc.fixturenames:
        return
    names = [name for name in metafunc.config.getoption("--kernels").split(",") if name]
    rows = [pytest.param(name, program, variant, id=f"{name}-{program}-{variant}")
            for name in names for program, variant in matrix.incidents(metafunc.config.getoption("--incidents"))]
    metafunc.parametrize(("kernel", "program", "variant"), rows)


def test_incident(runs, kernel, program, variant):
    try:
        failure = matrix.failure_of(kernel, runs(kernel), program, variant)
        again = runs.second(kernel) if failure else None
        if again:
            warnings.warn(f"{kernel} {program} {variant} came out otherwise, and is made once more:\n{failure}", stacklevel=1)
            failure = matrix.failure_of(kernel, again, program, variant)
    except truths.Skipped as why:
        pytest.skip(str(why))
    if failure:
        pytest.fail(failure, pytrace=False)


def test_what_is_left_out_or_different_exists():
    """The tables name incidents and kernels that there are."""
    there = set(matrix.incidents()) | set(expected.LEFT_OUT)
    for program, variant in expected.LEFT_OUT:
        assert variant in matrix.listed(program), f"{program} has no {variant}"
    for row in expected.DIFFERENCES:
        assert set(row.kernels) <= set(kernels.KERNELS) and set(row.incidents) <= there and row.lacks
