// SPDX-License-Identifier: GPL-2.0-only
#include "programs.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace cause {

// ---------------------------------------------------------------- what must be undone

Guard::Guard(const std::function<void()>& undo, int keep) {
  int pair[2];
  require(pipe2(pair, O_CLOEXEC) == 0, "pipe");
  pid_ = fork();
  require(pid_ >= 0, "fork");
  if (pid_ != 0) {
    close(pair[0]);
    fd_ = pair[1];
    return;
  }
  // Not in the cause's process group and holding nothing of it: neither its sockets nor its output.
  setsid();
  prctl(PR_SET_NAME, "cause-guard");
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) signal(number, SIG_IGN);
  const int null = open("/dev/null", O_RDWR);
  for (const int fd : {0, 1, 2}) dup2(null, fd);
  for (int fd = 3; fd < 1024; ++fd)
    if (fd != pair[0] && fd != host_netns().fd && fd != keep) close(fd);
  char byte = 0;
  while (read(pair[0], &byte, 1) < 0 && errno == EINTR) {
  }
  undo();
  _exit(0);
}

Guard::~Guard() {
  (void)!write(fd_, "!", 1);
  close(fd_);
  (void)waitpid(pid_, nullptr, 0);
}

namespace {

std::string make_folder() {
  char name[] = "/tmp/tcpwhy-cause-XXXXXX";
  require(mkdtemp(name) != nullptr, "mkdtemp");
  return name;
}

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream out;
  out << file.rdbuf();
  return out.str();
}

constexpr char kTcpMem[] = "/proc/sys/net/ipv4/tcp_mem";

// In the namespace in which the sysctl is.
void set_tcp_mem(const std::string& text) {
  const Netns here = current_netns();
  host_netns().enter();
  const int fd = open(kTcpMem, O_WRONLY | O_CLOEXEC);
  if (fd >= 0) (void)!::write(fd, text.data(), text.size());
  close(fd);
  here.enter();
  close(here.fd);
}

int lock_file(const char* path) {
  const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  require(fd >= 0 && flock(fd, LOCK_EX) == 0, std::string("lock ") + path);
  return fd;
}

std::string tcp_mem_of_host() {
  const Netns here = current_netns();
  host_netns().enter();
  std::string text = text_of(kTcpMem);
  here.enter();
  close(here.fd);
  if (text.empty()) skip("net.ipv4.tcp_mem is not to be seen from here");
  return text;
}

}  // namespace

ScratchFolder::ScratchFolder()
    : path_(make_folder()), guard_([this] {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
      }) {}

std::string ScratchFolder::write(const std::string& name, const std::string& text) const {
  const std::string path = path_ + '/' + name;
  std::ofstream(path) << text;
  return path;
}

void ScratchFolder::sparse(const std::string& name, long bytes) const {
  require(truncate(write(name, "").c_str(), bytes) == 0, "truncate");
}

TcpMem::TcpMem()
    : lock_(lock_file("/run/tcpwhy-cause-tcp-mem.lock")),
      original_(tcp_mem_of_host()),
      guard_([this] { set_tcp_mem(original_); }, lock_) {}

TcpMem::~TcpMem() { close(lock_); }

long TcpMem::used_pages() {
  std::ifstream file("/proc/thread-self/net/sockstat");
  std::string word;
  while (file >> word)
    if (word == "TCP:") break;
  long pages = -1;
  while (file >> word)
    if (word == "mem") break;
  file >> pages;
  return pages;
}

bool TcpMem::under_pressure() {
  std::ifstream file("/proc/thread-self/net/protocols");
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string name;
    std::string number;
    std::string pressure;
    words >> name >> number >> number >> number >> pressure;
    if (name == "TCP") return pressure == "yes";
  }
  fail("no TCP in /proc/net/protocols");
}

void TcpMem::lower(long low, long pressure) const {
  std::istringstream words(original_);
  long limit = 0;
  words >> limit >> limit >> limit;
  set_tcp_mem(std::to_string(low) + ' ' + std::to_string(pressure) + ' ' + std::to_string(limit));
}

void TcpMem::restore() const { set_tcp_mem(original_); }

// ---------------------------------------------------------------- programs

Child spawn_program(const std::vector<std::string>& command, const std::string& log) {
  const pid_t parent = getpid();
  const pid_t pid = fork();
  require(pid >= 0, "fork");
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(open("/dev/null", O_RDONLY), 0);
    dup2(out, 1);
    dup2(out, 2);
    std::vector<char*> words;
    for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    execvp(words[0], words.data());
    _exit(127);
  }
  std::string comm;
  require(wait_until(
              [&] {
                std::ifstream("/proc/" + std::to_string(pid) + "/comm") >> comm;
                return command[0].find(comm) != std::string::npos;
              },
              5000, 1),
          command[0] + " did not start");
  return Child{pid, comm, Line()};
}

std::vector<Row> sockets() {
  std::vector<Row> out;
  for (const char* path : {"/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"}) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    while (std::getline(file, line)) {
      std::istringstream words(line);
      std::string number;
      std::string local;
      std::string remote;
      std::string state;
      std::string queues;
      std::string timer;
      words >> number >> local >> remote >> state >> queues >> timer;
      const auto hex = [](const std::string& text) { return std::stol(text, nullptr, 16); };
      const size_t colon = queues.find(':');
      out.push_back({static_cast<int>(hex(state)), static_cast<int>(hex(local.substr(local.find(':') + 1))),
                     static_cast<int>(hex(remote.substr(remote.find(':') + 1))), hex(queues.substr(0, colon)),
                     hex(queues.substr(colon + 1)), static_cast<int>(hex(timer.substr(0, timer.find(':'))))});
    }
  }
  return out;
}

long count_sockets(const std::function<bool(const Row&)>& which) {
  const std::vector<Row> rows = sockets();
  return std::count_if(rows.begin(), rows.end(), which);
}

bool listening(int port) {
  return wait_until(
      [&] { return count_sockets([&](const Row& r) { return r.state == TCP_LISTEN && r.local_port == port; }) > 0; },
      10'000, 20);
}

namespace {

// What stands behind the name in /proc/PID/stat: the state first.
std::istringstream stat_of(pid_t pid) {
  const std::string text = text_of("/proc/" + std::to_string(pid) + "/stat");
  return std::istringstream(text.substr(std::min(text.size(), text.rfind(')') + 1)));
}

}  // namespace

char process_state(pid_t pid) {
  char state = '?';
  stat_of(pid) >> state;
  return state;
}

double process_cpu_seconds(pid_t pid) {
  std::istringstream words = stat_of(pid);
  std::string word;
  for (int i = 0; i < 11; ++i) words >> word;
  double user = 0;
  double system = 0;
  words >> user >> system;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

long open_fds(pid_t pid) {
  const std::filesystem::directory_iterator all("/proc/" + std::to_string(pid) + "/fd");
  return std::distance(begin(all), end(all));
}

Child spawn_lighttpd(const ScratchFolder& folder, const Endpoint& at, const std::string& more) {
  if (try_run("lighttpd -v") != 0) skip("lighttpd is not installed");
  const std::string config = folder.write(
      "lighttpd.conf", "server.document-root = \"" + folder.path() + "\"\nserver.bind = \"" + at.addr +
                           "\"\nserver.port = " + std::to_string(at.port) +
                           "\nserver.max-fds = 2048\nserver.errorlog = \"" + folder.path() + "/error.log\"\n" + more);
  Child child = spawn_program({"lighttpd", "-D", "-f", config}, folder.path() + "/output.log");
  errno = 0;
  require(listening(at.port), "lighttpd does not listen: " + text_of(folder.path() + "/output.log"));
  return child;
}

Child spawn_node(const ScratchFolder& folder, const Endpoint& at, int backlog) {
  if (try_run("node --version") != 0) skip("node is not installed");
  const std::string script = folder.write("server.js", R"(
const server = require('http').createServer((request, response) => {
  const spin = /^\/spin\?(\d+)$/.exec(request.url);
  if (spin) for (const end = Date.now() + Number(spin[1]); Date.now() < end;);
  request.resume();
  request.on('end', () => response.writeHead(200, { 'Content-Length': 5 }).end('done\n'));
});
server.keepAliveTimeout = 60000;
server.listen({ host: process.argv[2], port: Number(process.argv[3]), backlog: Number(process.argv[4]) });
)");
  Child child = spawn_program({"node", script, at.addr, std::to_string(at.port), std::to_string(backlog)},
                              folder.path() + "/output.log");
  errno = 0;
  require(listening(at.port), "node does not listen: " + text_of(folder.path() + "/output.log"));
  return child;
}

int http_get(const Endpoint& at, const std::string& path, size_t padding) {
  const int fd = connect_to(at);
  const std::string request =
      "GET " + path + " HTTP/1.0\r\nHost: here\r\nX-Padding: " + std::string(padding, 'p') + "\r\n\r\n";
  (void)send(fd, request.data(), request.size(), MSG_NOSIGNAL);
  std::string answer;
  char data[4096];
  for (ssize_t got = 0; (got = recv(fd, data, sizeof data, 0)) > 0;) answer.append(data, static_cast<size_t>(got));
  close(fd);
  const size_t space = answer.find(' ');
  return answer.rfind("HTTP/", 0) == 0 ? std::atoi(answer.c_str() + space) : 0;
}

}  // namespace cause
