// SPDX-License-Identifier: GPL-2.0-only
#include "user/html/people.h"

#include "user/core/host.h"
#include "user/html/values.h"

namespace tcpwhy::html {
namespace {

void put_stand(Json& json, const abi::ProcessState& stand) {
  json["state"] = std::string{stand.state};
  if (!stand.wait_channel.empty()) json["wait_channel"] = stand.wait_channel;
  if (!stand.cgroup.empty()) json["cgroup"] = stand.cgroup;
  json["threads"] = stand.threads;
  if (stand.open_fds) json["open_fds"] = *stand.open_fds;
  if (stand.fd_limit) json["fd_limit"] = *stand.fd_limit;
}

}  // namespace

void People::on(const abi::Event& event) {
  if (const auto* stand = std::get_if<abi::ProcessState>(&event.body)) stands_[stand->pid] = *stand;
}

int People::number_of(const std::optional<core::Process>& process) {
  if (!process || process->pid == 0) return kNobody;
  const auto [entry, is_new] = numbers_.try_emplace({process->pid, process->comm}, static_cast<int>(rows_.size()));
  if (is_new) rows_.push_back({*process});
  return entry->second;
}

void People::count(const core::LedgerEnd& end) {
  const int number = number_of(end.owner);
  if (number == kNobody) return;
  Row& row = rows_[static_cast<std::size_t>(number)];
  row.connections += 1;
  row.bytes_sent += end.bytes_sent();
  row.retransmits += end.retransmits;
}

void People::count(const core::LedgerRow& row) {
  count(row.client_end);
  count(row.server_end);
}

std::string People::json() const {
  Json list = Json::array();
  for (const Row& row : rows_) {
    Json json = {{"pid", core::plain_pid(row.process.pid)},
                 {"comm", row.process.comm},
                 {"host", row.process.host.empty() ? run_.host : row.process.host},
                 {"connections", row.connections},
                 {"bytes_sent", row.bytes_sent},
                 {"retransmits", row.retransmits}};
    if (const auto stand = stands_.find(row.process.pid); stand != stands_.end()) put_stand(json, stand->second);
    list.push_back(std::move(json));
  }
  return text_of(list);
}

}  // namespace tcpwhy::html
