// SPDX-License-Identifier: GPL-2.0-only
// A diagnosis for people and for scripts.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "user/doctor/diagnosis.h"
#include "user/doctor/self_test.h"

namespace tcpwhy::doctor {

// Absent: was not asked for.
using SelfTestResult = std::optional<util::Result<SelfTest>>;

// An aligned table, a line a need.
std::string as_text(const Diagnosis& diagnosis, const SelfTestResult& self_test, std::size_t columns);
// One object, tests/live/contract/doctor.schema.json.
std::string as_json(const Diagnosis& diagnosis, const SelfTestResult& self_test);

}  // namespace tcpwhy::doctor
