/* SPDX-License-Identifier: MIT */

/* What private keys cost here, and where Thrum therefore uses them: measured. */
#include "doctor.h"

#include <thrum.h>

#include <inttypes.h>
#include <string.h>

/* Names of values, in the order of th_key_costs(). */
static const char *const value_names[TH_KEY_COSTS] = { "p256_ns",    "p384_ns",    "p521_ns",
                                                       "ed25519_ns", "rsa2048_ns", "rsa3072_ns",
                                                       "rsa4096_ns" };

/* "14 us" below a millisecond, "3.1 ms" from there on. */
static void add_cost(doctor_finding *f, const char *kind, int64_t ns)
{
    if (ns < TH_MILLISECOND)
        doctor_fact(f, "%s %" PRId64 " us", kind, ns / TH_MICROSECOND);
    else
        doctor_fact(f, "%s %" PRId64 ".%" PRId64 " ms", kind, ns / TH_MILLISECOND,
                    ns % TH_MILLISECOND / (TH_MILLISECOND / 10));
}

static void add_kinds(doctor_finding *f, const th_key_cost *costs, int pooled)
{
    bool first = true;
    for (size_t i = 0; i < TH_KEY_COSTS; i++) {
        if (costs[i].pooled != pooled)
            continue;
        if (!first)
            doctor_fact(f, ", ");
        add_cost(f, costs[i].kind, costs[i].cost);
        first = false;
    }
    if (first)
        doctor_fact(f, "none");
}

void doctor_look_at_keys(doctor *d)
{
    th_key_cost costs[TH_KEY_COSTS];
    int64_t handoff;
    if (!d->live)
        return;
    doctor_finding *f = doctor_begin(d, "private keys");
    if (th_key_costs(costs, &handoff) < 0) {
        doctor_fact(f, "%s", th_err_detail());
        return;
    }
    doctor_fact(f, "a signature in place: ");
    add_kinds(f, costs, 0);
    doctor_fact(f, "; in the pool \"crypto\": ");
    add_kinds(f, costs, 1);
    doctor_means(f,
                 "a hand-over takes %" PRId64
                 " us: what takes more than twice as long, and than 100 us, "
                 "does not hold up the worker, the rest is not worth it",
                 handoff / TH_MICROSECOND);
    for (size_t i = 0; i < TH_KEY_COSTS; i++)
        doctor_value_add(f, value_names[i], costs[i].cost);
    doctor_value_add(f, "handoff_ns", handoff);
}
