// SPDX-License-Identifier: GPL-2.0-only
#include "user/doctor/diagnosis.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "user/detect/catalogue.h"
#include "user/detect/detectors.h"
#include "user/source/live_log.h"

namespace tcpwhy::doctor {
namespace {

using host::Capability;
using kernel::Left;

constexpr std::string_view kKernel = "kernel", kRights = "rights", kNotNeeded = "not needed";
// The ring buffer and the tables, rounded up: what counts against RLIMIT_MEMLOCK before 5.11.
constexpr std::uint64_t kLockedBytes = 64U << 20;

// Findings that look at what processes do: their wait channel, their calls, their files, their namespace's counters.
constexpr std::string_view kOfProcesses[] = {"accept-queue-overflow", "stall-zero-window", "stall-unread",
                                             "stall-awaiting-reply", "close-wait-leak"};

class Examination {
 public:
  Examination(const KernelTypes& types, const host::Surroundings& surroundings) : types_(types) {
    result_.surroundings = surroundings;
  }

  Diagnosis run() {
    look_at_types();
    if (types_.btf)
      look_at_features(kernel::Survey{*types_.btf});
    else
      give_up_findings();
    look_at_lockdown();
    look_at_capabilities();
    look_at_namespaces();
    look_at_memlock();
    look_at_what_is_not_needed();
    judge();
    return std::move(result_);
  }

 private:
  [[nodiscard]] const host::Surroundings& host() const { return result_.surroundings; }
  void note(Need need) { result_.needs.push_back(std::move(need)); }
  void advise(std::string line) { result_.advice.push_back(std::move(line)); }

  void look_at_types();
  [[nodiscard]] std::string found_of(const kernel::Offer& offer) const;
  void look_at_features(const kernel::Survey& survey);
  void give_up_findings();
  void look_at_lockdown();
  void look_at_capabilities();
  void look_at_process_rights();
  void look_at_namespaces();
  void look_at_memlock();
  void look_at_what_is_not_needed();
  void weaken(std::string_view need, std::string_view why);
  void judge();

  const KernelTypes& types_;
  Diagnosis result_;
};

void Examination::look_at_types() {
  const std::string name = types_.file.empty() ? "BTF" : "BTF (--btf)";
  if (!types_.btf) {
    const util::Error& error = types_.btf.error();
    note({kKernel, name, State::missing, true, error.what});
    advise(error.hint);
    return;
  }
  if (types_.is_the_kernels_own == false) {
    note({kKernel, name, State::missing, true, types_.file + " is not that of the running kernel"});
    advise("leave --btf out: this kernel has BTF of its own (what is said above is of the kernel of that file)");
    return;
  }
  note({kKernel, name, State::ok, true, types_.file.empty() ? kernel::kKernelBtf : types_.file});
  if (types_.file.empty() || types_.is_the_kernels_own) return;
  note({kKernel, "the kernel's own BTF", State::missing, true, "tracepoint programs are attached by its type ids"});
  advise("mount /sys, or boot a kernel with CONFIG_DEBUG_INFO_BTF=y: --btf cannot stand in for all of it");
}

std::string Examination::found_of(const kernel::Offer& offer) const {
  const kernel::Feature& feature = offer.feature;
  if (offer.broken) return fmt::format("not used: {}; {}", feature.fault.what, feature.lost);
  if (!offer.present) return std::string{feature.lost};
  if (feature.kind != kernel::HookKind::tracepoint || feature.program.empty()) return "";
  const unsigned has = types_.btf->tracepoint_arguments(feature.hook).value_or(0);
  return fmt::format("{} argument{}, {} used", has, has == 1 ? "" : "s", feature.arguments);
}

void Examination::look_at_features(const kernel::Survey& survey) {
  bool older = false;
  std::set<std::string> told;
  for (const kernel::Offer& offer : survey.offers()) {
    const kernel::Feature& row = offer.feature;
    if (!told.insert(kernel::describe(row)).second) continue;  // two programs of one hook
    note({kKernel, kernel::describe(row), offer.present ? State::ok : State::missing, kernel::is_required(row),
          found_of(offer), offer.broken ? std::string{} : std::string{row.since}});
    older = older || (!offer.present && !row.losses.empty());
  }
  if (older) advise("a newer kernel has what is missing: each line above says since which release");
  for (const detect::FindingSpec& row : detect::catalogue()) {
    const kernel::Prospect prospect = kernel::prospect_of(row.slug, survey);
    FindingProspect finding{row.slug, prospect.left, {}, {}};
    for (const auto& blame : prospect.blames) {
      finding.without.push_back(kernel::describe(blame.feature));
      // Where nothing is left, what else would be missing is of no interest.
      if (prospect.left == Left::nothing && blame.loss.left != Left::nothing) continue;
      const std::string why{blame.loss.why.empty() ? blame.feature.lost : blame.loss.why};
      if (std::find(finding.reasons.begin(), finding.reasons.end(), why) == finding.reasons.end())
        finding.reasons.push_back(why);
    }
    result_.findings.push_back(std::move(finding));
  }
}

void Examination::give_up_findings() {
  for (const detect::FindingSpec& row : detect::catalogue())
    result_.findings.push_back({row.slug, Left::nothing, {"without BTF no program can be loaded"}, {"BTF"}});
}

void Examination::look_at_lockdown() {
  const auto& mode = host().lockdown;
  if (!mode)
    return note({kKernel, "lockdown", State::unseen, true,
                 "none in this kernel, or securityfs is not mounted; in confidentiality mode nothing works"});
  const bool ok = *mode != "confidentiality";
  note({kKernel, "lockdown", ok ? State::ok : State::missing, true,
        ok ? *mode : "confidentiality mode: no program may read kernel memory"});
  if (!ok) advise("boot with lockdown=integrity or without lockdown");
}

void Examination::look_at_capabilities() {
  const host::Capabilities& held = host().capabilities;
  const bool ok = held.may_trace();
  note({kRights, "CAP_BPF and CAP_PERFMON", ok ? State::ok : State::missing, true,
        ok ? "" : "without them the kernel loads no tracing program"});
  if (!ok)
    advise(
        "run as root, or with CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH: `man tcpwhy`, section "
        "PRIVILEGES; what is said of findings holds for a run with those rights");
  look_at_process_rights();
  if (host().system_calls_filtered)
    note({kRights, "seccomp", State::unseen, true,
          "a filter is in force; --self-test tells whether it lets bpf(2) through"});
}

void Examination::look_at_process_rights() {
  constexpr std::pair<Capability, std::string_view> kSights[] = {
      {Capability::sys_ptrace, "where other users' processes wait, and the counters of their namespaces, are not seen"},
      {Capability::dac_read_search,
       "the open files of other users' processes, and the calls they sit in, are not seen"},
  };
  std::string lacking;
  for (const auto& [capability, unseen] : kSights) {
    const bool has = host().capabilities.has(capability);
    const std::string name = host::name_of(capability);
    note({kRights, name, has ? State::ok : State::missing, false, has ? "" : std::string{unseen}});
    if (has || !host().capabilities.may_trace()) continue;
    weaken(name, unseen);
    lacking += (lacking.empty() ? "" : " and ") + name;
  }
  if (!lacking.empty()) advise(fmt::format("give it {}, too, where the causes of stalls matter", lacking));
}

void Examination::weaken(std::string_view need, std::string_view why) {
  for (FindingProspect& finding : result_.findings) {
    if (std::find(std::begin(kOfProcesses), std::end(kOfProcesses), finding.finding) == std::end(kOfProcesses))
      continue;
    finding.left = std::max(finding.left, Left::inferred);
    finding.reasons.emplace_back(why);
    finding.without.emplace_back(need);
  }
}

void Examination::look_at_namespaces() {
  const bool user = host().in_first_user_namespace;
  note({kRights, "user namespace", user ? State::ok : State::missing, true,
        user ? "the host's own" : "not the host's own: capabilities in it do not count"});
  if (!user) advise("run on the host itself, or in a container without a user namespace of its own");
  const bool pid = host().in_first_pid_namespace;
  note({kRights, "process namespace", pid ? State::ok : State::missing, false,
        pid ? "the host's own" : "not the host's own: processes outside it cannot be named"});
  if (!pid) {
    weaken("process namespace", "processes outside this process namespace are not named");
    advise("share the host's process namespace (docker run --pid=host, hostPID: true)");
  }
  if (!host().processes_hidden) return;
  note({kRights, "/proc", State::missing, false, "other users' processes are hidden (hidepid)"});
  weaken("/proc", "processes of other users are not seen");
  advise("mount /proc without hidepid for whoever runs tcpwhy, or give it CAP_SYS_PTRACE");
}

void Examination::look_at_memlock() {
  if (!types_.btf) return;
  if (!types_.btf->has_struct("bpf_map_memory"))  // until 5.10: what struct bpf_map was charged with
    return note({kRights, "RLIMIT_MEMLOCK", State::ok, false, "does not count on this kernel"});
  const bool ok =
      !host().memlock || *host().memlock >= kLockedBytes || host().capabilities.has(Capability::sys_resource);
  note({kRights, "RLIMIT_MEMLOCK", ok ? State::ok : State::missing, true,
        ok ? "is raised for the run, or high enough"
           : fmt::format("{} bytes, and no CAP_SYS_RESOURCE to raise it", *host().memlock)});
  if (!ok) advise("`ulimit -l unlimited` (LimitMEMLOCK=infinity in a unit), or give it CAP_SYS_RESOURCE");
}

void Examination::look_at_what_is_not_needed() {
  note({kNotNeeded, "tracefs", State::irrelevant, false, host().tracefs ? "is mounted" : "is not mounted"});
  const auto sysctl = [this](const char* name, const std::optional<std::string>& value, const char* why) {
    note({kNotNeeded, name, State::irrelevant, false, fmt::format("{}: {}", value.value_or("not there"), why)});
  };
  sysctl("kernel.perf_event_paranoid", host().perf_event_paranoid, "tcpwhy opens no perf events");
  sysctl("kernel.unprivileged_bpf_disabled", host().unprivileged_bpf_disabled, "CAP_BPF is above it");
}

void Examination::judge() {
  const auto& needs = result_.needs;
  const auto& findings = result_.findings;
  const auto missing = [](const Need& need) { return need.state == State::missing; };
  const bool nothing_left =
      std::all_of(findings.begin(), findings.end(), [](const FindingProspect& f) { return f.left == Left::nothing; });
  if (nothing_left || std::any_of(needs.begin(), needs.end(), [&](const Need& n) { return missing(n) && n.required; }))
    result_.verdict = Verdict::cannot_run;
  else if (std::any_of(findings.begin(), findings.end(), [](const FindingProspect& f) { return f.left != Left::all; }))
    result_.verdict = Verdict::degraded;
}

}  // namespace

std::string_view to_string(State state) {
  switch (state) {
    case State::ok:
      return "ok";
    case State::missing:
      return "missing";
    case State::unseen:
      return "unseen";
    case State::irrelevant:
      return "irrelevant";
  }
  return "";
}

std::string_view to_string(Left left) {
  switch (left) {
    case Left::all:
      return "yes";
    case Left::inferred:
      return "inferred";
    case Left::partly:
      return "partly";
    case Left::nothing:
      return "no";
  }
  return "";
}

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::all:
      return "all";
    case Verdict::degraded:
      return "degraded";
    case Verdict::cannot_run:
      return "cannot-run";
  }
  return "";
}

KernelTypes read_types(const std::string& file) {
  source::capture_libbpf_messages();
  KernelTypes types{file, kernel::Btf::open(file), std::nullopt};
  if (file.empty() || !types.btf) return types;
  if (const auto own = kernel::Btf::open("")) types.is_the_kernels_own = types.btf->is_same_as(*own);
  return types;
}

Diagnosis diagnose(const KernelTypes& types, const host::Surroundings& surroundings) {
  return Examination{types, surroundings}.run();
}

}  // namespace tcpwhy::doctor
