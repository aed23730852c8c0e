// SPDX-License-Identifier: GPL-2.0-only
// One maker for each detector; registry.cpp lists them.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "user/core/book.h"

namespace tcpwhy::detect {

// The thresholds in force: what the command line said over what the catalogue says.
class Thresholds {
 public:
  using Given = std::map<std::string, std::optional<util::Duration>, std::less<>>;
  explicit Thresholds(Given given) : given_(std::move(given)) {}
  [[nodiscard]] bool off(std::string_view slug) const;
  [[nodiscard]] util::Duration of(std::string_view slug, util::Duration otherwise) const;
  [[nodiscard]] util::Duration of(std::string_view slug, std::uint16_t service_port, util::Duration otherwise) const;

 private:
  Given given_;
};

std::unique_ptr<core::Detector> make_accept_queue_overflow(const Thresholds&);
std::unique_ptr<core::Detector> make_synack_retransmit_unexpected(const Thresholds&);
std::unique_ptr<core::Detector> make_synack_retransmit(const Thresholds&);
std::unique_ptr<core::Detector> make_connect_stalled(const Thresholds&);
std::unique_ptr<core::Detector> make_connect_timeout(const Thresholds&);
std::unique_ptr<core::Detector> make_connect_refused(const Thresholds&);
std::unique_ptr<core::Detector> make_stall_unacked(const Thresholds&);
std::unique_ptr<core::Detector> make_stall_zero_window(const Thresholds&);
std::unique_ptr<core::Detector> make_stall_unread(const Thresholds&);
std::unique_ptr<core::Detector> make_stall_awaiting_reply(const Thresholds&);
std::unique_ptr<core::Detector> make_stall_closing(const Thresholds&);
std::unique_ptr<core::Detector> make_close_wait_leak(const Thresholds&);
std::unique_ptr<core::Detector> make_half_open_risk(const Thresholds&);
std::unique_ptr<core::Detector> make_memory_pressure(const Thresholds&);
std::unique_ptr<core::Detector> make_closed_mid_request(const Thresholds&);
std::unique_ptr<core::Detector> make_reset(const Thresholds&);
std::unique_ptr<core::Detector> make_timed_out(const Thresholds&);

// False for findings of the contract that no detector of this build looks for.
bool is_looked_for(std::string_view slug);
// Every detector that is not switched off.
std::vector<std::unique_ptr<core::Detector>> make_all(const Thresholds& thresholds);

}  // namespace tcpwhy::detect
