// SPDX-License-Identifier: GPL-2.0-only
#include "user/util/address.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

namespace tcpwhy::util {
namespace {

constexpr unsigned kV4PrefixBits = 96;  // of ::ffff:0:0/96
constexpr std::array<std::uint8_t, 12> kV4Prefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool is_zero(const std::uint8_t* from, const std::uint8_t* to) {
  return std::all_of(from, to, [](std::uint8_t byte) { return byte == 0; });
}

std::optional<unsigned> parse_bits(const std::string& text, unsigned limit) {
  unsigned bits = 0;
  const char* end = text.data() + text.size();
  const auto [stopped, failure] = std::from_chars(text.data(), end, bits);
  if (failure != std::errc{} || stopped != end || bits > limit) {
    return std::nullopt;
  }
  return bits;
}

}  // namespace

bool Address::is_v4() const { return std::equal(kV4Prefix.begin(), kV4Prefix.end(), bytes.begin()); }

bool Address::is_unspecified() const {
  const auto* first = is_v4() ? bytes.data() + kV4Prefix.size() : bytes.data();
  return is_zero(first, bytes.data() + bytes.size());
}

bool Address::is_loopback() const {
  if (is_v4()) {
    return bytes[12] == 127;
  }
  return is_zero(bytes.data(), bytes.data() + 15) && bytes[15] == 1;
}

Address Cidr::mask() const {
  Address mask;
  for (unsigned i = 0; i < mask.bytes.size(); ++i) {
    const unsigned ones = std::clamp(bits, i * 8, i * 8 + 8) - i * 8;
    mask.bytes[i] = static_cast<std::uint8_t>(0xff00U >> ones);
  }
  return mask;
}

bool Cidr::contains(const Address& a) const {
  const Address m = mask();
  for (std::size_t i = 0; i < m.bytes.size(); ++i) {
    if (((a.bytes[i] ^ addr.bytes[i]) & m.bytes[i]) != 0) {
      return false;
    }
  }
  return true;
}

Result<std::uint16_t> parse_port(const std::string& text) {
  std::uint16_t port = 0;
  const char* end = text.data() + text.size();
  const auto [stopped, failure] = std::from_chars(text.data(), end, port);
  if (failure != std::errc{} || stopped != end || port == 0) {
    return Error{fmt::format("'{}' is not a port", text), 0, "write a number from 1 to 65535, as in 443"};
  }
  return port;
}

Result<Address> parse_address(const std::string& text) {
  Address address;
  if (inet_pton(AF_INET6, text.c_str(), address.bytes.data()) == 1) {
    return address;
  }
  std::copy(kV4Prefix.begin(), kV4Prefix.end(), address.bytes.begin());
  if (inet_pton(AF_INET, text.c_str(), address.bytes.data() + kV4Prefix.size()) == 1) {
    return address;
  }
  return Error{fmt::format("'{}' is not an address", text), 0,
               "write an IPv4 or IPv6 address such as 10.0.0.5 or 2001:db8::5; names are not looked up"};
}

Result<Cidr> parse_cidr(const std::string& text) {
  const std::size_t slash = text.find('/');
  const std::string head = text.substr(0, slash);
  const bool dotted = head.find(':') == std::string::npos;  // its prefix counts 32 bits, that of ::ffff:10.0.0.0 128
  Result<Address> address = parse_address(head);
  if (!address) {
    return std::move(address.error());
  }
  if (slash == std::string::npos) {
    return Cidr{*address, 128};
  }
  const unsigned longest = dotted ? 32 : 128;
  const std::optional<unsigned> bits = parse_bits(text.substr(slash + 1), longest);
  if (!bits) {
    return Error{fmt::format("'{}' is not a prefix", text), 0,
                 fmt::format("after the slash goes a length from 0 to {}, as in {}", longest,
                             dotted ? "10.0.0.0/8" : "2001:db8::/32")};
  }
  return Cidr{*address, dotted ? kV4PrefixBits + *bits : *bits};
}

Result<Endpoint> parse_endpoint(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  std::string head = text.substr(0, colon == std::string::npos ? text.size() : colon);
  const bool bracketed = head.size() > 2 && head.front() == '[' && head.back() == ']';
  if (bracketed) head = head.substr(1, head.size() - 2);
  const bool is_v6 = head.find(':') != std::string::npos;
  if (colon == std::string::npos || bracketed != is_v6)
    return Error{fmt::format("'{}' is no address with a port", text), 0, "write 127.0.0.1:80 or [::1]:80"};
  auto address = parse_address(head);
  if (!address) return std::move(address.error());
  const auto port = parse_port(text.substr(colon + 1));
  if (!port) return port.error();
  return Endpoint{*address, *port};
}

std::string to_string(const Address& a) {
  char text[INET6_ADDRSTRLEN] = "";
  if (a.is_v4()) {
    inet_ntop(AF_INET, a.bytes.data() + kV4Prefix.size(), text, sizeof text);
  } else {
    inet_ntop(AF_INET6, a.bytes.data(), text, sizeof text);
  }
  return text;
}

std::string to_string(const Cidr& prefix) {
  if (prefix.addr.is_v4() && prefix.bits >= kV4PrefixBits)
    return fmt::format("{}/{}", to_string(prefix.addr), prefix.bits - kV4PrefixBits);
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(AF_INET6, prefix.addr.bytes.data(), text, sizeof text);
  return fmt::format("{}/{}", text, prefix.bits);
}

std::string to_string(const Endpoint& e) {
  return e.addr.is_v4() ? fmt::format("{}:{}", to_string(e.addr), e.port)
                        : fmt::format("[{}]:{}", to_string(e.addr), e.port);
}

}  // namespace tcpwhy::util
