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
    parser.addoption("--short", action="store_true", help="of each incident one")
    parser.addoption("--machines", type=int, default=1, metavar="N", help="so many at a time")
    parser.addoption("--keep", default=None, metavar="FOLDER", help="keep what the machines handed out there")
    parser.addoption("--update-offers", action="store_true", help="write anew what the kernels offer, from their images")
    parser.addoption("--update-verified", action="store_true", help="write the baseline of verified instructions anew")


def pytest_configure(config):
    if config.getoption("--short"):
        config.option.incidents = ",".join(matrix.SHORT)


@pytest.fixture(scope="session")
def runs(request, tmp_path_factory):
    """The kernels' runs: begun when the first test asks for one, the others in their order beside or after it."""
    option = request.config.getoption
    folder = option("--keep") or tmp_path_factory.mktemp("machines")
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    chosen = matrix.incidents(option("--incidents"))
    begun = {}
    with concurrent.futures.ThreadPoolExecutor(option("--machines")) as pool:

        def of(kernel):
            for name in [] if begun else filter(None, option("--kernels").split(",")):
                begun[name] = pool.submit(matrix.Run, name, chosen, folder)
            return begun[kernel].result()

        yield of
        pool.shutdown(cancel_futures=True)
