/* SPDX-License-Identifier: Apache-2.0 */
#include "fault.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void
make_printable(char *text)
{
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if ((c < 0x20 && c != '\n') || c == 0x7f)
			*text = '?';
	}
}

/* One line, whatever was put into it. */
static void
make_line(char *text)
{
	make_printable(text);
	for (; *text != '\0'; text++) {
		if (*text == '\n')
			*text = ' ';
	}
}

bool
fail(struct fault *fault, const char *code, const char *hint, const char *format, ...)
{
	va_list args;

	fault->code = code;
	fault->details[0] = '\0';
	snprintf(fault->hint, sizeof(fault->hint), "%s", hint != NULL ? hint : "");
	va_start(args, format);
	vsnprintf(fault->message, sizeof(fault->message), format, args);
	va_end(args);
	make_line(fault->message);
	return (false);
}

bool
fail_errno(struct fault *fault, const char *format, ...)
{
	int error = errno;
	bool full = error == ENOSPC || error == EDQUOT;
	char what[400];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	return (fail(fault, full ? "E_INGOT_SPACE" : "E_INGOT_SYSTEM",
	    full ? "make room: `anvil-ingot list` shows what the ingots take, `anvil-ingot remove` gives it back"
		 : NULL,
	    "%s: %s", what, strerror(error)));
}

void
fault_detail(struct fault *fault, const char *text)
{
	size_t used = strlen(fault->details);
	size_t length = strlen(text);

	while (length > 0 && text[length - 1] == '\n')
		length--;
	if (length == 0 || used + length + 2 > sizeof(fault->details))
		return;
	memcpy(fault->details + used, text, length);
	memcpy(fault->details + used + length, "\n", 2);
	make_printable(fault->details + used);
}
