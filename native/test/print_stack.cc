// Preloaded into every process of the tests in continuous integration (LD_PRELOAD, scripts/test.ts): one that dies of a
// fault prints its native stack before it does, and leaves a core where the system keeps any. The C library finds a damaged
// heap long after the damage, in whatever process, so that a run that failed once tells all it can.
//
// Addresses are of files, as `addr2line -f -C -e FILE OFFSET` takes them.

#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>

namespace {

/// SIGSEGV is left to V8, whose WebAssembly needs it; a core tells of that.
constexpr int kFatal[] = {SIGABRT, SIGBUS, SIGILL, SIGFPE};
constexpr int kMostFrames = 100;

const char* name_of(int signal) {
  switch (signal) {
    case SIGABRT:
      return "SIGABRT";
    case SIGBUS:
      return "SIGBUS";
    case SIGILL:
      return "SIGILL";
    default:
      return "SIGFPE";
  }
}

using Sigaction = int (*)(int, const struct sigaction*, struct sigaction*);

Sigaction real_sigaction() {
  static const auto real = reinterpret_cast<Sigaction>(dlsym(RTLD_NEXT, "sigaction"));
  return real;
}

void print(const char* text, size_t length) {
  // Nothing can be done about a stream that is closed.
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text, length);
}

/// The arguments of this process, with spaces between.
void print_command() {
  const int file = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
  char text[2000];
  const ssize_t length = file < 0 ? 0 : read(file, text, sizeof text);
  if (file >= 0) close(file);
  for (ssize_t i = 0; i < length; i++) {
    if (text[i] == '\0') text[i] = ' ';
  }
  if (length > 0) print(text, static_cast<size_t>(length));
}

void report(int signal) {
  // Whatever happens from here on ends the process.
  struct sigaction usual {};
  usual.sa_handler = SIG_DFL;
  real_sigaction()(signal, &usual, nullptr);
  char text[100];
  const int length =
      std::snprintf(text, sizeof text, "\n--- process %d dies of signal %d, which is %s; its native stack:\n", getpid(),
                    signal, name_of(signal));
  print(text, static_cast<size_t>(length));
  print_command();
  print("\n", 1);
  void* frames[kMostFrames];
  backtrace_symbols_fd(frames, backtrace(frames, kMostFrames), STDERR_FILENO);
  print("---\n", 4);
  raise(signal);
}

__attribute__((constructor)) void install() {
  // The first call loads a library, which a handler must not.
  void* frame[1];
  backtrace(frame, 1);
  struct sigaction action {};
  action.sa_handler = report;
  action.sa_flags = SA_NODEFER;
  for (const int signal : kFatal) real_sigaction()(signal, &action, nullptr);
}

bool is_fatal(int signal) {
  for (const int each : kFatal) {
    if (each == signal) return true;
  }
  return false;
}

}  // namespace

/// Node sets all signals to their usual ends when it starts: those of faults stay ours.
extern "C" __attribute__((visibility("default"))) int sigaction(int signal, const struct sigaction* action,
                                                                struct sigaction* old) noexcept {
  const bool resets = action != nullptr && (action->sa_flags & SA_SIGINFO) == 0 && action->sa_handler == SIG_DFL;
  return real_sigaction()(signal, resets && is_fatal(signal) ? nullptr : action, old);
}
