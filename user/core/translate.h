// SPDX-License-Identifier: GPL-2.0-only
// One host's events as events of several: what is unique on that host alone gets its number, times are brought to the first
// host's clock, and the kernel's numbers for reasons to the names that all hosts share.
#pragma once

#include <map>
#include <string>

#include "user/abi/event.h"
#include "user/core/filter.h"
#include "user/core/kernel_names.h"

namespace tcpwhy::core {

class Translator {
 public:
  // shift: from this host's boot time to the first host's. `joined` gets the names that it lacks.
  Translator(std::uint32_t host, std::string name, util::Duration shift, const KernelNames& own, KernelNames& joined);

  void translate(abi::Event& event) const;
  [[nodiscard]] std::uint32_t host() const { return host_; }
  [[nodiscard]] util::Duration shift() const { return shift_; }

 private:
  friend struct Translation;
  using Numbers = std::map<std::uint32_t, std::uint32_t>;

  std::uint32_t host_;
  std::string name_;
  util::Duration shift_;
  Numbers drop_reasons_;
  Numbers reset_reasons_;
};

// A run's own filter, as its host's events look after the translation.
Filter of_host(const Filter& filter, std::uint32_t host);
// One that nobody gave for one host alone: by pid and namespace it lets through what has that number on any of them.
Filter of_any_host(const Filter& filter, std::uint32_t hosts);

}  // namespace tcpwhy::core
