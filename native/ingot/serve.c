/* SPDX-License-Identifier: Apache-2.0 */
#include "serve.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "add.h"
#include "commands.h"
#include "frames.h"
#include "store.h"
#include "trust.h"

#define PORT_NAME "org.anvilos.ingot"
#define PORTS     "/sys/class/virtio-ports"

/* So many chunks may be under way: the next ones arrive while one is unpacked. */
#define WINDOW 4u

#define WORDS_MAX 4u

#define FILE_MAX (UINT64_C(1) << 60)

struct session {
	struct frame_reader reader;
	int out;
	bool manifest_awaited; /* after the command `add` */
	bool allow_downgrade;
	bool adding; /* chunks are awaited */
	struct addition addition;
	uint32_t acknowledged; /* so many chunks of it */
	struct report report;
	bool lines_are_result; /* lines are kept for the frame R, else each is a frame L */
	char result[FRAME_SENT_MAX]; /* lines of R */
};

static void
send_progress(void *to, const char *text)
{
	struct session *session = to;

	frame_send_text(session->out, FRAME_PROGRESS, text);
}

static void
take_line(void *to, const char *text)
{
	struct session *session = to;
	size_t used = strlen(session->result);

	if (session->lines_are_result)
		snprintf(session->result + used, sizeof(session->result) - used, "%s\n", text);
	else
		frame_send_text(session->out, FRAME_LINE, text);
}

static void
send_error(struct session *session, const struct fault *fault)
{
	char text[sizeof(struct fault) + 64];
	size_t hint = strlen(fault->hint);

	snprintf(text, sizeof(text), "%s %s\n%s%s%s%s", fault->code, fault->message, fault->details,
	    hint > 0 ? "hint: " : "", fault->hint, hint > 0 ? "\n" : "");
	frame_send_text(session->out, FRAME_ERROR, text);
}

static void
send_outcome(struct session *session, bool well, const struct fault *fault)
{
	if (well)
		frame_send_text(session->out, FRAME_RESULT, session->result);
	else
		send_error(session, fault);
}

static void
reset(struct session *session)
{
	if (session->adding)
		addition_end(&session->addition);
	session->adding = session->manifest_awaited = false;
}

static void
protocol_error(struct session *session, const char *why)
{
	struct fault fault;

	reset(session);
	fail(&fault, "E_INGOT_PROTOCOL", "host and system are of different versions", "%s", why);
	send_error(session, &fault);
}

static void
read_build_id(char *id, size_t size)
{
	char line[256];
	FILE *file = fopen("/etc/os-release", "re");

	snprintf(id, size, "unknown");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, "BUILD_ID=", 9) == 0)
			snprintf(id, size, "%.*s", (int)strcspn(line + 9, "\n"), line + 9);
	}
	if (file != NULL)
		fclose(file);
}

static void
send_hello(struct session *session)
{
	char text[4096], id[64];
	struct fault fault;
	struct store store;
	struct trust trust;
	size_t used;

	if (!store_find(&store, &fault) || !trust_load(TRUST_FOLDER, &trust, &fault)) {
		send_error(session, &fault);
		return;
	}
	read_build_id(id, sizeof(id));
	used = (size_t)snprintf(text, sizeof(text), "protocol 1\narch x86_64\nsystem %s\npool %s\nkept %s\nfree %llu\n",
	    id, store.pool, store.kept ? "yes" : "no", (unsigned long long)store_free(&store));
	for (size_t i = 0; i < trust.count; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "trust %s\n", trust.keys[i].id);
	frame_send_text(session->out, FRAME_HELLO, text);
}

/* An empty word, or one more than the longest command has, is no command. The number of words, or 0. */
static size_t
split(char *text, char *words[WORDS_MAX])
{
	size_t count = 0;

	for (char *at = text; at != NULL; count++) {
		char *word = at;

		at = strchr(word, ' ');
		if (at != NULL)
			*at++ = '\0';
		if (count == WORDS_MAX || *word == '\0')
			return (0);
		words[count] = word;
	}
	return (count);
}

/* What a file of an ingot's data has from a byte on, and how long it was then: it may be growing. */
static bool
send_data(struct session *session, const char *name, char *path, const char *from, struct fault *fault)
{
	static uint8_t piece[FRAME_SENT_MAX];
	uint64_t at = 0, size = 0;
	ssize_t got = 1;
	int file;

	if (!read_number(from, FILE_MAX, &at))
		return (fail(fault, "E_INGOT_PROTOCOL", NULL, "this is no place in a file"));
	file = command_open_data(name, path, &size, fault);
	if (file < 0)
		return (false);
	while (at < size && got > 0) {
		got = pread(file, piece, size - at < sizeof(piece) ? (size_t)(size - at) : sizeof(piece), (off_t)at);
		if (got > 0 && !frame_send(session->out, FRAME_BYTES, piece, (size_t)got))
			break;
		at += got > 0 ? (uint64_t)got : 0;
	}
	if (got < 0)
		fail_errno(fault, "cannot read %s", path);
	close(file);
	snprintf(session->result, sizeof(session->result), "size %llu\n", (unsigned long long)size);
	return (got >= 0);
}

static void
run_command(struct session *session, char *text)
{
	char *words[WORDS_MAX] = {NULL};
	size_t count = split(text, words);
	const char *command = count > 0 ? words[0] : "";
	struct fault fault;
	bool well;

	if (session->adding || session->manifest_awaited) {
		protocol_error(session, "a command came while an ingot was being added");
		return;
	}
	session->result[0] = '\0';
	session->lines_are_result = strcmp(command, "rollback") == 0;
	if (strcmp(command, "add") == 0 && (count == 1 || (count == 2 && strcmp(words[1], "allow-downgrade") == 0))) {
		session->manifest_awaited = true;
		session->allow_downgrade = count == 2;
		return;
	}
	if (strcmp(command, "list") == 0 && count == 1)
		well = command_list(&session->report, &fault);
	else if (strcmp(command, "verify") == 0 && count <= 2)
		well = command_verify(words[1], &session->report, &fault);
	else if (strcmp(command, "rollback") == 0 && count == 2)
		well = command_rollback(words[1], &session->report, &fault);
	else if (strcmp(command, "remove") == 0 && count == 3 && strcmp(words[2], DATA) == 0)
		well = command_remove(words[1], NULL, true, &session->report, &fault);
	else if (strcmp(command, "remove") == 0 && (count == 2 || count == 3))
		well = command_remove(words[1], words[2], false, &session->report, &fault);
	else if (strcmp(command, "get") == 0 && count == 4)
		well = send_data(session, words[1], words[2], words[3], &fault);
	else {
		protocol_error(session, "this is no command");
		return;
	}
	send_outcome(session, well, &fault);
}

static void
finish(struct session *session)
{
	struct fault fault;
	bool well = addition_finish(&session->addition, session->reader.nanoseconds, &session->report, &fault);

	/* what it holds, the lock too, is given up before the host can answer */
	reset(session);
	send_outcome(session, well, &fault);
}

static void
take_manifest(struct session *session, const struct frame *frame)
{
	struct addition *addition = &session->addition;
	uint8_t wanted[8];
	struct fault fault;

	if (!session->manifest_awaited) {
		protocol_error(session, "a manifest came without the command add");
		return;
	}
	session->manifest_awaited = false;
	session->lines_are_result = true;
	if (!addition_begin(addition, (const char *)frame->body, frame->length, session->allow_downgrade,
		&session->report, &fault)) {
		send_error(session, &fault);
		return;
	}
	session->adding = true;
	session->acknowledged = addition->written;
	session->reader.nanoseconds = 0;
	if (!addition->active) {
		store_u32le(wanted, addition->next);
		store_u32le(wanted + 4, WINDOW);
		frame_send(session->out, FRAME_WANTED, wanted, sizeof(wanted));
	}
	if (addition->next == addition->manifest.chunks_count)
		finish(session);
}

static void
acknowledge(struct session *session)
{
	uint8_t index[4];

	for (; session->acknowledged < session->addition.written; session->acknowledged++) {
		store_u32le(index, session->acknowledged);
		frame_send(session->out, FRAME_ACKNOWLEDGED, index, sizeof(index));
	}
}

/* Waits until the host says something or what is being written is written. Whether it is. */
static bool
is_written_first(const struct session *session)
{
	struct pollfd wanted[] = {
	    {.fd = session->addition.written_event, .events = POLLIN}, {.fd = session->reader.fd, .events = POLLIN}};

	while (poll(wanted, 2, -1) < 0 && errno == EINTR)
		continue;
	return ((wanted[0].revents & POLLIN) != 0);
}

static void
take_chunk(struct session *session, const struct frame *frame)
{
	struct addition *addition = &session->addition;
	size_t chunks = addition->manifest.chunks_count;
	struct fault fault;
	bool well;

	/* those that were under way when the addition failed */
	if (!session->adding)
		return;
	if (frame->length < 4 || load_u32le(frame->body) != addition->next) {
		protocol_error(session, "a chunk came that is not the next one");
		return;
	}
	well = addition_chunk(addition, frame->body + 4, frame->length - 4, &fault);
	acknowledge(session);
	if (well && (addition->next == chunks || is_written_first(session))) {
		well = addition_settle(addition, &fault);
		acknowledge(session);
	}
	if (!well) {
		reset(session);
		send_error(session, &fault);
	} else if (addition->next == chunks) {
		finish(session);
	}
}

static void
greet(struct session *session)
{
	reset(session);
	send_hello(session);
}

static void
take_frame(struct session *session, struct frame *frame)
{
	if (frame->type == FRAME_COMMAND)
		run_command(session, (char *)frame->body);
	else if (frame->type == FRAME_MANIFEST)
		take_manifest(session, frame);
	else if (frame->type == FRAME_DATA)
		take_chunk(session, frame);
	else if (strcmp((const char *)frame->body, "1") == 0)
		greet(session);
	else
		protocol_error(session, "the host speaks another version of the protocol than 1");
}

/* Until the host goes. */
static void
serve(int in, int out)
{
	static struct session session;
	struct frame frame;
	enum frame_status status;

	session.reader = (struct frame_reader){.fd = in};
	session.out = out;
	session.report = (struct report){.progress = send_progress, .line = take_line, .to = &session};
	while ((status = frame_read(&session.reader, &frame)) != FRAME_CLOSED) {
		if (status == FRAME_READ)
			take_frame(&session, &frame);
		if (status == FRAME_BAD) {
			protocol_error(&session, "a frame came that cannot be");
			if (!frame_skip_to_greeting(in))
				break;
		}
		if (status != FRAME_READ)
			greet(&session);
	}
	reset(&session);
	frame_reader_free(&session.reader);
}

void
serve_stdio(void)
{
	serve(STDIN_FILENO, STDOUT_FILENO);
}

/* The port is told apart by what the kernel says it is called: "/dev/vport1p2". */
static int
open_port(struct fault *fault)
{
	DIR *ports = opendir(PORTS);
	struct dirent *entry;
	char path[300], name[64];
	int port = -1;

	fault->code = NULL;
	while (port < 0 && ports != NULL && (entry = readdir(ports)) != NULL) {
		snprintf(path, sizeof(path), PORTS "/%s/name", entry->d_name);
		int file = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t length = file < 0 ? 0 : read(file, name, sizeof(name) - 1);

		if (file >= 0)
			close(file);
		name[length > 0 ? length : 0] = '\0';
		if (strcmp(name, PORT_NAME "\n") != 0)
			continue;
		snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
		port = open(path, O_RDWR | O_CLOEXEC);
		if (port < 0)
			fail_errno(fault, "cannot open %s", path);
	}
	if (port < 0 && fault->code == NULL)
		fail(fault, "E_INGOT_SYSTEM", NULL, "this machine has no port named " PORT_NAME);
	if (ports != NULL)
		closedir(ports);
	return (port);
}

/*
 * Without a host, poll(2) of the port returns at once and says POLLHUP. So this waits for the signal that the driver
 * sends when a host comes. False when the port is gone.
 */
static bool
wait_for_host(int port)
{
	const struct timespec limit = {.tv_sec = 60};
	struct pollfd wanted = {.fd = port, .events = POLLIN};
	sigset_t io;

	sigemptyset(&io);
	sigaddset(&io, SIGIO);
	sigprocmask(SIG_BLOCK, &io, NULL);
	if (fcntl(port, F_SETOWN, getpid()) != 0 || fcntl(port, F_SETFL, O_ASYNC) != 0)
		return (false);
	while (poll(&wanted, 1, 0) >= 0 && (wanted.revents & POLLHUP) != 0) {
		if (sigtimedwait(&io, NULL, &limit) < 0 && errno != EAGAIN && errno != EINTR)
			return (false);
	}
	/* it would also be sent for everything that arrives */
	return (fcntl(port, F_SETFL, 0) == 0 && (wanted.revents & (POLLERR | POLLNVAL)) == 0);
}

bool
serve_port(struct fault *fault)
{
	int port = open_port(fault);

	if (port < 0)
		return (false);
	while (wait_for_host(port))
		serve(port, port);
	close(port);
	return (fail(fault, "E_INGOT_SYSTEM", NULL, "the port " PORT_NAME " is gone"));
}
