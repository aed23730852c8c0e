/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * How long a service usually takes to answer, as one number that ages: a running expectile (asymmetric least squares). A
 * longer wait moves it up by 1/16 of the difference, a shorter one down by 1/256, so that it settles near the longest
 * waits that come in a few of a hundred answers, and above 95% of waits that spread like an exponential's.
 *
 * Detectors compare with 20 times this number, which makes the two constants what they are: the first long poll among quick
 * answers moves it to 1/16 of itself, and 20/16 is more than one; where 2% of the answers are long polls, it stays above
 * that between them. A single answer of 60 s in a long history allows 75 s, and less than 10 s some 500 answers later.
 * The first answers move it further, for each is a larger part of what is known.
 *
 * No BPF helper and no map: user space includes it to test the arithmetic.
 */
#ifndef TCPWHY_USUAL_WAIT_H
#define TCPWHY_USUAL_WAIT_H

#define TW_USUAL_UP 16
#define TW_USUAL_DOWN 256
/* A day: what is longer counts as that, for products of it stay far from the bounds of 64 bits. */
#define TW_USUAL_MOST_US 86400000000ULL

/* usual_us after one more wait; answers: how many were counted before this one. */
static inline __u64 tw_usual_after(__u64 usual_us, __u32 answers, __u64 wait_us) {
  __u64 known = answers;
  __u64 up = known < TW_USUAL_UP - 1 ? known + 1 : TW_USUAL_UP;
  __u64 down = known < TW_USUAL_DOWN / 4 - 4 ? 4 * known + TW_USUAL_UP : TW_USUAL_DOWN;

  if (wait_us > TW_USUAL_MOST_US)
    wait_us = TW_USUAL_MOST_US;
  if (!answers && !usual_us)
    return wait_us;
  if (wait_us > usual_us)
    return usual_us + (wait_us - usual_us + up - 1) / up;
  return usual_us - (usual_us - wait_us) / down;
}

#endif
