#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""page.py [--check] PROSPECTS: writes the tables of doc/kernels.md, or fails where they are not what they should be.

They come from the table of hooks (user/kernel/features.cpp, through the program PROSPECTS), from what each kernel offers
(offers.json), and from where the incidents truly differ (expected.py).
"""
import argparse
import difflib
import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True

import expected  # noqa: E402
import kernels  # noqa: E402

PAGE = HERE.parent.parent / "doc" / "kernels.md"
OFFERS = HERE / "offers.json"
BEGIN, END = "<!-- tables:begin (written by tests/kernels/page.py) -->", "<!-- tables:end -->"


def prospects(program, offers):
    done = subprocess.run([program, "findings"], input=json.dumps(offers), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr.strip())
    return json.loads(done.stdout)


def row(cells):
    return "| " + " | ".join(cells) + " |"


def table(head, rows):
    return [row(head), "|" + "---|" * len(head), *map(row, rows)]


class Notes:
    """Numbered by first use."""

    def __init__(self):
        self._numbers = {}

    def number(self, note):
        return self._numbers.setdefault(note, len(self._numbers) + 1)

    def lines(self):
        return [f"{number}. {note}" for note, number in self._numbers.items()]


def note_of(hook, since, why):
    return f"{hook} (Linux {since}): {why or 'without it there is no such finding'}"


def findings(told):
    """A row for each finding; a number says what the kernel lacks for it."""
    notes = Notes()
    rows = []
    for slug in next(iter(told.values()))["findings"]:
        cells = []
        for kernel in told.values():
            one = kernel["findings"][slug]
            numbers = sorted(notes.number(note_of(*without)) for without in one["without"])
            cells.append(" ".join([one["works"], *(f"[{n}]" for n in numbers)]))
        rows.append([f"[{slug}](findings/{slug}.md)", *cells])
    return [*table(["finding", *map(title, told)], rows), "", *notes.lines()]


def hooks(told, offers):
    """A row for each hook that not every kernel has."""
    rows = []
    for hook, since, lost in next(iter(told.values()))["hooks"]:
        has = [offers[kernel][hook] for kernel in told]
        if not all(has):
            rows.append([hook, since, *("yes" if one else "no" for one in has), lost])
    return table(["hook", "since", *map(title, told), "without it"], rows)


def how(name):
    """How it is known what this kernel offers and what is told there."""
    if name not in kernels.KERNELS:
        return "the kernel that this is built on: every incident and healthy load, at each change"
    by_name_only = "" if kernels.KERNELS[name].usual else "; asked for by its name only"
    return f"the incidents, in a virtual machine (`scripts/test --kernels {name}`{by_name_only})"


def title(name):
    return kernels.KERNELS[name].title if name in kernels.KERNELS else name


def order(name):
    """By version; other architectures last."""
    return (name in kernels.KERNELS and kernels.KERNELS[name].arch != "amd64", tuple(map(int, title(name).split()[0].split("."))))


def names(incidents):
    by_program = {}
    for program, variant in incidents:
        by_program.setdefault(program, []).append(variant)
    return "; ".join(f"{program} " + ", ".join(variants) for program, variants in by_program.items())


def differences():
    rows = [[", ".join(d.kernels), names(d.incidents), d.lacks, d.then] for d in expected.DIFFERENCES]
    left_out = {}
    for incident, why in expected.LEFT_OUT.items():
        left_out.setdefault(why, []).append(incident)
    return [*table(["kernels", "incidents", "what the kernel lacks", "what is told instead"], rows), "",
            "Not made in virtual machines:", "", *(f"- {names(incidents)}: {why}" for why, incidents in left_out.items())]


def tables(told, offers):
    return "\n".join([
        *table(["kernel", "how it is tested"], [[title(name), how(name)] for name in told]), "",
        "### What is left of each finding", "",
        "`yes`; `inferred`: told each time, its cause or evidence follows from something else, or is unknown; `partly`: some cases",
        "are not seen; `no`. The numbers say what the kernel lacks for it.", "",
        *findings(told), "",
        "### What the kernels offer", "",
        "What all of them have is not listed; `tcpwhy doctor` lists it for the kernel that runs.", "",
        *hooks(told, offers), "",
        "### Where the incidents come out otherwise", "",
        *differences()])


def contradictions(told):
    """Where an incident goes untold on a kernel, the table of hooks must not say that its finding is told each time."""
    for difference in expected.DIFFERENCES:
        finding = getattr(difference.change, "never", None)
        for kernel in difference.kernels if finding else ():
            if (works := told[kernel]["findings"][finding]["works"]) not in ("partly", "no"):
                yield (f"{kernel}: {names(difference.incidents)} make no {finding} (tests/kernels/expected.py), "
                       f"and user/kernel/features.cpp says of it: {works}")


def written(text, middle):
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        sys.exit(f"{PAGE} must have one line {BEGIN} and one {END}")
    return text.partition(BEGIN)[0] + BEGIN + "\n" + middle + "\n" + END + text.partition(END)[2]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    parser.add_argument("prospects", metavar="PROSPECTS", help="the program build/tests/kernels/prospects")
    arguments = parser.parse_args()
    offers = json.loads(OFFERS.read_text())
    if missing := set(kernels.KERNELS) - set(offers):
        sys.exit(f"{OFFERS} lacks {', '.join(sorted(missing))}: pytest tests/kernels -k offers --update-offers")
    offers = {name: offers[name] for name in sorted(offers, key=order)}
    told = prospects(arguments.prospects, offers)
    if wrong := list(contradictions(told)):
        sys.exit("\n".join(wrong))
    before = PAGE.read_text()
    after = written(before, tables(told, offers))
    if not arguments.check:
        PAGE.write_text(after)
    elif before != after:
        sys.stdout.writelines(difflib.unified_diff(before.splitlines(True), after.splitlines(True), "doc/kernels.md", "as it should be"))
        sys.exit(f"doc/kernels.md is not up to date: /usr/bin/python3 tests/kernels/page.py {arguments.prospects}")


if __name__ == "__main__":
    main()
