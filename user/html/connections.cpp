// SPDX-License-Identifier: GPL-2.0-only
#include "user/html/connections.h"

#include <fmt/format.h>

#include "user/core/host.h"
#include "user/html/values.h"

namespace tcpwhy::html {
namespace {

std::string id_of(const core::LedgerRow& row, const core::RunIdentity& run) {
  return row.number ? fmt::format("{:0<8}-{}", run.boot_id_of(row.number_host).substr(0, 8), row.number) : "";
}

// [address, port, process, state, bytes sent, retransmits, errno, namespace, host]
Json end_json(const util::Endpoint& at, const core::LedgerEnd& end, const core::RunIdentity& run, People& people) {
  return {util::to_string(at.addr),
          at.port,
          people.number_of(end.owner),
          end.seen ? abi::to_string(end.state) : std::string_view{},
          end.bytes_sent(),
          end.retransmits,
          end.err,
          core::plain_netns(end.netns),
          end.seen ? run.host_name(end.host) : ""};
}

}  // namespace

std::string connections_json(const std::vector<const core::LedgerRow*>& rows, const core::RunIdentity& run,
                             People& people) {
  std::string list = "[";
  for (const core::LedgerRow* row : rows) {
    list += list.size() > 1 ? "," : "";
    list += text_of({id_of(*row, run), micros(row->first, run.wall), micros(row->last, run.wall), row->events,
                     row->worst ? core::to_string(*row->worst) : std::string_view{}, row->slug,
                     end_json(row->client, row->client_end, run, people),
                     end_json(row->server, row->server_end, run, people)});
  }
  return list + "]";
}

}  // namespace tcpwhy::html
