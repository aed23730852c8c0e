# SPDX-License-Identifier: GPL-2.0-only
"""The incidents of one kernel: made in a virtual machine, handed out, read."""
import base64
import dataclasses
import fnmatch
import io
import json
import pathlib
import subprocess
import tarfile

import expected
import kernels
import machine
import truth as truths
from tracer import Output

WORKERS = 6
# These fill the machine, or change what is one for all of it: made alone, after the others.
ALONE = {("healthy", "loss-bulk"), ("i3", "memory")}
TAIL_S = 3
BOOT_LIMIT_S = 60
# For the slowest incident, and for each of the others its share.
INCIDENT_LIMIT_S = 240
SHARE_S = 15
# A path of netem's has no incident to be told.
PROGRAMS = ("i1", "i2", "i3", "i4", "i5", "i6", "i7", "i8", "i9", "i10", "resets", "connect", "healthy", "traps", "netem")


def listed(program):
    done = subprocess.run([machine.causes_path() / program, "--list"], capture_output=True, text=True, check=True)
    return done.stdout.split()


def incidents(patterns="*"):
    """[(program, variant)] that a virtual machine can make."""
    out = []
    for program in PROGRAMS:
        for variant in listed(program):
            name = f"{program}-{variant}"
            if (program, variant) not in expected.LEFT_OUT and any(fnmatch.fnmatch(name, one) for one in patterns.split(",")):
                out.append((program, variant))
    return out


@dataclasses.dataclass(frozen=True)
class Made:
    """What one incident handed out."""

    truth_rc: int
    truth_out: str
    truth_err: str
    began: float
    over: float
    output: Output

    def truth(self):
        if self.truth_rc == truths.SKIPPED:
            raise truths.Skipped(self.truth_err.strip())
        if self.truth_rc != 0:
            raise AssertionError(f"the cause failed ({self.truth_rc}), the tool is not at fault:\n{self.truth_out}{self.truth_err}")
        return dict(json.loads(self.truth_out.splitlines()[-1]), began=self.began, over=self.over)


def read_made(packed):
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(packed)), mode="r:gz") as tar:
        files = {pathlib.PurePath(member.name).name: tar.extractfile(member).read().decode("utf-8", "replace")
                 for member in tar.getmembers() if member.isfile()}
    began, over = map(float, files["times"].split())
    output = Output(files["said"].splitlines(), files["err"].splitlines(), int(files["rc"]))
    return Made(int(files["truth.rc"]), files["truth"], files["truth.err"], began, over, output)


VERIFY = """tcpwhy trace >/tmp/said 2>/tmp/err & sleep 1
for try in $(seq 60); do grep -q attached /tmp/err && break; sleep 0.5; done
verified | sed 's/^/verified /'
echo verified
kill -INT %1
wait"""


def job(chosen):
    """The shell commands that make the incidents."""
    together = [one for one in chosen if one not in ALONE]
    alone = [one for one in chosen if one in ALONE]
    commands = [VERIFY]
    for workers, rows in ((WORKERS, together), (1, alone)):
        if rows:
            text = "\n".join(" ".join([f"{p}-{v}", p, v, str(TAIL_S), *truths.arguments(machine.causes_path(), p, v)]) for p, v in rows)
            commands.append(f"incidents {workers} <<'ROWS'\n{text}\nROWS")
    return "\n".join(commands)


class Run:
    """One kernel's virtual machine, run to its end; what it handed out until then is there in any case."""

    def __init__(self, name, chosen, folder):
        self.failure = None
        self.verified = None  # {program: instructions}; None where it was not told
        self._made = {}
        kernel = kernels.fetch(name)
        said = pathlib.Path(folder) / f"{name}.said"
        limit_s = BOOT_LIMIT_S + INCIDENT_LIMIT_S + SHARE_S * len(chosen)
        files = {"bin/verified": machine.ROOT / "build" / "tests" / "kernels" / "verified"}
        with machine.Machine(kernel, job(chosen), files, said) as vm:
            try:
                vm.run(limit_s)
            except (TimeoutError, RuntimeError) as error:
                self.failure = str(error)
            (pathlib.Path(folder) / f"{name}.console").write_text(vm.tail(1000))
        for line in said.read_text(errors="replace").splitlines():
            words = line.split()
            if len(words) == 3 and words[0] == "incident":
                self._made[words[1]] = words[2]
            elif words[:1] == ["verified"]:
                self.verified = self.verified or {}
                self.verified |= {words[1]: int(words[2])} if len(words) == 3 else {}

    def made(self, program, variant):
        packed = self._made.get(f"{program}-{variant}")
        if packed is None:
            raise AssertionError(f"the machine ended before it handed this incident out: {self.failure or 'no reason given'}")
        return read_made(packed)


def failure_of(kernel, run, program, variant):
    """None, or the story of the failure."""
    made = run.made(program, variant)
    try:
        truth = expected.adapt(kernel, program, variant, made.truth())
    except AssertionError as error:
        return f"{error}\n" + "\n".join(made.output.err[-20:])
    problems = made.output.problems() + truths.differences(truth, made.output.findings())
    return truths.report(truth, made.output.findings(), problems, made.output.err) if problems else None
