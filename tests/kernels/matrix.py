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
import userland
from tracer import Output

WORKERS = 4
# These fill the machine, need its processors, or change what is one for all of it: made alone, after the others.
ALONE_PROGRAMS = ("i2", "i3", "i8", "traps")
ALONE = {("healthy", "ab"), ("healthy", "loss-bulk")}
TAIL_S = 3
# To boot, to verify, and for the slowest incident; then for each incident its share.
BASE_LIMIT_S = 240
SHARE_S = 20


# What is made at each change: of most incidents one, of those that need neither long nor a machine for themselves. All are for
# scripts/test --kernels.
SHORT = ("i1-ipv4", "i4-recovers", "i5-sigkill", "i6-cut", "i9-vanish", "i10-leak", "resets-linger0-outstanding",
         "connect-stalled-then-ok", "healthy-clean-closes", "healthy-listeners-come-and-go")


def listed(program):
    done = subprocess.run([machine.causes_path() / program, "--list"], capture_output=True, text=True, check=True)
    return done.stdout.split()


def incidents(patterns="*"):
    """[(program, variant)] that a virtual machine can make."""
    out = []
    for program in truths.programs():
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


VERIFY = """echo "doctor $(tcpwhy doctor --format json | base64 -w 0)"
tcpwhy trace >/tmp/said 2>/tmp/err & sleep 1
for try in $(seq 60); do grep -q attached /tmp/err && break; sleep 0.5; done
verified | sed 's/^/verified /'
echo verified
kill -INT %1
wait"""


def job(chosen):
    """The shell commands that make the incidents."""
    alone = [one for one in chosen if one in ALONE or one[0] in ALONE_PROGRAMS]
    together = [one for one in chosen if one not in alone]
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
        self.doctor = None  # what `tcpwhy doctor --format json` said there
        self.console = ""  # what the kernel said
        self.made_again = {}  # {"PROGRAM-VARIANT" whose cause needed a second try there: why}
        self._made = {}
        folder = pathlib.Path(folder)
        said = folder / f"{name}.said"
        said.unlink(missing_ok=True)
        try:
            self._boot(kernels.fetch(name), chosen, said, folder / f"{name}.console")
        except (kernels.KernelError, userland.MissingProgram, machine.NotBuilt, TimeoutError, RuntimeError) as error:
            self.failure = str(error)
        console = folder / f"{name}.console"
        self.console = console.read_text(errors="replace") if console.exists() else ""
        if said.exists():
            self.read(said.read_text(errors="replace"))

    @staticmethod
    def _boot(kernel, chosen, said, console):
        files = {"bin/verified": machine.verified_path(kernel.arch)}
        with machine.Machine(kernel, job(chosen), files, said) as vm:
            try:
                vm.run(BASE_LIMIT_S + SHARE_S * len(chosen))
            finally:
                console.write_text(vm.tail(1000))

    def read(self, said):
        for line in said.splitlines():
            words = line.split()
            if len(words) == 3 and words[0] == "incident":
                self._made[words[1]] = words[2]
            elif len(words) >= 2 and words[0] == "again":
                self.made_again[words[1]] = " ".join(words[2:])
            elif len(words) == 2 and words[0] == "doctor":
                self.doctor = json.loads(base64.b64decode(words[1]))
            elif words[:1] == ["verified"]:
                self.verified = self.verified or {}
                self.verified |= {words[1]: int(words[2])} if len(words) == 3 else {}

    def made(self, program, variant):
        packed = self._made.get(f"{program}-{variant}")
        if packed is None:
            raise AssertionError(f"the machine ended before it handed this incident out: {self.failure or 'no reason given'}")
        return read_made(packed)


def is_skipped(run, program, variant):
    try:
        run.made(program, variant).truth()
    except truths.Skipped:
        return True
    except AssertionError:
        pass
    return False


def failed(kernel, run, chosen):
    """Those that came out otherwise."""
    return [row for row in chosen if not is_skipped(run, *row) and failure_of(kernel, run, *row)]


def failure_of(kernel, run, program, variant):
    """None, or the story of the failure."""
    said = []
    try:
        made = run.made(program, variant)
        said = made.output.err[-20:]
        truth = expected.adapt(kernel, program, variant, made.truth())
    except AssertionError as error:
        return "\n".join([str(error), *said])
    problems = made.output.problems() + truths.differences(truth, made.output.findings())
    return truths.report(truth, made.output.findings(), problems, made.output.err) if problems else None
