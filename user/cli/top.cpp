// SPDX-License-Identifier: GPL-2.0-only
// tcpwhy top: the pipeline of trace, or of report, before a screen.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <sstream>

#include "user/cli/live.h"
#include "user/cli/notes.h"
#include "user/cli/options.h"
#include "user/cli/output.h"
#include "user/cli/reading.h"
#include "user/cli/recorded.h"
#include "user/config/config.h"
#include "user/detect/detectors.h"
#include "user/explain/page.h"
#include "user/screen/screen.h"
#include "user/sink/page.h"
#include "user/top/layout.h"
#include "user/top/watch.h"

namespace tcpwhy::cli {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kLookEach = 1s;

int no_terminal(const util::Error& error) {
  (void)fail(error);
  return kUsage;
}

core::Outlets outlets_of(top::Watch& watch, Saver* saver) {
  core::Outlets outlets;
  outlets.findings = [&watch, saver](const std::vector<core::Finding>& findings) {
    watch.on(findings);
    if (saver) saver->on(findings);
  };
  outlets.event = [&watch](const abi::Event& event) { watch.on(event); };
  return outlets;
}

// The screen with what it shows: a model, the reader's view of it, and the log's last line.
class Stage {
 public:
  Stage(screen::Screen& screen, Notes& notes, const top::Watch& watch, const core::KernelNames& names)
      : screen_(screen), notes_(notes), watch_(watch), names_(names) {}

  top::View& view() { return view_; }
  void show(top::Model model) {
    model_ = std::move(model);
    draw();
  }
  void say(std::string note) {
    view_.note = std::move(note);
    draw();
  }
  // All keys that wait, the first for so long; what they ask of others, one at a time.
  top::Wish keys(util::Duration wait) {
    if (screen_.settle()) draw();
    while (const auto key = screen_.key(wait)) {
      wait = {};
      const top::Wish wish = top::press(view_, model_, *key, top::rows_on_screen(screen_.size()));
      draw();
      if (wish != top::Wish::none) return wish;
    }
    if (screen_.settle()) draw();
    if (auto note = notes_.take_newest()) say(std::move(*note));
    return top::Wish::none;
  }
  [[nodiscard]] bool lost() const { return screen_.lost(); }

 private:
  void draw() {
    if (view_.sheet == top::Sheet::ladder && view_.connection)
      model_.ladder = watch_.ladder_of(*view_.connection, names_);
    if (view_.sheet == top::Sheet::explain) explain();
    screen_.show(top::lay_out(model_, view_, screen_.size()));
  }

  // The page of the finding, as `tcpwhy explain` has it.
  void explain() {
    const auto row = std::find_if(model_.findings.begin(), model_.findings.end(),
                                  [this](const top::FindingRow& r) { return r.finding.id == view_.finding; });
    const explain::Page* const page = row == model_.findings.end() ? nullptr : explain::find(row->finding.slug);
    model_.explanation.clear();
    if (page == nullptr) return;
    sink::TextStyle style;
    style.columns = screen_.size().columns - std::min<std::size_t>(2, screen_.size().columns);
    std::istringstream text{sink::page_text(*page, style)};
    for (std::string line; std::getline(text, line);) model_.explanation.push_back(line);
  }

  screen::Screen& screen_;
  Notes& notes_;
  const top::Watch& watch_;
  const core::KernelNames& names_;
  top::View view_;
  top::Model model_;
};

util::Error terminal_is_gone() { return {"the terminal is gone", 0, ""}; }

// Live ----------------------------------------------------------------------------------------------------------------

class LiveTop {
 public:
  LiveTop(const TopOptions& options, Live& live, top::Watch& watch, Saver& saver)
      : options_(options), live_(live), watch_(watch), saver_(saver), census_(options.filter) {}

  util::Status begin(core::Pipeline& pipeline) {
    pipeline_ = &pipeline;
    auto screen = screen::Screen::open();
    if (!screen) return std::move(screen.error());
    screen_ = std::move(*screen);
    stage_.emplace(*screen_, notes_.emplace(), watch_, live_.source().names());
    return util::Done{};
  }
  // Between records; false where the run is to end.
  bool goes_on() {
    saver_.save_if_asked();
    if (Clock::now() >= next_look_) {
      next_look_ = std::max(next_look_ + kLookEach, Clock::now());
      look();
    }
    return obey(stage_->keys({})) && !stage_->lost();
  }
  // The terminal is as it was; whether it is there any more.
  bool end() {
    const bool lost = stage_ && stage_->lost();
    stage_.reset();
    screen_.reset();
    notes_.reset();
    return !lost;
  }

 private:
  void look() {
    if (stage_->view().paused) return;
    source::LiveSource& source = live_.source();
    const util::BootTime now = pipeline_->facts().now();
    const bool counted = source.count_held(now, [this](const core::HeldSocket& held) { census_.add(held); });
    top::Census census = census_.take();
    if (counted) watch_.count(std::move(census), now);
    stage_->show(watch_.look(*pipeline_, {source.sweep_costs().of_one_cpu, source.connections_seen()}));
  }
  bool obey(top::Wish wish) {
    if (wish == top::Wish::quit) return false;
    if (wish == top::Wish::pause) {
      stage_->view().paused = !stage_->view().paused;
      look();
      stage_->say(stage_->view().paused ? "the screen stands still, watching goes on; space lets it go" : "");
    }
    if (wish != top::Wish::save) return true;
    if (options_.recording.flight)
      saver_.ask();
    else
      stage_->say("there is no flight recorder: tcpwhy top --flight-recorder 10min has one");
    return true;
  }

  const TopOptions& options_;
  Live& live_;
  top::Watch& watch_;
  Saver& saver_;
  top::CensusTaker census_;
  core::Pipeline* pipeline_ = nullptr;  // once attached
  // In the order in which they begin; they end the other way round.
  std::optional<Notes> notes_;
  std::unique_ptr<screen::Screen> screen_;
  std::optional<Stage> stage_;
  Clock::time_point next_look_{};
};

int run_live(const TopOptions& options) {
  catch_save_signal(options.recording.flight.has_value());
  util::Result<Live> live = Live::open(options, true);
  if (!live) return fail(live.error());
  auto opened = make_recorder(options, live->settings());
  if (!opened) return fail(opened.error());
  recording::Recorder* const recorder = opened->get();
  Saver saver{recorder};
  top::Watch watch{live->settings().identity};
  LiveTop top{options, *live, watch, saver};

  LiveHooks hooks;
  hooks.outlets = outlets_of(watch, options.recording.save_on_critical ? &saver : nullptr);
  if (recorder) hooks.record = [recorder](std::span<const std::byte> record) { recorder->record(record); };
  hooks.attached = [&top](core::Pipeline& pipeline) { return top.begin(pipeline); };
  hooks.goes_on = [&top] { return top.goes_on(); };
  util::Result<LiveEnd> end = live->watch(hooks);
  const bool terminal = top.end();
  if (!end) return fail(end.error());

  const util::Status recorded = finish_recording(recorder, live->source().connections_seen(), end->summary);
  saver.tell_outcomes();
  const util::Status shown = terminal ? util::Status{util::Done{}} : util::Status{terminal_is_gone()};
  const util::Status& followed = end->status;
  int code = saver.failed() ? kFailed : kRan;
  for (const util::Status* status : {&recorded, &followed, &shown})
    if (!*status) code = fail(status->error());
  return code;
}

// A recording -----------------------------------------------------------------------------------------------------------

class Player {
 public:
  Player(Replay& replay, core::Pipeline& pipeline, top::Watch& watch, util::BootTime begin)
      : replay_(replay), pipeline_(pipeline), watch_(watch), at_(begin) {}

  util::Status run(Stage& stage, const TopOptions& options) {
    const Clock::time_point started = Clock::now();
    play_until(at_);
    stage.show(watch_.look(pipeline_));
    last_ = Clock::now();
    Clock::time_point next = last_ + kShowEach;
    while (!stop_asked() && (!options.run_for || Clock::now() - started < *options.run_for)) {
      const bool sought = seeking_;
      play(stage.view());
      stage.view().at_end = !more_;
      const bool arrived = sought && !seeking_;
      if (arrived || Clock::now() >= next) {
        next = Clock::now() + kShowEach;
        stage.show(watch_.look(pipeline_));
        if (arrived) stage.say(more_ ? "a new finding" : "no further finding: the recording is at its end");
      }
      // Busy playing, keys are only looked for.
      if (!obey(stage, stage.keys(behind_ ? util::Duration{} : util::Duration{50ms}))) break;
      if (stage.lost()) return terminal_is_gone();
    }
    return util::Done{};
  }

 private:
  static constexpr auto kShowEach = 500ms;
  static constexpr auto kSlice = 100ms;  // of the recording, at once
  static constexpr double kSlowest = 0.01;
  static constexpr double kFastest = 10000;

  // As much as is due, for a tenth of a second at most.
  void play(const top::View& view) {
    const Clock::time_point now = Clock::now();
    const util::Duration gone = now - last_;
    last_ = now;
    behind_ = false;
    if (!more_ || (view.paused && !seeking_)) return;
    target_ = std::max(target_, at_) + scaled(gone, view.speed);
    while (more_ && (seeking_ || at_ < target_)) {
      at_ = seeking_ ? at_ + kSlice : std::min(target_, at_ + kSlice);
      play_until(at_);
      if (seeking_ && (!more_ || watch_.opened(sought_) > opened_)) {
        seeking_ = false;
        target_ = at_;
        return;
      }
      if (Clock::now() - now > 100ms) {
        behind_ = seeking_ || at_ < target_;
        target_ = at_;  // what cannot be kept up with is not made up for
        return;
      }
    }
  }
  // At its end, what still waited for an answer is told.
  void play_until(util::BootTime time) {
    more_ = replay_.run_until(time);
    if (!more_) pipeline_.finish();
  }
  static util::Duration scaled(util::Duration d, double speed) {
    return util::Duration{static_cast<std::int64_t>(static_cast<double>(d.count()) * speed)};
  }
  bool obey(Stage& stage, top::Wish wish) {
    top::View& view = stage.view();
    switch (wish) {
      case top::Wish::quit:
        return false;
      case top::Wish::pause:
        view.paused = !view.paused;
        seeking_ = false;
        target_ = at_;
        stage.show(watch_.look(pipeline_));
        break;
      case top::Wish::seek:
        seeking_ = view.paused = true;
        sought_ = view.show_info ? core::Severity::info : core::Severity::warning;
        opened_ = watch_.opened(sought_);
        stage.say(more_ ? "seeking the next finding ..." : "the recording is at its end");
        break;
      case top::Wish::faster:
        view.speed = std::min(kFastest, view.speed * 2);
        stage.say({});
        break;
      case top::Wish::slower:
        view.speed = std::max(kSlowest, view.speed / 2);
        stage.say({});
        break;
      case top::Wish::save:
        stage.say("this is a recording: there is nothing to save");
        break;
      case top::Wish::none:
        break;
    }
    return true;
  }

  Replay& replay_;
  core::Pipeline& pipeline_;
  top::Watch& watch_;
  util::BootTime at_;        // played until here
  util::BootTime target_{};  // to be played until there
  Clock::time_point last_;
  bool more_ = true;
  bool behind_ = false;
  bool seeking_ = false;
  core::Severity sought_ = core::Severity::warning;
  std::uint64_t opened_ = 0;  // when seeking began
};

// The name of what is played, for the title.
std::string title_of(const std::vector<std::string>& files) {
  const std::string first = std::filesystem::path{files.front()}.filename().string();
  return files.size() == 1 ? first : fmt::format("{} and {} more", first, files.size() - 1);
}

int run_file(const TopOptions& options) {
  catch_signals(true);
  util::Result<Recordings> recordings = open_recordings(options.files);
  if (!recordings) {
    (void)fail(recordings.error());
    const int code = recordings.error().code;
    return code == EINVAL ? kUsage : code == EBADMSG ? kDamaged : kFailed;
  }
  if (const util::Status can = can_narrow(options.filter, *recordings); !can) {
    (void)fail(can.error());
    return kUsage;
  }
  const auto joined = join_hosts(options.files, *recordings);
  if (!joined) return fail(joined.error());
  const core::Settings settings = settings_of(options.filter, options.thresholds.effective(), *joined);
  top::Watch watch{settings.identity};
  core::Pipeline pipeline{settings, detect::make_all(settings.thresholds), outlets_of(watch, nullptr)};
  Replay replay{*recordings, joined->translators, pipeline, {}, false};
  util::Status played = util::Done{};
  {
    Notes notes;  // outlives the screen: what it kept is said then
    auto screen = screen::Screen::open();
    if (!screen) return no_terminal(screen.error());
    Stage stage{**screen, notes, watch, settings.names};
    stage.view().from_file = true;
    stage.view().speed = options.speed;
    stage.view().title = title_of(options.files);
    played = Player{replay, pipeline, watch, util::boot_time(recordings->first().meta().begins_ns)}.run(stage, options);
  }
  const int code = conclude(pipeline, replay, *recordings, {});
  return played ? code : fail(played.error());
}

}  // namespace

int run_top(const TopOptions& options) {
  if (const ThresholdOptions& said = options.thresholds; said.show) {
    std::cout << config::show(said.file, said.flags, said.file_name);
    return kRan;
  }
  if (const auto terminal = screen::check_terminal(); !terminal) return no_terminal(terminal.error());
  const bool recorded = !options.recording.path.empty() || options.recording.flight;
  if (!options.files.empty() && recorded)
    return no_terminal({"a recording that is played is not recorded again", 0,
                        "leave out --record and --flight-recorder, or the FILE"});
  TopOptions effective = options;
  if (options.recording.flight) {
    effective.recording.path = options.folder;
    effective.every_transition = true;  // as `record` holds them
  }
  return options.files.empty() ? run_live(effective) : run_file(effective);
}

}  // namespace tcpwhy::cli
