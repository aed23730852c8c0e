# SPDX-License-Identifier: GPL-2.0-only
"""doc/runbooks: every command of every page is run while the incident is made, and ends as the page says."""
import os
import re
import subprocess
import threading
import time

import pytest

from conftest import ROOT, causes_path

PAGES = ROOT / "doc" / "runbooks"
# Page: the cause that makes its incident, who is the service, and what the first problem of the first check is.
INCIDENTS = {
    "service-hangs": ("i1", "ipv4", "queue-server", "accept-queue-overflow (not-accepting)"),
    "connections-pile-up": ("i10", "leak", "leaky-server", "close-wait-leak ("),
    "clients-are-reset": ("resets", "unread-data", "careless-server", "reset (close-with-unread-data)"),
    "dependency-silent": ("i5", "sigkill", "caller", "connect-refused (listener-gone)"),
}
BLOCK = re.compile(r"^```sh\n(.*?)^```\n(?:\nDuring this incident: exit code (\d)\.\n)?", re.M | re.S)
PATIENCE_S = 60


def blocks(page):
    """(the commands, the exit code that the page names), in the page's order."""
    return [(commands, int(code or 0)) for commands, code in BLOCK.findall((PAGES / f"{page}.md").read_text())]


class Repeated:
    """The incident, made again and again until it is left. Its processes die with the program that makes it."""

    def __init__(self, program, variant):
        self._argv = [str(causes_path() / program), "--variant", variant]
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._process = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self.begin_anew()
        self._thread.join(PATIENCE_S)

    def _run(self):
        while not self._over.is_set():
            with self._lock:
                self._process = subprocess.Popen(self._argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self._process.wait()
            self._over.wait(0.3)  # some are over in no time

    def begin_anew(self):
        with self._lock:
            if self._process:
                self._process.kill()


def wait_for_process(comm):
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end and subprocess.run(["pgrep", "-x", comm], capture_output=True, check=False).returncode != 0:
        time.sleep(0.02)


def test_every_page_has_its_incident():
    pages = {page.stem for page in PAGES.glob("*.md")} - {"README"}
    assert pages == set(INCIDENTS)
    listed = set(re.findall(r"\]\(([a-z-]+)\.md\)", (PAGES / "README.md").read_text()))
    assert listed == pages


@pytest.mark.parametrize("page", sorted(INCIDENTS))
def test_every_command_of_the_page(tool, tmp_path, page):
    program, variant, service, first_problem = INCIDENTS[page]
    environment = dict(os.environ, PATH=f"{tool.parent}:{os.environ['PATH']}", SERVICE=service)
    ran = 0
    with Repeated(program, variant) as incident:
        for commands, code in blocks(page):
            commands = re.sub(r"^SERVICE=.*\n", "", commands, flags=re.M)
            if not commands:
                continue
            if "PID=" in commands or code:
                incident.begin_anew()
            if "PID=" in commands:
                wait_for_process(service)
            done = subprocess.run(["bash", "-c", commands], env=environment, cwd=tmp_path, capture_output=True, text=True,
                                  timeout=PATIENCE_S, check=False)
            said = f"{commands}\n{done.stdout}{done.stderr}"
            assert done.returncode == code, f"exit code {done.returncode}, the page says {code}:\n{said}"
            if code:
                assert first_problem in done.stdout.splitlines()[1], said
            ran += 1
    assert ran >= 4


def test_the_tables_name_every_exit_code_of_check():
    for page in INCIDENTS:
        text = (PAGES / f"{page}.md").read_text()
        for code in "0123":
            assert re.search(rf"^\| ([0-9] or )?{code}( or [0-9])? \|", text, re.M), f"{page} does not say what {code} means"
