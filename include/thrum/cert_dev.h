/* SPDX-License-Identifier: MIT */

/*
 * Certificates for developing: a private authority of this user on this machine, and a certificate
 * of it for localhost.
 *
 * Both are made when they are first asked for, and again when they are near their end. The
 * authority can only speak for names of the machine itself and of private networks (its name
 * constraints say so, and clients hold them), so that who steals its key cannot pose as anybody on
 * the Internet. Clients trust it when its certificate is put into their stores: `thrum cert dev`
 * says how.
 *
 * A folder holds three files:
 *
 *   authority.pem      the authority's certificate, which clients are given
 *   authority-key.pem  its private key and the same certificate; for the user alone
 *   localhost.pem      the private key and the certificate of servers; for the user alone
 *
 * Each is replaced as a whole, so that a key and a certificate in one file always belong together,
 * whatever other processes do at the same time. A fourth one, .lock, is there for these.
 */
#ifndef THRUM_CERT_DEV_H
#define THRUM_CERT_DEV_H

#include <thrum/defs.h>

#include <stddef.h>
#include <stdint.h>

TH_BEGIN_DECLS

/* What was made by th_cert_dev_open() because it was not there, near its end, or did not fit. */
#define TH_CERT_DEV_MADE_AUTHORITY   1u /* clients must be told to trust it */
#define TH_CERT_DEV_MADE_CERTIFICATE 2u

typedef struct th_cert_dev_opts {
    size_t size;     /* sizeof(th_cert_dev_opts), or 0 for the present one */
    const char *dir; /* the folder; NULL: $XDG_DATA_HOME/thrum, else $HOME/.local/share/thrum */

    /*
     * Names and addresses that the certificate must have beside those that it always has:
     * localhost, 127.0.0.1, ::1, and the host name. They stay in it when it is made again.
     */
    const char *const *names;
    size_t name_count;

    int renew; /* 1: make a new certificate even if the present one is good */
} th_cert_dev_opts;

typedef struct th_cert_dev th_cert_dev;

/**
 * Finds the certificate for developing, and makes what is missing or near its end.
 *
 * The certificate is made again 30 days before its end, or when a name is missing. The authority is
 * made again 30 days before its own, after some ten years. Any number of processes may do this at
 * once. When nothing has to be made, nothing is written.
 *
 * @param opts  in, borrowed for the call: the folder and names; NULL: the defaults. The folder is
 *              made, with its parents, for the user alone
 * @param dev   out: what was found or made, to be freed with th_cert_dev_free()
 * @return 0
 * @return -EINVAL     dev is NULL, size is unknown, dir is empty, names is NULL though name_count
 * is not 0, or a name is none, or none that the authority may speak for; the detail says which may
 * be
 * @return TH_ECONFIG  no folder was named, and neither XDG_DATA_HOME nor HOME is set; or a key can
 *                     be read by others: the detail says what to do
 * @return TH_ETLS     a file of the folder is not what it should be, with its path and OpenSSL's
 *                     reason as detail; it is left as it is
 * @return -EBUSY      another process has held the folder's lock for 10 s
 * @return -ENOMEM
 * @return -ECANCELED  the caller's scope is cancelled
 * @return -ETIMEDOUT  its deadline has passed
 * @return -EPERM      called on a worker's loop
 * @return another negative errno: a file cannot be read or written, with its path as detail
 *
 * Suspends: yes
 * Thread: any
 * On cancel: some of the files may have been made; each is whole
 * Since: 0.1
 */
TH_API TH_MUST int th_cert_dev_open(const th_cert_dev_opts *opts, th_cert_dev **dev);

/**
 * Frees what th_cert_dev_open() gave. The files stay.
 *
 * @param dev  taken; NULL is allowed and does nothing
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_cert_dev_free(th_cert_dev *dev);

/**
 * Tells where the certificate of servers is.
 *
 * It is a PEM file with the private key and the certificate, to be given as both.
 *
 * @param dev  in, borrowed: from th_cert_dev_open()
 * @return the path, valid until th_cert_dev_free(); NULL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API const char *th_cert_dev_file(const th_cert_dev *dev);

/**
 * Tells where the authority's certificate is, which clients are to trust.
 *
 * @param dev  in, borrowed: from th_cert_dev_open()
 * @return the path of a PEM file, valid until th_cert_dev_free(); NULL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API const char *th_cert_dev_authority_file(const th_cert_dev *dev);

/**
 * Tells where the authority's private key is, which signs.
 *
 * It is a PEM file with the certificate in it, too.
 *
 * @param dev  in, borrowed: from th_cert_dev_open()
 * @return the path, valid until th_cert_dev_free(); NULL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API const char *th_cert_dev_authority_key_file(const th_cert_dev *dev);

/**
 * Tells a name or an address of the certificate.
 *
 * @param dev    in, borrowed: from th_cert_dev_open()
 * @param index  in: which, from 0 on
 * @return its text, valid until th_cert_dev_free(); NULL when there are no more, and for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API const char *th_cert_dev_name(const th_cert_dev *dev, size_t index);

/**
 * Tells what had to be made.
 *
 * @param dev  in, borrowed: from th_cert_dev_open()
 * @return TH_CERT_DEV_MADE_AUTHORITY and TH_CERT_DEV_MADE_CERTIFICATE, one, both or 0; 0 for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API unsigned th_cert_dev_made(const th_cert_dev *dev);

/**
 * Tells when the certificate ends; th_cert_dev_open() makes a new one 30 days before.
 *
 * @param dev  in, borrowed: from th_cert_dev_open()
 * @return seconds since 1970, UTC; 0 for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int64_t th_cert_dev_not_after(const th_cert_dev *dev);

TH_END_DECLS

#endif
