// SPDX-License-Identifier: GPL-2.0-only
#include "user/metrics/listener_series.h"

#include <gtest/gtest.h>

#include "tests/unit/metrics/sample.h"

namespace tcpwhy::metrics {
namespace {

struct Listeners {
  std::vector<core::Listener> all;
  operator std::vector<const core::Listener*>() const {  // NOLINT: as a look wants them
    std::vector<const core::Listener*> pointers;
    for (const core::Listener& l : all) pointers.push_back(&l);
    return pointers;
  }
};

Listeners of(std::vector<core::Listener> all) { return {std::move(all)}; }

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

// So many listeners whose queue is full for good, from port 1000 on.
std::vector<core::Listener> hostile(std::uint16_t count, std::uint32_t drops) {
  std::vector<core::Listener> all;
  for (std::uint16_t i = 0; i < count; ++i)
    all.push_back(listener(100U + i, static_cast<std::uint16_t>(1000 + i), 5, 4, drops));
  return all;
}

// The service whose queue moves, looked at as often; by the end it has no series where `depth` is -1.
double depth_of_service(ListenerSeries& series, std::vector<core::Listener> others, std::uint32_t looks,
                        std::uint32_t drops_each = 0) {
  for (std::uint32_t i = 0; i < looks; ++i) {
    std::vector<core::Listener> all = others;
    for (core::Listener& l : all) l.drops += i * drops_each;
    all.push_back(listener(1, 9000, i % 2 == 0 ? 3 : 2, 128));
    series.look(of(std::move(all)));
  }
  return Look{series}.of(Id::accept_queue_depth, "10.0.0.1:9000");
}

TEST(ListenerSeries, FullListenersDoNotPushOutTheOneThatServes) {
  ListenerSeries series;
  EXPECT_GE(depth_of_service(series, {}, 10), 0);
  EXPECT_GE(depth_of_service(series, hostile(101, 0), 30, 1), 0) << "it has a series and keeps it";
  EXPECT_EQ(series_of(Look{series}, Id::accept_queue_depth), 101U) << "100 and other";
}

TEST(ListenerSeries, WhoServesGetsASeriesThoughOthersCameFirst) {
  ListenerSeries series;
  for (std::uint32_t i = 0; i < 30; ++i) series.look(of(hostile(101, i)));
  EXPECT_GE(depth_of_service(series, hostile(101, 30), 3, 1), 0);
  // Nor do quiet ones that were there before hold a place.
  ListenerSeries quiet;
  std::vector<core::Listener> idle;
  for (std::uint16_t i = 0; i < 150; ++i)
    idle.push_back(listener(100U + i, static_cast<std::uint16_t>(1000 + i), 0, 128));
  for (int i = 0; i < 10; ++i) quiet.look(of(idle));
  EXPECT_GE(depth_of_service(quiet, idle, 3), 0);
}

TEST(ListenerSeries, WhoServedLatelyKeepsItsSeriesWhileItRests) {
  ListenerSeries series;
  EXPECT_GE(depth_of_service(series, hostile(101, 0), 10), 0);
  std::vector<core::Listener> resting = hostile(101, 100);
  resting.push_back(listener(1, 9000, 0, 128));
  for (int i = 0; i < 300; ++i) series.look(of(resting));
  EXPECT_EQ(Look{series}.of(Id::accept_queue_depth, "10.0.0.1:9000"), 0);
}

// Two that serve alike must not take turns: a counter would begin anew each time.
TEST(ListenerSeries, AmongEqualsThePlacesDoNotChange) {
  ListenerSeries series{10};
  std::vector<std::string> before;
  for (std::uint32_t i = 0; i < 200; ++i) {
    std::vector<core::Listener> all;
    for (std::uint16_t k = 0; k < 30; ++k)
      all.push_back(listener(1U + k, static_cast<std::uint16_t>(2000 + k), (i * 7 + k * 13U) % 5, 128));
    series.look(of(std::move(all)));
    const Look look{series};
    std::vector<std::string> names;
    for (const Sample& s : look.samples())
      if (s.id == Id::accept_queue_depth) names.push_back(s.labels[0]);
    if (i > 20) {
      EXPECT_EQ(names, before) << i;
    }
    before = names;
  }
}

// A queue that fills up and from which nothing is taken is no service.
TEST(ListenerSeries, AQueueThatOnlyGrowsServesNobody) {
  ListenerSeries series{2};
  std::vector<core::Listener> grows;
  for (std::uint32_t i = 0; i < 20; ++i) {
    grows = {listener(1, 81, i, 128), listener(2, 82, i, 128), listener(3, 83, i % 2, 128)};
    series.look(of(grows));
  }
  EXPECT_GE(Look{series}.of(Id::accept_queue_depth, "10.0.0.1:83"), 0);
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
