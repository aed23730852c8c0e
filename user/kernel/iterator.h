// SPDX-License-Identifier: GPL-2.0-only
// Whether the kernel takes a program for one of its iterators, found out by loading the least one.
#pragma once

#include <string>

namespace tcpwhy::kernel {

// target: "bpf_sk_storage_map". False also where the caller may load nothing.
bool loads_iterator(const std::string& target);

}  // namespace tcpwhy::kernel
