// SPDX-License-Identifier: GPL-2.0-only
#include "user/metrics/listener_series.h"

#include <gtest/gtest.h>

#include "tests/unit/metrics/sample.h"

namespace tcpwhy::metrics {
namespace {

using Listeners = std::unordered_map<std::uint64_t, core::Listener>;

Listeners of(std::vector<core::Listener> all) {
  Listeners result;
  for (core::Listener& l : all) result.emplace(static_cast<std::uint64_t>(l.id), std::move(l));
  return result;
}

struct Look : Snapshot {
  explicit Look(const ListenerSeries& series) { series.add_to(*this); }
  double of(Id id, const std::string& listener) const { return value(id, {listener, listener == "other" ? "" : "7"}); }
};

TEST(ListenerSeries, TellsDepthLimitAndHowFull) {
  ListenerSeries series;
  series.look(of({listener(1, 80, 5, 4), listener(2, 81, 0, 0)}));
  const Look look{series};
  EXPECT_EQ(look.of(Id::accept_queue_depth, "10.0.0.1:80"), 5);
  EXPECT_EQ(look.of(Id::accept_queue_limit, "10.0.0.1:80"), 4);
  EXPECT_EQ(look.of(Id::accept_queue_fill, "10.0.0.1:80"), 1);
  EXPECT_EQ(look.of(Id::accept_queue_fill, "10.0.0.1:81"), 0);
  EXPECT_EQ(look.value(Id::listeners), 2);
  EXPECT_EQ(look.value(Id::listeners_in_other), 0);
  EXPECT_EQ(look.of(Id::accept_queue_depth, "other"), -1) << "nothing is cut";
}

TEST(ListenerSeries, SocketsThatShareAnAddressAreOneSeries) {
  ListenerSeries series;
  series.look(of({listener(1, 80, 9, 9), listener(2, 80, 0, 9)}));
  series.look(of({listener(1, 80, 10, 9, 3), listener(2, 80, 0, 9, 1)}));
  const Look look{series};
  EXPECT_EQ(series_of(look, Id::accept_queue_depth), 1U);
  EXPECT_EQ(look.of(Id::accept_queue_sockets, "10.0.0.1:80"), 2);
  EXPECT_EQ(look.of(Id::accept_queue_depth, "10.0.0.1:80"), 10);
  EXPECT_EQ(look.of(Id::accept_queue_limit, "10.0.0.1:80"), 18);
  EXPECT_EQ(look.of(Id::accept_queue_fill, "10.0.0.1:80"), 1) << "of the fullest: the others do not help its clients";
  EXPECT_EQ(look.of(Id::accept_queue_drops, "10.0.0.1:80"), 4);
}

TEST(ListenerSeries, CountsDropsFromWhenItKnowsTheListener) {
  ListenerSeries series;
  series.look(of({listener(1, 80, 0, 9, 1000)}));
  EXPECT_EQ(Look{series}.of(Id::accept_queue_drops, "10.0.0.1:80"), 0);
  series.look(of({listener(1, 80, 0, 9, 1005)}));
  series.look(of({listener(1, 80, 0, 9, 1004)}));
  EXPECT_EQ(Look{series}.of(Id::accept_queue_drops, "10.0.0.1:80"), 5) << "one look out of order takes nothing back";
}

TEST(ListenerSeries, DropsGoOnWhereTheKernelsCounterWraps) {
  ListenerSeries series;
  series.look(of({listener(1, 80, 0, 9, 0xffffffffU)}));
  series.look(of({listener(1, 80, 0, 9, 1)}));
  EXPECT_EQ(Look{series}.of(Id::accept_queue_drops, "10.0.0.1:80"), 2);
}

TEST(ListenerSeries, WhatHasEndedIsGone) {
  ListenerSeries series;
  series.look(of({listener(1, 80, 1, 9)}));
  core::Listener over = listener(1, 80, 1, 9);
  over.ended = second(3);
  series.look(of({over}));
  EXPECT_EQ(series_of(Look{series}, Id::accept_queue_depth), 0U);
}

TEST(ListenerSeries, TheRestIsSummedAndTold) {
  ListenerSeries series{3};
  const auto quiet = [](std::uint32_t drops_of_last) {
    std::vector<core::Listener> all;
    for (std::uint16_t i = 1; i <= 10; ++i) all.push_back(listener(i, i, 1, 9, i == 10 ? drops_of_last : 0));
    return of(std::move(all));
  };
  series.look(quiet(0));
  const Look before{series};
  EXPECT_EQ(series_of(before, Id::accept_queue_depth), 4U);
  EXPECT_EQ(before.of(Id::accept_queue_depth, "other"), 7);
  EXPECT_EQ(before.of(Id::accept_queue_sockets, "other"), 7);
  EXPECT_EQ(before.value(Id::listeners), 10);
  EXPECT_EQ(before.value(Id::listeners_in_other), 7);
  // One that is in trouble is worth a series of its own, and keeps it.
  for (const std::uint32_t drops : {5U, 5U}) series.look(quiet(drops));
  const Look after{series};
  EXPECT_EQ(after.of(Id::accept_queue_drops, "10.0.0.1:10"), 5);
  EXPECT_EQ(series_of(after, Id::accept_queue_depth), 4U);
  EXPECT_EQ(after.value(Id::listeners_in_other), 7);
}

TEST(ListenerSeries, OneInTroubleIsNotPushedOut) {
  ListenerSeries series{1};
  series.look(of({listener(1, 80, 99, 9)}));
  series.look(of({listener(1, 80, 0, 9), listener(2, 81, 99, 9)}));
  const Look look{series};
  EXPECT_EQ(look.of(Id::accept_queue_depth, "10.0.0.1:80"), 0);
  EXPECT_EQ(look.of(Id::accept_queue_depth, "other"), 99);
  EXPECT_GT(look.of(Id::accept_queue_fill, "other"), 1);
}

}  // namespace
}  // namespace tcpwhy::metrics
