/* SPDX-License-Identifier: MIT */

/*
 * A chat that does what a script says and tells what it hears, for comparison with asynchat.
 *
 * usage: chat_probe FD STAGE...
 *
 * It attaches the descriptor. The first stage applies at once, the n-th of the others when the
 * terminator has been found n times. A stage is a terminator, `bHEX`, `nCOUNT`, `-` for none or `=`
 * for the present one, and then actions: `,pHEX` pushes, `,sSIZE:HEX` pushes a producer of pieces
 * of that size, `,c` closes when done, `,d` discards. At the end of what the peer sends it closes
 * when done. Lines that it prints: `collect HEX`, `found`, `end`, `error NAME`.
 */
#include <thrum.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct probe {
    int stage; /* the next one */
    int count;
    char **stages;
} probe;

static void print_hex(const char *what, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    printf("%s ", what);
    for (size_t i = 0; i < size; i++)
        printf("%02x", bytes[i]);
    putchar('\n');
}

/* Reads digits up to a comma or the end. */
static size_t read_hex(const char *text, char *bytes)
{
    size_t size = strcspn(text, ",") / 2;
    return th_str_hex_decode(th_str_make(text, 2 * size), bytes) < 0 ? 0 : size;
}

static int set_terminator(th_chat *chat, const char *text)
{
    char bytes[4096];
    switch (*text) {
    case 'b':
        return th_chat_set_terminator(chat, bytes, read_hex(text + 1, bytes));
    case 'n':
        return th_chat_set_count(chat, atoll(text + 1));
    case '-':
        return th_chat_set_terminator(chat, NULL, 0);
    default:
        return 0;
    }
}

static int push_producer(th_chat *chat, const char *text)
{
    char bytes[4096];
    char *hex;
    size_t piece = strtoul(text, &hex, 10);
    size_t size = read_hex(hex + 1, bytes);
    th_producer *producer;
    int err = th_producer_of_bytes(bytes, size, piece, &producer);
    return err < 0 ? err : th_chat_push_producer(chat, producer);
}

static int act(th_chat *chat, const char *text)
{
    char bytes[4096];
    switch (*text) {
    case 'p':
        return th_chat_push(chat, bytes, read_hex(text + 1, bytes));
    case 's':
        return push_producer(chat, text + 1);
    case 'c':
        return th_chat_close_when_done(chat);
    default:
        th_chat_discard(chat);
        return 0;
    }
}

static int next_stage(th_chat *chat, probe *p)
{
    if (p->stage >= p->count)
        return 0;
    const char *text = p->stages[p->stage++];
    int err = set_terminator(chat, text);
    while (err == 0 && (text = strchr(text, ',')) != NULL)
        err = act(chat, ++text);
    return err;
}

static int on_collect(th_chat *chat, void *arg, const void *data, size_t size)
{
    (void)chat;
    (void)arg;
    print_hex("collect", data, size);
    return 0;
}

static int on_found(th_chat *chat, void *arg)
{
    puts("found");
    return next_stage(chat, arg);
}

static int on_close(th_chat *chat, void *arg)
{
    (void)arg;
    puts("end");
    return th_chat_close_when_done(chat);
}

static int on_error(th_chat *chat, void *arg, int err)
{
    (void)arg;
    printf("error %s\n", th_errname(err));
    return th_dispatcher_close(th_chat_dispatcher(chat));
}

static int app(int argc, char **argv)
{
    static const th_chat_ops ops = {
        .collect = on_collect, .found = on_found, .close = on_close, .error = on_error
    };
    probe p = { .count = argc - 2, .stages = argv + 2 };
    th_chat *chat;
    int err = th_chat_new(&ops, &p, NULL, NULL, &chat);
    if (err == 0)
        err = th_dispatcher_attach(th_chat_dispatcher(chat), atoi(argv[1]), 0);
    if (err == 0)
        err = next_stage(chat, &p);
    return err < 0 ? err : th_dispatch_map_loop(NULL, TH_NEVER, -1);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    return th_main(app, argc, argv, &(th_run_opts){ .workers = 1 });
}
