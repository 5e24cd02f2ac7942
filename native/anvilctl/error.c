/* SPDX-License-Identifier: Apache-2.0 */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>

/* Bytes of the character of UTF-8 (RFC 3629) that begins here; 0 when none does, and for control characters, C1 among them. */
static size_t
printable(const unsigned char *text)
{
	size_t length = text[0] < 0x80 ? 1 : text[0] >= 0xc2 && text[0] < 0xe0 ? 2 : (text[0] & 0xf0) == 0xe0 ? 3 : 4;

	if (text[0] < 0x20 || text[0] == 0x7f || (text[0] >= 0x80 && text[0] < 0xc2) || text[0] > 0xf4)
		return (0);
	for (size_t i = 1; i < length; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return (0);
	}
	if ((text[0] == 0xc2 && text[1] < 0xa0) || (text[0] == 0xe0 && text[1] < 0xa0) ||
	    (text[0] == 0xed && text[1] >= 0xa0) || (text[0] == 0xf0 && text[1] < 0x90) ||
	    (text[0] == 0xf4 && text[1] >= 0x90))
		return (0);
	return (length);
}

void
make_printable(char *text)
{
	while (*text != '\0') {
		size_t length = printable((const unsigned char *)text);

		if (length == 0) {
			*text = *text == '\n' ? ' ' : '?';
			length = 1;
		}
		text += length;
	}
}

bool
fail(struct anvil_vmm_error *error, const char *code, const char *hint, const char *format, ...)
{
	va_list args;

	error->code = code;
	error->status = 0;
	snprintf(error->hint, sizeof(error->hint), "%s", hint != NULL ? hint : "");
	va_start(args, format);
	vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
	make_printable(error->message);
	return (false);
}
