/* SPDX-License-Identifier: MIT */

/* The findings: made, and shown to people and to programs. docs/doctor.schema.json is the promise
 * about the latter. */
#include "doctor.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const levels[] = { "fine", "note", "mend" };

/* ---- making them ----------------------------------------------------------------------------- */

doctor_finding *doctor_begin(doctor *d, const char *topic)
{
    /* The topics are fixed, so the last place is never needed twice. */
    doctor_finding *f = &d->findings[d->count < DOCTOR_FINDINGS - 1 ? d->count++ : d->count];
    *f = (doctor_finding){ .topic = topic };
    return f;
}

static void add_text(char *text, const char *format, va_list args)
{
    size_t len = strlen(text);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 overlooks the va_start */
    vsnprintf(text + len, DOCTOR_TEXT - len, format, args);
}

void doctor_fact(doctor_finding *f, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_text(f->fact, format, args);
    va_end(args);
}

void doctor_means(doctor_finding *f, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_text(f->meaning, format, args);
    va_end(args);
}

void doctor_value_add(doctor_finding *f, const char *name, int64_t number)
{
    if (f->value_count < DOCTOR_VALUES)
        f->values[f->value_count++] = (doctor_value){ name, number };
}

void doctor_change(doctor_finding *f, doctor_level level, const char *format, ...)
{
    va_list args;
    if (level > f->level)
        f->level = level;
    if (f->change_count == DOCTOR_CHANGES)
        return;
    va_start(args, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 overlooks the va_start here */
    vsnprintf(f->changes[f->change_count++], sizeof f->changes[0], format, args);
    va_end(args);
}

void doctor_bound(doctor *d, const doctor_finding *f, int64_t connections)
{
    if (connections == DOCTOR_UNKNOWN || connections >= d->allows)
        return;
    d->allows = connections;
    d->held = f->topic;
}

int64_t doctor_least(int64_t a, int64_t b)
{
    if (a == DOCTOR_UNKNOWN || b == DOCTOR_UNKNOWN)
        return a == DOCTOR_UNKNOWN ? b : a;
    return a < b ? a : b;
}

const char *doctor_count(int64_t number, doctor_words *words)
{
    char digits[24];
    size_t out = 0;
    if (number == DOCTOR_UNLIMITED || number == DOCTOR_UNKNOWN) {
        snprintf(words->text, sizeof words->text,
                 number == DOCTOR_UNKNOWN ? "unknown" : "unlimited");
        return words->text;
    }
    int len = snprintf(digits, sizeof digits, "%" PRId64, number);
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            words->text[out++] = ',';
        words->text[out++] = digits[i];
    }
    words->text[out] = '\0';
    return words->text;
}

const char *doctor_size(int64_t bytes, doctor_words *words)
{
    static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    if (bytes == DOCTOR_UNLIMITED || bytes == DOCTOR_UNKNOWN)
        return doctor_count(bytes, words);
    size_t unit = 0;
    int64_t whole = bytes;
    int64_t rest = 0;
    for (; whole >= 1024; unit++) {
        rest = whole % 1024;
        whole /= 1024;
    }
    if (rest == 0 || whole >= 100)
        snprintf(words->text, sizeof words->text, "%" PRId64 " %s", whole, units[unit]);
    else
        snprintf(words->text, sizeof words->text, "%" PRId64 ".%" PRId64 " %s", whole,
                 rest * 10 / 1024, units[unit]);
    return words->text;
}

size_t doctor_to_mend(const doctor *d)
{
    size_t count = 0;
    for (size_t i = 0; i < d->count; i++)
        count += d->findings[i].level == DOCTOR_MEND;
    return count;
}

/* ---- for people ------------------------------------------------------------------------------ */

#define LEFT  28 /* where the texts begin */
#define RIGHT 100

/* A text from column LEFT on, where the cursor is, broken at spaces. */
static void print_wrapped(const char *text)
{
    size_t column = LEFT;
    while (*text) {
        size_t word = strcspn(text, " ");
        if (column > LEFT && column + 1 + word > RIGHT) {
            printf("\n%*s", LEFT, "");
            column = LEFT;
        } else if (column > LEFT) {
            putchar(' ');
            column++;
        }
        printf("%.*s", (int)word, text);
        column += word;
        text += word;
        text += strspn(text, " ");
    }
    putchar('\n');
}

static void print_finding(const doctor_finding *f)
{
    printf("  %-4s  %-*s", levels[f->level], LEFT - 8, f->topic);
    print_wrapped(f->fact);
    if (*f->meaning) {
        printf("%*s", LEFT, "");
        print_wrapped(f->meaning);
    }
    for (size_t i = 0; i < f->change_count; i++)
        printf("%*s> %s\n", LEFT, "", f->changes[i]);
}

static void print_sum(const doctor *d)
{
    doctor_words a;
    doctor_words b;
    size_t mend = doctor_to_mend(d);
    if (d->held)
        printf("\nAbout %s connections at the same time; more is held back by: %s.\n",
               doctor_count(d->allows, &a), d->held);
    if (d->window > 0)
        printf("One connection to a peer that is 100 ms away takes in at most %s/s.\n",
               doctor_size(d->window * 10, &b));
    if (mend > 0)
        printf("%zu thing%s must be mended for %s connections%s. What sysctl sets lasts if the "
               "same\nassignments are in a file /etc/sysctl.d/NAME.conf; lines for [Service] go to "
               "`systemctl edit UNIT`.\n",
               mend, mend == 1 ? "" : "s", doctor_count(d->goal, &a),
               d->outgoing ? " from here" : "");
    else
        printf("Nothing must be mended for %s connections%s.\n", doctor_count(d->goal, &a),
               d->outgoing ? " from here" : "");
}

void doctor_print(const doctor *d)
{
    doctor_words words;
    printf("For %s connections at the same time%s:\n\n", doctor_count(d->goal, &words),
           d->outgoing ? ", made from here" : "");
    for (size_t i = 0; i < d->count; i++)
        print_finding(&d->findings[i]);
    print_sum(d);
}

/* ---- for programs ---------------------------------------------------------------------------- */

/* What a file below a root contained may be anything; what is no ASCII is not worth keeping. */
static void print_text(const char *text)
{
    putchar('"');
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\')
            printf("\\%c", *c);
        else if (*c < ' ' || *c >= 0x7f)
            printf("\\u%04x", *c < 0x80 ? *c : 0xfffd);
        else
            putchar(*c);
    }
    putchar('"');
}

static void print_number(int64_t number)
{
    if (number == DOCTOR_UNKNOWN)
        printf("null");
    else if (number == DOCTOR_UNLIMITED)
        printf("\"unlimited\"");
    else
        printf("%" PRId64, number);
}

static void print_finding_json(const doctor_finding *f)
{
    printf("{\"topic\":");
    print_text(f->topic);
    printf(",\"level\":\"%s\",\"fact\":", levels[f->level]);
    print_text(f->fact);
    printf(",\"meaning\":");
    print_text(f->meaning);
    printf(",\"changes\":[");
    for (size_t i = 0; i < f->change_count; i++) {
        printf("%s", i > 0 ? "," : "");
        print_text(f->changes[i]);
    }
    printf("],\"values\":{");
    for (size_t i = 0; i < f->value_count; i++) {
        printf("%s\"%s\":", i > 0 ? "," : "", f->values[i].name);
        print_number(f->values[i].number);
    }
    printf("}}");
}

void doctor_print_json(const doctor *d)
{
    printf("{\"goal\":%" PRId64 ",\"outgoing\":%s,\"connections\":", d->goal,
           d->outgoing ? "true" : "false");
    print_number(d->held ? d->allows : DOCTOR_UNKNOWN);
    printf(",\"held_by\":");
    if (d->held)
        print_text(d->held);
    else
        printf("null");
    printf(",\"bytes_per_second_at_100_ms\":");
    print_number(d->window > 0 ? d->window * 10 : DOCTOR_UNKNOWN);
    printf(",\"mend\":%zu,\"findings\":[", doctor_to_mend(d));
    for (size_t i = 0; i < d->count; i++) {
        printf("%s", i > 0 ? ",\n" : "\n");
        print_finding_json(&d->findings[i]);
    }
    printf("]}\n");
}
