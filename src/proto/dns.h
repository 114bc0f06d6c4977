/* SPDX-License-Identifier: MIT */

/*
 * Answers of name servers (RFC 1035, 4): bytes in, records out.
 *
 * Who asks is somebody else's matter, and so are ids and questions. Here an answer is taken for
 * what it says about one name and one type: the chain of aliases from that name, the records at its
 * end, and for how long that, or that there are none, may be remembered. Whatever else it brings is
 * not looked at: what was not asked for is not believed.
 */
#ifndef THI_PROTO_DNS_H
#define THI_PROTO_DNS_H

#include <thrum/defs.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    THI_DNS_A = 1,
    THI_DNS_CNAME = 5,
    THI_DNS_SOA = 6,
    THI_DNS_PTR = 12,
    THI_DNS_AAAA = 28,
    THI_DNS_SRV = 33
};

/* Response codes that matter (RFC 1035, 4.1.1). */
enum { THI_DNS_OK = 0, THI_DNS_NO_SUCH_NAME = 3 };

/* Room for a name as text, without the dot at its end, with its NUL: RFC 1035, 2.3.4. */
#define THI_DNS_NAME 256

typedef struct thi_dns_record {
    uint8_t ip[16];                  /* A: the first four; AAAA */
    uint16_t priority, weight, port; /* SRV */
    char name[THI_DNS_NAME];         /* SRV, PTR: lower case; "" is the root */
} thi_dns_record;

/* An answer about a name; the message is borrowed. */
typedef struct thi_dns_reply {
    const uint8_t *msg;
    size_t len;
    size_t answers_at; /* offset of the answer section */
    unsigned answers;
    uint16_t type;
    int rcode;
    uint32_t ttl;                 /* for which all of it may be remembered, seconds */
    size_t count;                 /* records of the type at the end of the chain */
    char canonical[THI_DNS_NAME]; /* the end of the chain, in lower case */
    size_t next_at;               /* where thi_dns_next() goes on */
    unsigned next;
} thi_dns_reply;

/*
 * Reads an answer to the question for a name (without a dot at its end) and type. 0; TH_EPROTO when
 * it is broken. Its ttl is 0 when there are no records and nothing says how long that holds (RFC
 * 2308, 5).
 */
TH_MUST int thi_dns_read(thi_dns_reply *reply, const uint8_t *msg, size_t len, const char *name,
                         uint16_t type);

/* The next one of the records; false after the last. */
TH_MUST bool thi_dns_next(thi_dns_reply *reply, thi_dns_record *record);

/* Whether a name, without a dot at its end, may be asked for: labels of 1 to 63 letters, digits,
 * hyphens and underscores, 253 in all. */
TH_MUST bool thi_dns_name_ok(const char *name, size_t len);

/* Writes the name under which the name of an address is found, such as 1.0.0.127.in-addr.arpa (RFC
 * 1035, 3.5; RFC 3596, 2.5). `size` is 4 or 16. */
void thi_dns_reverse(const uint8_t *ip, size_t size, char name[THI_DNS_NAME]);

#endif
