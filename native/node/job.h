// Work off JavaScript's thread: a job runs on a thread of libuv's pool and settles a promise.
#pragma once

#include <exception>
#include <functional>
#include <optional>
#include <utility>

#include "node/binding.h"

namespace cleric {

/// Does `work`, which must not touch JavaScript, then settles a promise with what `deliver` makes of its result on
/// JavaScript's thread, or with what `explain` makes of an exception.
template <typename Result>
class Job : public Napi::AsyncWorker {
 public:
  using Work = std::function<Result()>;
  using Deliver = std::function<Napi::Value(Napi::Env, Result&)>;
  using Explain = Napi::Error (*)(Napi::Env, const std::exception_ptr&);

  /// `owner`, the object whose method this is, is kept from collection while the job runs. Deletes itself.
  static Napi::Value start(Napi::Object owner, Work work, Deliver deliver, Explain explain) {
    auto* job = new Job(owner, std::move(work), std::move(deliver), explain);
    const Napi::Promise promise = job->deferred_.Promise();
    job->Queue();
    return promise;
  }

 protected:
  void Execute() override {
    try {
      result_.emplace(work_());
    } catch (...) {
      failure_ = std::current_exception();
    }
  }

  void OnOK() override {
    if (failure_) return deferred_.Reject(explain_(Env(), failure_).Value());
    try {
      deferred_.Resolve(deliver_(Env(), *result_));
    } catch (const Napi::Error& error) {
      // No room for the result on JavaScript's side, or an owner that is closed by now.
      deferred_.Reject(error.Value());
    }
  }

 private:
  Job(Napi::Object owner, Work work, Deliver deliver, Explain explain)
      : Napi::AsyncWorker(owner.Env(), "cleric"),
        owner_(Napi::Persistent(owner)),
        deferred_(Napi::Promise::Deferred::New(owner.Env())),
        work_(std::move(work)),
        deliver_(std::move(deliver)),
        explain_(explain) {}

  Napi::ObjectReference owner_;
  Napi::Promise::Deferred deferred_;
  Work work_;
  Deliver deliver_;
  Explain explain_;
  std::optional<Result> result_;
  std::exception_ptr failure_;
};

}  // namespace cleric
