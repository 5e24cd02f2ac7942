/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "error.h"

#define PIECE     4096
#define UNTIL_MAX 256

static int64_t
milliseconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return ((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

static int
time_left(int64_t deadline)
{
	int64_t left = deadline - milliseconds_now();

	return (deadline < 0 ? -1 : left > 0 ? (int)left : 0);
}

/* Everything, also into a socket that is not blocking. */
static bool
put_all(int fd, const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t put = write(fd, bytes, length);

		if (put > 0) {
			bytes += put;
			length -= (size_t)put;
		} else if (put < 0 && errno == EAGAIN) {
			struct pollfd wanted = {.fd = fd, .events = POLLOUT};

			poll(&wanted, 1, -1);
		} else if (put < 0 && errno != EINTR) {
			return (false);
		}
	}
	return (true);
}

/* Whether the text came, also in pieces: `kept` holds the end of what was before, NUL or no NUL. */
static bool
has_come(const char *until, const char *bytes, size_t length, char *kept, size_t *kept_length)
{
	char joined[UNTIL_MAX + PIECE];
	size_t wanted = strlen(until), total = *kept_length + length;

	memcpy(joined, kept, *kept_length);
	memcpy(joined + *kept_length, bytes, length);
	if (memmem(joined, total, until, wanted) != NULL)
		return (true);
	*kept_length = total < wanted - 1 ? total : wanted - 1;
	memcpy(kept, joined + total - *kept_length, *kept_length);
	return (false);
}

/* From standard input. False when the escape key was pressed; what was typed before it still goes. */
static bool
take_input(const struct relay *relay, struct pollfd *input)
{
	char bytes[PIECE];
	ssize_t got = read(0, bytes, sizeof(bytes));
	const char *escape = relay->terminal && got > 0 ? memchr(bytes, ESCAPE_KEY, (size_t)got) : NULL;

	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return (true);
	if (got <= 0) {
		input->fd = -1;
		if (!relay->terminal && relay->until == NULL)
			shutdown(relay->socket, SHUT_WR);
		return (!relay->terminal);
	}
	(void)put_all(relay->socket, bytes, escape == NULL ? (size_t)got : (size_t)(escape - bytes));
	return (escape == NULL);
}

static bool
copy(const struct relay *relay, struct anvil_vmm_error *error)
{
	struct pollfd wanted[2] = {{.fd = 0, .events = POLLIN}, {.fd = relay->socket, .events = POLLIN}};
	int64_t deadline = relay->timeout_ms < 0 ? -1 : milliseconds_now() + relay->timeout_ms;
	char bytes[PIECE], kept[UNTIL_MAX];
	size_t kept_length = 0;

	for (;;) {
		int ready = poll(wanted, 2, time_left(deadline));

		if (ready == 0)
			return (fail(error, "E_VMM_TIMEOUT", NULL,
			    relay->until == NULL ? "the time is over" : "\"%s\" did not come in time", relay->until));
		if (ready > 0 && wanted[1].revents != 0) {
			ssize_t got = read(relay->socket, bytes, sizeof(bytes));

			if (got > 0 && !put_all(1, bytes, (size_t)got))
				return (fail(error, "E_VMM_SYSTEM", NULL, "standard output: %s", strerror(errno)));
			if (got > 0 && relay->until != NULL &&
			    has_come(relay->until, bytes, (size_t)got, kept, &kept_length))
				return (true);
			if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN))
				return (relay->until == NULL ||
				    fail(error, "E_VMM_CLOSED", NULL, "the end came before \"%s\"", relay->until));
		}
		if (ready > 0 && wanted[0].revents != 0 && !take_input(relay, &wanted[0]))
			return (true);
	}
}

bool
relay(const struct relay *relay, struct anvil_vmm_error *error)
{
	struct termios before, raw;
	bool well;

	if (relay->until != NULL && (relay->until[0] == '\0' || strlen(relay->until) > UNTIL_MAX))
		return (fail(error, "E_VMM_USAGE", NULL, "--until wants 1 to %d bytes", UNTIL_MAX));
	signal(SIGPIPE, SIG_IGN);
	if (!relay->terminal || tcgetattr(0, &before) != 0)
		return (copy(relay, error));
	raw = before;
	cfmakeraw(&raw);
	tcsetattr(0, TCSANOW, &raw);
	well = copy(relay, error);
	tcsetattr(0, TCSANOW, &before);
	return (well);
}

int
vsock_connect(const char *uds, unsigned long port, int timeout_ms, struct anvil_vmm_error *error)
{
	int64_t deadline = milliseconds_now() + timeout_ms;
	int fd = anvil_vmm_connect(uds, timeout_ms, error);
	char line[32];
	size_t length = 0;

	if (fd < 0)
		return (-1);
	if (!put_all(fd, line, (size_t)snprintf(line, sizeof(line), "CONNECT %lu\n", port)))
		goto closed;
	/* byte by byte: what follows the line is the guest's */
	while (length == 0 || line[length - 1] != '\n') {
		struct pollfd wanted = {.fd = fd, .events = POLLIN};
		ssize_t got;

		if (poll(&wanted, 1, time_left(deadline)) == 0) {
			fail(error, "E_VMM_TIMEOUT", NULL, "port %lu of the guest does not answer", port);
			close(fd);
			return (-1);
		}
		got = read(fd, line + length, 1);
		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (got <= 0 || ++length == sizeof(line))
			goto closed;
	}
	if (strncmp(line, "OK ", 3) == 0)
		return (fd);
closed:
	fail(error, "E_VMM_CLOSED", "a program of the guest has to listen there",
	    "the guest takes no connection on port %lu", port);
	close(fd);
	return (-1);
}

/* -1 with errno. */
static int
listen_at(const struct sockaddr_un *address)
{
	int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	mode_t mask = umask(0177);
	bool well = listening >= 0 && bind(listening, (const struct sockaddr *)address, sizeof(*address)) == 0 &&
	    listen(listening, 1) == 0;
	int problem = errno;

	umask(mask);
	if (!well && listening >= 0)
		close(listening);
	errno = problem;
	return (well ? listening : -1);
}

int
vsock_accept(const char *uds, unsigned long port, int timeout_ms, struct anvil_vmm_error *error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct pollfd wanted = {.events = POLLIN};
	int connection = -1;

	if (snprintf(address.sun_path, sizeof(address.sun_path), "%s_%lu", uds, port) >=
	    (int)sizeof(address.sun_path)) {
		fail(error, "E_VMM_CONNECT", NULL, "the path of a socket is too long: %s_%lu", uds, port);
		return (-1);
	}
	wanted.fd = listen_at(&address);
	if (wanted.fd < 0) {
		fail(error, "E_VMM_CONNECT",
		    errno == EADDRINUSE ? "remove it when nobody listens there any more" : NULL,
		    "cannot listen at %s: %s", address.sun_path, strerror(errno));
		return (-1);
	}
	if (poll(&wanted, 1, timeout_ms) > 0)
		connection = accept4(wanted.fd, NULL, NULL, SOCK_CLOEXEC);
	unlink(address.sun_path);
	close(wanted.fd);
	if (connection < 0)
		fail(error, "E_VMM_TIMEOUT", NULL, "the guest has not connected to port %lu", port);
	return (connection);
}
