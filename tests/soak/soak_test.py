# SPDX-License-Identifier: GPL-2.0-only
"""What scripts/soak concludes, without making anything."""
import datetime
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "live")]

from soak import judge, plan  # noqa: E402

OURS = {7, 8}
TRUTH = judge.Truth(kind="stopped-reader", netns=7, finding="stall-unread", cause="process-stopped", culprit_kind="local-process",
                    culprit_pid=42, service={"addr": "127.0.0.1", "port": 1100}, began=100.0, due=112.0, over=120.0,
                    closes_within_s=1.5, allowed=(("stall-zero-window", "peer-not-reading"),))


def at(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat(timespec="microseconds")


def finding(opened, closed=None, slug="stall-unread", cause="process-stopped", pid=42, netns=7, severity="warning", number="f-1",
            phase="open", since=None):
    def line(seconds, phase):
        return {"id": number, "finding": slug, "cause": cause, "severity": severity, "phase": phase, "count_total": 1,
                "duration_ms": 0, "since": at(since or opened), "time": at(seconds), "culprit": {"kind": "local-process", "pid": pid},
                "connection": {"netns": netns, "local": {"addr": "127.0.0.1", "port": 1}, "remote": {"addr": "127.0.0.1", "port": 2}},
                "summary": "", "evidence": {}, "role": "root", "story": number, "confidence": "certain"}
    return [line(opened, phase), *([line(closed, "closed")] if closed else [])]


def counts(*findings, made=(TRUTH,)):
    verdict = judge.judge(list(made), [line for lines in findings for line in lines], OURS)
    return {slug: (count.right, count.false, count.late, count.missed) for slug, count in verdict.counts.items()}, verdict


class Judging(unittest.TestCase):
    def test_right(self):
        found, verdict = counts(finding(112.5, 121, since=110))
        self.assertEqual(found, {"stall-unread": (1, 0, 0, 0)})
        self.assertTrue(verdict.good)

    def test_late_is_told_and_no_failure(self):
        found, verdict = counts(finding(115.5, 121, since=110))
        self.assertEqual(found, {"stall-unread": (0, 0, 1, 0)})
        self.assertTrue(verdict.good)

    def test_missed(self):
        found, verdict = counts()
        self.assertEqual(found, {"stall-unread": (0, 0, 0, 1)})
        self.assertFalse(verdict.good)

    def test_what_outlives_its_condition_is_false(self):
        self.assertEqual(counts(finding(112, 123, since=110))[0], {"stall-unread": (0, 1, 0, 1)})
        self.assertEqual(counts(finding(112, since=110))[0], {"stall-unread": (0, 1, 0, 1)})

    def test_an_innocent_culprit_and_another_cause_are_false(self):
        self.assertEqual(counts(finding(112, 121, pid=43))[0], {"stall-unread": (0, 1, 0, 1)})
        self.assertEqual(counts(finding(112, 121, cause="forgotten-fd"))[0], {"stall-unread": (0, 1, 0, 1)})

    def test_a_symptom_is_neither_but_not_with_another_culprit_nor_for_ever(self):
        right = finding(112, 121, since=110)
        symptom = {"slug": "stall-zero-window", "cause": "peer-not-reading", "number": "f-2"}
        self.assertEqual(counts(right, finding(113, 121, **symptom))[0], {"stall-unread": (1, 0, 0, 0)})
        self.assertEqual(counts(right, finding(113, 121, pid=9, **symptom))[0]["stall-zero-window"], (0, 1, 0, 0))
        self.assertEqual(counts(right, finding(113, 130, **symptom))[0]["stall-zero-window"], (0, 1, 0, 0))

    def test_healthy_namespaces_are_to_stay_quiet_and_those_of_others_are_not_judged(self):
        right = finding(112, 121, since=110)
        self.assertEqual(counts(right, finding(112, 113, netns=8, number="f-2"))[0], {"stall-unread": (1, 1, 0, 0)})
        self.assertEqual(counts(right, finding(112, 113, netns=9, number="f-2"))[0], {"stall-unread": (1, 0, 0, 0)})
        self.assertEqual(counts(right, finding(112, 113, netns=8, number="f-2", severity="info"))[0], {"stall-unread": (1, 0, 0, 0)})

    def test_a_namespace_that_is_used_again_is_told_by_the_time(self):
        late = finding(140, 141, number="f-2", since=139)
        self.assertEqual(counts(finding(112, 121, since=110), late)[0], {"stall-unread": (1, 1, 0, 0)})

    def test_an_event_needs_no_end(self):
        gone = judge.Truth(**{**vars(TRUTH), "finding": "connect-refused", "cause": "listener-gone"})
        told = finding(112, slug="connect-refused", cause="listener-gone", phase="event")
        self.assertEqual(counts(told, made=[gone])[0], {"connect-refused": (1, 0, 0, 0)})


class Memory(unittest.TestCase):
    def test_the_slope_is_of_the_second_half(self):
        samples = [(at_s, 1000 * at_s) for at_s in range(60)] + [(60 + at_s, 60_000 + at_s) for at_s in range(60)]
        self.assertAlmostEqual(judge.slope(samples), 60)

    def test_two_samples_are_no_slope(self):
        self.assertIsNone(judge.slope([(0, 1), (1, 2), (2, 3)]))


class Plans(unittest.TestCase):
    def test_a_seed_is_a_plan(self):
        self.assertEqual(plan.make(600, 5), plan.make(600, 5))
        self.assertNotEqual(plan.make(600, 5).stalls, plan.make(600, 6).stalls)

    def test_a_minute_has_each_kind_and_ends_in_time(self):
        for seed in range(50):
            made = plan.make(60, seed)
            self.assertEqual({stall.kind for stall in made.stalls}, set(plan.KINDS), seed)
            self.assertTrue(all(stall.start_s + stall.hold_s + plan.RECOVERY_S <= 60 for stall in made.stalls))
            self.assertTrue(made.loads and made.bursts)

    def test_stalls_of_a_lane_do_not_overlap(self):
        for lane in range(plan.LANES):
            stalls = [stall for stall in plan.make(3600, 1).stalls if stall.lane == lane]
            self.assertTrue(all(one.start_s + one.hold_s + plan.RECOVERY_S < other.start_s for one, other in zip(stalls, stalls[1:])))


if __name__ == "__main__":
    unittest.main()
