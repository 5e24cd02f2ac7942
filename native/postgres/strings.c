/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * Copies and comparisons of the server, in the place of the C library's: musl copies with `rep movs`, which costs more to
 * start than most rows have bytes, and compares byte by byte. SSE2 is in every x86-64, so nothing has to be chosen.
 *
 * Short ranges are taken from both of their ends, where what is read of the middle may overlap.
 */
#include <emmintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* From here on `rep movs` and `rep stos`, which write whole lines of the cache, are the faster. */
#define LONG 2048

#define SIXTEEN(p)            _mm_loadu_si128((const __m128i *)(p))
#define PUT_SIXTEEN(p, value) _mm_storeu_si128((__m128i *)(p), (value))

#define WORD(bits) typedef uint##bits##_t __attribute__((may_alias, aligned(1))) word##bits;
WORD(16)
WORD(32)
WORD(64)
#undef WORD

/* Everything is read before anything is written, up to 64 bytes. */
static inline void
copy_short(char *to, const char *from, size_t n)
{
	if (n > 32) {
		__m128i a = SIXTEEN(from), b = SIXTEEN(from + 16);
		__m128i c = SIXTEEN(from + n - 32), d = SIXTEEN(from + n - 16);

		PUT_SIXTEEN(to, a);
		PUT_SIXTEEN(to + 16, b);
		PUT_SIXTEEN(to + n - 32, c);
		PUT_SIXTEEN(to + n - 16, d);
	} else if (n >= 16) {
		__m128i a = SIXTEEN(from), b = SIXTEEN(from + n - 16);

		PUT_SIXTEEN(to, a);
		PUT_SIXTEEN(to + n - 16, b);
	} else if (n >= 8) {
		uint64_t a = *(const word64 *)from, b = *(const word64 *)(from + n - 8);

		*(word64 *)to = a;
		*(word64 *)(to + n - 8) = b;
	} else if (n >= 4) {
		uint32_t a = *(const word32 *)from, b = *(const word32 *)(from + n - 4);

		*(word32 *)to = a;
		*(word32 *)(to + n - 4) = b;
	} else if (n >= 2) {
		uint16_t a = *(const word16 *)from, b = *(const word16 *)(from + n - 2);

		*(word16 *)to = a;
		*(word16 *)(to + n - 2) = b;
	} else if (n == 1) {
		*to = *from;
	}
}

void *
memmove(void *to_, const void *from_, size_t n)
{
	char *to = to_;
	const char *from = from_;

	if (n <= 64) {
		copy_short(to, from, n);
		return (to_);
	}
	if ((uintptr_t)to - (uintptr_t)from >= n) {
		__m128i e = SIXTEEN(from + n - 32), f = SIXTEEN(from + n - 16);
		char *last = to + n;

		if (n >= LONG && (uintptr_t)from - (uintptr_t)to >= n) {
			/* they do not overlap */
			n /= 8;
			__asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
		} else {
			for (; n > 32; n -= 32, to += 32, from += 32) {
				__m128i a = SIXTEEN(from), b = SIXTEEN(from + 16);

				PUT_SIXTEEN(to, a);
				PUT_SIXTEEN(to + 16, b);
			}
		}
		PUT_SIXTEEN(last - 32, e);
		PUT_SIXTEEN(last - 16, f);
	} else {
		/* from the end */
		__m128i e = SIXTEEN(from), f = SIXTEEN(from + 16);

		for (; n > 32; n -= 32) {
			__m128i a = SIXTEEN(from + n - 32), b = SIXTEEN(from + n - 16);

			PUT_SIXTEEN(to + n - 32, a);
			PUT_SIXTEEN(to + n - 16, b);
		}
		PUT_SIXTEEN(to, e);
		PUT_SIXTEEN(to + 16, f);
	}
	return (to_);
}

void *memcpy(void *restrict, const void *restrict, size_t) __attribute__((alias("memmove")));

void *
memset(void *to_, int byte, size_t n)
{
	char *to = to_;
	uint64_t eight = (unsigned char)byte * UINT64_C(0x0101010101010101);
	__m128i sixteen = _mm_set1_epi8((char)byte);

	if (n >= 16) {
		char *last = to + n - 16;

		if (n >= LONG) {
			n /= 8;
			__asm__ volatile("rep stosq" : "+D"(to), "+c"(n) : "a"(eight) : "memory");
		}
		for (; to < last; to += 16)
			PUT_SIXTEEN(to, sixteen);
		PUT_SIXTEEN(last, sixteen);
	} else if (n >= 8) {
		*(word64 *)to = eight;
		*(word64 *)(to + n - 8) = eight;
	} else if (n >= 4) {
		*(word32 *)to = (uint32_t)eight;
		*(word32 *)(to + n - 4) = (uint32_t)eight;
	} else if (n >= 2) {
		*(word16 *)to = (uint16_t)eight;
		*(word16 *)(to + n - 2) = (uint16_t)eight;
	} else if (n == 1) {
		*to = (char)byte;
	}
	return (to_);
}

/* Of two words that differ. */
static inline int
order64(uint64_t a, uint64_t b)
{
	return (__builtin_bswap64(a) < __builtin_bswap64(b) ? -1 : 1);
}

static inline int
order32(uint32_t a, uint32_t b)
{
	return (__builtin_bswap32(a) < __builtin_bswap32(b) ? -1 : 1);
}

/* One bit for each of sixteen bytes that differs. */
static inline unsigned
differences(const unsigned char *a, const unsigned char *b)
{
	return ((unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(SIXTEEN(a), SIXTEEN(b))) ^ 0xffffu);
}

int
memcmp(const void *a_, const void *b_, size_t n)
{
	const unsigned char *a = a_, *b = b_;
	unsigned found;

	if (n >= 16) {
		size_t at = 0;

		for (; at + 16 < n; at += 16) {
			if ((found = differences(a + at, b + at)) != 0)
				goto differ;
		}
		at = n - 16;
		if ((found = differences(a + at, b + at)) == 0)
			return (0);
	differ:
		at += (size_t)__builtin_ctz(found);
		return (a[at] - b[at]);
	}
	if (n >= 8) {
		uint64_t x = *(const word64 *)a, y = *(const word64 *)b;

		if (x != y)
			return (order64(x, y));
		x = *(const word64 *)(a + n - 8);
		y = *(const word64 *)(b + n - 8);
		return (x == y ? 0 : order64(x, y));
	}
	if (n >= 4) {
		uint32_t x = *(const word32 *)a, y = *(const word32 *)b;

		if (x != y)
			return (order32(x, y));
		x = *(const word32 *)(a + n - 4);
		y = *(const word32 *)(b + n - 4);
		return (x == y ? 0 : order32(x, y));
	}
	for (size_t i = 0; i < n; i++) {
		if (a[i] != b[i])
			return (a[i] - b[i]);
	}
	return (0);
}

/* An aligned read never crosses into another page, so that it may go beyond the end of a string. */
#define ALIGNED(p) ((const __m128i *)((uintptr_t)(p) & ~(uintptr_t)15))

size_t
strlen(const char *string)
{
	const __m128i *at = ALIGNED(string);
	const __m128i zero = _mm_setzero_si128();
	unsigned skip = (uintptr_t)string & 15;
	unsigned found = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(*at, zero)) >> skip;

	if (found != 0)
		return ((size_t)__builtin_ctz(found));
	do
		found = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(*++at, zero));
	while (found == 0);
	return ((size_t)((const char *)at - string) + (size_t)__builtin_ctz(found));
}

int
strcmp(const char *a_, const char *b_)
{
	const unsigned char *a = (const unsigned char *)a_, *b = (const unsigned char *)b_;

	for (;;) {
		if (((uintptr_t)a & 4095) > 4080 || ((uintptr_t)b & 4095) > 4080) {
			/* sixteen bytes may reach into a page that is not there */
			for (int i = 0; i < 16; i++, a++, b++) {
				if (*a != *b || *a == 0)
					return (*a - *b);
			}
			continue;
		}
		unsigned found =
		    differences(a, b) | (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(SIXTEEN(a), _mm_setzero_si128()));

		if (found != 0) {
			int at = __builtin_ctz(found);

			return (a[at] - b[at]);
		}
		a += 16;
		b += 16;
	}
}
