/* SPDX-License-Identifier: Apache-2.0 */
#include "anvil_vmm.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "error.h"
#include "http.h"
#include "json.h"

static const char busy[] = "a monitor serves one request after the other; is another client in the middle of one?";

static int64_t
milliseconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return ((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

/* Waits for the events. False when the time is over; what is wrong with the socket, the next call says. */
static bool
wait_for(int fd, short events, int64_t deadline)
{
	struct pollfd wanted = {.fd = fd, .events = events};

	for (;;) {
		int64_t left = deadline - milliseconds_now();
		int ready = poll(&wanted, 1, left > 0 ? (int)left : 0);

		if (ready > 0)
			return (true);
		if (ready == 0 || errno != EINTR)
			return (false);
	}
}

static void
connect_failed(const char *socket, struct anvil_vmm_error *error)
{
	switch (errno) {
	case ENOENT:
		fail(error, "E_VMM_CONNECT", "`anvilctl list` shows the machines here; --sock names another socket",
		    "no monitor serves %s: there is no such socket", socket);
		break;
	case ECONNREFUSED:
		fail(error, "E_VMM_CONNECT", "the monitor has ended; a new one takes the place of its socket",
		    "no monitor serves %s", socket);
		break;
	case EACCES:
	case EPERM:
		fail(error, "E_VMM_CONNECT", "the socket is its owner's: become that user, or root",
		    "this user may not connect to %s", socket);
		break;
	default:
		fail(error, "E_VMM_CONNECT", NULL, "cannot connect to %s: %s", socket, strerror(errno));
	}
}

/* Who listens there decides what a kernel or a drive is, and what is answered: root, or whoever asks. */
static bool
peer_is_trusted(int fd, const char *path, struct anvil_vmm_error *error)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
		return (
		    fail(error, "E_VMM_SYSTEM", NULL, "who serves %s is not to be seen: %s", path, strerror(errno)));
	if (peer.uid == 0 || peer.uid == geteuid())
		return (true);
	return (fail(error, "E_VMM_PEER", "remove the socket, or become that user",
	    "%s is served by user %lu, who is neither root nor this user", path, (unsigned long)peer.uid));
}

int
anvil_vmm_connect(const char *path, int timeout_ms, struct anvil_vmm_error *error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int64_t deadline = milliseconds_now() + timeout_ms;
	int fd;

	if (strlen(path) == 0 || strlen(path) >= sizeof(address.sun_path)) {
		fail(error, "E_VMM_CONNECT", NULL, "the path of a socket has 1 to %zu bytes: %s",
		    sizeof(address.sun_path) - 1, path);
		return (-1);
	}
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	while (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		bool wait = fd >= 0 && (errno == EAGAIN || errno == EINTR);

		/* EAGAIN: as many clients wait as the monitor lets wait; nothing tells when there is room */
		if (wait && milliseconds_now() < deadline) {
			poll(NULL, 0, 5);
			continue;
		}
		if (wait)
			fail(error, "E_VMM_TIMEOUT", busy, "%s takes no connection within %d ms", path, timeout_ms);
		else
			connect_failed(path, error);
		if (fd >= 0)
			close(fd);
		return (-1);
	}
	if (!peer_is_trusted(fd, path, error)) {
		close(fd);
		return (-1);
	}
	return (fd);
}

static bool
send_all(int fd, const char *bytes, size_t length, int64_t deadline, struct anvil_vmm_error *error)
{
	while (length > 0) {
		ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);

		if (sent > 0) {
			bytes += sent;
			length -= (size_t)sent;
		} else if (sent < 0 && errno == EAGAIN) {
			if (!wait_for(fd, POLLOUT, deadline))
				return (fail(
				    error, "E_VMM_TIMEOUT", busy, "the monitor does not take the request in time"));
		} else if (sent < 0 && errno != EINTR) {
			return (false);
		}
	}
	return (true);
}

/* The bytes of the response; the NUL of `bytes` is not among them. */
static bool
receive(int fd, struct anvil_vmm_response *response, struct http_response *http, int64_t deadline,
    struct anvil_vmm_error *error)
{
	size_t length = 0;

	for (;;) {
		ssize_t got;
		enum http_progress progress;

		if (!wait_for(fd, POLLIN, deadline))
			return (fail(error, "E_VMM_TIMEOUT", busy,
			    "the monitor has not answered in time; %zu bytes came", length));
		got = recv(fd, response->bytes + length, ANVIL_VMM_RESPONSE_MAX - length, 0);
		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (got <= 0)
			return (fail(error, "E_VMM_CLOSED", "did it end? its output says why",
			    "the monitor closed the connection %s",
			    length == 0 ? "without an answer" : "in the middle of its answer"));
		length += (size_t)got;
		progress = http_response(response->bytes, length, ANVIL_VMM_RESPONSE_MAX, http);
		if (progress == HTTP_WHOLE)
			return (true);
		if (progress == HTTP_BAD)
			return (fail(error, "E_VMM_RESPONSE", "is this the socket of a monitor?",
			    "the answer is not one of a monitor: %s", http->why));
	}
}

/* What would end the request line or begin another one. */
static bool
is_target(const char *text)
{
	for (const char *c = text; *c != '\0'; c++) {
		if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f)
			return (false);
	}
	return (*text != '\0' && strlen(text) < 1024);
}

bool
anvil_vmm_send(int connection, const char *method, const char *path, const char *body, int timeout_ms,
    struct anvil_vmm_response *response, struct anvil_vmm_error *error)
{
	int64_t deadline = milliseconds_now() + timeout_ms;
	size_t length = body == NULL ? 0 : strlen(body);
	struct http_response http = {0};
	struct json_value value;
	char head[2560];
	int size;

	if (!is_target(method) || !is_target(path) || path[0] != '/')
		return (fail(error, "E_VMM_USAGE", NULL, "a request is a method and a path: PUT /machine-config"));
	if (length > ANVIL_VMM_BODY_MAX)
		return (fail(error, "E_VMM_BODY", NULL, "the body has %zu bytes, a monitor takes %d", length,
		    ANVIL_VMM_BODY_MAX));
	size = snprintf(
	    head, sizeof(head), "%s %s HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n", method, path);
	if (body != NULL)
		size += snprintf(head + size, sizeof(head) - (size_t)size,
		    "Content-Type: application/json\r\nContent-Length: %zu\r\n", length);
	size += snprintf(head + size, sizeof(head) - (size_t)size, "\r\n");
	error->code = NULL;
	/* a monitor that refuses may answer and close before it has read all: what it said is still to be read */
	if (send_all(connection, head, (size_t)size, deadline, error))
		(void)send_all(connection, body == NULL ? "" : body, length, deadline, error);
	if (error->code != NULL || !receive(connection, response, &http, deadline, error))
		return (false);
	response->status = http.status;
	response->body = response->bytes + http.body;
	response->length = http.length;
	response->bytes[http.body + http.length] = '\0';
	if (http.length > 0 && !json_parse(response->body, http.length, &value))
		return (
		    fail(error, "E_VMM_RESPONSE", NULL, "the body of the answer is not JSON (status %d)", http.status));
	return (true);
}

bool
anvil_vmm_request(const char *socket, const char *method, const char *path, const char *body, int timeout_ms,
    struct anvil_vmm_response *response, struct anvil_vmm_error *error)
{
	int64_t deadline = milliseconds_now() + timeout_ms;
	int fd = anvil_vmm_connect(socket, timeout_ms, error);
	char said[600];
	bool well;

	if (fd < 0)
		return (false);
	well = anvil_vmm_send(fd, method, path, body, (int)(deadline - milliseconds_now()), response, error);
	close(fd);
	if (!well || response->status / 100 == 2)
		return (well);
	if (!anvil_vmm_member(response, "fault_message", said, sizeof(said)))
		snprintf(said, sizeof(said), "it gives no reason");
	fail(error, "E_VMM_REFUSED", NULL, "%s %s: %s", method, path, said);
	error->status = response->status;
	return (false);
}

bool
anvil_vmm_member(const struct anvil_vmm_response *response, const char *path, char *value, size_t size)
{
	struct json_value at;

	if (response->length == 0 || !json_parse(response->body, response->length, &at))
		return (false);
	while (*path != '\0') {
		size_t length = strcspn(path, "/");
		bool found = *at.start == '[' ? json_element(at, strtoul(path, NULL, 10), &at)
					      : json_member(at, path, length, &at);

		if (!found)
			return (false);
		path += length + (path[length] == '/');
	}
	if (*at.start == '"')
		return (json_string(at, value, size));
	if (at.length >= size)
		return (false);
	memcpy(value, at.start, at.length);
	value[at.length] = '\0';
	return (true);
}
