/* SPDX-License-Identifier: Apache-2.0 */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>

void
make_printable(char *text)
{
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < 0x20 || c == 0x7f)
			*text = c == '\n' ? ' ' : '?';
	}
}

bool
fail(struct anvil_vmm_error *error, const char *code, const char *hint, const char *format, ...)
{
	va_list args;

	error->code = code;
	error->status = 0;
	snprintf(error->hint, sizeof (error->hint), "%s", hint != NULL ? hint : "");
	va_start(args, format);
	vsnprintf(error->message, sizeof (error->message), format, args);
	va_end(args);
	make_printable(error->message);
	return (false);
}
