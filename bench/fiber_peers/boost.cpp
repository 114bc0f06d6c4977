/* SPDX-License-Identifier: MIT */

/*
 * Boost.Context: contexts without a scheduler.
 *
 * Stacks come from one large mapping that reserves nothing, through an allocator of our own as the
 * library provides for: its own allocators either map each stack (and reach the limit of mappings)
 * or write into stacks that are not in use (and so double the memory of each fiber).
 */
#include "fiber_peers/peer.h"

#include <boost/context/fiber.hpp>
#include <new>
#include <sys/mman.h>
#include <utility>
#include <vector>

namespace ctx = boost::context;

namespace
{

/* A last-in-first-out store of equal stacks. */
class stacks
{
  public:
    explicit stacks(std::size_t count) : size_(count * PEER_STACK_SIZE)
    {
        base_ = mmap(nullptr, size_, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (base_ == MAP_FAILED)
            throw std::bad_alloc();
        madvise(base_, size_, MADV_NOHUGEPAGE);
        free_.reserve(count);
        for (std::size_t i = count; i > 0; i--)
            free_.push_back(static_cast<char *>(base_) + i * PEER_STACK_SIZE);
    }
    ~stacks()
    {
        munmap(base_, size_);
    }
    stacks(const stacks &) = delete;
    stacks &operator=(const stacks &) = delete;

    char *take()
    {
        if (free_.empty())
            throw std::bad_alloc();
        char *top = free_.back();
        free_.pop_back();
        return top;
    }
    void give(char *top)
    {
        free_.push_back(top);
    }

  private:
    std::size_t size_;
    void *base_;
    std::vector<char *> free_; /* highest addresses of the stacks not in use */
};

/* The store as Boost wants to see it. */
class allocator
{
  public:
    explicit allocator(stacks &from) : from_(&from) {}
    ctx::stack_context allocate()
    {
        ctx::stack_context s;
        s.size = PEER_STACK_SIZE;
        s.sp = from_->take();
        return s;
    }
    void deallocate(ctx::stack_context &s) noexcept
    {
        from_->give(static_cast<char *>(s.sp));
    }

  private:
    stacks *from_;
};

/*
 * `fibers` fibers, resumed in turn. There is no scheduler that could lead from one to the next:
 * each resumption is a switch to the fiber and one back to the caller.
 */
int run_ring_of(unsigned fibers, unsigned long count, struct peer_result *r)
{
    stacks store(fibers);
    bool stop = false;
    std::vector<ctx::fiber> all;

    for (unsigned i = 0; i < fibers; i++)
        all.emplace_back(std::allocator_arg, allocator(store), [&stop](ctx::fiber &&main) {
            while (!stop)
                main = std::move(main).resume();
            return std::move(main);
        });
    double begin = peer_seconds();
    for (unsigned long left = count / 2; left > 0;)
        for (unsigned i = 0; i < fibers && left > 0; i++, left--)
            all[i] = std::move(all[i]).resume();
    r->value = (peer_seconds() - begin) * 1e9 / static_cast<double>(count);
    stop = true;
    for (ctx::fiber &one : all)
        one = std::move(one).resume();
    return 0;
}

int run_switch(unsigned long count, struct peer_result *r)
{
    return run_ring_of(1, count, r);
}

int run_ring(unsigned long count, struct peer_result *r)
{
    return run_ring_of(1000, count, r);
}

int run_spawn(unsigned long count, struct peer_result *r)
{
    stacks store(16);
    double begin = peer_seconds();

    for (unsigned long i = 0; i < count; i++) {
        ctx::fiber one(std::allocator_arg, allocator(store),
                       [](ctx::fiber &&main) { return std::move(main); });
        one = std::move(one).resume();
    }
    r->value = (peer_seconds() - begin) * 1e9 / static_cast<double>(count);
    return 0;
}

/* Starts `count` fibers that suspend at once, resumes each once, and so ends them. */
unsigned long park(unsigned long count, struct peer_result *r)
{
    stacks store(count);
    double before = peer_memory();
    double begin = peer_seconds();
    unsigned long ended = 0;
    std::vector<ctx::fiber> all;

    all.reserve(count);
    for (unsigned long i = 0; i < count; i++) {
        ctx::fiber one(std::allocator_arg, allocator(store), [&ended](ctx::fiber &&main) {
            main = std::move(main).resume();
            ended++;
            return std::move(main);
        });
        all.push_back(std::move(one).resume());
    }
    double parked = peer_seconds();
    r->bytes = (peer_memory() - before) / static_cast<double>(count);
    double woken = peer_seconds();
    for (ctx::fiber &one : all)
        one = std::move(one).resume();
    r->seconds = peer_seconds() - woken + parked - begin;
    return ended;
}

int run_parked(unsigned long count, struct peer_result *r)
{
    unsigned long ended = park(count, r);

    r->value = r->bytes;
    return ended == count ? 0 : -1;
}

int run_million(unsigned long count, struct peer_result *r)
{
    unsigned long ended = park(count, r);

    r->value = static_cast<double>(ended);
    return ended == count ? 0 : -1;
}

} // namespace

int main(int argc, char **argv)
{
    static const struct peer_case cases[] = { { "switch", run_switch },   { "ring", run_ring },
                                              { "spawn", run_spawn },     { "parked", run_parked },
                                              { "million", run_million }, { nullptr, nullptr } };

    return peer_main(argc, argv, cases);
}
