# SPDX-License-Identifier: GPL-2.0-only
"""The kernel matrix: the static binary and the causes in a virtual machine for each kernel.

    /usr/bin/python3 -m pytest tests/kernels --kernels 6.1,6.12

Needs no root. --incidents chooses by name (i1-ipv4,resets-*), --keep FOLDER keeps what the machines handed out.
"""
import concurrent.futures
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
    parser.addoption("--short", action="store_true", help="some of them, as scripts/test by itself does")
    parser.addoption("--machines", type=int, default=1, metavar="N", help="so many at a time")
    parser.addoption("--keep", default=None, metavar="FOLDER", help="keep what the machines handed out there")
    parser.addoption("--update-offers", action="store_true", help="write anew what the kernels offer, from their images")
    parser.addoption("--update-verified", action="store_true", help="write the baseline of verified instructions anew")


def pytest_configure(config):
    if config.getoption("--short"):
        if config.option.incidents != "*":
            raise pytest.UsageError("--short and --incidents exclude each other")
        config.option.incidents = ",".join(matrix.SHORT)


class Runs:
    """The kernels' machines: the first question begins one for each kernel, beside or after each other."""

    def __init__(self, names, chosen, folder, machines):
        self._names, self._chosen, self._folder = names, chosen, folder
        self._pool = concurrent.futures.ThreadPoolExecutor(machines)
        self._begun = {}
        self._second = {}

    def __call__(self, kernel):
        for name in [] if self._begun else self._names:
            self._begun[name] = self._pool.submit(matrix.Run, name, self._chosen, self._folder)
        return self._begun[kernel].result()

    def second(self, kernel):
        """Once more, what came out otherwise there. An emulated processor that others use, too, stands still at times."""
        if kernel not in self._second:
            folder = self._folder / "second"
            folder.mkdir(exist_ok=True)
            self._second[kernel] = matrix.Run(kernel, matrix.failed(kernel, self(kernel), self._chosen), folder)
        return self._second[kernel]

    def end(self):
        self._pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="session")
def runs(request, tmp_path_factory):
    option = request.config.getoption
    folder = pathlib.Path(option("--keep") or tmp_path_factory.mktemp("machines"))
    folder.mkdir(parents=True, exist_ok=True)
    names = [name for name in option("--kernels").split(",") if name]
    made = Runs(names, matrix.incidents(option("--incidents")), folder, option("--machines"))
    yield made
    made.end()
