# SPDX-License-Identifier: GPL-2.0-only
"""What the verifier goes through for each BPF program: more than 20% above the baseline fails.

--update-verified writes the baseline anew; its diff is for the review.
"""
import json
import pathlib

import pytest

import matrix

BASELINE = pathlib.Path(__file__).parent / "verified.json"
GROWTH = 1.2


def pytest_generate_tests(metafunc):
    if "kernel" in metafunc.fixturenames:
        metafunc.parametrize("kernel", [name for name in metafunc.config.getoption("--kernels").split(",") if name])


def grown(baseline, now):
    """What is wrong, a line for each program."""
    lines = [f"{name} is not in the baseline ({count} instructions)" for name, count in now.items() if name not in baseline]
    lines += [f"{name} was not loaded" for name in baseline if name not in now]
    lines += [f"{name}: {now[name]} instructions, {now[name] / baseline[name] - 1:+.0%} against {baseline[name]}"
              for name in baseline if name in now and now[name] > baseline[name] * GROWTH]
    return lines


def test_verified_instructions(request, runs, kernel):
    now = runs(kernel).verified
    assert now is not None, runs(kernel).failure
    if not now:
        pytest.skip("this kernel does not tell how many instructions it verified (5.16 and later do)")
    baselines = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    if request.config.getoption("--update-verified"):
        baselines[kernel] = now
        BASELINE.write_text(json.dumps(baselines, indent=2, sort_keys=True) + "\n")
    wrong = grown(baselines.get(kernel, {}), now)
    assert not wrong, "\n".join([*wrong, "if that is meant: pytest tests/kernels -k verified --update-verified"])


def test_growth_is_seen():
    assert grown({"tw_a": 100, "tw_b": 10}, {"tw_a": 120, "tw_b": 5}) == []
    assert grown({"tw_a": 100}, {"tw_a": 121}) == ["tw_a: 121 instructions, +21% against 100"]
    assert len(grown({"tw_a": 100}, {"tw_b": 1})) == 2
