// SPDX-License-Identifier: GPL-2.0-only
#include "user/metrics/snapshot.h"

#include <algorithm>

namespace tcpwhy::metrics {

double Snapshot::value(Id id, const std::vector<std::string>& labels) const {
  const auto found =
      std::find_if(samples_.begin(), samples_.end(), [&](const Sample& s) { return s.id == id && s.labels == labels; });
  return found == samples_.end() ? -1 : found->value;
}

}  // namespace tcpwhy::metrics
