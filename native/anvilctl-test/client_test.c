/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * The client against peers that are no good monitors. A peer is a process of its own, which serves one connection.
 */
#include "../anvilctl/anvil_vmm.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests.h"

static const char path[] = "client.test.sock";
static struct anvil_vmm_response response;
static struct anvil_vmm_error error;

static void
say(int fd, const char *text)
{
	CHECK(send(fd, text, strlen(text), MSG_NOSIGNAL) >= 0);
}

/* Reads until the text ends so; what came. */
static const char *
hear(int fd, const char *end)
{
	static char heard[ANVIL_VMM_BODY_MAX + 4096];
	size_t length = 0;

	while (length < strlen(end) || memcmp(heard + length - strlen(end), end, strlen(end)) != 0) {
		ssize_t got = recv(fd, heard + length, sizeof(heard) - 1 - length, 0);

		CHECK(got > 0);
		length += (size_t)got;
	}
	heard[length] = '\0';
	return (heard);
}

static void
answer(int fd, int status, const char *body)
{
	char text[256];

	snprintf(text, sizeof(text), "HTTP/1.1 %d \r\nContent-Length: %zu\r\n\r\n%s", status, strlen(body), body);
	say(fd, text);
}

typedef void peer(int fd);

static void
well_behaved(int fd)
{
	static const char wanted[] =
	    "PATCH /vm HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n"
	    "Content-Type: application/json\r\nContent-Length: 18\r\n\r\n{\"state\":\"Paused\"}";

	CHECK(strcmp(hear(fd, "Paused\"}"), wanted) == 0);
	say(fd, "HTTP/1.1 204 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n\r\n");
}

static void
refusing(int fd)
{
	hear(fd, "\r\n\r\n");
	answer(fd, 400, "{\"fault_message\":\"no \\u001bsuch\"}");
}

static void
without_reason(int fd)
{
	hear(fd, "\r\n\r\n");
	answer(fd, 500, "[]");
}

/* Answers before the body has come, and closes. */
static void
impatient(int fd)
{
	answer(fd, 400, "{\"fault_message\":\"big\"}");
}

/* A byte at a time. */
static void
slow(int fd)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"id\":\"ab\"}";

	hear(fd, "\r\n\r\n");
	for (const char *c = text; *c != '\0'; c++)
		CHECK(send(fd, c, 1, MSG_NOSIGNAL) == 1);
}

static void
hanging(int fd)
{
	hear(fd, "\r\n\r\n");
	say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"id\"");
	pause();
}

static void
deaf(int fd)
{
	(void)fd;
	pause();
}

static void
dying(int fd)
{
	(void)fd;
}

static void
dying_in_the_middle(int fd)
{
	hear(fd, "\r\n\r\n");
	say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"id\"");
}

static void
talking_garbage(int fd)
{
	hear(fd, "\r\n\r\n");
	say(fd, "220 mail ready\r\n");
}

static void
talking_without_end(int fd)
{
	static char piece[4096];

	say(fd, "HTTP/1.1 200 OK\r\nX: ");
	memset(piece, 'a', sizeof(piece));
	while (send(fd, piece, sizeof(piece), MSG_NOSIGNAL) > 0)
		continue;
}

static void
announcing_too_much(int fd)
{
	hear(fd, "\r\n\r\n");
	say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n");
}

/* The largest that is taken, without a NUL anywhere. */
static void
filling_the_limit(int fd)
{
	static char whole[ANVIL_VMM_RESPONSE_MAX];
	size_t head = (size_t)snprintf(whole, sizeof(whole), "HTTP/1.1 200 OK\r\nContent-Length: %06zu\r\n\r\n",
	    sizeof(whole) - strlen("HTTP/1.1 200 OK\r\nContent-Length: 000000\r\n\r\n"));

	memset(whole + head, 'x', sizeof(whole) - head);
	whole[head] = whole[sizeof(whole) - 1] = '"';
	hear(fd, "\r\n\r\n");
	for (size_t at = 0; at < sizeof(whole);) {
		ssize_t sent = send(fd, whole + at, sizeof(whole) - at, MSG_NOSIGNAL);

		CHECK(sent > 0);
		at += (size_t)sent;
	}
}

static void
not_json(int fd)
{
	hear(fd, "\r\n\r\n");
	answer(fd, 200, "<xml>");
}

static int
listen_here(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path, path, sizeof(path));
	unlink(path);
	CHECK(listening >= 0 && bind(listening, (struct sockaddr *)&address, sizeof(address)) == 0 &&
	    listen(listening, 1) == 0);
	return (listening);
}

static const char *
member(const char *name)
{
	static char value[256];

	return (anvil_vmm_member(&response, name, value, sizeof(value)) ? value : NULL);
}

/* Asks the peer; the code of the failure, or "". */
static const char *
asked(peer *serve, const char *method, const char *resource, const char *body, int timeout_ms)
{
	int listening = listen_here();
	pid_t pid = fork();
	bool well;

	CHECK(pid >= 0);
	if (pid == 0) {
		int fd = accept(listening, NULL, NULL);

		CHECK(fd >= 0);
		serve(fd);
		_exit(0);
	}
	close(listening);
	well = anvil_vmm_request(path, method, resource, body, timeout_ms, &response, &error);
	kill(pid, SIGKILL);
	CHECK(waitpid(pid, NULL, 0) == pid);
	unlink(path);
	return (well ? "" : error.code);
}

static bool
is(const char *code, const char *expected)
{
	return (strcmp(code, expected) == 0);
}

#define PATIENCE 20000

static void
understands_monitors(void)
{
	CHECK(
	    is(asked(well_behaved, "PATCH", "/vm", "{\"state\":\"Paused\"}", PATIENCE), "") && response.status == 204);
	CHECK(response.length == 0 && response.body[0] == '\0' && member("") == NULL);
	CHECK(is(asked(slow, "GET", "/", NULL, PATIENCE), "") && response.status == 200 && is(member("id"), "ab"));
	CHECK(is(asked(filling_the_limit, "GET", "/", NULL, PATIENCE), "") &&
	    response.length > ANVIL_VMM_RESPONSE_MAX - 100);
}

static void
says_what_was_refused(void)
{
	static char body[ANVIL_VMM_BODY_MAX + 2];

	CHECK(is(asked(refusing, "GET", "/x", NULL, PATIENCE), "E_VMM_REFUSED") && error.status == 400);
	CHECK(is(error.message, "GET /x: no ?such"));
	CHECK(is(asked(without_reason, "GET", "/x", NULL, PATIENCE), "E_VMM_REFUSED") && error.status == 500);
	CHECK(is(error.message, "GET /x: it gives no reason"));
	memset(body, ' ', ANVIL_VMM_BODY_MAX);
	CHECK(is(asked(impatient, "PUT", "/x", body, PATIENCE), "E_VMM_REFUSED") && is(error.message, "PUT /x: big"));
}

static void
gives_up_on_bad_peers(void)
{
	static char body[ANVIL_VMM_BODY_MAX + 2];

	CHECK(is(asked(hanging, "GET", "/", NULL, 50), "E_VMM_TIMEOUT") &&
	    is(asked(deaf, "GET", "/", NULL, 50), "E_VMM_TIMEOUT"));
	CHECK(is(asked(dying, "GET", "/", NULL, PATIENCE), "E_VMM_CLOSED"));
	CHECK(is(asked(dying_in_the_middle, "GET", "/", NULL, PATIENCE), "E_VMM_CLOSED"));
	CHECK(is(asked(talking_garbage, "GET", "/", NULL, PATIENCE), "E_VMM_RESPONSE"));
	CHECK(is(asked(talking_without_end, "GET", "/", NULL, PATIENCE), "E_VMM_RESPONSE"));
	CHECK(is(asked(announcing_too_much, "GET", "/", NULL, PATIENCE), "E_VMM_RESPONSE"));
	CHECK(is(asked(not_json, "GET", "/", NULL, PATIENCE), "E_VMM_RESPONSE"));
	/* nothing is sent */
	memset(body, ' ', sizeof(body) - 1);
	CHECK(is(asked(deaf, "PUT", "/x", body, PATIENCE), "E_VMM_BODY"));
	CHECK(is(asked(deaf, "PUT", "/x y", "{}", PATIENCE), "E_VMM_USAGE") &&
	    is(asked(deaf, "GET\r\n", "/", NULL, PATIENCE), "E_VMM_USAGE"));
}

static void
says_why_nobody_answers(void)
{
	char long_path[200];

	CHECK(anvil_vmm_connect("/no/such/socket", 100, &error) < 0 && is(error.code, "E_VMM_CONNECT"));
	CHECK(strstr(error.message, "there is no such socket") != NULL);
	/* left by one that was killed */
	close(listen_here());
	CHECK(anvil_vmm_connect(path, 100, &error) < 0 && is(error.code, "E_VMM_CONNECT") &&
	    strstr(error.hint, "ended") != NULL);
	unlink(path);
	memset(long_path, 'a', sizeof(long_path));
	long_path[sizeof(long_path) - 1] = '\0';
	CHECK(anvil_vmm_connect(long_path, 100, &error) < 0 && is(error.code, "E_VMM_CONNECT"));
	CHECK(anvil_vmm_connect("", 100, &error) < 0 && is(error.code, "E_VMM_CONNECT"));
}

/* One connection that nobody takes from a queue of one: the second one waits, and only so long. */
static void
waits_for_room(void)
{
	int listening = listen_here(), waiting[4], count = 0;

	while (count < 4 && (waiting[count] = anvil_vmm_connect(path, 20, &error)) >= 0)
		count++;
	CHECK(count > 0 && count < 4 && is(error.code, "E_VMM_TIMEOUT"));
	while (count > 0)
		close(waiting[--count]);
	close(listening);
	unlink(path);
}

void
test_client(void)
{
	understands_monitors();
	says_what_was_refused();
	gives_up_on_bad_peers();
	says_why_nobody_answers();
	waits_for_room();
}
