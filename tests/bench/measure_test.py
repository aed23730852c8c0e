# SPDX-License-Identifier: GPL-2.0-only
"""What scripts/bench concludes from what it sees, without measuring anything."""

import pathlib
import tempfile
import unittest

from measure import hold, onset, output, replay, storm, stuck

MS = 1_000_000


def spans(*cpu_ms, walked=(), swept=()):
    """One for each 20 ms."""
    def counts(given):
        return list(given) + [0] * (len(cpu_ms) - len(given))

    return [hold.Span(i * 0.02, (i + 1) * 0.02, cpu * MS, files, others, 100 * (files + others))
            for i, (cpu, files, others) in enumerate(zip(cpu_ms, counts(walked), counts(swept)))]


def is_work(span):
    return span.cpu_ns > hold.LEAST_VISIBLE_NS


def is_visit(span):
    return span.walked + span.swept > 0


class Looks(unittest.TestCase):
    def test_neighbouring_polls_are_one_look_and_idling_is_not_in_it(self):
        found = hold._joined(spans(0.1, 0.1, 5.1, 20.1, 0.1, 0.1, 0.1, 0.1, 0.1, 7.1, 0.1), is_work)
        self.assertEqual([round(sweep.cpu_ns / MS, 6) for sweep in found], [25, 7])

    def test_a_short_pause_is_within_a_look(self):
        found = hold._joined(spans(0, 5, 0, 0, 5, 0, 0, 0, 5, 0, 0, 0, 0), is_work)
        self.assertEqual([sweep.cpu_ns / MS for sweep in found], [10, 5])

    def test_what_began_before_the_watch_is_left_out(self):
        found = hold._joined(spans(5, 5, 0, 0, 0, 0, 7, 0, 0), is_work)
        self.assertEqual([sweep.cpu_ns / MS for sweep in found], [7])

    def test_visits_tell_a_look_that_takes_no_visible_time(self):
        found = hold._joined(spans(*[0] * 10, walked=[0, 1], swept=[0, 3, 0, 0, 0, 0, 4]), is_visit)
        self.assertEqual([(look.walked, look.swept) for look in found], [(1, 3), (0, 4)])

    def test_nothing_is_no_look(self):
        self.assertEqual(hold._joined(spans(0, 0, 0), is_work), [])


class Schedules(unittest.TestCase):
    """200,000 sockets: a walk over them each 5 s, and each half second a look at 13 tracked ones and at two processes."""

    def looks(self):
        # A look each 0.5 s, that is each 25 spans; each tenth is a walk, of two spans.
        cpu, walked, swept = [0.1] * 600, [0] * 600, [0] * 600
        for at in range(10, 590, 25):
            cpu[at], swept[at], walked[at] = 0.6, 13, 40
            if (at - 10) % 250 == 0:
                cpu[at:at + 2], walked[at:at + 2] = [20.1, 30.1], [80_000, 120_000]
        return hold._joined(spans(*cpu, walked=walked, swept=swept), is_visit)

    def test_a_walk_is_what_visits_the_held_sockets(self):
        schedule = hold.Schedule.from_looks(self.looks(), lambda look: look.walked >= 100_000)
        self.assertEqual(schedule.visits, 200_013)
        self.assertAlmostEqual(schedule.interval_s, 5)
        self.assertAlmostEqual(schedule.cpu_s, 0.05)
        self.assertAlmostEqual(schedule.ns_per_visit, 100)

    def test_what_comes_in_between_is_a_sweep(self):
        schedule = hold.Schedule.from_looks(self.looks(), lambda look: look.walked >= 100_000)
        self.assertEqual(schedule.sweep_visits, 53)
        self.assertAlmostEqual(schedule.sweep_interval_s, 0.5)
        self.assertAlmostEqual(schedule.sweep_cpu_s, 0.0005)

    def test_sweeps_alone_are_no_walk(self):
        self.assertIsNone(hold.Schedule.from_looks(self.looks(), lambda look: look.walked >= 10**6))

    def test_the_row_has_both(self):
        result = hold.Result("tcpwhy", 200_000, hold.Schedule.from_looks(self.looks(), lambda look: look.walked >= 100_000))
        result.pairs = [(0.5, 0.05)]
        result.usage = hold.Usage()
        row = dict(zip(output.HOLD_COLUMNS, output.hold_row(result.as_json()), strict=True))
        self.assertEqual((row["visited"], row["a walk, ms"], row["walks each"]), ("200,013", "50.0", "5.0 s"))
        self.assertEqual((row["swept"], row["a sweep, ms"], row["sweeps each"]), ("53", "0.50", "0.5 s"))

    def test_every_column_is_in_the_help(self):
        text = (pathlib.Path(__file__).resolve().parents[2] / "scripts/bench").read_text(encoding="utf-8")
        text = text[text.index("columns of hold:"):text.index("columns of onset:")]
        for column in output.HOLD_COLUMNS:
            if column not in ("load", "sockets", "a walk, ms", "ss -tinm, ms"):
                self.assertIn(column, text)


class AnnouncedInterval(unittest.TestCase):
    def test_the_last_one_said_counts(self):
        said = b"attached\nsweeping each 900 ms, so\na sweep takes 12 ms: sweeps now every 1.2 s\n"
        self.assertAlmostEqual(hold.announced_interval_s(said), 1.2)

    def test_minutes(self):
        self.assertEqual(hold.announced_interval_s(b"a sweep takes 1 s of CPU: sweeping each 2 min"), 120)

    def test_none_was_said(self):
        self.assertIsNone(hold.announced_interval_s(b"attached: every hook is live, each of 3 s"))


class Findings(unittest.TestCase):
    def test_a_service_is_its_listening_side(self):
        ends = {"local": {"port": 1}, "remote": {"port": 2}}
        self.assertEqual(onset._service_port({"service": {"port": 9}, "connection": ends}), 9)
        self.assertEqual(onset._service_port({"connection": {**ends, "role": "server"}}), 1)
        self.assertEqual(onset._service_port({"connection": {**ends, "role": "client"}}), 2)
        self.assertIsNone(onset._service_port({}))

    def test_a_line_is_read_once_and_only_when_it_is_whole(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "lines")
            with open(path, "wb", buffering=0) as written, onset.Lines(path) as lines:
                written.write(b'{"a":1}\n{"a"')
                self.assertEqual([line for _, line in lines.new()], [{"a": 1}])
                written.write(b":2}\n")
                self.assertEqual([line for _, line in lines.new()], [{"a": 2}])
                self.assertEqual(lines.new(), [])


def told(finding, seconds, port=9, **more):
    return {"finding": finding, "time": f"1970-01-01T00:00:{seconds:09.6f}Z", "service": {"port": port}, "id": "f-1",
            "count_total": 1, **more}


class Storms(unittest.TestCase):
    ONSET = {"incident": "reader", "pid": 7, "port": 9, "onset_ns": 10 * 10**9}

    def judged(self, *lines):
        return storm.judge("reader", self.ONSET, lines)

    def test_the_true_cause_counts_and_its_delay_is_after_the_threshold(self):
        guessed = told("stall-unread", 12.1, cause="unknown", culprit={"kind": "unknown"})
        right = told("stall-unread", 12.5, cause="process-stopped", culprit={"kind": "local-process", "pid": 7})
        row = self.judged(guessed, right)
        self.assertAlmostEqual(row["found_s"], 0.5)
        self.assertNotIn("problem", row)

    def test_silence_another_service_and_another_culprit_are_problems(self):
        self.assertEqual(self.judged()["problem"], "no stall-unread of it")
        self.assertEqual(self.judged(told("stall-unread", 12, port=8))["problem"], "no stall-unread of it")
        other = told("stall-unread", 12, cause="process-stopped", culprit={"kind": "local-process", "pid": 8})
        self.assertIn("instead of process-stopped by 7", self.judged(other)["problem"])

    def test_what_went_wrong_is_a_failure_and_is_shown(self):
        result = storm.Result("resets", 10, 60, ended_s={"--for": 0.25})
        result.incidents = {"reader": self.judged(), "listener": {"found_s": 1.5, "cause": "listener-gone"}}
        result.recorder = {"code": -9, "problem": "ended with -9: it said nothing"}
        self.assertEqual(result.problem, "the reader's incident: no stall-unread of it; flight recorder: ended with -9: it said nothing")
        row = dict(zip(output.STORM_COLUMNS, output.storm_row(result.as_json())))
        self.assertEqual((row["reader found, s"], row["listener found, s"]), ("no (silent)", "1.50"))
        self.assertEqual((row["ends, s: --for"], row["SIGINT"], row["flight recorder"]), ("0.25", "", "failed (-9)"))
        self.assertIn("storm resets", output.as_markdown({"command": "", "machine": {"kernel": "", "cpus": 2, "cpu": ""}, "pairs": 1,
                                                          "results": [result.as_json()]}))

    def test_the_unit_is_read(self):
        words, most_bytes = storm.unit_of()
        self.assertIn("--flight-recorder", words)
        self.assertGreater(most_bytes, 64 << 20)


class Crowds(unittest.TestCase):
    def judged(self, *lines):
        result = stuck.Result("tcpwhy", 2, 3)
        stuck.judge(result, lines, {"port": 9, "onset_ns": 10 * 10**9})
        return result

    def test_all_are_found_when_the_findings_have_them_all(self):
        result = self.judged(told("stall-unread", 12.25), told("stall-unread", 12.5, id="f-2", count_total=2),
                             told("stall-unread", 13, port=8, count_total=100), told("reset", 13))
        self.assertEqual((result.first_s, result.all_s, result.findings, result.json_lines), (0.25, 0.5, 2, 4))
        self.assertIsNone(result.problem)

    def test_those_that_never_came_are_a_failure(self):
        self.assertEqual(self.judged(told("stall-unread", 12, count_total=2)).problem, "2 of 3 connections are in a stall-unread")


class Replays(unittest.TestCase):
    def test_rates_are_of_cpu_time_and_what_is_not_known_is_left_empty(self):
        ours = replay.Result("replay", "tcpwhy report", 3 << 20, events=500_000, connections=1000, lost=0)
        theirs = replay.Result("replay", "tshark -z expert", 1 << 20, connections=1000)
        for cpu_s in (0.1, 0.3, 0.2):
            ours.add((cpu_s, 0.5, 2048))
            theirs.add((10 * cpu_s, 5, 4096))
            theirs.against.append(10)
        rows = [dict(zip(output.REPLAY_COLUMNS, output.replay_row(result.as_json()))) for result in (ours, theirs)]
        self.assertEqual(rows[0]["events/s of CPU"], "2,500,000")
        self.assertEqual(rows[0]["B/event"], "6.3")
        self.assertEqual(rows[0]["connections/s of CPU"], "5,000")
        self.assertEqual(rows[0]["tshark / tcpwhy"], "")
        self.assertEqual(rows[1]["tshark / tcpwhy"], "10.0 (10.0 to 10.0)")
        self.assertEqual(rows[1]["events/s of CPU"] + rows[1]["B/event"] + rows[1]["lost"], "")


class IntoAFile(unittest.TestCase):
    def replaced(self, text):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "README.md")
            path.write_text(text)
            return output.replace_between_markers(path, "new \\1"), path.read_text()

    def test_only_what_is_between_the_marks_changes(self):
        marked = f"before\n{output.BEGIN}\nold\n{output.END}\nafter\n"
        self.assertEqual(self.replaced(marked), (True, f"before\n{output.BEGIN}\nnew \\1\n{output.END}\nafter\n"))

    def test_a_file_without_marks_is_left_alone(self):
        self.assertEqual(self.replaced("no marks\n"), (False, "no marks\n"))


if __name__ == "__main__":
    unittest.main()
