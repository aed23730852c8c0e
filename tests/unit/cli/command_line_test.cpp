// SPDX-License-Identifier: GPL-2.0-only
#include "user/cli/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <vector>

#include "user/detect/catalogue.h"
#include "user/kernel/features.h"

namespace tcpwhy::cli {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

using Words = std::vector<const char*>;

// The options of a trace command that must parse.
TraceOptions trace(Words words) {
  words.insert(words.begin(), {"tcpwhy", "trace"});
  CommandLine line;
  try {
    line.parse(static_cast<int>(words.size()), words.data());
  } catch (const CLI::ParseError& error) {
    ADD_FAILURE() << error.what();
  }
  EXPECT_TRUE(line.trace());
  return line.trace().value_or(TraceOptions{});
}

// What a command line that runs nothing is answered.
Answer answer(Words words) {
  words.insert(words.begin(), "tcpwhy");
  CommandLine line;
  try {
    line.parse(static_cast<int>(words.size()), words.data());
  } catch (const CLI::ParseError& error) {
    return line.answer(error);
  }
  ADD_FAILURE() << "was accepted";
  return {};
}

std::string refusal(Words words) {
  const Answer refused = answer(std::move(words));
  EXPECT_EQ(refused.exit_code, kUsage);
  EXPECT_EQ(refused.to_stdout, "");
  return refused.to_stderr;
}

ReportOptions report(Words words) {
  words.insert(words.begin(), {"tcpwhy", "report"});
  CommandLine line;
  try {
    line.parse(static_cast<int>(words.size()), words.data());
  } catch (const CLI::ParseError& error) {
    ADD_FAILURE() << error.what();
  }
  EXPECT_TRUE(line.report());
  return line.report().value_or(ReportOptions{});
}

TEST(Record, TakesAFileAndHowItIsBounded) {
  Words words{"tcpwhy", "record", "-o", "f", "--max-size", "64M", "--max-files", "10", "--force", "--port", "80"};
  CommandLine line;
  line.parse(static_cast<int>(words.size()), words.data());
  ASSERT_TRUE(line.trace());
  const TraceOptions& options = *line.trace();
  EXPECT_TRUE(options.quiet && options.every_transition && options.recording.force);
  EXPECT_EQ(options.recording.path, "f");
  EXPECT_EQ(options.recording.max_size, 64U << 20);
  EXPECT_EQ(options.recording.max_files, 10U);
  EXPECT_FALSE(options.recording.flight);
  EXPECT_THAT(refusal({"record"}), HasSubstr("--output"));
  EXPECT_THAT(refusal({"record", "-o", "f", "--max-files", "1"}), HasSubstr("--max-files"));
  EXPECT_THAT(refusal({"record", "-o", "f", "--save-on", "full-moon"}), HasSubstr("--save-on"));
  for (const auto& [option, value] : {std::pair{"--save-on", "critical"}, std::pair{"--save-interval", "1min"}})
    EXPECT_THAT(refusal({"record", "-o", "f", option, value}), HasSubstr("--flight-recorder")) << option;
}

TEST(Report, TakesFilesTimesAndWhatIfs) {
  const ReportOptions options = report({"a", "b", "--since", "03:10", "--threshold", "reset=off", "--connections",
                                        "--sort", "bytes", "--format", "json"});
  EXPECT_THAT(options.files, ElementsAre("a", "b"));
  EXPECT_EQ(options.since, "03:10");
  EXPECT_TRUE(options.thresholds.effective().off("reset"));
  EXPECT_TRUE(options.connections);
  EXPECT_EQ(options.sort, "bytes");
  EXPECT_EQ(options.format, Format::json);
  EXPECT_THAT(refusal({"report"}), HasSubstr("FILE"));
  EXPECT_THAT(refusal({"report", "a", "--sort", "beauty"}), HasSubstr("--sort"));
}

TEST(Report, MakesAPage) {
  const ReportOptions options = report({"a", "--format", "html", "-o", "a.html", "--force"});
  EXPECT_EQ(options.format, Format::html);
  EXPECT_EQ(options.output, "a.html");
  EXPECT_TRUE(options.force);
  EXPECT_THAT(refusal({"report", "a", "--format", "xml"}), HasSubstr("write text, json or html"));
}

TEST(Trace, DefaultsToEverything) {
  const TraceOptions options = trace({});
  EXPECT_FALSE(options.run_for);
  EXPECT_EQ(options.format, Format::text);
  EXPECT_FALSE(options.events);
  EXPECT_FALSE(options.severity);
  EXPECT_TRUE(options.filter.empty());
  EXPECT_TRUE(options.thresholds.effective().empty());
  EXPECT_FALSE(options.thresholds.show);
}

TEST(Trace, TakesEachOption) {
  const TraceOptions options = trace({"--for", "1.5s", "--format=json", "--events", "--severity", "critical",
                                      "--max-connections", "1000", "--buffer", "16M", "--btf", "/dev/null"});
  EXPECT_EQ(options.run_for, util::Duration{1'500ms});
  EXPECT_EQ(options.format, Format::json);
  EXPECT_TRUE(options.events);
  EXPECT_EQ(options.severity, core::Severity::critical);
  EXPECT_EQ(options.max_connections, 1000U);
  EXPECT_EQ(options.buffer_bytes, 16U << 20);
  EXPECT_EQ(options.btf_file, "/dev/null");
}

TEST(Trace, FiltersRepeat) {
  const TraceOptions options = trace({"--port", "80,443", "--port", "8080", "--pid", "11", "--comm", "nginx", "--comm",
                                      "a,b", "--local", "10.0.0.0/8", "--remote", "::1", "--netns", "4026531840"});
  EXPECT_THAT(options.filter.ports, ElementsAre(80, 443, 8080));
  EXPECT_THAT(options.filter.pids, ElementsAre(11U));
  EXPECT_THAT(options.filter.comms, ElementsAre("nginx", "a,b"));
  EXPECT_THAT(options.filter.netns, ElementsAre(4026531840U));
  ASSERT_EQ(options.filter.local.size(), 1U);
  EXPECT_EQ(options.filter.local[0].bits, 104U);
  ASSERT_EQ(options.filter.remote.size(), 1U);
}

TEST(Trace, ThresholdsRepeatAndTheLastWins) {
  const TraceOptions options =
      trace({"--threshold", "stall-unacked=5s", "--threshold", "reset=off", "--threshold", "stall-unacked=200ms"});
  const core::Thresholds& flags = options.thresholds.flags;
  ASSERT_EQ(flags.base.size(), 2U);
  EXPECT_EQ(flags.base.at("stall-unacked"), util::Duration{200ms});
  EXPECT_EQ(flags.base.at("reset"), std::nullopt);
  EXPECT_TRUE(flags.ports.empty());
}

TEST(Trace, AThresholdMayBeOfOneServicePort) {
  const TraceOptions options = trace({"--threshold", "5432:stall-unacked=5s", "--threshold", "5432:reset=off"});
  EXPECT_TRUE(options.thresholds.flags.base.empty());
  EXPECT_EQ(options.thresholds.flags.ports.at(5432).at("stall-unacked"), util::Duration{5s});
  EXPECT_EQ(options.thresholds.flags.ports.at(5432).at("reset"), std::nullopt);
}

// A file of its own, gone with the test.
class ConfigFile : public testing::Test {
 protected:
  ConfigFile() { close(mkstemp(path_.data())); }
  ~ConfigFile() override { std::remove(path_.c_str()); }
  const char* with(const std::string& text) {
    std::ofstream{path_} << text;
    return path_.c_str();
  }

 private:
  std::string path_ = testing::TempDir() + "tcpwhy-test-XXXXXX";
};

TEST_F(ConfigFile, IsReadAndFlagsAreLaidOverIt) {
  const char* path = with(R"(
    [thresholds]
    stall-unacked = "5s"
    reset = "off"
    [port.22.thresholds]
    stall-unacked = "9s"
  )");
  const TraceOptions options =
      trace({"--threshold", "stall-unacked=2s", "--config", path, "--threshold", "80:stall-unacked=3s"});
  EXPECT_EQ(options.thresholds.file_name, path);
  EXPECT_EQ(options.thresholds.file.of(*detect::find_in_catalogue("stall-unacked")), 5s);
  const core::Thresholds effective = options.thresholds.effective();
  EXPECT_EQ(effective.of(*detect::find_in_catalogue("stall-unacked")), 2s);
  EXPECT_EQ(effective.of(*detect::find_in_catalogue("stall-unacked"), 80), 3s);
  EXPECT_EQ(effective.of(*detect::find_in_catalogue("stall-unacked"), 22), 9s)
      << "a flag for all ports leaves a port's own word alone";
  EXPECT_TRUE(effective.off("reset"));
}

TEST_F(ConfigFile, IsShownWithoutARun) { EXPECT_TRUE(trace({"--show-config"}).thresholds.show); }

TEST_F(ConfigFile, AMistakeInItIsWrongUsageAndHasAPlace) {
  const char* path = with("[thresholds]\nreset = 5\n");
  EXPECT_EQ(refusal({"trace", "--config", path}),
            std::string{"tcpwhy: "} + path +
                ":2:9: reset is a number, where a text belongs: write reset = \"off\"\n(see tcpwhy trace --help)\n");
}

TEST_F(ConfigFile, IsOneAtMost) {
  const char* path = with("");
  EXPECT_THAT(refusal({"trace", "--config", path, "--config", path}),
              StartsWith("tcpwhy: --config: was given twice: put everything into one file\n"));
}

struct Mistake {
  Words words;
  const char* says;
};

TEST(Mistakes, SayWhatToWriteInstead) {
  const Mistake mistakes[] = {
      {{"trace", "--for", "10"}, "--for: '10' is not a duration: write a number above 0 and its unit"},
      {{"trace", "--for", "0s"}, "is not a duration"},
      {{"trace", "--for", "1s", "--for", "2s"}, "--for"},
      {{"trace", "--for"}, "--for"},
      {{"trace", "--format", "xml"}, "there is no format 'xml': write text or json"},
      {{"trace", "--format", "html"}, "made by tcpwhy report"},
      {{"trace", "--severity", "high"}, "there is no severity 'high': write info, warning or critical"},
      {{"trace", "--port", "0"}, "'0' is not a port: write a number from 1 to 65535"},
      {{"trace", "--port", "65536"}, "is not a port"},
      {{"trace", "--port", "http"}, "is not a port"},
      {{"trace", "--port", "80,x"}, "'x' is not a port"},
      {{"trace", "--pid", "-1"}, "--pid"},
      {{"trace", "--pid", "nginx"}, "--comm takes a name"},
      {{"trace", "--comm", "longer-than-the-kernel-keeps"}, "first 15 characters"},
      {{"trace", "--local", "10.0.0.0/33"}, "is not a prefix: after the slash goes a length from 0 to 32"},
      {{"trace", "--remote", "web1"}, "'web1' is not an address: write an IPv4 or IPv6 address"},
      {{"trace", "--cgroup", "no/such/group"}, "no cgroup 'no/such/group'"},
      {{"trace", "--netns", "no-such-namespace"}, "write a name of `ip netns list`"},
      {{"trace", "--netns", "pid:0"}, "'0' is not a process id"},
      {{"trace", "--netns", "../x"}, "is not the name of a network namespace"},
      {{"trace", "--threshold", "reset"}, "write FINDING=DURATION or FINDING=off"},
      {{"trace", "--threshold", "stall-unacked=5"}, "'5' is not a duration"},
      {{"trace", "--threshold", "reset=1s"}, "it can only be switched off: reset=off"},
      {{"trace", "--threshold", "80:reset=1s"}, "it can only be switched off: 80:reset=off"},
      {{"trace", "--threshold", "70000:reset=off"}, "'70000' is not a port"},
      {{"trace", "--threshold", "stall-unackd=1s"}, "did you mean stall-unacked?"},
      {{"trace", "--config", "/no/such/file"},
       "--config: cannot read '/no/such/file': No such file or directory: name"},
      {{"trace", "--config", "/"}, "cannot read '/': Is a directory"},
      {{"trace", "--config", ""}, "cannot read ''"},
      {{"trace", "--config"}, "--config"},
      {{"trace", "--max-connections", "0"}, "is not a size"},
      {{"trace", "--buffer", "3M"}, "is not a power of two"},
      {{"trace", "--buffer", "1k"}, "is not a power of two from 256k"},
      {{"trace", "--btf", "/no/such/file"}, "cannot read /no/such/file"},
      {{"trace", "--no-such-option"}, "--no-such-option"},
      {{"trace", "word"}, "word"},
      {{"trcae"}, "there is no command 'trcae': the commands are trace"},
      {{"--no-such-option"}, "there is no option '--no-such-option' before the command"},
  };
  for (const Mistake& mistake : mistakes) {
    const std::string text = refusal(mistake.words);
    EXPECT_THAT(text, StartsWith("tcpwhy: "));
    EXPECT_THAT(text, HasSubstr(mistake.says));
    EXPECT_THAT(text, HasSubstr("--help)\n"));
  }
}

TEST(Mistakes, AnUnknownFindingListsTheKnownOnes) {
  const std::string text = refusal({"trace", "--threshold", "stall=1s"});
  EXPECT_THAT(text, HasSubstr("there is no finding 'stall'"));
  for (const detect::FindingSpec& row : detect::catalogue()) {
    EXPECT_THAT(text, HasSubstr(std::string{row.slug}));
  }
}

TEST(Mistakes, NoCommandShowsTheHelp) { EXPECT_THAT(refusal({}), HasSubstr("Commands:")); }

TEST(Help, OfTheProgramNamesCommandsAndExitCodes) {
  const Answer help = answer({"--help"});
  EXPECT_EQ(help.exit_code, kRan);
  EXPECT_EQ(help.to_stderr, "");
  for (const char* part : {"trace", "Examples:", "Exit codes:", "--version"}) {
    EXPECT_THAT(help.to_stdout, HasSubstr(part));
  }
}

TEST(Help, OfTraceNamesEveryFindingAndNeverWrapsATerminal) {
  const std::string help = answer({"trace", "--help"}).to_stdout;
  for (const detect::FindingSpec& row : detect::catalogue()) {
    EXPECT_THAT(help, HasSubstr(std::string{row.slug}));
  }
  for (const char* part :
       {"--port", "--cgroup", "--netns", "--threshold", "--config", "--show-config", "Examples:", "Exit codes:"}) {
    EXPECT_THAT(help, HasSubstr(part));
  }
  std::istringstream lines{help};
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(line.size(), 120U) << line;
  }
}

TEST(Version, TellsCommitLibraryAndFormats) {
  const Answer version = answer({"--version"});
  EXPECT_EQ(version.exit_code, kRan);
  EXPECT_THAT(version.to_stdout,
              testing::MatchesRegex("tcpwhy [0-9]+\\.[0-9]+\\.[0-9]+\ncommit [0-9a-z-]+\nlibbpf 1\\.[0-9]+\n"
                                    "recording format [0-9]+\nfindings tcpwhy\\.finding/[0-9]+\n"));
}

TEST(Doctor, TakesAFormatAFileAndASelfTest) {
  Words words{"tcpwhy", "doctor", "--format", "json", "--self-test", "--btf", "/proc/self/stat"};
  CommandLine line;
  line.parse(static_cast<int>(words.size()), words.data());
  ASSERT_TRUE(line.doctor());
  EXPECT_EQ(line.doctor()->format, Format::json);
  EXPECT_TRUE(line.doctor()->self_test);
  EXPECT_EQ(line.doctor()->btf_file, "/proc/self/stat");
  EXPECT_FALSE(line.trace());
}

TEST(Doctor, RefusesAsTheOthersDo) {
  EXPECT_THAT(refusal({"doctor", "--format", "xml"}), HasSubstr("write text or json"));
  EXPECT_THAT(refusal({"doctor", "--btf", "/nonexistent"}), HasSubstr("cannot read /nonexistent"));
  EXPECT_THAT(refusal({"doctor", "--port", "80"}), HasSubstr("see tcpwhy doctor --help"));
}

// The table of kernel/features.cpp knows findings by name only: it is a layer below them.
TEST(Doctor, EveryLossIsOfAFindingThatThereIs) {
  for (const kernel::Feature& feature : kernel::features()) {
    for (const kernel::Loss& loss : feature.losses) {
      EXPECT_TRUE(loss.finding == "*" || detect::find_in_catalogue(loss.finding)) << loss.finding;
      EXPECT_EQ(loss.why.empty(), loss.left == kernel::Left::nothing) << loss.finding;
    }
  }
}

TEST(CommandLine, CheckHasItsOwnDefaults) {
  Words words{"tcpwhy", "check"};
  CommandLine line;
  line.parse(static_cast<int>(words.size()), words.data());
  ASSERT_TRUE(line.check());
  EXPECT_EQ(line.check()->run_for, util::Duration{10s});
  EXPECT_EQ(line.check()->fail_on, core::Severity::warning);
  EXPECT_FALSE(line.check()->first);
  EXPECT_EQ(line.failure_code(), kUnknown);
}

TEST(CommandLine, CheckTakesFilesAndFilters) {
  Words words{"tcpwhy", "check", "a.tcpwhy", "b.tcpwhy", "--fail-on", "critical", "--first", "--port", "443"};
  CommandLine line;
  line.parse(static_cast<int>(words.size()), words.data());
  EXPECT_THAT(line.check()->files, ElementsAre("a.tcpwhy", "b.tcpwhy"));
  EXPECT_EQ(line.check()->fail_on, core::Severity::critical);
  EXPECT_TRUE(line.check()->first);
  EXPECT_THAT(line.check()->filter.ports, ElementsAre(443));
}

// 2 would be read as critical.
TEST(CommandLine, WrongUsageOfCheckIsUnknownAndSaidOnBoth) {
  const Answer text = answer({"check", "--for", "banana"});
  EXPECT_EQ(text.exit_code, kUnknown);
  EXPECT_THAT(text.to_stdout, StartsWith("TCPWHY UNKNOWN - wrong usage: "));
  EXPECT_THAT(text.to_stderr, HasSubstr("see tcpwhy check --help"));
  const Answer json = answer({"check", "--format", "json", "--bogus"});
  EXPECT_EQ(json.exit_code, kUnknown);
  EXPECT_THAT(json.to_stdout, StartsWith("{\"schema\":\"tcpwhy.check/1\""));
  EXPECT_EQ(answer({"check", "--for", "1s", "some.tcpwhy"}).exit_code, kUnknown);
  EXPECT_EQ(answer({"--bogus", "check"}).exit_code, kUnknown);
  EXPECT_EQ(answer({"check", "--help"}).exit_code, kRan);
}

TEST(CommandLine, TopWatchesOrPlays) {
  const auto top = [](Words words) {
    words.insert(words.begin(), {"tcpwhy", "top"});
    CommandLine line;
    EXPECT_NO_THROW(line.parse(static_cast<int>(words.size()), words.data()));
    EXPECT_TRUE(line.top());
    return line.top().value_or(TopOptions{});
  };
  EXPECT_TRUE(top({}).files.empty());
  EXPECT_EQ(top({"--port", "443"}).filter.ports, std::vector<std::uint16_t>{443});
  const TopOptions played = top({"a.tcpwhy", "--speed", "2.5"});
  EXPECT_THAT(played.files, ElementsAre("a.tcpwhy"));
  EXPECT_EQ(played.speed, 2.5);
  const TopOptions holding = top({"--flight-recorder", "10min", "-o", "/tmp"});
  EXPECT_EQ(holding.recording.flight, 10min);
  EXPECT_EQ(holding.folder, "/tmp");
  EXPECT_THAT(refusal({"top", "--speed", "0"}), HasSubstr("--speed"));
  EXPECT_THAT(refusal({"top", "-o", "/tmp"}), HasSubstr("--flight-recorder"));
  EXPECT_THAT(refusal({"top", "--flight-recorder", "1min", "--record", "x"}), HasSubstr("--record"));
}

}  // namespace
}  // namespace tcpwhy::cli
