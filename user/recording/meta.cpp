// SPDX-License-Identifier: GPL-2.0-only
#include "user/recording/meta.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "user/recording/format.h"

namespace tcpwhy::recording {
namespace {

using Json = nlohmann::ordered_json;
using core::Thresholds;

constexpr std::size_t kMostConnections = std::size_t{1} << 22;
constexpr std::size_t kMostTableBytes = std::size_t{4} << 30;
// Recordings from before tables had a bound in bytes.
constexpr std::size_t kTableBytesUnsaid = std::size_t{1} << 30;

Json to_json(const std::map<std::uint32_t, std::string>& names) {
  Json object = Json::object();
  for (const auto& [number, name] : names) object[std::to_string(number)] = name;
  return object;
}

Json to_json(const Thresholds::BySlug& limits) {
  Json object = Json::object();
  for (const auto& [slug, limit] : limits) object[slug] = limit ? Json(limit->count()) : Json(nullptr);
  return object;
}

Json to_json(const Thresholds& thresholds) {
  Json ports = Json::object();
  for (const auto& [port, limits] : thresholds.ports) ports[std::to_string(port)] = to_json(limits);
  return {{"base", to_json(thresholds.base)}, {"ports", ports}};
}

Json to_json(const std::vector<util::Cidr>& prefixes) {
  Json list = Json::array();
  for (const util::Cidr& prefix : prefixes) list.push_back(util::to_string(prefix));
  return list;
}

Json to_json(const core::Filter& f) {
  return {{"ports", f.ports}, {"local", to_json(f.local)}, {"remote", to_json(f.remote)},
          {"pids", f.pids},   {"comms", f.comms},          {"cgroups", f.cgroups},
          {"netns", f.netns}};
}

// Reads values out of an object; the first that is missing or of another type makes it fail.
class Object {
 public:
  explicit Object(const Json& json) : json_(json.is_object() ? json : nothing()) {}

  template <typename T>
  void number(const char* key, T& out) {
    const Json* value = find(key);
    if (!value) return;
    if (!value->is_number_integer()) return fail(key);
    out = static_cast<T>(value->get<std::int64_t>());
  }
  void text(const char* key, std::string& out) {
    const Json* value = find(key);
    if (value && !value->is_string()) return fail(key);
    if (value) out = value->get<std::string>();
  }
  void flag(const char* key, bool& out) {
    const Json* value = find(key);
    if (value && !value->is_boolean()) return fail(key);
    if (value) out = value->get<bool>();
  }
  // Each entry of an object, or of a list.
  template <typename Visit>
  void each(const char* key, Visit visit) {
    const Json* value = find(key);
    if (value && !value->is_structured()) return fail(key);
    for (auto it = value ? value->begin() : nothing().begin(); value && it != value->end(); ++it)
      if (!visit(value->is_object() ? it.key() : std::string{}, *it)) return fail(key);
  }
  void must_have(const char* key) {
    if (!json_.contains(key)) fail(key);
  }
  [[nodiscard]] const std::string& wrong() const { return wrong_; }

 private:
  static const Json& nothing() {
    static const Json kNothing = Json::object();
    return kNothing;
  }
  [[nodiscard]] const Json* find(const char* key) const {
    const auto it = json_.find(key);
    return it == json_.end() ? nullptr : &*it;
  }
  void fail(const char* key) {
    if (wrong_.empty()) wrong_ = key;
  }

  const Json& json_;
  std::string wrong_;
};

bool parse_number(const std::string& text, std::uint32_t& out) {
  return std::from_chars(text.data(), text.data() + text.size(), out).ptr == text.data() + text.size() && !text.empty();
}

bool read_name(const std::string& key, const Json& value, std::map<std::uint32_t, std::string>& out) {
  std::uint32_t number = 0;
  if (!value.is_string() || !parse_number(key, number)) return false;
  out[number] = value.get<std::string>();
  return true;
}

bool read_limit(const std::string& slug, const Json& value, Thresholds::BySlug& out) {
  if (!value.is_null() && !value.is_number_integer()) return false;
  out[slug] = value.is_null() ? std::nullopt : std::optional{util::Duration{value.get<std::int64_t>()}};
  return true;
}

bool read_limits(const Json& value, Thresholds::BySlug& out) {
  if (!value.is_object()) return false;
  for (auto it = value.begin(); it != value.end(); ++it)
    if (!read_limit(it.key(), *it, out)) return false;
  return true;
}

bool read_port(const std::string& key, const Json& value, Thresholds& out) {
  std::uint32_t port = 0;
  return parse_number(key, port) && port <= 65535 && read_limits(value, out.ports[static_cast<std::uint16_t>(port)]);
}

template <typename T>
void read_numbers(Object& object, const char* key, std::vector<T>& out) {
  object.each(key, [&out](const std::string&, const Json& value) {
    if (!value.is_number_integer()) return false;
    out.push_back(static_cast<T>(value.get<std::int64_t>()));
    return true;
  });
}

void read_prefixes(Object& object, const char* key, std::vector<util::Cidr>& out) {
  object.each(key, [&out](const std::string&, const Json& value) {
    const auto prefix = value.is_string() ? util::parse_cidr(value.get<std::string>())
                                          : util::Result<util::Cidr>{util::Error{"no text"}};
    if (prefix) out.push_back(*prefix);
    return prefix.has_value();
  });
}

std::string read_filter(const Json& json, core::Filter& f) {
  Object object{json};
  read_numbers(object, "ports", f.ports);
  read_prefixes(object, "local", f.local);
  read_prefixes(object, "remote", f.remote);
  read_numbers(object, "pids", f.pids);
  object.each("comms", [&f](const std::string&, const Json& value) {
    if (value.is_string()) f.comms.push_back(value.get<std::string>());
    return value.is_string();
  });
  read_numbers(object, "cgroups", f.cgroups);
  read_numbers(object, "netns", f.netns);
  return object.wrong();
}

void read_thresholds(Object& object, Thresholds& out) {
  object.each("thresholds", [&out](const std::string& key, const Json& value) {
    if (key == "base") return read_limits(value, out.base);
    if (key != "ports" || !value.is_object()) return key != "ports";
    for (auto it = value.begin(); it != value.end(); ++it)
      if (!read_port(it.key(), *it, out)) return false;
    return true;
  });
}

// Each as [boot time in ns, offset in ns].
Json steps_json(const std::vector<util::WallStep>& steps) {
  Json list = Json::array();
  for (const util::WallStep& step : steps)
    list.push_back({step.from.time_since_epoch().count(), step.offset.nanoseconds});
  return list;
}

void read_steps(Object& object, std::vector<util::WallStep>& out) {
  object.each("clock_steps", [&out](const std::string&, const Json& value) {
    if (!value.is_array() || value.size() != 2 || !value[0].is_number_unsigned() || !value[1].is_number_integer())
      return false;
    out.push_back({util::boot_time(value[0].get<std::uint64_t>()), util::wall_offset(value[1].get<std::int64_t>())});
    return true;
  });
}

}  // namespace

std::string to_json(const Meta& meta) {
  const core::Settings& s = meta.settings;
  const Json json = {{"format", kFormat},
                     {"tool", meta.tool},
                     {"host", s.identity.host},
                     {"boot_id", s.identity.boot_id},
                     {"netns", s.identity.netns},
                     {"kernel", meta.kernel},
                     {"wall_offset_ns", s.identity.wall.at_start().nanoseconds},
                     {"clock_steps", steps_json(s.identity.wall.steps())},
                     {"piece", meta.piece},
                     {"started_ns", meta.started_ns},
                     {"begins_ns", meta.begins_ns},
                     {"drop_reasons", to_json(s.names.drop_reasons)},
                     {"reset_reasons", to_json(s.names.reset_reasons)},
                     {"thresholds", to_json(s.thresholds)},
                     {"filter", to_json(s.filter)},
                     {"max_connections", s.max_connections},
                     {"table_bytes", s.table_bytes},
                     {"window_ns", s.window.count()},
                     {"every_transition", meta.every_transition}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

util::Result<Meta> parse_meta(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return util::Error{"its META is no JSON object", 0, ""};
  Meta meta;
  core::Settings& s = meta.settings;
  Object object{json};
  for (const char* key : {"host", "boot_id", "wall_offset_ns"}) object.must_have(key);
  object.text("tool", meta.tool);
  object.text("host", s.identity.host);
  object.text("boot_id", s.identity.boot_id);
  object.number("netns", s.identity.netns);
  object.text("kernel", meta.kernel);
  util::WallOffset at_start;
  object.number("wall_offset_ns", at_start.nanoseconds);
  s.identity.wall = util::wall_offset(at_start.nanoseconds);
  std::vector<util::WallStep> steps;
  read_steps(object, steps);
  for (const util::WallStep& step : steps) s.identity.wall.step(step);
  object.number("piece", meta.piece);
  object.number("started_ns", meta.started_ns);
  meta.begins_ns = meta.started_ns;
  object.number("begins_ns", meta.begins_ns);
  const auto names = [&object](const char* key, auto& out) {
    object.each(key, [&out](const std::string& k, const Json& v) { return read_name(k, v, out); });
  };
  names("drop_reasons", s.names.drop_reasons);
  names("reset_reasons", s.names.reset_reasons);
  read_thresholds(object, s.thresholds);
  object.number("max_connections", s.max_connections);
  s.table_bytes = kTableBytesUnsaid;
  object.number("table_bytes", s.table_bytes);
  std::int64_t window = s.window.count();
  object.number("window_ns", window);
  s.window = util::Duration{window};
  object.flag("every_transition", meta.every_transition);
  std::string wrong = object.wrong();
  if (wrong.empty() && json.contains("filter")) wrong = read_filter(json["filter"], s.filter);
  // Limits are ours and not the file's: within them, it says what the run had.
  s.max_connections = std::min(s.max_connections, kMostConnections);
  s.table_bytes = std::min(s.table_bytes, kMostTableBytes);
  if (wrong.empty() && (s.max_connections == 0 || s.table_bytes == 0 || s.window <= util::Duration{}))
    wrong = "max_connections, table_bytes or window_ns";
  if (!wrong.empty()) return util::Error{"its META says nothing that can be used under \"" + wrong + '"', 0, ""};
  return meta;
}

std::string to_json(const End& end) {
  const Json json = {{"connections", end.connections},
                     {"recorder_lost", end.recorder_lost},
                     {"ended_ns", end.ended_ns},
                     {"next_piece", end.next_piece},
                     {"clock_steps", steps_json(end.clock_steps)}};
  return json.dump();
}

util::Result<End> parse_end(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return util::Error{"its END is no JSON object", 0, ""};
  End end;
  Object object{json};
  object.number("connections", end.connections);
  object.number("recorder_lost", end.recorder_lost);
  object.number("ended_ns", end.ended_ns);
  object.flag("next_piece", end.next_piece);
  read_steps(object, end.clock_steps);
  if (!object.wrong().empty())
    return util::Error{"its END says nothing that can be used under " + object.wrong(), 0, ""};
  return end;
}

}  // namespace tcpwhy::recording
