/* SPDX-License-Identifier: MIT */

/*
 * The PROXY protocol, versions 1 and 2: what a proxy says of its client before the client's bytes.
 *
 * Parsing is pure and strict. While a header is incomplete, every byte given belongs to it: so a
 * reader that takes off what it has shown, and never more than a complete header's length, loses
 * none of the client's bytes.
 */
#ifndef THI_PROTO_PROXY_PROTOCOL_H
#define THI_PROTO_PROXY_PROTOCOL_H

#include <thrum/str.h>

#include <sys/types.h>

/* The longest header of either version that is read; the text form cannot be longer. */
#define THI_PROXY_V1_MAX 107
#define THI_PROXY_V2_MAX 4096

/* Of which kind the addresses are; NONE: the proxy knows or says nothing of its client. */
enum { THI_PROXY_NONE, THI_PROXY_IP4, THI_PROXY_IP6, THI_PROXY_UNIX };

/* Types of TLVs that mean something to everybody. */
enum {
    THI_PROXY_TLV_ALPN = 0x01,
    THI_PROXY_TLV_AUTHORITY = 0x02,
    THI_PROXY_TLV_CRC32C = 0x03,
    THI_PROXY_TLV_NOOP = 0x04,
    THI_PROXY_TLV_UNIQUE_ID = 0x05,
    THI_PROXY_TLV_SSL = 0x20,
    THI_PROXY_TLV_NETNS = 0x30
};

#define THI_PROXY_UNIX_SIZE 108

/* One end of the connection between the client and the proxy. */
typedef struct thi_proxy_end {
    uint8_t ip[16]; /* IP4: the first four, in network order */
    uint16_t port;
    th_str path; /* UNIX: up to 108 bytes without trailing NULs; an abstract name begins with one */
} thi_proxy_end;

typedef struct thi_proxy_header {
    uint8_t version; /* 1 or 2 */
    uint8_t kind;    /* THI_PROXY_* */
    bool local;      /* the proxy speaks for itself, a health check for instance */
    bool datagrams;  /* the client came by datagrams */
    bool checksum;   /* version 2: it carries a CRC32c, which is right; to be written: add one */
    thi_proxy_end source;
    thi_proxy_end destination;
    th_str tlvs; /* version 2, the checksum's included; a view of the bytes parsed */
} thi_proxy_header;

/*
 * Parses a header at the front of len bytes. Returns its length; 0 when more bytes are needed;
 * TH_EPROTO for what is none, or TH_ELIMIT for one that is too long, with a static reason. Nothing
 * is said in *header unless the result is positive; its views are of buf.
 */
TH_MUST ssize_t thi_proxy_parse(const char *buf, size_t len, thi_proxy_header *header,
                                const char **reason);

/*
 * Writes a header; its length, or 0 when it does not fit in size bytes. Version 1 knows neither
 * Unix sockets nor TLVs: the former become UNKNOWN, the latter are left out. The caller keeps
 * checksums out of tlvs.
 */
size_t thi_proxy_write(const thi_proxy_header *header, char *buf, size_t size);

/* Takes the next TLV off the front; false at the end, or where the bytes make none. */
bool thi_proxy_tlv_next(th_str *rest, uint8_t *type, th_str *value);

#endif
