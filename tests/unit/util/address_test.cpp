// SPDX-License-Identifier: GPL-2.0-only
#include "user/util/address.h"

#include <gtest/gtest.h>

namespace tcpwhy::util {
namespace {

Address address(const std::string& text) {
  Result<Address> parsed = parse_address(text);
  EXPECT_TRUE(parsed) << text;
  return parsed ? *parsed : Address{};
}

Cidr cidr(const std::string& text) {
  Result<Cidr> parsed = parse_cidr(text);
  EXPECT_TRUE(parsed) << text;
  return parsed ? *parsed : Cidr{};
}

TEST(Address, AMappedAddressEqualsItsIpv4) {
  EXPECT_EQ(address("::ffff:10.0.0.5"), address("10.0.0.5"));
  EXPECT_EQ(to_string(address("::ffff:10.0.0.5")), "10.0.0.5");
  EXPECT_TRUE(address("::ffff:10.0.0.5").is_v4());
}

TEST(Address, PrintsAsPeopleWriteIt) {
  for (const char* text : {"127.0.0.1", "0.0.0.0", "255.255.255.255", "::", "::1", "2001:db8::5", "fe80::1"}) {
    EXPECT_EQ(to_string(address(text)), text);
  }
}

TEST(Address, KnowsLoopbackAndUnspecified) {
  EXPECT_TRUE(address("127.0.0.1").is_loopback());
  EXPECT_TRUE(address("127.255.0.9").is_loopback());
  EXPECT_TRUE(address("::1").is_loopback());
  EXPECT_FALSE(address("128.0.0.1").is_loopback());
  EXPECT_FALSE(address("::2").is_loopback());
  EXPECT_FALSE(address("100::1").is_loopback());
  EXPECT_TRUE(address("0.0.0.0").is_unspecified());
  EXPECT_TRUE(address("::").is_unspecified());
  EXPECT_FALSE(address("0.0.0.1").is_unspecified());
}

TEST(Address, RefusesNamesAndSaysWhatToWrite) {
  for (const char* text : {"", "web1", "10.0.0", "10.0.0.256", "1:2:3", "[::1]", "10.0.0.1:80", "10.0.0.1 "}) {
    const Result<Address> parsed = parse_address(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_FALSE(parsed.error().hint.empty());
  }
}

TEST(Endpoint, PutsIpv6InBrackets) {
  EXPECT_EQ(to_string(Endpoint{address("127.0.0.1"), 80}), "127.0.0.1:80");
  EXPECT_EQ(to_string(Endpoint{address("::1"), 80}), "[::1]:80");
  EXPECT_EQ(to_string(Endpoint{address("::ffff:1.2.3.4"), 80}), "1.2.3.4:80");
}

struct Row {
  const char* prefix;
  const char* inside;
  const char* outside;
};

TEST(Cidr, Contains) {
  for (const Row& row :
       {Row{"10.0.0.0/8", "10.255.1.2", "11.0.0.0"}, Row{"10.1.2.3/8", "10.9.9.9", "11.1.2.3"},
        Row{"10.0.0.128/25", "10.0.0.129", "10.0.0.127"}, Row{"10.0.0.5", "10.0.0.5", "10.0.0.4"},
        Row{"10.0.0.5/32", "::ffff:10.0.0.5", "10.0.0.7"}, Row{"::ffff:10.0.0.0/104", "10.1.1.1", "11.1.1.1"},
        Row{"2001:db8::/32", "2001:db8:1::1", "2001:db9::1"}, Row{"fe80::/10", "febf::1", "fec0::1"},
        Row{"::1", "::1", "::"}, Row{"0.0.0.0/0", "255.1.2.3", "2001:db8::1"}}) {
    EXPECT_TRUE(cidr(row.prefix).contains(address(row.inside))) << row.prefix;
    EXPECT_FALSE(cidr(row.prefix).contains(address(row.outside))) << row.prefix;
  }
}

TEST(Cidr, NoBitsContainEverything) {
  EXPECT_TRUE(cidr("::/0").contains(address("10.0.0.1")));
  EXPECT_TRUE(cidr("::/0").contains(address("2001:db8::1")));
}

TEST(Cidr, CountsIpv4BitsFromTheMappedPrefix) {
  EXPECT_EQ(cidr("10.0.0.0/24").bits, 120U);
  EXPECT_EQ(cidr("10.0.0.1").bits, 128U);
  EXPECT_EQ(to_string(cidr("2001:db8::/33").mask()), "ffff:ffff:8000::");
}

TEST(Cidr, RefusesABadLength) {
  for (const char* text :
       {"10.0.0.0/33", "10.0.0.0/", "10.0.0.0/x", "10.0.0.0/-1", "10.0.0.0/8/8", "::/129", "/8", "10.0.0.0/8 "}) {
    const Result<Cidr> parsed = parse_cidr(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_FALSE(parsed.error().hint.empty());
  }
}

TEST(Port, IsANumberFromOneUp) {
  EXPECT_EQ(*parse_port("1"), 1);
  EXPECT_EQ(*parse_port("65535"), 65535);
  for (const char* text : {"", "0", "-1", "65536", "http", "80 ", "0x50"}) {
    const Result<std::uint16_t> parsed = parse_port(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().hint, "write a number from 1 to 65535, as in 443");
  }
}

TEST(Endpoint, IsReadAsItIsWritten) {
  for (const char* text : {"127.0.0.1:80", "[::1]:65535", "[2001:db8::1]:1"}) {
    const auto endpoint = parse_endpoint(text);
    ASSERT_TRUE(endpoint) << text;
    EXPECT_EQ(to_string(*endpoint), text);
  }
  for (const char* text :
       {"127.0.0.1", "::1:80", "[127.0.0.1]:80", "127.0.0.1:0", "127.0.0.1:99999", ":80", "[::1]", ""})
    EXPECT_FALSE(parse_endpoint(text)) << text;
}

TEST(Cidr, IsWrittenAsItIsRead) {
  for (const char* text : {"10.0.0.0/8", "127.0.0.1/32", "::1/128", "2001:db8::/32", "::/0"})
    EXPECT_EQ(to_string(*parse_cidr(text)), text);
}

}  // namespace
}  // namespace tcpwhy::util
