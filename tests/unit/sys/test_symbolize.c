/* SPDX-License-Identifier: MIT */

#include "sys/symbolize.h"

#include "base/alloc.h"
#include "base/random.h"

#include "check_main.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Known to no dynamic table. */
static __attribute__((noinline)) int hidden_away(int n)
{
    __asm__ volatile("" : "+r"(n));
    return n + 1;
}

static const void *code(int (*fn)(int))
{
    return (const void *)(uintptr_t)fn;
}

static const void *inside(const void *start, size_t offset)
{
    return (const char *)start + offset;
}

START_TEST(static_function_has_a_name)
{
    char text[THI_SYMBOL_SIZE];
    ck_assert(thi_symbolize(inside(code(hidden_away), 1), text, sizeof text));
    ck_assert_str_eq(text, "hidden_away+0x1 (unit_sys_symbolize)");
}
END_TEST

START_TEST(function_of_the_library_has_a_name)
{
    char text[THI_SYMBOL_SIZE];
    ck_assert(thi_symbolize((const void *)(uintptr_t)thi_symbolize, text, sizeof text));
    ck_assert_str_eq(text, "thi_symbolize+0x0 (unit_sys_symbolize)");
}
END_TEST

START_TEST(function_of_libc_has_a_name)
{
    char text[THI_SYMBOL_SIZE];
    const void *at = dlsym(dlopen("libc.so.6", RTLD_NOW), "qsort"); /* not a sanitizer's */
    ck_assert(thi_symbolize(inside(at, 2), text, sizeof text));
    ck_assert_ptr_nonnull(strstr(text, "qsort"));
    ck_assert_ptr_nonnull(strstr(text, "+0x2 (libc"));
}
END_TEST

static int data_not_code = 1;

START_TEST(what_is_no_function_is_told_by_its_place)
{
    char text[THI_SYMBOL_SIZE];
    ck_assert(!thi_symbolize(&data_not_code, text, sizeof text));
    ck_assert_int_eq(strncmp(text, "(unit_sys_symbolize+0x", 22), 0);
    ck_assert(!thi_symbolize(inside(NULL, 16), text, sizeof text));
    ck_assert_str_eq(text, "0x10");
}
END_TEST

START_TEST(text_is_cut_to_its_size)
{
    char text[12];
    memset(text, 'x', sizeof text);
    ck_assert(thi_symbolize(code(hidden_away), text, 7));
    ck_assert_str_eq(text, "hidden");
    ck_assert_int_eq(text[7], 'x');
}
END_TEST

START_TEST(errno_is_kept)
{
    char text[THI_SYMBOL_SIZE];
    errno = EXDEV;
    (void)thi_symbolize(code(hidden_away), text, sizeof text);
    (void)thi_symbolize(NULL, text, sizeof text);
    ck_assert_int_eq(errno, EXDEV);
}
END_TEST

/* It works where the heap is at its end, and leaves nothing there. */
START_TEST(heap_is_left_alone)
{
    char text[THI_SYMBOL_SIZE];
    int64_t live = thi_alloc_live();
    thi_alloc_fail_at(1);
    ck_assert(thi_symbolize(code(hidden_away), text, sizeof text));
    ck_assert_int_eq(thi_alloc_fail_at(0), 1);
    ck_assert_int_eq(thi_alloc_live(), live);
}
END_TEST

static void *name_it(void *arg)
{
    char text[THI_SYMBOL_SIZE];
    for (int i = 0; i < 100; i++)
        if (!thi_symbolize(code(hidden_away), text, sizeof text) ||
            strcmp(text, "hidden_away+0x0 (unit_sys_symbolize)") != 0)
            return arg;
    return NULL;
}

START_TEST(threads_may_ask_at_once)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, name_it, threads), 0);
    for (int i = 0; i < 4; i++) {
        void *failed = NULL;
        ck_assert_int_eq(pthread_join(threads[i], &failed), 0);
        ck_assert_ptr_null(failed);
    }
}
END_TEST

/* ---- files that are not what they were ---- */

typedef struct copy {
    char path[64];
    char *bytes;
    size_t size;
} copy;

/* A copy of the mathematical library, as bytes. */
static void read_copy(copy *c)
{
    Dl_info info;
    struct stat st;
    void *libm = dlopen("libm.so.6", RTLD_NOW);
    ck_assert_ptr_nonnull(libm);
    ck_assert_int_ne(dladdr(dlsym(libm, "frexp"), &info), 0);
    int fd = open(info.dli_fname, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fstat(fd, &st), 0);
    c->size = (size_t)st.st_size;
    c->bytes = malloc(c->size);
    ck_assert_ptr_nonnull(c->bytes);
    ck_assert_int_eq(read(fd, c->bytes, c->size), st.st_size);
    close(fd);
}

/* Puts a file in the place of the one there, which lives on where it is mapped. */
static void write_copy(copy *c, size_t size)
{
    snprintf(c->path, sizeof c->path, "/tmp/thrum-symbolize-XXXXXX");
    int fd = mkstemp(c->path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, c->bytes, size), (ssize_t)size);
    close(fd);
}

static const void *load_copy(const copy *c)
{
    void *handle = dlopen(c->path, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        ck_abort_msg("%s", dlerror());
    return dlsym(handle, "frexp");
}

/* dladdr's answer, or the table's: the function is exported, so either names it. */
static void expect_frexp(const void *at)
{
    char text[THI_SYMBOL_SIZE];
    ck_assert(thi_symbolize(at, text, sizeof text));
    ck_assert_ptr_nonnull(strstr(text, "frexp"));
    ck_assert_ptr_nonnull(strstr(text, "+0x0 (thrum-symbolize-"));
}

START_TEST(another_build_in_the_place_of_the_file_is_not_believed)
{
    copy c;
    char text[THI_SYMBOL_SIZE];
    read_copy(&c);
    write_copy(&c, c.size);
    const void *frexp_at = load_copy(&c);
    copy other = c;
    const ElfW(Ehdr) *head = (const void *)c.bytes;
    const ElfW(Phdr) *segments = (const void *)(c.bytes + head->e_phoff);
    for (unsigned i = 0; i < head->e_phnum; i++) /* the last byte of each note: of a build's id */
        if (segments[i].p_type == PT_NOTE)
            other.bytes[segments[i].p_offset + segments[i].p_filesz - 1] ^= 1;
    const ElfW(Shdr) *sections = (const void *)(c.bytes + head->e_shoff);
    for (unsigned i = 0; i < head->e_shnum; i++) /* and all its names are wrong */
        if (sections[i].sh_type == SHT_STRTAB)
            memset(other.bytes + sections[i].sh_offset + 1, 'z', sections[i].sh_size - 2);
    write_copy(&other, c.size);
    ck_assert_int_eq(rename(other.path, c.path), 0);
    expect_frexp(frexp_at);
    ck_assert(thi_symbolize(frexp_at, text, sizeof text));
    ck_assert_ptr_null(strstr(text, "zz"));
    unlink(c.path);
    free(c.bytes);
}
END_TEST

START_TEST(no_file_in_the_place_of_the_file_is_no_harm)
{
    copy c;
    read_copy(&c);
    write_copy(&c, c.size);
    const void *frexp_at = load_copy(&c);
    copy shorter = c;
    write_copy(&shorter, 40);
    ck_assert_int_eq(rename(shorter.path, c.path), 0);
    expect_frexp(frexp_at);
    unlink(c.path);
    free(c.bytes);
}
END_TEST

/* The loader does not look at the table of sections: whatever stands in there must do no harm. */
START_TEST(sections_of_nonsense_do_no_harm)
{
    thi_random random;
    copy c;
    read_copy(&c);
    thi_random_seed(&random, 42);
    ElfW(Ehdr) *head = (void *)c.bytes;
    ElfW(Ehdr) true_head = *head;
    size_t table = head->e_shnum * sizeof(ElfW(Shdr));
    char *sections = malloc(table);
    ck_assert_ptr_nonnull(sections);
    memcpy(sections, c.bytes + head->e_shoff, table);
    for (int round = 0; round < 200; round++) {
        char text[THI_SYMBOL_SIZE];
        *head = true_head;
        memcpy(c.bytes + head->e_shoff, sections, table);
        for (int i = 0; i < 40; i++)
            c.bytes[head->e_shoff + thi_random_below(&random, table)] =
                (char)thi_random_next(&random);
        if (round % 4 == 1)
            head->e_shoff = thi_random_next(&random) >> (round % 60);
        if (round % 4 == 2)
            head->e_shnum = (ElfW(Half))thi_random_next(&random);
        write_copy(&c, c.size);
        const void *frexp_at = load_copy(&c);
        (void)thi_symbolize(frexp_at, text, sizeof text);
        unlink(c.path);
    }
    free(sections);
    free(c.bytes);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "symbolize");
    tcase_add_test(tcase, static_function_has_a_name);
    tcase_add_test(tcase, function_of_the_library_has_a_name);
    tcase_add_test(tcase, function_of_libc_has_a_name);
    tcase_add_test(tcase, what_is_no_function_is_told_by_its_place);
    tcase_add_test(tcase, text_is_cut_to_its_size);
    tcase_add_test(tcase, errno_is_kept);
    tcase_add_test(tcase, heap_is_left_alone);
    tcase_add_test(tcase, threads_may_ask_at_once);
    tcase = thi_check_case(suite, "files");
    tcase_add_test(tcase, another_build_in_the_place_of_the_file_is_not_believed);
    tcase_add_test(tcase, no_file_in_the_place_of_the_file_is_no_harm);
    tcase_add_test(tcase, sections_of_nonsense_do_no_harm);
}

int main(void)
{
    return thi_check_run("sys/symbolize", fill);
}
