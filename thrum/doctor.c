/* SPDX-License-Identifier: MIT */

/* thrum doctor: what this machine and this user allow, and what to change. */
#include "doctor.h"

#include "commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOAL_DEFAULT 1000
#define GOAL_MAX     100000000

typedef struct doctor_settings {
    long goal;
    const char *root;
    bool outgoing;
    bool json;
} doctor_settings;

static const char *set_goal(void *settings, const char *value)
{
    return options_number(value, 1, GOAL_MAX, &((doctor_settings *)settings)->goal)
               ? NULL
               : "must be a number from 1 to 100000000";
}

static const char *set_outgoing(void *settings, const char *value)
{
    (void)value;
    ((doctor_settings *)settings)->outgoing = true;
    return NULL;
}

static const char *set_json(void *settings, const char *value)
{
    (void)value;
    ((doctor_settings *)settings)->json = true;
    return NULL;
}

static const char *set_root(void *settings, const char *value)
{
    ((doctor_settings *)settings)->root = value;
    return *value ? NULL : "must be a folder";
}

static const option doctor_options[] = {
    { "for", "CONNECTIONS", "how many there shall be at the same time; 1000", set_goal },
    { "outgoing", NULL, "they are made from here, to one address: a client, a proxy",
      set_outgoing },
    { "json", NULL, "print all that is known as JSON", set_json },
    { "root", "DIR", "judge the copy of a machine's /proc and /sys that is in DIR", set_root },
    { 0 },
};

const command doctor_command = {
    .name = "doctor",
    .arguments = "",
    .purpose = "Tells what this machine and this user allow, and what to change.",
    .details = "The exit status is 1 when something must be mended for so many connections.\n"
               "Nothing is changed. Limits are those of the shell or service that runs this.\n",
    .options = doctor_options,
};

int doctor_main(int argc, char **argv)
{
    doctor_settings settings = { .goal = GOAL_DEFAULT, .root = "" };
    int status = options_read(&doctor_command, argc, argv, &settings);
    if (status >= 0)
        return status;
    doctor *d = calloc(1, sizeof *d);
    if (!d) {
        print_error("thrum doctor: there is not enough memory");
        return 1;
    }
    d->root = settings.root;
    d->live = *settings.root == '\0';
    d->outgoing = settings.outgoing;
    d->goal = settings.goal;
    d->allows = DOCTOR_UNLIMITED;
    char release[32];
    if (!doctor_read(d, "/proc/sys/kernel/osrelease", release, sizeof release)) {
        print_error("thrum doctor: there is no %s/proc/sys/kernel/osrelease", settings.root);
        free(d);
        return 1;
    }
    doctor_look_at_machine(d);
    doctor_look_at_limits(d);
    doctor_look_at_network(d);
    doctor_look_at_kernel(d);
    doctor_look_at_keys(d);
    if (settings.json)
        doctor_print_json(d);
    else
        doctor_print(d);
    status = doctor_to_mend(d) > 0;
    free(d);
    return status;
}
