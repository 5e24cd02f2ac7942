/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * An ingot is added: begin with head and manifest, then the chunks in their order, then the end. What was received stays
 * when it is broken off, and the next attempt with the same manifest goes on there.
 */
#ifndef INGOT_ADD_H
#define INGOT_ADD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fault.h"
#include "manifest.h"
#include "report.h"
#include "store.h"
#include "tree.h"

struct addition {
	struct store store;
	struct manifest manifest;
	char key[KEY_DIGITS + 1];
	char disk_key[KEY_DISK_DIGITS + 1];
	char was[KEY_DISK_DIGITS + 1]; /* what is active now; empty: nothing */
	struct tree_writer writer;
	uint8_t *unpacked; /* two chunks: one is unpacked while the one before it is written */
	struct ZSTD_DCtx_s *decoder;
	uint32_t next; /* chunk that is wanted now */
	uint32_t first; /* chunk that was wanted at the beginning: more than 0 when an attempt is resumed */
	uint32_t written; /* so many chunks are; the next one may be under way */
	int lock, tree, received;
	int written_event; /* eventfd(2), readable when what was under way has ended; -1 before there is any */
	bool writing; /* one is under way, and these are the thread's: */
	pthread_t thread;
	bool write_well;
	struct fault write_fault;
	bool complete; /* nothing is to be received */
	bool active; /* and nothing is to be done at all */
	uint64_t hash_nanoseconds, unpack_nanoseconds;
};

/*
 * Checks the signature before anything else is looked at, then the manifest, then whether the ingot may and can be added,
 * and makes its place. `text` is head and manifest. After a failure there is nothing to end.
 */
bool addition_begin(struct addition *addition, const char *text, size_t length, bool allow_downgrade,
    const struct report *report, struct fault *fault);

/*
 * The next chunk as it is stored: E_INGOT_CHUNK unless it has its hash; only then it is unpacked. It is written while the
 * caller goes on: a failure of that is the next call's.
 */
bool addition_chunk(struct addition *addition, const uint8_t *bytes, size_t length, struct fault *fault);

/* Waits until all that was taken is written. */
bool addition_settle(struct addition *addition, struct fault *fault);

/* After the last chunk: proves the tree, seals it, makes it active. Reports the lines of the result. */
bool addition_finish(
    struct addition *addition, uint64_t receive_nanoseconds, const struct report *report, struct fault *fault);

/* Frees what the addition holds; without addition_finish it can be resumed. */
void addition_end(struct addition *addition);

/* A chunk against its hash, unpacked into `unpacked` (CHUNK_SIZE bytes). `index` is for messages. */
bool chunk_unpack(struct ZSTD_DCtx_s *decoder, const struct chunk *chunk, uint32_t index, const uint8_t *bytes,
    size_t length, uint8_t *unpacked, uint64_t nanoseconds[2], struct fault *fault);

#endif
