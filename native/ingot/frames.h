/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * Frames between the host and the agent: u32le length of what follows, u8 type, body. What arrives is taken to be
 * hostile: a length is compared with the most that its type can have before anything is read or allocated for it.
 */
#ifndef INGOT_FRAMES_H
#define INGOT_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum frame_type {
	FRAME_HELLO = 'H',
	FRAME_COMMAND = 'C', /* host → */
	FRAME_MANIFEST = 'M', /* host → */
	FRAME_DATA = 'D', /* host → */
	FRAME_WANTED = 'W',
	FRAME_ACKNOWLEDGED = 'A',
	FRAME_PROGRESS = 'P',
	FRAME_LINE = 'L',
	FRAME_BYTES = 'B',
	FRAME_RESULT = 'R',
	FRAME_ERROR = 'E',
};

#define FRAME_HEADER   5u
#define FRAME_SENT_MAX (24u << 10) /* body of a frame to the host: the port takes it whole or not at all */
#define COMMAND_MAX    4096u

struct frame {
	uint8_t type;
	size_t length; /* of the body, which is followed by a NUL */
	uint8_t *body;
};

enum frame_status {
	FRAME_READ,
	FRAME_CLOSED, /* the host has gone, perhaps in the middle of a frame */
	FRAME_GREETED, /* in the middle of a frame a new host greeted */
	FRAME_BAD, /* a type or length that cannot be; where the next frame begins is not known */
};

struct frame_reader {
	int fd;
	uint8_t *buffer; /* grows up to the largest frame that came */
	size_t size;
	uint64_t nanoseconds; /* spent with waiting and reading; the caller may set it back */
};

/* The body stays valid until the next call. */
enum frame_status frame_read(struct frame_reader *reader, struct frame *frame);

/* After FRAME_BAD: reads and throws away until a host greets. False when the host goes. */
bool frame_skip_to_greeting(int fd);
void frame_reader_free(struct frame_reader *reader);

/* Sends a frame in one write. False when the host is not there. A longer body is cut off. */
bool frame_send(int fd, enum frame_type type, const void *body, size_t length);
bool frame_send_text(int fd, enum frame_type type, const char *text);

uint32_t load_u32le(const uint8_t *bytes);
void store_u32le(uint8_t *bytes, uint32_t value);

/* Reads until `length` bytes are there. False at the end of the stream or an error. */
bool read_fully(int fd, void *bytes, size_t length);

/* Of the monotonic clock. */
uint64_t nanoseconds_now(void);

#endif
