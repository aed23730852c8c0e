// SPDX-License-Identifier: GPL-2.0-only
// What the detectors of silence share: at each sweep they look at the connections that facts hold for silent, raise a case
// where the silence has lasted for the threshold, and close it when a look showed that something moved.
#pragma once

#include <map>
#include <optional>

#include "user/core/detector.h"
#include "user/detect/definition.h"

namespace tcpwhy::detect {

// What a process does, from the observations of it.
enum class ProcessActivity : std::uint8_t {
  unknown,          // not observed (yet), or not to be had
  stopped,          // by a signal or a debugger
  busy,             // it computes, and has read nothing from any socket
  blocked,          // it sleeps, and no thread of it waits for a socket
  waiting,          // it waits for sockets; nothing proves that it read from one
  reads_elsewhere,  // it read from another socket since this one fell silent
};
// Asks for a look at it where there is none that is fresh.
void observe_activity(std::uint32_t pid, const core::Scene& scene);

class SilentDetector : public core::Detector {
 public:
  SilentDetector(const core::FindingSpec& spec, const Thresholds& thresholds)
      : Detector(spec), thresholds_(thresholds) {}

  [[nodiscard]] bool rests_on_looks() const final { return true; }
  void on_event(const abi::Event& event, core::Scene& scene) final;

 protected:
  // Since when this connection has been silent in the detector's sense; absent where it is not.
  [[nodiscard]] virtual std::optional<util::BootTime> silent_since(const core::Connection& connection,
                                                                   const core::Scene& scene) const = 0;
  // The least time that opens a case; the threshold of its service where that says no other.
  [[nodiscard]] virtual util::Duration opens_after(const core::Connection& connection) const {
    return threshold(connection);
  }
  // Between the last look and its end the connection had moved after all.
  [[nodiscard]] virtual bool moved_at_last(const abi::Socket&, util::BootTime, const core::Scene&) const {
    return false;
  }
  // Before the connections of the host that was swept are looked at, once each sweep.
  virtual void begin_sweep(core::Scene&) {}
  // What the process did while that connection was silent, for so long; asks for a look where there is none that is fresh.
  // One that was stopped, busy or blocked a moment ago counts as that still. What was seen after the last look at the
  // connection is no cause before a look confirms that it is silent still.
  [[nodiscard]] ProcessActivity activity_of(std::uint32_t pid, const core::Connection& silent,
                                            util::Duration silent_for, const core::Scene& scene) const;
  [[nodiscard]] util::Duration threshold(const core::Connection& connection) const;
  [[nodiscard]] util::Duration threshold() const { return thresholds_.of(spec()); }

 private:
  void sweep(std::uint32_t host, core::Scene& scene);
  void on_end(const abi::StateChange& change, core::Scene& scene);

  Thresholds thresholds_;
  // By process: why it could not read, and when that was observed last.
  mutable std::map<std::uint32_t, std::pair<ProcessActivity, util::BootTime>> held_up_;
};

// How a connection ended that was silent.
core::Ended how_ended(const core::Connection& connection, const abi::StateChange& change);

// By a signal or a debugger.
bool is_stopped(const abi::ProcessState& state);
// "process-stopped", "process-blocked", "process-busy", "forgotten-fd", "unknown".
std::string_view cause_of(ProcessActivity activity);
// Certain only where the kernel said so; unsure where the process was not observed.
core::Confidence confidence_of(ProcessActivity activity);
// What it was seen to do: process_state and its like, `waits_for_sockets` and `other_read_ms`.
void add_activity(core::Evidence& evidence, std::uint32_t pid, const core::Connection& silent, ProcessActivity activity,
                  util::Duration silent_for, const core::Scene& scene);
// Why it does not read, for one of those causes, and what to do where the cause is unknown.
std::string activity_words(const core::Finding& finding);
std::string unknown_activity_advice(const core::Finding& finding);

// The process at fault for what the other end does not do: of the other end where it is here (its listener's where nobody
// has accepted it), else the remote host.
core::Culprit blame_peer(const core::Connection& connection, const core::Scene& scene);

}  // namespace tcpwhy::detect
