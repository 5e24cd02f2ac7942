/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * What tests in C share. Each of them is a function; the first check that does not hold ends the program.
 */
#ifndef CHECK_H
#define CHECK_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

/* A copy of the bytes that ends where a page ends that cannot be read: reading beyond it is a crash. */
char *fenced(const void *bytes, size_t length);
void fenced_free(char *copy, size_t length);

/* The same numbers in every run. */
uint32_t random_number(uint32_t limit);

/* Texts that mean something to the parsers, so that more than the first check is reached; then NULL. Each program has its own. */
extern const char *const pieces[];

/* Changes a few bytes or pieces of the text; the new length, at most `limit`. */
size_t mutate(char *text, size_t length, size_t limit);

#endif
