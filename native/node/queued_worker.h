// Work that takes its turn on a device, off JavaScript's thread.
#pragma once

#include <exception>
#include <memory>

#include "cpu/graph/device.h"
#include "node/binding.h"

namespace cleric {

/// As Napi::AsyncWorker, on the queue of a device instead of libuv's threads. A process has few of those (four, unless
/// told otherwise) for all of its files, names and ciphers: what waits for the processor must not hold one.
///
/// Deletes itself once its promise is settled, or JavaScript's environment ends.
class QueuedWorker : private cpu::Task {
 public:
  ~QueuedWorker() override;

  /// Settled with what `result` or `explain` gives.
  Napi::Promise start();

  /// On JavaScript's thread: tells the work to end early, and if it hasn't begun rejects the promise at once.
  void abort();

  QueuedWorker(const QueuedWorker&) = delete;
  QueuedWorker& operator=(const QueuedWorker&) = delete;

 protected:
  QueuedWorker(Napi::Env env, std::shared_ptr<cpu::Device> device);
  cpu::Device& device() const { return *device_; }

  /// On the queue's thread, without JavaScript. What it throws goes to `explain`.
  virtual void execute() = 0;
  /// Called on JavaScript's thread while `execute` may run: that should throw Aborted soon, if it can.
  virtual void stop() {}
  /// On JavaScript's thread, before the promise is settled.
  virtual void ended() {}
  virtual Napi::Value result(Napi::Env env) = 0;
  virtual Napi::Error explain(Napi::Env env, const std::exception_ptr& failure) = 0;

 private:
  static void on_done(Napi::Env env, Napi::Function, std::nullptr_t*, QueuedWorker* worker);
  static void on_environment_end(void* worker);
  using Done = Napi::TypedThreadSafeFunction<std::nullptr_t, QueuedWorker, on_done>;

  void run() noexcept final;
  void settle();

  const Napi::Env env_;
  const std::shared_ptr<cpu::Device> device_;
  const Napi::Promise::Deferred deferred_;
  /// Tells JavaScript's thread that the work is done; until then it keeps the process alive.
  Done done_;
  std::exception_ptr failure_;
};

}  // namespace cleric
