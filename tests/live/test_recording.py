# SPDX-License-Identifier: GPL-2.0-only
"""record and report: the same findings later, elsewhere, without root; and what is left of a recording that was hurt."""
import collections
import datetime
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

import recording_reader
from actor import Actor, reset_incident
from conftest import causes_path
from tracer import Tracer, event_errors, schema_errors

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]


def report(tool, *arguments, as_nobody=False):
    return subprocess.run([*(NOBODY if as_nobody else []), str(tool), "report", *map(str, arguments)], capture_output=True,
                          text=True, check=False, timeout=120)


def make(program, variant):
    subprocess.run([str(causes_path() / program), "--variant", variant], check=True, capture_output=True, timeout=120)


def churn(connections):
    subprocess.run([str(causes_path().parent / "bench" / "churn"), "--connections", str(connections)], check=True,
                   capture_output=True, timeout=120)


def resets():
    """Two processes in a namespace of their own, and what goes wrong between them."""
    server = Actor("cold-server")
    client = Actor("warm-client", netns_of=server)
    reset_incident(server, client, "127.0.0.1", int(server.do("listen", "127.0.0.1")))
    client.end()
    server.end()


def findings_of(lines):
    """What was said, without what two runs at one time may differ in: ids and moments."""
    said = collections.Counter()
    for line in lines:
        value = json.loads(line)
        if "finding" in value and value["phase"] in ("open", "event"):
            said[value["finding"], value["cause"], value["severity"], value["culprit"].get("pid"),
                 value.get("service", {}).get("port")] += 1
    return said


@pytest.fixture
def folder():
    """One that anybody may read."""
    with tempfile.TemporaryDirectory(prefix="tcpwhy-") as path:
        os.chmod(path, 0o755)
        yield pathlib.Path(path)


@pytest.mark.parametrize(("program", "variant"), [("resets", "linger0-outstanding"), ("i5", "sigkill"), ("i6", "restored"),
                                                  ("i1", "ipv4")])
def test_report_says_what_trace_said(tool, folder, program, variant):
    """Byte for byte, of the same run."""
    listed = subprocess.run([str(causes_path() / program), "--list"], capture_output=True, text=True, check=True).stdout.split()
    file = folder / "run.tcpwhy"
    with Tracer(tool, "--record", file) as tracer:
        make(program, variant if variant in listed else listed[0])
        time.sleep(1)
        tracer.stop()
    assert tracer.problems() == []
    assert any("finding" in json.loads(line) for line in tracer.out)
    told = report(tool, file, "--format", "json")
    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines() == tracer.out


def test_record_keeps_what_trace_would_say_and_needs_no_root_to_report(tool, folder):
    file = folder / "all.tcpwhy"
    with Tracer(tool) as tracer, Tracer(tool, "-o", file, command="record", json_lines=False) as recorder:
        resets()
        make("i5", "exit")
        time.sleep(1.5)
        tracer.stop()
        recorder.stop()
    assert recorder.rc == 0 and recorder.out == [], recorder.err
    assert os.stat(file).st_mode & 0o777 == 0o600
    shutil.copy(file, folder / "copy")
    (folder / "copy").chmod(0o644)
    shutil.copy(tool, folder / "tcpwhy")
    told = report(folder / "tcpwhy", folder / "copy", "--format", "json", as_nobody=True)
    assert told.returncode == 0, told.stderr
    assert findings_of(told.stdout.splitlines()) == findings_of(tracer.out)
    assert [error for line in told.stdout.splitlines() for error in schema_errors(line)] == []


def agree(tool, file, records):
    """The report shows these records: as many of each kind, and transitions field by field."""
    kinds = collections.Counter(recording_reader.header(record)[1] for record in records)
    told = report(tool, file, "--events", "--format", "json", "--severity", "critical").stdout.splitlines()
    summary = json.loads(told[-1])
    names = {"transition": 1, "state": 2, "reset_sent": 5, "reset_received": 6}
    assert {name: summary["events"].get(name, 0) for name in names} == {name: kinds[kind] for name, kind in names.items()}
    events = [value for value in map(json.loads, told) if value["schema"] == "tcpwhy.event/1"]
    shown = collections.Counter(event["event"] for event in events)
    assert shown["transition"] == kinds[1]
    assert [error for event in events for error in event_errors(event)] == []
    # Field by field, in the stream's order.
    transitions = [recording_reader.transition(record) for record in records if recording_reader.header(record)[1] == 1]
    assert transitions == [(event["id"], event["local"]["port"], event["remote"]["port"], event["netns"], event["from"],
                            event["to"], event["values"]["snd_nxt"], event.get("owner", {}).get("comm", ""))
                           for event in events if event["event"] == "transition"]


def test_another_reader_agrees(tool, folder):
    """What the document says is enough to read a recording, and reports count the same events."""
    file = folder / "all.tcpwhy"
    with Tracer(tool, "-o", file, command="record", json_lines=False) as recorder:
        resets()
        churn(2000)
        recorder.stop()
    meta, end, records = recording_reader.read(file)
    assert meta["format"] == 2 and meta["every_transition"] and end["recorder_lost"] == 0
    kinds = collections.Counter(recording_reader.header(record)[1] for record in records)
    assert kinds[1] > 2000 * 8  # transitions
    agree(tool, file, records)


@pytest.mark.parametrize("name", ["i1-ipv4", "old/format-1"])
def test_another_reader_agrees_on_each_format(tool, name):
    file = GOLDEN / f"{name}.tcpwhy"
    meta, _end, records = recording_reader.read(file)
    assert meta["format"] == (1 if name.startswith("old/") else 2)
    agree(tool, file, records)


def test_since_and_until(tool, folder):
    file = folder / "run.tcpwhy"
    # Whatever else runs on this host may reset connections, too.
    with Tracer(tool, "--record", file, "--comm", "cold-server") as tracer:
        resets()
        time.sleep(3)
        resets()
        time.sleep(1)
        tracer.stop()
    times = [finding["time"] for finding in tracer.findings() if finding["finding"] == "reset"]
    assert len(times) == 2, "\n".join(tracer.out + tracer.err)
    between = times[0][:17] + "%02d.999Z" % (int(times[0][17:19]))

    def count(*arguments):
        out = report(tool, file, "--format", "json", *arguments)
        assert out.returncode == 0, out.stderr
        return sum('"finding"' in line for line in out.stdout.splitlines())

    assert count() == 2
    assert count("--since", between) == 1
    assert count("--until", between) == 1
    assert count("--since", "+1h") == 0
    since = json.loads(report(tool, file, "--format", "json", "--since", between).stdout.splitlines()[-1])
    assert since["findings"] == {"reset": 1} and since["started"].startswith(between.rstrip("Z"))
    assert "nothing of it is in the time" in report(tool, file, "--since", "+1h").stderr
    assert report(tool, file, "--since", "+2s", "--until", "+1s").returncode == 2
    assert report(tool, file, "--since", "noon").returncode == 2


def test_events_are_filtered_too(tool, folder):
    file = folder / "run"
    with Tracer(tool, "-o", file, command="record", json_lines=False) as recorder:
        resets()
        churn(20)
        recorder.stop()
    rows = [json.loads(line) for line in report(tool, file, "--connections", "--format", "json").stdout.splitlines()]
    port = next(row["server"]["port"] for row in rows if row.get("finding") == "reset")
    shown = report(tool, file, "--events", "--port", port, "--severity", "critical").stdout.splitlines()
    steps = [line for line in shown if " transition " in line or " state " in line]
    assert len(steps) >= 4 and all(f":{port}" in line for line in steps), shown


def test_pieces_that_do_not_belong_together(tool, folder):
    for name in ("a", "b"):
        with Tracer(tool, "-o", folder / name, command="record", json_lines=False) as recorder:
            recorder.stop()
    told = report(tool, folder / "a", folder / "b")
    assert told.returncode == 2 and "not pieces of one recording" in told.stderr


def test_what_if(tool, folder):
    file = folder / "run.tcpwhy"
    with Tracer(tool, "--record", file) as tracer:
        resets()
        time.sleep(1)
        tracer.stop()
    assert any(finding["finding"] == "reset" for finding in tracer.findings())
    off = report(tool, file, "--format", "json", "--threshold", "reset=off").stdout
    assert '"finding"' not in off
    elsewhere = report(tool, file, "--format", "json", "--port", 1).stdout
    assert '"finding"' not in elsewhere


def test_a_wall_clock_that_is_set(tool, folder):
    """Each line has the time that the clock showed at its moment, live and in the report; no duration jumps with it."""
    ahead = folder / "ahead"
    ahead.write_bytes(bytes(8))

    def set_ahead(seconds):
        with ahead.open("r+b") as mapped:  # never shorter than it is
            mapped.write((seconds * 10**9).to_bytes(8, "little", signed=True))

    preloaded = {"LD_PRELOAD": str(causes_path().parent / "preload" / "moved_clock.so"), "MOVED_CLOCK": str(ahead)}
    file = folder / "run"
    hour = 3600
    with Tracer(tool, "--record", file, env=preloaded) as tracer:
        resets()
        assert tracer.wait_for(lambda: len(tracer.findings()) == 1, 5)
        set_ahead(hour)
        assert tracer.wait_for(lambda: any("was set 1 h ahead" in line for line in tracer.err), 5), tracer.err
        resets()
        assert tracer.wait_for(lambda: len(tracer.findings()) == 2, 5)
        tracer.stop()
    before, after = (datetime.datetime.fromisoformat(f["time"].replace("Z", "+00:00")).timestamp() for f in tracer.findings())
    assert hour < after - before < hour + 30
    assert abs(after - hour - time.time()) < 30
    assert report(tool, file, "--format", "json").stdout.splitlines() == tracer.out
    moved = [json.loads(line) for line in report(tool, file, "--events", "--format", "json").stdout.splitlines()
             if '"event":"clock"' in line]
    assert [round(event["values"]["moved_ns"] / 10**9) for event in moved] == [hour]
    # Half an hour after the first: the clock never showed that, it stepped over it.
    between = datetime.datetime.fromtimestamp(before + hour / 2, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    since = [json.loads(line) for line in report(tool, file, "--format", "json", "--since", between).stdout.splitlines()]
    assert [line["time"] for line in since if "finding" in line] == [tracer.findings()[1]["time"]]


@pytest.mark.parametrize("busy", [False, True])
def test_kill_9_loses_the_last_second_at_most(tool, folder, busy):
    """At ten random moments on a quiet host, at ten under load: until a second before the kill, all is there."""
    seed = 20 + busy
    moments = random.Random(seed)
    for turn in range(10):
        file = folder / f"killed-{turn}"
        with Tracer(tool, "-o", file, command="record", json_lines=False) as recorder:
            resets()
            load = subprocess.Popen(["nice", str(causes_path().parent / "bench" / "churn"), "--connections", "1000000"],
                                    stdout=subprocess.DEVNULL) if busy else None
            time.sleep(1.6 + moments.random())
            killed = time.time()
            recorder.stop(signal.SIGKILL)
            if load:
                load.kill()
                load.wait()
        told = report(tool, file, "--format", "json")
        assert told.returncode == 4 and "no end" in told.stderr, (seed, turn, told.stderr)
        lines = [json.loads(line) for line in told.stdout.splitlines()]
        assert any(line.get("finding") == "reset" for line in lines), (seed, turn, told.stdout, told.stderr)
        ended = datetime.datetime.fromisoformat(lines[-1]["ended"].replace("Z", "+00:00")).timestamp()
        # The half second is for a machine that is slow to run the writer.
        assert killed - 1.5 < ended < killed + 0.1, (seed, turn, killed, ended)


@pytest.fixture
def small_disk(folder):
    place = folder / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk(tool, small_disk):
    file = small_disk / "run"
    with Tracer(tool, "-o", file, command="record", json_lines=False) as recorder:
        churn(20_000)
        recorder.wait_end()
    assert recorder.rc == 1
    assert any("No space left" in line for line in recorder.err) and any("--max-size" in line for line in recorder.err)
    told = report(tool, file, "--format", "json")
    assert told.returncode == 4 and json.loads(told.stdout.splitlines()[-1])["events"]["transition"] > 1000


def test_trace_goes_on_where_its_recording_cannot(tool, small_disk):
    with Tracer(tool, "--record", small_disk / "run") as tracer:
        with pytest.raises(OSError), open(small_disk / "filler", "wb", buffering=0) as filler:
            while True:
                filler.write(b"x" * 4096)
        time.sleep(2)
        resets()
        time.sleep(1)
        tracer.stop()
    assert tracer.rc == 1
    assert any(finding["finding"] == "reset" for finding in tracer.findings())


def test_rotation_loses_nothing(tool, folder):
    with Tracer(tool, "-o", folder / "run", "--max-size", "256k", command="record", json_lines=False) as recorder:
        churn(20_000)
        resets()
        time.sleep(1)
        recorder.stop()
    assert recorder.rc == 0, recorder.err
    pieces = sorted(folder.iterdir(), key=lambda path: int(path.suffix[1:] or 1))
    assert len(pieces) >= 3
    whole = report(tool, *reversed(pieces), "--format", "json")
    assert whole.returncode == 0, whole.stderr
    summary = json.loads(whole.stdout.splitlines()[-1])
    assert summary["recorder_lost"] == 0 and summary["events"]["transition"] > 20_000 * 9
    assert any(json.loads(line).get("finding") == "reset" for line in whole.stdout.splitlines())
    for piece in pieces:
        assert report(tool, piece).returncode == 0


@pytest.mark.parametrize(("arguments", "code", "word"), [
    (["none"], 1, "cannot open"), ([__file__], 1, "no recording"), ([], 2, "FILE"), (["/dev/null"], 1, "no recording")])
def test_mistakes(tool, arguments, code, word):
    told = report(tool, *arguments)
    assert told.returncode == code and word in told.stderr, told


def test_a_recording_is_not_overwritten(tool, folder):
    file = folder / "run"
    file.write_text("mine")
    with pytest.raises(AssertionError, match="--force"):
        Tracer(tool, "-o", file, command="record", json_lines=False).wait_attached()
    assert file.read_text() == "mine"


def test_standard_input(tool, folder):
    file = folder / "run"
    with Tracer(tool, "--record", file) as tracer:
        resets()
        tracer.stop()
    with open(file, "rb") as recording:
        told = subprocess.run([str(tool), "report", "-", "--format", "json"], stdin=recording, capture_output=True, text=True,
                              check=False)
    assert told.returncode == 0 and told.stdout.splitlines() == tracer.out


def test_connections_and_one_of_them(tool, folder):
    file = folder / "run"
    with Tracer(tool, "-o", file, command="record", json_lines=False) as recorder:
        resets()
        churn(50)
        time.sleep(1)
        recorder.stop()
    table = report(tool, file, "--connections", "--format", "json")
    assert table.returncode == 0, table.stderr
    rows = [json.loads(line) for line in table.stdout.splitlines()]
    assert len(rows) >= 51
    worst = rows[0]
    assert worst["finding"] == "reset" and worst["worst"] == "critical"
    assert worst["client"]["process"]["comm"] == "warm-client" and worst["server"]["process"]["comm"] == "cold-server"
    assert worst["client"]["bytes_sent"] == 2000
    ordinary = next(row for row in rows if "finding" not in row and row["client"].get("process", {}).get("comm") == "churn")
    assert (ordinary["client"]["bytes_sent"], ordinary["server"]["bytes_sent"]) == (1, 1)
    text = report(tool, file, "--connections", "--sort", "duration").stdout
    assert f"{len(rows)} connections" in text and "warm-client" in text
    by_end = report(tool, file, "--connection", f"127.0.0.1:{worst['client']['port']}")
    assert by_end.returncode == 0, by_end.stderr
    for words in ("SYN_SENT to ESTABLISHED", "RST sent", "RST received", "== critical reset (close-with-unread-data)"):
        assert words in by_end.stdout, by_end.stdout
    assert report(tool, file, "--connection", worst["id"]).stdout == by_end.stdout
    assert report(tool, file, "--connection", "9.9.9.9:9").returncode == 1
    assert report(tool, file, "--connection", "what").returncode == 1


@pytest.mark.parametrize(("asks", "name"), [(True, "-asked.tcpwhy"), (False, "-reset.tcpwhy")])
def test_flight_recorder(tool, folder, asks, name):
    """Saved when asked, and by itself on a critical finding: which lands in the file that is being written, if one is."""
    place = folder / "flight"
    place.mkdir()
    arguments = ("--flight-recorder", "1min", "--save-on", "critical", "-o", place)
    with Tracer(tool, *arguments, command="record", json_lines=False) as recorder:
        time.sleep(1)
        if asks:
            os.kill(recorder.pid, signal.SIGUSR1)
            assert recorder.wait_for(lambda: any("saving" in line for line in recorder.err), 10), recorder.err
        resets()
        assert recorder.wait_for(lambda: any("saving" in line for line in recorder.err), 10), recorder.err
        time.sleep(2)
        recorder.stop()
    assert recorder.rc == 0, recorder.err
    saved = sorted(place.iterdir())
    assert len(saved) == 1 and saved[0].name.endswith(name), saved
    assert any(f"{saved[0]} is whole" in line for line in recorder.err), recorder.err
    told = report(tool, saved[0], "--format", "json")
    assert told.returncode == 0, told.stderr
    assert any(json.loads(line).get("finding") == "reset" for line in told.stdout.splitlines())
