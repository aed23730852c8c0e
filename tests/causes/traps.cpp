// SPDX-License-Identifier: GPL-2.0-only
// Incidents among processes that are busy and have nothing to do with them: the softirq often runs in one of theirs.
#include <signal.h>

#include "scenarios.hpp"

namespace {

using namespace cause;

class Crowd {
 public:
  explicit Crowd(const Stage& stage) {
    burners_.push_back(spawn_burner("burner-0"));
    burners_.push_back(spawn_burner("burner-1"));
    chatters_.push_back(spawn_chatter("chatter-0", stage.server_addr, stage.client_ns, stage.server_ns));
    chatters_.push_back(spawn_chatter("chatter-1", stage.server_addr, stage.client_ns, stage.server_ns));
    chatters_.push_back(spawn_chatter("chatter-lo", "127.0.0.1", stage.client_ns, stage.client_ns));
  }
  void leave(Truth& truth) const {
    for (const Child& child : burners_) truth.innocent(child);
    for (const Child& child : chatters_) truth.innocent(child);
    for (const Child& child : chatters_) child.quit();
    for (const Child& child : burners_) {
      child.kill_now(SIGKILL);
      (void)child.join();
    }
  }

 private:
  std::vector<Child> burners_;
  std::vector<Child> chatters_;
};

void in_a_crowd(Truth& truth, const Stage& stage, const std::function<void(Truth&, const Stage&)>& incident) {
  const Crowd crowd(stage);
  sleep_ms(300);
  incident(truth, stage);
  sleep_ms(200);
  crowd.leave(truth);
}

void queue(Truth& truth, const Stage& stage) { accept_queue_full(truth, stage, false); }
void unread(Truth& truth, const Stage& stage) { close_with_unread_data(truth, stage, 20); }

}  // namespace

int main(int argc, char** argv) {
  using cause::Truth;
  return cause::main_of(
      argc, argv, "traps", "incidents among busy bystanders: the culprit is never one of them",
      {
          {"i1-loopback", "the accept queue is full",
           [](Truth& t) { in_a_crowd(t, loopback_stage("127.0.0.1"), queue); }, 60},
          {"i1-veth", "the same between two namespaces", [](Truth& t) { in_a_crowd(t, veth_stage(false), queue); }, 60},
          {"i1-veth-ipv6", "the same over IPv6", [](Truth& t) { in_a_crowd(t, veth_stage(true), queue); }, 60},
          {"unread-loopback", "close() with unread data",
           [](Truth& t) { in_a_crowd(t, loopback_stage("127.0.0.1"), unread); }, 60},
          {"unread-veth", "the same between two namespaces", [](Truth& t) { in_a_crowd(t, veth_stage(false), unread); },
           60},
      });
}
