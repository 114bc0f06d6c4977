/* SPDX-License-Identifier: MIT */

/*
 * Reading some fibers of one worker.
 *
 * It goes in rounds over those that are not settled yet. Each step of a round reads something of
 * all of them by few system calls, so that ten thousand fibers take a few milliseconds. The last
 * step reads the fibers and their waits once more: whoever is the same is settled. Addresses are
 * those of the target and may lead nowhere; what cannot be read is left out.
 */
#include "inspect_chunk.h"

#include "inspect_layout.h"

#include <stdlib.h>
#include <string.h>

#define ROUNDS     4
#define WAIT_MAX   LAYOUT_WAIT_MAX
#define SCOPE_MAX  LAYOUT_SCOPE_MAX
#define TEXTS      64
#define KIND_BYTES LAYOUT_KIND_MAX

/* The scopes of a fiber. */
enum { INNERMOST, HOME, WAITED_FOR, SCOPES };

/* What was read of one fiber in this round. */
typedef struct reading {
    fiber_view view;
    unsigned char wait[WAIT_MAX];
    unsigned char wait_again[WAIT_MAX];
    unsigned char scopes[SCOPES][SCOPE_MAX];
    bool has_wait;
    bool has_scope[SCOPES];
    bool settled;
} reading;

struct chunk {
    size_t fiber_size;
    unsigned char *images; /* of the fibers, side by side, as first read or read last */
    unsigned char *again;
    reading *readings;
    target_piece *pieces; /* as many as a step can need: one for each scope of each fiber */
    bool **answers;       /* where the success of a piece goes */
    size_t piece_count;
    /* Names are constant texts that many fibers share. */
    struct {
        uint64_t at;
        char text[NAME_SIZE];
    } texts[TEXTS];
};

static uint64_t word(const unsigned char *image, uint32_t at)
{
    uint64_t value;
    memcpy(&value, image + at, sizeof value);
    return value;
}

static uint32_t half(const unsigned char *image, uint32_t at)
{
    uint32_t value;
    memcpy(&value, image + at, sizeof value);
    return value;
}

static uint16_t quarter(const unsigned char *image, uint32_t at)
{
    uint16_t value;
    memcpy(&value, image + at, sizeof value);
    return value;
}

chunk *chunk_new(size_t fiber_size)
{
    chunk *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->fiber_size = fiber_size;
    c->images = malloc(CHUNK * fiber_size);
    c->again = malloc(CHUNK * fiber_size);
    c->readings = malloc(CHUNK * sizeof *c->readings);
    c->pieces = malloc((size_t)CHUNK * SCOPES * sizeof *c->pieces);
    c->answers = malloc((size_t)CHUNK * SCOPES * sizeof(bool *));
    if (c->images && c->again && c->readings && c->pieces && c->answers)
        return c;
    chunk_free(c);
    return NULL;
}

void chunk_free(chunk *c)
{
    if (!c)
        return;
    free(c->images);
    free(c->again);
    free(c->readings);
    free(c->pieces);
    free(c->answers);
    free(c);
}

/* ---- reading of many ------------------------------------------------------------------------- */

/* Notes something to be read by the next flush(); `*answer` tells then whether it was. */
static void want(chunk *c, uint64_t at, void *to, size_t size, bool *answer)
{
    *answer = false;
    if (at == 0)
        return;
    c->answers[c->piece_count] = answer;
    c->pieces[c->piece_count++] = (target_piece){ .at = at, .to = to, .size = size };
}

static void flush(chunk *c, target *t)
{
    t->read(t, c->pieces, c->piece_count);
    for (size_t i = 0; i < c->piece_count; i++)
        *c->answers[i] = c->pieces[i].done;
    c->piece_count = 0;
}

static size_t after(size_t end, uint32_t at)
{
    return at + 8 > end ? at + 8 : end;
}

static size_t wait_size(const th_inspect *l)
{
    size_t size = after(after(after(0, l->wait_kind), l->wait_object), l->wait_since);
    return size <= WAIT_MAX ? size : 0;
}

static size_t scope_size(const th_inspect *l)
{
    size_t size = after(after(after(0, l->scope_host), l->scope_origin), l->scope_deadline);
    size = after(after(after(size, l->scope_live), l->scope_limit), l->scope_status);
    return size <= SCOPE_MAX ? size : 0;
}

/* ---- kinds and texts ------------------------------------------------------------------------- */

static void copy_name(chunk *c, target *t, uint64_t at, char *name)
{
    if (at == 0) {
        *name = '\0';
        return;
    }
    size_t place = (at >> 2) % TEXTS;
    if (c->texts[place].at != at) {
        target_read_text(t, at, c->texts[place].text, NAME_SIZE);
        c->texts[place].at = at;
    }
    memcpy(name, c->texts[place].text, NAME_SIZE);
}

/* The kind at an address; NULL if there is none that makes sense. */
static const wait_kind *kind_at(snapshot *s, const th_inspect *l, uint64_t at)
{
    unsigned char image[KIND_BYTES];
    size_t known = sizeof s->kinds / sizeof s->kinds[0];
    for (size_t i = 0; i < s->kind_count; i++)
        if (s->kinds[i]->address == at)
            return s->kinds[i];
    size_t size = after(after(after(0, l->kind_what), l->kind_ends), l->kind_at);
    if (s->kind_count == known || size > sizeof image || !target_read(s->t, at, image, size))
        return NULL;
    wait_kind kind = { .address = at,
                       .ends = quarter(image, l->kind_ends),
                       .at = quarter(image, l->kind_at) };
    target_read_text(s->t, word(image, l->kind_what), kind.what, sizeof kind.what);
    wait_kind *copy = *kind.what ? malloc(sizeof kind) : NULL;
    if (!copy)
        return NULL;
    *copy = kind;
    s->kinds[s->kind_count++] = copy;
    return copy;
}

/* ---- the steps of a round -------------------------------------------------------------------- */

/* What a fiber says of itself. */
static void take_image(reading *r, const th_inspect *l, const unsigned char *image)
{
    fiber_view *f = &r->view;
    f->id = word(image, l->fiber_id);
    f->state = image[l->fiber_state];
    f->fn = word(image, l->fiber_fn);
    f->stack_low = word(image, l->fiber_stack);
    f->stack_size = word(image, l->fiber_stack_size);
    f->context = word(image, l->fiber_context);
    f->wait = f->state == TH_INSPECT_PARKED ? word(image, l->fiber_wait) : 0;
    f->scope = word(image, l->fiber_scope);
    f->home = word(image, l->fiber_home);
    f->kind = NULL;
    if (f->state == TH_INSPECT_ENDED)
        f->scope = f->home = 0; /* these may be gone */
}

/* Reads the wait and the scopes that the fiber itself leads to. */
static void read_first(chunk *c, target *t, const th_inspect *l, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        reading *r = &c->readings[i];
        if (r->settled)
            continue;
        want(c, r->view.wait, r->wait, wait_size(l), &r->has_wait);
        want(c, r->view.scope, r->scopes[INNERMOST], scope_size(l), &r->has_scope[INNERMOST]);
        want(c, r->view.home, r->scopes[HOME], scope_size(l), &r->has_scope[HOME]);
    }
    flush(c, t);
}

/* Reads what the kind of the wait says that there is in its object. */
static void read_second(chunk *c, snapshot *s, const th_inspect *l, size_t count)
{
    bool unused;
    for (size_t i = 0; i < count; i++) {
        reading *r = &c->readings[i];
        fiber_view *f = &r->view;
        r->has_scope[WAITED_FOR] = false;
        f->datum = 0;
        f->pool[0] = '\0';
        if (r->settled || !r->has_wait)
            continue;
        f->kind = kind_at(s, l, word(r->wait, l->wait_kind));
        f->object = word(r->wait, l->wait_object);
        f->since = (int64_t)word(r->wait, l->wait_since);
        if (!f->kind || f->object == 0)
            continue;
        uint64_t at = f->object + f->kind->at;
        switch (f->kind->ends) {
        case TH_INSPECT_BY_OWNER:
        case TH_INSPECT_BY_FIBER:
        case TH_INSPECT_BY_TIME:
        case TH_INSPECT_BY_WORK:
            want(c, at, &f->datum, 8, &unused);
            break;
        case TH_INSPECT_BY_DESCRIPTOR:
            want(c, at, &f->datum, 4, &unused);
            break;
        case TH_INSPECT_BY_CHILDREN:
            want(c, f->object, r->scopes[WAITED_FOR], scope_size(l), &r->has_scope[WAITED_FOR]);
            break;
        case TH_INSPECT_BY_POOL:
            target_read_text(s->t, at, f->pool, sizeof f->pool);
            break;
        default:
            break;
        }
    }
    flush(c, s->t);
}

/* Reads fibers and waits once more. */
static void read_again(chunk *c, target *t, const th_inspect *l, size_t count)
{
    bool unused;
    for (size_t i = 0; i < count; i++) {
        reading *r = &c->readings[i];
        if (r->settled)
            continue;
        memset(c->again + i * c->fiber_size, 0, l->fiber_size); /* free, if it cannot be read */
        memset(r->wait_again, 0, sizeof r->wait_again);
        want(c, r->view.address, c->again + i * c->fiber_size, l->fiber_size, &unused);
        want(c, r->view.wait, r->wait_again, wait_size(l), &unused);
    }
    flush(c, t);
}

/* Whether a fiber is the same and where it was. What is in its lists may have changed. */
static bool is_same(const unsigned char *a, const unsigned char *b, const th_inspect *l)
{
    const uint32_t fields[] = { l->fiber_id,    l->fiber_fn,   l->fiber_wait,
                                l->fiber_scope, l->fiber_home, l->fiber_context };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (word(a, fields[i]) != word(b, fields[i]))
            return false;
    return a[l->fiber_state] == b[l->fiber_state];
}

/* One that keeps running has changed nothing that is shown; its context is an old one. */
static bool is_settled(const chunk *c, const th_inspect *l, size_t i)
{
    const reading *r = &c->readings[i];
    const unsigned char *before = c->images + i * c->fiber_size;
    const unsigned char *now = c->again + i * c->fiber_size;
    if (!is_same(before, now, l))
        return false;
    return !r->has_wait || memcmp(r->wait, r->wait_again, wait_size(l)) == 0;
}

/* Settles what is the same; how many are not. */
static size_t settle(chunk *c, const th_inspect *l, size_t count)
{
    size_t left = 0;
    for (size_t i = 0; i < count; i++) {
        reading *r = &c->readings[i];
        if (r->settled)
            continue;
        r->settled = is_settled(c, l, i);
        if (!r->settled) {
            memcpy(c->images + i * c->fiber_size, c->again + i * c->fiber_size, l->fiber_size);
            left++;
        }
    }
    return left;
}

/* What the scopes say of a fiber. */
static void take_scopes(reading *r, const th_inspect *l)
{
    fiber_view *f = &r->view;
    f->deadline = NEVER;
    f->cancelled = false;
    f->scope_live = f->scope_limit = 0;
    if (r->has_scope[INNERMOST]) {
        f->deadline = (int64_t)word(r->scopes[INNERMOST], l->scope_deadline);
        if (f->deadline <= 0) /* memory that a core does not have is zero */
            f->deadline = NEVER;
        f->cancelled = half(r->scopes[INNERMOST], l->scope_status) != 0;
    }
    if (r->has_scope[WAITED_FOR]) {
        f->scope_live = half(r->scopes[WAITED_FOR], l->scope_live);
        f->scope_limit = half(r->scopes[WAITED_FOR], l->scope_limit);
    }
}

/* The host of the scope in which it was started, which may be on another worker. */
static void take_parent(reading *r, target *t, const th_inspect *l)
{
    unsigned char scope[SCOPE_MAX];
    fiber_view *f = &r->view;
    f->parent_address = f->scope_origin = 0;
    if (!r->has_scope[HOME])
        return;
    f->parent_address = word(r->scopes[HOME], l->scope_host);
    f->scope_origin = word(r->scopes[HOME], l->scope_origin);
    if (f->parent_address == 0 && f->scope_origin != 0 &&
        target_read(t, f->scope_origin, scope, scope_size(l)))
        f->parent_address = word(scope, l->scope_host);
}

/* Reads the fibers themselves; how many there are that are not free. */
static size_t begin(chunk *c, snapshot *s, const worker_view *worker, uint64_t at, size_t count)
{
    const th_inspect *l = worker->layout;
    size_t found = 0;
    if (!target_read(s->t, at, c->again, count * l->fiber_size)) {
        s->cut = true;
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        const unsigned char *image = c->again + i * l->fiber_size;
        if (image[l->fiber_state] == TH_INSPECT_FREE || image[l->fiber_state] > TH_INSPECT_ENDED)
            continue;
        memcpy(c->images + found * c->fiber_size, image, l->fiber_size);
        c->readings[found].settled = false;
        c->readings[found++].view =
            (fiber_view){ .address = at + i * l->fiber_size, .worker = worker, .parent = NOBODY };
    }
    return found;
}

/* Reads what belongs to those that are not settled; how many are not settled then. */
static size_t go_round(chunk *c, snapshot *s, const th_inspect *l, size_t found)
{
    for (size_t i = 0; i < found; i++)
        if (!c->readings[i].settled)
            take_image(&c->readings[i], l, c->images + i * c->fiber_size);
    read_first(c, s->t, l, found);
    read_second(c, s, l, found);
    read_again(c, s->t, l, found);
    return settle(c, l, found);
}

size_t chunk_read(chunk *c, snapshot *s, const worker_view *worker, uint64_t at, size_t count,
                  fiber_view *out)
{
    const th_inspect *l = worker->layout;
    size_t found = begin(c, s, worker, at, count);
    size_t left = found;
    for (int round = 0; round < ROUNDS && left > 0; round++)
        left = go_round(c, s, l, found);
    size_t kept = 0;
    for (size_t i = 0; i < found; i++) {
        reading *r = &c->readings[i];
        if (!r->settled)
            take_image(r, l, c->images + i * c->fiber_size);
        r->view.moving = !r->settled;
        if (r->view.state == TH_INSPECT_FREE || r->view.state > TH_INSPECT_ENDED)
            continue;
        if (r->view.kind && r->view.kind->ends == TH_INSPECT_BY_OWNER)
            r->view.datum &= ~UINT64_C(1);
        take_scopes(r, l);
        take_parent(r, s->t, l);
        copy_name(c, s->t, word(c->images + i * c->fiber_size, l->fiber_name), r->view.name);
        copy_name(c, s->t, word(c->images + i * c->fiber_size, l->fiber_origin), r->view.origin);
        out[kept++] = r->view;
    }
    return kept;
}
