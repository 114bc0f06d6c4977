/* SPDX-License-Identifier: MIT */

/*
 * The sockets of a process.
 *
 * A descriptor's link in /proc has the number of its socket's inode; the tables of the process'
 * network namespace, proc(5), have the addresses. A table is read as a whole, once.
 */
#include "inspect_sockets.h"

#include <arpa/inet.h>
#include <inttypes.h>
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
static bool read_address(const char *text, char *out, size_t size)
{
    uint32_t words[4];
    char name[INET6_ADDRSTRLEN];
    unsigned port;
    size_t digits = strspn(text, "0123456789ABCDEFabcdef");
    if ((digits != 8 && digits != 32) || sscanf(text + digits, ":%x", &port) != 1)
        return false;
    for (size_t i = 0; i < digits / 8; i++)
        if (sscanf(text + i * 8, "%8" SCNx32, &words[i]) != 1)
            return false;
    if (!inet_ntop(digits == 8 ? AF_INET : AF_INET6, words, name, sizeof name))
        return false;
    snprintf(out, size, digits == 8 ? "%s:%u" : "[%s]:%u", name, port);
    return true;
}

/* Number, local and remote address, state; the tenth word is the inode. */
static void take_internet(sockets *n, const char *protocol, const char *line)
{
    char local[64];
    char remote[64];
    char here[TEXT_SIZE / 2 - 8];
    char there[TEXT_SIZE / 2 - 8];
    unsigned state;
    uint64_t inode;
    if (sscanf(line, "%*s %63s %63s %x %*s %*s %*s %*s %*s %" SCNu64, local, remote, &state,
               &inode) != 4 ||
        !read_address(local, here, sizeof here) || !read_address(remote, there, sizeof there))
        return;
    entry *e = new_entry(n);
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
    int path_at = 0;
    if (sscanf(line, "%*s %*s %*s %*s %*s %*s %" SCNu64 "%n", &inode, &path_at) != 1)
        return;
    entry *e = new_entry(n);
    if (!e)
        return;
    e->inode = inode;
    snprintf(e->text, sizeof e->text, "%s%.*s", protocol, (int)strcspn(line + path_at, "\n"),
             line + path_at);
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
    if (sscanf(link, "socket:[%" SCNu64 "]", &key.inode) == 1) {
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
