# SPDX-License-Identifier: GPL-2.0-only
"""Tests that needed a second try: noted where that happens, listed at the end, and too many of them fail scripts/test.

    second_tries.py --tests N FILE    lists those that are in FILE; 1 where they are more than one in 400 of N tests
"""
import argparse
import json
import os
import pathlib
import sys
import warnings

FILE = "TCPWHY_SECOND_TRIES"  # where they are noted, a JSON object a line; nowhere where it is not set
TESTS_FOR_ONE = 400
TESTS_FOR_ONE_NOT_MADE = 50  # whose incident did not come about, as the cause itself found: the tool had no part in it
MOST_DIFFERENCES = 8


def differences_of(story):
    """What was expected and what came, from the story of a failure (truth.report); else its first lines."""
    lines = [line.strip() for line in story.splitlines() if line.strip()]
    found = [line.removeprefix("- ") for line in lines if line.startswith("- ")] or lines
    more = len(found) - MOST_DIFFERENCES
    return found[:MOST_DIFFERENCES] + ([f"{more} more"] if more > 0 else [])


def note(test, first, second, made=True):
    """`first` is the story of the first try's failure; `second` that of the second, or None where it came out right. Not `made`:
    the cause said that its incident did not come about."""
    row = {"test": test, "first": differences_of(first), "second": differences_of(second) if second else None, "made": made}
    warnings.warn(in_words(row), stacklevel=2)
    if path := os.environ.get(FILE):
        with open(path, "a", encoding="utf-8") as notes:
            notes.write(json.dumps(row) + "\n")


def in_words(row):
    second = ["right"] if row["second"] is None else row["second"]
    return "\n".join([f"{row['test']} needed a second try", *(f"    first try:  {line}" for line in row["first"]),
                      *(f"    second try: {line}" for line in second)])


def allowed(tests, tests_for_one=TESTS_FOR_ONE):
    """One for each 400 begun."""
    return -(-tests // tests_for_one)


def judge(rows, tests):
    """(what to print, whether they are few enough)."""
    judged = [row for row in rows if row.get("made", True)]
    not_made = len(rows) - len(judged)
    few = len(judged) <= allowed(tests) and not_made <= allowed(tests, TESTS_FOR_ONE_NOT_MADE)
    if not rows:
        return [f"second tries: none in {tests} tests"], few
    count = f"second tries: {len(judged)} in {tests} tests, {allowed(tests)} allowed (1 in {TESTS_FOR_ONE})"
    if not_made:
        count += f"; {not_made} more whose incident did not come about, {allowed(tests, TESTS_FOR_ONE_NOT_MADE)} allowed"
    return [count, *map(in_words, rows)], few


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tests", type=int, required=True, metavar="N", help="how many tests could have needed one")
    parser.add_argument("file", type=pathlib.Path)
    options = parser.parse_args()
    text = options.file.read_text(encoding="utf-8") if options.file.exists() else ""
    lines, few = judge([json.loads(line) for line in text.splitlines()], options.tests)
    print("\n".join(lines))
    return 0 if few else 1


if __name__ == "__main__":
    sys.exit(main())
