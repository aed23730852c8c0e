// SPDX-License-Identifier: GPL-2.0-only
// Addresses and endpoints. Every address is 16 bytes; IPv4 is held v4-mapped (RFC 4291 2.5.5.2), so that there is one
// code path and a v4-mapped address equals its IPv4.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>

#include "user/util/result.h"

namespace tcpwhy::util {

struct Address {
  std::array<std::uint8_t, 16> bytes{};

  [[nodiscard]] bool is_v4() const;
  [[nodiscard]] bool is_unspecified() const;  // :: or 0.0.0.0
  [[nodiscard]] bool is_loopback() const;     // 127.0.0.0/8 or ::1
  auto operator<=>(const Address&) const = default;
};

struct Endpoint {
  Address addr;
  std::uint16_t port = 0;  // host byte order
  auto operator<=>(const Endpoint&) const = default;
};

// A prefix; an address alone is a /32 or a /128.
struct Cidr {
  Address addr;
  unsigned bits = 128;  // of the 16 bytes: an IPv4 /24 is 120
  [[nodiscard]] bool contains(const Address& a) const;
  [[nodiscard]] Address mask() const;
};

// From 1 to 65535.
Result<std::uint16_t> parse_port(const std::string& text);
Result<Address> parse_address(const std::string& text);
Result<Cidr> parse_cidr(const std::string& text);
// 127.0.0.1:80, [::1]:80
Result<Endpoint> parse_endpoint(const std::string& text);
std::string to_string(const Address& a);    // 127.0.0.1, ::1
std::string to_string(const Cidr& prefix);  // as parse_cidr() reads it
std::string to_string(const Endpoint& e);   // 127.0.0.1:80, [::1]:80

}  // namespace tcpwhy::util
