# SPDX-License-Identifier: GPL-2.0-only
"""Live tests: the tool watches real incidents, made by tests/causes, on the running kernel.

Run as root with Debian's python3-pytest and python3-jsonschema:

    TCPWHY=build/tcpwhy TCPWHY_CAUSES=build/tests/causes /usr/bin/python3 -m pytest tests/live

--repeat N makes every incident N times; -k chooses; --jobs N makes N incidents at a time;
--rounds N plays the healthy servers' loads N times.
"""
import os
import pathlib
import shutil
import sys
import tempfile

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))


def tool_path():
    return pathlib.Path(os.environ.get("TCPWHY", ROOT / "build" / "tcpwhy")).resolve()


def causes_path():
    return pathlib.Path(os.environ.get("TCPWHY_CAUSES", ROOT / "build" / "tests" / "causes")).resolve()


def pytest_addoption(parser):
    parser.addoption("--repeat", type=int, default=1, metavar="N", help="make each incident N times")
    parser.addoption("--second-try", action="store_true",
                     help="an incident that came out otherwise is made once more, which is said in the summary of warnings")
    parser.addoption("--jobs", type=int, default=1, metavar="N", help="make N incidents at a time, each in its own namespaces")
    parser.addoption("--rounds", type=int, default=1, metavar="N", help="play the loads of the healthy servers N times")
    parser.addoption("--watch", type=int, default=None, metavar="SECONDS", help="how long each round of them is watched")


def pytest_collection_modifyitems(config, items):
    if os.geteuid() != 0:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture(scope="session")
def tool():
    path = tool_path()
    assert path.exists(), f"no tool at {path}: build it, or set TCPWHY"
    return path


@pytest.fixture(scope="session")
def readable_tool(tool):
    """A copy where nobody may read it."""
    folder = tempfile.mkdtemp(prefix="tcpwhy-")
    os.chmod(folder, 0o755)
    copy = pathlib.Path(shutil.copy(tool, folder))
    copy.chmod(0o755)
    yield copy
    shutil.rmtree(folder)
