#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The examples in doc/findings are what the golden recordings say.

    examples_test.py TCPWHY             compares
    examples_test.py TCPWHY --update    writes what TCPWHY says now into the pages

The section Example of a page names a command; below it stands the block with which the finding is told first.
"""
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
EXAMPLE = re.compile(r"(?<=\n## Example\n)(.*?`tcpwhy (report [^`]*)`\n\n```text\n)(.*?)(```\n)", re.S)


def told(tool, arguments):
    environment = dict(os.environ, TZ="UTC")
    done = subprocess.run([tool, *arguments], capture_output=True, text=True, check=True, cwd=ROOT, env=environment)
    return done.stdout


def first_block(slug, text):
    """From the line that tells the finding first to the next line with a time, or an empty one."""
    lines = text.splitlines()
    head = re.compile(rf"\d\d:\d\d:\d\d\.\d+  (INFO|WARNING|CRITICAL) +{slug}( |$)")
    begin = next(i for i, line in enumerate(lines) if head.match(line))
    end = next(i for i in range(begin + 1, len(lines)) if not lines[i].startswith(" "))
    return "".join(line + "\n" for line in lines[begin:end])


def main():
    tool, update = str(pathlib.Path(sys.argv[1]).resolve()), "--update" in sys.argv[2:]
    pages = sorted((ROOT / "doc" / "findings").glob("*.md"))
    failed = [] if len(pages) >= 17 else ["there are fewer pages than findings"]
    for page in pages:
        text = page.read_text()
        example = EXAMPLE.search(text)
        if not example:
            failed.append(f"{page.name} has no example")
            continue
        block = first_block(page.stem, told(tool, example[2].split()))
        if update:
            page.write_text(text[:example.start(3)] + block + text[example.end(3):])
        elif block != example[3]:
            failed.append(f"{page.name} says\n{example[3]}but tcpwhy {example[2]} says\n{block}")
    print("\n".join(failed) or f"{len(pages)} examples are as told")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
