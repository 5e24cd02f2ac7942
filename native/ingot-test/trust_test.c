/* SPDX-License-Identifier: Apache-2.0 */
#include "../ingot/trust.h"

#include <fcntl.h>
#include <sodium/crypto_sign_ed25519.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../ingot/hex.h"
#include "tests.h"

#define PREFIX "AnvilOS ingot manifest, version 1\n"

static const char folder[] = "trust.test";

static void
write_file(const char *name, const char *text)
{
	char path[64];
	int file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	CHECK(file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text));
	close(file);
}

/* The head line for a manifest, signed. Its length. */
static size_t
sign_head(const char *manifest, size_t length, const uint8_t *secret, char *head)
{
	static char message[1 << 16];
	uint8_t signature[SIGNATURE_BYTES];
	char digits[2 * SIGNATURE_BYTES + 1];

	memcpy(message, PREFIX, sizeof(PREFIX) - 1);
	memcpy(message + sizeof(PREFIX) - 1, manifest, length);
	crypto_sign_ed25519_detached(signature, NULL, (uint8_t *)message, sizeof(PREFIX) - 1 + length, secret);
	hex_encode(signature, sizeof(signature), digits);
	return ((size_t)sprintf(head, "ANVIL-INGOT 1 %zu %s\n", length, digits));
}

/* RFC 7693, appendix A, and RFC 8032, section 7.1, test 2. */
static void
knows_the_published_vectors(void)
{
	static const char abc[] = "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
				  "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923";
	static const char public[] = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
	static const char signature[] = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
					"085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
	uint8_t hash[HASH_BYTES], key[32], bytes[64];
	char digits[2 * HASH_BYTES + 1];

	hash_bytes("abc", 3, hash);
	hex_encode(hash, sizeof(hash), digits);
	CHECK(strcmp(digits, abc) == 0);
	CHECK(hex_decode(public, key, sizeof(key)) && hex_decode(signature, bytes, sizeof(bytes)));
	CHECK(crypto_sign_ed25519_verify_detached(bytes, (const uint8_t *)"\x72", 1, key) == 0);
	CHECK(crypto_sign_ed25519_verify_detached(bytes, (const uint8_t *)"\x73", 1, key) != 0);
}

static void
takes_trusted_signatures_only(void)
{
	uint8_t seed[32] = {1}, public[2][32], secret[2][64];
	char digits[65], id[TRUST_ID_DIGITS + 1], head[512], text[4096];
	struct trust trust;
	struct fault fault;
	struct head parsed;
	size_t length, size = strlen(sample);

	crypto_sign_ed25519_seed_keypair(public[0], secret[0], seed);
	seed[0] = 2;
	crypto_sign_ed25519_seed_keypair(public[1], secret[1], seed);
	mkdir(folder, 0755);
	hex_encode(public[0], 32, digits);
	strcat(digits, "\n");
	write_file("a.pub", digits);
	write_file("readme.txt", "not a key");
	CHECK(trust_load(folder, &trust, &fault) && trust.count == 1);

	length = sign_head(sample, size, secret[0], head);
	memcpy(text, head, length);
	memcpy(text + length, sample, size);
	CHECK(head_parse(text, length + size, &parsed, &fault));
	CHECK(parsed.length == length && parsed.manifest_length == size);
	CHECK(trust_check(&trust, &parsed, text + length, id, &fault) && strcmp(id, trust.keys[0].id) == 0);
	/* every single bit of the signature and some of the manifest */
	for (size_t bit = 0; bit < 8 * SIGNATURE_BYTES; bit++) {
		parsed.signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CHECK(!trust_check(&trust, &parsed, text + length, id, &fault));
		parsed.signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t at = 0; at < size; at += 7) {
		text[length + at] ^= 1;
		CHECK(!trust_check(&trust, &parsed, text + length, id, &fault));
		text[length + at] ^= 1;
	}
	CHECK(trust_check(&trust, &parsed, text + length, id, &fault));
	length = sign_head(sample, size, secret[1], head);
	CHECK(head_parse(head, length, &parsed, &fault));
	CHECK(!trust_check(&trust, &parsed, sample, id, &fault) && strcmp(fault.code, "E_INGOT_SIGNATURE") == 0);
	trust.count = 0;
	CHECK(!trust_check(&trust, &parsed, sample, id, &fault));
}

static void
refuses_broken_keys(void)
{
	struct trust trust;
	struct fault fault;

	write_file("b.pub", "0123\n");
	CHECK(!trust_load(folder, &trust, &fault) && strcmp(fault.code, "E_INGOT_TRUST") == 0);
	CHECK(trust_load("missing.test", &trust, &fault) && trust.count == 0);
}

static void
refuses_broken_heads(void)
{
	static const char *const heads[] = {"", "ANVIL-INGOT 1 ", "ANVIL-INGOT 2 1 \n", "ANVIL-INGOT 1 x\n",
	    "ANVIL-INGOT 1 99999999999999 \n", "ANVIL-INGOT 1 5 00\n", "ANVIL-INGOT 1 5\n", "\n"};
	char sane[512], bytes[1024];
	uint8_t seed[32] = {3}, public[32], secret[64];
	struct head head;
	struct fault fault;
	size_t sane_length;

	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		char *copy = fenced(heads[i], strlen(heads[i]));

		CHECK(!head_parse(copy, strlen(heads[i]), &head, &fault));
		fenced_free(copy, strlen(heads[i]));
	}
	crypto_sign_ed25519_seed_keypair(public, secret, seed);
	sane_length = sign_head(sample, strlen(sample), secret, sane);
	for (int i = 0; i < 100000; i++) {
		memcpy(bytes, sane, sane_length);
		size_t length = mutate(bytes, sane_length, sizeof(bytes));
		char *copy = fenced(bytes, length);

		if (head_parse(copy, length, &head, &fault))
			CHECK(head.manifest_length <= MANIFEST_MAX && head.length <= length);
		fenced_free(copy, length);
	}
}

void
test_trust(void)
{
	knows_the_published_vectors();
	takes_trusted_signatures_only();
	refuses_broken_keys();
	refuses_broken_heads();
}
