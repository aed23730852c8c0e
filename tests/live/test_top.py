# SPDX-License-Identifier: GPL-2.0-only
"""tcpwhy top in a terminal: what it shows during real incidents and of recordings, its keys, and how it leaves."""
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import threading
import time

import pytest

from conftest import ROOT, causes_path
from terminal import Terminal
from truth import epoch

GOLDEN = ROOT / "tests" / "golden"
ROW = re.compile(r"^(CRIT|WARN|info|once|over) +(f-\d+) ([a-z-]+)", re.M)
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGSEGV, signal.SIGABRT]


def rows(screen):
    """Findings on the screen: id and name."""
    return {(row[1], row[2]) for row in ROW.findall(screen)}


def told(lines):
    return {(value["id"], value["finding"]) for value in map(json.loads, lines) if "finding" in value}


def report(tool, file):
    done = subprocess.run([str(tool), "report", str(file), "--format", "json"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def live(tool, *arguments, **geometry):
    terminal = Terminal([tool, "top", *arguments], **geometry)
    terminal.wait_for("tcpwhy top")
    return terminal


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="tcpwhy-") as path:
        yield pathlib.Path(path)


class Incident(threading.Thread):
    """A cause, made beside the test."""

    def __init__(self, program, variant):
        super().__init__(daemon=True)
        self._argv = [str(causes_path() / program), "--variant", variant]
        self.truth = None
        self.start()

    def run(self):
        done = subprocess.run(self._argv, capture_output=True, text=True, check=False, timeout=120)
        self.truth = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {}


@pytest.mark.parametrize(("program", "variant", "slug"), [
    ("i1", "ipv4", "synack-retransmit-unexpected"),
    ("i3", "stopped", "stall-unread"),
])
def test_an_incident_is_on_the_screen_as_in_the_report(tool, folder, program, variant, slug):
    file = folder / "run.tcpwhy"
    listed = subprocess.run([str(causes_path() / program), "--list"], capture_output=True, text=True, check=True).stdout.split()
    with live(tool, "--record", file) as terminal:
        incident = Incident(program, variant if variant in listed else listed[0])
        screen = terminal.wait_for(slug)
        assert "tcpwhy top" in screen.splitlines()[0] and "q quit" in screen.splitlines()[-1]
        # What it is about, in its own words.
        terminal.keys("2", "Enter")
        terminal.wait(lambda s: "FINDING f-" in s and re.search(r"^ cause +\w", s, re.M) and
                      re.search(r"^ next +\w", s, re.M), "the finding in its own words")
        terminal.keys("e")
        terminal.wait_for("EXPLAINED")
        terminal.keys("Escape", "l")
        terminal.wait(lambda s: "STEP BY STEP" in s or "about a listener" in s, "its connection")
        terminal.keys("Escape")
        incident.join()
        assert incident.truth, "the cause did not make its incident"
        terminal.keys("Escape", "2", "i")
        terminal.resize(120, 100)
        time.sleep(2.5)
        shown = rows(terminal.screen())
        terminal.keys("q")
        assert terminal.wait_end() == 0
        assert terminal.is_restored()
    lines = report(tool, file)
    assert shown and shown <= told(lines)
    # What came after the last look is in the recording alone.
    end = epoch(json.loads(lines[-1])["ended"])
    early = [line for line in lines[:-1] if epoch(json.loads(line)["time"]) < end - 2]
    assert told(early) <= shown


def test_what_processes_hold_is_counted(tool):
    """5,000 healthy connections: two sockets each, four processes, all idle; and nothing jumps."""
    hold = subprocess.Popen([str(causes_path().parent / "bench" / "hold"), "--processes", "4", "--pairs", "1250"],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert hold.stdout.readline().split()[:2] == ["ready", "10000"]
        with live(tool) as terminal:
            terminal.keys("5", "/", *"hold", "Enter")
            screen = terminal.wait(lambda s: len(re.findall(r"^ +\d+ hold +2500 +2500 ", s, re.M)) == 4, "four times 2500")
            pids = re.findall(r"^ +(\d+) hold ", screen, re.M)
            for _ in range(3):
                time.sleep(1)
                assert re.findall(r"^ +(\d+) hold ", terminal.screen(), re.M) == pids
            head = terminal.screen().splitlines()[1]
            assert int(re.search(r"connections ([\d,]+) in", head)[1].replace(",", "")) >= 10000
            terminal.keys("q")
            assert terminal.wait_end() == 0
    finally:
        hold.stdin.close()
        hold.wait()


@pytest.mark.parametrize("name", ["i1-ipv4", "i3-stopped"])
def test_a_recording_is_played(tool, name):
    expected = told((GOLDEN / f"{name}.jsonl").read_text().splitlines())
    with live(tool, GOLDEN / f"{name}.tcpwhy", "--speed", "10000", columns=120, rows=100) as terminal:
        terminal.keys("2", "i")
        screen = terminal.wait(lambda s: "AT ITS END" in s and rows(s) == expected, str(sorted(expected)))
        assert f"{name}.tcpwhy" in screen
        terminal.keys("q")
        assert terminal.wait_end() == 0
        assert terminal.is_restored()


def test_seeking_stops_at_the_next_finding(tool):
    with live(tool, GOLDEN / "i1-ipv4.tcpwhy", "--speed", "0.01") as terminal:
        terminal.keys("2", "i", "n")
        first = terminal.wait_for("a new finding")
        assert "PAUSED" in first and len(rows(first)) >= 1
        assert rows(first) < told((GOLDEN / "i1-ipv4.jsonl").read_text().splitlines())
        terminal.keys("+", "+")
        terminal.wait_for("x0.04")
        terminal.keys(*["n"] * 1)
        terminal.wait(lambda s: len(rows(s)) > len(rows(first)), "another finding")
        for _ in range(40):
            if "at its end" in terminal.screen():
                break
            terminal.keys("n")
            time.sleep(0.2)
        terminal.wait_for("the recording is at its end")


def test_keys_and_sizes(tool):
    with live(tool, GOLDEN / "i3-stopped.tcpwhy", "--speed", "10000") as terminal:
        terminal.wait_for("AT ITS END")
        terminal.keys("?")
        terminal.wait_for("KEYS")
        terminal.keys("Escape", "3")
        terminal.wait_for("CONNECTIONS IN TROUBLE")
        terminal.keys("o")
        terminal.wait_for("ordered by unread bytes")
        terminal.keys("/", *"nothing-has-this", "Enter")
        terminal.wait_for('nothing has "nothing-has-this" in it')
        terminal.keys("Escape", "Tab")
        terminal.wait_for("LISTENERS")
        for columns, rows_ in ((132, 43), (60, 10), (40, 8), (80, 24)):
            terminal.resize(columns, rows_)
            if columns < 60:
                terminal.wait_for("needs 60x10")
            else:
                terminal.wait(lambda s: "tcpwhy top" in s.splitlines()[0] and len(s.splitlines()) == rows_ and
                              "1-5 page" in s.splitlines()[-1], f"{columns}x{rows_}")  # noqa: B023
        terminal.keys("q")
        assert terminal.wait_end() == 0


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_the_terminal_comes_back(tool, number):
    with live(tool, GOLDEN / "i1-ipv4.tcpwhy") as terminal:
        assert terminal.asks("alternate_on") == "1"
        os.kill(terminal.tool_pid(), number)
        code = terminal.wait_end()
        assert code == (0 if number in SIGNALS[:3] else 128 + number)
        assert terminal.is_restored()


@pytest.mark.parametrize("by", ["signal", "keyboard"])
def test_stopped_and_continued(tool, by):
    """The terminal is the shell's meanwhile."""
    with live(tool, GOLDEN / "i1-ipv4.tcpwhy", "--speed", "0.01") as terminal:
        if by == "signal":
            os.kill(terminal.tool_pid(), signal.SIGTSTP)
        else:
            terminal.keys("C-z")
        terminal.wait_for("STOPPED")
        assert terminal.asks("alternate_on") == "0" and terminal.asks("cursor_flag") == "1"
        terminal.keys("Enter")
        terminal.wait(lambda s: terminal.asks("alternate_on") == "1" and "tcpwhy top" in s, "the screen again")
        terminal.keys("?")
        terminal.wait_for("KEYS")
        terminal.keys("q", "q")
        assert terminal.wait_end() == 0
        assert terminal.is_restored()


def test_continued_by_others(tool):
    """After a stop that cannot be caught all is drawn anew."""
    with live(tool, GOLDEN / "i1-ipv4.tcpwhy", "--speed", "0.01") as terminal:
        os.kill(terminal.tool_pid(), signal.SIGCONT)
        terminal.keys("?")
        terminal.wait_for("KEYS")
        terminal.keys("q", "q")
        assert terminal.wait_end() == 0
        assert terminal.is_restored()


def test_no_terminal_is_said(tool):
    done = subprocess.run([str(tool), "top"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 2 and "needs a terminal" in done.stderr and "tcpwhy trace" in done.stderr


@pytest.mark.parametrize(("term", "said"), [("nonsense", "knows no terminal 'nonsense'"), ("", "TERM is not set"),
                                            ("dumb", "no cursor that can be moved")])
def test_a_terminal_that_cannot_be_drawn_on_is_said(tool, term, said):
    with Terminal([tool, "top", GOLDEN / "i1-ipv4.tcpwhy"], env={"TERM": term}) as terminal:
        assert terminal.wait_end() == 2
        assert said in terminal.errors.read_text()


def test_the_common_terminals_are_known_without_terminfo(tool, folder):
    """As on a host that has none."""
    hidden = ["unshare", "--mount", "sh", "-c",
              f'for d in /etc/terminfo /lib/terminfo /usr/share/terminfo; do '
              f'[ -d $d ] && mount --bind {folder} $d; done; exec "$@"', "sh"]
    with Terminal([*hidden, tool, "top", GOLDEN / "i1-ipv4.tcpwhy"], env={"TERM": "screen-256color"}) as terminal:
        terminal.wait_for("tcpwhy top")
        terminal.keys("q")
        assert terminal.wait_end() == 0


def test_a_flight_recorder_is_saved_by_key(tool, folder):
    with live(tool, "--flight-recorder", "1min", "-o", folder) as terminal:
        time.sleep(1)
        terminal.keys("s")
        terminal.wait_for("saving ")
        terminal.keys("q")
        assert terminal.wait_end() == 0
    files = list(folder.glob("*.tcpwhy"))
    assert len(files) == 1
    assert report(tool, files[0])
