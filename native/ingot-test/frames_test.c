/* SPDX-License-Identifier: Apache-2.0 */
#include "../ingot/frames.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../ingot/manifest.h"
#include "../ingot/trust.h"
#include "tests.h"

static size_t
put_frame(uint8_t *at, uint8_t type, const char *body)
{
	store_u32le(at, (uint32_t)strlen(body) + 1);
	at[4] = type;
	memcpy(at + FRAME_HEADER, body, strlen(body));
	return (FRAME_HEADER + strlen(body));
}

/* A stream that holds the bytes and then ends. */
static int
stream_of(const uint8_t *bytes, size_t length)
{
	static int file = -1;

	if (file < 0)
		file = memfd_create("stream", MFD_CLOEXEC);
	CHECK(file >= 0 && ftruncate(file, 0) == 0 && pwrite(file, bytes, length, 0) == (ssize_t)length);
	CHECK(lseek(file, 0, SEEK_SET) == 0);
	return (file);
}

static void
reads_what_was_sent(void)
{
	uint8_t bytes[256];
	size_t length = put_frame(bytes, FRAME_HELLO, "1");
	struct frame_reader reader = {.fd = -1};
	struct frame frame;

	length += put_frame(bytes + length, FRAME_COMMAND, "verify cc");
	length += put_frame(bytes + length, FRAME_DATA, "");
	reader.fd = stream_of(bytes, length);
	CHECK(frame_read(&reader, &frame) == FRAME_READ && frame.type == 'H' && strcmp((char *)frame.body, "1") == 0);
	CHECK(frame_read(&reader, &frame) == FRAME_READ && strcmp((char *)frame.body, "verify cc") == 0);
	CHECK(frame_read(&reader, &frame) == FRAME_READ && frame.length == 0);
	CHECK(frame_read(&reader, &frame) == FRAME_CLOSED);
	reader.fd = stream_of(bytes, length - 3);
	CHECK(frame_read(&reader, &frame) == FRAME_READ && frame_read(&reader, &frame) == FRAME_READ);
	CHECK(frame_read(&reader, &frame) == FRAME_CLOSED);
	frame_reader_free(&reader);
}

static enum frame_status
status_of(uint32_t length, uint8_t type)
{
	uint8_t header[FRAME_HEADER];
	struct frame_reader reader = {.fd = -1};
	struct frame frame;
	enum frame_status status;

	store_u32le(header, length);
	header[4] = type;
	reader.fd = stream_of(header, sizeof(header));
	status = frame_read(&reader, &frame);
	CHECK(reader.size <= 1 + HEAD_MAX + MANIFEST_MAX);
	frame_reader_free(&reader);
	return (status);
}

/* The limit of each type is looked at before anything is allocated. */
static void
refuses_impossible_lengths(void)
{
	CHECK(status_of(0, 'H') == FRAME_BAD && status_of(18, 'H') == FRAME_BAD && status_of(17, 'H') == FRAME_CLOSED);
	CHECK(status_of(COMMAND_MAX + 2, 'C') == FRAME_BAD && status_of(COMMAND_MAX + 1, 'C') == FRAME_CLOSED);
	CHECK(status_of(HEAD_MAX + MANIFEST_MAX + 2, 'M') == FRAME_BAD);
	CHECK(
	    status_of(CHUNK_STORED_MAX + 6, 'D') == FRAME_BAD && status_of(CHUNK_STORED_MAX + 5, 'D') == FRAME_CLOSED);
	CHECK(
	    status_of(UINT32_MAX, 'D') == FRAME_BAD && status_of(1, 'R') == FRAME_BAD && status_of(1, 0) == FRAME_BAD);
}

static void
survives_mutations(void)
{
	uint8_t sane[512], bytes[1024];
	size_t sane_length = put_frame(sane, 'H', "1");
	unsigned read = 0, bad = 0;

	sane_length += put_frame(sane + sane_length, 'C', "add allow-downgrade");
	sane_length += put_frame(sane + sane_length, 'M', "ANVIL-INGOT 1 12 abc\nanvil-ingot 1\n");
	for (int i = 0; i < 8; i++)
		sane_length += put_frame(sane + sane_length, 'D', "0000 some bytes of a chunk");
	for (int i = 0; i < 100000; i++) {
		struct frame_reader reader = {.fd = -1};
		struct frame frame;
		enum frame_status status;
		size_t length, total = 0;

		memcpy(bytes, sane, sane_length);
		length = mutate((char *)bytes, sane_length, sizeof(bytes));
		reader.fd = stream_of(bytes, length);
		while ((status = frame_read(&reader, &frame)) == FRAME_READ) {
			CHECK(frame.body[frame.length] == '\0');
			total += FRAME_HEADER + frame.length;
			read++;
		}
		CHECK(total <= length);
		bad += status == FRAME_BAD;
		frame_reader_free(&reader);
	}
	CHECK(bad > 1000 && read > 100000);
	printf("100000 mutated streams: %u frames, %u streams refused\n", read, bad);
}

static void
sends_what_can_be_read(void)
{
	uint8_t bytes[FRAME_HEADER + 5], long_body[FRAME_SENT_MAX + 10] = {0};
	int ends[2];

	CHECK(pipe(ends) == 0);
	CHECK(frame_send_text(ends[1], FRAME_LINE, "line") && read_fully(ends[0], bytes, 9));
	CHECK(load_u32le(bytes) == 5 && bytes[4] == 'L' && memcmp(bytes + 5, "line", 4) == 0);
	CHECK(frame_send(ends[1], FRAME_LINE, long_body, sizeof(long_body)) && read_fully(ends[0], bytes, 5));
	CHECK(load_u32le(bytes) == FRAME_SENT_MAX + 1);
	close(ends[0]);
	CHECK(!frame_send_text(ends[1], FRAME_LINE, "nobody reads this"));
	close(ends[1]);
}

/* A new host greets where the rest of a chunk, or the end of rubbish, was awaited. */
static void
notices_a_new_host(void)
{
	static const char rubbish[] = "\xff\xff\xff\xff\xff rubbish \x02\0\0\0H1 more";
	uint8_t bytes[64];
	size_t length = put_frame(bytes, FRAME_DATA, "0000 the beginning of a chunk");
	struct frame_reader reader = {.fd = -1};
	struct frame frame;
	int ends[2];

	CHECK(pipe(ends) == 0);
	reader.fd = ends[0];
	CHECK(write(ends[1], bytes, length - 10) == (ssize_t)length - 10);
	length = put_frame(bytes, FRAME_HELLO, "1");
	CHECK(write(ends[1], bytes, length) == (ssize_t)length && frame_read(&reader, &frame) == FRAME_GREETED);
	CHECK(write(ends[1], rubbish, sizeof(rubbish) - 1) > 0 && frame_read(&reader, &frame) == FRAME_BAD);
	CHECK(write(ends[1], bytes, length) == (ssize_t)length && frame_skip_to_greeting(ends[0]));
	CHECK(write(ends[1], bytes, length) == (ssize_t)length && frame_read(&reader, &frame) == FRAME_READ);
	CHECK(write(ends[1], rubbish, 9) == 9 && close(ends[1]) == 0);
	CHECK(frame_read(&reader, &frame) == FRAME_BAD && !frame_skip_to_greeting(ends[0]));
	close(ends[0]);
	frame_reader_free(&reader);
}

void
test_frames(void)
{
	notices_a_new_host();
	reads_what_was_sent();
	refuses_impossible_lengths();
	survives_mutations();
	sends_what_can_be_read();
}
