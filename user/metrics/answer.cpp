// SPDX-License-Identifier: GPL-2.0-only
#include "user/metrics/answer.h"

#include <utility>

namespace tcpwhy::metrics {
namespace {

constexpr std::string_view kIndex =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>tcpwhy</title></head>\n"
    "<body><h1>tcpwhy</h1><p><a href=\"/metrics\">Metrics</a></p></body></html>\n";

Answer says(unsigned status, std::string_view text, std::string_view type = "text/plain; charset=utf-8") {
  return {status, type, std::make_shared<const std::string>(text)};
}

}  // namespace

Answer Answers::metrics(std::string_view accept, const std::shared_ptr<const Snapshot>& newest) {
  if (!newest) return says(503, "not attached yet\n");
  if (newest != rendered_) {
    rendered_ = newest;
    for (auto& text : texts_) text.reset();
  }
  const Exposition exposition = negotiate(accept);
  auto& text = texts_[static_cast<std::size_t>(exposition)];
  if (!text) text = std::make_shared<const std::string>(render(*newest, exposition));
  return {200, content_type(exposition), text};
}

Answer Answers::to(const Request& request, const std::shared_ptr<const Snapshot>& newest) {
  if (request.method != "GET" && request.method != "HEAD") return says(405, "only GET and HEAD\n");
  if (request.has_body) return says(413, "a request here has no body\n");
  const std::string_view path = request.target.substr(0, request.target.find('?'));
  if (path == "/metrics") return metrics(request.accept, newest);
  if (path == "/") return says(200, kIndex, "text/html; charset=utf-8");
  return says(404, "there is /metrics\n");
}

}  // namespace tcpwhy::metrics
