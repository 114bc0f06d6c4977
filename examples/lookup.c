/* SPDX-License-Identifier: MIT */

/*
 * Looks names up: addresses of hosts, names of addresses, places of services ("_ldap._tcp.test").
 * All at once, and each as a line of text or of JSON.
 */
#include <thrum.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static th_resolve_opts opts;
static int json;
static int failed;

static void say(const char *word, const char *kind, const char *value)
{
    printf(json ? "{\"query\": \"%s\", \"%s\": \"%s\"}\n" : "%s %s %s\n", word, kind, value);
}

static int say_addresses(const char *word)
{
    th_answer *answer;
    char text[TH_ADDR_TEXT];
    int err = th_resolve(word, NULL, &opts, &answer);
    if (err < 0)
        return err;
    for (size_t i = 0; i < answer->count; i++) {
        th_addr_format(&answer->addrs[i], text, sizeof text);
        *strrchr(text, ':') = '\0'; /* the port */
        say(word, "address", text);
    }
    if (*answer->canonical && strcmp(answer->canonical, word) != 0)
        say(word, "canonical", answer->canonical);
    th_answer_free(answer);
    return 0;
}

static int say_name(const char *word, const th_addr *addr)
{
    char name[TH_NAME_TEXT];
    int err = th_resolve_name(addr, &opts, name, sizeof name);
    if (err > 0)
        say(word, "name", name);
    return err;
}

static int say_services(const char *word)
{
    th_services *services;
    char place[TH_NAME_TEXT + 8];
    int err = th_resolve_srv(word, &opts, &services);
    if (err < 0)
        return err;
    for (size_t i = 0; i < services->count; i++) {
        const th_srv *s = &services->at[i];
        snprintf(place, sizeof place, "%s:%u", s->host, s->port);
        say(word, "service", place);
    }
    th_services_free(services);
    return 0;
}

/* One word is one fiber, so a name server that is slow with one holds up no other. */
static int look_up(void *arg)
{
    const char *word = arg;
    th_answer *literal = NULL;
    int err = th_resolve(word, NULL, &(th_resolve_opts){ .numeric = 1 }, &literal);
    if (err == 0)
        err = say_name(word, &literal->addrs[0]);
    else
        err = *word == '_' ? say_services(word) : say_addresses(word);
    th_answer_free(literal);
    if (err < 0) {
        fprintf(stderr, "lookup: %s: %s (%s)\n", word, th_strerror(err), th_err_detail());
        failed = 1;
    }
    return 0;
}

static int look_up_all(char **words)
{
    th_scope scope;
    int err = th_scope_open(&scope, &(th_scope_opts){ .deadline = th_after(30 * TH_SECOND) });
    if (err < 0)
        return err;
    for (; *words && err == 0; words++)
        err = th_spawn(&scope, look_up, *words);
    th_scope_close(&scope);
    return err < 0 ? err : failed;
}

static int app(int argc, char **argv)
{
    th_resolver_opts by = { 0 };
    int option;
    while ((option = getopt(argc, argv, "jH:s:")) != -1) {
        if (option == 'j')
            json = 1;
        else if (option == 'H')
            by.hosts = optarg;
        else if (option == 's')
            by.servers = optarg;
        else
            argc = 0;
    }
    if (optind >= argc) {
        fprintf(stderr, "usage: lookup [-j] [-H HOSTS_FILE] [-s SERVERS] NAME|ADDRESS...\n");
        return 2;
    }
    int err = th_resolver_new(&by, &opts.resolver);
    if (err < 0)
        return err;
    err = look_up_all(argv + optind);
    th_resolver_free(opts.resolver);
    return err;
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, &(th_run_opts){ .workers = 1 });
}
