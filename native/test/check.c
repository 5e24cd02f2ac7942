/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

static size_t
fenced_size(size_t length)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return ((length + page - 1) / page * page + page);
}

char *
fenced(const void *bytes, size_t length)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = fenced_size(length);
	char *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *copy = pages + size - page - length;

	CHECK(pages != MAP_FAILED && mprotect(pages + size - page, page, PROT_NONE) == 0);
	if (length > 0)
		memcpy(copy, bytes, length);
	return (copy);
}

void
fenced_free(char *copy, size_t length)
{
	size_t size = fenced_size(length);

	CHECK(munmap(copy + length + (size_t)sysconf(_SC_PAGESIZE) - size, size) == 0);
}

uint32_t
random_number(uint32_t limit)
{
	assert(limit > 0);

	static uint64_t state = 0x9e3779b97f4a7c15u;

	/* xorshift64* */
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return ((uint32_t)((state * 0x2545f4914f6cdd1du) >> 32) % limit);
}

static uint32_t
count_pieces(void)
{
	uint32_t count = 0;

	while (pieces[count] != NULL)
		count++;
	return (count);
}

size_t
mutate(char *text, size_t length, size_t limit)
{
	for (uint32_t changes = 1 + random_number(3); changes > 0 && length > 1; changes--) {
		size_t at = random_number((uint32_t)length);
		size_t count = 1 + random_number((uint32_t)(length - at) < 200 ? (uint32_t)(length - at) : 200);
		const char *piece = pieces[random_number(count_pieces())];
		size_t size = strlen(piece);

		switch (random_number(5)) {
		case 0: /* another byte */
			text[at] = (char)random_number(256);
			break;
		case 1: /* less */
			memmove(text + at, text + at + count, length - at - count);
			length -= count;
			break;
		case 2: /* twice */
			if (length + count <= limit) {
				memmove(text + at + count, text + at, length - at);
				length += count;
			}
			break;
		case 3: /* cut off */
			length = at + 1;
			break;
		default:
			if (length + size <= limit) {
				memmove(text + at + size, text + at, length - at);
				memcpy(text + at, piece, size);
				length += size;
			}
		}
	}
	return (length);
}
