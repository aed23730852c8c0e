// SPDX-License-Identifier: GPL-2.0-only
// libFuzzer: whatever the records, the pipeline and every detector take them. scripts/fuzz runs it.
//
// Input: for each record its kind (1 byte), the time since the one before (2 bytes, little-endian, 0.1 ms each), the length
// of what follows (2 bytes), and what follows its header; zeros stand for what is missing. tests/fuzz/seeds.py makes such
// inputs out of recordings.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "bpf/tcpwhy_abi.h"
#include "user/core/event_text.h"
#include "user/core/pipeline.h"
#include "user/detect/detectors.h"

namespace {

using namespace tcpwhy;

constexpr std::size_t kInputHeader = 5;
constexpr std::uint64_t kStepNs = 100'000;

// The longest of a kind, so that none is cut for want of zeros.
constexpr std::size_t kMostBytes = std::max({sizeof(tw_synack_retransmit), sizeof(tw_state), sizeof(tw_reset_sent),
                                             sizeof(tw_sample), sizeof(tw_drop), sizeof(tw_process), sizeof(tw_mib)});

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {}

  // Nothing at the end.
  std::span<const std::byte> next() {
    if (left_ < kInputHeader) return {};
    time_ns_ += (std::uint64_t{data_[1]} | std::uint64_t{data_[2]} << 8) * kStepNs;
    const tw_header header{.time_ns = time_ns_, .kind = data_[0], .size = kMostBytes, .cpu = 0, .reserved = 0};
    const std::size_t said = static_cast<std::size_t>(data_[3]) | static_cast<std::size_t>(data_[4]) << 8;
    skip(kInputHeader);
    const std::size_t length = std::min({said, left_, kMostBytes - sizeof(header)});
    std::memset(record_, 0, sizeof(record_));
    std::memcpy(record_, &header, sizeof(header));
    std::memcpy(record_ + sizeof(header), data_, length);
    skip(length);
    return record_;
  }

 private:
  void skip(std::size_t count) {
    data_ += count;
    left_ -= count;
  }

  const std::uint8_t* data_;
  std::size_t left_;
  std::uint64_t time_ns_ = 1'000'000'000;
  std::byte record_[kMostBytes];
};

core::Settings settings() {
  core::Settings settings;
  settings.max_connections = 64;  // so that there are more
  // Any number is a reason that some detector knows.
  constexpr std::array kDrops{"NETFILTER_DROP", "PROTO_MEM", "TCP_LISTEN_OVERFLOW"};
  constexpr std::array kResets{"TCP_ABORT_ON_CLOSE", "TCP_ABORT_ON_DATA", "TCP_ABORT_ON_MEMORY", "TCP_FLAGS",
                               "NO_SOCKET"};
  for (std::uint32_t i = 0; i < 256; ++i) {
    settings.names.drop_reasons[i] = kDrops[i % kDrops.size()];
    settings.names.reset_reasons[i] = kResets[i % kResets.size()];
  }
  return settings;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const core::Settings run = settings();
  core::Pipeline pipeline{run,
                          detect::make_all(run.thresholds),
                          {.findings = [](const std::vector<core::Finding>&) {},
                           .event = [&run](const abi::Event& event) { (void)core::event_text(event, run.names); }}};
  Input input{data, size};
  for (auto record = input.next(); !record.empty(); record = input.next()) {
    pipeline.feed(record);
    (void)pipeline.take_wants();
  }
  pipeline.finish();
  (void)pipeline.summary();
  return 0;
}
