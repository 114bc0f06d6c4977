/* SPDX-License-Identifier: MIT */

/*
 * Resolvers, their configuration, and its renewal.
 *
 * The configuration is shared by all workers and swapped whole, under a lock that is held for a few
 * instructions. Whoever looks up a name when the last look at the files is a second ago has them
 * looked at, by a thread of the pool `files`; the others meanwhile go on with what there is. The
 * files are read anew when they are others than before, or other in size or time. If they cannot be
 * read, what there is stays in force.
 *
 * A worker has a shelf of caches, one for each resolver that it has used. It holds references to
 * these resolvers, so that none is taken for another; those that their owner has given back are
 * cleared away when the shelf is next looked at.
 */
#include "net/names_resolver.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/util.h"
#include "io/fileway.h"
#include "loop/sim_world.h"
#include "runtime/annex.h"
#include "runtime/sched.h"
#include "sys/sys.h"

#include <thrum/str.h>
#include <thrum/time.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_AGAIN  TH_SECOND
#define HOSTS_MAX   ((size_t)64 << 20)
#define CONF_MAX    ((size_t)1 << 20)
#define NAMES_MAX   1024
#define TIMEOUT_MAX (30 * TH_SECOND)
#define TRIES_MAX   10

/* How a file was when it was read. */
typedef struct stamp {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec time;
} stamp;

typedef struct stamps {
    stamp hosts;
    stamp resolv;
} stamps;

struct th_resolver {
    atomic_uint refs;
    atomic_bool given_back;
    th_resolver_opts opts; /* its texts are in `texts` */
    char *texts[4];
    _Atomic int64_t looked_at; /* when somebody last set out to look at the files; 0: nobody yet */
    pthread_mutex_t lock;
    thi_names_conf *conf; /* under the lock, as is this: */
    stamps stamps;        /* of the files that it was read from */
};

static atomic_uint_least64_t serial;

/* ---- making and freeing ---- */

static void unref(th_resolver *r)
{
    if (atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) > 1)
        return;
    thi_names_conf_unref(r->conf);
    for (size_t i = 0; i < thi_array_len(r->texts); i++)
        thi_free(r->texts[i]);
    pthread_mutex_destroy(&r->lock);
    thi_free(r);
}

/* The machine's. It is never freed but for its configuration, with the last worker that has it. */
static th_resolver *of_machine(void)
{
    static th_resolver machine = { .refs = 1, .lock = PTHREAD_MUTEX_INITIALIZER };
    return &machine;
}

static int copy_texts(th_resolver *r)
{
    const char **texts[] = { &r->opts.servers, &r->opts.search, &r->opts.hosts,
                             &r->opts.resolv_conf };
    for (size_t i = 0; i < thi_array_len(texts); i++) {
        if (!*texts[i])
            continue;
        r->texts[i] = thi_strdup_n(*texts[i], strlen(*texts[i]));
        if (!r->texts[i])
            return -ENOMEM;
        *texts[i] = r->texts[i];
    }
    return 0;
}

static int check(const th_resolver_opts *o)
{
    if (o->size > sizeof *o || o->timeout < 0 || o->timeout > TIMEOUT_MAX || o->tries > TRIES_MAX)
        return thi_err_clear(-EINVAL);
    if (!o->servers)
        return 0;
    thi_names_conf *conf = thi_names_conf_new();
    if (!conf)
        return thi_err_clear(-ENOMEM);
    int err = thi_names_conf_servers(conf, o->servers);
    thi_names_conf_unref(conf);
    return err;
}

int th_resolver_new(const th_resolver_opts *opts, th_resolver **resolver)
{
    th_resolver_opts o = opts ? *opts : (th_resolver_opts){ 0 };
    if (!resolver)
        return thi_err_clear(-EINVAL);
    int err = check(&o);
    if (err < 0)
        return err;
    th_resolver *r = thi_calloc(1, sizeof *r);
    if (!r)
        return thi_err_clear(-ENOMEM);
    atomic_init(&r->refs, 1);
    pthread_mutex_init(&r->lock, NULL);
    r->opts = o;
    err = copy_texts(r);
    if (err < 0) {
        unref(r);
        return thi_err_clear(err);
    }
    *resolver = r;
    return 0;
}

void th_resolver_free(th_resolver *r)
{
    if (!r)
        return;
    atomic_store(&r->given_back, true);
    unref(r);
}

/* ---- reading files ---- */

static bool same(const stamp *a, const stamp *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           a->time.tv_sec == b->time.tv_sec && a->time.tv_nsec == b->time.tv_nsec;
}

static stamp stamp_of(const struct stat *st)
{
    return (stamp){ st->st_dev, st->st_ino, st->st_size, st->st_mtim };
}

/* A file that is not there is empty; so is one without a name. */
static int look_at(const char *path, stamp *seen)
{
    struct stat st;
    *seen = (stamp){ 0 };
    int err = *path ? thi_sys_fstatat(AT_FDCWD, path, &st, 0) : -ENOENT;
    if (err == 0)
        *seen = stamp_of(&st);
    return err == -ENOENT || err == -ENOTDIR ? 0 : err;
}

static ssize_t read_all(int fd, char *text, size_t room)
{
    size_t len = 0;
    while (len < room) {
        ssize_t n = thi_sys_read(fd, text + len, room - len);
        if (n < 0)
            return n;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

/* Reads an open file into the arena, as far as its size was when it was looked at. */
static int read_open(int fd, size_t max, th_arena *arena, stamp *seen, char **text)
{
    struct stat st;
    int err = thi_sys_fstat(fd, &st);
    if (err < 0)
        return err;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    if ((size_t)st.st_size > max)
        return TH_ELIMIT;
    *seen = stamp_of(&st);
    char *made = th_arena_alloc(arena, (size_t)st.st_size + 1);
    if (!made)
        return -ENOMEM;
    ssize_t n = read_all(fd, made, (size_t)st.st_size);
    if (n < 0)
        return (int)n;
    made[n] = '\0';
    *text = made;
    return 0;
}

/* A NUL byte in the file ends it, as far as anybody reads it. */
static int read_file(const char *path, size_t max, th_arena *arena, stamp *seen, char **text)
{
    static char nothing[1];
    *text = nothing;
    *seen = (stamp){ 0 };
    int fd = *path ? thi_sys_openat(AT_FDCWD, path, O_RDONLY, 0) : -ENOENT;
    if (fd == -ENOENT || fd == -ENOTDIR)
        return 0;
    if (fd < 0)
        return fd;
    int err = read_open(fd, max, arena, seen, text);
    thi_sys_close(fd);
    return err;
}

/* ---- the configuration ---- */

static const char *hosts_path(const th_resolver *r)
{
    return r->opts.hosts ? r->opts.hosts : "/etc/hosts";
}

static const char *resolv_path(const th_resolver *r)
{
    return r->opts.resolv_conf ? r->opts.resolv_conf : "/etc/resolv.conf";
}

/* A copy of a text in the arena that may be changed; NULL without memory. */
static char *copy(thi_names_conf *conf, const char *text)
{
    return th_arena_strdup(&conf->arena, (th_str){ text, strlen(text) });
}

static int apply_environment(thi_names_conf *conf)
{
    const char *domains = getenv("LOCALDOMAIN");
    const char *options = getenv("RES_OPTIONS");
    char *text = domains ? copy(conf, domains) : NULL;
    if (domains && !text)
        return -ENOMEM;
    if (text)
        thi_names_conf_search(conf, text);
    text = options ? copy(conf, options) : NULL;
    if (options && !text)
        return -ENOMEM;
    if (text)
        thi_names_conf_options(conf, text);
    return 0;
}

static int apply_opts(const th_resolver *r, thi_names_conf *conf)
{
    int err = r->opts.servers ? thi_names_conf_servers(conf, r->opts.servers) : 0;
    char *domains = r->opts.search ? copy(conf, r->opts.search) : NULL;
    if (err < 0)
        return err;
    if (r->opts.search && !domains)
        return -ENOMEM;
    if (domains)
        thi_names_conf_search(conf, domains);
    if (r->opts.timeout > 0)
        conf->seconds = (unsigned)((r->opts.timeout + TH_SECOND - 1) / TH_SECOND);
    if (r->opts.tries > 0)
        conf->tries = r->opts.tries;
    return 0;
}

static int fill(const th_resolver *r, thi_names_conf *conf, stamps *seen)
{
    char *text;
    int err = read_file(resolv_path(r), CONF_MAX, &conf->arena, &seen->resolv, &text);
    if (err < 0)
        return thi_err_set(err, "cannot read %.100s", resolv_path(r));
    thi_names_conf_resolv(conf, text);
    if (!r->opts.resolv_conf)
        err = apply_environment(conf);
    if (err == 0)
        err = apply_opts(r, conf);
    if (err < 0)
        return thi_err_clear(err);
    err = read_file(hosts_path(r), HOSTS_MAX, &conf->arena, &seen->hosts, &text);
    if (err == 0)
        err = thi_names_conf_hosts(conf, text);
    return err < 0 ? thi_err_set(err, "cannot read %.100s", hosts_path(r)) : 0;
}

/* A simulation has neither files nor servers of the machine. */
static int load(const th_resolver *r, bool simulated, thi_names_conf **out, stamps *seen)
{
    thi_names_conf *conf = thi_names_conf_new();
    if (!conf) {
        (void)thi_err_clear(-ENOMEM);
        return -ENOMEM;
    }
    conf->serial = atomic_fetch_add(&serial, 1) + 1;
    int err = simulated ? 0 : fill(r, conf, seen);
    if (err < 0) {
        thi_names_conf_unref(conf);
        return err;
    }
    *out = conf;
    return 0;
}

/* ---- renewal ---- */

static thi_names_conf *present(th_resolver *r)
{
    pthread_mutex_lock(&r->lock);
    thi_names_conf *conf = r->conf ? thi_names_conf_ref(r->conf) : NULL;
    pthread_mutex_unlock(&r->lock);
    return conf;
}

static bool is_like(const th_resolver *r, const stamps *seen)
{
    return r->conf && same(&seen->hosts, &r->stamps.hosts) &&
           same(&seen->resolv, &r->stamps.resolv);
}

static bool is_up_to_date(th_resolver *r)
{
    stamps seen;
    if (look_at(hosts_path(r), &seen.hosts) < 0 || look_at(resolv_path(r), &seen.resolv) < 0)
        return true; /* what there is stays in force */
    pthread_mutex_lock(&r->lock);
    bool is = is_like(r, &seen);
    pthread_mutex_unlock(&r->lock);
    return is;
}

/* One that somebody else has read from the same files meanwhile stays: others have it already. */
static void put(th_resolver *r, thi_names_conf *conf, const stamps *seen)
{
    pthread_mutex_lock(&r->lock);
    thi_names_conf *before = conf;
    if (!is_like(r, seen)) {
        before = r->conf;
        r->conf = conf;
        r->stamps = *seen;
    }
    pthread_mutex_unlock(&r->lock);
    thi_names_conf_unref(before);
}

/* What a thread does. */
typedef struct renewal {
    th_resolver *resolver;
    bool first; /* there is nothing to go on with */
} renewal;

static int renew(void *arg)
{
    renewal *n = arg;
    thi_names_conf *conf = NULL;
    stamps seen = { .hosts = { 0 } };
    if (!n->first && is_up_to_date(n->resolver))
        return 0;
    int err = load(n->resolver, false, &conf, &seen);
    if (err == 0)
        put(n->resolver, conf, &seen);
    return n->first ? err : 0;
}

static int renew_by_thread(th_resolver *r, bool first)
{
    renewal n = { .resolver = r, .first = first };
    int err = thi_fileway_run(renew, &n);
    bool goes_on = err < 0 && !first && err != -ECANCELED && err != -ETIMEDOUT;
    return goes_on ? 0 : err; /* with the detail that the thread has set */
}

/* The configuration as it is now, with a reference for the caller. */
static int up_to_date(th_resolver *r, thi_names_conf **conf)
{
    int64_t now = thi_worker_self->loop.now;
    int64_t before = atomic_load(&r->looked_at);
    *conf = present(r);
    if (*conf && now - before < LOOK_AGAIN)
        return 0;
    bool mine = atomic_compare_exchange_strong(&r->looked_at, &before, now);
    if (*conf && !mine)
        return 0;
    int err = renew_by_thread(r, *conf == NULL);
    thi_names_conf_unref(*conf);
    *conf = err == 0 ? present(r) : NULL;
    return err;
}

/* ---- what a worker keeps ---- */

typedef struct shelf_item {
    struct shelf_item *next;
    th_resolver *resolver; /* with a reference, unless it is the machine's */
    thi_names_cache cache;
} shelf_item;

typedef struct shelf {
    thi_annex annex;
    shelf_item *first;
} shelf;

static const char shelf_kind;

static void free_item(shelf_item *item)
{
    thi_names_cache_deinit(&item->cache);
    unref(item->resolver);
    thi_free(item);
}

static void close_shelf(thi_annex *annex, thi_worker *worker)
{
    (void)worker;
    shelf *s = thi_container_of(annex, shelf, annex);
    while (s->first) {
        shelf_item *item = s->first;
        s->first = item->next;
        free_item(item);
    }
    thi_free(s);
}

static shelf *find_shelf(thi_worker *worker)
{
    thi_annex *annex = thi_annex_find(worker, &shelf_kind);
    if (annex)
        return thi_container_of(annex, shelf, annex);
    shelf *made = thi_calloc(1, sizeof *made);
    if (!made)
        return NULL;
    made->annex.kind = &shelf_kind;
    made->annex.close = close_shelf;
    thi_annex_add(worker, &made->annex);
    return made;
}

/* Clears away what was given back; finds the one that is wanted. */
static shelf_item *find_item(shelf *s, const th_resolver *r)
{
    shelf_item *found = NULL;
    for (shelf_item **at = &s->first; *at;) {
        shelf_item *item = *at;
        if (item->resolver == r)
            found = item;
        if (!atomic_load(&item->resolver->given_back)) {
            at = &item->next;
            continue;
        }
        *at = item->next;
        free_item(item);
    }
    return found;
}

static shelf_item *make_item(shelf *s, th_resolver *r, thi_names_conf *conf)
{
    shelf_item *item = thi_calloc(1, sizeof *item);
    if (!item)
        return NULL;
    atomic_fetch_add(&r->refs, 1);
    item->resolver = r;
    item->next = s->first;
    s->first = item;
    size_t max = r->opts.names_max > 0 ? r->opts.names_max : NAMES_MAX;
    thi_names_cache_init(&item->cache, &thi_worker_self->loop, conf, max);
    return item;
}

/* Takes the configuration over. */
static int place(th_resolver *r, thi_names_conf *conf, thi_names_cache **cache)
{
    shelf *s = find_shelf(thi_worker_self);
    shelf_item *item = s ? find_item(s, r) : NULL;
    if (item && item->cache.conf->serial == conf->serial)
        thi_names_conf_unref(conf);
    else if (item)
        thi_names_cache_turn_to(&item->cache, conf);
    else if (s)
        item = make_item(s, r, conf);
    if (!item) {
        thi_names_conf_unref(conf);
        return thi_err_clear(-ENOMEM);
    }
    *cache = &item->cache;
    return 0;
}

/* In a simulation every cache has a configuration of its own, which stays as it is. */
static int place_simulated(th_resolver *r, thi_names_cache **cache)
{
    thi_names_conf *conf = NULL;
    shelf *s = find_shelf(thi_worker_self);
    shelf_item *item = s ? find_item(s, r) : NULL;
    if (item) {
        *cache = &item->cache;
        return 0;
    }
    int err = load(r, true, &conf, NULL);
    return conf ? place(r, conf, cache) : err;
}

int thi_resolver_cache(th_resolver *resolver, thi_names_cache **cache)
{
    th_resolver *r = resolver ? resolver : of_machine();
    thi_names_conf *conf = NULL;
    int err = thi_sched_may_park();
    if (err < 0)
        return thi_err_clear(err);
    if (thi_sim_self)
        return place_simulated(r, cache);
    err = up_to_date(r, &conf);
    return conf ? place(r, conf, cache) : err;
}

/* ---- services ---- */

/* What a thread looks for. */
typedef struct service_query {
    const char *name;
    uint64_t port;
} service_query;

/* "name 80/tcp alias ...": whether the line is about the name; TCP is what is looked for. */
static bool is_service(char *line, service_query *q)
{
    char *word = thi_names_word(&line);
    char *port = thi_names_word(&line);
    char *slash = port ? strchr(port, '/') : NULL;
    if (!slash || strcmp(slash, "/tcp") != 0)
        return false;
    *slash = '\0';
    while (word && strcmp(word, q->name) != 0)
        word = thi_names_word(&line);
    return word && th_str_to_u64((th_str){ port, strlen(port) }, &q->port) == 0 && q->port < 65536;
}

static int find_service(void *arg)
{
    service_query *q = arg;
    th_arena arena;
    stamp seen;
    char *text, *line;
    th_arena_init(&arena, NULL, 0, SIZE_MAX);
    int err = read_file("/etc/services", CONF_MAX, &arena, &seen, &text);
    if (err == 0)
        err = TH_ENAME;
    else
        text = NULL;
    while (text && err == TH_ENAME && (line = thi_names_line(&text, "#")))
        err = is_service(line, q) ? 0 : TH_ENAME;
    th_arena_deinit(&arena);
    return err;
}

int thi_resolver_service(const char *name, uint16_t *port)
{
    service_query q = { .name = name };
    int err = thi_fileway_run(find_service, &q);
    if (err == TH_ENAME)
        return thi_err_set(err, "there is no service '%.60s'", name);
    if (err == 0)
        *port = (uint16_t)q.port;
    return (int)thi_err_plain(err);
}
