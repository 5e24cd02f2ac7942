/* SPDX-License-Identifier: Apache-2.0 */
#include "../ingot/tree.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../ingot/hex.h"
#include "../ingot/trust.h"
#include "tests.h"

static uint8_t payload[20000];
static char text[8192];

/* Files of 0, 1, 9000, 0, 5000 and 0 bytes of the payload. */
static void
make_manifest(struct manifest *manifest)
{
	static const struct {
		const char *path;
		uint32_t size;
	} files[] = {{"a", 0}, {"b", 1}, {"d/c", 9000}, {"d/d", 0}, {"d/e", 5000}, {"z", 0}};
	size_t length = (size_t)sprintf(text, "anvil-ingot 1\nname t\nversion 1\narch x86_64\ndate 0\n");
	struct fault fault;
	uint32_t at = 0;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char digits[2 * HASH_BYTES + 1];
		uint8_t hash[HASH_BYTES];

		hash_bytes(payload + at, files[i].size, hash);
		hex_encode(hash, HASH_BYTES, digits);
		if (i == 2)
			length += (size_t)sprintf(text + length, "dir 755 d\n");
		if (i == 5)
			length += (size_t)sprintf(text + length, "link ../b d/f\n");
		length += (size_t)sprintf(
		    text + length, "file %s %u %s %s\n", i == 2 ? "755" : "644", files[i].size, digits, files[i].path);
		at += files[i].size;
	}
	length += (size_t)sprintf(text + length, "chunk %u 1 ", at);
	for (size_t i = 0; i < 2 * HASH_BYTES; i++)
		text[length++] = '0';
	length += (size_t)sprintf(text + length, "\nend\n");
	CHECK(manifest_parse(text, length, manifest, &fault));
}

static int
fresh_folder(void)
{
	static int number;
	char name[32];
	int folder;

	snprintf(name, sizeof(name), "tree.test.%d", number++);
	CHECK(mkdir(name, 0755) == 0);
	folder = open(name, O_RDONLY | O_DIRECTORY);
	CHECK(folder >= 0);
	return (folder);
}

/* From `offset` to `stop` of the payload, in pieces. */
static bool
write_part(const struct manifest *manifest, int root, size_t offset, size_t stop, size_t piece, struct fault *fault)
{
	struct tree_writer writer;
	bool well = tree_begin(&writer, manifest, root, offset, fault);

	for (size_t at = offset; well && at < stop; at += piece)
		well = tree_write(&writer, payload + at, stop - at < piece ? stop - at : piece, fault);
	well = well && (stop < manifest->size || tree_end(&writer, fault));
	tree_close(&writer);
	return (well);
}

static void
writes_and_resumes_everywhere(const struct manifest *manifest)
{
	struct fault fault;

	for (size_t offset = 0; offset <= manifest->size; offset += offset < 10 || offset > 8990 ? 1 : 997) {
		int root = fresh_folder();

		if (offset > 9010)
			offset += 1800;
		if (offset > manifest->size)
			offset = manifest->size;
		/* more was written than was remembered */
		CHECK(
		    write_part(manifest, root, 0, offset + 100 < manifest->size ? offset + 100 : offset, 333, &fault));
		CHECK(write_part(manifest, root, offset, manifest->size, 4096, &fault));
		CHECK(tree_check(manifest, root, true, &fault));
		close(root);
	}
}

static void
finds_what_differs(const struct manifest *manifest)
{
	struct fault fault;
	int root = fresh_folder(), file;

	CHECK(write_part(manifest, root, 0, manifest->size, 4096, &fault) && tree_check(manifest, root, true, &fault));
	file = openat(root, "d/c", O_RDWR);
	CHECK(pwrite(file, "x", 1, 4000) == 1 && pwrite(file, "y", 1, 4001) == 1);
	CHECK(tree_check(manifest, root, false, &fault));
	CHECK(!tree_check(manifest, root, true, &fault) && strcmp(fault.code, "E_INGOT_DAMAGED") == 0);
	CHECK(strcmp(fault.details, "d/c has other contents\n") == 0);
	CHECK(ftruncate(file, 10) == 0 && fchmodat(root, "b", 0600, 0) == 0 && unlinkat(root, "d/f", 0) == 0);
	CHECK(symlinkat("../a", root, "d/f") == 0 && unlinkat(root, "z", 0) == 0 && symlinkat("b", root, "z") == 0);
	CHECK(unlinkat(root, "a", 0) == 0 && mkdirat(root, "d/new", 0755) == 0);
	CHECK(!tree_check(manifest, root, true, &fault));
	CHECK(strcmp(fault.details,
		  "a is missing\nb has another mode\nd/c has another size\nd/f leads elsewhere\nz is of another type\n"
		  "d/new is not part of the ingot\n") == 0);
	close(file);
	close(root);
}

static void
refuses_other_contents(const struct manifest *manifest)
{
	struct fault fault;
	int root = fresh_folder();

	payload[5000] ^= 1;
	CHECK(!write_part(manifest, root, 0, manifest->size, 4096, &fault));
	CHECK(strcmp(fault.code, "E_INGOT_MANIFEST") == 0 && strstr(fault.message, "d/c") != NULL);
	payload[5000] ^= 1;
	close(root);
}

static void
refuses_programs_of_other_machines(void)
{
	static const uint8_t arm[20] = {0x7f, 'E', 'L', 'F', 2, 1, 1, [18] = 0xb7};
	char digits[2 * HASH_BYTES + 1];
	uint8_t hash[HASH_BYTES];
	struct manifest manifest;
	struct tree_writer writer;
	struct fault fault;
	int root = fresh_folder(), length;

	hash_bytes(arm, sizeof(arm), hash);
	hex_encode(hash, HASH_BYTES, digits);
	length = sprintf(text,
	    "anvil-ingot 1\nname t\nversion 1\narch x86_64\ndate 0\nfile 755 20 %s a\nchunk 20 1 %s\nend\n", digits,
	    digits);
	CHECK(
	    manifest_parse(text, (size_t)length, &manifest, &fault) && tree_begin(&writer, &manifest, root, 0, &fault));
	CHECK(tree_write(&writer, arm, 10, &fault) && !tree_write(&writer, arm + 10, 10, &fault));
	CHECK(strcmp(fault.code, "E_INGOT_ARCH") == 0);
	tree_close(&writer);
	manifest_free(&manifest);
	close(root);
}

/* A link that was put where a file belongs is not written through. */
static void
does_not_follow_links(const struct manifest *manifest)
{
	struct fault fault;
	int root = fresh_folder(), outside = open("outside.test", O_RDWR | O_CREAT, 0644);

	CHECK(symlinkat("../outside.test", root, "b") == 0);
	CHECK(!write_part(manifest, root, 0, manifest->size, 4096, &fault));
	CHECK(lseek(outside, 0, SEEK_END) == 0);
	close(outside);
	close(root);
}

void
test_tree(void)
{
	struct manifest manifest;

	umask(022);
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)random_number(256);
	make_manifest(&manifest);
	writes_and_resumes_everywhere(&manifest);
	finds_what_differs(&manifest);
	refuses_other_contents(&manifest);
	refuses_programs_of_other_machines();
	does_not_follow_links(&manifest);
	manifest_free(&manifest);
}
