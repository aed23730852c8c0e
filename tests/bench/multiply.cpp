// SPDX-License-Identifier: GPL-2.0-only
//
// multiply: a long recording out of a short one, to measure `report` with.
//
// The events of the short one follow one another as often as it takes, each time later by its length, as other
// connections: other cookies, other sequence numbers. So they are as hard to pack as the first time.

#include <getopt.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "bpf/tcpwhy_abi.h"
#include "user/recording/reader.h"
#include "user/recording/recorder.h"

namespace {

using namespace tcpwhy;
using recording::Bytes;
using recording::View;

constexpr const char* kHelp =
    R"(usage: multiply --from FILE --to FILE (--events N | --bytes N)

Writes the recording FILE many times over into another, until that has N events or bytes.

Prints {"events":N,"bytes":N,"seconds":S}: what it has, and the time that it spans.
Exit codes: 0 written, 1 not, 2 wrong usage.
)";

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "multiply: %s\n", what.c_str());
  std::exit(1);
}

template <typename T>
T must(util::Result<T> result) {
  if (!result) fail(result.error().what);
  return std::move(*result);
}

// All that the short one holds.
struct Short {
  recording::Meta meta;
  Bytes seed;
  Bytes events;
  std::uint64_t first_ns = 0;
  std::uint64_t length_ns = 0;
  std::uint64_t newest_id = 0;
  std::uint64_t connections = 0;
};

bool is_of_a_socket(const tw_header& header) {
  return header.kind < TW_KERNEL_KINDS && header.kind != TW_KIND_SEED && header.size >= sizeof(tw_header) + 8;
}

Short read(const std::string& path) {
  const auto reader = must(recording::Reader::open(path));
  Short all;
  all.meta = reader->meta();
  while (const auto block = reader->next()) {
    Bytes& to = block->type == recording::ChunkType::seed ? all.seed : all.events;
    to.insert(to.end(), block->records.begin(), block->records.end());
  }
  std::uint64_t last_ns = 0;
  recording::for_each_record(all.events, [&](View record) {
    tw_header header;
    std::memcpy(&header, record.data(), sizeof(header));
    if (all.first_ns == 0) all.first_ns = header.time_ns;
    last_ns = std::max<std::uint64_t>(last_ns, header.time_ns);
    std::uint64_t id = 0;
    if (is_of_a_socket(header)) std::memcpy(&id, record.data() + sizeof(header), sizeof(id));
    all.newest_id = std::max(all.newest_id, id);
  });
  if (last_ns <= all.first_ns) fail(path + " has no events");
  all.length_ns = last_ns - all.first_ns + 1;
  if (reader->end()) all.connections = reader->end()->connections;
  return all;
}

// As good as random, and the same for each record of one connection.
std::uint32_t scattered(std::uint64_t id) {
  id *= 0x9e3779b97f4a7c15ULL;
  return static_cast<std::uint32_t>((id ^ (id >> 29)) >> 16);
}

void shift(Bytes& record, const Short& all, std::uint64_t turn) {
  tw_header header;
  std::memcpy(&header, record.data(), sizeof(header));
  header.time_ns += turn * all.length_ns;
  std::memcpy(record.data(), &header, sizeof(header));
  if (!is_of_a_socket(header)) return;
  std::uint64_t id = 0;
  std::memcpy(&id, record.data() + sizeof(header), sizeof(id));
  if (id == 0) return;
  id += turn * all.newest_id;
  std::memcpy(record.data() + sizeof(header), &id, sizeof(id));
  if (header.kind != TW_KIND_TRANSITION || record.size() < sizeof(tw_transition)) return;
  tw_transition transition;
  std::memcpy(&transition, record.data(), sizeof(transition));
  transition.snd_una += scattered(id);
  transition.snd_nxt += scattered(id);
  transition.rcv_nxt += scattered(~id);
  transition.copied_seq += scattered(~id);
  std::memcpy(record.data(), &transition, sizeof(transition));
}

struct Options {
  std::string from;
  std::string to;
  std::uint64_t events = 0;
  std::uint64_t bytes = 0;
};

Options parse(int argc, char** argv) {
  Options options;
  static constexpr option kLong[] = {
      {"from", required_argument, nullptr, 'f'},   {"to", required_argument, nullptr, 't'},
      {"events", required_argument, nullptr, 'e'}, {"bytes", required_argument, nullptr, 'b'},
      {"help", no_argument, nullptr, 'h'},         {}};
  for (int c = 0; (c = ::getopt_long(argc, argv, "", kLong, nullptr)) != -1;) {
    if (c == 'f') options.from = ::optarg;
    if (c == 't') options.to = ::optarg;
    if (c == 'e') options.events = std::strtoull(::optarg, nullptr, 10);
    if (c == 'b') options.bytes = std::strtoull(::optarg, nullptr, 10);
    if (c == 'h') std::exit(std::fputs(kHelp, stdout) < 0);
    if (c == '?') std::exit(2);
  }
  if (options.from.empty() || options.to.empty() || (options.events == 0) == (options.bytes == 0)) {
    std::fputs(kHelp, stderr);
    std::exit(2);
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  const Short all = read(options.from);
  const auto recorder =
      must(recording::Recorder::open({.path = options.to, .overwrite = true, .may_wait = true}, all.meta));
  recording::for_each_record(all.seed, [&](View record) { recorder->record(record); });
  std::uint64_t events = 0;
  std::uint64_t turn = 0;
  const auto enough = [&] {
    return options.events > 0 ? events >= options.events : recorder->bytes() >= options.bytes;
  };
  for (Bytes copy; !enough(); ++turn)
    recording::for_each_record(all.events, [&](View record) {
      if (enough()) return;
      copy.assign(record.begin(), record.end());
      shift(copy, all, turn);
      recorder->record(copy);
      events += 1;
    });
  if (const auto status = recorder->finish(turn * all.connections); !status) fail(status.error().what);
  std::printf("{\"events\":%llu,\"bytes\":%llu,\"seconds\":%.3f}\n", static_cast<unsigned long long>(events),
              static_cast<unsigned long long>(recorder->bytes()), static_cast<double>(turn * all.length_ns) / 1e9);
  return 0;
}
