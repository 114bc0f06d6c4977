/* SPDX-License-Identifier: MIT */

/*
 * The certificate for developing: found in its folder, or made there by the private authority.
 *
 * All is looked at first without a lock, and nothing is written: files are replaced as a whole, so
 * that what is read belongs together, and a folder that cannot be written does for as long as all
 * in it is good. What has to be made is made under the lock of a file in the folder, after another
 * look, so that two processes agree on one authority and no name gets lost. The lock is one of open
 * file descriptions (fcntl(2), F_OFD_SETLK): it excludes other fibers of this process too, and
 * ends with its holder. Nobody is told when it ends, so it is tried again and again; that is
 * done for some milliseconds once a year.
 *
 * Names stay: a certificate that is made again has those of the one before, too. The host name is
 * left out where the authority may not speak for it; that is so after it has changed.
 */
#include <thrum/cert_dev.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/util.h"
#include "sys/sys.h"
#include "tls/cert_dev_authority.h"
#include "tls/cert_time.h"

#include <thrum/cert_issue.h>
#include <thrum/fiber.h>
#include <thrum/file.h>
#include <thrum/path.h>
#include <thrum/time.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define DAYS_397  ((int64_t)397 * 24 * 3600) /* some clients believe in nothing longer */
#define HOST_MAX  253                        /* of a name of the DNS, RFC 1035 */
#define NAMES_MAX 256

#define LOCK_PAUSE    (INT64_C(5) * 1000000)     /* ns */
#define LOCK_PATIENCE (INT64_C(10) * 1000000000) /* ns; who has it needs some ms */

struct th_cert_dev {
    th_arena arena;        /* all that is pointed to */
    const char *authority; /* paths */
    const char *authority_key;
    const char *file;
    const char *lock;
    const char *host;    /* NULL: it is not known, or is no name */
    th_cert_alt *wanted; /* room for NAMES_MAX */
    size_t wanted_count;
    const char **names; /* of the certificate */
    size_t names_count;
    int64_t not_after; /* of the certificate, seconds since 1970 */
    unsigned made;     /* TH_CERT_DEV_MADE_... */
    int renew;         /* as the caller wants, until it is done */
};

/* What was found or made, while it is looked at. */
typedef struct leaf {
    th_cert *cert;
    th_key *key;
    th_cert_info info; /* in the handle's arena */
} leaf;

static void leaf_clear(leaf *l)
{
    th_key_unref(l->key);
    th_cert_unref(l->cert);
    *l = (leaf){ .cert = NULL };
}

/* ---- where ---- */

static const char *default_folder(th_arena *arena)
{
    const char *data = getenv("XDG_DATA_HOME");
    const char *home = getenv("HOME");
    /* The specification of these folders says that a path that is not absolute does not count. */
    if (data && *data == '/')
        return th_arena_printf(arena, "%s/thrum", data);
    return th_arena_printf(arena, "%s/.local/share/thrum", home);
}

static bool has_default_folder(void)
{
    const char *data = getenv("XDG_DATA_HOME");
    const char *home = getenv("HOME");
    return (data && *data == '/') || (home && *home);
}

static int choose_folder(th_cert_dev *dev, const char *dir)
{
    if (!dir && !has_default_folder())
        return thi_err_set(TH_ECONFIG, "no folder for certificates: neither XDG_DATA_HOME nor HOME "
                                       "is set");
    const char *folder = dir ? dir : default_folder(&dev->arena);
    if (!folder)
        return thi_err_clear(-ENOMEM);
    dev->authority = th_arena_printf(&dev->arena, "%s/authority.pem", folder);
    dev->authority_key = th_arena_printf(&dev->arena, "%s/authority-key.pem", folder);
    dev->file = th_arena_printf(&dev->arena, "%s/localhost.pem", folder);
    dev->lock = th_arena_printf(&dev->arena, "%s/.lock", folder);
    return dev->authority && dev->authority_key && dev->file && dev->lock ? 0
                                                                          : thi_err_clear(-ENOMEM);
}

/* Makes the folder that a path is in, with its parents, from the outermost on. */
static int make_folder(th_arena *arena, const char *path)
{
    char *folder = th_arena_strdup(arena, th_str_of(path));
    if (!folder)
        return thi_err_clear(-ENOMEM);
    for (char *slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        struct stat st;
        int err = th_path_stat(folder, &st);
        if (err == -ENOENT)
            err = th_path_mkdir(folder, 0700);
        if (err < 0 && err != -EEXIST)
            return err;
        *slash = '/';
    }
    return 0;
}

/* ---- names ---- */

/* Host names of files and of the kernel may be anything; here it is one of the DNS, or none. */
static bool is_host_name(th_str s)
{
    if (s.len == 0 || s.len > HOST_MAX || s.ptr[0] == '-' || s.ptr[0] == '.')
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!isascii(s.ptr[i]) || (!isalnum((unsigned char)s.ptr[i]) && !strchr("-.", s.ptr[i])))
            return false;
    return true;
}

/* Read as a file, so that it goes the way of all that is read; a system without it has no name. */
static int find_host(th_cert_dev *dev)
{
    th_str text;
    int err = th_file_load("/proc/sys/kernel/hostname", 4096, &dev->arena, &text);
    if (err < 0)
        return err == -ENOMEM || err == -ECANCELED || err == -ETIMEDOUT || err == -EPERM ? err : 0;
    text = th_str_trim(text);
    if (!is_host_name(text) || th_str_eq_nocase(text, TH_STR("localhost")))
        return 0;
    dev->host = th_arena_strdup(&dev->arena, text);
    return dev->host ? 0 : thi_err_clear(-ENOMEM);
}

static bool same_name(const th_cert_alt *a, const th_cert_alt *b)
{
    return a->kind == b->kind && th_str_eq_nocase(a->value, b->value);
}

static int want(th_cert_dev *dev, const th_cert_alt *name)
{
    for (size_t i = 0; i < dev->wanted_count; i++)
        if (same_name(&dev->wanted[i], name))
            return 0;
    if (dev->wanted_count == NAMES_MAX)
        return thi_err_set(-EINVAL, "more than %d names", NAMES_MAX);
    dev->wanted[dev->wanted_count++] = *name;
    return 0;
}

static int want_text(th_cert_dev *dev, const char *text)
{
    th_cert_alt name;
    int err = text ? th_cert_alt_of(text, &name) : thi_err_clear(-EINVAL);
    if (err == 0 && name.kind != TH_ALT_DNS && name.kind != TH_ALT_IP)
        err = thi_err_set(-EINVAL, "'%s' is neither the name of a host nor an address", text);
    if (err == 0) {
        name.value.ptr = th_arena_strdup(&dev->arena, name.value);
        err = name.value.ptr ? want(dev, &name) : thi_err_clear(-ENOMEM);
    }
    return err;
}

/* Those that always are in it, except for the host name, which the authority may not allow. */
static int want_names(th_cert_dev *dev, const th_cert_dev_opts *opts)
{
    static const char *const always[] = { "localhost", "127.0.0.1", "::1" };
    dev->wanted = th_arena_calloc(&dev->arena, NAMES_MAX, sizeof *dev->wanted);
    int err = dev->wanted ? 0 : thi_err_clear(-ENOMEM);
    for (size_t i = 0; err == 0 && i < thi_array_len(always); i++)
        err = want_text(dev, always[i]);
    for (size_t i = 0; err == 0 && i < opts->name_count; i++)
        err = want_text(dev, opts->names[i]);
    return err;
}

/* An address may be written in several ways, so that a certificate is asked. */
static bool has_name(const leaf *l, const th_cert_alt *name)
{
    for (size_t i = 0; i < l->info.alts_count; i++)
        if (same_name(&l->info.alts[i], name))
            return true;
    return name->kind == TH_ALT_IP && th_cert_is_for(l->cert, name->value) == 1;
}

static int want_if_allowed(th_cert_dev *dev, const thi_cert_dev_authority *authority,
                           const th_cert_alt *name)
{
    int may = thi_cert_dev_authority_may(authority, name);
    return may == 1 ? want(dev, name) : may;
}

static int want_host(th_cert_dev *dev, const thi_cert_dev_authority *authority, const leaf *l)
{
    const th_cert_alt host = { TH_ALT_DNS, th_str_of(dev->host) };
    if (!dev->host || (l->cert && has_name(l, &host)))
        return 0;
    return want_if_allowed(dev, authority, &host);
}

/* Those of the certificate that is to be replaced. */
static int want_former(th_cert_dev *dev, const thi_cert_dev_authority *authority, const leaf *l)
{
    int err = 0;
    for (size_t i = 0; err == 0 && l->cert && i < l->info.alts_count; i++)
        err = want_if_allowed(dev, authority, &l->info.alts[i]);
    return err;
}

/* What the caller asked for must be allowed. */
static int check_wanted(const th_cert_dev *dev, const thi_cert_dev_authority *authority)
{
    for (size_t i = 0; i < dev->wanted_count; i++) {
        const th_cert_alt *name = &dev->wanted[i];
        int may = thi_cert_dev_authority_may(authority, name);
        if (may < 0)
            return may;
        if (may == 0)
            return thi_err_set(-EINVAL,
                               "the authority may not speak for %.*s, only for localhost, names "
                               "in test, local, internal and home.arpa, the host name, and "
                               "private addresses",
                               TH_STR_ARG(name->value));
    }
    return 0;
}

/* ---- the certificate ---- */

static int load_leaf(th_cert_dev *dev, leaf *l)
{
    int err = thi_cert_dev_load(dev->file, &l->key, &l->cert);
    return err == 0 ? th_cert_get_info(l->cert, &dev->arena, &l->info) : err;
}

static bool by_authority(const thi_cert_dev_authority *authority, const leaf *l)
{
    return th_cert_verify(l->cert, authority->key) == 0;
}

static bool has_all(const th_cert_dev *dev, const leaf *l)
{
    for (size_t i = 0; i < dev->wanted_count; i++)
        if (!has_name(l, &dev->wanted[i]))
            return false;
    return true;
}

static bool is_good(const th_cert_dev *dev, const thi_cert_dev_authority *authority, const leaf *l)
{
    return !dev->renew && l->info.not_after >= thi_cert_now() + THI_CERT_DEV_LEAD &&
           by_authority(authority, l) && has_all(dev, l);
}

static int make_leaf(th_cert_dev *dev, const thi_cert_dev_authority *authority)
{
    const th_cert_name_part parts[] = { { .type = "O", .value = TH_STR("Thrum development") },
                                        { .type = "CN", .value = TH_STR("localhost") } };
    const int64_t now = thi_cert_now();
    const th_cert_opts opts = {
        .subject = { parts, 2 },
        .alts = dev->wanted,
        .alts_count = dev->wanted_count,
        .not_before = now - THI_CERT_DEV_SLACK,
        .not_after = thi_min(now + DAYS_397, authority->not_after),
    };
    leaf made = { .cert = NULL };
    int err = th_key_new("ec:P-256", &made.key);
    if (err == 0)
        err = th_cert_issue(authority->cert, authority->key, made.key, &opts, &made.cert);
    if (err == 0)
        err = thi_cert_dev_save(dev->file, made.key, made.cert);
    leaf_clear(&made);
    if (err < 0)
        return err;
    dev->made |= TH_CERT_DEV_MADE_CERTIFICATE;
    dev->renew = 0;
    return 0;
}

static int keep_facts(th_cert_dev *dev, const leaf *l)
{
    dev->not_after = l->info.not_after;
    dev->names_count = l->info.alts_count;
    dev->names = th_arena_calloc(&dev->arena, dev->names_count + 1, sizeof *dev->names);
    for (size_t i = 0; dev->names && i < dev->names_count; i++) {
        dev->names[i] = th_arena_strdup(&dev->arena, l->info.alts[i].value);
        if (!dev->names[i])
            return thi_err_clear(-ENOMEM);
    }
    return dev->names ? 0 : thi_err_clear(-ENOMEM);
}

/* Makes the certificate that `l`, if there is one, was not. */
static int replace_leaf(th_cert_dev *dev, const thi_cert_dev_authority *authority, const leaf *l)
{
    int err = check_wanted(dev, authority);
    if (err == 0)
        err = want_former(dev, authority, l);
    return err == 0 ? make_leaf(dev, authority) : err;
}

static int look_at_leaf(th_cert_dev *dev, const thi_cert_dev_authority *authority, bool may_make)
{
    leaf l = { .cert = NULL };
    const size_t asked = dev->wanted_count;
    int good = 0;
    int err = load_leaf(dev, &l);
    const bool is_there = err == 0;
    if (err == 0 || err == -ENOENT)
        err = want_host(dev, authority, &l);
    if (err == 0 && is_there && is_good(dev, authority, &l)) {
        err = keep_facts(dev, &l);
        good = 1;
    } else if (err == 0 && may_make) {
        err = replace_leaf(dev, authority, &l);
    }
    dev->wanted_count = asked;
    leaf_clear(&l);
    return err < 0 ? err : good;
}

/* A look at all, and a step where something is missing, if it may be made. 1: it is good. */
static int look(th_cert_dev *dev, bool may_make)
{
    thi_cert_dev_authority authority = { .cert = NULL };
    int err = thi_cert_dev_authority_open(dev->authority, dev->authority_key, dev->host, may_make,
                                          &authority);
    if (err != 1)
        return err;
    if (authority.made)
        dev->made |= TH_CERT_DEV_MADE_AUTHORITY;
    err = look_at_leaf(dev, &authority, may_make);
    thi_cert_dev_authority_close(&authority);
    return err;
}

/* ---- the lock ---- */

/* A fiber lets others go on; a plain thread just waits. */
static int wait_a_little(void)
{
    int err = th_sleep(LOCK_PAUSE);
    return err == -EPERM ? thi_sys_poll(NULL, 0, LOCK_PAUSE) : err;
}

static int lock(th_cert_dev *dev, th_file **file)
{
    struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    int err = th_file_open(dev->lock, O_RDWR | O_CREAT, 0600, file);
    if (err < 0)
        return err;
    const int64_t end = th_after(LOCK_PATIENCE);
    for (;;) {
        err = thi_sys_fcntl(th_file_fd(*file), F_OFD_SETLK, (long)(uintptr_t)&all);
        if (err != -EAGAIN && err != -EACCES)
            break;
        if (th_now() >= end) {
            err = thi_err_set(-EBUSY, "%s is held by another process", dev->lock);
            break;
        }
        err = wait_a_little();
        if (err < 0)
            break;
    }
    if (err < 0) {
        th_file_free(*file);
        return err == -EBUSY ? err : thi_err_set(err, "%s", dev->lock);
    }
    return 0;
}

/* One look may make the certificate; the next one sees that it is good. */
static int make_all(th_cert_dev *dev)
{
    th_file *file;
    int err = make_folder(&dev->arena, dev->file);
    if (err == 0)
        err = lock(dev, &file);
    if (err != 0)
        return err;
    for (int i = 0; err == 0 && i < 2; i++)
        err = look(dev, true);
    th_file_free(file);
    return err == 0 ? thi_err_set(-EBUSY, "%s was changed meanwhile", dev->file) : err;
}

/* ---- the calls ---- */

static int open_all(th_cert_dev *dev, const th_cert_dev_opts *opts)
{
    int err = choose_folder(dev, opts->dir);
    if (err == 0)
        err = want_names(dev, opts);
    if (err == 0)
        err = find_host(dev);
    if (err == 0)
        err = look(dev, false);
    if (err == 0)
        err = make_all(dev);
    return err < 0 ? err : 0;
}

int th_cert_dev_open(const th_cert_dev_opts *opts, th_cert_dev **dev)
{
    static const th_cert_dev_opts defaults = { .size = sizeof defaults };
    opts = opts ? opts : &defaults;
    if (!dev || (opts->dir && !*opts->dir) || opts->size > sizeof *opts ||
        (!opts->names && opts->name_count > 0))
        return thi_err_clear(-EINVAL);
    th_cert_dev *d = thi_calloc(1, sizeof *d);
    if (!d)
        return thi_err_clear(-ENOMEM);
    th_arena_init(&d->arena, NULL, 0, 0);
    d->renew = opts->renew;
    int err = open_all(d, opts);
    if (err < 0) {
        th_cert_dev_free(d);
        return err;
    }
    *dev = d;
    return 0;
}

void th_cert_dev_free(th_cert_dev *dev)
{
    if (!dev)
        return;
    th_arena_deinit(&dev->arena);
    thi_free(dev);
}

const char *th_cert_dev_file(const th_cert_dev *dev)
{
    return dev ? dev->file : NULL;
}

const char *th_cert_dev_authority_file(const th_cert_dev *dev)
{
    return dev ? dev->authority : NULL;
}

const char *th_cert_dev_authority_key_file(const th_cert_dev *dev)
{
    return dev ? dev->authority_key : NULL;
}

const char *th_cert_dev_name(const th_cert_dev *dev, size_t index)
{
    return dev && index < dev->names_count ? dev->names[index] : NULL;
}

unsigned th_cert_dev_made(const th_cert_dev *dev)
{
    return dev ? dev->made : 0;
}

int64_t th_cert_dev_not_after(const th_cert_dev *dev)
{
    return dev ? dev->not_after : 0;
}
