// SPDX-License-Identifier: GPL-2.0-only
#include "user/cli/metrics.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

#include "user/cli/logging.h"
#include "user/cli/privileges.h"

namespace tcpwhy::cli {
namespace {

constexpr std::chrono::seconds kEach{1};

double seconds_of(std::chrono::system_clock::time_point time) {
  return std::chrono::duration<double>{time.time_since_epoch()}.count();
}
double seconds_of(util::Duration duration) { return std::chrono::duration<double>{duration}.count(); }
double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

// CPU time and memory of this process.
void measure_self(metrics::RunFigures& figures) {
  rusage use{};
  if (::getrusage(RUSAGE_SELF, &use) == 0) figures.cpu_s = seconds_of(use.ru_utime) + seconds_of(use.ru_stime);
  std::uint64_t size = 0;
  std::uint64_t resident = 0;
  if (std::ifstream{"/proc/self/statm"} >> size >> resident)
    figures.resident_bytes = resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

util::Result<std::unique_ptr<Metrics>> Metrics::open(const TraceOptions& options) {
  if (!options.metrics) return std::unique_ptr<Metrics>{};
  auto server = metrics::Server::open(*options.metrics, keep_no_rights);
  if (!server) return std::move(server.error());
  const util::Endpoint at = (*server)->at();
  log::info(fmt::format("metrics: http://{}/metrics", util::to_string(at)));
  if (!at.addr.is_loopback())
    log::warn(fmt::format("metrics: whoever reaches {} can read them; there is no password and no encryption",
                          util::to_string(at)));
  return std::unique_ptr<Metrics>{new Metrics{std::move(*server), options}};
}

void Metrics::publish(const core::Pipeline& pipeline, const source::LiveSource& source,
                      const recording::Recorder* recorder) {
  const auto now = std::chrono::steady_clock::now();
  if (now < next_) return;
  next_ = now + kEach;
  if (started_ == decltype(started_){}) started_ = std::chrono::system_clock::now();
  metrics::RunFigures figures;
  const source::SweepCosts costs = source.sweep_costs();
  figures.sweeps = costs.sweeps;
  figures.sweep_walk_s = seconds_of(costs.walks);
  figures.sweep_tracked_s = seconds_of(costs.tracked);
  figures.sweep_interval_s = seconds_of(costs.interval);
  figures.most_connections = most_connections_;
  if (recorder) figures.recording = {recorder->bytes(), recorder->lost()};
  measure_self(figures);
  figures.started_s = seconds_of(started_);
  figures.now_s = seconds_of(std::chrono::system_clock::now());
  server_->publish(collector_.take(pipeline, figures));
}

}  // namespace tcpwhy::cli
