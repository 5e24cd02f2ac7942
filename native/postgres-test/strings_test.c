/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * strings.c against what the C standard says, byte by byte: ranges that end where a page ends that cannot be touched, and
 * ranges that overlap. Compiled with -fno-builtin, so that the calls are those of strings.c.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ROUNDS 200000
#define ROOM   12288

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf( \
			    stderr, "%s:%d: round %d: does not hold: %s\n", __FILE__, __LINE__, round, #condition); \
			exit(1); \
		} \
	} while (0)

static uint32_t
random_number(uint32_t limit)
{
	static uint64_t state = 1;

	state = state * 6364136223846793005u + 1442695040888963407u;
	return ((uint32_t)(state >> 33) % limit);
}

static size_t
random_length(void)
{
	return (random_number(4) != 0 ? random_number(200) : random_number(5000));
}

/* The end of ROOM bytes, behind which nothing can be read or written. */
static unsigned char *
fence(void)
{
	unsigned char *room = mmap(NULL, ROOM + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (room == MAP_FAILED || mprotect(room + ROOM, 4096, PROT_NONE) != 0)
		exit(2);
	return (room + ROOM);
}

static int
sign(int number)
{
	return ((number > 0) - (number < 0));
}

static void
test_move(int round)
{
	static unsigned char before[ROOM], bytes[ROOM];
	size_t n = random_length(), from = random_number((uint32_t)(ROOM - n)), to;

	if (random_number(3) == 0)
		to = random_number((uint32_t)(ROOM - n));
	else
		to = (from + random_number(300) + ROOM - n - 150) % (ROOM - n);
	for (size_t i = 0; i < ROOM; i++)
		before[i] = bytes[i] = (unsigned char)(i * 7 + i / 251 + (size_t)round);
	CHECK(memmove(bytes + to, bytes + from, n) == bytes + to);
	for (size_t i = 0; i < ROOM; i++)
		CHECK(bytes[i] == (i >= to && i < to + n ? before[i - to + from] : before[i]));
}

static void
test_blocks(int round, unsigned char *end, unsigned char *other)
{
	size_t n = random_length(), at;
	unsigned char *a = end - n, *b = other - n, guard = (unsigned char)random_number(256);
	int order = 0;

	for (size_t i = 0; i < n; i++)
		b[i] = (unsigned char)random_number(256);
	a[-1] = guard;
	CHECK(memcpy(a, b, n) == a);
	for (size_t i = 0; i < n; i++)
		CHECK(a[i] == b[i]);
	CHECK(memcmp(a, b, n) == 0);
	for (int changes = 0; n > 0 && changes < 2; changes++) {
		at = random_number((uint32_t)n);
		a[at] = (unsigned char)random_number(256);
	}
	for (size_t i = 0; i < n && order == 0; i++)
		order = sign(a[i] - b[i]);
	CHECK(sign(memcmp(a, b, n)) == order);
	CHECK(sign(memcmp(b, a, n)) == -order);
	CHECK(memset(a, round, n) == a);
	for (size_t i = 0; i < n; i++)
		CHECK(a[i] == (unsigned char)round);
	CHECK(a[-1] == guard);
}

static void
test_strings(int round, unsigned char *end, unsigned char *other)
{
	size_t n = random_length(), behind = random_number(64), i;
	unsigned char *a = end - n - 1, *b = other - n - 1 - behind;

	for (i = 0; i < n; i++)
		a[i] = b[i] = (unsigned char)(1 + random_number(255));
	for (a[n] = b[n] = 0; i < n + behind; i++)
		b[i + 1] = (unsigned char)random_number(256);
	CHECK(strlen((char *)a) == n);
	CHECK(strlen((char *)b) == n);
	CHECK(strcmp((char *)a, (char *)b) == 0);
	if (n > 0)
		b[random_number((uint32_t)n)] = (unsigned char)random_number(256);
	for (i = 0; a[i] == b[i] && a[i] != 0; i++)
		;
	CHECK(sign(strcmp((char *)a, (char *)b)) == sign(a[i] - b[i]));
	CHECK(sign(strcmp((char *)b, (char *)a)) == sign(b[i] - a[i]));
}

int
main(void)
{
	unsigned char *end = fence(), *other = fence();

	for (int round = 0; round < ROUNDS; round++) {
		if (round % 16 == 0)
			test_move(round);
		test_blocks(round, end, other);
		test_strings(round, end, other);
	}
	puts("all tests hold");
	return (0);
}
