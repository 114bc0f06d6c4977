/* SPDX-License-Identifier: MIT */

/*
 * Finding the layouts of Thrum.
 *
 * Every file that is mapped from its beginning and is an ELF file is asked for its notes, in the
 * memory of the process: the file may have been replaced since. Nothing found there is believed:
 * a layout is used only if each of its fields is possible.
 */
#include "inspect_layout.h"

#include <elf.h>
#include <string.h>

#define PARTS_MAX 64
#define NOTES_MAX 4096 /* bytes of notes of one part that are looked at */
#define FIELD_MAX 65536

/* Whether a row of fields of at most 8 bytes lies within so many bytes. */
static bool are_within(const uint32_t *first, const uint32_t *last, uint32_t size)
{
    for (const uint32_t *field = first; field <= last; field++)
        if (*field > size - 8)
            return false;
    return true;
}

/* A context may lack some: how to do without is known. */
static bool is_context_possible(const th_inspect *l)
{
    for (const uint32_t *field = &l->context_pc; field <= &l->context_step; field++)
        if (*field > FIELD_MAX && *field != TH_INSPECT_NONE)
            return false;
    return true;
}

/* Whether offsets are such that nobody reads wildly because of them. */
static bool is_possible(const th_inspect *l)
{
    if (!are_within(&l->runtime_next, &l->fiber_context, FIELD_MAX) || !is_context_possible(l) ||
        !are_within(&l->wait_kind, &l->wait_since, LAYOUT_WAIT_MAX) ||
        !are_within(&l->kind_what, &l->kind_at, LAYOUT_KIND_MAX) ||
        !are_within(&l->scope_parent, &l->scope_status, LAYOUT_SCOPE_MAX))
        return false;
    return l->worker_size > 0 && l->fiber_size > 0 && l->fiber_size <= 4096 &&
           l->fiber_id + 8 <= l->fiber_size && l->fiber_state + 1 <= l->fiber_size &&
           l->fiber_fn + 8 <= l->fiber_size && l->fiber_name + 8 <= l->fiber_size &&
           l->fiber_origin + 8 <= l->fiber_size && l->fiber_wait + 8 <= l->fiber_size &&
           l->fiber_scope + 8 <= l->fiber_size && l->fiber_home + 8 <= l->fiber_size &&
           l->fiber_stack + 8 <= l->fiber_size && l->fiber_stack_size + 8 <= l->fiber_size &&
           l->fiber_context + 8 <= l->fiber_size;
}

/* Reads a layout; 1, 0 if there is none, -1 if it is not understood. */
static int read_layout(target *t, uint64_t at, th_inspect *layout)
{
    th_inspect l = { .size = 0 };
    if (!target_read(t, at, &l, offsetof(th_inspect, library)) ||
        memcmp(l.magic, TH_INSPECT_MAGIC, sizeof l.magic) != 0)
        return 0;
    if (l.version != TH_INSPECT_VERSION || l.size < sizeof l)
        return -1;
    if (!target_read(t, at, &l, sizeof l) || !is_possible(&l))
        return -1;
    l.library[sizeof l.library - 1] = '\0';
    *layout = l;
    return 1;
}

/* Looks for our note among those of one part of memory. */
static int search_notes(target *t, uint64_t at, uint64_t size, th_inspect *layout)
{
    unsigned char notes[NOTES_MAX];
    if (size > sizeof notes)
        size = sizeof notes;
    if (!target_read(t, at, notes, size))
        return 0;
    for (uint64_t i = 0; i + sizeof(Elf64_Nhdr) <= size;) {
        Elf64_Nhdr note;
        int64_t distance;
        memcpy(&note, notes + i, sizeof note);
        uint64_t name = i + sizeof note;
        uint64_t content = name + ((uint64_t)note.n_namesz + 3) / 4 * 4;
        if (note.n_type == TH_INSPECT_NOTE_TYPE && note.n_namesz == sizeof TH_INSPECT_NOTE_NAME &&
            note.n_descsz == sizeof distance && content + sizeof distance <= size &&
            memcmp(notes + name, TH_INSPECT_NOTE_NAME, note.n_namesz) == 0) {
            memcpy(&distance, notes + content, sizeof distance);
            return read_layout(t, at + content + (uint64_t)distance, layout);
        }
        i = content + ((uint64_t)note.n_descsz + 3) / 4 * 4;
    }
    return 0;
}

/* Looks at the ELF file that is mapped at an address. */
static int search_file(target *t, uint64_t at, th_inspect *layout)
{
    Elf64_Ehdr h;
    Elf64_Phdr parts[PARTS_MAX];
    if (!target_read(t, at, &h, sizeof h) || memcmp(h.e_ident, ELFMAG, SELFMAG) != 0 ||
        h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_phentsize != sizeof parts[0])
        return 0;
    size_t count = h.e_phnum < PARTS_MAX ? h.e_phnum : PARTS_MAX;
    if (!target_read(t, at + h.e_phoff, parts, count * sizeof parts[0]))
        return 0;
    uint64_t first = 0; /* what the file calls the address at which it begins */
    for (size_t i = 0; i < count; i++)
        if (parts[i].p_type == PT_LOAD && parts[i].p_offset == 0)
            first = parts[i].p_vaddr;
    int found = 0;
    for (size_t i = 0; i < count && found == 0; i++)
        if (parts[i].p_type == PT_NOTE)
            found = search_notes(t, at + (parts[i].p_vaddr - first), parts[i].p_memsz, layout);
    return found;
}

int layouts_find(target *t, th_inspect layouts[LAYOUTS_MAX])
{
    int count = 0;
    int unknown = 0;
    for (size_t i = 0; i < t->map_count && count < LAYOUTS_MAX; i++) {
        if (t->maps[i].offset != 0)
            continue;
        int found = search_file(t, t->maps[i].start, &layouts[count]);
        count += found > 0;
        unknown |= found < 0;
    }
    return count > 0 ? count : unknown ? -1 : 0;
}
