# SPDX-License-Identifier: GPL-2.0-only
"""Runs `tcpwhy trace` and reads what it says while it runs."""
import json
import os
import pathlib
import signal
import subprocess
import threading
import time

import jsonschema

SCHEMA = json.loads((pathlib.Path(__file__).parent / "contract" / "finding.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
ATTACH_LIMIT_S = 30
EXIT_LIMIT_S = 15


def schema_errors(line):
    """What is wrong with one line of --format json, in words."""
    try:
        value = json.loads(line)
    except ValueError as error:
        return [f"not JSON: {error}: {line[:200]}"]
    # `oneOf` alone says only "not valid under any": ask the branch that the line claims to be.
    kind = "summary" if str(value.get("schema", "")).startswith("tcpwhy.summary") else "finding"
    branch = dict(SCHEMA["$defs"][kind], **{"$defs": SCHEMA["$defs"]})
    errors = jsonschema.Draft202012Validator(branch).iter_errors(value)
    found = [f"{'/'.join(map(str, e.absolute_path)) or kind}: {e.message[:300]}" for e in errors]
    if not found and not VALIDATOR.is_valid(value):
        found = ["the line is valid as a part but not as a whole"]
    return found


EVENT_VALIDATOR = jsonschema.Draft202012Validator(
    json.loads((pathlib.Path(__file__).parent / "contract" / "event.schema.json").read_text()))


def event_errors(value):
    """What is wrong with an object of --events --format json, in words."""
    return [f"{'/'.join(map(str, e.absolute_path)) or 'event'}: {e.message[:300]}" for e in EVENT_VALIDATOR.iter_errors(value)]


class Output:
    """What a run of `tcpwhy trace --format json` said: its lines and its exit code."""

    def __init__(self, out=(), err=(), rc=None):
        self.out = list(out)  # lines of stdout, whole
        self.err = list(err)
        self.rc = rc

    def findings(self):
        """Those so far, parsed; unparsable lines are schema_problems()'s matter."""
        out = []
        for line in list(self.out):
            try:
                value = json.loads(line)
            except ValueError:
                continue
            if isinstance(value, dict) and "finding" in value:
                out.append(value)
        return out

    def summary(self):
        assert self.out, "stdout is empty: there is no summary"
        value = json.loads(self.out[-1])
        assert value.get("schema") == "tcpwhy.summary/1", f"the last line is no summary: {self.out[-1][:300]}"
        return value

    def problems(self):
        """What is wrong with a run that has ended, whatever it found."""
        found = []
        if self.rc != 0:
            found.append(f"exit code {self.rc} instead of 0")
        for number, line in enumerate(self.out, 1):
            found += [f"stdout line {number} against the schema: {error}" for error in schema_errors(line)]
        if found:
            return found
        try:
            summary = self.summary()
        except (AssertionError, ValueError) as error:
            return [str(error)]
        # An interrupt at the very edge of a hook hides what it brings, and the kernel counts that: a few of tens of thousands.
        skipped = summary.get("losses", {}).get("recursion", 0)
        allowed = skipped if skipped <= 2 + sum(summary["events"].values()) // 500 else 0
        if summary["events_lost"] > allowed:
            found.append(f"events_lost is {summary['events_lost']} ({summary.get('losses')})")
        opened = {}
        worst = "none"
        order = ["none", "info", "warning", "critical"]
        for finding in self.findings():
            opened.setdefault(finding["finding"], set()).add(finding["id"])
            worst = max(worst, finding["severity"], key=order.index)
        counted = {slug: len(ids) for slug, ids in opened.items()}
        if {k: v for k, v in summary["findings"].items() if v} != counted:
            found.append(f"the summary counts {summary['findings']}, the lines have {counted}")
        if summary["worst"] != worst:
            found.append(f"the summary's worst is {summary['worst']}, the lines have {worst}")
        return found


class Tracer(Output):
    """with Tracer(tool, "--port", "80") as tracer: ... tracer.stop()"""

    def __init__(self, tool, *arguments, command="trace", json_lines=True, env=None, before=()):
        formatting = ["--format", "json"] if json_lines else []
        self.argv = [*map(str, before), str(tool), command, *formatting, *map(str, arguments)]
        super().__init__()
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            self.argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
            env=dict(os.environ, **(env or {})))
        self._readers = [threading.Thread(target=self._read, args=pair, daemon=True) for pair in
                         ((self._process.stdout, self.out), (self._process.stderr, self.err))]
        for reader in self._readers:
            reader.start()

    def __enter__(self):
        self.wait_attached()
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    @property
    def pid(self):
        return self._process.pid

    def _read(self, stream, lines):
        for raw in stream:
            with self._news:
                lines.append(raw.decode("utf-8", "replace").rstrip("\n"))
                self._news.notify_all()

    def wait_for(self, condition, timeout_s):
        """Waits until condition() holds, asking again whenever a line arrived; whether it does."""
        end = time.monotonic() + timeout_s
        with self._news:
            while not condition():
                left = end - time.monotonic()
                if left <= 0:
                    return False
                self._news.wait(min(left, 0.2))
            return True

    def wait_attached(self):
        def attached_or_over():
            return any("attached" in line for line in self.err) or self._process.poll() is not None

        self.wait_for(attached_or_over, ATTACH_LIMIT_S)
        if not any("attached" in line for line in self.err):
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"never attached: {' '.join(self.argv)}\nstderr:\n" + "\n".join(self.err))

    def wait_end(self, timeout_s=EXIT_LIMIT_S):
        try:
            self.rc = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"did not end within {timeout_s} s: {' '.join(self.argv)}") from None
        for reader in self._readers:
            reader.join(5)
        return self.rc

    def stop(self, signal_number=signal.SIGINT):
        self._process.send_signal(signal_number)
        return self.wait_end()
