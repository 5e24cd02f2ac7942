/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * Bytes as hexadecimal digits, lower case. Bounds are the caller's: `digits` is twice as long as `bytes`.
 */
#ifndef INGOT_HEX_H
#define INGOT_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (c - '0');
	if (c >= 'a' && c <= 'f')
		return (c - 'a' + 10);
	return (-1);
}

/* False when one of the 2 × size characters is no digit; a NUL is none, so shorter text is not read beyond its end. */
static inline bool
hex_decode(const char *digits, uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		int high = hex_digit(digits[2 * i]);
		int low = high < 0 ? -1 : hex_digit(digits[2 * i + 1]);

		if (low < 0)
			return (false);
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	return (true);
}

/* Writes 2 × size digits and a NUL. */
static inline void
hex_encode(const uint8_t *bytes, size_t size, char *digits)
{
	static const char digit[] = "0123456789abcdef";

	for (size_t i = 0; i < size; i++) {
		digits[2 * i] = digit[bytes[i] >> 4];
		digits[2 * i + 1] = digit[bytes[i] & 15];
	}
	digits[2 * size] = '\0';
}

#endif
