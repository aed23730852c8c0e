// SPDX-License-Identifier: GPL-2.0-only
#include "user/recording/keyframe.h"

#include "user/abi/header.h"
#include "user/recording/reader.h"

namespace tcpwhy::recording {

void Keyframe::note(View records) {
  for_each_record(records, [this](View record) {
    const auto listener = abi::listener_changed(record);
    if (!listener) return;
    const auto known = listeners_.find(listener->id);
    // One that came and went: as if it had never been.
    if (known != listeners_.end() && listener->ended && began_here_.erase(listener->id) > 0) {
      listeners_.erase(known);
      return;
    }
    if (listeners_.size() >= kMostListeners && known == listeners_.end()) return;
    listeners_[listener->id] = Bytes{record.begin(), record.end()};
    if (!listener->ended) began_here_.insert(listener->id);
  });
}

std::vector<Packed> Keyframe::chunks(int level) const {
  std::vector<Packed> all = seeds_;
  Batch later;
  for (const auto& [id, record] : listeners_) {
    later.records.insert(later.records.end(), record.begin(), record.end());
    later.count += 1;
  }
  if (later.count == 0) return all;
  if (auto packed = pack(later, level)) all.push_back(std::move(*packed));
  return all;
}

}  // namespace tcpwhy::recording
