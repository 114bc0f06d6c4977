/* SPDX-License-Identifier: MIT */

/* Boost.Fiber: channels, mutexes and conditions among fibers, with its default scheduler. */
#include "fiber_peers/peer.h"

#include <boost/fiber/all.hpp>
#include <thread>
#include <vector>

namespace fib = boost::fibers;

namespace
{

enum { CONTENDERS = 8, BATCH = 64 };

using channel = fib::buffered_channel<void *>;

/* Gives items to and fro; the first to play begins. */
void play(channel &from, channel &to, bool begins, unsigned long rounds)
{
    void *item = &to;
    if (begins)
        to.push(item);
    for (unsigned long i = 0; i < rounds; i++) {
        from.pop(item);
        if (!begins || i + 1 < rounds)
            to.push(item);
    }
}

int run_queue(unsigned long count, peer_result *r)
{
    channel a(2), b(2);
    double begin = peer_seconds();
    fib::fiber one([&] { play(a, b, true, count / 2); });
    fib::fiber two([&] { play(b, a, false, count / 2); });
    one.join();
    two.join();
    r->value = (peer_seconds() - begin) * 1e9 / static_cast<double>(count);
    return 0;
}

int run_queue_2w(unsigned long count, peer_result *r)
{
    channel a(2), b(2);
    double begin = peer_wall();
    std::thread one([&] { play(a, b, true, count / 2); });
    std::thread two([&] { play(b, a, false, count / 2); });
    one.join();
    two.join();
    r->value = (peer_wall() - begin) * 1e9 / static_cast<double>(count);
    return 0;
}

int run_fifo(unsigned long count, peer_result *r)
{
    channel c(2 * BATCH);
    void *item = &c;
    double begin = peer_seconds();
    for (unsigned long i = 0; i < count / BATCH; i++) {
        for (int k = 0; k < BATCH; k++)
            c.push(item);
        for (int k = 0; k < BATCH; k++)
            c.pop(item);
    }
    r->value = (peer_seconds() - begin) * 1e9 / static_cast<double>(count);
    return 0;
}

int run_mutex(unsigned long count, peer_result *r)
{
    fib::mutex lock;
    double begin = peer_seconds();
    for (unsigned long i = 0; i < count; i++) {
        lock.lock();
        lock.unlock();
    }
    r->value = (peer_seconds() - begin) * 1e9 / static_cast<double>(count);
    return 0;
}

int run_contended(unsigned long count, peer_result *r)
{
    fib::mutex lock;
    std::vector<fib::fiber> all;
    double begin = peer_seconds();
    for (int i = 0; i < CONTENDERS; i++)
        all.emplace_back([&] {
            for (unsigned long k = 0; k < count / CONTENDERS; k++) {
                lock.lock();
                boost::this_fiber::yield();
                lock.unlock();
            }
        });
    for (auto &one : all)
        one.join();
    r->value = (peer_seconds() - begin) * 1e9 / static_cast<double>(count);
    return 0;
}

int run_cond(unsigned long count, peer_result *r)
{
    fib::mutex lock;
    fib::condition_variable changed[2];
    int turn = 0;
    auto alternate = [&](int me) {
        for (unsigned long i = 0; i < count / 2; i++) {
            std::unique_lock<fib::mutex> held(lock);
            changed[me].wait(held, [&] { return turn == me; });
            turn = 1 - me;
            changed[turn].notify_one();
        }
    };
    double begin = peer_seconds();
    fib::fiber one(alternate, 0);
    fib::fiber two(alternate, 1);
    one.join();
    two.join();
    r->value = (peer_seconds() - begin) * 1e9 / static_cast<double>(count);
    return 0;
}

} // namespace

int main(int argc, char **argv)
{
    static const peer_case cases[] = {
        { "queue", run_queue }, { "queue-2w", run_queue_2w }, { "fifo", run_fifo },
        { "mutex", run_mutex }, { "mutex-8", run_contended }, { "cond", run_cond },
        { nullptr, nullptr },
    };

    return peer_main(argc, argv, cases);
}
