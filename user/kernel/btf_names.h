// SPDX-License-Identifier: GPL-2.0-only
// The running kernel's names for drop and reset reasons; every release renumbers them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "user/kernel/btf.h"

namespace tcpwhy::kernel {

using ReasonNames = std::map<std::uint32_t, std::string>;

// enum skb_drop_reason (since 5.17): NETFILTER_DROP, TCP_LISTEN_OVERFLOW, ... Empty where there is none.
ReasonNames drop_reasons(const Btf& btf);
// enum sk_rst_reason (since 6.10): TCP_ABORT_ON_CLOSE, ... Empty where there is none.
ReasonNames reset_reasons(const Btf& btf);

// The number of a reason, 0 where this kernel has none of that name. (0 is never a reason to drop, except on 5.17,
// where it is NOT_SPECIFIED.)
std::uint32_t reason_number(const ReasonNames& names, std::string_view name);

}  // namespace tcpwhy::kernel
