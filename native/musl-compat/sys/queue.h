/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * Doubly linked tail queues, the part of the BSD <sys/queue.h> that libtirpc uses. musl has no such header. The names
 * and their meaning are those of queue(3).
 *
 * The head points to the first element and to the last element's `next`; an element points to the next one and to
 * whatever points to it. So both ends and any element are reached without a walk.
 */
#ifndef ANVIL_SYS_QUEUE_H
#define ANVIL_SYS_QUEUE_H

#define TAILQ_HEAD(name, type) \
	struct name { \
		struct type *tqh_first; \
		struct type **tqh_last; \
	}

#define TAILQ_ENTRY(type) \
	struct { \
		struct type *tqe_next; \
		struct type **tqe_prev; \
	}

#define TAILQ_FIRST(head)          ((head)->tqh_first)
#define TAILQ_NEXT(element, field) ((element)->field.tqe_next)

#define TAILQ_FOREACH(variable, head, field) \
	for ((variable) = TAILQ_FIRST(head); (variable); (variable) = TAILQ_NEXT(variable, field))

#define TAILQ_INIT(head) \
	do { \
		(head)->tqh_first = 0; \
		(head)->tqh_last = &(head)->tqh_first; \
	} while (0)

#define TAILQ_INSERT_HEAD(head, element, field) \
	do { \
		(element)->field.tqe_next = (head)->tqh_first; \
		(element)->field.tqe_prev = &(head)->tqh_first; \
		if ((head)->tqh_first) \
			(head)->tqh_first->field.tqe_prev = &(element)->field.tqe_next; \
		else \
			(head)->tqh_last = &(element)->field.tqe_next; \
		(head)->tqh_first = (element); \
	} while (0)

#define TAILQ_INSERT_TAIL(head, element, field) \
	do { \
		(element)->field.tqe_next = 0; \
		(element)->field.tqe_prev = (head)->tqh_last; \
		*(head)->tqh_last = (element); \
		(head)->tqh_last = &(element)->field.tqe_next; \
	} while (0)

#define TAILQ_REMOVE(head, element, field) \
	do { \
		if ((element)->field.tqe_next) \
			(element)->field.tqe_next->field.tqe_prev = (element)->field.tqe_prev; \
		else \
			(head)->tqh_last = (element)->field.tqe_prev; \
		*(element)->field.tqe_prev = (element)->field.tqe_next; \
	} while (0)

#endif
