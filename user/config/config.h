// SPDX-License-Identifier: GPL-2.0-only
// The configuration file: TOML, thresholds for every port and for single ones (doc/configuration.md).
#pragma once

#include <string>

#include "user/core/thresholds.h"
#include "user/util/result.h"

namespace tcpwhy::config {

struct Config {
  core::Thresholds thresholds;
};

// The Error names every mistake on a line of its own, as "NAME:LINE:COLUMN: what is wrong: what to write".
util::Result<Config> parse(const std::string& text, const std::string& name);
// The file of this path; a pipe may be read, too.
util::Result<Config> read(const std::string& path);

// What is in force, as a file that says the same when it is given back; each value's comment begins with where it comes
// from: default, file, flag. file_name: empty where there was none.
std::string show(const core::Thresholds& file, const core::Thresholds& flags, const std::string& file_name);

}  // namespace tcpwhy::config
