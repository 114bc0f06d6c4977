/* SPDX-License-Identifier: MIT */

/* thrum cert: finds what is to be done with certificates, and does it. */
#include "cert_commands.h"
#include "commands.h"

#include <stdio.h>
#include <string.h>

static const option no_options[] = { { NULL, NULL, NULL, NULL } };

const command cert_command = {
    .name = "cert",
    .arguments = "SUBCOMMAND",
    .purpose = "Makes, signs, shows, checks and converts certificates.",
    .details = "",
    .options = no_options,
};

typedef struct entry {
    const command *command;
    int (*run)(int argc, char **argv);
} entry;

static const entry entries[] = {
    { &cert_dev_command, cert_dev_main },         { &cert_new_command, cert_new_main },
    { &cert_request_command, cert_request_main }, { &cert_sign_command, cert_sign_main },
    { &cert_show_command, cert_show_main },       { &cert_check_command, cert_check_main },
    { &cert_convert_command, cert_convert_main },
};

/* Names of the subcommands' commands are "cert dev", "cert new" and so on. */
static const char *name_of(const entry *e)
{
    return e->command->name + sizeof "cert";
}

static const entry *find(const char *name)
{
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        if (strcmp(name_of(&entries[i]), name) == 0)
            return &entries[i];
    return NULL;
}

static int help(void)
{
    printf("usage: thrum cert SUBCOMMAND [OPTIONS]\n\n%s\n\nsubcommands:\n", cert_command.purpose);
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        printf("  %-8s %s\n", name_of(&entries[i]), entries[i].command->purpose);
    printf("\n`thrum cert SUBCOMMAND --help` tells more of a subcommand.\n");
    return 0;
}

int cert_main(int argc, char **argv)
{
    const char *name = argc > 0 ? argv[0] : "";
    const entry *e = find(name);
    if (e)
        return e->run(argc - 1, argv + 1);
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return help();
    if (*name == '\0')
        return options_wrong(&cert_command, "a subcommand is missing");
    return options_wrong(&cert_command, "there is no subcommand '%s'", name);
}
