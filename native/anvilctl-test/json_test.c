/* SPDX-License-Identifier: Apache-2.0 */
#include "../anvilctl/json.h"

#include <string.h>

#include "tests.h"

static bool
parses(const char *text, size_t length)
{
	char *copy = fenced(text, length);
	struct json_value value;
	bool well = json_parse(copy, length, &value);

	CHECK(!well || (value.start >= copy && value.start + value.length <= copy + length));
	fenced_free(copy, length);
	return (well);
}

#define PARSES(text) parses(text, sizeof(text) - 1)

static void
takes_what_the_grammar_has(void)
{
	CHECK(PARSES("{}") && PARSES(" [ ] ") && PARSES("\"\"") && PARSES("null") && PARSES("true") &&
	    PARSES("\tfalse\r\n"));
	CHECK(PARSES("0") && PARSES("-0") && PARSES("10") && PARSES("1.50") && PARSES("-1e-7") && PARSES("1E+9"));
	CHECK(PARSES("{\"a\":[1,{\"b\":null}],\"\\u00e4\\n\":\"\\ud83d\\ude00 \xf0\x9f\x98\x80 \xc3\xa4\"}"));
	CHECK(PARSES("[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]"));
}

static void
refuses_what_it_has_not(void)
{
	CHECK(!PARSES("") && !PARSES(" ") && !PARSES("{") && !PARSES("}") && !PARSES("[1,]") && !PARSES("{\"a\":1,}"));
	CHECK(!PARSES("{a:1}") && !PARSES("{\"a\" 1}") && !PARSES("{\"a\":}") && !PARSES("{1:2}") && !PARSES("[1 2]"));
	CHECK(!PARSES("01") && !PARSES("-") && !PARSES("1.") && !PARSES(".5") && !PARSES("1e") && !PARSES("+1") &&
	    !PARSES("0x1"));
	CHECK(!PARSES("nul") && !PARSES("True") && !PARSES("NaN") && !PARSES("1 2") && !PARSES("{}x") &&
	    !PARSES("\xef\xbb\xbf{}"));
	CHECK(!PARSES("\"") && !PARSES("\"\\") && !PARSES("\"\\x\"") && !PARSES("\"\\u12\"") && !PARSES("\"\\u12g4\""));
	CHECK(!PARSES("\"\\ud83d\"") && !PARSES("\"\\ude00\"") && !PARSES("\"\\ud83d\\u0041\"") && !PARSES("\"a\nb\""));
	/* UTF-8: alone, too long a form, a surrogate, beyond the last, cut off */
	CHECK(!PARSES("\"\x80\"") && !PARSES("\"\xc0\xaf\"") && !PARSES("\"\xe0\x80\xaf\"") &&
	    !PARSES("\"\xed\xa0\x80\""));
	CHECK(!PARSES("\"\xf4\x90\x80\x80\"") && !PARSES("\"\xe2\x82\"") && !PARSES("\"\xe2\x82"));
	CHECK(!PARSES("{}\0") && !PARSES("\"a\0b\""));
	CHECK(!PARSES("[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]"));
}

static void
finds_members(void)
{
	static const char text[] =
	    "{\"a\":1,\"ab\":[10,\"x\\ny\",{\"c\":true}],\"a\":2,\"\\u0061b\":3,\"s\":\"a\\u0000b\"}";
	struct json_value whole, value, element;
	char string[16];

	CHECK(json_parse(text, sizeof(text) - 1, &whole));
	CHECK(json_member(whole, "a", 1, &value) && value.length == 1 && *value.start == '1');
	CHECK(json_member(whole, "ab", 2, &value) && *value.start == '[');
	CHECK(json_element(value, 0, &element) && element.length == 2);
	CHECK(json_element(value, 1, &element) && json_string(element, string, sizeof(string)) &&
	    strcmp(string, "x\ny") == 0);
	CHECK(
	    !json_string(element, string, 5) && !json_element(value, 3, &element) && !json_element(whole, 0, &element));
	CHECK(!json_member(whole, "b", 1, &element) && !json_member(value, "a", 1, &element));
	CHECK(json_member(whole, "s", 1, &value) && !json_string(value, string, sizeof(string)));
	CHECK(json_parse("\"\\u00e4\\u20ac\\ud83d\\ude00\"", 26, &whole) && json_string(whole, string, sizeof(string)));
	CHECK(strcmp(string, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80") == 0);
}

/* What is written is read back, whatever it was. */
static void
writes_what_is_read(void)
{
	char text[4096], value[64], back[256];
	struct json_writer writer;
	struct json_value whole, member;

	json_begin(&writer, text, sizeof(text));
	json_put_string(&writer, "path", "/a \"b\"\\c\n\xc3\xa4");
	json_put_number(&writer, "n", 4294967295u);
	json_put_bool(&writer, "yes", true);
	json_end(&writer);
	CHECK(!writer.full &&
	    strcmp(text, "{\"path\":\"/a \\u0022b\\u0022\\u005cc\\u000a\xc3\xa4\",\"n\":4294967295,\"yes\":true}") ==
		0);
	for (int i = 0; i < 20000; i++) {
		size_t length = random_number(sizeof(value));

		for (size_t j = 0; j < length; j++)
			value[j] = (char)(1 + random_number(255));
		value[length] = '\0';
		json_begin(&writer, text, sizeof(text));
		json_put_string(&writer, "v", value);
		json_end(&writer);
		CHECK(!writer.full && json_parse(text, writer.length, &whole) && json_member(whole, "v", 1, &member));
		CHECK(json_string(member, back, sizeof(back)) &&
		    (strstr(back, "\xef\xbf\xbd") != NULL || strcmp(back, value) == 0));
	}
	json_begin(&writer, text, 8);
	json_put_string(&writer, "name", "value");
	json_end(&writer);
	CHECK(writer.full && writer.length < 8);
}

void
test_json(void)
{
	takes_what_the_grammar_has();
	refuses_what_it_has_not();
	finds_members();
	writes_what_is_read();
}
