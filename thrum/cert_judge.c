/* SPDX-License-Identifier: MIT */

/*
 * What is wrong with certificates, as far as they say so themselves.
 *
 * Each thing is found by itself, so that one finding does not hide the next: that a certificate has
 * expired does not make it trusted. Whether there is a chain to somebody who is trusted is
 * therefore asked as of a time at which the leaf is valid, of any strength and use.
 */
#include "cert_judge.h"
#include "cert_make.h"
#include "cert_words.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SECURITY_MIN 112 /* bits; NIST SP 800-57 part 1 allows less for nothing that is new */

/* One certificate while it is judged. */
typedef struct judged {
    const cert_measure *m;
    const th_cert *cert;
    th_cert_info info;
    size_t depth; /* 0: the leaf */
    char who[80]; /* "" for the leaf, else "certificate 2, " */
    cert_grade worst;
} judged;

const char *cert_grade_name(cert_grade grade)
{
    static const char *const names[] = { "ok", "warning", "critical" };
    return names[grade];
}

static void found(judged *j, cert_grade grade, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void found(judged *j, cert_grade grade, const char *format, ...)
{
    char words[600];
    char all[700];
    va_list args;
    va_start(args, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 overlooks the va_start here */
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    snprintf(all, sizeof all, "%s%s", j->who, words);
    if (grade > j->worst)
        j->worst = grade;
    j->m->tell(j->m->arg, grade, all);
}

static void judge_time(judged *j)
{
    int64_t now = (int64_t)time(NULL);
    char when[CERT_WHEN_SIZE];
    if (j->info.not_before > now)
        found(j, CERT_CRITICAL, "is not valid before %s", cert_when(j->info.not_before, when));
    if (j->info.not_after < now)
        found(j, CERT_CRITICAL, "expired on %s", cert_when(j->info.not_after, when));
    else if (j->info.not_after < now + j->m->critical)
        found(j, CERT_CRITICAL, "expires on %s", cert_when(j->info.not_after, when));
    else if (j->info.not_after < now + j->m->warning)
        found(j, CERT_WARNING, "expires on %s", cert_when(j->info.not_after, when));
}

/* The signature of one that is signed with its own key proves nothing, however strong it is. */
static void judge_strength(judged *j)
{
    char text[CERT_KEY_TEXT_SIZE];
    if (j->info.key.bits > 0 && j->info.key.security_bits < SECURITY_MIN)
        found(j, CERT_CRITICAL, "its key is weak: %s", cert_key_text(&j->info.key, text));
    if (!j->info.self_issued &&
        (strstr(j->info.digest, "MD") == j->info.digest || strcmp(j->info.digest, "SHA1") == 0))
        found(j, CERT_CRITICAL, "its signature is weak: %s", j->info.signature);
}

static bool may(const th_cert_info *info, const char *usage)
{
    for (size_t i = 0; i < info->extended_usages_count; i++)
        if (strcmp(info->extended_usages[i], usage) == 0 ||
            strcmp(info->extended_usages[i], "anyExtendedKeyUsage") == 0)
            return true;
    return info->extended_usages_count == 0;
}

/* What TLS 1.2 with forward secrecy and TLS 1.3 need; RFC 8446 section 4.4.2.2. */
static void judge_usage(judged *j)
{
    if (!j->m->usage)
        return;
    bool server = strcmp(j->m->usage, "server") == 0;
    if (!may(&j->info, server ? "serverAuth" : "clientAuth"))
        found(j, CERT_CRITICAL, "is not for TLS %ss: its extended key usage does not say so",
              j->m->usage);
    if (j->info.usage != -1 && !(j->info.usage & TH_USAGE_DIGITAL_SIGNATURE))
        found(j, CERT_CRITICAL, "its key may not sign: its key usage lacks digitalSignature");
    if (j->info.ca == 1 && !j->info.self_issued)
        found(j, CERT_WARNING, "is an authority's, and its key should not be on a server");
    if (server && j->info.alts_count == 0)
        found(j, CERT_CRITICAL,
              "has no alternative names: clients do not look at the common name any more");
}

static void judge_name(judged *j)
{
    th_arena arena;
    if (!j->m->name || th_cert_is_for(j->cert, th_str_of(j->m->name)) == 1)
        return;
    th_arena_init(&arena, NULL, 0, 0);
    const char *names =
        cert_names_text(&arena, j->info.alts, j->info.alts_count, j->info.subject_text);
    found(j, CERT_CRITICAL, "is not for %s, but for %.400s", j->m->name, names ? names : "others");
    th_arena_deinit(&arena);
}

/* An authority that a server sends must be one. */
static void judge_authority(judged *j)
{
    if (j->info.ca != 1)
        found(j, CERT_CRITICAL, "stands behind the leaf, but is no authority's");
}

/* Servers send each certificate behind the one that it has signed; RFC 8446 allows disorder. */
static void judge_order(judged *j, const th_cert *before)
{
    th_key *key;
    if (th_cert_key(j->cert, &key) < 0)
        return;
    if (th_cert_verify(before, key) < 0)
        found(j, CERT_WARNING,
              "has not signed the one before it: the order is wrong, or one of "
              "them is missing or needless");
    th_key_unref(key);
}

static cert_grade judge_one(const cert_measure *m, const th_certs *certs, size_t depth)
{
    judged j = { .m = m, .cert = certs->at[depth], .depth = depth };
    th_arena arena;
    th_arena_init(&arena, NULL, 0, 0);
    if (depth > 0)
        snprintf(j.who, sizeof j.who, "certificate %zu of %zu ", depth + 1, certs->count);
    if (th_cert_get_info(j.cert, &arena, &j.info) < 0) {
        found(&j, CERT_CRITICAL, "cannot be read: %s", th_err_detail());
    } else {
        judge_time(&j);
        judge_strength(&j);
        if (depth == 0) {
            judge_usage(&j);
            judge_name(&j);
        } else {
            judge_authority(&j);
            judge_order(&j, certs->at[depth - 1]);
        }
    }
    th_arena_deinit(&arena);
    return j.worst;
}

/* A time at which the leaf is valid, now if it is; 0: now. */
static int64_t valid_time(const th_cert *leaf)
{
    th_arena arena;
    th_cert_info info;
    int64_t now = (int64_t)time(NULL);
    int64_t when = 0;
    th_arena_init(&arena, NULL, 0, 0);
    if (th_cert_get_info(leaf, &arena, &info) == 0) {
        if (info.not_after < now)
            when = info.not_after;
        else if (info.not_before > now)
            when = info.not_before;
    }
    th_arena_deinit(&arena);
    return when;
}

/* OpenSSL's codes for what judge_time() has told already. */
static bool is_about_time(int code)
{
    return code == 9 || code == 10; /* X509_V_ERR_CERT_NOT_YET_VALID, ..._HAS_EXPIRED */
}

static int check_at(const cert_measure *m, const th_certs *certs, int64_t when, th_arena *arena,
                    th_cert_verdict *verdict)
{
    th_certs rest = { certs->at + 1, certs->count - 1 };
    const th_cert_check_opts opts = { .chain = &rest, .when = when, .security_level = -1 };
    int err = th_cert_check(m->store, certs->at[0], &opts, arena, verdict);
    th_certs_clear(&verdict->chain);
    return err;
}

/* The dates come last in a check, but hide a signature that is wrong; hence the second one. */
static cert_grade judge_trust(const cert_measure *m, const th_certs *certs)
{
    th_cert_verdict verdict = { .code = 0 };
    th_arena arena;
    th_arena_init(&arena, NULL, 0, 0);
    int err = check_at(m, certs, 0, &arena, &verdict);
    bool is_sent = (size_t)verdict.depth < certs->count;
    if (err == TH_ETLS && is_about_time(verdict.code) && is_sent) {
        err = check_at(m, certs, valid_time(certs->at[0]), &arena, &verdict);
        err = err == TH_ETLS && is_about_time(verdict.code) ? 0 : err;
    }
    if (err < 0) {
        judged j = { .m = m };
        found(&j, CERT_CRITICAL, "is not trusted: %s",
              verdict.words.ptr ? verdict.words.ptr : th_strerror(err));
    }
    th_arena_deinit(&arena);
    return err < 0 ? CERT_CRITICAL : CERT_OK;
}

cert_grade cert_judge(const cert_measure *measure, const th_certs *certs)
{
    cert_grade worst = CERT_OK;
    for (size_t i = 0; i < certs->count; i++) {
        cert_grade grade = judge_one(measure, certs, i);
        worst = grade > worst ? grade : worst;
    }
    if (measure->store && certs->count > 0) {
        cert_grade grade = judge_trust(measure, certs);
        worst = grade > worst ? grade : worst;
    }
    return worst;
}

cert_grade cert_judge_key(const cert_measure *measure, const th_cert *cert, const th_key *key,
                          const char *path)
{
    judged j = { .m = measure };
    if (th_cert_has_key(cert, key) != 1)
        found(&j, CERT_CRITICAL, "the key in %s is not its key", path);
    return j.worst;
}

bool cert_open_store(const command *cmd, const char *path, th_cert_store **store)
{
    int err = th_cert_store_new(store);
    if (err == 0)
        err = path ? th_cert_store_add_path(*store, path, NULL) : th_cert_store_add_system(*store);
    /* A system without authorities trusts nobody, which is no reason to say nothing else. */
    if (err == 0 || (!path && err == -ENOENT))
        return true;
    cert_failed(cmd, err, path);
    return false;
}
