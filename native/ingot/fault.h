/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * Failures as values: a stable code, a sentence, lines of detail, and a way out.
 */
#ifndef INGOT_FAULT_H
#define INGOT_FAULT_H

#include <stdbool.h>

struct fault {
	const char *code; /* NULL as long as nothing failed */
	char message[512];
	char details[8192]; /* lines, each with its LF; what does not fit is left out */
	char hint[256];
};

/* Fills in the fault and returns false, so that a function can return fail(…). The hint may be NULL. */
bool fail(struct fault *fault, const char *code, const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* As fail, for a system call that has just failed: E_INGOT_SPACE when the pool is full, else E_INGOT_SYSTEM. */
bool fail_errno(struct fault *fault, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds text to the details: one line or several. */
void fault_detail(struct fault *fault, const char *text);

/* Makes text harmless to a terminal and to a protocol of lines: control characters but LF become '?'. */
void make_printable(char *text);

#endif
