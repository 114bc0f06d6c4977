/* SPDX-License-Identifier: MIT */

/* Addresses that ask for TLS, parted into where and how. */
#include "net/tls_address.h"

#include "base/error.h"

#include <string.h>

static const char of_tcp[] = "tls://";
static const char of_any[] = "tls+";

/* What comes behind the mark of TLS; NULL: there is none. */
static const char *behind_mark(const char *text)
{
    if (strncmp(text, of_tcp, sizeof of_tcp - 1) == 0)
        return text + sizeof of_tcp - 1;
    return strncmp(text, of_any, sizeof of_any - 1) == 0 ? text + sizeof of_any - 1 : NULL;
}

bool thi_tls_address_means(const char *text)
{
    return behind_mark(text) != NULL;
}

int thi_tls_address_read(const char *text, thi_tls_address *address)
{
    const char *place = behind_mark(text);
    const char *params = strchr(place, '?');
    size_t len = params ? (size_t)(params - text) : strlen(text);
    size_t mark = (size_t)(place - text);
    if (len == mark)
        return thi_err_set(TH_EADDRESS, "'%.100s' names no place", text);
    if (len >= sizeof address->shown)
        return thi_err_set(TH_EADDRESS, "'%.100s' is too long", text);
    if (thi_tls_address_means(place))
        return thi_err_set(TH_EADDRESS, "'%.100s' asks for TLS twice", text);
    memcpy(address->shown, text, len);
    address->shown[len] = '\0';
    address->place = address->shown + mark;
    address->params = params ? params + 1 : NULL;
    return 0;
}
