# SPDX-License-Identifier: GPL-2.0-only
"""`tcpwhy check`: its exit codes and lines, live and on recordings."""
import datetime
import json
import pathlib
import re
import signal
import subprocess

import jsonschema
import pytest

import truth as truths
from actor import Actor, idle_reset, reset_incident
from conftest import ROOT, causes_path
from tracer import Tracer, schema_errors

HERE = pathlib.Path(__file__).resolve().parent
GOLDEN = ROOT / "tests" / "golden"
SCHEMA = jsonschema.Draft202012Validator(json.loads((HERE / "contract" / "check.schema.json").read_text()))
FIRST_LINE = re.compile(r"^TCPWHY (OK|WARNING|CRITICAL|UNKNOWN) - [^|]+ \| ('?[a-z]+'?=[0-9.]+s?(;[0-9.]*){3} ?)+$")
PROBLEM = re.compile(r"^(WARNING |CRITICAL)  +((was )?[a-z-]+ \([a-z-]+\)(, since \S+; no longer observed .+; while it was observed|, (since|at) \S+|, \S+ to \S+(, .+; while it lasted)?): |and [0-9,]+ more )")
CODES = {"OK": 0, "WARNING": 1, "CRITICAL": 2, "UNKNOWN": 3}


@pytest.fixture(scope="module")
def pair():
    client = Actor("chk-client")
    server = Actor("chk-server", netns_of=client)
    yield server, client
    server.end()
    client.end()


def run(tool, *arguments, **kwargs):
    return subprocess.run([str(tool), *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False, **kwargs)


def verdict_of_text(lines, rc):
    """The word of the first line; every line has its form."""
    assert FIRST_LINE.match(lines[0]), lines[0]
    word = lines[0].split()[1]
    assert CODES[word] == rc
    for line in lines[1:]:
        assert PROBLEM.match(line) or line.startswith("more: tcpwhy explain "), line
    return word


def verdict_of_json(lines, rc):
    verdict = json.loads(lines[-1])
    SCHEMA.validate(verdict)
    assert verdict["exit_code"] == rc
    for line in lines[:-1]:
        assert schema_errors(line) == []
    findings = [json.loads(line) for line in lines[:-2]]
    assert [f["id"] for f in findings if f["severity"] != "info"] == verdict["problems"]
    for severity in ("critical", "warning", "info"):
        assert sum(f["severity"] == severity for f in findings) == verdict["counts"][severity]
    return verdict, findings


def live(tool, make, *arguments, json_lines=False):
    """The lines and the exit code of a check that ends when `make` is done."""
    with Tracer(tool, *(() if "--for" in arguments else ("--for", "2s")), *arguments, command="check", json_lines=json_lines) as tracer:
        make()
        rc = tracer.wait_end()
        return tracer.out, rc


def test_healthy(tool, pair):
    server, client = pair
    server.do("listen", "127.0.0.1")
    out, rc = live(tool, lambda: None, "--netns", client.netns)
    assert (verdict_of_text(out, rc), len(out)) == ("OK", 1)


def test_critical(tool, pair):
    """A reset while a reply was owed; and the line says whose it is."""
    server, client = pair
    port = server.do("listen", "127.0.0.1")
    out, rc = live(tool, lambda: reset_incident(server, client, "127.0.0.1", port), "--netns", client.netns)
    assert verdict_of_text(out, rc) == "CRITICAL"
    assert f"chk-server[{server.pid}]" in out[0]
    assert re.match(r"CRITICAL  reset \(close-with-unread-data\), at [\d:]{8}: .* Why: .* Next: ", out[1]), out[1]
    assert out[-1] == "more: tcpwhy explain reset --cause close-with-unread-data"


def test_info_is_healthy(tool, pair):
    server, client = pair
    port = server.do("listen", "127.0.0.1")
    out, rc = live(tool, lambda: idle_reset(server, client, "127.0.0.1", port), "--netns", client.netns, json_lines=True)
    verdict, findings = verdict_of_json(out, rc)
    assert verdict["verdict"] == "ok" and [f["severity"] for f in findings] == ["info"]


def test_first_ends_early(tool, pair):
    """With --first the first critical finding ends it, long before its time."""
    server, client = pair
    port = server.do("listen", "127.0.0.1")
    with Tracer(tool, "--for", "10min", "--first", "--netns", client.netns, command="check") as tracer:
        reset_incident(server, client, "127.0.0.1", port)
        rc = tracer.wait_end()
        assert verdict_of_json(tracer.out, rc)[0]["verdict"] == "critical"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_too_early_cannot_tell(tool, pair, number):
    with Tracer(tool, "--for", "10min", "--netns", pair[1].netns, command="check") as tracer:
        rc = tracer.stop(number)
        verdict, _ = verdict_of_json(tracer.out, rc)
        assert verdict["verdict"] == "unknown" and "stopped" in verdict["could_not_tell"][0]


def test_filters_and_thresholds(tool, pair):
    server, client = pair
    port = server.do("listen", "127.0.0.1")
    healthy = client.do("listen", "127.0.0.1")
    for arguments in (["--port", healthy], ["--threshold", "reset=off"]):
        out, rc = live(tool, lambda: reset_incident(server, client, "127.0.0.1", port), "--netns", client.netns, *arguments)
        assert verdict_of_text(out, rc) == "OK"
        port = server.do("listen", "127.0.0.1")


# ---------------------------------------------------------------- recordings

@pytest.mark.parametrize(("name", "word"), [
    ("i1-ipv4", "CRITICAL"), ("i2-ipv4", "CRITICAL"), ("i3-stopped", "CRITICAL"), ("i4-longpoll", "OK"),
    ("i5-sigkill", "CRITICAL"), ("i6-cut", "CRITICAL"), ("i10-leak", "WARNING")])
def test_recording(tool, name, word):
    """The same findings as the report, worst first."""
    file = GOLDEN / f"{name}.tcpwhy"
    done = run(tool, "check", file)
    assert verdict_of_text(done.stdout.splitlines(), done.returncode) == word
    done = run(tool, "check", file, "--format", "json")
    verdict, findings = verdict_of_json(done.stdout.splitlines(), done.returncode)
    assert verdict["verdict"] == word.lower()
    last = {}
    for line in (GOLDEN / f"{name}.jsonl").read_text().splitlines():
        value = json.loads(line)
        if "finding" in value:
            last[value["id"]] = value
    assert sorted(findings, key=lambda f: f["id"]) == sorted(last.values(), key=lambda f: f["id"])
    roots = [f for f in findings if f["role"] == "root" and f["severity"] != "info"]
    assert not roots or findings[0] == roots[0]


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def open_at(tool, file, span):
    """What stood open as a span began: the last line before it of each condition that had not ended."""
    if "--since" not in span:
        return {}
    whole = [json.loads(line) for line in run(tool, "report", file, "--format", "json").stdout.splitlines()]
    begin = moment(whole[-1]["started"]) + float(span[span.index("--since") + 1].strip("+s"))
    opened = {line["id"]: line for line in whole if "finding" in line and moment(line["time"]) < begin}
    return {number: line for number, line in opened.items() if line["phase"] in ("open", "update")}


def test_a_part_of_a_recording(tool):
    """The word on the part, by what report tells of it."""
    file = GOLDEN / "i3-stopped.tcpwhy"
    for span in (("--until", "+1s"), ("--since", "+8s"), ("--since", "+2s", "--until", "+5s")):
        told = run(tool, "report", file, "--format", "json", *span).stdout.splitlines()
        lines = [json.loads(line) for line in told]
        last = open_at(tool, file, span) | {line["id"]: line for line in lines if "finding" in line}
        done = run(tool, "check", file, "--format", "json", *span)
        verdict, findings = verdict_of_json(done.stdout.splitlines(), done.returncode)
        assert sorted(findings, key=lambda f: f["id"]) == sorted(last.values(), key=lambda f: f["id"]), span
        worst = max((["info", "warning", "critical"].index(f["severity"]) for f in last.values()), default=0)
        assert verdict["exit_code"] == worst, span
    # Nothing new is told of it in these two seconds, and it goes on: check counts it, report says that there is something.
    middle = ("--since", "+5.5s", "--until", "+7.4s")
    assert "a finding that was open" in run(tool, "report", GOLDEN / "i6-cut.tcpwhy", *middle).stderr
    assert run(tool, "check", GOLDEN / "i6-cut.tcpwhy", *middle).returncode == 2
    for outside in (["--since", "+1h"], ["--until", "2020-01-01T00:00:00Z"]):
        done = run(tool, "check", file, *outside)
        assert done.returncode == 3 and "nothing of the recording" in done.stdout, done.stdout
        assert "-" not in done.stdout.split("watched=")[1]
    assert run(tool, "check", file, "--until", "+1s").returncode == 0
    assert run(tool, "check", file, "--since", "+2s").returncode == 2


def test_fail_on_critical(tool):
    done = run(tool, "check", GOLDEN / "i10-leak.tcpwhy", "--fail-on", "critical")
    lines = done.stdout.splitlines()
    assert verdict_of_text(lines, done.returncode) == "OK"
    assert "1 warning" in lines[0] and lines[1].startswith("WARNING   was close-wait-leak")
    assert run(tool, "check", GOLDEN / "i1-ipv4.tcpwhy", "--fail-on", "critical").returncode == 2


def test_unreadable_part_cannot_tell(tool, tmp_path):
    """Cut short: UNKNOWN, unless what can be read is critical already."""
    for name, code in (("i4-longpoll", 3), ("i10-leak", 3), ("i5-sigkill", 2)):
        data = (GOLDEN / f"{name}.tcpwhy").read_bytes()
        cut = tmp_path / f"{name}.tcpwhy"
        cut.write_bytes(data[:-100])
        done = run(tool, "check", cut)
        verdict_of_text(done.stdout.splitlines(), done.returncode)
        assert done.returncode == code, done.stdout + done.stderr


# ---------------------------------------------------------------- what keeps it from telling

@pytest.mark.parametrize("arguments", [
    ["--bogus"], ["--for", "banana"], ["--for", "0s"], ["--fail-on", "info"], ["--format", "yaml"], ["--port", "99999"],
    ["--threshold", "nonsense=1s"], ["--config", "/no/such/file.toml"], ["/no/such/file.tcpwhy"],
    ["--for", "1s", "some.tcpwhy"], ["--since", "+1s"], [GOLDEN / "i1-ipv4.tcpwhy", "--since", "yesterday"],
    [GOLDEN / "i1-ipv4.tcpwhy", "--since", "+5s", "--until", "+1s"], ["--btf", "/no/such/file"], ["--btf", "/etc/passwd"],
])
@pytest.mark.parametrize("json_lines", [False, True])
def test_every_failure_is_unknown(tool, arguments, json_lines):
    """Never 2, which would be critical; and the reason is on standard output, too."""
    done = run(tool, "check", *(["--format", "json"] if json_lines and "--format" not in arguments else []), *arguments)
    assert done.returncode == 3, done.stdout + done.stderr
    assert done.stderr.strip()
    if json_lines and "--format" not in arguments:
        verdict = json.loads(done.stdout)
        SCHEMA.validate(verdict)
        assert verdict["verdict"] == "unknown"
    else:
        assert re.fullmatch(r"TCPWHY UNKNOWN - [^|\n]+\n", done.stdout), done.stdout


def test_what_the_kernel_cannot_tell_is_no_doubt_but_is_said(tool, pair):
    out, rc = live(tool, lambda: None, "--netns", pair[1].netns, "--without", "kfree_skb", "--for", "1s")
    assert verdict_of_text(out, rc) == "OK"
    assert "as far as this kernel tells" in out[0]


def test_without_privileges(readable_tool):
    done = run("/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", readable_tool, "check", "--for", "1s")
    assert done.returncode == 3
    assert done.stdout.startswith("TCPWHY UNKNOWN - ") and "root" in done.stdout


def test_full_disk_is_unknown(tool):
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([str(tool), "check", str(GOLDEN / "i1-ipv4.tcpwhy")], stdout=full, stderr=subprocess.PIPE,
                              timeout=60, check=False)
    assert done.returncode == 3


# ---------------------------------------------------------------- a stranger's reading

@pytest.mark.parametrize(("program", "variant", "finding", "culprit"), [
    ("i1", "ipv4", "accept-queue-overflow (not-accepting)", "queue-server"),
    ("i5", "sigkill", "connect-refused (listener-gone)", "backend"),
])
def test_incident(tool, program, variant, finding, culprit):
    """The first problem is the root, with the culprit's name, and the verdict repeats it."""
    with Tracer(tool, "--for", "10min", *truths.arguments(causes_path(), program, variant), command="check",
                json_lines=False) as tracer:
        try:
            truths.make(causes_path(), program, variant)
        except (truths.Skipped, truths.NotMade) as why:
            pytest.skip(str(why))
        rc = tracer.stop()
        assert verdict_of_text(tracer.out, rc) == "CRITICAL"
        assert finding in tracer.out[1] and culprit in tracer.out[0], "\n".join(tracer.out)
