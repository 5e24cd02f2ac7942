/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <zstd.h>

#include "../ingot/add.h"
#include "../ingot/frames.h"
#include "../ingot/hex.h"
#include "../ingot/trust.h"
#include "tests.h"

#define BLOCK (128u << 10)

/* RFC 8878: magic, a header with the size in 4 bytes and one segment, raw blocks. */
size_t
plain_frame(const uint8_t *bytes, uint32_t length, uint8_t *frame)
{
	static const uint8_t begin[] = {0x28, 0xb5, 0x2f, 0xfd, 0xa0};
	size_t at = sizeof(begin) + 4;

	memcpy(frame, begin, sizeof(begin));
	store_u32le(frame + sizeof(begin), length);
	for (uint32_t done = 0; done < length;) {
		uint32_t size = length - done < BLOCK ? length - done : BLOCK;
		uint32_t header = (done + size == length) | size << 3;

		for (int i = 0; i < 3; i++)
			frame[at++] = (uint8_t)(header >> 8 * i);
		memcpy(frame + at, bytes + done, size);
		at += size;
		done += size;
	}
	return (at);
}

static uint8_t unpacked[CHUNK_SIZE];
static uint64_t times[2];

static bool
unpacks(const uint8_t *bytes, size_t length, uint32_t size, const char *hash, struct fault *fault)
{
	static ZSTD_DCtx *decoder;
	struct chunk chunk = {.unpacked = size, .stored = (uint32_t)length, .hash = hash};

	if (decoder == NULL)
		decoder = ZSTD_createDCtx();
	return (chunk_unpack(decoder, &chunk, 7, bytes, length, unpacked, times, fault));
}

static const char *
hash_of(const uint8_t *bytes, size_t length)
{
	static char digits[2 * HASH_BYTES + 1];
	uint8_t hash[HASH_BYTES];

	hash_bytes(bytes, length, hash);
	hex_encode(hash, HASH_BYTES, digits);
	return (digits);
}

void
test_chunk(void)
{
	static uint8_t plain[300000], frame[320000], twice[640000];
	struct fault fault;
	size_t length;

	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = (uint8_t)random_number(256);
	length = plain_frame(plain, sizeof(plain), frame);
	CHECK(unpacks(frame, length, sizeof(plain), hash_of(frame, length), &fault));
	CHECK(memcmp(unpacked, plain, sizeof(plain)) == 0);

	/* another hash: nothing is unpacked */
	memset(unpacked, 0, sizeof(unpacked));
	CHECK(!unpacks(frame, length, sizeof(plain), hash_of(frame, length - 1), &fault));
	CHECK(strcmp(fault.code, "E_INGOT_CHUNK") == 0 && unpacked[0] == 0 && times[1] > 0);
	/* another length than the manifest says */
	struct chunk chunk = {.unpacked = 1, .stored = 2, .hash = hash_of(frame, 3)};
	CHECK(!chunk_unpack(NULL, &chunk, 0, frame, 3, unpacked, times, &fault));
	/* more or less than the manifest says, a frame and rubbish, two frames */
	CHECK(!unpacks(frame, length, sizeof(plain) - 1, hash_of(frame, length), &fault));
	CHECK(!unpacks(frame, length, sizeof(plain) + 1, hash_of(frame, length), &fault));
	memcpy(twice, frame, length);
	memcpy(twice + length, frame, length);
	CHECK(!unpacks(twice, length + 9, sizeof(plain), hash_of(twice, length + 9), &fault));
	CHECK(!unpacks(twice, 2 * length, 2 * sizeof(plain), hash_of(twice, 2 * length), &fault));
	/* rightly signed nonsense */
	for (int i = 0; i < 20000; i++) {
		memcpy(twice, frame, 200);
		size_t size = mutate((char *)twice, 200, sizeof(twice));
		char *copy = fenced(twice, size);

		(void)unpacks((uint8_t *)copy, size, 1 + random_number(CHUNK_SIZE), hash_of(twice, size), &fault);
		fenced_free(copy, size);
	}
}
