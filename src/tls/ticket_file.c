/* SPDX-License-Identifier: MIT */

/*
 * The text form of ticket keys.
 *
 * Three lines of 160 hexadecimal digits: the previous key, the current one, the next one. So a
 * rotation is a line taken away at the top and one added below, which a shell can do as well:
 *
 *     { grep -v '^#' keys | tail -n 2; openssl rand -hex 80; } > new && mv new keys
 */
#include "tls/ticket_file.h"

#include "base/error.h"
#include "io/fileway.h"
#include "tls/ticket_set.h"

#include <thrum/file.h>

#include <ctype.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>

#define KEYS     3
#define FILE_MAX ((size_t)16 * 1024)

static bool read_key(const char *line, size_t len, th_tls_ticket_key *key)
{
    return len == 2 * sizeof key->bytes &&
           th_str_hex_decode(th_str_make(line, len), (char *)key->bytes) == 0;
}

static size_t trimmed(const char *line, size_t len)
{
    while (len > 0 && isspace((unsigned char)line[len - 1]))
        len--;
    return len;
}

/* The text ends with a NUL. Words about a line never repeat what is in it: it may be a key. */
static int parse(const char *path, const char *text, th_tls_ticket_set *set)
{
    th_tls_ticket_key *const keys[KEYS] = { &set->previous, &set->current, &set->next };
    size_t count = 0;
    for (int number = 1; *text; number++) {
        size_t whole = strcspn(text, "\n");
        size_t len = trimmed(text, whole);
        if (len > 0 && text[0] != '#') {
            if (count == KEYS)
                return thi_err_set(TH_ECONFIG, "%s:%d: a fourth key", path, number);
            if (!read_key(text, len, keys[count++]))
                return thi_err_set(TH_ECONFIG, "%s:%d: a key is 160 hexadecimal digits", path,
                                   number);
        }
        text += whole + (text[whole] == '\n');
    }
    if (count < KEYS)
        return thi_err_set(TH_ECONFIG, "%s: %zu keys, not three", path, count);
    if (!thi_ticket_set_valid(set))
        return thi_err_set(TH_ECONFIG, "%s: two keys of the same name, or an empty one", path);
    return 0;
}

int thi_ticket_file_read(const char *path, th_tls_ticket_set *set, thi_stamp *stamp)
{
    thi_whole whole;
    th_tls_ticket_set read;
    int err = thi_whole_read(path, FILE_MAX, THI_TICKET_FILE_FORBIDDEN, &whole);
    if (err < 0)
        return err;
    err = parse(path, whole.data, &read);
    *stamp = whole.stamp; /* what is broken is not read again before it changes */
    thi_whole_free(&whole);
    if (err == 0)
        *set = read;
    OPENSSL_cleanse(&read, sizeof read);
    return err;
}

/* ---- writing ---- */

#define LINE_SIZE (2 * sizeof(th_tls_ticket_key) + 1)

static char *write_key(char *at, const th_tls_ticket_key *key)
{
    th_str_hex_encode(th_str_make((const char *)key->bytes, sizeof key->bytes), at);
    at += 2 * sizeof key->bytes;
    *at++ = '\n';
    return at;
}

static int save(const char *path, const th_tls_ticket_set *set)
{
    char text[KEYS * LINE_SIZE];
    char *at = write_key(text, &set->previous);
    at = write_key(at, &set->current);
    (void)write_key(at, &set->next);
    int err = th_file_save(path, text, sizeof text, 0600);
    OPENSSL_cleanse(text, sizeof text);
    return err;
}

typedef struct rotation {
    const char *path;
    th_tls_ticket_set set;
} rotation;

static int read_and_rotate(void *arg)
{
    rotation *r = arg;
    thi_stamp stamp;
    int err = thi_ticket_file_read(r->path, &r->set, &stamp);
    if (err == -ENOENT)
        return (int)thi_err_plain(thi_ticket_set_make(&r->set));
    return err < 0 ? err : (int)thi_err_plain(thi_ticket_set_rotate(&r->set));
}

int th_tls_ticket_file_rotate(const char *path)
{
    rotation r = { .path = path };
    if (!path)
        return thi_err_clear(-EINVAL);
    int err = thi_fileway_run(read_and_rotate, &r);
    if (err == 0)
        err = save(path, &r.set);
    OPENSSL_cleanse(&r.set, sizeof r.set);
    return err;
}
