/* SPDX-License-Identifier: MIT */

/* A room in which whoever connects hears what the others say, line by line: chats. */
#include <thrum.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_ = 1000 };

typedef struct person {
    struct person *next;
    th_chat *chat;
    char name[TH_ADDR_TEXT];
} person;

static person *people; /* in the room; all on one worker */

/* Says a line to everybody but one. Who does not listen is shown the door. */
static void say(const person *not_to, const char *who, th_str line)
{
    char text[LINE_MAX_ + TH_ADDR_TEXT + 8];
    int n = snprintf(text, sizeof text, "%s %.*s\r\n", who, TH_STR_ARG(line));
    for (person *p = people; p; p = p->next)
        if (p != not_to && th_chat_push(p->chat, text, (size_t)n) == TH_ELIMIT)
            th_dispatcher_close(th_chat_dispatcher(p->chat));
}

static int on_line(th_chat *chat, void *arg)
{
    person *p = arg;
    th_str line = th_str_trim(th_chat_collected(chat)); /* "\r" as well, if it sends that */
    char who[TH_ADDR_TEXT + 2];
    if (th_str_eq(line, TH_STR("/quit"))) {
        int err = th_chat_push(chat, "bye\r\n", 5);
        return err < 0 ? err : th_chat_close_when_done(chat);
    }
    snprintf(who, sizeof who, "%s:", p->name);
    if (line.len > 0)
        say(p, who, line);
    return 0;
}

/* Whichever way it ended. */
static void on_release(void *arg)
{
    person *p = arg;
    person **at = &people;
    while (*at && *at != p)
        at = &(*at)->next;
    if (*at) {
        *at = p->next;
        say(NULL, "*", th_str_of("somebody has left"));
    }
    free(p);
}

static int on_accepted(th_dispatcher *listener, void *arg, int fd, const th_addr *peer)
{
    static const th_chat_ops ops = { .name = "person", .found = on_line, .release = on_release };
    static const th_chat_opts opts = { .collect_max = LINE_MAX_ };
    person *p = calloc(1, sizeof *p);
    (void)arg;
    if (!p)
        return -ENOMEM;
    th_addr_format(peer, p->name, sizeof p->name);
    int err = th_chat_new(&ops, p, th_dispatcher_map(listener), &opts, &p->chat);
    if (err < 0) {
        free(p);
        return err;
    }
    err = th_chat_set_terminator(p->chat, "\n", 1);
    if (err == 0)
        err = th_dispatcher_attach(th_chat_dispatcher(p->chat), fd, 0);
    if (err < 0)
        return err;
    p->next = people;
    people = p;
    say(NULL, "*", th_str_of("somebody has come"));
    return 0;
}

static int app(int argc, char **argv)
{
    static const th_dispatcher_ops ops = { .name = "door", .accepted = on_accepted };
    th_dispatcher *door;
    th_addr addr;
    char text[TH_ADDR_TEXT];
    int err = th_dispatcher_new(&ops, NULL, NULL, &door);
    if (err == 0)
        err = th_dispatcher_bind(door, argc > 1 ? argv[1] : "127.0.0.1:7000");
    if (err == 0)
        err = th_dispatcher_listen(door, 0);
    if (err < 0)
        return err;
    th_dispatcher_addr(door, &addr);
    printf("listening on %s\n", th_addr_format(&addr, text, sizeof text));
    fflush(stdout);
    err = th_dispatch_map_loop(NULL, TH_NEVER, -1);
    th_dispatch_map_close_all(NULL);
    return err == -ECANCELED ? 0 : err; /* SIGTERM */
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, &(th_run_opts){ .workers = 1 });
}
