/* SPDX-License-Identifier: MIT */

/* thrum: finds the subcommand and runs it. */
#include "commands.h"

#include <thrum/defs.h>

#include <stdio.h>
#include <string.h>

typedef struct entry {
    const command *command;
    int (*run)(int argc, char **argv);
} entry;

static const entry entries[] = {
    { &serve_command, serve_main },
    { &echo_command, echo_main },
};

static void print_help(FILE *to)
{
    fprintf(to, "usage: thrum COMMAND [OPTIONS]\n\n"
                "Network services on fibers: serve files, look inside.\n\ncommands:\n");
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        fprintf(to, "  %-8s %s\n", entries[i].command->name, entries[i].command->purpose);
    fprintf(to, "  version  Prints the version.\n\n"
                "`thrum COMMAND --help` tells more of a command.\n");
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        if (strcmp(entries[i].command->name, name) == 0)
            return entries[i].run(argc - 2, argv + 2);
    if (strcmp(name, "version") == 0 || strcmp(name, "--version") == 0) {
        printf("thrum %s\n", TH_VERSION);
        return 0;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help(stdout);
        return 0;
    }
    if (*name == '\0')
        fprintf(stderr, "thrum: a command is missing (see thrum --help)\n");
    else
        fprintf(stderr, "thrum: there is no command '%s' (see thrum --help)\n", name);
    return EXIT_USAGE;
}
