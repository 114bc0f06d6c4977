/* SPDX-License-Identifier: MIT */

/*
 * A core file as what is looked into; see core(5) and elf(5).
 *
 * A core leaves out what the program's files have anyway: code and constants. Such memory is read
 * from these files, which the core lists by their paths. What is written nowhere cannot be read.
 *
 * Nothing in the file is believed: it may be cut off, or no core at all.
 */
#include "inspect_target.h"
#include "options.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/procfs.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#else
#define MACHINE EM_NONE
#endif

typedef struct core {
    target t;
    const unsigned char *bytes; /* the whole file */
    uint64_t size;
    Elf64_Phdr *loads; /* the parts of memory, by address */
    size_t load_count;
    uint64_t entry;     /* where the program begins; 0: not known */
    int file;           /* the one that was read last, kept open */
    const char *opened; /* its path, of t.maps */
} core;

/* ---- its memory ------------------------------------------------------------------------------ */

static const Elf64_Phdr *load_at(const core *c, uint64_t at)
{
    size_t low = 0;
    size_t high = c->load_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (at >= c->loads[middle].p_vaddr + c->loads[middle].p_memsz)
            low = middle + 1;
        else
            high = middle;
    }
    return low < c->load_count && at >= c->loads[low].p_vaddr ? &c->loads[low] : NULL;
}

/* Reads from the file that is mapped at an address; bytes read, 0: none. */
static size_t read_from_file(core *c, uint64_t at, void *to, size_t size)
{
    const target_map *map = target_map_at(&c->t, at);
    if (!map)
        return 0;
    if (c->opened != map->path) {
        if (c->file >= 0)
            close(c->file);
        c->file = open(map->path, O_RDONLY | O_CLOEXEC);
        c->opened = map->path;
    }
    if (size > map->end - at)
        size = map->end - at;
    if (c->file < 0)
        return 0;
    ssize_t n = pread(c->file, to, size, (off_t)(map->offset + (at - map->start)));
    return n < 0 ? 0 : (size_t)n;
}

/* Reads as much as one part of memory has; 0: nothing. */
static size_t read_some(core *c, uint64_t at, void *to, size_t size)
{
    const Elf64_Phdr *load = load_at(c, at);
    uint64_t in = load ? at - load->p_vaddr : 0;
    if (!load || in >= load->p_filesz)
        return read_from_file(c, at, to, size);
    if (size > load->p_filesz - in)
        size = load->p_filesz - in;
    if (load->p_offset > c->size || load->p_offset + in >= c->size)
        return 0; /* the file is cut off */
    if (size > c->size - (load->p_offset + in))
        size = c->size - (load->p_offset + in);
    memcpy(to, c->bytes + load->p_offset + in, size);
    return size;
}

static void read_core(target *t, target_piece *pieces, size_t count)
{
    core *c = (core *)(void *)t;
    for (size_t i = 0; i < count; i++) {
        target_piece *piece = &pieces[i];
        size_t have = 0;
        size_t n = 1;
        while (have < piece->size && n > 0) {
            n = read_some(c, piece->at + have, (char *)piece->to + have, piece->size - have);
            have += n;
        }
        piece->done = have == piece->size;
    }
}

static int64_t no_clock(target *t)
{
    (void)t;
    return INT64_MIN;
}

static void close_core(target *t)
{
    core *c = (core *)(void *)t;
    if (c->file >= 0)
        close(c->file);
    if (c->bytes)
        munmap((void *)(uintptr_t)c->bytes, c->size);
    free(c->loads);
}

/* ---- its notes ------------------------------------------------------------------------------- */

/* Puts the registers in the order of DWARF. */
static void take_registers(target_thread *thread, const elf_gregset_t *set)
{
    const elf_greg_t *r = *set;
#if defined(__x86_64__)
    /* The kernel's order is that of struct user_regs_struct. */
    static const unsigned char order[] = { 10, 12, 11, 5, 13, 14, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0 };
    thread->register_count = sizeof order;
    for (unsigned i = 0; i < sizeof order; i++)
        thread->registers[i] = r[order[i]];
    thread->pc = r[16];
    thread->local = r[21]; /* fs_base */
#elif defined(__aarch64__)
    thread->register_count = 32; /* x0 to x30, sp */
    for (unsigned i = 0; i < 32; i++)
        thread->registers[i] = r[i];
    thread->pc = r[32];
#else
    (void)r;
    thread->register_count = 0;
#endif
}

static bool take_thread(core *c, const unsigned char *at, uint64_t size)
{
    struct elf_prstatus status;
    if (size < sizeof status)
        return true;
    memcpy(&status, at, sizeof status);
    target_thread *more = realloc(c->t.threads, (c->t.thread_count + 1) * sizeof *more);
    if (!more)
        return false;
    c->t.threads = more;
    target_thread *thread = &more[c->t.thread_count++];
    *thread = (target_thread){ .id = status.pr_pid };
    take_registers(thread, &status.pr_reg);
    return true;
}

static uint64_t word_at(const unsigned char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* Number of files, size of a page; for each its start, end, page in the file; then their paths. */
static bool take_files(core *c, const unsigned char *at, uint64_t size)
{
    if (size < 16)
        return true;
    uint64_t count = word_at(at);
    uint64_t page = word_at(at + 8);
    if (count > (size - 16) / 24)
        return true;
    const char *path = (const char *)at + 16 + count * 24;
    const char *end = (const char *)at + size;
    for (uint64_t i = 0; i < count && memchr(path, '\0', (size_t)(end - path)); i++) {
        const unsigned char *entry = at + 16 + i * 24;
        if (*path == '/' && !target_add_map(&c->t, word_at(entry), word_at(entry + 8),
                                            word_at(entry + 16) * page, path))
            return false;
        path += strlen(path) + 1;
    }
    return true;
}

static void take_auxv(core *c, const unsigned char *at, uint64_t size)
{
    for (uint64_t i = 0; i + 16 <= size; i += 16)
        if (word_at(at + i) == AT_ENTRY)
            c->entry = word_at(at + i + 8);
}

static bool take_note(core *c, uint32_t type, const unsigned char *at, uint64_t size)
{
    struct elf_prpsinfo info;
    switch (type) {
    case NT_PRSTATUS:
        return take_thread(c, at, size);
    case NT_FILE:
        return take_files(c, at, size);
    case NT_AUXV:
        take_auxv(c, at, size);
        return true;
    case NT_PRPSINFO:
        if (size < sizeof info)
            return true;
        memcpy(&info, at, sizeof info);
        c->t.pid = info.pr_pid;
        return true;
    default:
        return true;
    }
}

static bool take_notes(core *c, uint64_t at, uint64_t end)
{
    Elf64_Nhdr note;
    while (at < end && end - at >= sizeof note) {
        memcpy(&note, c->bytes + at, sizeof note);
        uint64_t content = at + sizeof note + ((uint64_t)note.n_namesz + 3) / 4 * 4;
        at = content + ((uint64_t)note.n_descsz + 3) / 4 * 4;
        if (content > end || note.n_descsz > end - content)
            break;
        if (!take_note(c, note.n_type, c->bytes + content, note.n_descsz))
            return false;
    }
    return true;
}

/* ---- opening --------------------------------------------------------------------------------- */

static int by_address(const void *a, const void *b)
{
    const Elf64_Phdr *x = a;
    const Elf64_Phdr *y = b;
    return (x->p_vaddr > y->p_vaddr) - (x->p_vaddr < y->p_vaddr);
}

static int maps_by_address(const void *a, const void *b)
{
    const target_map *x = a;
    const target_map *y = b;
    return (x->start > y->start) - (x->start < y->start);
}

/* What is no core of this kind of machine; NULL: it is one. */
static const char *wrong_header(const core *c, const Elf64_Ehdr *h)
{
    if (c->size < sizeof *h || memcmp(h->e_ident, ELFMAG, SELFMAG) != 0 || h->e_type != ET_CORE)
        return "is no core file";
    if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_machine != MACHINE)
        return "is of another kind of machine";
    if (h->e_phentsize != sizeof(Elf64_Phdr) || h->e_phoff > c->size)
        return "is damaged";
    return NULL;
}

/* With more parts than a header can count, the first section header has their number: elf(5). */
static uint64_t part_count(const core *c, const Elf64_Ehdr *h)
{
    Elf64_Shdr first;
    uint64_t count = h->e_phnum;
    if (h->e_phnum == PN_XNUM && h->e_shoff <= c->size && c->size - h->e_shoff >= sizeof first) {
        memcpy(&first, c->bytes + h->e_shoff, sizeof first);
        count = first.sh_info;
    }
    uint64_t room = (c->size - h->e_phoff) / sizeof(Elf64_Phdr);
    return count < room ? count : room;
}

static bool take_part(core *c, const Elf64_Phdr *p)
{
    if (p->p_type == PT_LOAD)
        c->loads[c->load_count++] = *p;
    if (p->p_type != PT_NOTE || p->p_offset > c->size)
        return true;
    uint64_t left = c->size - p->p_offset;
    return take_notes(c, p->p_offset, p->p_offset + (p->p_filesz < left ? p->p_filesz : left));
}

/* Reads the headers; NULL, or what is wrong. */
static const char *read_parts(core *c)
{
    Elf64_Ehdr h = { .e_type = ET_NONE };
    if (c->size >= sizeof h)
        memcpy(&h, c->bytes, sizeof h);
    const char *wrong = wrong_header(c, &h);
    if (wrong)
        return wrong;
    uint64_t count = part_count(c, &h);
    c->loads = calloc(count + 1, sizeof *c->loads);
    for (uint64_t i = 0; c->loads && i < count; i++) {
        Elf64_Phdr p;
        memcpy(&p, c->bytes + h.e_phoff + i * sizeof p, sizeof p);
        if (!take_part(c, &p))
            return strerror(ENOMEM);
    }
    if (!c->loads)
        return strerror(ENOMEM);
    qsort(c->loads, c->load_count, sizeof *c->loads, by_address);
    if (c->t.map_count > 0)
        qsort(c->t.maps, c->t.map_count, sizeof *c->t.maps, maps_by_address);
    return NULL;
}

/* The program is the file in which the process began; another one may stand for it. */
static const char *find_program(core *c, const char *other)
{
    const target_map *map = target_map_at(&c->t, c->entry);
    char *real = other ? realpath(other, NULL) : NULL;
    if (other && !real)
        return "has no such program beside it";
    if (real && map) {
        const char *its = map->path;
        for (size_t i = 0; i < c->t.map_count; i++) {
            target_map *m = &c->t.maps[i];
            if (m != map && strcmp(m->path, its) == 0) {
                free(m->path);
                m->path = strdup(real);
            }
        }
        target_map *own = &c->t.maps[map - c->t.maps];
        free(own->path);
        own->path = strdup(real);
    }
    c->t.program = real ? real : map ? strdup(map->path) : NULL;
    for (size_t i = 0; i < c->t.map_count; i++)
        if (!c->t.maps[i].path)
            return strerror(ENOMEM);
    return NULL;
}

static const char *map_file(core *c, const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        int err = errno;
        if (fd >= 0)
            close(fd);
        return strerror(err);
    }
    void *bytes = MAP_FAILED;
    if (S_ISREG(st.st_mode) && st.st_size > 0)
        bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (bytes == MAP_FAILED)
        return "is no core file";
    c->bytes = bytes;
    c->size = (uint64_t)st.st_size;
    return NULL;
}

target *target_open_core(const char *who, const char *path, const char *program)
{
    core *c = calloc(1, sizeof *c);
    if (!c) {
        print_error("thrum %s: %s", who, strerror(ENOMEM));
        return NULL;
    }
    c->file = -1;
    c->t = (target){ .core = path, .read = read_core, .close = close_core, .clock = no_clock };
    const char *wrong = map_file(c, path);
    if (!wrong)
        wrong = read_parts(c);
    if (!wrong)
        wrong = find_program(c, program);
    if (!wrong)
        return &c->t;
    print_error("thrum %s: %s: %s", who, path, wrong);
    target_close(&c->t);
    return NULL;
}
