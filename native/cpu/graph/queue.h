// Tasks that take turns.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace cleric::cpu {

/// Work for a queue. Whoever pushes it keeps it alive until it has run or was withdrawn.
class Task {
 public:
  virtual ~Task() = default;
  /// Called on the queue's thread, once. The task may be gone before this returns, since whoever it tells of its end
  /// may delete it.
  virtual void run() noexcept = 0;
};

/// Runs tasks one after the other, in the order in which they came, on a thread of its own.
class Queue {
 public:
  /// @throws std::system_error if the system gives no thread
  Queue();
  /// Waits for the task that runs; none may be waiting.
  ~Queue();
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  void push(Task& task);

  /// Takes back a task that has not begun. @returns whether it had not
  bool withdraw(const Task& task);

  /// Waits until the task is not running.
  void await(const Task& task);

 private:
  void loop();

  std::mutex mutex_;
  std::condition_variable pushed_;
  std::condition_variable ended_;
  std::deque<Task*> waiting_;
  const Task* running_ = nullptr;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace cleric::cpu
