/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INGOT_TESTS_H
#define INGOT_TESTS_H

#include "../test/check.h"

/* A manifest with one of everything. */
extern const char sample[];

/* A zstd frame that holds the bytes as they are. Its length. */
size_t plain_frame(const uint8_t *bytes, uint32_t length, uint8_t *frame);

void test_manifest(void);
void test_frames(void);
void test_trust(void);
void test_chunk(void);
void test_tree(void);

#endif
