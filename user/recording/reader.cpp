// SPDX-License-Identifier: GPL-2.0-only
#include "user/recording/reader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "user/abi/header.h"
#include "user/recording/codec.h"
#include "user/recording/index.h"
#include "user/util/fd.h"

namespace tcpwhy::recording {
namespace {

constexpr std::size_t kReadBytes = 1U << 20;

// A window that moves over the input; holds no more than is looked at.
class Window {
 public:
  // A file that has a size can be looked at anywhere.
  Window(util::Fd fd, bool has_size) : fd_(std::move(fd)), has_size_(has_size) {}
  explicit Window(Bytes bytes) : bytes_(std::move(bytes)), all_(true) {}
  Window(const Window&) = delete;
  Window& operator=(const Window&) = delete;

  // The next `count` bytes, or fewer where the input ends before.
  View peek(std::size_t count) {
    while (!all_ && bytes_.size() - start_ < count) fill(count);
    return View{bytes_}.subspan(start_, std::min(count, bytes_.size() - start_));
  }
  // The `count` bytes, or fewer, that are `distance` ahead.
  View peek_ahead(std::size_t distance, std::size_t count) {
    if (!has_size_ || bytes_.size() - start_ >= distance + count) {
      const View all = peek(distance + count);
      return all.subspan(std::min(distance, all.size()));
    }
    return read_at(offset_ + distance, count);
  }
  // Those at this place of the input; none where it cannot be looked at anywhere.
  View read_at(std::uint64_t offset, std::size_t count) {
    if (!fd_.is_open()) {  // all of it is here
      const std::uint64_t at = std::min<std::uint64_t>(offset - (offset_ - start_), bytes_.size());
      return View{bytes_}.subspan(at, std::min<std::size_t>(count, bytes_.size() - at));
    }
    if (!has_size_) return {};
    aside_.resize(count);
    ssize_t got = 0;
    do got = ::pread(fd_.get(), aside_.data(), count, static_cast<off_t>(offset));
    while (got < 0 && errno == EINTR);
    return View{aside_}.first(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  }
  // Within what is there.
  void skip(std::size_t count) {
    if (has_size_ && count > bytes_.size() - start_) return go_to(offset_ + count);
    start_ += count;
    offset_ += count;
    if (start_ >= kReadBytes && !all_) {
      bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(start_));
      start_ = 0;
    }
  }
  // Forward, to a place that read_at() has shown to be there.
  void go_to(std::uint64_t offset) {
    if (offset - offset_ <= bytes_.size() - start_) return skip(static_cast<std::size_t>(offset - offset_));
    if (::lseek(fd_.get(), static_cast<off_t>(offset), SEEK_SET) < 0) error_ = errno;
    bytes_.clear();
    start_ = 0;
    offset_ = offset;
    all_ = error_ != 0;
  }
  [[nodiscard]] std::uint64_t offset() const { return offset_; }
  [[nodiscard]] int error() const { return error_; }

 private:
  void fill(std::size_t count) {
    const std::size_t had = bytes_.size();
    const std::size_t wanted = std::max(kReadBytes, start_ + count - had);
    bytes_.resize(had + wanted);
    ssize_t got = 0;
    do got = ::read(fd_.get(), bytes_.data() + had, wanted);
    while (got < 0 && errno == EINTR);
    if (got < 0) error_ = errno;
    all_ = got <= 0;
    bytes_.resize(had + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  }

  util::Fd fd_;
  bool has_size_ = false;
  Bytes bytes_;
  Bytes aside_;
  std::size_t start_ = 0;
  std::uint64_t offset_ = 0;
  int error_ = 0;
  bool all_ = false;
};

std::string_view text_of(View bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

class FileReader final : public Reader {
 public:
  FileReader(std::unique_ptr<Window> window, std::string name, std::uint64_t size)
      : window_(std::move(window)), name_(std::move(name)), size_(size) {}

  util::Status begin();
  const Meta& meta() const override { return meta_; }
  std::optional<Block> next() override;
  void skip_until(std::uint64_t time_ns) override {
    skip_until_ = time_ns;
    index_ = read_index();
  }
  void leave_out_ordinary() override { only_times_ = true; }
  const std::optional<End>& end() const override { return end_; }
  std::optional<End> end_ahead() override;
  const std::vector<std::string>& problems() const override { return problems_; }
  const std::string& name() const override { return name_; }
  std::uint64_t at() const override { return window_->offset(); }
  std::uint64_t size() const override { return size_; }

 private:
  // The next chunk whose header is sound; what is no chunk before it is said.
  bool find_chunk(ChunkHeader& header);
  // Its records, or another payload, as it was before compression and transposition; nothing where it is damaged, which
  // is said.
  std::optional<Restored> payload_of(const ChunkHeader& header, std::uint64_t offset);
  [[nodiscard]] util::Result<Restored> unpacked(const ChunkHeader& header, View payload) const;
  std::optional<Block> block_of(const ChunkHeader& header);
  // Where the file is whole and can be looked at anywhere.
  std::optional<Index> read_index();
  std::optional<std::uint64_t> index_at();
  // A chunk of that type somewhere: its payload until the next look, and its header.
  std::optional<View> look_at(std::uint64_t offset, ChunkType type, ChunkHeader& header);
  // Whether it went from this chunk to a later one, as INDEX told it.
  bool jump();
  bool is_left_out(const ChunkHeader& header);
  void pass_over(const ChunkHeader& header);
  void read_end(const ChunkHeader& header);
  void finish();
  void cut_short();
  void problem(std::uint64_t offset, const std::string& what) {
    if (problems_.size() < kMostProblems) problems_.push_back(fmt::format("{}, byte {}: {}", name_, offset, what));
    if (problems_.size() == kMostProblems) problems_.push_back(name_ + ": more is damaged");
  }

  static constexpr std::size_t kMostProblems = 50;

  std::unique_ptr<Window> window_;
  std::string name_;
  std::uint64_t size_;
  Meta meta_;
  std::optional<End> end_;
  std::vector<std::string> problems_;
  std::uint64_t skip_until_ = 0;
  bool only_times_ = false;  // of transitions
  std::optional<Index> index_;
  std::uint32_t hole_ = 0;  // in front of the next block
  bool over_ = false;
};

util::Status FileReader::begin() {
  const View head = window_->peek(kFileHeaderBytes);
  if (window_->error() != 0)
    return util::Error{fmt::format("cannot read {}: {}", name_, std::strerror(window_->error())), window_->error(), ""};
  const bool magic =
      head.size() >= kFileMagic.size() && std::memcmp(head.data(), kFileMagic.data(), kFileMagic.size()) == 0;
  const bool sound =
      magic && head.size() == kFileHeaderBytes && fits(head.first(12), get<std::uint32_t>(head.subspan(12)));
  if (sound && get<std::uint32_t>(head.subspan(8)) > kFormat)
    return util::Error{fmt::format("{} has format {}, this tcpwhy knows formats up to {}", name_,
                                   get<std::uint32_t>(head.subspan(8)), kFormat),
                       EBADMSG, "read it with the version that wrote it, or a later one"};
  if (sound) window_->skip(kFileHeaderBytes);
  ChunkHeader header;
  const bool found = find_chunk(header);
  if (!sound && (!found || header.type != static_cast<std::uint16_t>(ChunkType::meta)))
    return util::Error{magic ? fmt::format("{} is cut short before its first chunk", name_)
                             : fmt::format("{} is no recording of tcpwhy", name_),
                       magic ? EBADMSG : 0, "recordings are made by tcpwhy record -o FILE"};
  if (!sound) problem(0, "the file header is damaged");
  if (!found || header.type != static_cast<std::uint16_t>(ChunkType::meta))
    return util::Error{fmt::format("{} has no META that can be read: nothing in it can be judged", name_), EBADMSG, ""};
  const std::uint64_t offset = window_->offset();
  const std::optional<Restored> payload = payload_of(header, offset);
  if (!payload)
    return util::Error{fmt::format("{} has no META that can be read: {}", name_, problems_.back()), EBADMSG, ""};
  util::Result<Meta> meta = parse_meta(text_of(payload->records));
  if (!meta) return std::move(meta.error()).within(name_);
  meta_ = std::move(*meta);
  return util::Done{};
}

bool FileReader::find_chunk(ChunkHeader& header) {
  const std::uint64_t from = window_->offset();
  std::uint64_t skipped = 0;
  while (true) {
    const View head = window_->peek(kChunkHeaderBytes);
    if (head.size() < kChunkHeaderBytes) break;
    if (get_chunk_header(head, header)) {
      if (skipped > 0) problem(from, fmt::format("{} bytes are no chunk and were skipped", skipped));
      // Nobody knows how many records were in them; that there were some, a replay must know.
      if (skipped > 0) hole_ = 1;
      return true;
    }
    // To the next byte that may begin one.
    const View ahead = window_->peek(kReadBytes).subspan(1);
    const auto next = std::find(ahead.begin(), ahead.end(), std::byte{kChunkMagic[0]});
    const auto step = 1 + static_cast<std::size_t>(next - ahead.begin());
    window_->skip(step);
    skipped += step;
  }
  skipped += window_->peek(kChunkHeaderBytes).size();
  if (skipped > 0)
    problem(from, fmt::format("{} bytes are no whole chunk: the file is damaged or cut short here", skipped));
  window_->skip(window_->peek(kChunkHeaderBytes).size());
  return false;
}

std::optional<Restored> FileReader::payload_of(const ChunkHeader& h, std::uint64_t offset) {
  const View whole = window_->peek(kChunkHeaderBytes + h.stored);
  if (whole.size() < kChunkHeaderBytes + h.stored) {
    problem(offset, fmt::format("the file is cut short in the middle of a chunk of {} bytes", h.stored));
    window_->skip(whole.size());
    return std::nullopt;
  }
  const View payload = whole.subspan(kChunkHeaderBytes);
  if (!fits(payload, h.payload_crc)) {
    problem(offset, fmt::format("a chunk of {} records does not fit its checksum and was skipped", h.records));
    // Its length may be wrong as well: the next chunk is looked for from here.
    window_->skip(kChunkHeaderBytes + h.stored);
    return std::nullopt;
  }
  util::Result<Restored> restored = unpacked(h, payload);
  window_->skip(kChunkHeaderBytes + h.stored);
  if (restored) return std::move(*restored);
  problem(offset, restored.error().what + "; the chunk was skipped");
  return std::nullopt;
}

util::Result<Restored> FileReader::unpacked(const ChunkHeader& h, View payload) const {
  util::Result<Bytes> bytes = (h.flags & kCompressed) != 0 ? decompress(payload, h.unpacked)
                                                           : util::Result<Bytes>{Bytes{payload.begin(), payload.end()}};
  if (!bytes) return std::move(bytes.error());
  if (only_times_ && h.arrangement() != Arrangement::plain)
    return restore_without_ordinary(*bytes, h.raw, h.arrangement());
  bytes = restore(*bytes, h.raw, h.arrangement());
  if (!bytes) return std::move(bytes.error());
  return Restored{std::move(*bytes), {}};
}

std::optional<Block> FileReader::block_of(const ChunkHeader& h) {
  Block block;
  block.type = static_cast<ChunkType>(h.type);
  block.offset = window_->offset();
  block.time_ns = h.time_ns;
  block.lost_before = h.lost_before + std::exchange(hole_, 0);
  std::optional<Restored> restored = payload_of(h, block.offset);
  if (!restored) {
    // What was in it is missing: a replay must know.
    block.lost_before += std::max<std::uint32_t>(h.records, 1);
    return block;
  }
  block.count = h.records;
  block.records = std::move(restored->records);
  block.ordinary = std::move(restored->ordinary);
  return block;
}

std::optional<std::uint64_t> FileReader::index_at() {
  if (size_ < kTrailerBytes) return std::nullopt;
  const auto at = index_offset(window_->read_at(size_ - kTrailerBytes, kTrailerBytes));
  return at && *at <= size_ ? at : std::nullopt;
}

std::optional<View> FileReader::look_at(std::uint64_t offset, ChunkType type, ChunkHeader& header) {
  const View head = window_->read_at(offset, kChunkHeaderBytes);
  if (head.size() < kChunkHeaderBytes || !get_chunk_header(head, header) ||
      header.type != static_cast<std::uint16_t>(type))
    return std::nullopt;
  const View payload = window_->read_at(offset + kChunkHeaderBytes, header.stored);
  if (payload.size() != header.stored || !fits(payload, header.payload_crc)) return std::nullopt;
  return payload;
}

std::optional<Index> FileReader::read_index() {
  ChunkHeader header;
  const auto at = index_at();
  const auto payload = at ? look_at(*at, ChunkType::index, header) : std::nullopt;
  return payload ? Index::parse(*payload, *at) : std::nullopt;
}

std::optional<End> FileReader::end_ahead() {
  ChunkHeader index;
  ChunkHeader header;
  const auto at = index_at();
  if (!at || !look_at(*at, ChunkType::index, index)) return std::nullopt;
  const auto payload = look_at(*at + kChunkHeaderBytes + index.stored, ChunkType::end, header);
  if (!payload || (header.flags & kCompressed) != 0) return std::nullopt;
  util::Result<End> end = parse_end(text_of(*payload));
  return end ? std::optional{std::move(*end)} : std::nullopt;
}

bool FileReader::jump() {
  if (!index_) return false;
  const auto entry = index_->first_from(window_->offset(), skip_until_);
  if (entry && entry->offset == window_->offset()) return false;
  ChunkHeader there;
  const View head = entry ? window_->read_at(entry->offset, kChunkHeaderBytes) : View{};
  if (head.size() < kChunkHeaderBytes || !get_chunk_header(head, there) || there.time_ns != entry->time_ns ||
      there.type != static_cast<std::uint16_t>(entry->type)) {
    // What is there began before the time, so all before it ended before. If INDEX said wrong:
    index_.reset();  // it is of another file, or the file is damaged: chunk by chunk, then
    return false;
  }
  window_->go_to(entry->offset);
  return true;
}

// A chunk ends where the next begins.
bool FileReader::is_left_out(const ChunkHeader& h) {
  if (skip_until_ == 0 || h.type != static_cast<std::uint16_t>(ChunkType::events)) return false;
  const View ahead = window_->peek_ahead(kChunkHeaderBytes + h.stored, kChunkHeaderBytes);
  ChunkHeader next;
  return ahead.size() == kChunkHeaderBytes && get_chunk_header(ahead, next) && next.time_ns != 0 &&
         next.time_ns < skip_until_;
}

std::optional<Block> FileReader::next() {
  ChunkHeader header;
  while (!over_) {
    if (!find_chunk(header)) {
      finish();
      break;
    }
    if (header.type == static_cast<std::uint16_t>(ChunkType::end)) {
      read_end(header);
      break;
    }
    if (header.type == static_cast<std::uint16_t>(ChunkType::seed) ||
        header.type == static_cast<std::uint16_t>(ChunkType::events)) {
      if (!is_left_out(header)) return block_of(header);
      if (jump()) continue;
    } else if (header.type > static_cast<std::uint16_t>(ChunkType::end) && (header.flags & kRequired) != 0) {
      problem(
          window_->offset(),
          fmt::format("a chunk of unknown type {} that one cannot do without: made by a later version?", header.type));
    }
    pass_over(header);
  }
  return std::nullopt;
}

// Only that it is there, to its last byte.
void FileReader::pass_over(const ChunkHeader& header) {
  const std::size_t length = kChunkHeaderBytes + header.stored;
  if (!window_->peek_ahead(length - 1, 1).empty()) return window_->skip(length);
  problem(window_->offset(), "the file is cut short in the middle of a chunk");
  window_->skip(window_->peek(length).size());
}

void FileReader::read_end(const ChunkHeader& header) {
  over_ = true;
  const std::uint64_t offset = window_->offset();
  const std::optional<Restored> payload = payload_of(header, offset);
  if (!payload) return;
  util::Result<End> end = parse_end(text_of(payload->records));
  if (!end) return problem(offset, end.error().what);
  end_ = *end;
  const View trailer = window_->peek(kTrailerBytes);
  const bool sound = index_offset(trailer).has_value();
  if (!sound) problem(window_->offset(), "the last bytes, which say where the index is, are damaged or missing");
  window_->skip(trailer.size());
  if (const View more = window_->peek(1); sound && !more.empty())
    problem(window_->offset(), "there is more behind the end of the recording: it was not looked at");
}

void FileReader::finish() {
  over_ = true;
  if (window_->error() != 0)
    problem(window_->offset(), std::string{"the disk gives an error: "} + std::strerror(window_->error()));
  problem(window_->offset(),
          "the recording has no end: it is cut short, or its recorder was killed or found the disk full");
}

util::Result<std::unique_ptr<Reader>> make(std::unique_ptr<Window> window, const std::string& name,
                                           std::uint64_t size) {
  auto reader = std::make_unique<FileReader>(std::move(window), name, size);
  if (util::Status status = reader->begin(); !status) return std::move(status.error());
  return std::unique_ptr<Reader>{std::move(reader)};
}

}  // namespace

util::Result<std::unique_ptr<Reader>> Reader::open(const std::string& path) {
  if (path == "-") return make(std::make_unique<Window>(util::Fd{::dup(STDIN_FILENO)}, false), "standard input", 0);
  util::Fd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!fd.is_open())
    return util::Error{fmt::format("cannot open {}: {}", path, std::strerror(errno)), errno,
                       "name recordings that were made by tcpwhy record -o FILE"};
  struct stat status {};
  const bool regular = ::fstat(fd.get(), &status) == 0 && S_ISREG(status.st_mode);
  return make(std::make_unique<Window>(std::move(fd), regular), path,
              regular ? static_cast<std::uint64_t>(status.st_size) : 0);
}

util::Result<std::unique_ptr<Reader>> Reader::of(Bytes bytes, const std::string& name) {
  const std::uint64_t size = bytes.size();
  return make(std::make_unique<Window>(std::move(bytes)), name, size);
}

}  // namespace tcpwhy::recording
