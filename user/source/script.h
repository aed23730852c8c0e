// SPDX-License-Identifier: GPL-2.0-only
// The source that tests use: lines of text in, the records of the ABI out, so that a test reads like the incident.
//
//   at 0ms    listen srv 127.0.0.1:8080 by lighttpd[2112] limit 4
//   at 10ms   connect cli 127.0.0.1:50000 -> 127.0.0.1:8080 by curl[4410]
//   at 10ms   established cli
//   at 38ms   send cli 5
//   at 1s     synack-retransmit srv from cli timer acked timeouts 0 queue 5
//   at 1.2s   timeout cli
//   until 5s
//
// One line is one moment of a socket's life. `at` is the time since the trace began; without it a line happens right
// after the one before. # begins a comment. A socket has a name, and keeps what a line says of it (`queue 5`,
// `unread 100`) until another line says otherwise; ages grow by themselves. The clock runs by itself: ticks each 100 ms
// with the end of a walk before each, the end of a sweep each 500 ms.
//
// Sockets   listen NAME ADDR by COMM[PID]             connect NAME ADDR -> ADDR by COMM[PID]
//           child NAME of CLIENT [on LISTENER] [by]   socket NAME ADDR -> ADDR [by]   (one nobody saw begin)
//           isns OWN PEER, of a socket: for what has its other end in another script
// Silent    send NAME BYTES   receive NAME BYTES   read NAME   ack NAME   set NAME ...
// States    established NAME   state NAME STATE   close NAME; a record where the kernel side finds it telling
//           (FROM -> CLOSE always), else an ordinary transition; [by COMM[PID]] [exiting status N | exiting signal N]
//           [last-success AGO] [telling]
// Events    timeout NAME   syn-retransmit NAME   retransmit NAME fast | tail-loss | probe
//           synack-retransmit LISTENER from CLIENT [timer | duplicate] [acked] [timeouts N] [retrans N]
//           overflow LISTENER from CLIENT [reason R]         (the listener refused a segment of the client)
//           drop NAME REASON [payload N]                     (a firewall dropped a segment that NAME sent)
//           reset-sent NAME | LISTENER to CLIENT | none to CLIENT, [reason R] [trigger syn | trigger BYTES]
//           reset-received NAME   refuse CLIENT [silently]   error NAME ERRNO   lost COUNT KIND [WAY]
// Answers   seed NAME [by]   seed-end   seeding   (first of all: the walk at start goes on until seed-end)
//           process PID state C [threads N] [fds N] [fd-limit N] [in CHANNEL] [cgroup PATH]
//           [cpu TIME] [polling THREADS] [read AGO]
//           clock ahead | back TIME                (somebody sets the wall clock, which was 0 at boot)
//           mib COUNTER VALUE...                   (ListenOverflows and the like, of the namespace)
//           host memory PAGES of LOW PRESSURE HIGH orphans N of LIMIT
// Sweeps    sample NAME   sweep   sweeps on | confirm | off   (what is in trouble or `watched`, now or each 500 ms; confirm:
//           as the kernel side does, a sample where something changed, else the id in a Still)
// Clock     tick   until TIME
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "user/core/kernel_names.h"
#include "user/util/result.h"
#include "user/util/time.h"

namespace tcpwhy::source {

struct ScriptOptions {
  bool ordinary = true;  // ordinary transitions, too
};

struct Script {
  std::vector<std::vector<std::byte>> records;
};

// An error names the line and what was expected there.
util::Result<Script> parse_script(std::string_view text, const ScriptOptions& options = {});

// The names that scripts use for drop and reset reasons, with numbers that no kernel changes.
core::KernelNames script_names();
// When a line "at since_start" happens.
util::BootTime script_time(util::Duration since_start);

}  // namespace tcpwhy::source
