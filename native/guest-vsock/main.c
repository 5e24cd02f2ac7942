/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage: guest-vsock serve PORT      gives back what comes, on each connection from the host
 *        guest-vsock connect PORT    joins standard input and output with a port of the host
 *
 * AF_VSOCK, vsock(7), for shell scripts of a guest. Ends with 1 and a sentence when something fails, 2 for wrong usage.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

static int
die(const char *what)
{
	fprintf(stderr, "guest-vsock: %s: %s\n", what, strerror(errno));
	return (1);
}

/* What is there, to somewhere else. False at the end. */
static bool
pass_on(int from, int to)
{
	char bytes[4096];
	ssize_t got = read(from, bytes, sizeof(bytes));

	for (ssize_t done = 0; done < got;) {
		ssize_t put = write(to, bytes + done, (size_t)(got - done));

		if (put <= 0)
			return (false);
		done += put;
	}
	return (got > 0);
}

static int
serve(struct sockaddr_vm address)
{
	int listening = socket(AF_VSOCK, SOCK_STREAM, 0);

	address.svm_cid = VMADDR_CID_ANY;
	if (listening < 0 || bind(listening, (struct sockaddr *)&address, sizeof(address)) != 0 ||
	    listen(listening, 16) != 0)
		return (die("serve"));
	/* children are not waited for */
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int connection = accept(listening, NULL, NULL);

		if (connection < 0)
			return (die("accept"));
		if (fork() == 0) {
			close(listening);
			while (pass_on(connection, connection))
				continue;
			_exit(0);
		}
		close(connection);
	}
}

static int
join(struct sockaddr_vm address)
{
	struct pollfd wanted[2] = {{.fd = 0, .events = POLLIN}, {.events = POLLIN}};
	int connection = socket(AF_VSOCK, SOCK_STREAM, 0);

	address.svm_cid = VMADDR_CID_HOST;
	if (connection < 0 || connect(connection, (struct sockaddr *)&address, sizeof(address)) != 0)
		return (die("connect"));
	wanted[1].fd = connection;
	/* Each direction ends by itself: a host that has no more to say may still want to hear the rest. */
	while (wanted[0].fd >= 0 || wanted[1].fd >= 0) {
		if (poll(wanted, 2, -1) < 0)
			return (die("poll"));
		if (wanted[1].revents != 0 && !pass_on(connection, 1))
			wanted[1].fd = -1;
		if (wanted[0].revents != 0 && !pass_on(0, connection)) {
			wanted[0].fd = -1;
			shutdown(connection, SHUT_WR);
		}
	}
	return (0);
}

int
main(int argc, char **argv)
{
	struct sockaddr_vm address = {.svm_family = AF_VSOCK};
	char *end = "?";

	if (argc == 3)
		address.svm_port = (unsigned)strtoul(argv[2], &end, 10);
	signal(SIGPIPE, SIG_IGN);
	if (argc == 3 && *end == '\0' && strcmp(argv[1], "serve") == 0)
		return (serve(address));
	if (argc == 3 && *end == '\0' && strcmp(argv[1], "connect") == 0)
		return (join(address));
	fputs("usage: guest-vsock serve PORT | connect PORT\n",
	    argc == 2 && strcmp(argv[1], "--help") == 0 ? stdout : stderr);
	return (argc == 2 && strcmp(argv[1], "--help") == 0 ? 0 : 2);
}
