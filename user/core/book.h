// SPDX-License-Identifier: GPL-2.0-only
// The book: cases in, findings out. It waits for answers to wants, aggregates cases by (slug, cause, culprit, service
// endpoint), gives phases, counts and ids, and joins findings that one culprit explains into a story.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "user/core/detector.h"
#include "user/core/settings.h"

namespace tcpwhy::core {

// A case that a finding which was told and is still open stands for.
struct OpenCase {
  std::uint64_t finding = 0;  // its id
  std::string_view slug;
  Severity severity = Severity::info;  // of this case
  util::BootTime since{};
  Subject subject;
};

// A finding that was told as open and not yet as closed, as it stands now: between two lines its numbers move on.
struct OpenFinding {
  std::uint64_t id = 0;
  std::string_view slug;
  std::string_view cause;
  Severity severity = Severity::info;
  std::uint64_t cases = 0;        // in it now; 0 in the second before it is closed
  std::uint64_t cases_total = 0;  // ever
};

class Book {
 public:
  Book(const Facts& facts, const Settings& settings) : facts_(facts), settings_(settings) {}

  // Opens the case, or touches the one that is open. since: when the trouble began.
  void raise(Detector& detector, Subject subject, util::BootTime since);
  // The trouble of this subject is over. Without effect where there is no such case.
  void close(const Detector& detector, Subject subject, Ended how);
  // Judges at once what was raised again since it was last judged, and keeps its cause: for a detector that is about to
  // close it, and whose evidence the end does not change. Without effect where it was not told yet.
  void look_again(const Detector& detector, Subject subject);
  // As if it had never been raised; without effect on a finding that is already told.
  void withdraw(const Detector& detector, Subject subject);
  [[nodiscard]] const Case* find(const Detector& detector, Subject subject) const;
  [[nodiscard]] std::vector<Subject> open_subjects(const Detector& detector) const;

  // Judges what is due and returns the lines of this moment, in order.
  std::vector<Finding> settle();
  // What is open on this host is closed with trace-end.
  void end_of_host(std::uint32_t host);
  // The end of the run: what is open is closed with trace-end.
  std::vector<Finding> finish();
  // A detector needs to know how a process does before it can judge; answered within a tick or two. Asked as often as one
  // likes: it is passed on at most twice a second.
  void observe(std::uint32_t pid);
  Wants take_wants() { return std::exchange(wants_, {}); }

  [[nodiscard]] std::vector<OpenFinding> open() const;
  [[nodiscard]] const std::map<std::string, std::uint64_t>& opened() const { return opened_; }
  [[nodiscard]] std::optional<Severity> worst() const { return worst_; }
  // Looks through all of them: for a screen, now and then.
  [[nodiscard]] std::vector<OpenCase> open_cases() const;

 private:
  struct Key {
    int rank = 0;
    std::string_view slug;
    std::uint64_t order = 0;  // connection number or listener id
    auto operator<=>(const Key&) const = default;
  };
  // What a verdict says of one case, kept after its connection is forgotten.
  struct Told {
    Verdict verdict;
    std::optional<ConnectionView> connection;
    std::optional<Process> owner;
    std::optional<PeerView> peer;
    std::optional<ListenerView> listener;
    util::BootTime since{};
    std::uint32_t host = 0;
  };
  struct Entry {
    Case c;
    std::optional<Told> told;
    std::optional<Told> pending;  // what would have been told, were the answer to its want not late
    bool joined = false;          // another group, though that explains it no better
    bool late = false;            // it ended before that answer, and is told in this tick
    std::string group;
    util::BootTime judged{};
    bool asked = false;
    util::BootTime asked_at{};
    std::uint64_t asked_walks = 0;
    std::optional<Ended> ended;
  };
  struct Group {
    Detector* detector = nullptr;
    std::uint64_t id = 0;  // 0: not told yet
    std::uint64_t story = 0;
    std::string culprit;
    std::map<Key, Told> active;
    Told primary;
    std::vector<ConnectionView> examples;
    std::set<std::uint64_t> seen;  // orders already counted
    std::uint64_t total = 0;
    std::uint64_t fresh = 0;  // since the last line
    util::BootTime since{};
    util::BootTime opened{};
    util::BootTime last_line{};
    util::BootTime last_end{};
    std::map<Ended, std::uint64_t> ends;  // of its cases
    Severity severity = Severity::info;
    Severity told_severity = Severity::info;
    std::uint64_t told_count = 0;
    util::Duration told_duration{};
    bool changed = false;
    std::string merged;  // key of the group that took the last case over
  };
  struct Story {
    std::uint64_t root = 0;
    int rank = 0;
    util::BootTime last{};
    bool told = false;  // somebody in it has had its last line, perhaps
  };

  [[nodiscard]] Key key_of(const Detector& detector, Subject subject) const;
  [[nodiscard]] bool is_off(const Detector& detector, const Verdict& verdict) const;
  void judge(const Key& key, Entry& entry, bool final);
  void judge_all(bool final);
  std::vector<Finding> tell_all(bool final);
  void move(const Key& key, Entry& entry, const std::string& wanted);
  [[nodiscard]] bool asks(const Entry& entry, const Verdict& verdict) const;
  bool answered(Entry& entry, const Verdict& verdict, bool& waiting);
  [[nodiscard]] Told tell(const Entry& entry, Verdict verdict) const;
  void place(const Key& key, Entry& entry);
  void note_exit(Told& told, Subject subject) const;
  void leave(const Key& key, Entry& entry, Ended how);
  [[nodiscard]] std::string group_key(const Detector& detector, const Told& told) const;
  [[nodiscard]] static std::uint32_t netns_of(const Told& told);
  [[nodiscard]] std::uint32_t host_of(Subject subject) const;
  [[nodiscard]] static std::string culprit_key(const Told& told);
  void refresh(Group& group);
  void lines_of(Group& group, std::vector<Finding>& out);
  void condition_line(Group& group, std::vector<Finding>& out);
  void instant_line(Group& group, std::vector<Finding>& out, bool last);
  void emit(Group& group, Phase phase, std::vector<Finding>& out);
  [[nodiscard]] static Finding alone(const Told& told);
  [[nodiscard]] Finding finding_of(const Group& group, Phase phase) const;
  void join_story(Group& group, Phase phase);
  [[nodiscard]] std::vector<std::string> groups_in_order() const;

  const Facts& facts_;
  const Settings& settings_;
  std::map<Key, Entry> entries_;
  std::map<std::string, Group> groups_;
  std::map<std::string, Story> stories_;
  std::map<std::string, std::uint64_t> opened_;
  std::optional<Severity> worst_;
  std::uint64_t next_id_ = 1;
  Wants wants_;
  std::map<std::uint32_t, util::BootTime> observed_;  // when asked for last, by process
};

// Views of facts, as findings print them.
ConnectionView view_of(const Connection& connection);
std::optional<ListenerView> view_of(const Listener* listener);

}  // namespace tcpwhy::core
