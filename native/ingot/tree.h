/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * The files of an ingot, below a folder: written from the payload, and compared with the manifest. No path leads through
 * a symbolic link: the manifest makes sure that what a path lies in is a folder.
 */
#ifndef INGOT_TREE_H
#define INGOT_TREE_H

#include <sodium/crypto_generichash_blake2b.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fault.h"
#include "manifest.h"

#define ELF_BYTES 20u /* of a file's beginning: up to e_machine */

struct tree_writer {
	const struct manifest *manifest;
	int root; /* descriptor of the folder */
	size_t at; /* the entry that is being written */
	int fd; /* its file, or -1 before it is open */
	uint64_t done; /* bytes of it */
	crypto_generichash_blake2b_state hash;
	uint8_t beginning[ELF_BYTES];
	uint64_t hash_nanoseconds, write_nanoseconds;
};

/*
 * Makes the folders and goes to the place of the payload where byte `offset` belongs; what stands behind it in files of
 * an earlier attempt is overwritten. A file that was begun is read again for its hash.
 */
bool tree_begin(
    struct tree_writer *writer, const struct manifest *manifest, int root, uint64_t offset, struct fault *fault);

/* Writes the next bytes of the payload. Each file is compared with its hash as soon as it is complete: E_INGOT_MANIFEST. */
bool tree_write(struct tree_writer *writer, const uint8_t *bytes, size_t length, struct fault *fault);

/* After the last byte: empty files at the end, and the links. */
bool tree_end(struct tree_writer *writer, struct fault *fault);
void tree_close(struct tree_writer *writer);

/*
 * Compares the folder with the manifest: types, modes, owners, sizes, targets, and with `contents` also every file's hash
 * and that nothing else is there. False, with up to a screen of lines about what differs in `fault`'s details.
 */
bool tree_check(const struct manifest *manifest, int root, bool contents, struct fault *fault);

#endif
