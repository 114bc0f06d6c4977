/* SPDX-License-Identifier: MIT */

/*
 * An eventfd is a number that can be waited for.
 *
 * Once made it never fails: it is how threads wake each other, and no kernel loses such a wake-up.
 */
#include "loop/sim_eventfd.h"

#include "base/alloc.h"
#include "loop/sim_desc.h"
#include "loop/sim_fault.h"

#include <errno.h>
#include <string.h>

typedef struct counter {
    thi_sim_desc desc;
    uint64_t value;
} counter;

#define COUNTER_MAX (UINT64_MAX - 1) /* eventfd(2) */

static counter *counter_of(thi_sim_desc *desc)
{
    return thi_container_of(desc, counter, desc);
}

static unsigned counter_level(thi_sim_desc *desc)
{
    uint64_t value = counter_of(desc)->value;
    return (value > 0 ? THI_READ : 0) | (value < COUNTER_MAX ? THI_WRITE : 0);
}

static ssize_t counter_read(thi_sim *w, thi_sim_desc *desc, const struct iovec *iov, int count,
                            int flags)
{
    (void)w;
    (void)count;
    (void)flags;
    counter *c = counter_of(desc);
    if (iov->iov_len < sizeof c->value)
        return -EINVAL;
    if (c->value == 0)
        return -EAGAIN;
    memcpy(iov->iov_base, &c->value, sizeof c->value);
    c->value = 0;
    thi_sim_announce(desc, THI_WRITE);
    return sizeof c->value;
}

static ssize_t counter_write(thi_sim *w, thi_sim_desc *desc, const struct iovec *iov, int count)
{
    (void)w;
    (void)count;
    counter *c = counter_of(desc);
    uint64_t more;
    if (iov->iov_len < sizeof more)
        return -EINVAL;
    memcpy(&more, iov->iov_base, sizeof more);
    if (more == UINT64_MAX)
        return -EINVAL;
    if (more > COUNTER_MAX - c->value)
        return -EAGAIN;
    c->value += more;
    thi_sim_announce(desc, THI_READ);
    return sizeof more;
}

static void counter_close(thi_sim *w, thi_sim_desc *desc)
{
    (void)w;
    thi_free(counter_of(desc));
}

static const thi_sim_kind counter_kind = {
    .name = "eventfd",
    .mode = 0,
    .level = counter_level,
    .read = counter_read,
    .write = counter_write,
    .close = counter_close,
};

int thi_sim_eventfd(thi_sim *w)
{
    if (thi_sim_fault(w, TH_SIM_NO_FILES))
        return -EMFILE;
    counter *c = thi_calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    thi_sim_desc_init(&c->desc, &counter_kind);
    int fd = thi_sim_desc_number(w, &c->desc);
    if (fd < 0)
        thi_free(c);
    return fd;
}
