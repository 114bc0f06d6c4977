/* SPDX-License-Identifier: MIT */

/* thrum keyd: holds private keys and signs handshakes for servers on this machine. */
#include "commands.h"
#include "common.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define USERS_MAX 16

typedef struct keyd_settings {
    server_settings server; /* first: the common options set it */
    th_keyd_key keys[TH_KEYD_KEYS_MAX];
    char names[TH_KEYD_KEYS_MAX][64];
    size_t key_count;
    uid_t users[USERS_MAX];
    size_t user_count;
    long rate;
    const char *phrase_file;
    char phrase[1025];
    bool status;
} keyd_settings;

/* ---- options --------------------------------------------------------------------------------- */

/* FILE, or NAME=FILE; a path that has a slash before the sign is one. */
static const char *set_key(void *settings, const char *value)
{
    keyd_settings *s = settings;
    const char *sign = strchr(value, '=');
    const char *slash = strchr(value, '/');
    if (s->key_count == TH_KEYD_KEYS_MAX)
        return "there are too many of them";
    th_keyd_key *key = &s->keys[s->key_count];
    if (sign && (!slash || slash > sign)) {
        size_t len = (size_t)(sign - value);
        if (len == 0 || len >= sizeof s->names[0])
            return "a name has 1 to 63 bytes";
        memcpy(s->names[s->key_count], value, len);
        key->name = s->names[s->key_count];
        value = sign + 1;
    }
    if (!*value)
        return "the file is missing";
    key->file = value;
    s->key_count++;
    return NULL;
}

static const char *set_keyd_listen(void *settings, const char *value)
{
    if (((keyd_settings *)settings)->server.listen_count > 0)
        return "there is one socket";
    return set_listen(settings, value);
}

static const char *set_user(void *settings, const char *value)
{
    keyd_settings *s = settings;
    long number;
    const struct passwd *user = getpwnam(value);
    if (s->user_count == USERS_MAX)
        return "there are too many of them";
    if (user)
        s->users[s->user_count++] = user->pw_uid;
    else if (options_number(value, 0, 0xfffffffeL, &number))
        s->users[s->user_count++] = (uid_t)number;
    else
        return "there is no such user";
    return NULL;
}

static const char *set_rate(void *settings, const char *value)
{
    return options_number(value, 1, 1000000, &((keyd_settings *)settings)->rate)
               ? NULL
               : "must be a number from 1 to 1000000";
}

static const char *set_phrase_file(void *settings, const char *value)
{
    ((keyd_settings *)settings)->phrase_file = value;
    return *value ? NULL : "must be a file";
}

static const char *set_status(void *settings, const char *value)
{
    (void)value;
    ((keyd_settings *)settings)->status = true;
    return NULL;
}

static const option keyd_options[] = {
    { "key", "[NAME=]FILE", "a private key in PEM, RSA or EC; repeatable", set_key },
    { "listen", "ADDR", "where to listen: unix:/path or systemd:NAME", set_keyd_listen },
    { "user", "USER", "who may ask besides this user, by name or number; repeatable", set_user },
    { "rate", "N", "signatures in a second at most; 20000", set_rate },
    { "phrase-file", "FILE", "its first line is the pass phrase of encrypted keys",
      set_phrase_file },
    { "status", NULL, "ask the process that listens at ADDR what it holds and has done",
      set_status },
    { "workers", "N", "threads that serve; one per CPU", set_workers },
    { "quiet", NULL, "print nothing but errors", set_quiet },
    { NULL, NULL, NULL, NULL },
};

const command keyd_command = {
    .name = "keyd",
    .arguments = "",
    .purpose = "Holds private keys, and signs handshakes for servers.",
    .details = "A server then has keyd:unix:/path#NAME in the place of its key's file.\n"
               "It signs handshakes and nothing else, and decrypts nothing.\n",
    .options = keyd_options,
};

/* ---- the process ----------------------------------------------------------------------------- */

/* Nobody reads its memory, by a debugger or from a core; and it holds nothing that it was not given
 * for this. A failure of these leaves it as safe as any other process. */
static void shut_in(const char *address)
{
    const struct rlimit none = { 0, 0 };
    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    (void)setrlimit(RLIMIT_CORE, &none);
    if (strncmp(address, "unix:", 5) == 0)
        closefrom(STDERR_FILENO + 1);
}

static bool read_phrase(keyd_settings *s)
{
    FILE *file = fopen(s->phrase_file, "re");
    if (!file || !fgets(s->phrase, sizeof s->phrase, file)) {
        print_error("thrum keyd: the pass phrase cannot be read from %s", s->phrase_file);
        if (file)
            fclose(file);
        return false;
    }
    fclose(file);
    s->phrase[strcspn(s->phrase, "\r\n")] = '\0';
    for (size_t i = 0; i < s->key_count; i++)
        s->keys[i].phrase = s->phrase;
    return true;
}

static void on_listening(const th_addr *addr, void *arg)
{
    keyd_settings *s = arg;
    char text[TH_ADDR_TEXT];
    explicit_bzero(s->phrase, sizeof s->phrase);
    if (s->server.quiet)
        return;
    printf("thrum %s: holding %zu key%s\n  listening on %s\n", TH_VERSION, s->key_count,
           s->key_count == 1 ? "" : "s", th_addr_format(addr, text, sizeof text));
    fflush(stdout);
}

static int hold(void *arg)
{
    keyd_settings *s = arg;
    const th_keyd_opts opts = { .size = sizeof opts,
                                .keys = s->keys,
                                .count = s->key_count,
                                .users = s->users,
                                .user_count = s->user_count,
                                .rate = (uint32_t)s->rate,
                                .listening = on_listening,
                                .arg = s };
    return th_keyd_serve(s->server.listen[0], &opts);
}

static int ask(void *arg)
{
    const keyd_settings *s = arg;
    th_arena arena;
    th_str text;
    th_arena_init(&arena, NULL, 0, SIZE_MAX);
    int err = th_keyd_status(s->server.listen[0], &arena, &text);
    if (err == 0)
        printf("%.*s", TH_STR_ARG(text));
    th_arena_deinit(&arena);
    return err;
}

static int keyd_with(keyd_settings *s, int argc, char **argv)
{
    int status = options_read(&keyd_command, argc, argv, s);
    if (status >= 0)
        return status;
    if (s->server.listen_count == 0)
        return options_wrong(&keyd_command, "--listen is missing");
    if (s->status)
        return run_program("keyd", ask, &s->server);
    if (s->key_count == 0)
        return options_wrong(&keyd_command, "--key is missing");
    if (s->phrase_file && !read_phrase(s))
        return 1;
    shut_in(s->server.listen[0]);
    return run_program("keyd", hold, &s->server);
}

int keyd_main(int argc, char **argv)
{
    keyd_settings *settings = calloc(1, sizeof *settings);
    if (!settings) {
        print_error("thrum keyd: there is not enough memory");
        return 1;
    }
    int status = keyd_with(settings, argc, argv);
    explicit_bzero(settings->phrase, sizeof settings->phrase);
    free(settings);
    return status;
}
