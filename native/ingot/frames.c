/* SPDX-License-Identifier: Apache-2.0 */
#include "frames.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "manifest.h"
#include "trust.h"

uint32_t
load_u32le(const uint8_t *bytes)
{
	return ((uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24);
}

void
store_u32le(uint8_t *bytes, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		bytes[i] = (uint8_t)(value >> 8 * i);
}

uint64_t
nanoseconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return ((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
}

bool
read_fully(int fd, void *bytes, size_t length)
{
	uint8_t *at = bytes;

	while (length > 0) {
		ssize_t got = read(fd, at, length);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return (false);
		at += got;
		length -= (size_t)got;
	}
	return (true);
}

/*
 * The whole frame by which a host begins. One that comes where the rest of a frame or rubbish is awaited, with silence
 * after it, is of a new host: that the connection was closed and opened between two reads shows nowhere else.
 */
static const uint8_t greeting[] = {2, 0, 0, 0, FRAME_HELLO, '1'};

#define SILENCE_MS 1000

static bool
ends_with_greeting(int fd, const uint8_t *bytes, size_t length)
{
	struct pollfd wanted = {.fd = fd, .events = POLLIN};

	return (length >= sizeof(greeting) &&
	    memcmp(bytes + length - sizeof(greeting), greeting, sizeof(greeting)) == 0 &&
	    poll(&wanted, 1, SILENCE_MS) == 0);
}

static enum frame_status
read_body(int fd, uint8_t *body, size_t length)
{
	for (size_t at = 0; at < length;) {
		ssize_t got = read(fd, body + at, length - at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return (FRAME_CLOSED);
		at += (size_t)got;
		if (at < length && ends_with_greeting(fd, body, at))
			return (FRAME_GREETED);
	}
	return (FRAME_READ);
}

bool
frame_skip_to_greeting(int fd)
{
	uint8_t bytes[4096 + sizeof(greeting)];
	size_t kept = 0;

	for (;;) {
		ssize_t got = read(fd, bytes + kept, sizeof(bytes) - kept);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return (false);
		kept += (size_t)got;
		if (ends_with_greeting(fd, bytes, kept))
			return (true);
		if (kept > sizeof(greeting)) {
			memmove(bytes, bytes + kept - sizeof(greeting), sizeof(greeting));
			kept = sizeof(greeting);
		}
	}
}

/* The longest body that a frame from the host can have. */
static size_t
longest_body(uint8_t type)
{
	switch (type) {
	case FRAME_HELLO:
		return (16);
	case FRAME_COMMAND:
		return (COMMAND_MAX);
	case FRAME_MANIFEST:
		return (HEAD_MAX + MANIFEST_MAX);
	case FRAME_DATA:
		return (sizeof(uint32_t) + CHUNK_STORED_MAX);
	default:
		return (0);
	}
}

static bool
reserve(struct frame_reader *reader, size_t size)
{
	if (size > reader->size) {
		uint8_t *larger = realloc(reader->buffer, size);

		if (larger == NULL)
			return (false);
		reader->buffer = larger;
		reader->size = size;
	}
	return (true);
}

static enum frame_status
read_frame(struct frame_reader *reader, struct frame *frame)
{
	uint8_t header[FRAME_HEADER];
	size_t length, longest;

	if (!read_fully(reader->fd, header, sizeof(header)))
		return (FRAME_CLOSED);
	length = load_u32le(header);
	longest = longest_body(header[4]);
	if (longest == 0 || length < 1 || length - 1 > longest || !reserve(reader, length))
		return (FRAME_BAD);
	frame->type = header[4];
	frame->length = length - 1;
	frame->body = reader->buffer;
	frame->body[frame->length] = '\0';
	return (read_body(reader->fd, frame->body, frame->length));
}

enum frame_status
frame_read(struct frame_reader *reader, struct frame *frame)
{
	uint64_t begin = nanoseconds_now();
	enum frame_status status = read_frame(reader, frame);

	reader->nanoseconds += nanoseconds_now() - begin;
	return (status);
}

void
frame_reader_free(struct frame_reader *reader)
{
	free(reader->buffer);
	reader->buffer = NULL;
	reader->size = 0;
}

/* A write to the port would wait for the next host when this one has gone. */
static bool
is_writable(int fd)
{
	struct pollfd wanted = {.fd = fd, .events = POLLOUT};

	while (poll(&wanted, 1, -1) < 0) {
		if (errno != EINTR)
			return (false);
	}
	return ((wanted.revents & (POLLHUP | POLLERR | POLLNVAL)) == 0);
}

bool
frame_send(int fd, enum frame_type type, const void *body, size_t length)
{
	uint8_t bytes[FRAME_HEADER + FRAME_SENT_MAX];
	size_t at = 0;

	if (length > FRAME_SENT_MAX)
		length = FRAME_SENT_MAX;
	store_u32le(bytes, (uint32_t)length + 1);
	bytes[4] = (uint8_t)type;
	if (length > 0)
		memcpy(bytes + FRAME_HEADER, body, length);
	length += FRAME_HEADER;
	while (at < length) {
		ssize_t put = is_writable(fd) ? write(fd, bytes + at, length - at) : -1;

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return (false);
		at += (size_t)put;
	}
	return (true);
}

bool
frame_send_text(int fd, enum frame_type type, const char *text)
{
	return (frame_send(fd, type, text, strlen(text)));
}
