/* SPDX-License-Identifier: MIT */

/* Where this system keeps the authorities that it trusts. */
#ifndef THI_TLS_SYSTEM_TRUST_H
#define THI_TLS_SYSTEM_TRUST_H

/* The paths in effect, static or of the environment; NULL: there is none. */
typedef struct thi_system_trust {
    const char *file;
    const char *dir; /* or several, with colons between them, of which one is there at least */
} thi_system_trust;

/* SSL_CERT_FILE and SSL_CERT_DIR, else OpenSSL's own paths, else the usual bundles. */
thi_system_trust thi_system_trust_find(void);

#endif
