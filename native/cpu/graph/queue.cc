#include "cpu/graph/queue.h"

#include <algorithm>

namespace cleric::cpu {

Queue::Queue() : thread_([this] { loop(); }) {}

Queue::~Queue() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  pushed_.notify_one();
  thread_.join();
}

void Queue::push(Task& task) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(&task);
  }
  pushed_.notify_one();
}

bool Queue::withdraw(const Task& task) {
  const std::lock_guard lock(mutex_);
  return std::erase(waiting_, &task) > 0;
}

void Queue::await(const Task& task) {
  std::unique_lock lock(mutex_);
  ended_.wait(lock, [&] { return running_ != &task; });
}

void Queue::loop() {
  std::unique_lock lock(mutex_);
  while (true) {
    pushed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    Task* const task = waiting_.front();
    waiting_.pop_front();
    running_ = task;
    lock.unlock();
    task->run();
    lock.lock();
    running_ = nullptr;
    ended_.notify_all();
  }
}

}  // namespace cleric::cpu
