/* SPDX-License-Identifier: Apache-2.0 */
#include "../ingot/manifest.h"

#include <string.h>

#include "tests.h"

#define H16   "0123456789abcdef"
#define HASH  H16 H16 H16 H16 H16 H16 H16 H16
#define BEGIN "anvil-ingot 1\nname cc\nversion 14.2.0\narch x86_64\ndate 1752228000\n"

const char sample[] =
    BEGIN "needs make 4.4\nneeds bash\nservice postgres\nhealth 30 usr/libexec/health\ndata\n"
	  "proof static-PIE ELF with RELRO: usr/bin/gcc\n"
	  "dir 755 a%20b\nfile 644 0 " HASH " a%20b/%25\n"
	  "dir 755 service\ndir 755 service/postgres\nfile 755 5 " HASH " service/postgres/run\n"
	  "dir 755 usr\ndir 755 usr/bin\nfile 755 4194300 " HASH " usr/bin/gcc\nlink ../x%0Ay usr/bin/y\n"
	  "dir 755 usr/libexec\nfile 755 0 " HASH " usr/libexec/health\n"
	  "chunk 4194304 1234 " HASH "\nchunk 1 10 " HASH "\nend\n";

static bool
parses(const char *text, struct manifest *manifest, struct fault *fault)
{
	size_t length = strlen(text);
	char *copy = fenced(text, length);
	bool well = manifest_parse(copy, length, manifest, fault);

	fenced_free(copy, length);
	return (well);
}

static void
reads_one_of_everything(void)
{
	struct manifest manifest;
	struct fault fault;
	char encoded[ENCODED_BYTES];
	const struct entry *entry;

	CHECK(parses(sample, &manifest, &fault));
	CHECK(strcmp(manifest.name, "cc") == 0 && strcmp(manifest.version, "14.2.0") == 0);
	CHECK(strcmp(manifest.arch, "x86_64") == 0 && manifest.date == 1752228000);
	CHECK(manifest.needs_count == 2 && strcmp(manifest.needs[0].version, "4.4") == 0);
	CHECK(manifest.needs[1].version == NULL);
	CHECK(manifest.services_count == 1 && strcmp(manifest.services[0], "postgres") == 0);
	CHECK(manifest.health_seconds == 30 && strcmp(manifest.health, "usr/libexec/health") == 0);
	CHECK(manifest.data);
	CHECK(manifest.entries_count == 11 && manifest.chunks_count == 2);
	CHECK(manifest.size == 4194305 && manifest.stored == 1244);
	entry = manifest_find(&manifest, "a b/%", 5);
	CHECK(entry != NULL && entry->type == ENTRY_FILE && entry->mode == 0644 && entry->size == 0);
	CHECK(strcmp(path_encode(entry->path, encoded), "a%20b/%25") == 0);
	entry = manifest_find(&manifest, "usr/bin/y", 9);
	CHECK(entry != NULL && entry->type == ENTRY_LINK && strcmp(entry->text, "../x\ny") == 0);
	CHECK(manifest_find(&manifest, "usr/bin/gccx", 11) == manifest_find(&manifest, "usr/bin/gcc", 11));
	CHECK(manifest_find(&manifest, "usr/bin/gccx", 12) == NULL && manifest_find(&manifest, "usr/b", 5) == NULL);
	manifest_free(&manifest);
	CHECK(parses(BEGIN "end\n", &manifest, &fault) && manifest.entries_count == 0 && !manifest.data);
	manifest_free(&manifest);
}

/* A manifest that is refused, and what the message says. */
static const struct {
	const char *text, *says;
} refused[] = {
    {"", "ends too early"},
    {"anvil-ingot 2\n", "line 1"},
    {"anvil-ingot 1", "not ended"},
    {BEGIN, "ends too early"},
    {BEGIN "end\n\n", "after the end"},
    {BEGIN "end", "not ended"},
    {BEGIN "end x\n", "after the end of the line"},
    {BEGIN "end \n", "after the end of the line"},
    {BEGIN "colour red\nend\n", "not known"},
    {BEGIN "\nend\n", "not known"},
    {BEGIN "name cc\nend\n", "wrong place"},
    {BEGIN "service a\nneeds b\nend\n", "wrong place"},
    {BEGIN "health 1 a\nhealth 1 a\nend\n", "wrong place"},
    {"anvil-ingot 1\nversion 1\n", "wrong place"},
    {"anvil-ingot 1\nname cc\narch x86_64\n", "wrong place"},
    {"anvil-ingot 1\nname bin\n", "no name"},
    {"anvil-ingot 1\nname CC\n", "no name"},
    {"anvil-ingot 1\nname ../x\n", "no name"},
    {"anvil-ingot 1\nname\n", "no name"},
    {"anvil-ingot 1\nname  cc\n", "no name"},
    {"anvil-ingot 1\nname cc\nversion 1/2\n", "no version"},
    {"anvil-ingot 1\nname cc\nversion -1\n", "no version"},
    {"anvil-ingot 1\nname cc\nversion 1\narch x86 64\n", "after the end of the line"},
    {"anvil-ingot 1\nname cc\nversion 1\narch x\ndate 01\n", "no number"},
    {"anvil-ingot 1\nname cc\nversion 1\narch x\ndate 18446744073709551616\n", "no number"},
    {BEGIN "data\ndata\nend\n", "wrong place"},
    {BEGIN "data /var\nend\n", "after the end of the line"},
    {BEGIN "proof a\ndata\nend\n", "wrong place"},
    {BEGIN "proof \nend\n", "proof"},
    {BEGIN "service a\nend\n", "no program service/a/run"},
    {BEGIN "service a/b\nend\n", "no name of a service"},
    {BEGIN "health 0 a\nend\n", "seconds"},
    {BEGIN "health 3601 a\nend\n", "seconds"},
    {BEGIN "health 1 a\nend\n", "no program"},
    {BEGIN "health 1 a\nfile 644 0 " HASH " a\nend\n", "no program"},
    {BEGIN "dir 700 a\nend\n", "no dir"},
    {BEGIN "dir 755 /a\nend\n", "no dir"},
    {BEGIN "dir 755 a/\nend\n", "no dir"},
    {BEGIN "dir 755 a/../b\nend\n", "no dir"},
    {BEGIN "dir 755 .\nend\n", "no dir"},
    {BEGIN "dir 755 a//b\nend\n", "no dir"},
    {BEGIN "dir 755 a/b\nend\n", "lies in"},
    {BEGIN "file 755 0 " HASH " a\ndir 755 a/b\nend\n", "lies in"},
    {BEGIN "link /etc a\nfile 755 0 " HASH " a/passwd\nend\n", "lies in"},
    {BEGIN "dir 755 b\ndir 755 a\nend\n", "order"},
    {BEGIN "dir 755 a\ndir 755 a\nend\n", "order"},
    {BEGIN "dir 755 .anvil\nend\n", "agent"},
    {BEGIN "dir 755 a%2Fb\nend\n", "no dir"},
    {BEGIN "dir 755 a%00\nend\n", "no dir"},
    {BEGIN "dir 755 a%2f\nend\n", "no dir"},
    {BEGIN "dir 755 a%41\nend\n", "no dir"},
    {BEGIN "dir 755 a%\nend\n", "no dir"},
    {BEGIN "dir 755 a%2\nend\n", "no dir"},
    {BEGIN "dir 755 a\tb\nend\n", "no dir"},
    {BEGIN "file 4755 0 " HASH " a\nend\n", "mode"},
    {BEGIN "file 755 -1 " HASH " a\nend\n", "size"},
    {BEGIN "file 755 4398046511105 " HASH " a\nend\n", "size"},
    {BEGIN "file 755 4398046511104 " HASH " a\nfile 755 1 " HASH " b\nend\n", "large"},
    {BEGIN "file 755 0 0" HASH " a\nend\n", "BLAKE2b"},
    {BEGIN "file 755 0 " H16 " a\nend\n", "BLAKE2b"},
    {BEGIN "file 755 0 " HASH "\nend\n", "path"},
    {BEGIN "link  a\nend\n", "target"},
    {BEGIN "file 755 1 " HASH " a\nend\n", "do not unpack"},
    {BEGIN "chunk 1 1 " HASH "\nend\n", "do not unpack"},
    {BEGIN "chunk 0 1 " HASH "\nend\n", "sizes"},
    {BEGIN "chunk 4194305 1 " HASH "\nend\n", "sizes"},
    {BEGIN "chunk 1 4259841 " HASH "\nend\n", "sizes"},
    {BEGIN "chunk 1 1 " HASH "\nchunk 1 1 " HASH "\nend\n", "shorter"},
    {BEGIN "chunk 1 1 " HASH "\ndir 755 a\nend\n", "wrong place"},
    {BEGIN "proof \xff\nend\n", "UTF-8"},
    {BEGIN "proof \xc0\xaf\nend\n", "UTF-8"},
    {BEGIN "proof \xed\xa0\x80\nend\n", "UTF-8"},
    {BEGIN "proof \xf4\x90\x80\x80\nend\n", "UTF-8"},
    {BEGIN "proof \xe2\x82", "UTF-8"},
};

static void
refuses_what_is_wrong(void)
{
	struct manifest manifest;
	struct fault fault;

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		bool well = parses(refused[i].text, &manifest, &fault);

		if (well || strcmp(fault.code, "E_INGOT_MANIFEST") != 0 ||
		    strstr(fault.message, refused[i].says) == NULL) {
			fprintf(stderr, "%s\n-> %s\n", refused[i].text, well ? "taken" : fault.message);
			abort();
		}
		CHECK(manifest.text == NULL && manifest.entries == NULL && manifest.chunks == NULL);
	}
	CHECK(!manifest_parse("anvil-ingot 1\nname a\0b\n", 23, &manifest, &fault));
	CHECK(!manifest_parse(sample, (size_t)MANIFEST_MAX + 1, &manifest, &fault));
}

/* What is taken keeps what the rest of the program relies on. */
static void
check_sound(const struct manifest *manifest)
{
	uint64_t size = 0, unpacked = 0;

	CHECK(name_is_valid(manifest->name) && manifest->entries_count <= ENTRIES_MAX);
	for (size_t i = 0; i < manifest->entries_count; i++) {
		const struct entry *entry = &manifest->entries[i];
		const char *slash = strrchr(entry->path, '/');

		CHECK(entry->path[0] != '/' && entry->path[0] != '\0' && strlen(entry->path) <= PATH_BYTES);
		CHECK(strstr(entry->path, "//") == NULL && strncmp(entry->path, "../", 3) != 0);
		CHECK(strstr(entry->path, "/../") == NULL && strcmp(entry->path, "..") != 0);
		CHECK(i == 0 || strcmp(manifest->entries[i - 1].path, entry->path) < 0);
		CHECK(manifest_find(manifest, entry->path, strlen(entry->path)) == entry);
		if (slash != NULL)
			CHECK(manifest_find(manifest, entry->path, (size_t)(slash - entry->path))->type == ENTRY_DIR);
		size += entry->type == ENTRY_FILE ? entry->size : 0;
	}
	for (size_t i = 0; i < manifest->chunks_count; i++)
		unpacked += manifest->chunks[i].unpacked;
	CHECK(size == manifest->size && unpacked == size);
}

static void
survives_mutations(void)
{
	static char text[2 * sizeof(sample)];
	unsigned taken = 0;

	for (int i = 0; i < 100000; i++) {
		struct manifest manifest;
		struct fault fault;
		size_t length = sizeof(sample) - 1;

		memcpy(text, sample, length);
		length = mutate(text, length, sizeof(text));
		char *copy = fenced(text, length);

		if (manifest_parse(copy, length, &manifest, &fault)) {
			check_sound(&manifest);
			manifest_free(&manifest);
			taken++;
		} else
			CHECK(strcmp(fault.code, "E_INGOT_MANIFEST") == 0);
		fenced_free(copy, length);
	}
	/* the mutations reach behind the checks */
	CHECK(taken > 100);
	printf("100000 mutated manifests: %u still well-formed\n", taken);
}

static void
keeps_its_limits(void)
{
	size_t size = 64u << 20, length;
	char *text = malloc(size);
	struct manifest manifest;
	struct fault fault;

	length = (size_t)sprintf(text, "%s", BEGIN);
	for (unsigned i = 0; i <= ENTRIES_MAX; i++)
		length += (size_t)sprintf(text + length, "dir 755 %06x\n", i);
	length += (size_t)sprintf(text + length, "end\n");
	CHECK(!manifest_parse(text, length, &manifest, &fault) && strstr(fault.message, "too many files") != NULL);
	length = (size_t)sprintf(text, "%s", BEGIN);
	for (unsigned i = 0; i <= FACTS_MAX; i++)
		length += (size_t)sprintf(text + length, "needs a%u\n", i);
	CHECK(!manifest_parse(text, length, &manifest, &fault) && strstr(fault.message, "too many needs") != NULL);
	free(text);
}

static int
sign(int number)
{
	return (number > 0 ? 1 : number < 0 ? -1 : 0);
}

static void
compares_versions(void)
{
	static const struct {
		const char *a, *b;
		int order;
	} pairs[] = {{"1", "1", 0}, {"14.10", "14.9", 1}, {"1.0", "1", 1}, {"2", "10", -1}, {"1.02", "1.2", 0},
	    {"1.0a", "1.0b", -1}, {"1.0-2", "1.0-10", -1}, {"16.4", "9.6", 1}, {"1.2.3", "1.2.3+1", -1}};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		CHECK(sign(version_compare(pairs[i].a, pairs[i].b)) == pairs[i].order);
		CHECK(sign(version_compare(pairs[i].b, pairs[i].a)) == -pairs[i].order);
	}
}

void
test_manifest(void)
{
	reads_one_of_everything();
	refuses_what_is_wrong();
	survives_mutations();
	keeps_its_limits();
	compares_versions();
}
