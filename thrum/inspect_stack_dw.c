/* SPDX-License-Identifier: MIT */

/*
 * Stacks by libdw.
 *
 * To libdw a fiber is a thread: its registers are those of the saved context, and its memory is a
 * copy of its stack, taken in one piece, so that a fiber that goes on meanwhile confuses nothing.
 * Registers that a context does not keep are not known; no frame of a fiber at rest needs them,
 * since the switch counts as changing all of them.
 *
 * Names are looked up once for each address: the same places come again and again.
 */
#include "inspect_stack.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COPY_MAX   65536
#define PLACES_MAX 16 /* functions inlined into each other that are told apart */
#define ENOUGH     3  /* frames with which libdw has done its work */

#if defined(__x86_64__)
#define FRAME_REGISTER 6
#define STACK_REGISTER 7
#elif defined(__aarch64__)
#define FRAME_REGISTER 29
#define STACK_REGISTER 31
#else
#define FRAME_REGISTER 0
#define STACK_REGISTER 0
#endif

/* The places of one address. */
typedef struct known {
    uint64_t key; /* address * 2 + call; 0: nothing is here */
    size_t count;
    place_view *places;
} known;

/* What is being walked. */
typedef struct walk {
    const fiber_view *f;
    const target_thread *thread; /* of a core, whose registers are all known; or NULL */
    saved_context context;
    size_t size; /* of the copy */
    stack_view *stack;
} walk;

struct stacks {
    target *t;
    Dwfl *dwfl;
    bool attached;
    walk now;
    known *table; /* a hash table with open addressing */
    size_t room;
    size_t count;
    unsigned char copy[COPY_MAX];
};

/* ---- files ----------------------------------------------------------------------------------- */

/* Opens the file that is mapped, also when its path leads to another one by now. */
static int open_mapped(const target *t, const target_map *map)
{
    char path[4200];
    if (!t->core) {
        snprintf(path, sizeof path, "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, t->pid, map->start,
                 map->end);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0)
            return fd;
        snprintf(path, sizeof path, "/proc/%d/root%s", t->pid, map->path);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0)
            return fd;
    }
    return open(map->path, O_RDONLY | O_CLOEXEC);
}

static int find_no_file(Dwfl_Module *module, void **user, const char *name, Dwarf_Addr base,
                        char **path, Elf **elf)
{
    (void)module;
    (void)user;
    (void)name;
    (void)base;
    (void)path;
    (void)elf;
    return -1;
}

static void report_files(stacks *k)
{
    dwfl_report_begin(k->dwfl);
    for (size_t i = 0; i < k->t->map_count; i++) {
        const target_map *map = &k->t->maps[i];
        unsigned char magic[4];
        if (map->offset != 0 || !target_read(k->t, map->start, magic, sizeof magic) ||
            memcmp(magic, ELFMAG, sizeof magic) != 0)
            continue;
        int fd = open_mapped(k->t, map);
        if (fd >= 0 && !dwfl_report_elf(k->dwfl, map->path, map->path, fd, map->start, false))
            close(fd);
    }
    dwfl_report_end(k->dwfl, NULL, NULL);
}

/* ---- threads, as libdw calls them ------------------------------------------------------------ */

static pid_t next_thread(Dwfl *dwfl, void *arg, void **thread)
{
    (void)dwfl;
    (void)arg;
    (void)thread;
    return 0;
}

static bool get_thread(Dwfl *dwfl, pid_t id, void *arg, void **thread)
{
    (void)dwfl;
    (void)id;
    *thread = arg;
    return true;
}

static bool read_memory(Dwfl *dwfl, Dwarf_Addr at, Dwarf_Word *word, void *arg)
{
    stacks *k = arg;
    (void)dwfl;
    if (k->now.thread)
        return target_read(k->t, at, word, sizeof *word);
    uint64_t low = k->now.f->context;
    if (at < low || at - low > k->now.size || k->now.size - (at - low) < sizeof *word)
        return false;
    memcpy(word, k->copy + (at - low), sizeof *word);
    return true;
}

static bool set_registers(Dwfl_Thread *thread, void *arg)
{
    const walk *w = &((stacks *)arg)->now;
    if (w->thread) {
        Dwarf_Word all[TARGET_REGISTERS];
        for (unsigned i = 0; i < w->thread->register_count; i++)
            all[i] = w->thread->registers[i];
        dwfl_thread_state_register_pc(thread, w->thread->pc);
        return dwfl_thread_state_registers(thread, 0, w->thread->register_count, all);
    }
    Dwarf_Word frame = w->context.frame;
    Dwarf_Word stack = w->context.stack;
    dwfl_thread_state_register_pc(thread, w->context.pc);
    return dwfl_thread_state_registers(thread, FRAME_REGISTER, 1, &frame) &&
           dwfl_thread_state_registers(thread, STACK_REGISTER, 1, &stack);
}

static int take_frame(Dwfl_Frame *frame, void *arg)
{
    stack_view *stack = arg;
    Dwarf_Addr pc;
    if (stack->count == FRAMES_MAX || !dwfl_frame_pc(frame, &pc, NULL) || pc == 0)
        return DWARF_CB_ABORT;
    stack->at[stack->count++] = pc;
    return DWARF_CB_OK;
}

static const Dwfl_Thread_Callbacks thread_callbacks = {
    .next_thread = next_thread,
    .get_thread = get_thread,
    .memory_read = read_memory,
    .set_initial_registers = set_registers,
};

/* libdw numbers threads; which one is meant is in k->now. */
static void unwind(stacks *k)
{
    k->now.stack->count = 0;
    if (k->attached)
        (void)dwfl_getthread_frames(k->dwfl, 1, take_frame, k->now.stack);
}

/* ---- opening --------------------------------------------------------------------------------- */

stacks *stacks_open(target *t)
{
    static char *no_path; /* where debug information may lie besides: the usual folders */
    static const Dwfl_Callbacks callbacks = {
        .find_elf = find_no_file,
        .find_debuginfo = dwfl_standard_find_debuginfo,
        .section_address = dwfl_offline_section_address,
        .debuginfo_path = &no_path,
    };
    stacks *k = calloc(1, sizeof *k);
    if (!k)
        return NULL;
    k->t = t;
    unsetenv("DEBUGINFOD_URLS"); /* whoever looks inside does not want to wait for a server */
    k->dwfl = dwfl_begin(&callbacks);
    if (!k->dwfl) {
        free(k);
        return NULL;
    }
    report_files(k);
    k->attached = dwfl_attach_state(k->dwfl, NULL, 1, &thread_callbacks, k);
    return k;
}

void stacks_close(stacks *k)
{
    if (!k)
        return;
    dwfl_end(k->dwfl);
    for (size_t i = 0; i < k->room; i++)
        free(k->table[i].places);
    free(k->table);
    free(k);
}

/* ---- walking --------------------------------------------------------------------------------- */

static const target_thread *thread_of(const target *t, const fiber_view *f)
{
    for (size_t i = 0; i < t->thread_count; i++)
        if (t->threads[i].id == f->worker->thread)
            return &t->threads[i];
    return NULL;
}

bool stacks_walk(stacks *k, snapshot *s, fiber_view *f, stack_view *stack)
{
    k->now = (walk){ .f = f, .stack = stack };
    if (f->state == TH_INSPECT_RUNNING && k->t->core) {
        k->now.thread = thread_of(k->t, f);
        if (k->now.thread)
            unwind(k);
        return k->now.thread && stack->count > 0;
    }
    k->now.size = snapshot_copy_stack(s, f, k->copy, sizeof k->copy);
    if (k->now.size == 0 || !stacks_context(f, k->copy, k->now.size, &k->now.context))
        return false;
    unwind(k);
    if (stack->count < ENOUGH) {
        stack_view plain;
        stacks_follow_frames(f, k->copy, k->now.size, &k->now.context, &plain);
        if (plain.count > stack->count)
            *stack = plain;
    }
    return true;
}

/* ---- names ----------------------------------------------------------------------------------- */

/* The scopes around an address, innermost first, by where they are written and not where they were
 * inlined from; their number, and the caller frees them. */
static int scopes_at(Dwfl_Module *module, uint64_t at, Dwarf_Die *unit, Dwarf_Die **scopes)
{
    Dwarf_Addr bias;
    Dwarf_Die *cu = dwfl_module_addrdie(module, at, &bias);
    Dwarf_Die *innermost = NULL;
    Dwarf_Die die;
    if (!cu)
        return 0;
    *unit = *cu;
    if (dwarf_getscopes(cu, at - bias, &innermost) <= 0)
        return 0;
    Dwarf *dwarf = dwfl_module_getdwarf(module, &bias);
    bool found = dwarf_offdie(dwarf, dwarf_dieoffset(&innermost[0]), &die) != NULL;
    free(innermost);
    int count = found ? dwarf_getscopes_die(&die, scopes) : 0;
    return count < 0 ? 0 : count;
}

/* Where an inlined function was called. */
static void call_site(Dwarf_Die *die, Dwarf_Die *unit, place_view *caller)
{
    Dwarf_Attribute attribute;
    Dwarf_Word line;
    Dwarf_Word file;
    Dwarf_Files *files;
    if (dwarf_formudata(dwarf_attr(die, DW_AT_call_line, &attribute), &line) == 0)
        caller->line = (int)line;
    if (dwarf_formudata(dwarf_attr(die, DW_AT_call_file, &attribute), &file) == 0 &&
        dwarf_getsrcfiles(unit, &files, NULL) == 0)
        caller->file = dwarf_filesrc(files, file, NULL, NULL);
}

/* Puts the functions around an address to `places`, of which the first has its line already. */
static size_t functions_at(Dwfl_Module *module, uint64_t at, place_view *places)
{
    Dwarf_Die unit;
    Dwarf_Die *scopes = NULL;
    size_t count = 0;
    int scope_count = scopes_at(module, at, &unit, &scopes);
    for (int i = 0; i < scope_count && count < PLACES_MAX; i++) {
        int tag = dwarf_tag(&scopes[i]);
        if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_subprogram)
            continue;
        place_view *place = &places[count++];
        place->function = dwarf_diename(&scopes[i]);
        place->inlined = tag == DW_TAG_inlined_subroutine;
        if (!place->inlined)
            break;
        if (count < PLACES_MAX)
            call_site(&scopes[i], &unit, &places[count]);
    }
    free(scopes);
    return count;
}

/* Asks libdw for the places of an address. */
static size_t look_up(stacks *k, uint64_t at, place_view *places)
{
    Dwfl_Module *module = dwfl_addrmodule(k->dwfl, at);
    places[0].offset = at;
    if (!module)
        return 1;
    Dwarf_Addr start;
    const char *path = dwfl_module_info(module, NULL, &start, NULL, NULL, NULL, NULL, NULL);
    Dwfl_Line *line = dwfl_module_getsrc(module, at);
    if (line)
        places[0].file = dwfl_lineinfo(line, NULL, &places[0].line, NULL, NULL, NULL);
    size_t count = functions_at(module, at, places);
    if (count == 0)
        count = 1;
    for (size_t i = 0; i < count; i++) {
        places[i].module = path;
        places[i].offset = at - start;
    }
    place_view *outermost = &places[count - 1];
    outermost->inlined = false;
    if (!outermost->function)
        outermost->function = dwfl_module_addrname(module, at);
    return count;
}

static known *slot_of(const stacks *k, uint64_t key)
{
    size_t i = (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (k->room - 1);
    while (k->table[i].key != 0 && k->table[i].key != key)
        i = (i + 1) & (k->room - 1);
    return &k->table[i];
}

static bool make_room(stacks *k)
{
    if (k->count * 2 < k->room)
        return true;
    stacks former = { .table = k->table, .room = k->room };
    size_t room = k->room ? k->room * 2 : 1024;
    known *table = calloc(room, sizeof *table);
    if (!table)
        return false;
    k->table = table;
    k->room = room;
    for (size_t i = 0; i < former.room; i++)
        if (former.table[i].key != 0)
            *slot_of(k, former.table[i].key) = former.table[i];
    free(former.table);
    return true;
}

size_t stacks_places(stacks *k, uint64_t at, bool call, const place_view **places)
{
    static const place_view nowhere; /* without memory */
    uint64_t key = (at << 1 | (uint64_t)call) | UINT64_C(1) << 63;
    *places = &nowhere;
    if (!make_room(k))
        return 1;
    known *slot = slot_of(k, key);
    if (slot->key == 0) {
        place_view found[PLACES_MAX] = { { .function = NULL } };
        size_t count = look_up(k, at - call, found);
        place_view *copy = malloc(count * sizeof *copy);
        if (!copy)
            return 1;
        memcpy(copy, found, count * sizeof *copy);
        *slot = (known){ .key = key, .count = count, .places = copy };
        k->count++;
    }
    *places = slot->places;
    return slot->count;
}

const char *stacks_name(stacks *k, uint64_t at, uint64_t *offset)
{
    GElf_Off in = 0;
    GElf_Sym symbol;
    Dwfl_Module *module = dwfl_addrmodule(k->dwfl, at);
    const char *name =
        module ? dwfl_module_addrinfo(module, at, &in, &symbol, NULL, NULL, NULL) : NULL;
    bool inside = name && (in == 0 || in < symbol.st_size);
    *offset = in;
    return inside && *name ? name : NULL;
}
