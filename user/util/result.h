// SPDX-License-Identifier: GPL-2.0-only
// Result<T>: a value or an Error, shaped like std::expected (which GCC 12 lacks).
#pragma once

#include <cassert>
#include <string>
#include <utility>
#include <variant>

namespace tcpwhy::util {

// What failed, the system's reason (an errno, 0 where there is none), and what the reader can do.
struct Error {
  std::string what = {};
  int code = 0;
  std::string hint = {};

  // "outer: inner": context is added from the inside out.
  [[nodiscard]] Error within(const std::string& context) && {
    what = context + ": " + what;
    return std::move(*this);
  }
};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT(google-explicit-constructor)
  Result(Error error)
      : state_(std::in_place_index<1>, std::move(error)) {
  }  // NOLINT(google-explicit-constructor,performance-unnecessary-value-param)

  [[nodiscard]] bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  T& value() { return assert(has_value()), *std::get_if<0>(&state_); }
  const T& value() const { return assert(has_value()), *std::get_if<0>(&state_); }
  T& operator*() { return value(); }
  const T& operator*() const { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  Error& error() { return assert(!has_value()), *std::get_if<1>(&state_); }
  const Error& error() const { return assert(!has_value()), *std::get_if<1>(&state_); }

 private:
  std::variant<T, Error> state_;
};

struct Done {};
using Status = Result<Done>;

}  // namespace tcpwhy::util
