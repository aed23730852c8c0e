#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""`report` on recordings that were hurt: it says that it could not read all (4) or it could (0), and it never crashes.

    damage_test.py TCPWHY [SEED]

tests/detect/mutation_test.cpp does the same many more times within one process; here it is about what a user sees.
"""
import pathlib
import random
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
MAGIC_BYTES, TURNS = 8, 9
ASKS = ([], ["--events"], ["--format", "html", "-o", "-"])
CANNOT_READ = 1  # where not even the file's first bytes are a recording's


def hurt(data, chance):
    """With some bits, bytes and blocks changed, gone, doubled, or the end cut off."""
    data = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        at, length = chance.randrange(len(data)), chance.randint(1, 300)
        what = chance.randrange(6)
        if what == 0:
            data[at] ^= 1 << chance.randrange(8)
        elif what == 1:
            data[at:at + length] = chance.randbytes(length)
        elif what == 2:
            del data[at:at + length]
        elif what == 3:
            data[at:at] = data[at:at + length]
        elif what == 4:
            data[at:at + length] = bytes(min(length, len(data) - at))
        elif len(data) > 1000:
            del data[max(at, 500):]
    return bytes(data)


def main():
    tool, seed = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1
    failed, codes = [], set()
    with tempfile.TemporaryDirectory(prefix="tcpwhy-") as folder:
        file = pathlib.Path(folder, "hurt.tcpwhy")
        for recording in sorted(HERE.rglob("*.tcpwhy")):
            chance = random.Random(f"{seed} {recording.name}")
            data = recording.read_bytes()
            for turn in range(TURNS):
                changed = hurt(data, chance)
                file.write_bytes(changed)
                done = subprocess.run([tool, "report", str(file), *ASKS[turn % len(ASKS)]], capture_output=True,
                                      text=True, errors="replace", check=False, timeout=60)
                codes.add(done.returncode)
                is_ours = changed[:MAGIC_BYTES] == data[:MAGIC_BYTES]
                if done.returncode not in ((0, 4) if is_ours else (0, 4, CANNOT_READ)):
                    failed.append(f"{recording.name}, seed {seed}, turn {turn}: exit code {done.returncode}\n{done.stderr[-2000:]}")
                if done.returncode == 4 and not done.stderr:
                    failed.append(f"{recording.name}, seed {seed}, turn {turn}: nothing was said")
    if 4 not in codes:
        failed.append("no damage was noticed at all")
    print("\n".join(failed) or f"seed {seed}: exit codes {sorted(codes)}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
