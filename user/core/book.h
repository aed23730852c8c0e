// SPDX-License-Identifier: GPL-2.0-only
// The book: cases in, findings out. It waits for answers to wants, aggregates cases by (slug, cause, culprit, service
// endpoint), gives phases, counts and ids, and joins findings that one culprit explains into a story.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
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
  // Both outlive the book. What a case stands on is pinned in the facts.
  Book(Facts& facts, const Settings& settings);
  Book(const Book&) = delete;
  Book& operator=(const Book&) = delete;

  // Opens the case, or touches the one that is open. since: when the trouble began. Where there is no room for one more
  // case it is only counted (evictions()).
  void raise(Detector& detector, Subject subject, util::BootTime since);
  // The case of this subject, not yet told, stands for `more` further ones that are alike. False: there is no such case.
  bool add(const Detector& detector, Subject subject, std::uint64_t more);
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
  Wants take_wants();
  // What there was no room for, by table: "cases", "findings"; and for how long the most late judgment of the run waited.
  [[nodiscard]] const std::map<std::string, std::uint64_t>& evictions() const { return evictions_; }
  [[nodiscard]] util::Duration behind() const { return most_behind_; }

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
  struct Group;
  struct Entry {
    Case c;
    const Key* key = nullptr;
    Group* group = nullptr;  // null: not told yet
    // Of what was told last. The rest is kept for some cases of a group only (kWitnesses).
    Severity severity = Severity::info;
    std::string_view cause;
    util::Boxed<Told> told;
    util::Boxed<Told> pending;  // what would have been told, were the answer to its want not late
    bool is_told = false;
    bool joined = false;      // another group, though that explains it no better
    bool late = false;        // it ended before that answer, and is told in this tick
    bool is_overdue = false;  // its turn to be judged has not come
    bool asked = false;
    std::uint64_t more = 0;   // that it stands for, not counted yet
    util::BootTime judged{};  // zero: not since it was raised last
    util::BootTime due{};     // when it is to be judged (again)
    util::BootTime asked_at{};
    std::uint64_t asked_walks = 0;
    std::optional<Ended> ended;
  };
  struct Group {
    std::string key;
    Detector* detector = nullptr;
    std::uint64_t id = 0;  // 0: not told yet
    std::uint64_t story = 0;
    std::string culprit;
    std::map<Key, Entry*> active;
    std::size_t witnesses = 0;  // of these, with all that was told
    Told primary;
    std::vector<ConnectionView> examples;
    std::unordered_set<std::uint64_t, util::SeededHash> seen;  // orders already counted
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
    std::string merged;        // key of the group that took the last case over
    bool is_dirty = true;      // something changed since its lines were looked at
    util::BootTime look_at{};  // when time alone makes it due
  };
  struct Story {
    std::uint64_t root = 0;
    int rank = 0;
    util::BootTime last{};
    bool told = false;  // somebody in it has had its last line, perhaps
  };

  using Entries = std::map<Key, Entry>;
  using Groups = std::map<std::string, Group>;

  [[nodiscard]] Key key_of(const Detector& detector, Subject subject) const;
  [[nodiscard]] bool is_off(const Detector& detector, const Verdict& verdict) const;
  void be_due(Entry& entry, util::BootTime when);
  void end(Entry& entry, Ended how);
  Entries::iterator erase(Entries::iterator it);
  void judge(Entry& entry, bool final);
  void judge_pending(Entry& entry);
  [[nodiscard]] bool needs_younger_look(const Entry& entry, const Verdict& verdict) const;
  [[nodiscard]] std::vector<Entry*> take_due(bool final);
  void judge_due(bool final);
  void note_forgotten();
  void finish_ended();
  void erase_told_instants();
  std::vector<Finding> tell_all(bool final);
  void tell_group(Groups::iterator it, std::vector<Finding>& out);
  void move(Entry& entry, const Told& told, const std::string& wanted);
  [[nodiscard]] bool asks(const Entry& entry, const Verdict& verdict) const;
  [[nodiscard]] bool still_waits(const Entry& entry) const;
  bool answered(Entry& entry, const Verdict& verdict, bool& waiting);
  void ask(Entry& entry, const Verdict& verdict, bool& waiting);
  [[nodiscard]] Told tell(const Entry& entry, Verdict verdict) const;
  void place(Entry& entry, Told told);
  void count(Group& group, Entry& entry, const Told& told);
  void note_exit(Told& told, Subject subject) const;
  void leave(Entry& entry, Ended how);
  void take_out(Entry& entry);
  [[nodiscard]] std::string group_key(const Detector& detector, const Told& told) const;
  [[nodiscard]] static std::uint32_t netns_of(const Told& told);
  [[nodiscard]] std::uint32_t host_of(Subject subject) const;
  [[nodiscard]] static std::string culprit_key(const Told& told);
  void refresh(Group& group);
  const Told* witness(Group& group, Entry& oldest);
  void lines_of(Group& group, std::vector<Finding>& out);
  void condition_line(Group& group, std::vector<Finding>& out);
  void instant_line(Group& group, std::vector<Finding>& out, bool last);
  void emit(Group& group, Phase phase, std::vector<Finding>& out);
  [[nodiscard]] util::BootTime next_look(const Group& group) const;
  [[nodiscard]] util::Duration linger(const Group& group) const;
  [[nodiscard]] bool is_over(const Group& group) const;
  [[nodiscard]] static Finding alone(const Told& told);
  [[nodiscard]] Finding finding_of(const Group& group, Phase phase) const;
  void join_story(Group& group, Phase phase);
  void leave_story(Group& group);
  [[nodiscard]] bool story_goes_on(std::uint64_t root) const { return root != 0 && members_.contains(root); }
  [[nodiscard]] std::vector<Groups::iterator> groups_in_order(bool all);

  Facts& facts_;
  const Settings& settings_;
  std::size_t most_cases_;
  Entries entries_;
  std::set<std::pair<util::BootTime, Entry*>> due_;  // whose order within one moment decides nothing
  std::map<Key, Entry*> ending_;                     // ended, or told and instant
  Groups groups_;
  std::map<std::string, Story> stories_;
  std::unordered_map<std::uint64_t, std::size_t> members_;  // groups of each story, by its root
  std::map<std::string, std::uint64_t> opened_;
  std::map<std::string, std::uint64_t> evictions_;
  util::Duration most_behind_{};
  std::optional<Severity> worst_;
  std::uint64_t next_id_ = 1;
  Wants wants_;
  BoundedTable<std::uint32_t, util::BootTime> observed_;  // when asked for last, by process
  util::BootTime observing_since_{};                      // the second that asked_lately_ counts in
  std::size_t asked_lately_ = 0;
  std::size_t asked_before_ = 0;
};

// Views of facts, as findings print them.
ConnectionView view_of(const Connection& connection);
std::optional<ListenerView> view_of(const Listener* listener);

}  // namespace tcpwhy::core
