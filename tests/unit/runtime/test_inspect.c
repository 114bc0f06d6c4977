/* SPDX-License-Identifier: MIT */

/*
 * The layout for readers from outside, used as one of them does: from the ELF note on, by nothing
 * but <thrum/inspect.h>. What it finds is compared with what the process knows of itself.
 */
#include "in_fiber.h"

#include <thrum/inspect.h>

#include <link.h>
#include <stdint.h>
#include <unistd.h>

/* ---- reading --------------------------------------------------------------------------------- */

#define GET(type, object, at) (*(type *)(uintptr_t)((object) + (at)))
#define ADDRESS(object, at)   GET(const uintptr_t, object, at)

static const th_inspect *layout;

/* Looks at one note; 1 when it is ours. */
static int take_note(const ElfW(Nhdr) * note)
{
    const char *name = (const char *)(note + 1);
    if (note->n_type != TH_INSPECT_NOTE_TYPE || note->n_namesz != sizeof TH_INSPECT_NOTE_NAME ||
        strcmp(name, TH_INSPECT_NOTE_NAME) != 0)
        return 0;
    const char *content = name + (note->n_namesz + 3) / 4 * 4;
    int64_t distance;
    if (note->n_descsz != sizeof distance)
        return 0;
    memcpy(&distance, content, sizeof distance);
    layout = (const th_inspect *)(const void *)(content + distance);
    return 1;
}

static int look_for_note(struct dl_phdr_info *module, size_t size, void *arg)
{
    (void)size;
    (void)arg;
    for (int i = 0; i < module->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &module->dlpi_phdr[i];
        uintptr_t at = module->dlpi_addr + p->p_vaddr;
        uintptr_t end = at + p->p_memsz;
        while (p->p_type == PT_NOTE && at < end) {
            const ElfW(Nhdr) *note = (const ElfW(Nhdr) *)at;
            if (take_note(note))
                return 1;
            at += sizeof *note + (note->n_namesz + 3) / 4 * 4 + (note->n_descsz + 3) / 4 * 4;
        }
    }
    return 0;
}

static uintptr_t first_runtime(void)
{
    return ADDRESS((uintptr_t)layout->runtimes, 0);
}

static uintptr_t worker_at(unsigned index)
{
    return ADDRESS(first_runtime(), layout->runtime_workers) + index * layout->worker_size;
}

/* The fiber with a name, wherever it is; 0 when there is none. */
static uintptr_t find_fiber(const char *name)
{
    for (unsigned w = 0; w < GET(uint32_t, first_runtime(), layout->runtime_count); w++) {
        uintptr_t slab = ADDRESS(worker_at(w), layout->worker_slabs);
        for (; slab; slab = ADDRESS(slab, layout->slab_next)) {
            uint32_t used = GET(uint32_t, slab, layout->slab_used);
            ck_assert_uint_le(used, GET(uint32_t, slab, layout->slab_count));
            for (uint32_t i = 0; i < used; i++) {
                uintptr_t fiber = slab + layout->slab_fibers + (size_t)i * layout->fiber_size;
                const char *its = (const char *)ADDRESS(fiber, layout->fiber_name);
                if (GET(uint8_t, fiber, layout->fiber_state) != TH_INSPECT_FREE && its &&
                    strcmp(its, name) == 0)
                    return fiber;
            }
        }
    }
    return 0;
}

static uintptr_t wait_of(uintptr_t fiber)
{
    ck_assert_uint_ne(fiber, 0);
    ck_assert_uint_eq(GET(uint8_t, fiber, layout->fiber_state), TH_INSPECT_PARKED);
    return ADDRESS(fiber, layout->fiber_wait);
}

static const char *what_it_waits_for(uintptr_t fiber)
{
    uintptr_t kind = ADDRESS(wait_of(fiber), layout->wait_kind);
    return (const char *)ADDRESS(kind, layout->kind_what);
}

static unsigned who_ends(uintptr_t fiber)
{
    return GET(uint16_t, ADDRESS(wait_of(fiber), layout->wait_kind), layout->kind_ends);
}

/* ---- the layout itself ----------------------------------------------------------------------- */

START_TEST(note_leads_to_the_exported_layout)
{
    ck_assert_ptr_nonnull(layout);
    ck_assert_ptr_eq(layout, &th_inspect_layout);
    ck_assert_str_eq(layout->magic, TH_INSPECT_MAGIC);
    ck_assert_uint_eq(layout->version, TH_INSPECT_VERSION);
    ck_assert_uint_eq(layout->size, sizeof *layout);
    ck_assert_str_eq(layout->library, TH_VERSION);
}
END_TEST

START_TEST(without_a_runtime_the_list_is_empty)
{
    ck_assert_uint_eq(first_runtime(), 0);
}
END_TEST

FIBER_TEST_ON(2, workers_tell_their_threads_and_their_back_end)
{
    uintptr_t runtime = first_runtime();
    ck_assert_uint_eq(GET(uint32_t, runtime, layout->runtime_count), 2);
    ck_assert_uint_eq(ADDRESS(runtime, layout->runtime_next), 0);
    ck_assert_int_eq(GET(int32_t, worker_at(0), layout->worker_thread), gettid());
    ck_assert_uint_eq(GET(uint32_t, worker_at(1), layout->worker_index), 1);
    th_run_info info;
    ck_assert_int_eq(th_run_get_info(&info), 0);
    uintptr_t engine = ADDRESS(worker_at(0), layout->worker_engine);
    ck_assert_str_eq((const char *)ADDRESS(engine, layout->engine_name), info.backend);
    ck_assert_uint_eq(ADDRESS(worker_at(0), layout->worker_current), (uintptr_t)th_fiber_self());
}

/* ---- fibers ---------------------------------------------------------------------------------- */

static int sleep_long(void *arg)
{
    (void)arg;
    return th_sleep(TH_HOUR);
}

static void spawn_named(th_scope *scope, const char *name, th_fiber_fn fn, void *arg)
{
    ck_assert_int_eq(th_spawn_with(scope, fn, arg, &(th_spawn_opts){ .name = name }, NULL), 0);
}

static int sleep_in_a_scope(void *arg)
{
    th_scope scope;
    open_scope_for(&scope, *(int64_t *)arg);
    spawn_named(&scope, "grandchild", sleep_long, NULL);
    return th_scope_close(&scope);
}

FIBER_TEST(sleeper_shows_its_function_its_stack_and_its_time)
{
    th_scope scope;
    open_scope(&scope);
    int64_t before = th_now();
    spawn_named(&scope, "sleeper", sleep_long, NULL);
    ck_assert_int_eq(th_yield(), 0);
    uintptr_t fiber = find_fiber("sleeper");
    ck_assert_str_eq(what_it_waits_for(fiber), "sleep");
    ck_assert_uint_eq(who_ends(fiber), TH_INSPECT_BY_TIME);
    ck_assert_uint_eq(ADDRESS(fiber, layout->fiber_fn), (uintptr_t)sleep_long);

    uintptr_t kind = ADDRESS(wait_of(fiber), layout->wait_kind);
    uintptr_t object = ADDRESS(wait_of(fiber), layout->wait_object);
    int64_t due = GET(int64_t, object, GET(uint16_t, kind, layout->kind_at));
    int64_t since = GET(int64_t, wait_of(fiber), layout->wait_since);
    ck_assert_int_ge(due, before + TH_HOUR);
    ck_assert_int_le(since, th_now());
    ck_assert_int_ge(due - since, TH_HOUR - TH_MINUTE);

    uintptr_t low = ADDRESS(fiber, layout->fiber_stack);
    uint64_t size = GET(uint64_t, fiber, layout->fiber_stack_size);
    uintptr_t context = ADDRESS(fiber, layout->fiber_context);
    ck_assert_uint_ge(context, low);
    ck_assert_uint_lt(context, low + size);
    uintptr_t frame = ADDRESS(context, layout->context_frame);
    ck_assert_uint_gt(frame, context);
    ck_assert_uint_lt(frame, low + size);
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    ck_assert_int_eq(th_scope_close(&scope), -ECANCELED);
}

FIBER_TEST(scopes_lead_from_a_fiber_to_its_parent_and_tell_the_deadline)
{
    th_scope scope;
    open_scope(&scope);
    int64_t span = TH_HOUR / 2;
    spawn_named(&scope, "child", sleep_in_a_scope, &span);
    ck_assert_int_eq(th_yield(), 0);
    ck_assert_int_eq(th_yield(), 0);
    uintptr_t child = find_fiber("child");
    uintptr_t grandchild = find_fiber("grandchild");
    uintptr_t inner = ADDRESS(child, layout->fiber_scope);
    ck_assert_str_eq(what_it_waits_for(child), "scope");
    ck_assert_uint_eq(who_ends(child), TH_INSPECT_BY_CHILDREN);
    ck_assert_uint_eq(ADDRESS(wait_of(child), layout->wait_object), inner);
    ck_assert_uint_eq(ADDRESS(grandchild, layout->fiber_home), inner);
    ck_assert_uint_eq(ADDRESS(inner, layout->scope_host), child);
    ck_assert_uint_eq(ADDRESS(inner, layout->scope_parent), (uintptr_t)&scope);
    ck_assert_uint_eq(ADDRESS(inner, layout->scope_origin), 0);
    ck_assert_uint_eq(GET(uint32_t, inner, layout->scope_live), 1);
    ck_assert_uint_eq(GET(uint32_t, inner, layout->scope_limit), UINT32_MAX);
    ck_assert_int_eq(GET(int64_t, inner, layout->scope_deadline), th_scope_deadline((void *)inner));
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    ck_assert_int_eq(GET(int32_t, inner, layout->scope_status), -ECANCELED);
    ck_assert_int_eq(th_scope_close(&scope), -ECANCELED);
}

static int look_for_own_origin(void *arg)
{
    uintptr_t self = (uintptr_t)th_fiber_self();
    uintptr_t home = ADDRESS(self, layout->fiber_home);
    ck_assert_uint_eq(ADDRESS(home, layout->scope_host), 0);
    ck_assert_uint_eq(ADDRESS(home, layout->scope_origin), (uintptr_t)arg);
    return GET(int32_t, worker_at(1), layout->worker_thread) == gettid() ? 0 : -EDOM;
}

FIBER_TEST_ON(2, child_on_another_worker_leads_to_the_scope_it_was_started_in)
{
    th_scope scope;
    open_scope(&scope);
    spawn_on(&scope, 1, look_for_own_origin, &scope);
    close_scope(&scope);
}

static void fill(Suite *suite)
{
    (void)dl_iterate_phdr(look_for_note, NULL);
    TCase *tcase = thi_check_case(suite, "layout");
    tcase_add_test(tcase, note_leads_to_the_exported_layout);
    tcase_add_test(tcase, without_a_runtime_the_list_is_empty);
    add_on_engines(tcase, workers_tell_their_threads_and_their_back_end);

    tcase = thi_check_case(suite, "fibers");
    tcase_add_test(tcase, sleeper_shows_its_function_its_stack_and_its_time);
    tcase_add_test(tcase, scopes_lead_from_a_fiber_to_its_parent_and_tell_the_deadline);
    tcase_add_test(tcase, child_on_another_worker_leads_to_the_scope_it_was_started_in);
}

int main(void)
{
    return thi_check_run("runtime/inspect", fill);
}
