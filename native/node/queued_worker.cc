#include "node/queued_worker.h"

#include <utility>

#include "cpu/graph/executable.h"

namespace cleric {

QueuedWorker::QueuedWorker(Napi::Env env, std::shared_ptr<cpu::Device> device)
    : env_(env),
      device_(std::move(device)),
      deferred_(Napi::Promise::Deferred::New(env)),
      done_(Done::New(env, "cleric:cpu", 0, 1)) {
  napi_add_env_cleanup_hook(env_, on_environment_end, this);
}

QueuedWorker::~QueuedWorker() {
  napi_remove_env_cleanup_hook(env_, on_environment_end, this);
}

Napi::Promise QueuedWorker::start() {
  const Napi::Promise promise = deferred_.Promise();
  device_->queue.push(*this);
  return promise;
}

void QueuedWorker::abort() {
  stop();
  if (!device_->queue.withdraw(*this)) return;
  failure_ = std::make_exception_ptr(cpu::Aborted());
  settle();
}

void QueuedWorker::run() noexcept {
  try {
    execute();
  } catch (...) {
    failure_ = std::current_exception();
  }
  // The last thing that this thread does with the worker: JavaScript's thread deletes it then. If the environment ends
  // meanwhile this call does nothing, and on_environment_end deletes it.
  done_.BlockingCall(this);
}

void QueuedWorker::on_done(Napi::Env env, Napi::Function, std::nullptr_t*, QueuedWorker* worker) {
  // Without an environment on_environment_end has deleted the worker.
  if (env != nullptr) worker->settle();
}

void QueuedWorker::settle() {
  const std::unique_ptr<QueuedWorker> self(this);
  done_.Release();
  ended();
  if (failure_) return deferred_.Reject(explain(env_, failure_).Value());
  try {
    deferred_.Resolve(result(env_));
  } catch (const Napi::Error& error) {
    // No room for the result on JavaScript's side.
    deferred_.Reject(error.Value());
  }
}

void QueuedWorker::on_environment_end(void* data) {
  const std::unique_ptr<QueuedWorker> self(static_cast<QueuedWorker*>(data));
  self->stop();
  if (!self->device_->queue.withdraw(*self)) self->device_->queue.await(*self);
}

}  // namespace cleric
