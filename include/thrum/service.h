/* SPDX-License-Identifier: MIT */

/*
 * Services: the parts of a program, started in order and stopped in the opposite one.
 *
 * A service has functions to start and to stop it, which run on a fiber and may suspend, and
 * services below it. To start it is to start itself, then those below in the order in which they
 * were added; if one of them cannot, those that have been started are stopped again, and the
 * failure is the result. To stop it is to stop those below in the opposite order, then itself,
 * whatever fails on the way.
 *
 * A tree of services is used by fibers of one worker.
 */
#ifndef THRUM_SERVICE_H
#define THRUM_SERVICE_H

#include <stddef.h>
#include <stdint.h>

#include <thrum/defs.h>
#include <thrum/fiber.h>

TH_BEGIN_DECLS

typedef struct th_service th_service;

/* What a service does; NULL where nothing is to be done. */
typedef struct th_service_ops {
    size_t size; /* sizeof(th_service_ops), or 0 for the present one */
    int (*start)(th_service *service, void *self); /* 0, or a failure: then it is not running */
    int (*stop)(th_service *service, void *self);  /* after that it is not running, either way */
    void (*free)(void *self);                      /* when the service is freed */
} th_service_ops;

/* What a service is at. */
enum th_service_state {
    TH_SERVICE_STOPPED,
    TH_SERVICE_STARTING,
    TH_SERVICE_RUNNING,
    TH_SERVICE_STOPPING
};

/**
 * Makes a service that is stopped.
 *
 * @param name     for messages and th_service_find(); copied
 * @param ops      what it does; borrowed until it is freed; NULL for one that only has others below
 * @param self     handed to the functions
 * @param service  out: for th_service_free()
 * @return 0; -EINVAL for NULL; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_service_new(const char *name, const th_service_ops *ops, void *self,
                                  th_service **service);

/**
 * Makes a service that is a fiber: it is spawned to start it, and cancelled and joined to stop it.
 *
 * What the fiber returns is the result of stopping it, unless that only tells of the cancellation.
 *
 * @param name     as for th_service_new(), and of the fiber
 * @param fn       what the fiber runs, as a server does: until its scope is cancelled
 * @param arg      handed to fn
 * @param service  out: for th_service_free()
 * @return 0; -EINVAL for NULL; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_service_task(const char *name, th_fiber_fn fn, void *arg,
                                   th_service **service);

/**
 * Puts a service below another one, which owns it from then on. If that one runs, it is started.
 *
 * @param parent   the service above
 * @param service  a stopped service that is below none
 * @return 0; what its start returned: then it is below, and stopped; -EINVAL for NULL, one that is
 *         below another or itself above; -EBUSY when either is being started or stopped, or it runs
 *
 * Suspends: yes, while it is started
 * Thread: fiber
 * On cancel: as its start says
 * Since: 0.1
 */
TH_API TH_MUST int th_service_add(th_service *parent, th_service *service);

/**
 * Takes a service away from the one above, which no longer owns it. If it runs, it is stopped.
 *
 * @param service  a service that is below another one
 * @return 0; what its stop returned: it has been taken away all the same; -EINVAL for NULL or one
 *         that is below none; -EBUSY when it, or the one above, is being started or stopped
 *
 * Suspends: yes, while it is stopped
 * Thread: fiber
 * On cancel: as its stop says
 * Since: 0.1
 */
TH_API int th_service_remove(th_service *service);

/**
 * Starts a service and all below it, in order; all or none of them.
 *
 * @param service  the service
 * @return 0, also when it runs already; the failure of the first that could not be started;
 *         -EBUSY when it is being started or stopped; -EINVAL for NULL; -EPERM outside a fiber
 *
 * Suspends: yes, while they are started
 * Thread: fiber
 * On cancel: as the starts say
 * Since: 0.1
 */
TH_API TH_MUST int th_service_start(th_service *service);

/**
 * Stops all below a service in the opposite order, then itself.
 *
 * @param service  the service
 * @return 0, also when it is stopped already; else the first failure, with all of them stopped;
 *         -EBUSY when it is being started or stopped; -EINVAL for NULL; -EPERM outside a fiber
 *
 * Suspends: yes, while they are stopped
 * Thread: fiber
 * On cancel: as the stops say
 * Since: 0.1
 */
TH_API int th_service_stop(th_service *service);

/**
 * Starts a service, waits for an orderly stop of the program, and stops it.
 *
 * The stop runs shielded, so that it can finish what is in progress although the scope has ended.
 *
 * @param service  the service
 * @param span     ns that stopping may take; 0: the runtime's time of grace
 * @return 0 after an orderly stop; -ECANCELED or -ETIMEDOUT when the scope of the caller has ended
 *         instead, after stopping; the failure of a start or stop; -EINVAL; -EBUSY, -EPERM as
 *         th_service_start()
 *
 * Suspends: yes, until it is stopped
 * Thread: fiber
 * On cancel: stops the service and returns
 * Since: 0.1
 */
TH_API TH_MUST int th_service_run(th_service *service, int64_t span);

/**
 * Tells what a service is at.
 *
 * @param service  the service
 * @return enum th_service_state; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_service_state(const th_service *service);

/**
 * Gives the name of a service.
 *
 * @param service  the service
 * @return its name, valid as long as the service; empty for NULL
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API const char *th_service_name(const th_service *service);

/**
 * Finds the service of a name right below another one.
 *
 * @param parent  the service above
 * @param name    a name
 * @return the first of that name; NULL when there is none
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_service *th_service_find(const th_service *parent, const char *name);

/**
 * Frees a service and all below it, in the order of stopping. It must be stopped, and below none.
 *
 * @param service  the service; NULL is allowed and does nothing
 * @return 0; -EBUSY when it is not stopped, -EINVAL when it is below another one, with nothing done
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: frees
 * Since: 0.1
 */
TH_API int th_service_free(th_service *service);

TH_END_DECLS

#endif
