/* SPDX-License-Identifier: MIT */

/*
 * The values of a fiber or a thread: a short list in the order of their setting, searched from its
 * front. There are few keys in a program, and a list of a cache line or two is faster than a table.
 */
#include <thrum/local.h>

#include "base/alloc.h"
#include "runtime/sched.h"

#include <pthread.h>

#define ROOM 4 /* values that there is room for at first */

typedef struct local {
    const th_local *key;
    void *value;
} local;

typedef struct values {
    thi_locals base;
    size_t count;
    size_t room;
    local at[];
} values;

static values *of(thi_locals *locals)
{
    return locals ? thi_container_of(locals, values, base) : NULL;
}

/* A destructor may set values, so that the list moves: *locals is looked at anew each time. */
static void end(thi_locals **locals)
{
    for (values *v = of(*locals); v->count > 0; v = of(*locals)) {
        local last = v->at[--v->count];
        if (last.key->destroy)
            last.key->destroy(last.value);
    }
    thi_free(of(*locals));
    *locals = NULL;
}

static pthread_key_t of_thread;
static bool has_key; /* written once */

static void end_of_thread(void *value)
{
    thi_locals *locals = value;
    end(&locals);
}

static void make_key(void)
{
    has_key = pthread_key_create(&of_thread, end_of_thread) == 0;
}

static bool threads_have_values(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, make_key);
    return has_key;
}

static thi_locals *mine(void)
{
    th_fiber *self = thi_sched_self();
    if (self)
        return self->locals;
    return threads_have_values() ? pthread_getspecific(of_thread) : NULL;
}

/* Makes a list that has moved the caller's. */
static bool keep(thi_locals *locals)
{
    th_fiber *self = thi_sched_self();
    if (self)
        self->locals = locals;
    return self || (threads_have_values() && pthread_setspecific(of_thread, locals) == 0);
}

static local *find(values *locals, const th_local *key)
{
    for (size_t i = 0; locals && i < locals->count; i++)
        if (locals->at[i].key == key)
            return &locals->at[i];
    return NULL;
}

void *th_local_get(const th_local *key)
{
    const local *found = find(of(mine()), key);
    return found ? found->value : NULL;
}

/* Takes a value out and keeps the order of the others. */
static void take_out(values *locals, local *gone)
{
    locals->count--;
    for (local *at = gone; at < &locals->at[locals->count]; at++)
        *at = at[1];
}

/* A list with room for one more; NULL without memory, with everything as it was. */
static values *with_room(values *locals)
{
    if (locals && locals->count < locals->room)
        return locals;
    size_t room = locals ? 2 * locals->room : ROOM;
    values *larger = thi_calloc(1, sizeof *larger + room * sizeof larger->at[0]);
    if (!larger)
        return NULL;
    for (size_t i = 0; locals && i < locals->count; i++)
        larger->at[i] = locals->at[i];
    larger->count = locals ? locals->count : 0;
    larger->room = room;
    larger->base.end = end;
    if (!keep(&larger->base)) {
        thi_free(larger);
        return NULL;
    }
    thi_free(locals);
    return larger;
}

int th_local_set(const th_local *key, void *value)
{
    if (!key)
        return -EINVAL;
    values *locals = of(mine());
    local *found = find(locals, key);
    if (found && value)
        found->value = value;
    else if (found)
        take_out(locals, found);
    if (found || !value)
        return 0;
    locals = with_room(locals);
    if (!locals)
        return -ENOMEM;
    locals->at[locals->count++] = (local){ .key = key, .value = value };
    return 0;
}
