/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <string.h>
#include <strings.h>

/* A line of the head: `length` without CR and LF. */
struct line {
	const char *text;
	size_t length;
};

static bool
is_digit(char c)
{
	return (c >= '0' && c <= '9');
}

static bool
printable(struct line line)
{
	for (size_t i = 0; i < line.length; i++) {
		unsigned char c = (unsigned char)line.text[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return (false);
	}
	return (true);
}

/* "HTTP/1.1 204 No Content"; the reason may be empty, and the space before it left out. */
static bool
read_status(struct line line, int *status)
{
	const char *text = line.text;

	if (line.length < 12 || memcmp(text, "HTTP/1.", 7) != 0 || (text[7] != '0' && text[7] != '1') || text[8] != ' ')
		return (false);
	if (!is_digit(text[9]) || !is_digit(text[10]) || !is_digit(text[11]) || text[9] < '1' || text[9] > '5')
		return (false);
	*status = (text[9] - '0') * 100 + (text[10] - '0') * 10 + (text[11] - '0');
	return (line.length == 12 || text[12] == ' ');
}

static bool
named(struct line line, const char *name, struct line *value)
{
	size_t length = strlen(name);

	if (line.length <= length || strncasecmp(line.text, name, length) != 0 || line.text[length] != ':')
		return (false);
	value->text = line.text + length + 1;
	value->length = line.length - length - 1;
	while (value->length > 0 && (*value->text == ' ' || *value->text == '\t')) {
		value->text++;
		value->length--;
	}
	while (value->length > 0 && memchr(" \t", value->text[value->length - 1], 2) != NULL)
		value->length--;
	return (true);
}

/* Up to eight digits: more than any limit here. */
static bool
read_length(struct line value, size_t *length)
{
	*length = 0;
	if (value.length == 0 || value.length > 8)
		return (false);
	for (size_t i = 0; i < value.length; i++) {
		if (!is_digit(value.text[i]))
			return (false);
		*length = *length * 10 + (size_t)(value.text[i] - '0');
	}
	return (true);
}

/* NULL when the field is well, else what is wrong with it. */
static const char *
read_field(struct line line, bool *has_length, size_t *length)
{
	const char *colon = memchr(line.text, ':', line.length);
	struct line value;
	size_t said;

	if (!printable(line) || colon == NULL || colon == line.text || memchr(" \t", *line.text, 2) != NULL)
		return ("a field of the head is malformed");
	if (colon[-1] == ' ' || colon[-1] == '\t')
		return ("a field of the head is malformed");
	if (named(line, "Transfer-Encoding", &value))
		return ("the body is sent in chunks");
	if (!named(line, "Content-Length", &value))
		return (NULL);
	if (!read_length(value, &said) || (*has_length && said != *length))
		return ("the length of the body is no number, or there are two");
	*has_length = true;
	*length = said;
	return (NULL);
}

static enum http_progress
bad(struct http_response *response, const char *why)
{
	response->why = why;
	return (HTTP_BAD);
}

/* The line that begins there; false when its end has not come. */
static bool
next_line(const char *bytes, size_t length, size_t at, struct line *line)
{
	const char *end = memchr(bytes + at, '\n', length - at);

	line->text = bytes + at;
	line->length = end == NULL ? 0 : (size_t)(end - line->text);
	return (end != NULL);
}

/* A line ends with CR and LF. */
static bool
chop(struct line *line)
{
	if (line->length == 0 || line->text[line->length - 1] != '\r')
		return (false);
	line->length--;
	return (true);
}

enum http_progress
http_response(const char *bytes, size_t length, size_t limit, struct http_response *response)
{
	static const char begin[] = "HTTP/1.";
	size_t head = length < HTTP_HEAD_MAX ? length : HTTP_HEAD_MAX, at = 0;
	bool has_length = false, first = true;
	struct line line;

	*response = (struct http_response){0};
	if (memcmp(bytes, begin, length < 7 ? length : 7) != 0)
		return (bad(response, "it does not begin as HTTP does"));
	for (;; first = false) {
		const char *why = NULL;

		if (!next_line(bytes, head, at, &line))
			return (head == HTTP_HEAD_MAX ? bad(response, "its head is too long") : HTTP_MORE);
		at += line.length + 1;
		if (!chop(&line))
			return (bad(response, "a line of the head does not end with CR and LF"));
		if (first && (!printable(line) || !read_status(line, &response->status)))
			return (bad(response, "the status line is malformed"));
		if (!first && line.length == 0)
			break;
		if (!first)
			why = read_field(line, &has_length, &response->length);
		if (why != NULL)
			return (bad(response, why));
	}
	response->body = at;
	if (response->status == 204 && response->length > 0)
		return (bad(response, "status 204 has no body"));
	if (response->length > limit - at)
		return (bad(response, "it is too large"));
	if (length - at > response->length)
		return (bad(response, "more comes than was announced"));
	return (length - at == response->length ? HTTP_WHOLE : HTTP_MORE);
}
