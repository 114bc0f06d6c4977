/* SPDX-License-Identifier: MIT */

/* Everything that a program of Thrum's users needs, in one line. */
#ifndef THRUM_H
#define THRUM_H

#include <thrum/defs.h>
#include <thrum/access_log.h>
#include <thrum/addr.h>
#include <thrum/barrier.h>
#include <thrum/chat.h>
#include <thrum/cond.h>
#include <thrum/control.h>
#include <thrum/dial.h>
#include <thrum/dispatcher.h>
#include <thrum/error.h>
#include <thrum/event.h>
#include <thrum/fd_stream.h>
#include <thrum/fiber.h>
#include <thrum/file.h>
#include <thrum/framing.h>
#include <thrum/future.h>
#include <thrum/group.h>
#include <thrum/host.h>
#include <thrum/http.h>
#include <thrum/inspect.h>
#include <thrum/local.h>
#include <thrum/log.h>
#include <thrum/marks.h>
#include <thrum/mem.h>
#include <thrum/metrics.h>
#include <thrum/mutex.h>
#include <thrum/names.h>
#include <thrum/once.h>
#include <thrum/path.h>
#include <thrum/pool.h>
#include <thrum/process.h>
#include <thrum/process_pool.h>
#include <thrum/protocol.h>
#include <thrum/proxied.h>
#include <thrum/queue.h>
#include <thrum/reconnect.h>
#include <thrum/reader.h>
#include <thrum/relay.h>
#include <thrum/runtime.h>
#include <thrum/rwlock.h>
#include <thrum/scope.h>
#include <thrum/select.h>
#include <thrum/sem.h>
#include <thrum/serve.h>
#include <thrum/service.h>
#include <thrum/signals.h>
#include <thrum/sim.h>
#include <thrum/socket.h>
#include <thrum/str.h>
#include <thrum/stream.h>
#include <thrum/time.h>
#include <thrum/transport.h>
#include <thrum/trace.h>
#include <thrum/tune.h>
#include <thrum/udp.h>
#include <thrum/unix.h>
#include <thrum/wait_fd.h>
#include <thrum/waitgroup.h>
#include <thrum/watch.h>
#include <thrum/writer.h>

#endif
