// SPDX-License-Identifier: GPL-2.0-only
// Every connection of a run, ordinary ones too, both ends on this host as one: for reports. Facts forget what is over;
// the ledger keeps a few numbers of each.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "user/abi/event.h"
#include "user/core/facts.h"
#include "user/core/finding.h"

namespace tcpwhy::core {

// One end, as far as events told of it.
struct LedgerEnd {
  bool seen = false;
  std::uint32_t host = 0;
  std::uint32_t netns = 0;
  std::uint64_t cgroup_id = 0;
  std::optional<Process> owner;
  abi::TcpState state = abi::TcpState::unknown;  // the last that was seen
  std::optional<std::uint32_t> first_una;        // sequence number of its first byte
  std::uint64_t acked = 0;                       // of its sequence space, by the other end
  bool fin_acked = false;
  [[nodiscard]] std::uint64_t bytes_sent() const { return acked - (fin_acked && acked > 0 ? 1 : 0); }
  std::uint32_t retransmits = 0;
  int err = 0;
};

struct LedgerRow {
  util::Endpoint client;  // where nobody saw the handshake: the end with the higher port
  util::Endpoint server;
  std::uint64_t number = 0;       // of the connection in a finding (<boot id>-<number>), 0 where it is in none
  std::uint32_t number_host = 0;  // whose boot id that is
  util::BootTime first{};
  util::BootTime last{};
  LedgerEnd client_end;
  LedgerEnd server_end;
  std::uint64_t events = 0;
  std::optional<Severity> worst;
  std::string_view slug;  // of the worst finding
  [[nodiscard]] bool over() const;
};

class Ledger {
 public:
  // Beyond `most` connections new ones are only counted.
  explicit Ledger(std::size_t most = 1'000'000) : most_(most) {}

  void on(const abi::Event& event);
  void on(const std::vector<Finding>& findings);

  [[nodiscard]] const std::vector<LedgerRow>& rows() const { return rows_; }
  [[nodiscard]] std::uint64_t left_out() const { return left_out_; }
  // The row of a finding's connection ("4dcd4061-12": its number), or the newest with this endpoint at either end.
  [[nodiscard]] const LedgerRow* find(std::uint64_t number) const;
  [[nodiscard]] const LedgerRow* find(const util::Endpoint& endpoint) const;

 private:
  [[nodiscard]] const std::size_t* known(const abi::Tuple& tuple) const;
  LedgerRow* row_of(const abi::Tuple& tuple, util::BootTime time, bool begins);
  static void note(LedgerEnd& end, const abi::Socket& socket, const abi::Owner& owner, abi::TcpState state,
                   bool begins);
  void mark(const ConnectionView& connection, const Finding& finding);

  std::size_t most_;
  std::uint64_t left_out_ = 0;
  std::vector<LedgerRow> rows_;
  // By namespace where the addresses mean something in it alone.
  std::map<std::uint32_t, std::unordered_map<PairKey, std::size_t, PairHash>> newest_;
  std::unordered_map<std::uint64_t, std::size_t> numbers_;  // row by the number of a connection in a finding
};

// One event as a step in a connection's life, seen from the end that it happened to: sequence numbers are relative to
// that end's ISNs. Absent where the event is not of this connection, or tells nothing.
struct LadderStep {
  // Where a full socket tells it, in bytes; sent, acked and received count from the first of their direction and are absent
  // where nobody saw that one.
  struct Numbers {
    std::optional<std::uint32_t> sent;
    std::optional<std::uint32_t> acked;
    std::optional<std::uint32_t> received;
    std::uint32_t unacked = 0;
    std::uint32_t unread = 0;
    std::uint32_t send_window = 0;
    std::uint32_t receive_window = 0;
  };
  bool at_client = false;
  std::string text = {};
  std::string_view kind = {};   // abi::name_of()
  std::string_view state = {};  // the kernel's name, after a change and in a look; else empty
  std::optional<Numbers> numbers = {};
};
std::optional<LadderStep> ladder_step(const abi::Event& event, const LedgerRow& row, const KernelNames& names);

}  // namespace tcpwhy::core
