#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Recordings of real incidents, and what was found in them: every version finds the same.

    golden_test.py TCPWHY             compares
    golden_test.py TCPWHY --update    takes what TCPWHY finds now for what is right (of those not in old/)

NAME.jsonl beside NAME.tcpwhy is what `report --format json` says. old/ holds a file of each version of the format that ever
was; nothing there is made anew, and only what is a contract is compared.
"""
import difflib
import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


def report(tool, recording):
    return subprocess.run([tool, "report", str(recording), "--format", "json"], capture_output=True, text=True, check=False)


def contract(text):
    """What no later version may say otherwise of these findings."""
    keys = ("id", "time", "finding", "cause", "severity", "phase", "since", "culprit", "count_total", "service", "confidence")
    return "".join(json.dumps({key: line.get(key) for key in keys}) + "\n"
                   for line in map(json.loads, text.splitlines()) if "finding" in line)


def main():
    tool, update = sys.argv[1], "--update" in sys.argv[2:]
    recordings = sorted(HERE.rglob("*.tcpwhy"))
    failed = [] if len(recordings) >= 7 else ["there are fewer recordings than there should be"]
    for recording in recordings:
        told = report(tool, recording)
        expected = recording.with_suffix(".jsonl")
        if update and recording.parent == HERE:
            expected.write_text(told.stdout)
        if told.returncode != 0 or told.stderr:
            failed.append(f"{recording.name}: exit code {told.returncode}\n{told.stderr}")
        text = expected.read_text() if expected.exists() else ""
        found = told.stdout
        if recording.parent != HERE:
            text, found = contract(text), contract(found)
        if found != text or not text:
            lines = difflib.unified_diff(text.splitlines(), found.splitlines(), "expected", "found", n=0, lineterm="")
            failed.append(f"{recording.name}:\n" + "\n".join(line[:2000] for line in lines))
    print("\n".join(failed) or f"{len(recordings)} recordings are told as ever")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
