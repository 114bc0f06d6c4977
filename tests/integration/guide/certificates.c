/* SPDX-License-Identifier: MIT */

/* Runs the fragments of docs/guide/certificates.md. */
#include <thrum.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "expiry.inc"
#include "phrase.inc"

/* Writes an encrypted key and a certificate for ten days and a bit. */
static int write_files(th_arena *arena)
{
    th_key *key = NULL;
    th_cert *cert = NULL;
    th_str pem;
    th_passphrase phrase = { .text = TH_STR("secret") };
    th_key_write_opts sealed = { .phrase = &phrase, .iterations = 1000 };
    th_cert_alt alt = { .kind = TH_ALT_DNS, .value = TH_STR("a.example") };
    th_cert_opts opts = { .alts = &alt, .alts_count = 1, .valid_for = 10 * 86400 + 3600 };
    int err = th_key_new("ec", &key);
    if (err == 0)
        err = th_key_pem(key, &sealed, arena, &pem);
    if (err == 0)
        err = th_file_save("key", pem.ptr, pem.len, 0600);
    if (err == 0)
        err = th_cert_self_sign(key, &opts, &cert);
    if (err == 0)
        err = th_cert_pem(cert, arena, &pem);
    if (err == 0)
        err = th_file_save("cert", pem.ptr, pem.len, 0600);
    th_cert_unref(cert);
    th_key_unref(key);
    return err;
}

static int run(th_arena *arena)
{
    th_key *key = NULL;
    int err = write_files(arena);
    if (err < 0)
        return err;
    if (days_left("cert") != 10 || days_left("none") != -ENOENT || days_left("key") != TH_ETLS)
        return -EPROTO;
    unsetenv("KEY_PHRASE");
    if (load("key", &key) != -ECANCELED)
        return -EPROTO;
    setenv("KEY_PHRASE", "wrong", 1);
    if (load("key", &key) != -EACCES)
        return -EPROTO;
    setenv("KEY_PHRASE", "secret", 1);
    err = load("key", &key);
    th_key_unref(key);
    return err;
}

static int app(int argc, char **argv)
{
    (void)argc, (void)argv;
    th_arena arena;
    char folder[] = "/tmp/thrum-guide-XXXXXX";
    if (!mkdtemp(folder) || chdir(folder) != 0)
        return -errno;
    th_arena_init(&arena, NULL, 0, 0);
    int err = run(&arena);
    th_arena_deinit(&arena);
    (void)th_path_unlink("key");
    (void)th_path_unlink("cert");
    (void)th_path_rmdir(folder);
    return err;
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, NULL);
}
