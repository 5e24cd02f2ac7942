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

/* What the agent and the host both have to say of each: ../ingot-test/vectors/README. */
#define VECTORS "/files/native/ingot-test/vectors/"

/* The content, to be given to fenced_free. */
static char *
read_vector(const char *name, size_t *length)
{
	static char path[256], bytes[1 << 16];
	FILE *file;

	snprintf(path, sizeof(path), "%s%s", VECTORS, name);
	file = fopen(path, "r");
	CHECK(file != NULL);
	*length = fread(bytes, 1, sizeof(bytes), file);
	CHECK(*length < sizeof(bytes));
	fclose(file);
	return (fenced(bytes, *length));
}

static bool
vector_parses(const char *name, struct manifest *manifest, struct fault *fault)
{
	size_t length;
	char *text = read_vector(name, &length);
	bool well = manifest_parse(text, length, manifest, fault);

	fenced_free(text, length);
	return (well);
}

static void
agrees_with_the_vectors(void)
{
	FILE *cases = fopen(VECTORS "cases", "r");
	char row[256], name[128], code[64], line[16], place[32];
	unsigned taken = 0, refused = 0;

	CHECK(cases != NULL);
	while (fgets(row, sizeof(row), cases) != NULL) {
		struct manifest manifest;
		struct fault fault = {.code = "-"};

		if (row[0] == '#')
			continue;
		CHECK(sscanf(row, "%127s %63s %15s", name, code, line) == 3);
		snprintf(place, sizeof(place), "line %s of", line);
		bool well = vector_parses(name, &manifest, &fault);

		if (strcmp(well ? "-" : fault.code, code) != 0 ||
		    (strcmp(line, "-") != 0 && strstr(fault.message, place) == NULL)) {
			fprintf(stderr, "%s-> %s %s\n", row, fault.code, well ? "" : fault.message);
			abort();
		}
		taken += well;
		refused += !well;
		if (well)
			manifest_free(&manifest);
		else
			CHECK(manifest.text == NULL && manifest.entries == NULL && manifest.chunks == NULL);
	}
	fclose(cases);
	CHECK(taken > 10 && refused > 100);
	printf("vectors: %u manifests taken, %u refused\n", taken, refused);
}

/* What the message says of a manifest that is refused. */
static const struct {
	const char *name, *says;
} sayings[] = {
    {"bad/empty", "ends too early"},
    {"bad/end-without-line-feed", "not ended"},
    {"bad/empty-line-after-the-end", "after the end"},
    {"bad/word-after-end", "after the end of the line"},
    {"bad/unknown-word", "not known"},
    {"bad/data-after-proof", "wrong place"},
    {"bad/name-in-capitals", "no name"},
    {"bad/version-with-a-slash", "no version"},
    {"bad/arch-too-long", "no architecture"},
    {"bad/date-too-late", "no number"},
    {"bad/proof-empty", "proof"},
    {"bad/sixty-five-needs", "too many needs"},
    {"bad/sixty-five-services", "too many services"},
    {"bad/service-with-a-slash", "no name of a service"},
    {"bad/service-twice", "twice"},
    {"bad/service-without-its-program", "no program service/a/run"},
    {"bad/health-without-time", "seconds"},
    {"bad/health-of-an-absent-program", "no program"},
    {"bad/path-absolute", "no dir"},
    {"bad/path-agent-folder", "agent"},
    {"bad/path-twice", "order"},
    {"bad/parent-absent", "lies in"},
    {"bad/file-with-another-mode", "mode"},
    {"bad/file-too-large", "size"},
    {"bad/files-too-large", "large"},
    {"bad/hash-too-short", "BLAKE2b"},
    {"bad/file-without-a-path", "path"},
    {"bad/link-without-a-target", "target"},
    {"bad/chunks-missing", "do not unpack"},
    {"bad/chunk-too-large", "sizes"},
    {"bad/chunk-short-but-not-the-last", "shorter"},
    {"bad/not-utf-8", "UTF-8"},
};

static void
says_what_is_wrong(void)
{
	struct manifest manifest;
	struct fault fault;

	for (size_t i = 0; i < sizeof(sayings) / sizeof(sayings[0]); i++) {
		CHECK(!vector_parses(sayings[i].name, &manifest, &fault));
		if (strstr(fault.message, sayings[i].says) == NULL) {
			fprintf(stderr, "%s\n-> %s\n", sayings[i].name, fault.message);
			abort();
		}
	}
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
	agrees_with_the_vectors();
	says_what_is_wrong();
	survives_mutations();
	keeps_its_limits();
	compares_versions();
}
