/* SPDX-License-Identifier: MIT */

/*
 * Echo over TCP and UDP with protocols: functions that the loop calls, no fiber per connection.
 *
 * protocol_echo [TCP-ADDRESS [UDP-ADDRESS]]
 */
#include <thrum.h>

#include <stdio.h>
#include <unistd.h>

/* ---- TCP: what comes goes back, as fast as the client takes it ---- */

static int received(th_transport *transport, void *self, th_str data)
{
    (void)self;
    int held = th_transport_write(transport, data.ptr, data.len);
    return held == 1 ? th_transport_pause_reading(transport) : held;
}

static void go_on(th_transport *transport, void *self)
{
    (void)self;
    th_transport_resume_reading(transport);
}

static int make_echo(th_transport *transport, void *arg)
{
    static const th_protocol echo = { .data_received = received, .resume_writing = go_on };
    return th_transport_set_protocol(transport, &echo, arg);
}

/* ---- UDP: each datagram goes back to where it came from ---- */

static int came(th_transport *transport, void *self, th_str data, const th_addr *from)
{
    (void)self;
    (void)th_transport_send_to(transport, data.ptr, data.len, from); /* what is lost is lost */
    return 0;
}

static int make_udp_echo(th_transport *transport, void *arg)
{
    static const th_protocol echo = { .datagram_received = came };
    return th_transport_set_protocol(transport, &echo, arg);
}

/* ---- the program ---- */

static void tell(const char *what, const th_addr *addr)
{
    char text[TH_ADDR_TEXT];
    printf("%s %s\n", what, th_addr_format(addr, text, sizeof text));
    fflush(stdout);
}

static void listening(const th_addr *addr, void *arg)
{
    (void)arg;
    tell("listening on", addr);
}

/* Opens the socket and hands it to its protocol, which belongs to the scope that is open. */
static int receive(const char *address)
{
    th_udp *udp;
    th_addr addr;
    int err = th_udp_open(address, NULL, &udp);
    if (err < 0)
        return err;
    th_udp_local(udp, &addr);
    int fd = th_udp_detach(udp);
    th_udp_free(udp);
    err = th_protocol_open(fd, make_udp_echo, NULL, NULL);
    if (err < 0)
        close(fd);
    else
        tell("receiving on", &addr);
    return err;
}

static int app(int argc, char **argv)
{
    th_protocol_serve_opts opts = { .listening = listening };
    th_scope scope;
    int err = th_scope_open(&scope, NULL);
    if (err < 0)
        return err;
    err = receive(argc > 2 ? argv[2] : "udp://127.0.0.1:7000");
    if (err == 0)
        err =
            th_protocol_serve(argc > 1 ? argv[1] : "tcp://127.0.0.1:7000", make_echo, NULL, &opts);
    th_scope_cancel(&scope, 0); /* which ends the transport that receives */
    th_scope_close(&scope);
    return err;
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, NULL);
}
