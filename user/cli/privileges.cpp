// SPDX-License-Identifier: GPL-2.0-only
#include "user/cli/privileges.h"

#include <fmt/format.h>

#include <cstring>

#include "user/cli/logging.h"
#include "user/host/capabilities.h"

namespace tcpwhy::cli {
namespace {

using host::Capabilities;
using host::Capability;

void warn_of(const util::Status& status) {
  if (!status) log::warn(fmt::format("{}: {}", status.error().what, std::strerror(status.error().code)));
}

}  // namespace

void forbid_new_privileges() { warn_of(host::forbid_new_privileges()); }

void keep_no_rights() { warn_of(host::keep_only(Capabilities{})); }

std::function<void()> rights_of_writer(const RecordingOptions& options) {
  const bool makes_files_later = options.flight || options.max_size > 0;
  return [makes_files_later] {
    warn_of(host::keep_only(makes_files_later ? Capabilities{Capability::dac_override} : Capabilities{}));
  };
}

void give_up_privileges(const source::LiveSource& source) {
  Capabilities kept{Capability::sys_ptrace, Capability::dac_read_search};
  if (source.needs_bpf_capability()) {
    kept.add(Capabilities::effective().has(Capability::bpf) ? Capability::bpf : Capability::sys_admin);
  }
  warn_of(host::keep_only(kept));
}

}  // namespace tcpwhy::cli
