// SPDX-License-Identifier: GPL-2.0-only
// The findings of this build, in the order of the contract: one line each.
#include <algorithm>

#include "user/detect/catalogue.h"
#include "user/detect/definition.h"
#include "user/detect/detectors.h"

namespace tcpwhy::detect {
namespace {

constexpr const Definition* kDefinitions[] = {
    &kSynackRetransmitUnexpected,
    &kSynackRetransmit,
    &kConnectStalled,
    &kConnectTimeout,
    &kConnectRefused,
    &kAcceptQueueOverflow,
    &kStallUnacked,
    &kStallZeroWindow,
    &kStallUnread,
    &kStallAwaitingReply,
    &kStallClosing,
    &kCloseWaitLeak,
    &kHalfOpenRisk,
    &kMemoryPressure,
    &kReset,
    &kClosedMidRequest,
    &kTimedOut,
};

}  // namespace

std::span<const core::FindingSpec> catalogue() {
  static const std::vector<core::FindingSpec> specs = [] {
    std::vector<core::FindingSpec> all;
    for (const Definition* definition : kDefinitions) all.push_back(definition->spec);
    return all;
  }();
  return specs;
}

const core::FindingSpec* find_in_catalogue(std::string_view slug) {
  const auto specs = catalogue();
  const auto found = std::find_if(specs.begin(), specs.end(), [slug](const auto& spec) { return spec.slug == slug; });
  return found == specs.end() ? nullptr : &*found;
}

std::vector<std::unique_ptr<core::Detector>> make_all(const Thresholds& thresholds) {
  std::vector<std::unique_ptr<core::Detector>> result;
  for (const Definition* definition : kDefinitions)
    if (!thresholds.off_everywhere(definition->spec.slug)) result.push_back(definition->make(thresholds));
  return result;
}

}  // namespace tcpwhy::detect
