#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""explain_test.py TOOL: what `tcpwhy explain` prints, where, and how it refuses."""
import os
import pathlib
import pty
import re
import select
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PAGES = sorted((ROOT / "doc" / "findings").glob("*.md"))
ESCAPE = "\x1b"


def explain(*words):
    return subprocess.run([TOOL, "explain", *words], capture_output=True, text=True, check=False)


def on_a_terminal(*words, **environment):
    """What comes on a terminal, and the exit code."""
    clean = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "PAGER", "LESS")}
    master, slave = pty.openpty()
    with subprocess.Popen([TOOL, "explain", *words], stdout=slave, stdin=slave, stderr=subprocess.PIPE,
                          env=clean | {"TERM": "xterm-256color"} | environment) as process:
        os.close(slave)
        seen, end = b"", time.monotonic() + 20
        while time.monotonic() < end:
            if not select.select([master], [], [], 0.1)[0]:
                if process.poll() is not None:
                    break
                continue
            try:
                chunk = os.read(master, 65536)
            except OSError:
                break
            if not chunk:
                break
            seen += chunk
        if process.poll() is None:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
        os.close(master)
        return seen.decode(), process.wait()


class Explain(unittest.TestCase):
    def test_every_page_is_printed_whole(self):
        """Each word of a page but its marks is in the output, in its order."""
        self.assertGreaterEqual(len(PAGES), 17)
        for page in PAGES:
            with self.subTest(page.stem):
                done = explain(page.stem)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                said = done.stdout
                for title in re.findall(r"^## (.*)$", page.read_text(), re.M):
                    self.assertIn(f"\n{title.upper()}\n", said)
                example = re.search(r"```text\n(.*?)```", page.read_text(), re.S)[1]
                self.assertIn(example, said)
                for command in re.findall(r"^- `([^`\n]+)`", page.read_text(), re.M):
                    self.assertIn(f"`{command}`", " ".join(said.split()))
                self.assertNotIn(ESCAPE, said)
                self.assertLessEqual(max(len(line) for line in said.splitlines()), 140)

    def test_the_list_names_every_finding(self):
        done = explain()
        self.assertEqual(done.returncode, 0)
        self.assertEqual({page.stem for page in PAGES}, set(re.findall(r"^  ([a-z-]+)  ", done.stdout, re.M)))

    def test_every_cause_can_be_asked_for(self):
        for page in PAGES:
            causes = re.findall(r"^\| (`[^|]*) \|", page.read_text().partition("## Causes")[2].partition("\n\n|")[2].partition("\n\n")[0], re.M)
            self.assertTrue(causes, page.stem)
            for cause in re.findall(r"`([a-z-]+)`", " ".join(causes)):
                with self.subTest(f"{page.stem} {cause}"):
                    done = explain(page.stem, "--cause", cause)
                    self.assertEqual((done.returncode, done.stderr), (0, ""))
                    self.assertIn(f"\nCAUSE {cause}\n", done.stdout)
                    self.assertIn("\nWHAT TO C", done.stdout)
                    self.assertLess(len(done.stdout), len(explain(page.stem).stdout))

    def test_a_cause_leaves_out_what_is_for_others(self):
        said = explain("accept-queue-overflow", "--cause", "not-accepting").stdout
        self.assertIn("A longer queue only makes clients wait longer", said)
        self.assertNotIn("more workers or SO_REUSEPORT", said)
        self.assertIn("tcp_abort_on_overflow", said)  # for all

    def test_what_does_not_exist_is_refused_with_what_is_near(self):
        for words, says in ((["stall-unackd"], "did you mean stall-unacked?"),
                            (["nonsense"], "the findings are synack-retransmit-unexpected, "),
                            (["reset", "--cause", "memry"], "did you mean memory?"),
                            (["reset", "--cause", "xxxxxxxxxxxx"], "its causes are never-accepted, "),
                            (["--cause", "memory"], "FINDING"), (["reset", "memory"], "memory")):
            with self.subTest(" ".join(words)):
                done = explain(*words)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertIn(says, done.stderr)

    def test_a_terminal_has_a_pager(self):
        with tempfile.TemporaryDirectory() as folder:
            pager = pathlib.Path(folder, "pager")
            pager.write_text("#!/bin/sh\necho paged with LESS=$LESS\ncat\n")
            pager.chmod(0o755)
            seen, code = on_a_terminal("reset", PAGER=str(pager))
        self.assertEqual(code, 0)
        self.assertTrue(seen.startswith("paged with LESS=FRX"), seen[:200])
        self.assertIn(ESCAPE + "[1mreset", seen)

    def test_no_pager_is_no_obstacle(self):
        for pager in ("/no/such/pager", ""):
            seen, code = on_a_terminal("reset", PAGER=pager)
            self.assertEqual(code, 0)
            self.assertIn("EVIDENCE KEYS", seen)

    def test_no_color(self):
        seen, _ = on_a_terminal("reset", PAGER="cat", NO_COLOR="1")
        self.assertIn("EVIDENCE KEYS", seen)
        self.assertNotIn(ESCAPE, seen)

    def test_a_pipe_has_no_pager(self):
        done = subprocess.run([TOOL, "explain", "reset"], capture_output=True, text=True, check=True,
                              env=dict(os.environ, PAGER="false"))
        self.assertIn("EVIDENCE KEYS", done.stdout)


if __name__ == "__main__":
    TOOL = sys.argv.pop(1)
    unittest.main()
