#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Inputs of tests/fuzz/pipeline_fuzz.cpp out of recordings.

    seeds.py FOLDER RECORDING...     writes FOLDER/NAME-N, each of so many records that a fuzzer works with it quickly
"""
import itertools
import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "live"))

import recording_reader  # noqa: E402

HEADER_BYTES, STEP_NS, MOST_BYTES, MOST_OF_ONE = 16, 100_000, 32_000, 4


def encoded(records):
    """One input after another."""
    out, before = b"", None
    for record in records:
        time, kind, _size = recording_reader.header(record)
        step = min(max(time - (before or time), 0) // STEP_NS, 0xffff)
        body = record[HEADER_BYTES:].rstrip(b"\0")
        out += struct.pack("<BHH", kind, step, len(body)) + body
        before = time
        if len(out) > MOST_BYTES:
            yield out
            out, before = b"", None
    yield out


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for path in map(pathlib.Path, sys.argv[2:]):
        for number, text in enumerate(itertools.islice(encoded(recording_reader.read(path)[2]), MOST_OF_ONE)):
            (folder / f"{path.stem}-{number}").write_bytes(text)


if __name__ == "__main__":
    main()
