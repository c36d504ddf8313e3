/* Answering questions from the table; the writer's thread. */
#ifndef IPMPI_HUB_QUESTIONS_H
#define IPMPI_HUB_QUESTIONS_H

#include <stdatomic.h>

#include "bridge/hub/writer.h"

/* Fills in the answer of a question, or its error. Gives up when `stop`
 * becomes true. */
void ipmpi_question_answer(struct ipmpi_op *op, struct ipmpi_table *table,
                           const atomic_bool *stop);

/* Sets the error that a failure of the table is to the client. */
void ipmpi_question_refuse(struct ipmpi_op *op, int err,
                           const struct ipmpi_table *table);

#endif
