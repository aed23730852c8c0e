// SPDX-License-Identifier: GPL-2.0-only
#include "user/source/live_config.h"

#include <unistd.h>

#include "user/kernel/btf_names.h"
#include "user/kernel/iterator.h"
#include "user/kernel/jiffies.h"

namespace tcpwhy::source {
namespace {

using std::chrono::milliseconds;

constexpr std::uint32_t kDropsPerSecond = 2000;  // for each CPU

void fill_net(const util::Cidr& cidr, __u8 (&net)[16], __u8 (&mask)[16]) {
  const util::Address bits = cidr.mask();
  for (std::size_t i = 0; i < sizeof(net); ++i) {
    mask[i] = bits.bytes[i];
    net[i] = cidr.addr.bytes[i] & bits.bytes[i];
  }
}

// What the kernel side can decide; several prefixes, or none, are left to user space.
void fill_filter(const core::Filter& filter, tw_config& config) {
  config.filter_ports = filter.ports.empty() ? 0 : 1;
  if (filter.local.size() == 1) {
    config.filter_local = 1;
    fill_net(filter.local.front(), config.local_net, config.local_mask);
  }
  if (filter.remote.size() == 1) {
    config.filter_remote = 1;
    fill_net(filter.remote.front(), config.remote_net, config.remote_mask);
  }
}

}  // namespace

tw_config make_config(const LiveOptions& options, const kernel::Survey& survey, const core::KernelNames& names) {
  tw_config config{};
  config.self_pid = static_cast<__u32>(::getpid());
  config.hz = kernel::jiffies_per_second();
  config.every_transition = options.every_transition ? 1 : 0;
  fill_filter(options.filter, config);
  config.drops_per_second = kDropsPerSecond;
  config.wake_bytes = static_cast<__u32>(options.buffer_bytes / 4);
  config.reset_has_reason = survey.has_argument("tcp_send_reset", 3) ? 1 : 0;
  config.retransmit_has_error = survey.has_argument("tcp_retransmit_skb", 3) ? 1 : 0;
  config.drop_has_socket = survey.has_argument("kfree_skb", 4) ? 1 : 0;
  config.has_cookies = survey.has_cookies() ? 1 : 0;
  // Some kernels refuse this iterator, and no other, whoever asks.
  config.sweeps_storages =
      survey.has_cookies() && survey.has_program("tw_sweep") && kernel::loads_iterator("bpf_sk_storage_map") ? 1 : 0;
  config.reason_netfilter = kernel::reason_number(names.drop_reasons, "NETFILTER_DROP");
  config.reason_listen_overflow = kernel::reason_number(names.drop_reasons, "TCP_LISTEN_OVERFLOW");
  config.reason_no_socket = kernel::reason_number(names.drop_reasons, "NO_SOCKET");
  config.reason_not_specified = kernel::reason_number(names.drop_reasons, "NOT_SPECIFIED");
  config.reason_memory = kernel::reason_number(names.drop_reasons, "PROTO_MEM");
  config.idle_ms = static_cast<__u32>(options.idle_from / milliseconds{1});
  return config;
}

}  // namespace tcpwhy::source
