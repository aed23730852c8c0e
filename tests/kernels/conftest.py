# SPDX-License-Identifier: GPL-2.0-only
"""The kernel matrix: the static binary and the causes in a virtual machine for each kernel.

    /usr/bin/python3 -m pytest tests/kernels --kernels 6.1,6.12

Needs no root. --incidents chooses by name (i1-ipv4,resets-*), --keep FOLDER keeps what the machines handed out.
"""
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "live")]

import kernels  # noqa: E402
import matrix  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--kernels", default=",".join(kernels.usual()), metavar="LIST", help="which kernels, the usual ones unless told")
    parser.addoption("--incidents", default="*", metavar="LIST", help="which incidents, as shell patterns")
    parser.addoption("--keep", default=None, metavar="FOLDER", help="keep what the machines handed out there")
    parser.addoption("--update-offers", action="store_true", help="write anew what the kernels offer, from their images")
    parser.addoption("--update-verified", action="store_true", help="write the baseline of verified instructions anew")


@pytest.fixture(scope="session")
def runs(request, tmp_path_factory):
    """The kernels' runs, each made when its first test asks."""
    folder = request.config.getoption("--keep") or tmp_path_factory.mktemp("machines")
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    made = {}

    def of(kernel):
        if kernel not in made:
            made[kernel] = matrix.Run(kernel, matrix.incidents(request.config.getoption("--incidents")), folder)
        return made[kernel]

    return of


def pytest_terminal_summary(terminalreporter, config):
    for name, kernel in kernels.KERNELS.items():
        if kernel.not_yet and name not in config.getoption("--kernels").split(","):
            terminalreporter.write_line(f"left out: {name}, {kernel.not_yet}")
