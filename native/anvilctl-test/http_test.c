/* SPDX-License-Identifier: Apache-2.0 */
#include "../anvilctl/http.h"

#include <string.h>

#include "../anvilctl/json.h"
#include "tests.h"

#define LIMIT 20000

static enum http_progress
look(const char *text, size_t length, struct http_response *response)
{
	char *copy = fenced(text, length);
	enum http_progress progress = http_response(copy, length, LIMIT, response);

	fenced_free(copy, length);
	return (progress);
}

static enum http_progress
of(const char *text)
{
	struct http_response response;

	return (look(text, strlen(text), &response));
}

static const char answer[] =
    "HTTP/1.1 400 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\nContent-Type: application/json\r\n"
    "Content-Length: 27\r\n\r\n{\"fault_message\":\"a \\\"b\\\"\"}";
#define BODY 27

/* A response may come in any pieces: each beginning of it is one that may become more. */
static void
reads_in_pieces(void)
{
	struct http_response response;
	size_t length = sizeof(answer) - 1;

	for (size_t part = 0; part < length; part++)
		CHECK(look(answer, part, &response) == HTTP_MORE);
	CHECK(look(answer, length, &response) == HTTP_WHOLE);
	CHECK(response.status == 400 && response.length == BODY && response.body == length - BODY);
}

static void
takes_the_forms_of_monitors(void)
{
	struct http_response response;
	static const char none[] = "HTTP/1.1 204 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n\r\n";

	CHECK(look(none, sizeof(none) - 1, &response) == HTTP_WHOLE && response.status == 204 && response.length == 0);
	CHECK(of("HTTP/1.1 204\r\n\r\n") == HTTP_WHOLE &&
	    of("HTTP/1.0 200 OK\r\ncontent-length:\t0 \r\n\r\n") == HTTP_WHOLE);
	CHECK(of("HTTP/1.1 200 OK\r\nX: \xc3\xa4\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}") == HTTP_WHOLE);
}

static void
refuses_the_rest(void)
{
	static char large[LIMIT] = "HTTP/1.1 200 OK\r\nX: ";
	struct http_response response;

	CHECK(of("SSH-2.0-x\r\n") == HTTP_BAD && of("X") == HTTP_BAD && of("HTTP/2 200\r\n\r\n") == HTTP_BAD);
	CHECK(of("HTTP/1.1 20 OK\r\n\r\n") == HTTP_BAD && of("HTTP/1.1 2000 OK\r\n\r\n") == HTTP_BAD &&
	    of("HTTP/1.1 900 \r\n\r\n") == HTTP_BAD);
	CHECK(of("HTTP/1.1 200 OK\n\n") == HTTP_BAD && of("HTTP/1.1 200 OK\r\nno field\r\n\r\n") == HTTP_BAD);
	CHECK(of("HTTP/1.1 200 OK\r\n folded: 1\r\n\r\n") == HTTP_BAD &&
	    of("HTTP/1.1 200 OK\r\nA : 1\r\n\r\n") == HTTP_BAD);
	CHECK(of("HTTP/1.1 200 O\1K\r\n\r\n") == HTTP_BAD && of("HTTP/1.1 200 OK\r\nA: \x7f\r\n\r\n") == HTTP_BAD);
	CHECK(of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n") == HTTP_BAD);
	CHECK(of("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n") == HTTP_BAD &&
	    of("HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n") == HTTP_BAD);
	CHECK(of("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n") == HTTP_BAD);
	CHECK(of("HTTP/1.1 200 OK\r\nContent-Length: 19999\r\n\r\n") == HTTP_BAD &&
	    of("HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n") == HTTP_BAD);
	CHECK(of("HTTP/1.1 204 \r\nContent-Length: 2\r\n\r\n{}") == HTTP_BAD &&
	    of("HTTP/1.1 200 OK\r\n\r\n{}") == HTTP_BAD);
	memset(large + strlen(large), 'a', sizeof(large) - strlen(large));
	CHECK(look(large, HTTP_HEAD_MAX - 1, &response) == HTTP_MORE &&
	    look(large, HTTP_HEAD_MAX, &response) == HTTP_BAD);
}

/* Headers and bodies that were changed: what is whole lies within the bytes, and no byte beyond them is read. */
static void
survives_mutations(void)
{
	char text[1024];
	unsigned whole = 0, bad = 0, json = 0;

	for (int i = 0; i < 100000; i++) {
		struct http_response response;
		struct json_value value, member;
		char string[64];
		size_t length;
		char *copy;

		memcpy(text, answer, sizeof(answer) - 1);
		length = mutate(text, sizeof(answer) - 1, sizeof(text));
		copy = fenced(text, length);
		switch (http_response(copy, length, LIMIT, &response)) {
		case HTTP_WHOLE:
			CHECK(response.body + response.length == length && response.status >= 100 &&
			    response.status < 600);
			whole++;
			break;
		case HTTP_BAD:
			CHECK(response.why != NULL);
			bad++;
			break;
		default:
			break;
		}
		fenced_free(copy, length);

		/* the body alone, so that its reader sees more than what still has the right length */
		length = BODY;
		memcpy(text, answer + sizeof(answer) - 1 - length, length);
		length = mutate(text, length, sizeof(text));
		copy = fenced(text, length);
		if (json_parse(copy, length, &value)) {
			json++;
			if (json_member(value, "fault_message", 13, &member))
				(void)json_string(member, string, 1 + random_number(sizeof(string)));
			(void)json_element(value, random_number(4), &member);
		}
		fenced_free(copy, length);
	}
	CHECK(whole > 1000 && bad > 10000 && json > 1000);
	printf("100000 mutated responses: %u whole, %u refused; 100000 bodies: %u taken\n", whole, bad, json);
}

void
test_http(void)
{
	reads_in_pieces();
	takes_the_forms_of_monitors();
	refuses_the_rest();
	survives_mutations();
}
