/* SPDX-License-Identifier: MIT */

/*
 * The list of all metrics: one line each makes the id, the storage and the exposition.
 *
 *     X(kind, id, name, label, help)      kind COUNTER only grows, GAUGE goes up and down
 *     X(id, name, help)                   for histograms of durations
 *
 * Names, units and labels follow Prometheus. Lines of one name are neighbours, share a help text
 * and differ in their constant label. To add a metric, add a line.
 */
#ifndef THI_BASE_METRICS_LIST_H
#define THI_BASE_METRICS_LIST_H

#define THI_METRIC_LIST(X)                                                                         \
    X(COUNTER, CONNS_ACCEPTED, "thrum_connections_accepted_total", "", "Connections accepted")     \
    X(COUNTER, CONNS_CLOSED, "thrum_connections_closed_total", "", "Accepted connections closed")  \
    X(GAUGE, CONNS_OPEN, "thrum_connections_open", "", "Accepted connections that are open")       \
    X(COUNTER, CONNS_HANDED_OVER, "thrum_connections_handed_over_total", "",                       \
      "Connections that one worker accepted and another one serves")                               \
    X(COUNTER, CONNS_REFUSED_PEER, "thrum_connections_refused_total", "reason=\"peer_limit\"",     \
      "Connections reset because of the limit per peer or for want of a PROXY header")             \
    X(COUNTER, CONNS_REFUSED_PROXY, "thrum_connections_refused_total", "reason=\"proxy_header\"",  \
      "Connections reset because of the limit per peer or for want of a PROXY header")             \
    X(COUNTER, ACCEPT_ERRORS, "thrum_accept_errors_total", "", "Failures to accept a connection")  \
    X(COUNTER, BYTES_READ, "thrum_read_bytes_total", "", "Bytes read from streams")                \
    X(COUNTER, BYTES_WRITTEN, "thrum_written_bytes_total", "", "Bytes written to streams")         \
    X(COUNTER, FIBERS_SPAWNED, "thrum_fibers_spawned_total", "", "Fibers started")                 \
    X(GAUGE, FIBERS_LIVE, "thrum_fibers_live", "", "Fibers that have not ended")                   \
    X(COUNTER, DEADLOCK_CIRCLES, "thrum_deadlocks_total", "kind=\"circle\"",                       \
      "Waits found that do not end: circles, and states in which nothing can end them")            \
    X(COUNTER, DEADLOCK_LOST, "thrum_deadlocks_total", "kind=\"lost\"",                            \
      "Waits found that do not end: circles, and states in which nothing can end them")            \
    X(COUNTER, DEADLOCK_LOOKS, "thrum_deadlock_looks_total", "",                                   \
      "Looks of all workers at waits that last long")                                              \
    X(COUNTER, LOCKS_HELD, "thrum_locks_held_total", "",                                           \
      "Locks of <pthread.h> that a fiber held while it was suspended, where that is looked at")    \
    X(COUNTER, STALLS, "thrum_stalls_total", "",                                                   \
      "Workers that were held up by a fiber that did not suspend")                                 \
    X(COUNTER, LOOP_TURNS, "thrum_loop_turns_total", "", "Turns of the event loops")               \
    X(COUNTER, LOOP_WAKEUPS, "thrum_loop_wakeups_total", "",                                       \
      "Wake-ups of an event loop by another thread")                                               \
    X(COUNTER, TIMERS_FIRED, "thrum_timers_fired_total", "", "Timers that ran out")                \
    X(COUNTER, NAMES_KNOWN, "thrum_name_questions_total", "result=\"known\"",                      \
      "Questions about names, by what became of them")                                             \
    X(COUNTER, NAMES_SHARED, "thrum_name_questions_total", "result=\"shared\"",                    \
      "Questions about names, by what became of them")                                             \
    X(COUNTER, NAMES_FOUND, "thrum_name_questions_total", "result=\"found\"",                      \
      "Questions about names, by what became of them")                                             \
    X(COUNTER, NAMES_NOTHING, "thrum_name_questions_total", "result=\"nothing\"",                  \
      "Questions about names, by what became of them")                                             \
    X(COUNTER, NAMES_FAILED, "thrum_name_questions_total", "result=\"failed\"",                    \
      "Questions about names, by what became of them")                                             \
    X(GAUGE, NAMES_WAITING, "thrum_name_questions_waiting", "",                                    \
      "Questions that name servers have not answered yet")                                         \
    X(COUNTER, TLS_SERVER_FULL, "thrum_tls_handshakes_total", "role=\"server\",result=\"full\"",   \
      "TLS handshakes, by role and what became of them")                                           \
    X(COUNTER, TLS_SERVER_RESUMED, "thrum_tls_handshakes_total",                                   \
      "role=\"server\",result=\"resumed\"", "TLS handshakes, by role and what became of them")     \
    X(COUNTER, TLS_SERVER_FAILED, "thrum_tls_handshakes_total",                                    \
      "role=\"server\",result=\"failed\"", "TLS handshakes, by role and what became of them")      \
    X(COUNTER, TLS_CLIENT_FULL, "thrum_tls_handshakes_total", "role=\"client\",result=\"full\"",   \
      "TLS handshakes, by role and what became of them")                                           \
    X(COUNTER, TLS_CLIENT_RESUMED, "thrum_tls_handshakes_total",                                   \
      "role=\"client\",result=\"resumed\"", "TLS handshakes, by role and what became of them")     \
    X(COUNTER, TLS_CLIENT_FAILED, "thrum_tls_handshakes_total",                                    \
      "role=\"client\",result=\"failed\"", "TLS handshakes, by role and what became of them")      \
    X(COUNTER, TLS_EARLY_TAKEN, "thrum_tls_early_data_total", "result=\"taken\"",                  \
      "Connections on which a client sent early data to a server")                                 \
    X(COUNTER, TLS_EARLY_REFUSED, "thrum_tls_early_data_total", "result=\"refused\"",              \
      "Connections on which a client sent early data to a server")                                 \
    X(COUNTER, HTTP_REQUESTS_1XX, "thrum_http_requests_total", "class=\"1xx\"",                    \
      "HTTP requests answered, by class of status")                                                \
    X(COUNTER, HTTP_REQUESTS_2XX, "thrum_http_requests_total", "class=\"2xx\"",                    \
      "HTTP requests answered, by class of status")                                                \
    X(COUNTER, HTTP_REQUESTS_3XX, "thrum_http_requests_total", "class=\"3xx\"",                    \
      "HTTP requests answered, by class of status")                                                \
    X(COUNTER, HTTP_REQUESTS_4XX, "thrum_http_requests_total", "class=\"4xx\"",                    \
      "HTTP requests answered, by class of status")                                                \
    X(COUNTER, HTTP_REQUESTS_5XX, "thrum_http_requests_total", "class=\"5xx\"",                    \
      "HTTP requests answered, by class of status")                                                \
    X(COUNTER, HTTP_ERRORS_MALFORMED, "thrum_http_request_errors_total", "kind=\"malformed\"",     \
      "HTTP requests that were refused before a handler saw them")                                 \
    X(COUNTER, HTTP_ERRORS_TOO_LARGE, "thrum_http_request_errors_total", "kind=\"too_large\"",     \
      "HTTP requests that were refused before a handler saw them")                                 \
    X(COUNTER, HTTP_ERRORS_TIMEOUT, "thrum_http_request_errors_total", "kind=\"timeout\"",         \
      "HTTP requests that were refused before a handler saw them")                                 \
    X(GAUGE, HTTP_IN_FLIGHT, "thrum_http_requests_in_flight", "", "HTTP requests being served")    \
    X(GAUGE, HTTP_CONNS_IDLE, "thrum_http_connections_idle", "",                                   \
      "HTTP connections that wait for their next request")                                         \
    X(COUNTER, POOL_JOBS_DONE, "thrum_pool_jobs_total", "result=\"done\"",                         \
      "Jobs that left thread pools, by what became of them")                                       \
    X(COUNTER, POOL_JOBS_CANCELLED, "thrum_pool_jobs_total", "result=\"cancelled\"",               \
      "Jobs that left thread pools, by what became of them")                                       \
    X(COUNTER, POOL_JOBS_REFUSED, "thrum_pool_jobs_total", "result=\"refused\"",                   \
      "Jobs that left thread pools, by what became of them")                                       \
    X(GAUGE, POOL_JOBS_WAITING, "thrum_pool_jobs_waiting", "",                                     \
      "Jobs in the queues of thread pools")                                                        \
    X(GAUGE, POOL_THREADS, "thrum_pool_threads", "", "Threads of thread pools")                    \
    X(COUNTER, TLS_SIGNED_HERE, "thrum_tls_private_operations_total", "where=\"here\"",            \
      "Private keys used off the loop, or in place for want of a thread")                          \
    X(COUNTER, TLS_SIGNED_POOL, "thrum_tls_private_operations_total", "where=\"pool\"",            \
      "Private keys used off the loop, or in place for want of a thread")                          \
    X(COUNTER, TLS_SIGNED_KEYD, "thrum_tls_private_operations_total", "where=\"keyd\"",            \
      "Private keys used off the loop, or in place for want of a thread")                          \
    X(COUNTER, TLS_SIGN_ERRORS, "thrum_tls_private_operation_errors_total", "",                    \
      "Private keys that could not be used, because of the key process or a cancellation too")     \
    X(GAUGE, TLS_HANDSHAKES_WAITING, "thrum_tls_handshakes_waiting", "",                           \
      "Handshakes that wait for their turn")                                                       \
    X(COUNTER, KEYD_SIGNED, "thrum_keyd_requests_total", "result=\"signed\"",                      \
      "Requests to a key process, by what became of them")                                         \
    X(COUNTER, KEYD_REFUSED, "thrum_keyd_requests_total", "result=\"refused\"",                    \
      "Requests to a key process, by what became of them")                                         \
    X(COUNTER, KEYD_LIMITED, "thrum_keyd_requests_total", "result=\"limited\"",                    \
      "Requests to a key process, by what became of them")                                         \
    X(COUNTER, KEYD_FAILED, "thrum_keyd_requests_total", "result=\"failed\"",                      \
      "Requests to a key process, by what became of them")

#define THI_HISTOGRAM_LIST(X)                                                                      \
    X(HTTP_REQUEST, "thrum_http_request_duration_seconds",                                         \
      "Time from the first byte of a request to the last byte of its reply")                       \
    X(NAME_QUESTION, "thrum_name_question_duration_seconds",                                       \
      "Time from a question about a name to the last word of the name servers")

#endif
