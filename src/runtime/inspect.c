/* SPDX-License-Identifier: MIT */

/*
 * Where everything lies, for whoever looks from outside; <thrum/inspect.h> tells how it is read.
 *
 * It is data alone, made of offsetof(), so that it cannot differ from what the compiler does. The
 * list of runtimes is defined here, so that no program that runs one is linked without this file.
 *
 * The note holds a distance and not an address: that needs no relocation, so it is right in a file
 * as in memory. It refers to a local name of the layout, since the exported one might be taken from
 * another module by the dynamic linker.
 */
#include <thrum/inspect.h>

#include "runtime/tree.h"
#include "runtime/worker.h"

#include <thrum/time.h>

thi_runtime *thi_runtimes;

#ifdef THI_CONTEXT_STACK
#define CONTEXT_STACK THI_CONTEXT_STACK
#else
#define CONTEXT_STACK TH_INSPECT_NONE
#endif
#ifdef THI_CONTEXT_STEP
#define CONTEXT_STEP THI_CONTEXT_STEP
#else
#define CONTEXT_STEP 0
#endif
#ifdef THI_CONTEXT_PC
#define CONTEXT_PC    THI_CONTEXT_PC
#define CONTEXT_FRAME THI_CONTEXT_FRAME
#else /* a processor whose registers are not known here */
#define CONTEXT_PC    TH_INSPECT_NONE
#define CONTEXT_FRAME TH_INSPECT_NONE
#endif

/* A text longer than this would not fit: the end of it is a NUL in the reader's eyes. */
_Static_assert(sizeof TH_INSPECT_MAGIC == sizeof((th_inspect *)0)->magic,
               "the magic fills its field");
_Static_assert(sizeof TH_VERSION <= sizeof((th_inspect *)0)->library, "the version fits its field");
_Static_assert((int)TH_INSPECT_FREE == (int)THI_FIBER_FREE &&
                   (int)TH_INSPECT_READY == (int)THI_FIBER_READY &&
                   (int)TH_INSPECT_RUNNING == (int)THI_FIBER_RUNNING &&
                   (int)TH_INSPECT_PARKED == (int)THI_FIBER_PARKED &&
                   (int)TH_INSPECT_ENDED == (int)THI_FIBER_ENDED,
               "the states are those of the fiber");
_Static_assert((int)TH_INSPECT_BY_ANYBODY == (int)THI_BY_ANYBODY &&
                   (int)TH_INSPECT_BY_OWNER == (int)THI_BY_OWNER &&
                   (int)TH_INSPECT_BY_FIBER == (int)THI_BY_FIBER &&
                   (int)TH_INSPECT_BY_CHILDREN == (int)THI_BY_CHILDREN &&
                   (int)TH_INSPECT_BY_DESCRIPTOR == (int)THI_BY_DESCRIPTOR &&
                   (int)TH_INSPECT_BY_TIME == (int)THI_BY_TIME &&
                   (int)TH_INSPECT_BY_POOL == (int)THI_BY_POOL &&
                   (int)TH_INSPECT_BY_WORK == (int)THI_BY_WORK,
               "who ends a wait is told as the waits tell it");
_Static_assert(TH_NEVER == INT64_MAX, "never is told as the clock tells it");

/* The local name is one that the note can say. */
static const th_inspect layout __asm__("thi_inspect_here");

__attribute__((used)) static const th_inspect layout = {
    .magic = TH_INSPECT_MAGIC,
    .version = TH_INSPECT_VERSION,
    .size = sizeof(th_inspect),
    .library = TH_VERSION,
    .runtimes = &thi_runtimes,

    .runtime_next = offsetof(thi_runtime, next),
    .runtime_workers = offsetof(thi_runtime, workers),
    .runtime_count = offsetof(thi_runtime, count),

    .worker_size = sizeof(thi_worker),
    .worker_index = offsetof(thi_worker, index),
    .worker_current = offsetof(thi_worker, current),
    .worker_thread = offsetof(thi_worker, thread_id),
    .worker_slabs = offsetof(thi_worker, fibers.slabs),
    .worker_engine = offsetof(thi_worker, loop.engine),
    .worker_now = offsetof(thi_worker, loop.now),
    .engine_name = offsetof(thi_engine, name),

    .slab_next = offsetof(thi_fiber_slab, next),
    .slab_count = offsetof(thi_fiber_slab, count),
    .slab_used = offsetof(thi_fiber_slab, used),
    .slab_fibers = offsetof(thi_fiber_slab, fibers),

    .fiber_size = sizeof(th_fiber),
    .fiber_id = offsetof(th_fiber, id),
    .fiber_state = offsetof(th_fiber, state),
    .fiber_fn = offsetof(th_fiber, fn),
    .fiber_name = offsetof(th_fiber, name),
    .fiber_origin = offsetof(th_fiber, origin),
    .fiber_wait = offsetof(th_fiber, waits),
    .fiber_scope = offsetof(th_fiber, scope),
    .fiber_home = offsetof(th_fiber, home),
    .fiber_stack = offsetof(th_fiber, stack_low),
    .fiber_stack_size = offsetof(th_fiber, stack_size),
    .fiber_context = offsetof(th_fiber, context.sp),

    .context_pc = CONTEXT_PC,
    .context_frame = CONTEXT_FRAME,
    .context_stack = CONTEXT_STACK,
    .context_step = CONTEXT_STEP,

    .wait_kind = offsetof(thi_wait, kind),
    .wait_object = offsetof(thi_wait, object),
    .wait_since = offsetof(thi_wait, since),

    .kind_what = offsetof(thi_wait_kind, what),
    .kind_ends = offsetof(thi_wait_kind, ends),
    .kind_at = offsetof(thi_wait_kind, at),

    .scope_parent = offsetof(thi_scope, parent),
    .scope_host = offsetof(thi_scope, host),
    .scope_origin = offsetof(thi_scope, origin),
    .scope_deadline = offsetof(thi_scope, deadline),
    .scope_live = offsetof(thi_scope, live),
    .scope_limit = offsetof(thi_scope, limit),
    .scope_status = offsetof(thi_scope, status),
};

extern const th_inspect th_inspect_layout __attribute__((alias("thi_inspect_here")));

/* Elf64_Nhdr: the sizes of name and content, the type; then name and content, each aligned to 4. */
__asm__("        .pushsection .note.thrum, \"a\", %note\n"
        "        .balign 4\n"
        "        .long   1f - 0f\n"
        "        .long   8\n"
        "        .long   1\n"
        "0:      .asciz  \"" TH_INSPECT_NOTE_NAME "\"\n"
        "1:      .balign 4\n"
        "2:      .quad   thi_inspect_here - 2b\n"
        "        .popsection\n");
