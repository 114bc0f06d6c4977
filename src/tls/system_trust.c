/* SPDX-License-Identifier: MIT */

/* Where this system keeps the authorities that it trusts. */
#include "tls/system_trust.h"

#include "base/util.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Where systems keep their bundle when OpenSSL's own paths lead nowhere. */
static const char *const bundles[] = {
    "/etc/ssl/certs/ca-certificates.crt",                /* Debian, Arch */
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", /* Fedora */
    "/etc/pki/tls/certs/ca-bundle.crt",                  /* older Red Hats */
    "/etc/ssl/ca-bundle.pem",                            /* SUSE */
    "/etc/ssl/cert.pem",                                 /* Alpine, BSD */
};

static bool is_there(const char *path, bool want_dir)
{
    struct statx info;
    return thi_sys_statx(AT_FDCWD, path, 0, &info) == 0 &&
           (S_ISDIR(info.stx_mode) != 0) == want_dir;
}

/* Of a list with colons; an empty part is none. */
static bool is_one_there(const char *dirs)
{
    char one[1024];
    for (const char *at = dirs; *at;) {
        size_t len = strcspn(at, ":");
        if (len > 0 && len < sizeof one) {
            memcpy(one, at, len);
            one[len] = '\0';
            if (is_there(one, true))
                return true;
        }
        at += len + (at[len] == ':');
    }
    return false;
}

/* Programs with more rights than their caller do not let him choose whom they believe. */
static const char *from_environment(const char *name)
{
    const char *value = secure_getenv(name);
    return value && *value ? value : NULL;
}

thi_system_trust thi_system_trust_find(void)
{
    const char *file = from_environment(X509_get_default_cert_file_env());
    const char *dir = from_environment(X509_get_default_cert_dir_env());
    thi_system_trust paths = { file ? file : X509_get_default_cert_file(),
                               dir ? dir : X509_get_default_cert_dir() };
    if (!is_there(paths.file, false))
        paths.file = NULL;
    if (!is_one_there(paths.dir))
        paths.dir = NULL;
    for (size_t i = 0; !file && !dir && !paths.file && !paths.dir && i < thi_array_len(bundles);
         i++)
        if (is_there(bundles[i], false))
            paths.file = bundles[i];
    return paths;
}
