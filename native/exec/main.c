/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * anvil-exec: runs a command for a host, with its standard streams, signals and exit status over one line: a virtio port
 * or, by way of SSH, standard input and output. docs/exec.md has the frames.
 *
 * Two things that a plain pipe through a shell on a terminal, or through ssh, does not give: bytes stay what they are, and
 * a line that breaks is not taken for the end of the input. A psql that reads COPY data would commit what came so far.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PORTS        "/sys/class/virtio-ports"
#define STATE_FOLDER "/run/anvil"
#define PID_FILE     STATE_FOLDER "/exec.pid"

/* Length of what follows, type. */
#define HEADER   5u
#define BODY_MAX (64u << 10)
/* The port takes 32 KiB at once. */
#define SENT_MAX ((32u << 10) - HEADER)
/* So many bytes of input may wait here for the command. */
#define WINDOW (256u << 10)
#define GRANT  (64u << 10)
/* Room that is left for small frames when output is queued. */
#define RESERVE   256u
#define QUEUE_MAX (4u * (SENT_MAX + HEADER) + RESERVE)

/* How long the command may take to end when the host has gone: after SIGINT, which lets psql cancel its query. */
#define GRACE_MS     5000
#define HOST_WAIT_MS 60000
#define PORT_WAIT_MS 20000

struct bytes {
	uint8_t *at;
	size_t begin, end, size;
};

struct line {
	int in, out;
	struct bytes received; /* a frame that is not whole yet */
	struct bytes queued; /* what is still to be sent */
	bool lost;
	bool done; /* the host has all */
};

struct command {
	pid_t pid;
	int in, out, error; /* our ends; -1 when closed */
	struct bytes input; /* what the command has not taken yet */
	size_t granted; /* bytes that may still come */
	bool input_ends;
	bool ended;
	bool told; /* its status was sent */
	int status;
};

static void
die(const char *what)
{
	fprintf(stderr, "anvil-exec: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t
milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return ((uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u);
}

static void
rest(void)
{
	const struct timespec moment = {.tv_nsec = 20000000};

	nanosleep(&moment, NULL);
}

static size_t
filled(const struct bytes *bytes)
{
	return (bytes->end - bytes->begin);
}

static void
make_bytes(struct bytes *bytes, size_t size)
{
	*bytes = (struct bytes){.at = malloc(size), .size = size};
	if (bytes->at == NULL)
		die("no memory");
}

/* Moves what is there to the beginning, so that the room is behind it. */
static size_t
room(struct bytes *bytes)
{
	if (bytes->begin > 0) {
		memmove(bytes->at, bytes->at + bytes->begin, filled(bytes));
		bytes->end -= bytes->begin;
		bytes->begin = 0;
	}
	return (bytes->size - bytes->end);
}

static bool
append(struct bytes *bytes, const void *from, size_t length)
{
	if (room(bytes) < length)
		return (false);
	memcpy(bytes->at + bytes->end, from, length);
	bytes->end += length;
	return (true);
}

static void
set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
		die("fcntl");
}

/* ---- the line ---- */

/* Callers see to it that there is room. */
static void
send_frame(struct line *line, char type, const void *body, size_t length)
{
	uint32_t number = (uint32_t)length + 1;
	uint8_t head[HEADER] = {
	    (uint8_t)number, (uint8_t)(number >> 8), (uint8_t)(number >> 16), (uint8_t)(number >> 24), (uint8_t)type};

	if (!append(&line->queued, head, HEADER) || !append(&line->queued, body, length))
		line->lost = true;
}

static void
grant(struct line *line, struct command *command, size_t count)
{
	uint8_t body[4] = {(uint8_t)count, (uint8_t)(count >> 8), (uint8_t)(count >> 16), (uint8_t)(count >> 24)};

	command->granted += count;
	send_frame(line, 'W', body, sizeof(body));
}

static void
flush(struct line *line)
{
	while (filled(&line->queued) > 0 && !line->lost) {
		size_t most = filled(&line->queued) < SENT_MAX + HEADER ? filled(&line->queued) : SENT_MAX + HEADER;
		ssize_t put = write(line->out, line->queued.at + line->queued.begin, most);

		if (put < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (put <= 0)
			line->lost = true;
		else
			line->queued.begin += (size_t)put;
	}
}

static int
signal_number(const uint8_t *name, size_t length)
{
	static const struct {
		const char *name;
		int number;
	} known[] = {{"INT", SIGINT}, {"TERM", SIGTERM}, {"HUP", SIGHUP}, {"QUIT", SIGQUIT}, {"PIPE", SIGPIPE}};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strlen(known[i].name) == length && memcmp(known[i].name, name, length) == 0)
			return (known[i].number);
	}
	return (0);
}

/* A host that breaks the rules is one that has gone. */
static void
take_frame(struct line *line, struct command *command, char type, const uint8_t *body, size_t length)
{
	int number;

	switch (type) {
	case 'I':
		if (length > command->granted || command->input_ends) {
			line->lost = true;
			return;
		}
		command->granted -= length;
		/* what the command does not read any more is dropped, and no more of it is asked for */
		if (command->in >= 0 && !append(&command->input, body, length))
			line->lost = true;
		return;
	case 'Z':
		command->input_ends = true;
		return;
	case 'S':
		number = signal_number(body, length);
		if (number == 0)
			line->lost = true;
		else if (!command->ended)
			kill(-command->pid, number);
		return;
	case 'Q':
		line->done = command->told;
		line->lost = line->lost || !command->told;
		return;
	default:
		line->lost = true;
	}
}

static void
take_frames(struct line *line, struct command *command)
{
	while (!line->lost && filled(&line->received) >= HEADER) {
		const uint8_t *at = line->received.at + line->received.begin;
		size_t length = (size_t)at[0] | (size_t)at[1] << 8 | (size_t)at[2] << 16 | (size_t)at[3] << 24;

		if (length == 0 || length > BODY_MAX + 1) {
			line->lost = true;
			return;
		}
		if (filled(&line->received) < HEADER - 1 + length)
			return;
		line->received.begin += HEADER - 1 + length;
		take_frame(line, command, (char)at[4], at + HEADER, length - 1);
	}
}

static void
receive(struct line *line, struct command *command)
{
	size_t most = room(&line->received);
	ssize_t got = read(line->in, line->received.at + line->received.end, most);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		line->lost = true;
		return;
	}
	line->received.end += (size_t)got;
	take_frames(line, command);
}

/* ---- the command ---- */

static void
start(struct command *command, const char *text)
{
	int in[2], out[2], error[2], started[2];
	sigset_t none;
	char nothing;

	if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(error, O_CLOEXEC) != 0 ||
	    pipe2(started, O_CLOEXEC) != 0)
		die("pipe");
	command->pid = fork();
	if (command->pid < 0)
		die("fork");
	if (command->pid == 0) {
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		signal(SIGPIPE, SIG_DFL);
		setsid();
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(error[1], 2);
		execl("/bin/sh", "sh", "-c", text, (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	close(error[1]);
	/* closed by execve: from then on signals reach its group */
	close(started[1]);
	(void)!read(started[0], &nothing, 1);
	close(started[0]);
	command->in = in[1];
	command->out = out[0];
	command->error = error[0];
	set_nonblocking(command->in);
	set_nonblocking(command->out);
	set_nonblocking(command->error);
}

static void
close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void
feed(struct line *line, struct command *command)
{
	while (command->in >= 0 && filled(&command->input) > 0) {
		ssize_t put = write(command->in, command->input.at + command->input.begin, filled(&command->input));

		if (put < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (put < 0) {
			/* it reads no more */
			command->input.begin = command->input.end = 0;
			close_end(&command->in);
			return;
		}
		command->input.begin += (size_t)put;
	}
	if (command->in >= 0 && filled(&command->input) == 0 && command->input_ends)
		close_end(&command->in);
	if (command->in >= 0 && !command->input_ends && WINDOW - filled(&command->input) - command->granted >= GRANT &&
	    room(&line->queued) >= RESERVE)
		grant(line, command, WINDOW - filled(&command->input) - command->granted);
}

static bool
has_room(struct line *line)
{
	return (room(&line->queued) >= SENT_MAX + HEADER + RESERVE);
}

/* False when there was nothing. */
static bool
carry(struct line *line, int *from, char type)
{
	static uint8_t piece[SENT_MAX];
	ssize_t got;

	if (*from < 0 || !has_room(line))
		return (false);
	got = read(*from, piece, sizeof(piece));
	if (got > 0)
		send_frame(line, type, piece, (size_t)got);
	else if (got == 0 || (errno != EAGAIN && errno != EINTR))
		close_end(from);
	return (got > 0);
}

/* The status comes after all that the command itself has written; what it left in the background is not waited for. */
static void
tell_status(struct line *line, struct command *command)
{
	char text[16];
	int length;

	if (!command->ended || command->told)
		return;
	while (carry(line, &command->out, 'O') || carry(line, &command->error, 'E'))
		flush(line);
	if (!has_room(line))
		return;
	length = snprintf(text, sizeof(text), "%d",
	    WIFSIGNALED(command->status) ? 128 + WTERMSIG(command->status) : WEXITSTATUS(command->status));
	send_frame(line, 'X', text, (size_t)length);
	command->told = true;
	close_end(&command->in);
	close_end(&command->out);
	close_end(&command->error);
}

static void
reap(struct command *command)
{
	if (!command->ended && waitpid(command->pid, &command->status, WNOHANG) == command->pid)
		command->ended = true;
}

/* The host has gone. The end of its line is not the end of the input: that stays open until the command has ended. */
static void
give_up(struct command *command)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGKILL};

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]) && !command->ended; i++) {
		uint64_t limit = milliseconds() + GRACE_MS;

		kill(-command->pid, signals[i]);
		while (!command->ended && milliseconds() < limit) {
			char waste[4096];

			/* a command that waits until its output is taken would not notice the signal */
			while (command->out >= 0 && read(command->out, waste, sizeof(waste)) > 0)
				continue;
			while (command->error >= 0 && read(command->error, waste, sizeof(waste)) > 0)
				continue;
			rest();
			reap(command);
		}
	}
}

/* ---- both ---- */

/* True when the host has all, false when it has gone. */
static bool
serve(struct line *line, struct command *command, int signals)
{
	struct signalfd_siginfo signal;

	while (!line->lost && !line->done) {
		bool space;

		reap(command);
		feed(line, command);
		tell_status(line, command);
		flush(line);
		space = has_room(line);

		struct pollfd wanted[] = {
		    {.fd = line->in, .events = POLLIN},
		    {.fd = filled(&line->queued) > 0 ? line->out : -1, .events = POLLOUT},
		    {.fd = filled(&command->input) > 0 ? command->in : -1, .events = POLLOUT},
		    {.fd = space ? command->out : -1, .events = POLLIN},
		    {.fd = space ? command->error : -1, .events = POLLIN},
		    {.fd = signals, .events = POLLIN},
		};

		if (poll(wanted, sizeof(wanted) / sizeof(wanted[0]), -1) < 0 && errno != EINTR)
			die("poll");
		if (wanted[0].revents != 0)
			receive(line, command);
		if ((wanted[1].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0)
			line->lost = true;
		/* one piece of each, so that a flood on one does not hold back the other */
		if (wanted[3].revents != 0)
			carry(line, &command->out, 'O');
		if (wanted[4].revents != 0)
			carry(line, &command->error, 'E');
		if (wanted[5].revents != 0 && read(signals, &signal, sizeof(signal)) == sizeof(signal) &&
		    signal.ssi_signo != SIGCHLD)
			line->lost = true;
	}
	return (line->done);
}

/* The port that the kernel knows by this name: "/dev/vport1p3". */
static bool
find_port(const char *name, char *path, size_t size)
{
	DIR *ports = opendir(PORTS);
	struct dirent *entry;
	bool found = false;

	while (!found && ports != NULL && (entry = readdir(ports)) != NULL) {
		char file[300], text[64] = "";
		int fd;

		snprintf(file, sizeof(file), PORTS "/%s/name", entry->d_name);
		fd = open(file, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		ssize_t length = read(fd, text, sizeof(text) - 1);

		close(fd);
		if (length > 0 && text[length - 1] == '\n')
			text[length - 1] = '\0';
		found = strcmp(text, name) == 0;
		snprintf(path, size, "/dev/%s", entry->d_name);
	}
	if (ports != NULL)
		closedir(ports);
	return (found);
}

/* The agent of a host that has gone, and does not know it: a line that is opened again at once was never closed for it. */
static void
end_predecessor(void)
{
	char path[64], name[32] = "";
	FILE *file = fopen(PID_FILE, "re");
	int pid = 0;

	if (file == NULL)
		return;
	if (fscanf(file, "%d", &pid) != 1)
		pid = 0;
	fclose(file);
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	file = pid > 1 ? fopen(path, "re") : NULL;
	if (file == NULL)
		return;
	if (fgets(name, sizeof(name), file) != NULL && strcmp(name, "anvil-exec\n") == 0)
		kill(pid, SIGTERM);
	fclose(file);
}

/* The port serves one process at a time, and has a host or not. */
static int
open_port(const char *name)
{
	uint64_t limit = milliseconds() + PORT_WAIT_MS;
	char path[300];
	FILE *file;
	int port;

	if (!find_port(name, path, sizeof(path))) {
		fprintf(stderr, "anvil-exec: this machine has no port named %s\n", name);
		exit(1);
	}
	while ((port = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC)) < 0) {
		if (errno != EBUSY || milliseconds() >= limit)
			die(path);
		end_predecessor();
		rest();
	}
	file = fopen(PID_FILE, "we");
	if (file != NULL) {
		fprintf(file, "%d\n", (int)getpid());
		fclose(file);
	}
	limit = milliseconds() + HOST_WAIT_MS;
	for (struct pollfd wanted = {.fd = port, .events = POLLOUT};;) {
		poll(&wanted, 1, 0);
		if ((wanted.revents & POLLHUP) == 0)
			return (port);
		if (milliseconds() >= limit) {
			fprintf(stderr, "anvil-exec: no host is at the port %s\n", name);
			exit(1);
		}
		rest();
	}
}

int
main(int argc, char **argv)
{
	static struct command command = {.in = -1, .out = -1, .error = -1};
	static struct line line = {.in = STDIN_FILENO, .out = STDOUT_FILENO};
	sigset_t watched;
	int signals;
	bool well;

	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		puts(
		    "usage: anvil-exec --stdio|PORT TOKEN COMMAND\n"
		    "\n"
		    "Runs a line of shell for a host, on standard input and output or on the virtio port of that name.\n"
		    "`anvil db psql` calls it; docs/exec.md says what goes over the line.");
		return (0);
	}
	if (argc != 4 || strlen(argv[2]) > 64) {
		fputs("usage: anvil-exec --stdio|PORT TOKEN COMMAND\n", stderr);
		return (2);
	}
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&watched);
	sigaddset(&watched, SIGCHLD);
	sigaddset(&watched, SIGTERM);
	sigaddset(&watched, SIGINT);
	sigaddset(&watched, SIGHUP);
	sigprocmask(SIG_BLOCK, &watched, NULL);
	signals = signalfd(-1, &watched, SFD_NONBLOCK | SFD_CLOEXEC);
	if (signals < 0)
		die("signalfd");
	if (strcmp(argv[1], "--stdio") != 0)
		line.in = line.out = open_port(argv[1]);
	set_nonblocking(line.in);
	set_nonblocking(line.out);
	make_bytes(&line.received, 2 * (size_t)(BODY_MAX + HEADER));
	make_bytes(&line.queued, QUEUE_MAX);
	make_bytes(&command.input, WINDOW);
	send_frame(&line, 'H', argv[2], strlen(argv[2]));
	start(&command, argv[3]);
	well = serve(&line, &command, signals);
	if (!well)
		give_up(&command);
	if (line.in != STDIN_FILENO)
		unlink(PID_FILE);
	return (well ? 0 : 1);
}
