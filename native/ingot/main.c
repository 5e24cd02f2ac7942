/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * anvil-ingot: adds signed payloads to the running system, and serves a host that wants to. docs/ingots.md says how.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "active.h"
#include "commands.h"
#include "serve.h"
#include "services.h"

static const char usage[] =
    "usage: anvil-ingot list\n"
    "       anvil-ingot add [--allow-downgrade] FILE\n"
    "       anvil-ingot verify [NAME]\n"
    "       anvil-ingot rollback NAME\n"
    "       anvil-ingot remove [--data] NAME | NAME KEY\n"
    "       anvil-ingot serve [--stdio]    for a host, on its virtio port or on standard input and output\n"
    "       anvil-ingot start              at boot: services and programs of the active ingots\n"
    "\n"
    "exit status: 0 done, 1 refused or failed, 2 wrong usage\n";

static void
print_line(void *to, const char *text)
{
	(void)to;
	printf("%s\n", text);
	fflush(stdout);
}

static void
print_progress(void *to, const char *text)
{
	(void)to;
	fprintf(stderr, "anvil-ingot: %s\n", text);
}

static int
finish(bool well, const struct fault *fault)
{
	if (well)
		return (0);
	fprintf(stderr, "%s  %s\n", fault->code, fault->message);
	for (const char *line = fault->details; *line != '\0';) {
		int length = (int)strcspn(line, "\n");

		fprintf(stderr, "  %.*s\n", length, line);
		line += length + (line[length] == '\n');
	}
	if (fault->hint[0] != '\0')
		fprintf(stderr, "  hint: %s\n", fault->hint);
	return (1);
}

/* runsvdir waits out the second in which its folder was changed; at boot nobody changes it meanwhile. */
static bool
start(struct fault *fault)
{
	static const struct timespec long_ago[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1}};
	bool well = active_start(fault);

	utimensat(AT_FDCWD, SERVICES, long_ago, 0);
	return (well);
}

static int
serve(bool stdio, struct fault *fault)
{
	/* what an agent that was killed left; when another command is at work, that one settles what it touches */
	if (!command_settle(fault) && strcmp(fault->code, "E_INGOT_BUSY") != 0)
		(void)finish(false, fault);
	if (!stdio)
		return (finish(serve_port(fault), fault));
	serve_stdio();
	return (0);
}

int
main(int argc, char **argv)
{
	static const struct report report = {.progress = print_progress, .line = print_line, .to = NULL};
	static struct fault fault;
	const char *command = argc > 1 ? argv[1] : "";
	const char *first = argc > 2 ? argv[2] : NULL;
	bool data = first != NULL && strcmp(first, "--data") == 0;
	bool downgrade = first != NULL && strcmp(first, "--allow-downgrade") == 0;

	signal(SIGPIPE, SIG_IGN);
	umask(022);
	if (strcmp(command, "list") == 0 && argc == 2)
		return (finish(command_list(&report, &fault), &fault));
	if (strcmp(command, "add") == 0 && argc == 3 + downgrade)
		return (finish(command_add(argv[2 + downgrade], downgrade, &report, &fault), &fault));
	if (strcmp(command, "verify") == 0 && argc <= 3)
		return (finish(command_verify(first, &report, &fault), &fault));
	if (strcmp(command, "rollback") == 0 && argc == 3)
		return (finish(command_rollback(first, &report, &fault), &fault));
	if (strcmp(command, "remove") == 0 && data && argc == 4)
		return (finish(command_remove(argv[3], NULL, true, &report, &fault), &fault));
	if (strcmp(command, "remove") == 0 && !data && (argc == 3 || argc == 4))
		return (finish(command_remove(first, argc == 4 ? argv[3] : NULL, false, &report, &fault), &fault));
	if (strcmp(command, "serve") == 0 && (argc == 2 || (argc == 3 && strcmp(first, "--stdio") == 0)))
		return (serve(argc == 3, &fault));
	if (strcmp(command, "start") == 0 && argc == 2)
		return (finish(start(&fault), &fault));
	fputs(usage, strcmp(command, "--help") == 0 ? stdout : stderr);
	return (strcmp(command, "--help") == 0 ? 0 : 2);
}
