/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * A person at a terminal, for tests of interactive programs: runs a program on a pseudo terminal and does what the lines of
 * its standard input say. Their texts know \e, \r, \t, \\ and \xHH.
 *
 *   terminal ROWSxCOLUMNS PROGRAM ARGUMENTS…
 *
 *   type TEXT      sends keys
 *   edit TEXT      sends keys when a line editor has the terminal: an editor may show its prompt before it takes it
 *   await TEXT     waits until the program has written this, after what was awaited before
 *   never TEXT     fails when the program has written this so far
 *   size RxC       changes the size of the terminal
 *   end STATUS     waits until the program has ended with this status
 */
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define ROOM        (1 << 20)
#define PATIENCE_MS 60000

static char written[ROOM];
static size_t length, seen;
static int terminal;
static pid_t program;

static _Noreturn void
fail(const char *what, const char *text)
{
	fprintf(stderr, "%s: %s\nwritten since what was awaited last:\n", what, text);
	for (size_t i = seen; i < length; i++) {
		if (isprint((unsigned char)written[i]) || written[i] == '\n')
			fputc(written[i], stderr);
		else
			fprintf(stderr, "\\x%02x", (unsigned char)written[i]);
	}
	fprintf(stderr, "\n");
	kill(program, SIGKILL);
	exit(1);
}

/* Takes what the program has written; 0 when it has closed the terminal. */
static int
take(const char *awaited)
{
	struct pollfd ready = {.fd = terminal, .events = POLLIN};
	ssize_t got;

	if (poll(&ready, 1, PATIENCE_MS) <= 0)
		fail("did not come", awaited);
	got = read(terminal, written + length, ROOM - length);
	if (got < 0 && errno != EIO)
		fail("read", strerror(errno));
	if (got <= 0)
		return (0);
	length += (size_t)got;
	if (length == ROOM)
		fail("too much was written", "");
	return (1);
}

/* Returns the length of the text with its escapes carried out, in place. */
static size_t
unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from != '\0'; from++) {
		if (*from != '\\') {
			*to++ = *from;
			continue;
		}
		switch (*++from) {
		case 'e':
			*to++ = '\033';
			break;
		case 'r':
			*to++ = '\r';
			break;
		case 't':
			*to++ = '\t';
			break;
		case 'x':
			*to++ = (char)strtol((char[]){from[1], from[2], '\0'}, NULL, 16);
			from += 2;
			break;
		default:
			*to++ = *from;
		}
	}
	return ((size_t)(to - text));
}

static struct winsize
size_of(const char *text)
{
	struct winsize size = {0};

	if (sscanf(text, "%hux%hu", &size.ws_row, &size.ws_col) != 2)
		fail("no size", text);
	return (size);
}

static void
await_editor(void)
{
	struct termios modes;

	for (int waited = 0; waited < PATIENCE_MS; waited++) {
		if (tcgetattr(terminal, &modes) == 0 && (modes.c_lflag & ICANON) == 0)
			return;
		usleep(1000);
	}
	fail("did not come", "a line editor");
}

static void
carry_out(const char *action, char *text)
{
	char *said = strdup(text);
	size_t wanted;
	char *at;
	int status;

	if (strcmp(action, "size") == 0) {
		struct winsize size = size_of(text);

		ioctl(terminal, TIOCSWINSZ, &size);
	} else if (strcmp(action, "type") == 0 || strcmp(action, "edit") == 0) {
		if (*action == 'e')
			await_editor();
		wanted = unescape(text);
		if (write(terminal, text, wanted) != (ssize_t)wanted)
			fail("write", strerror(errno));
	} else if (strcmp(action, "await") == 0) {
		wanted = unescape(text);
		while ((at = memmem(written + seen, length - seen, text, wanted)) == NULL) {
			if (!take(said))
				fail("the program ended before", said);
		}
		seen = (size_t)(at - written) + wanted;
	} else if (strcmp(action, "never") == 0) {
		wanted = unescape(text);
		seen = 0;
		if (memmem(written, length, text, wanted) != NULL)
			fail("was written", said);
		seen = length;
	} else if (strcmp(action, "end") == 0) {
		while (take("the end"))
			;
		waitpid(program, &status, 0);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != atoi(text))
			fail("ended otherwise than with", text);
	} else
		fail("no such action", action);
	free(said);
}

int
main(int argc, char **argv)
{
	struct winsize size;
	char line[4096];

	if (argc < 3) {
		fprintf(stderr, "usage: terminal ROWSxCOLUMNS PROGRAM ARGUMENTS...\n");
		return (2);
	}
	size = size_of(argv[1]);
	program = forkpty(&terminal, NULL, NULL, &size);
	if (program == 0) {
		execvp(argv[2], argv + 2);
		_exit(127);
	}
	while (fgets(line, sizeof(line), stdin) != NULL) {
		char *text;

		line[strcspn(line, "\n")] = '\0';
		text = strchr(line, ' ');
		if (text == NULL)
			fail("no action", line);
		*text = '\0';
		carry_out(line, text + 1);
	}
	return (0);
}
