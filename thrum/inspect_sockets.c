/* SPDX-License-Identifier: MIT */

/*
 * The sockets of a process.
 *
 * A descriptor's link in /proc has the number of its socket's inode; the tables of the process'
 * network namespace, proc(5), have the addresses. A table is read as a whole, once.
 */
#include "inspect_sockets.h"

#include "inspect_words.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_SIZE 128

typedef struct entry {
    uint64_t inode;
    char text[TEXT_SIZE];
} entry;

struct sockets {
    const target *t;
    entry *entries; /* by inode, once all are there */
    size_t count;
    size_t room;
    bool loaded;
};

sockets *sockets_open(const target *t)
{
    sockets *n = calloc(1, sizeof *n);
    if (n)
        n->t = t;
    return n;
}

void sockets_close(sockets *n)
{
    if (n)
        free(n->entries);
    free(n);
}

void sockets_forget(sockets *n)
{
    n->count = 0;
    n->loaded = false;
}

/* A place for one more; NULL without memory: then it is not told. */
static entry *new_entry(sockets *n)
{
    if (n->count == n->room) {
        size_t room = n->room ? n->room * 2 : 256;
        entry *more = realloc(n->entries, room * sizeof *more);
        if (!more)
            return NULL;
        n->entries = more;
        n->room = room;
    }
    return &n->entries[n->count++];
}

/* An address of the table: hexadecimal words in the order of this machine, a colon, the port. */
static bool read_address(const char **at, char *out, size_t size)
{
    uint32_t words[4];
    char name[INET6_ADDRSTRLEN];
    uint64_t number;
    size_t digits = strcspn(*at, ":");
    if (digits != 8 && digits != 32)
        return false;
    for (size_t i = 0; i < digits / 8; i++) {
        char word[9] = "";
        const char *from = word;
        memcpy(word, *at + i * 8, 8);
        if (!words_number(&from, 16, &number))
            return false;
        words[i] = (uint32_t)number;
    }
    *at += digits + 1;
    if (!words_number(at, 16, &number) ||
        !inet_ntop(digits == 8 ? AF_INET : AF_INET6, words, name, sizeof name))
        return false;
    snprintf(out, size, digits == 8 ? "%s:%u" : "[%s]:%u", name, (unsigned)number);
    words_skip(at, 0);
    return true;
}

/* Number, local and remote address, state; the tenth word is the inode. */
static void take_internet(sockets *n, const char *protocol, const char *line)
{
    char here[TEXT_SIZE / 2 - 8];
    char there[TEXT_SIZE / 2 - 8];
    uint64_t state;
    uint64_t inode;
    const char *at = line;
    words_skip(&at, 1);
    if (!read_address(&at, here, sizeof here) || !read_address(&at, there, sizeof there) ||
        !words_number(&at, 16, &state))
        return;
    words_skip(&at, 5);
    entry *e = words_number(&at, 10, &inode) ? new_entry(n) : NULL;
    if (!e)
        return;
    e->inode = inode;
    if (state == 0x0a) /* TCP_LISTEN */
        snprintf(e->text, sizeof e->text, "%s listening on %s", protocol, here);
    else
        snprintf(e->text, sizeof e->text, "%s %s - %s", protocol, here, there);
}

/* Address, count, protocol, flags, type, state, inode, path. */
static void take_unix(sockets *n, const char *protocol, const char *line)
{
    uint64_t inode;
    const char *at = line;
    words_skip(&at, 6);
    entry *e = words_number(&at, 10, &inode) ? new_entry(n) : NULL;
    if (!e)
        return;
    e->inode = inode;
    snprintf(e->text, sizeof e->text, "%s%.*s", protocol, (int)strcspn(at, "\n"), at);
}

static void read_table(sockets *n, const char *name, const char *protocol,
                       void (*take)(sockets *n, const char *protocol, const char *line))
{
    char path[64];
    char line[512];
    snprintf(path, sizeof path, "/proc/%d/net/%s", n->t->pid, name);
    FILE *f = fopen(path, "re");
    if (!f)
        return;
    if (fgets(line, sizeof line, f)) /* the headings */
        while (fgets(line, sizeof line, f))
            take(n, protocol, line);
    fclose(f);
}

static int by_inode(const void *a, const void *b)
{
    const entry *x = a;
    const entry *y = b;
    return (x->inode > y->inode) - (x->inode < y->inode);
}

static void load(sockets *n)
{
    n->loaded = true;
    read_table(n, "tcp", "tcp", take_internet);
    read_table(n, "tcp6", "tcp", take_internet);
    read_table(n, "udp", "udp", take_internet);
    read_table(n, "udp6", "udp", take_internet);
    read_table(n, "unix", "unix", take_unix);
    if (n->count > 0)
        qsort(n->entries, n->count, sizeof *n->entries, by_inode);
}

void sockets_describe(sockets *n, int fd, char *text, size_t size)
{
    char path[64];
    char link[TEXT_SIZE];
    static const char prefix[] = "socket:[";
    entry key;
    *text = '\0';
    if (n->t->core)
        return;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", n->t->pid, fd);
    ssize_t len = readlink(path, link, sizeof link - 1);
    if (len < 0)
        return;
    link[len] = '\0';
    const entry *found = NULL;
    const char *at = link + sizeof prefix - 1;
    if (strncmp(link, prefix, sizeof prefix - 1) == 0 && words_number(&at, 10, &key.inode)) {
        if (!n->loaded)
            load(n);
        if (n->count > 0)
            found = bsearch(&key, n->entries, n->count, sizeof *n->entries, by_inode);
    }
    snprintf(text, size, "%s", found ? found->text : link);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
}
