/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * The manifest of an ingot: what it is called, what it needs, every file with its hash, every chunk of the payload with
 * its hash. docs/ingots.md has the format. The text is taken to be hostile; nothing is allocated beyond the limits here.
 */
#ifndef INGOT_MANIFEST_H
#define INGOT_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fault.h"

#define MANIFEST_MAX     (16u << 20) /* bytes of text */
#define ENTRIES_MAX      262144u
#define CHUNKS_MAX       262144u
#define FACTS_MAX        64u /* needs, services */
#define PATH_BYTES       1023u
#define CHUNK_SIZE       (4u << 20) /* unpacked; the last one may be shorter */
#define CHUNK_STORED_MAX (CHUNK_SIZE + (64u << 10)) /* zstd adds at most 16 KiB to what it cannot compress */
#define HASH_BYTES       64u
#define KEY_DIGITS       64u /* of the hash of the manifest */
#define KEY_DISK_DIGITS  32u /* in names of datasets and folders */
#define KEY_SHOWN_DIGITS 12u /* on screen */

/* What the agent keeps in the tree of an ingot; no ingot may bring it. */
#define OWN_FOLDER ".anvil"

enum entry_type { ENTRY_DIR, ENTRY_FILE, ENTRY_LINK };

struct entry {
	enum entry_type type;
	unsigned mode;
	const char *path;
	const char *text; /* file: 128 digits of its BLAKE2b-512; link: its target */
	uint64_t size; /* file */
};

struct chunk {
	uint32_t unpacked;
	uint32_t stored;
	const char *hash; /* 128 digits, of the stored bytes */
};

struct need {
	const char *name;
	const char *version; /* the least that will do, or NULL */
};

/* Strings point into `text`, a private copy in which words are ended by NUL. */
struct manifest {
	char *text;
	const char *name;
	const char *version;
	const char *arch;
	uint64_t date;
	struct need needs[FACTS_MAX];
	size_t needs_count;
	const char *services[FACTS_MAX];
	size_t services_count;
	unsigned health_seconds;
	const char *health; /* path, or NULL */
	bool data; /* keeps data of its own */
	struct entry *entries; /* sorted by path */
	size_t entries_count;
	struct chunk *chunks;
	size_t chunks_count;
	uint64_t size; /* of all files, which is what the chunks unpack to */
	uint64_t stored; /* of all chunks */
};

/* Reads and checks the text. On failure, E_INGOT_MANIFEST with the line, nothing is left to free. */
bool manifest_parse(const char *text, size_t length, struct manifest *manifest, struct fault *fault);
void manifest_free(struct manifest *manifest);

/* The entry of this path (of `length` bytes), or NULL. */
const struct entry *manifest_find(const struct manifest *manifest, const char *path, size_t length);

/* Percent-encodes a path or target as the manifest does. Returns `encoded`. */
#define ENCODED_BYTES (3 * PATH_BYTES + 1)
const char *path_encode(const char *path, char encoded[ENCODED_BYTES]);

/* The reverse, in place. NULL unless it is encoded as above and a relative path without "." and "..". */
char *path_decode(char *encoded);

/* Decimal digits without leading zeros, up to `limit`. */
bool read_number(const char *word, uint64_t limit, uint64_t *number);

bool name_is_valid(const char *name);

/* Part by part, digits as numbers: "14.10" > "14.9". Negative, 0 or positive, as strcmp. */
int version_compare(const char *a, const char *b);

#endif
