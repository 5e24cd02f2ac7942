/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * JSON (RFC 8259) in place: a strict reader without memory of its own, and a writer into a buffer. Nothing is read beyond
 * the given length; there need not be a NUL.
 */
#ifndef ANVILCTL_JSON_H
#define ANVILCTL_JSON_H

#include <stdbool.h>
#include <stddef.h>

/* Objects and arrays in one another; one more is refused. */
#define JSON_DEPTH 16

struct json_value {
	const char *start; /* its first character: one of { [ " t f n - 0…9 */
	size_t length; /* up to its last character */
};

/*
 * The text is one value with white space around it. Refused are control characters and bytes that are no UTF-8 in
 * strings, lone surrogates, numbers with leading zeros, trailing commas, more than JSON_DEPTH levels.
 */
bool json_parse(const char *text, size_t length, struct json_value *value);

/* The first member of that name, of an object that json_parse has accepted. A name that is written with \ is passed over. */
bool json_member(struct json_value object, const char *name, size_t name_length, struct json_value *member);

/* The element with that number, from 0 on, of an array. */
bool json_element(struct json_value array, size_t number, struct json_value *element);

/* The characters of a string as UTF-8 with a NUL. False for what is no string, does not fit or holds a NUL. */
bool json_string(struct json_value value, char *text, size_t size);

/* Writes into a buffer; `full` says that it did not fit, and then nothing of it is of use. */
struct json_writer {
	char *text; /* always ended by a NUL */
	size_t size;
	size_t length;
	bool full;
	bool follows; /* a comma comes before the next member */
};

void json_begin(struct json_writer *writer, char *text, size_t size);
void json_end(struct json_writer *writer);
/* Text that is no UTF-8 is written with U+FFFD in place of each byte that is none. */
void json_put_string(struct json_writer *writer, const char *name, const char *value);
void json_put_number(struct json_writer *writer, const char *name, unsigned long value);
void json_put_bool(struct json_writer *writer, const char *name, bool value);

#endif
