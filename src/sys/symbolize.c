/* SPDX-License-Identifier: MIT */

/*
 * Names for code addresses of this process.
 *
 * dladdr(3) knows the exported functions only, and of a program none. The others stand in .symtab
 * of the file on disk, if it was not stripped. It is mapped when the first address of it is asked
 * for, its functions are put in order once, and both are kept: whoever reports stacks has many
 * addresses of few files.
 *
 * A file may have been replaced since it was loaded, and would then name the wrong functions with
 * great confidence. So its headers and its notes, of which one identifies the build, are compared
 * with those in memory. The program itself is reached by /proc/self/exe, which leads to the file
 * that runs even if another one has its name now.
 *
 * Nothing in the file is trusted: each offset is checked against its size. When it is of no use, or
 * there is no memory, dladdr's answer stands. What is kept lies in mappings of its own: it is no
 * part of what the library has on the heap, whose blocks tests and simulations count.
 *
 * The real kernel is asked in any case: a simulated one knows nothing of these files, and a test
 * that makes the n-th call fail does not mean these.
 */
#include "sys/symbolize.h"

#include "base/util.h"
#include "sys/sys.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

typedef struct function {
    ElfW(Addr) start; /* as the file says, without the offset of its place in memory */
    ElfW(Addr) size;
    uint32_t name; /* offset in the module's names */
} function;

/* A file that code was loaded from; kept for ever. */
typedef struct module {
    struct module *next;
    uintptr_t base;
    function *functions; /* by start; NULL: the file is of no use */
    size_t count;
    const char *names;
    size_t names_size;
    char path[];
} module;

/* Where an address was found: filled in by the loader's walk over what is loaded. */
typedef struct place {
    uintptr_t pc;
    uintptr_t bias; /* what was added to the file's addresses */
    char path[256]; /* empty: the program */
} place;

#define PAGE 4096 /* of the first one of a file, which begins with its headers, all are mapped */

/* Zeroed memory that is never given back; NULL when there is none. */
static void *keep(size_t size)
{
    void *at = NULL;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    return thi_sys_real.mmap(&at, size, PROT_READ | PROT_WRITE, flags, -1, 0) == 0 ? at : NULL;
}

/* A file on disk as it was mapped. */
typedef struct image {
    const char *at;
    size_t size;
} image;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static module *modules;

/* The bytes [offset, offset + size) of a file; NULL when it has not so many. */
static const void *part(image file, uint64_t offset, uint64_t size)
{
    if (offset > file.size || size > file.size - offset)
        return NULL;
    return file.at + offset;
}

/* An array in the file, aligned as its members must be. */
static const void *array(image file, uint64_t offset, uint64_t count, size_t size)
{
    if (count > file.size / size || offset % sizeof(ElfW(Addr)) != 0)
        return NULL;
    return part(file, offset, count * size);
}

static bool is_elf(const ElfW(Ehdr) * head)
{
    return memcmp(head->e_ident, ELFMAG, SELFMAG) == 0 &&
           head->e_ident[EI_CLASS] == (sizeof(ElfW(Addr)) == 8 ? ELFCLASS64 : ELFCLASS32);
}

/* Whether a note is in memory as well, and the same there. */
static bool has_note(const ElfW(Ehdr) * head, const ElfW(Phdr) * segments, const ElfW(Phdr) * note,
                     const void *bytes, const char *base, uintptr_t bias)
{
    for (unsigned i = 0; i < head->e_phnum; i++) {
        const ElfW(Phdr) *s = &segments[i];
        if (s->p_type != PT_LOAD || !(s->p_flags & PF_R) || note->p_vaddr < s->p_vaddr ||
            note->p_vaddr - s->p_vaddr > s->p_filesz ||
            note->p_filesz > s->p_filesz - (note->p_vaddr - s->p_vaddr))
            continue;
        return memcmp(bytes, base + (bias + note->p_vaddr - (uintptr_t)base), note->p_filesz) == 0;
    }
    return false;
}

/* Whether the file is the one that was loaded at `base`, where its headers are mapped. */
static bool is_loaded(image file, const char *base, uintptr_t bias)
{
    const ElfW(Ehdr) *head = part(file, 0, sizeof *head);
    if (!head || !is_elf(head) || memcmp(head, base, sizeof *head) != 0)
        return false;
    const ElfW(Phdr) *segments = array(file, head->e_phoff, head->e_phnum, sizeof *segments);
    if (!segments || head->e_phoff + head->e_phnum * sizeof *segments > PAGE ||
        memcmp(segments, base + head->e_phoff, head->e_phnum * sizeof *segments) != 0)
        return false;
    for (unsigned i = 0; i < head->e_phnum; i++) {
        const ElfW(Phdr) *s = &segments[i];
        const void *note = s->p_type == PT_NOTE ? part(file, s->p_offset, s->p_filesz) : NULL;
        if (note && !has_note(head, segments, s, note, base, bias))
            return false;
    }
    return true;
}

static int by_start(const void *a, const void *b)
{
    const function *f = a;
    const function *g = b;
    return (f->start > g->start) - (f->start < g->start);
}

static bool is_function(const ElfW(Sym) * symbol)
{
    unsigned type = symbol->st_info & 0xf;
    return (type == STT_FUNC || type == STT_GNU_IFUNC) && symbol->st_shndx != SHN_UNDEF &&
           symbol->st_name != 0;
}

/* One that was written without its size, in assembly, may reach to the end of its section. */
static ElfW(Addr) size_of(const ElfW(Sym) * symbol, const ElfW(Shdr) * sections, unsigned count)
{
    if (symbol->st_size > 0 || symbol->st_shndx >= count)
        return symbol->st_size;
    const ElfW(Shdr) *s = &sections[symbol->st_shndx];
    ElfW(Addr) from = symbol->st_value - s->sh_addr;
    return from < s->sh_size ? (ElfW(Addr))s->sh_size - from : 0;
}

/* What `found` says of functions, as an array in their order. */
static void take_functions(module *m, image file, const ElfW(Shdr) * sections,
                           unsigned sections_count, const ElfW(Shdr) * found)
{
    size_t n = 0;
    size_t count = found->sh_size / sizeof(ElfW(Sym));
    const ElfW(Sym) *symbols = array(file, found->sh_offset, count, sizeof *symbols);
    for (size_t i = 0; symbols && i < count; i++)
        n += is_function(&symbols[i]);
    m->functions = n > 0 ? keep(n * sizeof *m->functions) : NULL;
    for (size_t i = 0; m->functions && i < count; i++)
        if (is_function(&symbols[i]))
            m->functions[m->count++] =
                (function){ .start = symbols[i].st_value,
                            .size = size_of(&symbols[i], sections, sections_count),
                            .name = symbols[i].st_name };
    if (m->functions)
        qsort(m->functions, m->count, sizeof *m->functions, by_start);
}

/* Finds the table of symbols, all of them if it is there, else the exported ones; whether there is
 * one and the names stay in use. */
static bool read_symbols(module *m, image file)
{
    const ElfW(Ehdr) *head = part(file, 0, sizeof *head);
    const ElfW(Shdr) *sections = array(file, head->e_shoff, head->e_shnum, sizeof *sections);
    const ElfW(Shdr) *found = NULL;
    for (unsigned i = 0; sections && i < head->e_shnum; i++)
        if (sections[i].sh_type == SHT_SYMTAB || (sections[i].sh_type == SHT_DYNSYM && !found))
            found = &sections[i];
    if (!found || found->sh_link >= head->e_shnum)
        return false;
    const ElfW(Shdr) *text = &sections[found->sh_link];
    m->names = part(file, text->sh_offset, text->sh_size);
    m->names_size = text->sh_size;
    if (!m->names || m->names_size == 0 || m->names[m->names_size - 1] != '\0')
        return false;
    take_functions(m, file, sections, head->e_shnum, found);
    return m->functions != NULL;
}

static image map_file(const char *path)
{
    image file = { NULL, 0 };
    struct stat st;
    void *at = NULL;
    int fd = thi_sys_real.openat(AT_FDCWD, path, O_RDONLY | O_NONBLOCK, 0);
    if (fd < 0)
        return file;
    if (thi_sys_real.fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 &&
        thi_sys_real.mmap(&at, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0) == 0)
        file = (image){ at, (size_t)st.st_size };
    (void)thi_sys_real.close(fd);
    return file;
}

static void load(module *m, const char *base, const place *at)
{
    image file = map_file(*at->path ? at->path : "/proc/self/exe");
    if (!file.at)
        return;
    if (!is_loaded(file, base, at->bias) || !read_symbols(m, file)) {
        uintptr_t mapped = (uintptr_t)file.at;
        (void)thi_sys_real.munmap((void *)mapped, file.size);
    }
}

/* With the lock held; NULL without memory. */
static const module *find_module(const Dl_info *info, const place *at)
{
    uintptr_t base = (uintptr_t)info->dli_fbase;
    for (const module *m = modules; m; m = m->next)
        if (m->base == base && strcmp(m->path, at->path) == 0)
            return m;
    size_t length = strlen(at->path);
    module *m = keep(sizeof *m + length + 1);
    if (!m)
        return NULL;
    m->base = base;
    memcpy(m->path, at->path, length);
    load(m, info->dli_fbase, at);
    m->next = modules;
    modules = m;
    return m;
}

/* The function that an address lies in: the last that starts at or before it. */
static const function *find_function(const module *m, ElfW(Addr) at)
{
    size_t low = 0;
    for (size_t high = m->count; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (m->functions[middle].start <= at)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low > 0; low--) { /* of several names for one place, or one inside another: any */
        const function *f = &m->functions[low - 1];
        if (at - f->start < thi_max(f->size, 1))
            return f->name < m->names_size ? f : NULL;
        if (low > 1 && m->functions[low - 2].start != f->start)
            break;
    }
    return NULL;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Ends the loader's walk at the object that covers the address. */
static int cover(struct dl_phdr_info *object, size_t size, void *arg)
{
    place *at = arg;
    (void)size;
    for (unsigned i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *s = &object->dlpi_phdr[i];
        if (s->p_type != PT_LOAD || at->pc - object->dlpi_addr - s->p_vaddr >= s->p_memsz)
            continue;
        at->bias = object->dlpi_addr;
        snprintf(at->path, sizeof at->path, "%s", object->dlpi_name ? object->dlpi_name : "");
        return 1;
    }
    return 0;
}

/* Whether a function was found and told. */
static bool describe(const Dl_info *info, const place *at, char *text, size_t size)
{
    uintptr_t offset = at->pc - at->bias;
    const char *file = base_name(info->dli_fname);
    pthread_mutex_lock(&lock);
    const module *m = find_module(info, at);
    const function *f = m && m->functions ? find_function(m, offset) : NULL;
    pthread_mutex_unlock(&lock); /* modules are never changed again, nor given back */
    const char *name = f ? m->names + f->name : NULL;
    if (f)
        offset -= f->start;
    else if (info->dli_sname && (!m || !m->functions)) {
        name = info->dli_sname;
        offset = at->pc - (uintptr_t)info->dli_saddr;
    }
    if (name)
        snprintf(text, size, "%s+0x%jx (%s)", name, (uintmax_t)offset, file);
    else
        snprintf(text, size, "(%s+0x%jx)", file, (uintmax_t)offset);
    return name != NULL;
}

bool thi_symbolize(const void *pc, char *text, size_t size)
{
    int saved = errno;
    Dl_info info;
    place at = { .pc = (uintptr_t)pc };
    bool found = false;
    if (dladdr(pc, &info) != 0 && info.dli_fname && dl_iterate_phdr(cover, &at) != 0)
        found = describe(&info, &at, text, size);
    else
        snprintf(text, size, "%p", pc);
    errno = saved;
    return found;
}
