/* SPDX-License-Identifier: MIT */

/*
 * pcapng, after the IETF draft "PCAP Now Generic": a section header, one interface with times in
 * nanoseconds, an enhanced packet block for each packet, and statistics at the end. Blocks are in
 * the byte order of the machine, which their magic tells; headers of packets in network order.
 */
#include "pcapng.h"

#include <string.h>

#define LINK_RAW       101
#define PACKET_MAX     65535
#define PAYLOAD_MAX    65000 /* of one packet: headers and payload fit into what IP can say */
#define FIRST_SEQUENCE 1000  /* of each side's SYN */

enum { TCP_FIN = 1, TCP_SYN = 2, TCP_PSH = 8, TCP_ACK = 16 };
enum { BLOCK_SECTION = 0x0A0D0D0A, BLOCK_INTERFACE = 1, BLOCK_STATISTICS = 5, BLOCK_PACKET = 6 };

/* ---- blocks ---------------------------------------------------------------------------------- */

static void put(pcapng *file, const void *bytes, size_t size)
{
    if (size > 0 && fwrite(bytes, 1, size, file->out) != size)
        file->failed = true;
}

static void put_32(pcapng *file, uint32_t value)
{
    put(file, &value, sizeof value);
}

static void put_padding(pcapng *file, size_t size)
{
    static const char zeros[4];
    put(file, zeros, (4 - size % 4) % 4);
}

static size_t padded(size_t size)
{
    return (size + 3) & ~(size_t)3;
}

/* An option: its code, its bytes. */
static void put_option(pcapng *file, uint16_t code, const void *bytes, uint16_t size)
{
    put(file, &code, sizeof code);
    put(file, &size, sizeof size);
    put(file, bytes, size);
    put_padding(file, size);
}

static void put_section(pcapng *file, const char *application)
{
    uint16_t version[2] = { 1, 0 };
    int64_t unknown = -1;
    uint16_t len = (uint16_t)strlen(application);
    uint32_t size = (uint32_t)(28 + 4 + padded(len) + 4);
    put_32(file, BLOCK_SECTION);
    put_32(file, size);
    put_32(file, 0x1A2B3C4D);
    put(file, version, sizeof version);
    put(file, &unknown, sizeof unknown);
    put_option(file, 4, application, len);
    put_32(file, 0);
    put_32(file, size);
}

static void put_interface(pcapng *file)
{
    uint16_t link[2] = { LINK_RAW, 0 };
    unsigned char nanoseconds = 9;
    uint32_t size = 20 + 8 + 4;
    put_32(file, BLOCK_INTERFACE);
    put_32(file, size);
    put(file, link, sizeof link);
    put_32(file, PACKET_MAX);
    put_option(file, 9, &nanoseconds, 1);
    put_32(file, 0);
    put_32(file, size);
}

static void put_time(pcapng *file)
{
    put_32(file, (uint32_t)((uint64_t)file->wall >> 32));
    put_32(file, (uint32_t)(uint64_t)file->wall);
}

static void put_packet(pcapng *file, const unsigned char *head, size_t head_size,
                       const void *payload, size_t size)
{
    uint32_t len = (uint32_t)(head_size + size);
    uint16_t said = (uint16_t)(file->comment ? strlen(file->comment) : 0);
    uint32_t block = (uint32_t)(32 + padded(len) + (said > 0 ? 4 + padded(said) + 4 : 0));
    put_32(file, BLOCK_PACKET);
    put_32(file, block);
    put_32(file, 0);
    put_time(file);
    put_32(file, len);
    put_32(file, len);
    put(file, head, head_size);
    put(file, payload, size);
    put_padding(file, len);
    if (said > 0) {
        put_option(file, 1, file->comment, said);
        put_32(file, 0);
    }
    put_32(file, block);
    file->comment = NULL;
    file->packets++;
}

/* ---- packets --------------------------------------------------------------------------------- */

static void set_16(unsigned char *at, unsigned value)
{
    at[0] = (unsigned char)(value >> 8);
    at[1] = (unsigned char)value;
}

static void set_32(unsigned char *at, uint32_t value)
{
    set_16(at, value >> 16);
    set_16(at + 2, value & 0xffff);
}

/* RFC 1071. `bytes` may have an odd size only if nothing is added after it. */
static uint32_t add_up(uint32_t sum, const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i + 1 < size; i += 2) {
        sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
        sum = (sum & 0xffff) + (sum >> 16);
    }
    if (size % 2)
        sum += (uint32_t)bytes[size - 1] << 8;
    return sum;
}

static unsigned checksum(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return ~sum & 0xffff;
}

/* The IP header, all of it; how long it is. *sum becomes that of TCP's pseudo header. */
static size_t put_ip(unsigned char *at, const th_addr *from, const th_addr *to, size_t size,
                     uint32_t *sum)
{
    size_t width = from->kind == TH_ADDR_IP6 ? 16 : 4;
    *sum = add_up(add_up(6 + (uint32_t)size, from->ip, width), to->ip, width);
    if (width == 16) {
        at[0] = 0x60;
        set_16(at + 4, (unsigned)size);
        at[6] = 6; /* TCP */
        at[7] = 64;
        memcpy(at + 8, from->ip, 16);
        memcpy(at + 24, to->ip, 16);
        return 40;
    }
    at[0] = 0x45;
    set_16(at + 2, (unsigned)(20 + size));
    at[6] = 0x40; /* not to be fragmented */
    at[8] = 64;
    at[9] = 6;
    memcpy(at + 12, from->ip, 4);
    memcpy(at + 16, to->ip, 4);
    set_16(at + 10, checksum(add_up(0, at, 20)));
    return 20;
}

/* A packet from one side to the other, whose numbers it acknowledges. */
static void put_tcp(pcapng *file, const pcapng_side *from, const pcapng_side *to, unsigned flags,
                    const void *payload, size_t size)
{
    unsigned char head[60] = { 0 };
    uint32_t sum;
    size_t ip = put_ip(head, &from->addr, &to->addr, 20 + size, &sum);
    unsigned char *tcp = head + ip;
    set_16(tcp, from->addr.port);
    set_16(tcp + 2, to->addr.port);
    set_32(tcp + 4, from->next);
    if (flags & TCP_ACK)
        set_32(tcp + 8, to->next);
    tcp[12] = 5 << 4;
    tcp[13] = (unsigned char)flags;
    set_16(tcp + 14, 65535);
    set_16(tcp + 16, checksum(add_up(add_up(sum, tcp, 20), payload, size)));
    put_packet(file, head, ip + 20, payload, size);
}

/* ---- connections ----------------------------------------------------------------------------- */

/* An address that can stand in a packet; the number makes ports of those that have none differ. */
static th_addr as_ip(const th_addr *addr, unsigned host, uint64_t number)
{
    th_addr made = { .kind = TH_ADDR_IP4, .ip = { 127, 0, 0, (uint8_t)host } };
    if (addr->kind == TH_ADDR_IP4 || addr->kind == TH_ADDR_IP6)
        return *addr;
    made.port = (uint16_t)(host == 2 ? 1 : 1024 + number % 60000);
    return made;
}

/* Both of one kind: an IPv4 address among those of IPv6 is written as such. */
static void widen(th_addr *addr)
{
    unsigned char ip[16] = { [10] = 0xff, [11] = 0xff };
    if (addr->kind == TH_ADDR_IP6)
        return;
    memcpy(ip + 12, addr->ip, 4);
    memcpy(addr->ip, ip, 16);
    addr->kind = TH_ADDR_IP6;
}

void pcapng_open(pcapng *file, pcapng_flow *flow, const th_addr *here, const th_addr *there,
                 uint64_t number)
{
    bool called = flow->called;
    file->comment = flow->comment;
    *flow = (pcapng_flow){ .here = { .addr = as_ip(here, 2, number), .next = FIRST_SEQUENCE },
                           .there = { .addr = as_ip(there, 1, number), .next = FIRST_SEQUENCE },
                           .called = called };
    if (flow->here.addr.kind != flow->there.addr.kind) {
        widen(&flow->here.addr);
        widen(&flow->there.addr);
    }
    pcapng_side *client = called ? &flow->there : &flow->here;
    pcapng_side *server = called ? &flow->here : &flow->there;
    put_tcp(file, client, server, TCP_SYN, NULL, 0);
    client->next++;
    put_tcp(file, server, client, TCP_SYN | TCP_ACK, NULL, 0);
    server->next++;
    put_tcp(file, client, server, TCP_ACK, NULL, 0);
}

void pcapng_bytes(pcapng *file, pcapng_flow *flow, bool from_here, uint64_t offset,
                  const void *bytes, size_t size)
{
    pcapng_side *from = from_here ? &flow->here : &flow->there;
    const pcapng_side *to = from_here ? &flow->there : &flow->here;
    const char *at = bytes;
    from->next = (uint32_t)(FIRST_SEQUENCE + 1 + offset);
    while (size > 0) {
        size_t piece = size < PAYLOAD_MAX ? size : PAYLOAD_MAX;
        put_tcp(file, from, to, TCP_PSH | TCP_ACK, at, piece);
        from->next += (uint32_t)piece;
        at += piece;
        size -= piece;
    }
}

void pcapng_end(pcapng *file, pcapng_flow *flow, bool from_here)
{
    pcapng_side *from = from_here ? &flow->here : &flow->there;
    const pcapng_side *to = from_here ? &flow->there : &flow->here;
    if (from->ended)
        return;
    put_tcp(file, from, to, TCP_FIN | TCP_ACK, NULL, 0);
    from->next++;
    from->ended = true;
}

/* ---- the file -------------------------------------------------------------------------------- */

void pcapng_begin(pcapng *file, FILE *out, const char *application)
{
    *file = (pcapng){ .out = out };
    put_section(file, application);
    put_interface(file);
}

void pcapng_finish(pcapng *file, uint64_t lost)
{
    uint32_t size = 24 + 12 + 12 + 4;
    put_32(file, BLOCK_STATISTICS);
    put_32(file, size);
    put_32(file, 0);
    put_time(file);
    put_option(file, 4, &file->packets, 8); /* received */
    put_option(file, 5, &lost, 8);          /* dropped: bytes, for nobody knows how many packets */
    put_32(file, 0);
    put_32(file, size);
    if (fflush(file->out) != 0)
        file->failed = true;
}
