/* Requests that the controller of controller.h sends to an engine, as clients
 * would make them. All return the request's ref, which no other has and by
 * which transcript.h finds what is said about it; none waits. */
#ifndef IPMPI_TESTS_ENGINE_REQUESTS_H
#define IPMPI_TESTS_ENGINE_REQUESTS_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/engine/protocol.h"

/* A request whose content is {"do":"<order>"}; driven_engine.c knows the
 * orders. */
uint64_t controller_work(int engine, enum ipmpi_work_kind kind,
                         const char *msg_type, const char *order);
/* An execute_request sent before this rank had the engine's last reply that
 * aborted queued cells. */
uint64_t controller_late_cell(int engine, const char *order);
/* An apply_request with one buffer of each length; byte i of buffer b is
 * i + b. */
uint64_t controller_work_buffers(int engine, const char *order,
                                 const size_t *len, int n);
/* An apply_request whose content and buffers are in a parcel. */
uint64_t controller_parcel_work(int engine, uint64_t number);
/* An apply_request whose reply goes by a tree; the leg is lent. And one with
 * buffers besides, as above. */
uint64_t controller_gathered_work(int engine,
                                  const struct ipmpi_gather_leg *leg,
                                  const char *order);
uint64_t controller_gathered_buffers(int engine,
                                     const struct ipmpi_gather_leg *leg,
                                     const char *order, const size_t *len,
                                     int n);
/* An apply_request that any engine may run; flags: more, IPMPI_WORK_*. */
uint64_t controller_task(int engine, unsigned flags, const char *order);
/* A request on the control channel; its content orders nothing. */
uint64_t controller_control(int engine, const char *msg_type);

/* Tells an engine to abort these of its requests. */
void controller_abort(int engine, const uint64_t *refs, int n);

/* Writes the beginning of a request's header, which no other has and which
 * every answer repeats in its parent; 64 bytes are enough. */
void request_mark(uint64_t ref, char *out, size_t cap);

#endif
