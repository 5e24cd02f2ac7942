/* SPDX-License-Identifier: Apache-2.0 */
#include "trust.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium/crypto_generichash_blake2b.h>
#include <sodium/crypto_sign_ed25519.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hex.h"

/* What is signed is this and the manifest, so that a signature made for something else never fits. */
#define SIGNED_PREFIX "AnvilOS ingot manifest, version 1\n"

void
hash_bytes(const void *bytes, size_t length, uint8_t hash[HASH_BYTES])
{
	crypto_generichash_blake2b(hash, HASH_BYTES, bytes, length, NULL, 0);
}

void
manifest_key(const char *manifest, size_t length, char key[KEY_DIGITS + 1])
{
	uint8_t hash[HASH_BYTES];

	hash_bytes(manifest, length, hash);
	hex_encode(hash, KEY_DIGITS / 2, key);
}

static bool
load_key(int folder, const char *name, struct trust *trust, struct fault *fault)
{
	char text[2 * PUBLIC_KEY_BYTES + 2] = "";
	uint8_t hash[HASH_BYTES];
	int file = openat(folder, name, O_RDONLY | O_CLOEXEC);
	ssize_t length = file < 0 ? -1 : read(file, text, sizeof(text));

	if (file >= 0)
		close(file);
	if (length == 2 * PUBLIC_KEY_BYTES + 1 && text[length - 1] == '\n')
		length--;
	if (trust->count == TRUST_MAX)
		return (fail(fault, "E_INGOT_TRUST", NULL, "there are more than %u trusted keys", TRUST_MAX));

	struct trusted *trusted = &trust->keys[trust->count];

	if (length != 2 * PUBLIC_KEY_BYTES || !hex_decode(text, trusted->key, PUBLIC_KEY_BYTES))
		return (fail(fault, "E_INGOT_TRUST", "remove it, or write 64 hexadecimal digits into it",
		    "%s is no public key", name));
	hash_bytes(trusted->key, PUBLIC_KEY_BYTES, hash);
	hex_encode(hash, TRUST_ID_DIGITS / 2, trusted->id);
	trust->count++;
	return (true);
}

bool
trust_load(const char *folder, struct trust *trust, struct fault *fault)
{
	DIR *entries = opendir(folder);
	struct dirent *entry;
	bool well = true;

	trust->count = 0;
	if (entries == NULL)
		return (errno == ENOENT || fail_errno(fault, "cannot read %s", folder));
	while (well && (entry = readdir(entries)) != NULL) {
		size_t length = strlen(entry->d_name);

		if (length > 4 && strcmp(entry->d_name + length - 4, ".pub") == 0)
			well = load_key(dirfd(entries), entry->d_name, trust, fault);
	}
	closedir(entries);
	return (well);
}

bool
head_parse(const char *text, size_t length, struct head *head, struct fault *fault)
{
	static const char magic[] = "ANVIL-INGOT 1 ";
	const size_t begin = sizeof(magic) - 1;
	size_t limit = length < HEAD_MAX ? length : HEAD_MAX;
	const char *feed = memchr(text, '\n', limit);
	size_t at = begin, bytes = 0;

	if (feed == NULL || limit < begin || memcmp(text, magic, begin) != 0)
		return (
		    fail(fault, "E_INGOT_MANIFEST", NULL, "this is no ingot: it does not begin with ANVIL-INGOT 1"));
	for (; text[at] >= '0' && text[at] <= '9' && bytes <= MANIFEST_MAX; at++)
		bytes = bytes * 10 + (size_t)(text[at] - '0');
	if (at == begin || bytes > MANIFEST_MAX)
		return (fail(fault, "E_INGOT_MANIFEST", NULL, "the size of the manifest is no number up to 16 MiB"));
	if (text[at] != ' ' || (size_t)(feed - text) != at + 1 + 2 * SIGNATURE_BYTES ||
	    !hex_decode(text + at + 1, head->signature, SIGNATURE_BYTES))
		return (fail(fault, "E_INGOT_SIGNATURE", NULL, "the ingot bears no signature"));
	head->length = (size_t)(feed - text) + 1;
	head->manifest_length = bytes;
	return (true);
}

bool
trust_check(const struct trust *trust, const struct head *head, const char *manifest, char id[TRUST_ID_DIGITS + 1],
    struct fault *fault)
{
	const size_t prefix = sizeof(SIGNED_PREFIX) - 1;
	unsigned char *message = malloc(prefix + head->manifest_length);
	size_t i;

	if (message == NULL)
		return (fail(fault, "E_INGOT_SYSTEM", NULL, "no memory for the manifest"));
	memcpy(message, SIGNED_PREFIX, prefix);
	memcpy(message + prefix, manifest, head->manifest_length);
	for (i = 0; i < trust->count; i++) {
		if (crypto_sign_ed25519_verify_detached(
			head->signature, message, prefix + head->manifest_length, trust->keys[i].key) == 0)
			break;
	}
	free(message);
	if (i < trust->count) {
		memcpy(id, trust->keys[i].id, TRUST_ID_DIGITS + 1);
		return (true);
	}
	fail(fault, "E_INGOT_SIGNATURE", "the system takes what is signed with the key that it was forged with",
	    trust->count == 0 ? "this system trusts no key" : "no trusted key made the signature of this ingot");
	for (i = 0; i < trust->count; i++) {
		char line[64];

		snprintf(line, sizeof(line), "trusted: %s", trust->keys[i].id);
		fault_detail(fault, line);
	}
	return (false);
}
