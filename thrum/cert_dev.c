/* SPDX-License-Identifier: MIT */

/* thrum cert dev: a private authority, a certificate for this machine, and how to trust it. */
#include "cert_commands.h"
#include "cert_files.h"
#include "cert_words.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NAMES_MAX 64

typedef struct dev_settings {
    th_cert_dev_opts opts;
    const char *names[NAMES_MAX];
    bool paths_only;
} dev_settings;

static const char *set_dir(void *settings, const char *value)
{
    ((dev_settings *)settings)->opts.dir = value;
    return *value ? NULL : "must be a folder";
}

static const char *set_renew(void *settings, const char *value)
{
    (void)value;
    ((dev_settings *)settings)->opts.renew = 1;
    return NULL;
}

static const char *set_paths(void *settings, const char *value)
{
    (void)value;
    ((dev_settings *)settings)->paths_only = true;
    return NULL;
}

static const char *take_name(void *settings, const char *text)
{
    dev_settings *s = settings;
    if (s->opts.name_count == NAMES_MAX)
        return "at most 64 names are possible";
    s->names[s->opts.name_count++] = text;
    return NULL;
}

static const option options[] = {
    { "dir", "DIR", "where it is kept; $XDG_DATA_HOME/thrum or ~/.local/share/thrum", set_dir },
    { "renew", NULL, "make a new certificate even if the present one is good", set_renew },
    { "paths", NULL, "print the paths of the authority and the certificate, no more", set_paths },
    { NULL, NULL, NULL, NULL },
};

const command cert_dev_command = {
    .name = "cert dev",
    .arguments = "[NAME...]",
    .purpose = "Makes a private authority and a certificate for this machine.",
    .details = "The certificate is for localhost, 127.0.0.1, ::1, the host name, and each NAME, "
               "which may\n"
               "be a name in test, local, internal, home.arpa or localhost, or a private address.\n"
               "`thrum serve --tls` uses it. It is made again 30 days before its end.\n",
    .options = options,
    .argument = take_name,
};

/* Each line is a command for a shell, or what to click on; the path stands for %s. */
static const char *const trusting[][2] = {
    { "curl", "curl --cacert %s https://localhost:8443/" },
    { "Python", "export SSL_CERT_FILE=%s        (as for all that uses OpenSSL)" },
    { "Node.js", "export NODE_EXTRA_CA_CERTS=%s" },
    { "Debian, Ubuntu", "sudo cp %s /usr/local/share/ca-certificates/thrum-dev.crt" },
    { "", "sudo update-ca-certificates" },
    { "Fedora", "sudo trust anchor %s" },
    { "Chromium, Chrome", "certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n thrum-dev -i %s" },
    { "", "(certutil is in Debian's libnss3-tools; no folder yet: certutil -N --empty-password" },
    { "", "-d sql:$HOME/.pki/nssdb after mkdir -p $HOME/.pki/nssdb)" },
    { "Firefox", "Settings, Privacy & Security, View Certificates, Authorities, Import: %s" },
};

static void print_trusting(const char *authority)
{
    printf("\nto trust the authority:\n");
    for (size_t i = 0; i < sizeof trusting / sizeof trusting[0]; i++) {
        const char *how = trusting[i][1];
        const char *at = strstr(how, "%s");
        printf("  %-16s  %.*s%s%s\n", trusting[i][0], at ? (int)(at - how) : (int)strlen(how), how,
               at ? authority : "", at ? at + 2 : "");
    }
}

static void print_all(const th_cert_dev *dev)
{
    unsigned made = th_cert_dev_made(dev);
    char when[CERT_WHEN_SIZE];
    printf("authority    %s%s\n", th_cert_dev_authority_file(dev),
           made & TH_CERT_DEV_MADE_AUTHORITY ? " (new)" : "");
    printf("its key      %s\n", th_cert_dev_authority_key_file(dev));
    printf("certificate  %s%s, with its key\n", th_cert_dev_file(dev),
           made & TH_CERT_DEV_MADE_CERTIFICATE ? " (new)" : "");
    printf("names        ");
    const char *name;
    for (size_t i = 0; (name = th_cert_dev_name(dev, i)) != NULL; i++)
        printf("%s%s", i > 0 ? ", " : "", name);
    printf("\nuntil        %s\n", cert_when(th_cert_dev_not_after(dev), when));
    print_trusting(th_cert_dev_authority_file(dev));
}

int cert_dev_main(int argc, char **argv)
{
    dev_settings s = { .opts = { .size = sizeof s.opts } };
    th_cert_dev *dev;
    int status = options_read(&cert_dev_command, argc, argv, &s);
    if (status >= 0)
        return status;
    s.opts.names = s.names;
    int err = th_cert_dev_open(&s.opts, &dev);
    if (err < 0)
        return cert_failed(&cert_dev_command, err, NULL);
    if (s.paths_only)
        printf("%s\n%s\n", th_cert_dev_authority_file(dev), th_cert_dev_file(dev));
    else
        print_all(dev);
    th_cert_dev_free(dev);
    return 0;
}
