/* SPDX-License-Identifier: MIT */

/* Content codings: what the client's Accept-Encoding says about the few that there are. */
#include "proto/http_accept.h"

#include "proto/http_list.h"

#define UNSAID (-1)

static const th_str names[THI_CODING_COUNT] = {
    [THI_CODING_IDENTITY] = { "identity", 8 }, [THI_CODING_GZIP] = { "gzip", 4 },
    [THI_CODING_DEFLATE] = { "deflate", 7 },   [THI_CODING_BROTLI] = { "br", 2 },
    [THI_CODING_ZSTD] = { "zstd", 4 },
};

th_str thi_http_coding_name(thi_http_coding coding)
{
    return coding == THI_CODING_IDENTITY ? TH_STR("") : names[coding];
}

/* The weight of a list member from its parameters, of which only "q" may be there; or UNSAID. */
static int member_weight(th_str params)
{
    th_str name, value;
    int weight = 1000;
    int more;
    while ((more = thi_http_param_next(&params, &name, &value)) > 0) {
        if (!th_str_eq_nocase(name, TH_STR("q")))
            return UNSAID;
        weight = thi_http_weight(value);
    }
    return more < 0 ? UNSAID : weight;
}

/* Notes what one member says about a coding, or about all others ("*"). */
static void note(thi_http_codings *said, int16_t *others, th_str member)
{
    th_str params;
    th_str name = thi_http_param_start(member, &params);
    int weight = member_weight(params);
    if (weight == UNSAID)
        return;
    if (th_str_eq(name, TH_STR("*")))
        *others = (int16_t)weight;
    /* RFC 9110, 8.4.1.3: x-gzip is gzip. */
    if (th_str_eq_nocase(name, TH_STR("x-gzip")))
        name = names[THI_CODING_GZIP];
    for (int i = 0; i < THI_CODING_COUNT; i++) {
        if (th_str_eq_nocase(name, names[i]))
            said->weight[i] = (int16_t)weight;
    }
}

thi_http_codings thi_http_accept_encoding(const thi_http1_head *head)
{
    thi_http_codings said;
    int16_t others = UNSAID;
    for (int i = 0; i < THI_CODING_COUNT; i++)
        said.weight[i] = UNSAID;

    uint32_t i = thi_http1_find(head, THI_FIELD_ACCEPT_ENCODING, 0);
    for (; i < head->count; i = thi_http1_find(head, THI_FIELD_ACCEPT_ENCODING, i + 1)) {
        th_str list = thi_http1_value(head, i);
        th_str member;
        while (thi_http_list_next(&list, &member))
            note(&said, &others, member);
    }
    /* Identity is acceptable unless it is excluded by name or by "*;q=0" (12.5.3). It weighs least
     * of all if nothing is said about it. */
    if (said.weight[THI_CODING_IDENTITY] == UNSAID)
        said.weight[THI_CODING_IDENTITY] = others == UNSAID ? 1 : others;
    for (int k = 0; k < THI_CODING_COUNT; k++) {
        if (said.weight[k] == UNSAID)
            said.weight[k] = others == UNSAID ? 0 : others;
    }
    return said;
}

int thi_http_coding_choose(const thi_http_codings *codings, unsigned offered)
{
    int best = -1;
    for (int i = 0; i < THI_CODING_COUNT; i++) {
        int weight = codings->weight[i];
        bool usable = weight > 0 && (i == THI_CODING_IDENTITY || (offered >> i & 1));
        if (usable && (best < 0 || weight >= codings->weight[best]))
            best = i;
    }
    return best;
}
