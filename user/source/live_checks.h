// SPDX-License-Identifier: GPL-2.0-only
// What must hold before anything is loaded: each error says what is missing and what to do about it.
#pragma once

#include <cstddef>
#include <string>

#include "user/kernel/btf.h"
#include "user/kernel/features.h"
#include "user/util/result.h"

namespace tcpwhy::source {

util::Status check_capabilities();
util::Status check_lockdown();
util::Status check_buffer(std::size_t bytes);  // of the ring buffer
// All of these.
util::Status check_host(std::size_t buffer_bytes);
// A file of --btf that is another kernel's would make the programs read the wrong fields.
util::Status check_btf(const kernel::Btf& btf, const std::string& file);
// What no finding can do without.
util::Status check_kernel(const kernel::Survey& survey);

// Before 5.11 maps count against RLIMIT_MEMLOCK. Failing is no error: then loading says so.
void raise_memlock_limit();

}  // namespace tcpwhy::source
