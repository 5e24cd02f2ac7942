/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct reader {
	const char *at;
	const char *end;
};

static bool
here(const struct reader *reader, char c)
{
	return (reader->at < reader->end && *reader->at == c);
}

static bool
take(struct reader *reader, char c)
{
	bool is = here(reader, c);

	reader->at += is;
	return (is);
}

static bool
take_word(struct reader *reader, const char *word)
{
	size_t length = strlen(word);

	if ((size_t)(reader->end - reader->at) < length || memcmp(reader->at, word, length) != 0)
		return (false);
	reader->at += length;
	return (true);
}

static void
skip_space(struct reader *reader)
{
	while (reader->at < reader->end && memchr(" \t\r\n", *reader->at, 4) != NULL)
		reader->at++;
}

static bool
is_digit(char c)
{
	return (c >= '0' && c <= '9');
}

static bool
take_digits(struct reader *reader)
{
	const char *first = reader->at;

	while (reader->at < reader->end && is_digit(*reader->at))
		reader->at++;
	return (reader->at > first);
}

static bool
take_number(struct reader *reader)
{
	take(reader, '-');
	if (!take(reader, '0') && !take_digits(reader))
		return (false);
	if (take(reader, '.') && !take_digits(reader))
		return (false);
	if (take(reader, 'e') || take(reader, 'E')) {
		if (!take(reader, '+'))
			take(reader, '-');
		return (take_digits(reader));
	}
	return (true);
}

/* Four hexadecimal digits, or -1. */
static int32_t
take_unit(struct reader *reader)
{
	int32_t unit = 0;

	if (reader->end - reader->at < 4)
		return (-1);
	for (int i = 0; i < 4; i++) {
		char c = *reader->at++;
		int digit = is_digit(c)    ? c - '0'
		    : c >= 'a' && c <= 'f' ? c - 'a' + 10
		    : c >= 'A' && c <= 'F' ? c - 'A' + 10
					   : -1;

		if (digit < 0)
			return (-1);
		unit = unit << 4 | digit;
	}
	return (unit);
}

/* What stands after a backslash; a code point, or -1. */
static int32_t
take_escape(struct reader *reader)
{
	static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
	const char *letter;
	int32_t high, low;

	if (reader->at == reader->end)
		return (-1);
	letter = memchr(letters, *reader->at, sizeof(letters) - 1);
	if (letter != NULL) {
		reader->at++;
		return (meant[letter - letters]);
	}
	if (!take(reader, 'u'))
		return (-1);
	high = take_unit(reader);
	if (high < 0xd800 || high > 0xdfff)
		return (high);
	if (high > 0xdbff || !take_word(reader, "\\u"))
		return (-1);
	low = take_unit(reader);
	if (low < 0xdc00 || low > 0xdfff)
		return (-1);
	return (0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
}

/* RFC 3629: the shortest form, no surrogates, at most U+10FFFF. A code point, or -1; then nothing is taken. */
static int32_t
take_utf8(struct reader *reader)
{
	static const int32_t least[] = {0, 0x80, 0x800, 0x10000};
	const unsigned char *bytes = (const unsigned char *)reader->at;
	int more = bytes[0] < 0x80 ? 0
	    : bytes[0] < 0xc2      ? -1
	    : bytes[0] < 0xe0      ? 1
	    : bytes[0] < 0xf0      ? 2
	    : bytes[0] < 0xf5      ? 3
				   : -1;
	int32_t point;

	if (more < 0 || reader->end - reader->at <= more)
		return (-1);
	point = more == 0 ? bytes[0] : bytes[0] & (0x3f >> more);
	for (int i = 1; i <= more; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return (-1);
		point = point << 6 | (bytes[i] & 0x3f);
	}
	if (point < least[more] || (point >= 0xd800 && point <= 0xdfff) || point > 0x10ffff)
		return (-1);
	reader->at += more + 1;
	return (point);
}

/* The next character of a string, or -1 for one that may not be there. */
static int32_t
take_character(struct reader *reader)
{
	if (reader->at == reader->end || (unsigned char)*reader->at < 0x20)
		return (-1);
	if (take(reader, '\\'))
		return (take_escape(reader));
	return (take_utf8(reader));
}

static bool
take_string(struct reader *reader)
{
	if (!take(reader, '"'))
		return (false);
	while (!take(reader, '"')) {
		if (take_character(reader) < 0)
			return (false);
	}
	return (true);
}

static bool take_value(struct reader *reader, int depth);

static bool
take_members(struct reader *reader, int depth, bool named, char close)
{
	skip_space(reader);
	if (take(reader, close))
		return (true);
	do {
		skip_space(reader);
		if (named) {
			if (!take_string(reader))
				return (false);
			skip_space(reader);
			if (!take(reader, ':'))
				return (false);
			skip_space(reader);
		}
		if (!take_value(reader, depth))
			return (false);
		skip_space(reader);
	} while (take(reader, ','));
	return (take(reader, close));
}

static bool
take_value(struct reader *reader, int depth)
{
	if (here(reader, '"'))
		return (take_string(reader));
	if (here(reader, '{') || here(reader, '[')) {
		bool named = *reader->at++ == '{';

		return (depth > 0 && take_members(reader, depth - 1, named, named ? '}' : ']'));
	}
	if (reader->at < reader->end && (is_digit(*reader->at) || *reader->at == '-'))
		return (take_number(reader));
	return (take_word(reader, "true") || take_word(reader, "false") || take_word(reader, "null"));
}

bool
json_parse(const char *text, size_t length, struct json_value *value)
{
	struct reader reader = {text, text + length};

	skip_space(&reader);
	value->start = reader.at;
	if (!take_value(&reader, JSON_DEPTH))
		return (false);
	value->length = (size_t)(reader.at - value->start);
	skip_space(&reader);
	return (reader.at == reader.end);
}

/* The next value of what lies within a pair of brackets; false at their end. */
static bool
next_value(struct reader *reader, bool named, struct json_value *name, struct json_value *value)
{
	skip_space(reader);
	take(reader, ',');
	skip_space(reader);
	if (named) {
		name->start = reader->at;
		if (!take_string(reader))
			return (false);
		name->length = (size_t)(reader->at - name->start);
		skip_space(reader);
		take(reader, ':');
		skip_space(reader);
	}
	value->start = reader->at;
	if (!take_value(reader, JSON_DEPTH))
		return (false);
	value->length = (size_t)(reader->at - value->start);
	return (true);
}

static bool
enter(struct json_value value, char open, struct reader *reader)
{
	reader->at = value.start + 1;
	reader->end = value.start + value.length;
	return (value.length >= 2 && *value.start == open);
}

bool
json_member(struct json_value object, const char *name, size_t name_length, struct json_value *member)
{
	struct json_value found, each;
	struct reader reader;

	if (!enter(object, '{', &reader))
		return (false);
	while (next_value(&reader, true, &found, &each)) {
		if (found.length == name_length + 2 && memcmp(found.start + 1, name, name_length) == 0) {
			*member = each;
			return (true);
		}
	}
	return (false);
}

bool
json_element(struct json_value array, size_t number, struct json_value *element)
{
	struct json_value each;
	struct reader reader;

	if (!enter(array, '[', &reader))
		return (false);
	for (size_t i = 0; next_value(&reader, false, NULL, &each); i++) {
		if (i == number) {
			*element = each;
			return (true);
		}
	}
	return (false);
}

static size_t
encode(int32_t point, char *bytes)
{
	static const int32_t lead[] = {0, 0xc0, 0xe0, 0xf0};
	size_t more = point < 0x80 ? 0 : point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;

	for (size_t i = more; i > 0; i--) {
		bytes[i] = (char)(0x80 | (point & 0x3f));
		point >>= 6;
	}
	bytes[0] = (char)(lead[more] | point);
	return (more + 1);
}

bool
json_string(struct json_value value, char *text, size_t size)
{
	struct reader reader;
	size_t length = 0;

	if (!enter(value, '"', &reader))
		return (false);
	while (!take(&reader, '"')) {
		int32_t point = take_character(&reader);

		/* a character has up to 4 bytes, and the NUL comes after */
		if (point <= 0 || length + 5 > size)
			return (false);
		length += encode(point, text + length);
	}
	text[length] = '\0';
	return (true);
}

static void
put(struct json_writer *writer, const char *text, size_t length)
{
	if (writer->full || length >= writer->size - writer->length) {
		writer->full = true;
		return;
	}
	memcpy(writer->text + writer->length, text, length);
	writer->length += length;
	writer->text[writer->length] = '\0';
}

static void
put_quoted(struct json_writer *writer, const char *text)
{
	struct reader reader = {text, text + strlen(text)};
	char escaped[8];

	put(writer, "\"", 1);
	while (reader.at < reader.end) {
		const char *first = reader.at;

		if (*first == '"' || *first == '\\' || (unsigned char)*first < 0x20) {
			snprintf(escaped, sizeof(escaped), "\\u%04x", *first);
			put(writer, escaped, 6);
			reader.at++;
		} else if (take_utf8(&reader) >= 0) {
			put(writer, first, (size_t)(reader.at - first));
		} else {
			put(writer, "\xef\xbf\xbd", 3);
			reader.at++;
		}
	}
	put(writer, "\"", 1);
}

static void
put_name(struct json_writer *writer, const char *name)
{
	if (writer->follows)
		put(writer, ",", 1);
	writer->follows = true;
	put_quoted(writer, name);
	put(writer, ":", 1);
}

void
json_begin(struct json_writer *writer, char *text, size_t size)
{
	*writer = (struct json_writer){.text = text, .size = size};
	text[0] = '\0';
	put(writer, "{", 1);
}

void
json_end(struct json_writer *writer)
{
	put(writer, "}", 1);
}

void
json_put_string(struct json_writer *writer, const char *name, const char *value)
{
	put_name(writer, name);
	put_quoted(writer, value);
}

void
json_put_number(struct json_writer *writer, const char *name, unsigned long value)
{
	char digits[24];

	put_name(writer, name);
	put(writer, digits, (size_t)snprintf(digits, sizeof(digits), "%lu", value));
}

void
json_put_bool(struct json_writer *writer, const char *name, bool value)
{
	put_name(writer, name);
	put(writer, value ? "true" : "false", value ? 4 : 5);
}
