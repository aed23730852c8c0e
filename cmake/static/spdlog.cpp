// SPDX-License-Identifier: GPL-2.0-only
// What the distribution has of spdlog as a shared library only: its own source, instantiated for the static binary.
#include <spdlog/common-inl.h>
#include <spdlog/details/backtracer-inl.h>
#include <spdlog/details/log_msg-inl.h>
#include <spdlog/details/log_msg_buffer-inl.h>
#include <spdlog/details/null_mutex.h>
#include <spdlog/details/os-inl.h>
#include <spdlog/details/periodic_worker-inl.h>
#include <spdlog/details/registry-inl.h>
#include <spdlog/logger-inl.h>
#include <spdlog/pattern_formatter-inl.h>
#include <spdlog/sinks/ansicolor_sink-inl.h>
#include <spdlog/sinks/base_sink-inl.h>
#include <spdlog/sinks/sink-inl.h>
#include <spdlog/sinks/stdout_color_sinks-inl.h>
#include <spdlog/spdlog-inl.h>

#include <mutex>

namespace spdlog {

using details::console_mutex;
using details::console_nullmutex;

template class SPDLOG_API sinks::base_sink<std::mutex>;
template class SPDLOG_API sinks::base_sink<details::null_mutex>;
template class SPDLOG_API sinks::ansicolor_sink<console_mutex>;
template class SPDLOG_API sinks::ansicolor_sink<console_nullmutex>;
template class SPDLOG_API sinks::ansicolor_stderr_sink<console_mutex>;
template class SPDLOG_API sinks::ansicolor_stderr_sink<console_nullmutex>;
template class SPDLOG_API sinks::ansicolor_stdout_sink<console_mutex>;
template class SPDLOG_API sinks::ansicolor_stdout_sink<console_nullmutex>;

template SPDLOG_API std::shared_ptr<logger> stderr_color_mt<synchronous_factory>(const std::string&, color_mode);

}  // namespace spdlog
