/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <zstd.h>

#include "add.h"
#include "frames.h"
#include "hex.h"
#include "trust.h"

/* nanoseconds[0] is for hashing, [1] for unpacking. */
bool
chunk_unpack(struct ZSTD_DCtx_s *decoder, const struct chunk *chunk, uint32_t index, const uint8_t *bytes,
    size_t length, uint8_t *unpacked, uint64_t nanoseconds[2], struct fault *fault)
{
	static const char hint[] = "send it again: what was received before it is kept";
	uint64_t begin = nanoseconds_now(), hashed;
	char digits[2 * HASH_BYTES + 1];
	uint8_t hash[HASH_BYTES];
	size_t got;

	if (length != chunk->stored)
		return (fail(fault, "E_INGOT_CHUNK", hint, "chunk %u has %zu bytes instead of %u", index, length,
		    chunk->stored));
	hash_bytes(bytes, length, hash);
	hex_encode(hash, HASH_BYTES, digits);
	hashed = nanoseconds_now();
	nanoseconds[0] += hashed - begin;
	if (strcmp(digits, chunk->hash) != 0)
		return (fail(fault, "E_INGOT_CHUNK", hint, "chunk %u is not what was signed: its hash differs", index));
	/* one frame, and no more than it says: the output is not larger than a chunk, whatever the frame claims */
	got = ZSTD_findFrameCompressedSize(bytes, length) == length
	    ? ZSTD_decompressDCtx(decoder, unpacked, chunk->unpacked, bytes, length)
	    : 0;
	nanoseconds[1] += nanoseconds_now() - hashed;
	return (got == chunk->unpacked ||
	    fail(fault, "E_INGOT_CHUNK", "the ingot was made wrong; make it again",
		"chunk %u does not unpack to %u bytes", index, chunk->unpacked));
}
