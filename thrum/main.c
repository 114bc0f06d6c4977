/* SPDX-License-Identifier: MIT */

/* thrum: finds the subcommand and runs it. */
#include "commands.h"

#include <thrum/defs.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int version_main(int argc, char **argv);

static const option no_options[] = { { NULL, NULL, NULL, NULL } };

static const command version_command = {
    .name = "version",
    .arguments = "",
    .purpose = "Prints the version.",
    .details = "",
    .options = no_options,
};

typedef struct entry {
    const command *command;
    int (*run)(int argc, char **argv);
} entry;

static const entry entries[] = {
    { &serve_command, serve_main },     { &keyd_command, keyd_main },
    { &echo_command, echo_main },       { &ps_command, ps_main },
    { &tree_command, tree_main },       { &why_command, why_main },
    { &profile_command, profile_main }, { &doctor_command, doctor_main },
    { &trace_command, trace_main },     { &capture_command, capture_main },
    { &cert_command, cert_main },       { &version_command, version_main },
};

static const entry *find(const char *name)
{
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        if (strcmp(entries[i].command->name, name) == 0)
            return &entries[i];
    return NULL;
}

static int version_main(int argc, char **argv)
{
    int status = options_read(&version_command, argc, argv, NULL);
    if (status >= 0)
        return status;
    printf("thrum %s\n", TH_VERSION);
    return 0;
}

static int no_such_command(const char *name)
{
    if (*name == '\0')
        print_error("thrum: a command is missing (see thrum --help)");
    else
        print_error("thrum: there is no command '%s' (see thrum --help)", name);
    return EXIT_USAGE;
}

/* Of a command, if one is named, or of all. */
static int help_main(int argc, char **argv)
{
    char help[] = "--help";
    const entry *e = argc > 0 ? find(argv[0]) : NULL;
    if (e)
        return e->run(1, (char *[]){ help, NULL });
    if (argc > 0)
        return no_such_command(argv[0]);
    printf("usage: thrum COMMAND [OPTIONS]\n\n"
           "Network services on fibers: serve files, look inside.\n\ncommands:\n");
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        printf("  %-8s %s\n", entries[i].command->name, entries[i].command->purpose);
    printf("\n`thrum COMMAND --help` tells more of a command.\n");
    return 0;
}

/*
 * Standard descriptors that are closed would be given to the first things that are opened, and what
 * is printed would go there, to a client for example.
 */
static void open_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    open_standard_descriptors();
    if (strcmp(name, "--version") == 0)
        name = "version";
    const entry *e = find(name);
    if (e)
        return e->run(argc - 2, argv + 2);
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
        return help_main(argc - 2, argv + 2);
    return no_such_command(name);
}
