/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * Who may give this system ingots: Ed25519 public keys, one per file. And the hashes by which ingots are known.
 */
#ifndef INGOT_TRUST_H
#define INGOT_TRUST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fault.h"
#include "manifest.h"

#define TRUST_MAX        32u
#define TRUST_ID_DIGITS  16u
#define PUBLIC_KEY_BYTES 32u
#define SIGNATURE_BYTES  64u

struct trusted {
	uint8_t key[PUBLIC_KEY_BYTES];
	char id[TRUST_ID_DIGITS + 1]; /* first digits of the key's BLAKE2b-512 */
};

struct trust {
	struct trusted keys[TRUST_MAX];
	size_t count;
};

/* Reads the files <folder>/….pub, 64 hexadecimal digits each. A folder that is missing holds no key; a file that is no key fails. */
bool trust_load(const char *folder, struct trust *trust, struct fault *fault);

/* The first line of an ingot: "ANVIL-INGOT 1 <bytes of the manifest> <signature>". */
#define HEAD_MAX 192u

struct head {
	size_t length; /* of the line with its LF; the manifest begins there */
	size_t manifest_length;
	uint8_t signature[SIGNATURE_BYTES];
};

/* Reads the line at the beginning of `text`. E_INGOT_MANIFEST. */
bool head_parse(const char *text, size_t length, struct head *head, struct fault *fault);

/* E_INGOT_SIGNATURE unless one of the keys made the signature of this manifest; `id` is which. */
bool trust_check(const struct trust *trust, const struct head *head, const char *manifest, char id[TRUST_ID_DIGITS + 1],
    struct fault *fault);

void hash_bytes(const void *bytes, size_t length, uint8_t hash[HASH_BYTES]);

/* The key of an ingot: what names this very manifest. */
void manifest_key(const char *manifest, size_t length, char key[KEY_DIGITS + 1]);

#endif
