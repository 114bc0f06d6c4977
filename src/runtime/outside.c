/* SPDX-License-Identifier: MIT */

/*
 * What happens outside of the workers.
 *
 * Nothing here is on the way of anybody in a hurry: a thread lists itself when it is about to
 * sleep, and is asked for once or twice a second at most, when somebody has waited for long.
 *
 * Any other thread of the process might do whatever is waited for, so their number is compared with
 * the number of those that are known. It is the kernel's, which counts all of them, also such as
 * were not made by this library.
 */
#include "runtime/outside.h"

#include "runtime/waits.h"
#include "sys/machine.h"
#include "sys/sys.h"

#include <stdio.h>

unsigned thi_outside_tools;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static thi_list outsiders = THI_LIST_INIT(outsiders);
static thi_list all_helpers = THI_LIST_INIT(all_helpers);

void thi_outsider_enter(thi_outsider *outsider, const void *mark, const thi_wait *wait)
{
    static uint64_t last_id;
    *outsider = (thi_outsider){
        .mark = mark, .wait = wait, .thread = pthread_self(), .since = thi_sys_clock()
    };
    pthread_mutex_lock(&lock);
    outsider->id = ++last_id;
    thi_list_push_back(&outsiders, &outsider->link);
    pthread_mutex_unlock(&lock);
}

void thi_outsider_leave(thi_outsider *outsider)
{
    pthread_mutex_lock(&lock);
    thi_list_remove(&outsider->link);
    pthread_mutex_unlock(&lock);
}

int thi_outsiders_look(int64_t limit, thi_ties *ties)
{
    int err = 0;
    thi_tie tie;
    pthread_mutex_lock(&lock);
    thi_list_each (node, &outsiders) {
        const thi_outsider *o = thi_list_item(node, thi_outsider, link);
        if (o->since > limit || !thi_tie_of(o->wait, o->mark, &tie))
            continue;
        tie.id = o->id;
        tie.since = o->since;
        tie.foreign = true;
        err = thi_ties_add(ties, &tie);
        if (err < 0)
            break;
    }
    pthread_mutex_unlock(&lock);
    return err;
}

void thi_outsider_describe(const void *mark, char *text, size_t size)
{
    char name[16] = "";
    pthread_mutex_lock(&lock);
    thi_list_each (node, &outsiders) {
        const thi_outsider *o = thi_list_item(node, thi_outsider, link);
        if (o->mark == mark)
            (void)pthread_getname_np(o->thread, name, sizeof name);
    }
    pthread_mutex_unlock(&lock);
    snprintf(text, size, "thread '%s'", name);
}

void thi_helpers_add(thi_helpers *helpers)
{
    pthread_mutex_lock(&lock);
    thi_list_push_back(&all_helpers, &helpers->link);
    pthread_mutex_unlock(&lock);
}

void thi_helpers_remove(thi_helpers *helpers)
{
    pthread_mutex_lock(&lock);
    thi_list_remove(&helpers->link);
    pthread_mutex_unlock(&lock);
}

void thi_outside_forked(void)
{
    pthread_mutex_init(&lock, NULL);
    thi_list_init(&outsiders);
    thi_list_init(&all_helpers);
}

bool thi_outside_at_rest(unsigned workers)
{
    unsigned known = workers + thi_outside_tools;
    bool at_rest = true;
    pthread_mutex_lock(&lock);
    thi_list_each (node, &all_helpers) {
        thi_helpers *helpers = thi_list_item(node, thi_helpers, link);
        unsigned threads = 0;
        at_rest = at_rest && helpers->at_rest(helpers, &threads);
        known += threads;
    }
    pthread_mutex_unlock(&lock);
    return at_rest && thi_machine_threads() == (int)known;
}
