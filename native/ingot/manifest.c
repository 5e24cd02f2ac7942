/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hex.h"

#define SIZE_LIMIT (UINT64_C(1) << 42) /* of all files of an ingot: sums stay far from overflow */

/* What is left of a line; words are cut off its front. */
struct line {
	char *at;
	unsigned number;
};

/* The next word, ended by one space or the end of the line; NULL when there is none. */
static char *
next_word(struct line *line)
{
	char *word = line->at;

	if (word == NULL || *word == '\0' || *word == ' ')
		return (NULL);
	line->at = strchr(word, ' ');
	if (line->at != NULL)
		*line->at++ = '\0';
	return (word);
}

static bool
bad_line(struct fault *fault, const struct line *line, const char *why)
{
	return (fail(fault, "E_INGOT_MANIFEST", "the ingot was made by a tool that does not know this format",
	    "line %u of the manifest: %s", line->number, why));
}

bool
read_number(const char *word, uint64_t limit, uint64_t *number)
{
	uint64_t value = 0;

	if (word == NULL || *word == '\0' || (word[0] == '0' && word[1] != '\0'))
		return (false);
	for (; *word != '\0'; word++) {
		if (*word < '0' || *word > '9')
			return (false);
		value = value * 10 + (uint64_t)(*word - '0');
		if (value > limit)
			return (false);
	}
	*number = value;
	return (true);
}

static bool
read_hash(const char *word)
{
	uint8_t hash[HASH_BYTES];

	return (word != NULL && strlen(word) == 2 * HASH_BYTES && hex_decode(word, hash, HASH_BYTES));
}

/* 1 to `limit` characters of `set`. */
static bool
consists_of(const char *word, const char *set, size_t limit)
{
	size_t length = word == NULL ? 0 : strlen(word);

	return (length >= 1 && length <= limit && strspn(word, set) == length);
}

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

bool
name_is_valid(const char *name)
{
	/* /ingots/bin is the folder of programs */
	return (consists_of(name, LOWER DIGITS "-", 32) && name[0] != '-' && strcmp(name, "bin") != 0);
}

static bool
version_is_valid(const char *version)
{
	return (consists_of(version, LOWER UPPER DIGITS ".+~_-", 64) && strchr(".+~_-", version[0]) == NULL);
}

static bool
is_encoded(unsigned char c)
{
	return (c <= ' ' || c == '%' || c == 0x7f);
}

static int
encoded_digit(char c)
{
	return (c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' ? -1 : hex_digit(c));
}

/* In place. False unless exactly those characters are encoded that have to be, with upper-case digits. */
static bool
percent_decode(char *text)
{
	char *to = text;

	for (const char *from = text; *from != '\0'; from++) {
		if (*from != '%') {
			if (is_encoded((unsigned char)*from))
				return (false);
			*to++ = *from;
			continue;
		}
		int high = encoded_digit(from[1]);
		int low = high < 0 ? -1 : encoded_digit(from[2]);

		if (low < 0 || (high << 4 | low) == 0 || !is_encoded((unsigned char)(high << 4 | low)))
			return (false);
		*to++ = (char)(high << 4 | low);
		from += 2;
	}
	*to = '\0';
	return (true);
}

const char *
path_encode(const char *path, char encoded[ENCODED_BYTES])
{
	char *to = encoded;

	for (; *path != '\0' && to + 3 < encoded + ENCODED_BYTES; path++) {
		if (is_encoded((unsigned char)*path))
			to += sprintf(to, "%%%02X", (unsigned char)*path);
		else
			*to++ = *path;
	}
	*to = '\0';
	return (encoded);
}

/* Relative, every segment of 1 to 255 bytes and neither "." nor "..". */
static bool
path_is_valid(const char *path)
{
	if (strlen(path) > PATH_BYTES)
		return (false);
	for (;;) {
		size_t length = strcspn(path, "/");

		if (length == 0 || length > 255 || (length <= 2 && strspn(path, ".") >= length))
			return (false);
		if (path[length] == '\0')
			return (true);
		path += length + 1;
	}
}

char *
path_decode(char *encoded)
{
	return (percent_decode(encoded) && path_is_valid(encoded) ? encoded : NULL);
}

static char *
read_path(struct line *line)
{
	char *path = next_word(line);

	return (path != NULL ? path_decode(path) : NULL);
}

const struct entry *
manifest_find(const struct manifest *manifest, const char *path, size_t length)
{
	size_t low = 0, high = manifest->entries_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct entry *entry = &manifest->entries[middle];
		int order = strncmp(path, entry->path, length);

		if (order == 0 && entry->path[length] == '\0')
			return (entry);
		if (order > 0)
			low = middle + 1;
		else
			high = middle;
	}
	return (NULL);
}

/* Room for one more element, doubling; NULL at the limit or without memory. */
static void *
grow(void *array, size_t count, size_t size, size_t limit)
{
	if (count >= limit)
		return (NULL);
	if ((count & (count - 1)) != 0 || (count != 0 && count < 64))
		return (array);
	return (realloc(array, (count < 64 ? 64 : 2 * count) * size));
}

static bool
add_entry(struct manifest *manifest, struct entry entry, const struct line *line, struct fault *fault)
{
	const char *slash = strrchr(entry.path, '/');
	size_t own = strlen(OWN_FOLDER);

	if (strncmp(entry.path, OWN_FOLDER, own) == 0 && (entry.path[own] == '/' || entry.path[own] == '\0'))
		return (bad_line(fault, line, "the folder " OWN_FOLDER " belongs to the agent"));
	if (manifest->entries_count > 0 && strcmp(manifest->entries[manifest->entries_count - 1].path, entry.path) >= 0)
		return (bad_line(fault, line, "the paths are not in their order, or one stands there twice"));
	if (slash != NULL) {
		const struct entry *parent = manifest_find(manifest, entry.path, (size_t)(slash - entry.path));

		if (parent == NULL || parent->type != ENTRY_DIR)
			return (bad_line(fault, line, "what the path lies in is not a dir of the manifest"));
	}
	struct entry *entries = grow(manifest->entries, manifest->entries_count, sizeof(entry), ENTRIES_MAX);

	if (entries == NULL)
		return (bad_line(fault, line, "too many files"));
	manifest->entries = entries;
	entries[manifest->entries_count++] = entry;
	return (true);
}

static bool
read_name(struct manifest *manifest, struct line *line, struct fault *fault)
{
	manifest->name = next_word(line);
	return (name_is_valid(manifest->name) || bad_line(fault, line, "this is no name of an ingot"));
}

static bool
read_version(struct manifest *manifest, struct line *line, struct fault *fault)
{
	manifest->version = next_word(line);
	return (version_is_valid(manifest->version) || bad_line(fault, line, "this is no version"));
}

static bool
read_arch(struct manifest *manifest, struct line *line, struct fault *fault)
{
	manifest->arch = next_word(line);
	return (consists_of(manifest->arch, LOWER DIGITS "_", 16) || bad_line(fault, line, "this is no architecture"));
}

static bool
read_date(struct manifest *manifest, struct line *line, struct fault *fault)
{
	return (read_number(next_word(line), UINT64_C(1) << 40, &manifest->date) ||
	    bad_line(fault, line, "this is no number of seconds"));
}

static bool
read_need(struct manifest *manifest, struct line *line, struct fault *fault)
{
	if (manifest->needs_count == FACTS_MAX)
		return (bad_line(fault, line, "too many needs"));

	struct need *need = &manifest->needs[manifest->needs_count++];

	need->name = next_word(line);
	need->version = next_word(line);
	if (!name_is_valid(need->name) || (need->version != NULL && !version_is_valid(need->version)))
		return (bad_line(fault, line, "this is no name of an ingot, or no version"));
	return (true);
}

static bool
read_service(struct manifest *manifest, struct line *line, struct fault *fault)
{
	char *name = next_word(line);

	if (manifest->services_count == FACTS_MAX)
		return (bad_line(fault, line, "too many services"));
	if (!consists_of(name, LOWER DIGITS "_-", 32) || name[0] == '-')
		return (bad_line(fault, line, "this is no name of a service"));
	for (size_t i = 0; i < manifest->services_count; i++) {
		if (strcmp(manifest->services[i], name) == 0)
			return (bad_line(fault, line, "this service stands there twice"));
	}
	manifest->services[manifest->services_count++] = name;
	return (true);
}

static bool
read_health(struct manifest *manifest, struct line *line, struct fault *fault)
{
	uint64_t seconds = 0;

	if (!read_number(next_word(line), 3600, &seconds) || seconds == 0)
		return (bad_line(fault, line, "this is no number of seconds up to 3600"));
	manifest->health_seconds = (unsigned)seconds;
	manifest->health = read_path(line);
	return (manifest->health != NULL || bad_line(fault, line, "this is no path"));
}

static bool
read_data(struct manifest *manifest, struct line *line, struct fault *fault)
{
	(void)line;
	(void)fault;
	manifest->data = true;
	return (true);
}

/* For people; nothing here depends on it. */
static bool
read_proof(struct manifest *manifest, struct line *line, struct fault *fault)
{
	(void)manifest;
	if (line->at == NULL || *line->at == '\0')
		return (bad_line(fault, line, "the proof is empty"));
	line->at = NULL;
	return (true);
}

static bool
read_dir(struct manifest *manifest, struct line *line, struct fault *fault)
{
	const char *mode = next_word(line);
	struct entry entry = {.type = ENTRY_DIR, .mode = 0755, .path = read_path(line)};

	if (mode == NULL || strcmp(mode, "755") != 0 || entry.path == NULL)
		return (bad_line(fault, line, "this is no dir: the mode is 755, the path relative"));
	return (add_entry(manifest, entry, line, fault));
}

static bool
read_file(struct manifest *manifest, struct line *line, struct fault *fault)
{
	const char *mode = next_word(line);
	struct entry entry = {.type = ENTRY_FILE};

	if (mode == NULL || (strcmp(mode, "755") != 0 && strcmp(mode, "644") != 0))
		return (bad_line(fault, line, "the mode of a file is 755 or 644"));
	entry.mode = mode[0] == '7' ? 0755 : 0644;
	if (!read_number(next_word(line), SIZE_LIMIT, &entry.size))
		return (bad_line(fault, line, "this is no size"));
	entry.text = next_word(line);
	if (!read_hash(entry.text))
		return (bad_line(fault, line, "this is no BLAKE2b-512"));
	entry.path = read_path(line);
	if (entry.path == NULL)
		return (bad_line(fault, line, "this is no relative path"));
	manifest->size += entry.size;
	if (manifest->size > SIZE_LIMIT)
		return (bad_line(fault, line, "the files are too large"));
	return (add_entry(manifest, entry, line, fault));
}

static bool
read_link(struct manifest *manifest, struct line *line, struct fault *fault)
{
	char *target = next_word(line);
	struct entry entry = {.type = ENTRY_LINK, .mode = 0777, .text = target};

	if (target == NULL || !percent_decode(target) || strlen(target) > PATH_BYTES)
		return (bad_line(fault, line, "this is no target of a link"));
	entry.path = read_path(line);
	if (entry.path == NULL)
		return (bad_line(fault, line, "this is no relative path"));
	return (add_entry(manifest, entry, line, fault));
}

static bool
read_chunk(struct manifest *manifest, struct line *line, struct fault *fault)
{
	struct chunk chunk = {.unpacked = 0};
	uint64_t unpacked = 0, stored = 0;

	if (!read_number(next_word(line), CHUNK_SIZE, &unpacked) || unpacked == 0 ||
	    !read_number(next_word(line), CHUNK_STORED_MAX, &stored) || stored == 0)
		return (bad_line(fault, line, "the sizes of a chunk are 1 to 4194304 and what that takes at most"));
	chunk.unpacked = (uint32_t)unpacked;
	chunk.stored = (uint32_t)stored;
	chunk.hash = next_word(line);
	if (!read_hash(chunk.hash))
		return (bad_line(fault, line, "this is no BLAKE2b-512"));
	if (manifest->chunks_count > 0 && manifest->chunks[manifest->chunks_count - 1].unpacked != CHUNK_SIZE)
		return (bad_line(fault, line, "only the last chunk may be shorter than 4194304"));

	struct chunk *chunks = grow(manifest->chunks, manifest->chunks_count, sizeof(chunk), CHUNKS_MAX);

	if (chunks == NULL)
		return (bad_line(fault, line, "too many chunks"));
	manifest->chunks = chunks;
	chunks[manifest->chunks_count++] = chunk;
	manifest->stored += stored;
	return (true);
}

static bool
read_end(struct manifest *manifest, struct line *line, struct fault *fault)
{
	(void)manifest;
	(void)line;
	(void)fault;
	return (true);
}

/* Facts in the order in which they stand; those of one rank may alternate. */
static const struct fact {
	const char *word;
	unsigned rank;
	bool repeats;
	bool (*read)(struct manifest *, struct line *, struct fault *);
} facts[] = {
    {"name", 1, false, read_name},
    {"version", 2, false, read_version},
    {"arch", 3, false, read_arch},
    {"date", 4, false, read_date},
    {"needs", 5, true, read_need},
    {"service", 6, true, read_service},
    {"health", 7, false, read_health},
    {"data", 8, false, read_data},
    {"proof", 9, true, read_proof},
    {"dir", 10, true, read_dir},
    {"file", 10, true, read_file},
    {"link", 10, true, read_link},
    {"chunk", 11, true, read_chunk},
    {"end", 12, false, read_end},
};

/* Of these ranks there is one line each; the others may be missing. */
#define REQUIRED_FIRST 4u
#define RANK_END       12u

static bool
read_fact(struct manifest *manifest, struct line *line, unsigned *rank, struct fault *fault)
{
	const char *word = next_word(line);

	for (size_t i = 0; word != NULL && i < sizeof(facts) / sizeof(facts[0]); i++) {
		const struct fact *fact = &facts[i];

		if (strcmp(word, fact->word) != 0)
			continue;
		if (fact->rank < *rank || (fact->rank == *rank && !fact->repeats) ||
		    (*rank < REQUIRED_FIRST && fact->rank != *rank + 1))
			return (bad_line(fault, line, "this line stands in the wrong place"));
		*rank = fact->rank;
		if (!fact->read(manifest, line, fault))
			return (false);
		return (line->at == NULL || bad_line(fault, line, "there is something after the end of the line"));
	}
	return (bad_line(fault, line, "it begins with a word that is not known"));
}

/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. No NUL either. */
static bool
is_text(const unsigned char *at, const unsigned char *end)
{
	while (at < end) {
		unsigned char first = *at++;
		unsigned more = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
		unsigned char least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
		unsigned char most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;

		if (first == 0 || (first >= 0x80 && first < 0xc2) || first > 0xf4)
			return (false);
		for (; more > 0; more--, at++, least = 0x80, most = 0xbf) {
			if (at == end || *at < least || *at > most)
				return (false);
		}
	}
	return (true);
}

static bool
is_program(const struct manifest *manifest, const char *path)
{
	const struct entry *entry = manifest_find(manifest, path, strlen(path));

	return (entry != NULL && entry->type == ENTRY_FILE && entry->mode == 0755);
}

/* What only the whole can tell. */
static bool
check_whole(const struct manifest *manifest, struct fault *fault)
{
	uint64_t unpacked = 0;
	char run[64];

	for (size_t i = 0; i < manifest->chunks_count; i++)
		unpacked += manifest->chunks[i].unpacked;
	if (unpacked != manifest->size)
		return (fail(fault, "E_INGOT_MANIFEST", NULL, "the chunks do not unpack to the size of the files"));
	if (manifest->health != NULL && !is_program(manifest, manifest->health))
		return (fail(fault, "E_INGOT_MANIFEST", NULL, "health names no program of the ingot"));
	for (size_t i = 0; i < manifest->services_count; i++) {
		snprintf(run, sizeof(run), "service/%s/run", manifest->services[i]);
		if (!is_program(manifest, run))
			return (fail(fault, "E_INGOT_MANIFEST", NULL, "the ingot has no program %s", run));
	}
	return (true);
}

static bool
read_lines(struct manifest *manifest, size_t length, struct fault *fault)
{
	static const char first[] = "anvil-ingot 1";
	struct line line = {.at = manifest->text, .number = 0};
	char *const end = manifest->text + length;
	unsigned rank = 0;

	for (char *at = manifest->text; at < end;) {
		char *feed = memchr(at, '\n', (size_t)(end - at));

		line.at = at;
		line.number++;
		if (feed == NULL)
			return (bad_line(fault, &line, "it is not ended by a line feed"));
		*feed = '\0';
		if (line.number == 1 ? strcmp(at, first) != 0 : rank == RANK_END)
			return (bad_line(fault, &line,
			    line.number == 1 ? "it is not \"anvil-ingot 1\"" : "it stands after the end"));
		if (line.number > 1 && !read_fact(manifest, &line, &rank, fault))
			return (false);
		at = feed + 1;
	}
	return (rank == RANK_END || bad_line(fault, &line, "the manifest ends too early"));
}

bool
manifest_parse(const char *text, size_t length, struct manifest *manifest, struct fault *fault)
{
	bool well;

	memset(manifest, 0, sizeof(*manifest));
	if (length > MANIFEST_MAX)
		return (fail(fault, "E_INGOT_MANIFEST", NULL, "the manifest is larger than 16 MiB"));
	if (!is_text((const unsigned char *)text, (const unsigned char *)text + length))
		return (fail(fault, "E_INGOT_MANIFEST", NULL, "the manifest is not text in UTF-8"));
	manifest->text = malloc(length + 1);
	if (manifest->text == NULL)
		return (fail(fault, "E_INGOT_SYSTEM", NULL, "no memory for the manifest"));
	memcpy(manifest->text, text, length);
	manifest->text[length] = '\0';
	well = read_lines(manifest, length, fault) && check_whole(manifest, fault);
	if (!well)
		manifest_free(manifest);
	return (well);
}

void
manifest_free(struct manifest *manifest)
{
	free(manifest->text);
	free(manifest->entries);
	free(manifest->chunks);
	memset(manifest, 0, sizeof(*manifest));
}

int
version_compare(const char *a, const char *b)
{
	while (*a != '\0' && *b != '\0') {
		size_t digits_a = strspn(a, DIGITS), digits_b = strspn(b, DIGITS);

		if (digits_a == 0 || digits_b == 0) {
			if (*a != *b)
				return ((unsigned char)*a - (unsigned char)*b);
			a++;
			b++;
			continue;
		}
		for (; *a == '0' && digits_a > 1; a++)
			digits_a--;
		for (; *b == '0' && digits_b > 1; b++)
			digits_b--;
		if (digits_a != digits_b)
			return (digits_a > digits_b ? 1 : -1);

		int order = strncmp(a, b, digits_a);

		if (order != 0)
			return (order);
		a += digits_a;
		b += digits_b;
	}
	return ((unsigned char)*a - (unsigned char)*b);
}
