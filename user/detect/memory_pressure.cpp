// SPDX-License-Identifier: GPL-2.0-only
// memory-pressure: TCP is short of memory, or of orphans, or receive buffers overran.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "user/core/host.h"
#include "user/detect/definition.h"
#include "user/detect/verdicts.h"

namespace tcpwhy::detect {
namespace {

using namespace std::chrono_literals;
using core::Severity;

constexpr std::string_view kCauses[] = {"tcp-mem", "orphans", "rcvbuf-overrun"};
constexpr core::FindingSpec kSpec{
    .slug = "memory-pressure",
    .family = core::Family::stall,
    .rank = 16,
    .instant = false,
    .causes = kCauses,
    .meaning = "TCP is short of memory: the kernel throttles, prunes or aborts connections.",
};

constexpr std::uint64_t kPage = 4096;
constexpr std::size_t kMostHolders = 5;
// Lost one by one to a buffer that is full for a moment, segments are ordinary; so many in ten seconds are not.
constexpr std::uint32_t kOverruns = 50;

// The three conditions of a host.
enum Condition : std::uint32_t { kMemory, kOrphans, kOverrun };

core::Subject subject_of(std::uint32_t host, Condition condition) {
  return {abi::SocketId::none, core::stand_in(host, condition)};
}

using Holders = std::vector<std::pair<core::Process, std::uint64_t>>;

// Whom bytes in queues that do not move are counted to.
enum class By : std::uint8_t {
  holder,  // the owner of the socket that they are in
  reader,  // the process that does not read them: what waits before a shut window is its, too, where it is here
};

const core::Process* counted_to(By by, const core::Connection& c, const core::Facts& facts) {
  const core::Connection* peer = by == By::reader ? facts.peer_of(c) : nullptr;
  const bool waits_for_peer = peer && !peer->ending && peer->silence.unread && !peer->owners.empty();
  if (waits_for_peer) return &peer->owners.front();
  return c.owners.empty() ? nullptr : &c.owners.front();
}

// The most first.
Holders holders_of(const core::Facts& facts, std::uint32_t host, By by) {
  std::map<std::uint32_t, std::pair<core::Process, std::uint64_t>> by_pid;
  const auto add = [&by_pid](const core::Process* process, std::uint32_t bytes) {
    if (!process || bytes == 0) return;
    auto& entry = by_pid[process->pid];
    entry.first = *process;
    entry.second += bytes;
  };
  for (const std::uint64_t key : facts.silent()) {
    const core::Connection* c = facts.connection(abi::SocketId{key});
    if (!c || c->host != host) continue;
    add(counted_to(By::holder, *c, facts), c->socket.unread());
    add(counted_to(by, *c, facts), c->socket.unacked());
  }
  Holders holders;
  for (const auto& [pid, entry] : by_pid) holders.push_back(entry);
  std::sort(holders.begin(), holders.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  return holders;
}

class MemoryPressure final : public core::Detector {
 public:
  explicit MemoryPressure(const Thresholds&) : Detector(kSpec) {}

  void on_event(const abi::Event& event, core::Scene& scene) override {
    if (const auto* host = std::get_if<abi::Host>(&event.body)) on_host(*host, event.host, scene);
    if (!std::holds_alternative<abi::SweepEnd>(event.body)) return;
    const std::uint32_t lately = scene.facts.overruns_lately(event.host);
    const core::Subject overrun = subject_of(event.host, kOverrun);
    if (lately >= kOverruns)
      scene.book.raise(*this, overrun, scene.now());
    else if (lately == 0)
      scene.book.close(*this, overrun, core::Ended::drained);
  }

  std::optional<core::Verdict> judge(const core::Case& c, const core::Scene& scene) const override {
    const std::uint32_t number = core::host_of_stand_in(c.subject.listener);
    const auto& host = scene.facts.host(number);
    core::Verdict v;
    v.confidence = core::Confidence::certain;
    v.severity = Severity::critical;
    v.culprit = blame(core::CulpritKind::kernel_limit);
    using enum abi::MibCounter;
    add_counters(v.evidence, 0, {memory_pressures, abort_on_memory, rcvq_drop, prune_called, rcv_pruned, rcv_collapsed},
                 scene.facts, number);
    if (c.subject == subject_of(number, kOverrun)) {
      v.cause = "rcvbuf-overrun";
      v.severity = Severity::warning;
      v.evidence.set("dropped_segments", scene.facts.overruns(number));
      if (const core::Connection* receiver = scene.facts.connection_at(scene.facts.last_overrun(number)))
        v.culprit = blame_owner(receiver->owners);
      return v;
    }
    if (!host) return std::nullopt;
    add_holders(v.evidence, holders_of(scene.facts, number, By::holder));
    if (c.subject == subject_of(number, kOrphans)) {
      v.cause = "orphans";
      v.evidence.set("orphans", host->orphans);
      v.evidence.set("orphans_limit", host->orphans_limit);
      return v;
    }
    v.cause = "tcp-mem";
    v.evidence.set("tcp_mem_pages", host->memory);
    v.evidence.set("tcp_mem_limit_pages", host->memory > host->memory_high ? host->memory_high : host->memory_pressure);
    // One for whom most of it waits is the culprit; where it is many, the limit is.
    const Holders readers = holders_of(scene.facts, number, By::reader);
    std::uint64_t known = 0;
    for (const auto& [process, bytes] : readers) known += bytes;
    const bool one = !readers.empty() && readers.front().second * 2 > known && known * 4 > host->memory * kPage;
    if (one) {
      v.culprit = blame(readers.front().first);
      v.confidence = core::Confidence::likely;
    }
    return v;
  }

  void describe(core::Finding& f) const override {
    core::Words& w = f.words;
    const std::string who = f.culprit.process ? core::name_of(*f.culprit.process) : "no single process";
    if (f.cause == "rcvbuf-overrun") {
      w.summary = "segments arrive for which their receiver's buffer has no room, and are dropped.";
      w.cause = fmt::format("{} reads more slowly than it is sent to, in many small segments", who);
      w.effect = "what was dropped is sent again later: the connections are slow";
      w.evidence =
          count_words(static_cast<std::uint64_t>(f.evidence.number("dropped_segments")), "segment", "segments") +
          " dropped";
      w.advice = {"nstat -az TcpExtPruneCalled TcpExtTCPRcvQDrop; net.ipv4.tcp_rmem is the buffer's limit"};
      return;
    }
    const bool orphans = f.cause == "orphans";
    w.summary = orphans ? "more connections are closed and not finished than the kernel keeps: it resets them."
                        : "TCP is short of memory on this host: the kernel throttles its connections.";
    w.cause = orphans             ? "too many orphans: peers do not acknowledge what is left to send"
              : f.culprit.process ? fmt::format("most of what is stuck in queues waits for {}", who)
                                  : std::string{"many hold a part of it: net.ipv4.tcp_mem is too small for the load"};
    w.effect = orphans ? "data that was sent before close() is lost"
                       : "windows shrink, and the kernel aborts what it cannot hold";
    w.evidence =
        orphans ? fmt::format("{} orphans, limit {}", f.evidence.number("orphans"), f.evidence.number("orphans_limit"))
                : fmt::format("{} pages in use, limit {}", f.evidence.number("tcp_mem_pages"),
                              f.evidence.number("tcp_mem_limit_pages"));
    if (f.evidence.has("holders")) w.evidence += "; most held by " + holders_words(f);
    w.advice = {f.culprit.process
                    ? fmt::format("find why {} does not read (or its peers do not)", who)
                    : std::string{"find who holds it: ss -tmp; raise net.ipv4.tcp_mem if the load is right"}};
  }

 private:
  void on_host(const abi::Host& host, std::uint32_t number, core::Scene& scene) {
    const core::Subject memory = subject_of(number, kMemory);
    const core::Subject orphans = subject_of(number, kOrphans);
    // The kernel enters pressure above the second mark and leaves it below the first.
    if (host.memory_pressure > 0 && host.memory > host.memory_pressure)
      scene.book.raise(*this, memory, scene.now());
    else if (host.memory < host.memory_low)
      scene.book.close(*this, memory, core::Ended::drained);
    if (host.orphans_limit > 0 && host.orphans > host.orphans_limit)
      scene.book.raise(*this, orphans, scene.now());
    else
      scene.book.close(*this, orphans, core::Ended::drained);
  }

  static void add_holders(core::Evidence& evidence, const Holders& holders) {
    std::vector<std::pair<std::string, std::int64_t>> list;
    for (const auto& [process, bytes] : holders)
      if (list.size() < kMostHolders) list.emplace_back(core::name_of(process), static_cast<std::int64_t>(bytes));
    if (!list.empty()) evidence.set("holders", core::EvidenceValue{list});
  }

  static std::string holders_words(const core::Finding& f) {
    const auto* value = f.evidence.find("holders");
    const auto* list = value ? std::get_if<std::vector<std::pair<std::string, std::int64_t>>>(value) : nullptr;
    std::string words;
    if (!list) return words;
    for (const auto& [name, bytes] : *list)
      words +=
          (words.empty() ? "" : ", ") + fmt::format("{} ({})", name, bytes_words(static_cast<std::uint64_t>(bytes)));
    return words;
  }
};

}  // namespace

constinit const Definition kMemoryPressure{kSpec, make<MemoryPressure>};

}  // namespace tcpwhy::detect
