// SPDX-License-Identifier: GPL-2.0-only
// stall-unacked: data is in flight and nothing is acknowledged, through two time-outs and a second at least.
//
// Opened only by a record that proves it (another time-out, or a sweep that found the same byte unacknowledged): that no
// event came proves nothing, for an acknowledgment makes none.
#include <fmt/format.h>

#include <cerrno>

#include "user/core/give_up.h"
#include "user/detect/definition.h"
#include "user/detect/elsewhere.h"
#include "user/detect/unanswered.h"
#include "user/detect/verdicts.h"

namespace tcpwhy::detect {
namespace {

using namespace std::chrono_literals;
using core::Severity;

constexpr std::string_view kCauses[] = {"accept-queue-full", "dropped-locally", "unreachable",
                                        "peer-gone",         "path-lost",       "unknown"};
constexpr core::FindingSpec kSpec{
    .slug = "stall-unacked",
    .family = core::Family::stall,
    .rank = 42,
    .instant = false,
    .threshold = 1s,
    .threshold_means = "nothing acknowledged for this long, and two retransmission time-outs",
    .causes = kCauses,
    .meaning = "Data was sent and nothing of it is acknowledged.",
};

constexpr std::uint32_t kRepairsForBadLuck = 3;
constexpr std::uint32_t kLossesForBadLuck = 8;

class StallUnacked final : public core::Detector {
 public:
  explicit StallUnacked(const Thresholds& thresholds) : Detector(kSpec), thresholds_(thresholds) {}

  void on_event(const abi::Event& event, core::Scene& scene) override {
    if (const auto* again = std::get_if<abi::Retransmit>(&event.body)) {
      if (again->type == abi::RetransmitType::timeout) check(again->socket, scene);
    } else if (const auto* sample = std::get_if<abi::Sample>(&event.body)) {
      if (!sample->socket.listener) check(sample->socket, scene);
    } else if (const auto* change = std::get_if<abi::StateChange>(&event.body)) {
      if (change->to == abi::TcpState::close) on_close(*change, scene);
    }
  }

  std::optional<core::Verdict> judge(const core::Case& c, const core::Scene& scene) const override {
    const core::Connection* sender = scene.facts.connection(c.subject.connection);
    if (!sender || (!sender->episode && !sender->ending)) return std::nullopt;
    const abi::Socket& s = sender->socket;
    if (s.unacked() == 0) return std::nullopt;  // it went on, and is about to be closed
    core::Verdict v = unanswered_data(*sender, c.since, scene);
    const util::Duration stuck = sender->episode_proof - c.since;
    v.severity = sender->episode_timeouts >= 3 && stuck >= 3s ? Severity::critical : Severity::warning;
    const bool never_accepted = v.cause == "accept-queue-full";
    // A connection that has come through several time-outs before has bad luck, until five in a row say otherwise.
    // So has one that lost many segments before, and went on each time, until three.
    const bool lossy = s.total_retrans >= sender->episode_timeouts + kLossesForBadLuck && sender->episode_timeouts < 3;
    const bool unlucky = lossy || (sender->episodes_repaired >= kRepairsForBadLuck && sender->episode_timeouts < 5);
    if (!never_accepted && (unlucky || scene.facts.loss_is_random(core::service_endpoint(*sender))))
      v.severity = Severity::info;
    v.evidence.set("unacked_bytes", s.unacked());
    v.evidence.set("rtos", sender->episode_timeouts);
    v.evidence.set("backoff", s.backoff);
    v.evidence.set("rto_ms", util::to_ms(s.rto));
    if (s.segment_age)
      v.evidence.set("since_last_ack_ms", util::to_ms(*s.segment_age + (scene.now() - sender->socket_time)));
    if (const auto left = core::give_up_in(s))
      v.evidence.set("gives_up_at", core::EvidenceValue{util::rfc3339(sender->socket_time + *left, scene.wall)});
    if (sender->before_trace) v.evidence.set("history", "began before the trace");
    add_elsewhere_of_data(v, *sender, c.since, scene);
    return v;
  }

  void describe(core::Finding& f) const override {
    const std::string who = f.owner ? core::name_of(*f.owner) : "a process here";
    const std::string bytes = bytes_words(static_cast<std::uint64_t>(f.evidence.number("unacked_bytes")));
    core::Words& w = f.words;
    w.summary = f.phase == core::Phase::closed && f.ended == core::Ended::recovered
                    ? fmt::format("{} of {} to {} were not acknowledged for {}.", bytes, who, remote_words(f),
                                  util::human(f.duration))
                    : fmt::format("{} of {} to {} are not acknowledged.", bytes, who, remote_words(f));
    w.effect = fmt::format("{} believes that its data is on the way", who);
    if (f.evidence.has("gives_up_at"))
      w.effect += fmt::format("; the kernel gives up at {}", f.evidence.text("gives_up_at"));
    w.evidence =
        fmt::format("{} without an acknowledgment, back-off {}, next wait {}",
                    count_words(static_cast<std::uint64_t>(f.evidence.number("rtos")), "time-out", "time-outs"),
                    f.evidence.number("backoff"), util::human(std::chrono::milliseconds{f.evidence.number("rto_ms")}));
    if (f.count > 1) w.evidence += fmt::format("; {} connections", f.count);
    explain_elsewhere(f);
    explain_unanswered(f);
    if (f.cause == "accept-queue-full") {
      w.summary = fmt::format("{} of {} to {} are not acknowledged: the server never accepted the connection.", bytes,
                              who, remote_words(f));
      w.effect = fmt::format("{} believes it is connected", who);
    }
  }

  // A crowd that waits for one service: the first are reset or give up as the next ones reach their second time-out.
  bool goes_on(const core::ConnectionView& c, const core::Facts& facts) const override {
    return facts.senders_stalled(c.netns, c.remote.addr) > 0;
  }

 private:
  static bool may_stall(abi::TcpState state) {
    return state == abi::TcpState::established || state == abi::TcpState::close_wait;
  }

  void check(const abi::Socket& s, core::Scene& scene) {
    const core::Connection* c = scene.facts.connection(s.id);
    if (!c) return;
    const core::Subject subject{s.id, abi::SocketId::none};
    if (!c->episode) {
      scene.book.close(*this, subject, core::Ended::recovered);
      return;
    }
    // The byte that was stuck arrived, and another is stuck since: that is another stall.
    if (const core::Case* open = scene.book.find(*this, subject); open && open->since != c->episode_start) {
      scene.book.close(*this, subject, core::Ended::recovered);
      return;
    }
    const util::Duration opens = thresholds_.of(kSpec, core::service_endpoint(*c).port);
    const bool proven = scene.now() - c->episode_start >= opens && c->episode_timeouts >= 2;
    if (proven && may_stall(c->state)) scene.book.raise(*this, subject, c->episode_start);
  }

  void on_close(const abi::StateChange& change, core::Scene& scene) {
    const core::Connection* c = scene.facts.connection(change.socket.id);
    const core::Subject subject{change.socket.id, abi::SocketId::none};
    // The stuck byte arrived after all; what ended the connection came later.
    const bool moved = c && static_cast<std::int32_t>(change.socket.snd_una - c->episode_una) > 0;
    if (c && c->ending && c->ending->err == ETIMEDOUT)
      scene.book.close(*this, subject, core::Ended::timed_out);
    else if (moved)
      scene.book.close(*this, subject, core::Ended::recovered);
    else if (c && (c->reset_received || c->reset_sent))
      scene.book.close(*this, subject, core::Ended::reset);
    else
      scene.book.close(*this, subject, change.owner.exiting ? core::Ended::process_exit : core::Ended::closed);
  }

  Thresholds thresholds_;
};

}  // namespace

constinit const Definition kStallUnacked{kSpec, make<StallUnacked>};

}  // namespace tcpwhy::detect
