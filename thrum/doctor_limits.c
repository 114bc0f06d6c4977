/* SPDX-License-Identifier: MIT */

/* What the process may have of things that are numbered: descriptors, mappings. */
#include "doctor.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Of the process's own: workers' loops, listeners, files that are being sent, standard streams. */
#define DESCRIPTORS_ASIDE 64

/* The soft and the hard limit in /proc/self/limits: "Max open files   1024   4096   files". */
static void read_nofile(const doctor *d, int64_t *soft, int64_t *hard)
{
    static const char word[] = "Max open files";
    char text[8192];
    *soft = *hard = DOCTOR_UNKNOWN;
    const char *at =
        doctor_read(d, "/proc/self/limits", text, sizeof text) ? strstr(text, word) : NULL;
    if (!at)
        return;
    at += sizeof word - 1;
    *soft = doctor_parse(&at);
    *hard = doctor_parse(&at);
}

static void look_at_descriptors(doctor *d)
{
    doctor_finding *f = doctor_begin(d, "descriptors");
    doctor_words a;
    doctor_words b;
    doctor_words c;
    int64_t soft;
    int64_t hard;
    int64_t in_use[3] = { 0 };
    read_nofile(d, &soft, &hard);
    int64_t most = doctor_number(d, "/proc/sys/fs/nr_open");
    int64_t all = doctor_number(d, "/proc/sys/fs/file-max");
    (void)doctor_counts(d, "/proc/sys/fs/file-nr", in_use, 3);
    int64_t left = all == DOCTOR_UNKNOWN || all == DOCTOR_UNLIMITED ? all : all - in_use[0];
    int64_t may = doctor_least(hard, left);
    int64_t need = d->goal + DESCRIPTORS_ASIDE;
    int64_t holds = may > DESCRIPTORS_ASIDE ? may - DESCRIPTORS_ASIDE : 0;
    doctor_fact(f, "soft limit %s, hard limit %s; the machine has %s in all",
                doctor_count(soft, &a), doctor_count(hard, &b), doctor_count(all, &c));
    doctor_value_add(f, "soft", soft);
    doctor_value_add(f, "hard", hard);
    doctor_value_add(f, "nr_open", most);
    doctor_value_add(f, "file_max", all);
    doctor_value_add(f, "in_use", in_use[0]);
    if (may == DOCTOR_UNKNOWN)
        return;
    doctor_means(f, "%s connections, and %d for other things",
                 doctor_count(may == DOCTOR_UNLIMITED ? may : holds, &a), DESCRIPTORS_ASIDE);
    doctor_bound(d, f, may == DOCTOR_UNLIMITED ? may : holds);
    if (left < need && all != DOCTOR_UNKNOWN)
        doctor_change(f, DOCTOR_MEND, "sysctl -w fs.file-max=%" PRId64, (in_use[0] + need * 2));
    if (hard >= need) {
        if (soft < need)
            doctor_change(f, DOCTOR_NOTE,
                          "ulimit -n %" PRId64
                          " (`thrum` raises the soft limit itself; other programs "
                          "must)",
                          need);
        return;
    }
    if (most != DOCTOR_UNKNOWN && most < need)
        doctor_change(f, DOCTOR_MEND, "sysctl -w fs.nr_open=%" PRId64, need);
    doctor_change(f, DOCTOR_MEND, "in [Service]: LimitNOFILE=%" PRId64, need);
    doctor_change(f, DOCTOR_MEND, "in /etc/security/limits.conf, for logins: * - nofile %" PRId64,
                  need);
}

/* Guards that the library makes by mprotect(), where the kernel has no light ones. */
#define GUARDS 12000

static void look_at_mappings(doctor *d)
{
    doctor_finding *f = doctor_begin(d, "mappings");
    doctor_words a;
    int64_t most = doctor_number(d, "/proc/sys/vm/max_map_count");
    doctor_fact(f, "%s in one process", doctor_count(most, &a));
    doctor_value_add(f, "max_map_count", most);
    if (most != DOCTOR_UNKNOWN && most < 2 * GUARDS + 5000)
        doctor_change(f, DOCTOR_NOTE, "sysctl -w vm.max_map_count=65530");
    if (f->level == DOCTOR_NOTE)
        doctor_means(f, "guard pages below the stacks of %d fibers may need up to %d", GUARDS,
                     2 * GUARDS);
}

void doctor_look_at_limits(doctor *d)
{
    look_at_descriptors(d);
    look_at_mappings(d);
}
