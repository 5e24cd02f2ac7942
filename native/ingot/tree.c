/* SPDX-License-Identifier: Apache-2.0 */
#include "tree.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frames.h"
#include "hex.h"

#define READ_BYTES (128u << 10)

static const struct entry *
current(const struct tree_writer *writer)
{
	return (&writer->manifest->entries[writer->at]);
}

/* Goes on to the next file, from `at` on. False when there is none. */
static bool
find_file(struct tree_writer *writer)
{
	while (writer->at < writer->manifest->entries_count) {
		if (current(writer)->type == ENTRY_FILE)
			return (true);
		writer->at++;
	}
	return (false);
}

static bool
make_folders(const struct manifest *manifest, int root, struct fault *fault)
{
	char name[ENCODED_BYTES];

	for (size_t i = 0; i < manifest->entries_count; i++) {
		const struct entry *entry = &manifest->entries[i];

		if (entry->type == ENTRY_DIR && mkdirat(root, entry->path, 0755) != 0 && errno != EEXIST)
			return (fail_errno(fault, "cannot make %s", path_encode(entry->path, name)));
	}
	return (true);
}

/* The first bytes count as the beginning of the file, all for its hash. */
static void
take_in(struct tree_writer *writer, const uint8_t *bytes, size_t length)
{
	uint64_t begin = nanoseconds_now();

	if (writer->done < ELF_BYTES) {
		size_t wanted = ELF_BYTES - (size_t)writer->done;

		memcpy(writer->beginning + writer->done, bytes, length < wanted ? length : wanted);
	}
	crypto_generichash_blake2b_update(&writer->hash, bytes, length);
	writer->done += length;
	writer->hash_nanoseconds += nanoseconds_now() - begin;
}

/* Opens the current file; `keep` bytes of it are there from an earlier attempt. */
static bool
open_file(struct tree_writer *writer, uint64_t keep, struct fault *fault)
{
	const struct entry *entry = current(writer);
	int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | (keep == 0 ? O_TRUNC : 0);
	char name[ENCODED_BYTES];
	uint8_t bytes[4096];

	path_encode(entry->path, name);
	writer->fd = openat(writer->root, entry->path, flags, entry->mode);
	if (writer->fd < 0)
		return (fail_errno(fault, "cannot write %s", name));
	writer->done = 0;
	memset(writer->beginning, 0, ELF_BYTES);
	crypto_generichash_blake2b_init(&writer->hash, NULL, 0, HASH_BYTES);
	while (writer->done < keep) {
		uint64_t left = keep - writer->done;
		size_t length = left < sizeof(bytes) ? (size_t)left : sizeof(bytes);

		if (!read_fully(writer->fd, bytes, length))
			return (fail_errno(fault, "cannot read what is there of %s", name));
		take_in(writer, bytes, length);
	}
	return (keep == 0 || ftruncate(writer->fd, (off_t)keep) == 0 || fail_errno(fault, "cannot write %s", name));
}

static bool
is_of_this_machine(const uint8_t *beginning)
{
	return (memcmp(beginning, ELFMAG, SELFMAG) != 0 ||
	    (beginning[EI_CLASS] == ELFCLASS64 && beginning[EI_DATA] == ELFDATA2LSB &&
		(beginning[18] | beginning[19] << 8) == EM_X86_64));
}

static bool
close_file(struct tree_writer *writer, struct fault *fault)
{
	const struct entry *entry = current(writer);
	char name[ENCODED_BYTES];
	char digits[2 * HASH_BYTES + 1];
	uint8_t hash[HASH_BYTES];

	path_encode(entry->path, name);
	if (close(writer->fd) != 0) {
		writer->fd = -1;
		return (fail_errno(fault, "cannot write %s", name));
	}
	writer->fd = -1;
	crypto_generichash_blake2b_final(&writer->hash, hash, HASH_BYTES);
	hex_encode(hash, HASH_BYTES, digits);
	if (strcmp(digits, entry->text) != 0)
		return (fail(fault, "E_INGOT_MANIFEST", "the ingot was made wrong; make it again",
		    "%s is not what the manifest says: its hash differs", name));
	if (!is_of_this_machine(writer->beginning))
		return (fail(fault, "E_INGOT_ARCH", NULL, "%s is a program for another machine", name));
	writer->at++;
	return (true);
}

bool
tree_begin(struct tree_writer *writer, const struct manifest *manifest, int root, uint64_t offset, struct fault *fault)
{
	memset(writer, 0, sizeof(*writer));
	writer->manifest = manifest;
	writer->root = root;
	writer->fd = -1;
	if (!make_folders(manifest, root, fault))
		return (false);
	for (; find_file(writer) && offset >= current(writer)->size && offset > 0; writer->at++)
		offset -= current(writer)->size;
	return (offset == 0 || open_file(writer, offset, fault));
}

static bool
write_some(struct tree_writer *writer, const uint8_t *bytes, size_t length, struct fault *fault)
{
	uint64_t begin = nanoseconds_now();
	char name[ENCODED_BYTES];

	for (size_t at = 0; at < length;) {
		ssize_t put = write(writer->fd, bytes + at, length - at);

		if (put < 0 && errno != EINTR)
			return (fail_errno(fault, "cannot write %s", path_encode(current(writer)->path, name)));
		at += put > 0 ? (size_t)put : 0;
	}
	writer->write_nanoseconds += nanoseconds_now() - begin;
	return (true);
}

bool
tree_write(struct tree_writer *writer, const uint8_t *bytes, size_t length, struct fault *fault)
{
	while (find_file(writer)) {
		const struct entry *entry = current(writer);

		if (writer->fd < 0 && length == 0)
			return (true);
		if (writer->fd < 0 && !open_file(writer, 0, fault))
			return (false);

		uint64_t left = entry->size - writer->done;
		size_t now = left < length ? (size_t)left : length;

		if (now > 0 && !write_some(writer, bytes, now, fault))
			return (false);
		if (now > 0)
			take_in(writer, bytes, now);
		bytes += now;
		length -= now;
		if (writer->done < entry->size)
			return (true);
		if (!close_file(writer, fault))
			return (false);
	}
	return (length == 0 || fail(fault, "E_INGOT_MANIFEST", NULL, "the payload is longer than the files"));
}

/* A link of an earlier attempt stays if it is the same, which tree_check sees to. */
bool
tree_end(struct tree_writer *writer, struct fault *fault)
{
	const struct manifest *manifest = writer->manifest;
	char name[ENCODED_BYTES];

	while (find_file(writer)) {
		const struct entry *entry = current(writer);

		if (entry->size != writer->done && (writer->fd >= 0 || entry->size > 0))
			return (fail(fault, "E_INGOT_MANIFEST", NULL, "the payload is shorter than the files"));
		if ((writer->fd < 0 && !open_file(writer, 0, fault)) || !close_file(writer, fault))
			return (false);
	}
	for (size_t i = 0; i < manifest->entries_count; i++) {
		const struct entry *entry = &manifest->entries[i];

		if (entry->type == ENTRY_LINK && symlinkat(entry->text, writer->root, entry->path) != 0 &&
		    errno != EEXIST)
			return (fail_errno(fault, "cannot make %s", path_encode(entry->path, name)));
	}
	return (true);
}

void
tree_close(struct tree_writer *writer)
{
	if (writer->fd >= 0)
		close(writer->fd);
	writer->fd = -1;
}

static bool
same_contents(const struct entry *entry, int root)
{
	crypto_generichash_blake2b_state state;
	uint8_t *bytes = malloc(READ_BYTES);
	uint8_t hash[HASH_BYTES];
	char digits[2 * HASH_BYTES + 1];
	int fd = openat(root, entry->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t got = -1;

	crypto_generichash_blake2b_init(&state, NULL, 0, HASH_BYTES);
	while (bytes != NULL && fd >= 0 && (got = read(fd, bytes, READ_BYTES)) > 0)
		crypto_generichash_blake2b_update(&state, bytes, (size_t)got);
	crypto_generichash_blake2b_final(&state, hash, HASH_BYTES);
	hex_encode(hash, HASH_BYTES, digits);
	free(bytes);
	if (fd >= 0)
		close(fd);
	return (got == 0 && strcmp(digits, entry->text) == 0);
}

static bool
same_target(const struct entry *entry, int root)
{
	char target[PATH_BYTES + 2];
	ssize_t length = readlinkat(root, entry->path, target, sizeof(target));

	return (
	    length >= 0 && (size_t)length == strlen(entry->text) && memcmp(target, entry->text, (size_t)length) == 0);
}

/* What is wrong with the entry, or NULL. */
static const char *
find_difference(const struct entry *entry, int root, bool contents)
{
	static const mode_t types[] = {[ENTRY_DIR] = S_IFDIR, [ENTRY_FILE] = S_IFREG, [ENTRY_LINK] = S_IFLNK};
	struct stat status;

	if (fstatat(root, entry->path, &status, AT_SYMLINK_NOFOLLOW) != 0)
		return (errno == ENOENT ? "is missing" : "cannot be read");
	if ((status.st_mode & S_IFMT) != types[entry->type])
		return ("is of another type");
	if (entry->type == ENTRY_LINK)
		return (same_target(entry, root) ? NULL : "leads elsewhere");
	if ((status.st_mode & 07777) != entry->mode)
		return ("has another mode");
	if (status.st_uid != geteuid() || status.st_gid != getegid())
		return ("has another owner");
	if (entry->type == ENTRY_DIR)
		return (NULL);
	if ((uint64_t)status.st_size != entry->size)
		return ("has another size");
	return (!contents || same_contents(entry, root) ? NULL : "has other contents");
}

static void
note(struct fault *fault, const char *path, const char *what)
{
	char name[ENCODED_BYTES];
	char line[ENCODED_BYTES + 64];

	snprintf(line, sizeof(line), "%s %s", path_encode(path, name), what);
	fault_detail(fault, line);
}

/* Adds what lies below the folder but not in the manifest; the number of such things. */
static size_t
find_strangers(const struct manifest *manifest, int root, const char *path, struct fault *fault)
{
	int fd = openat(root, path[0] == '\0' ? "." : path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	size_t strangers = 0;
	struct dirent *found;

	if (folder == NULL) {
		note(fault, path, "cannot be read");
		return (1);
	}
	while ((found = readdir(folder)) != NULL) {
		char inner[PATH_BYTES + 260];
		bool own = path[0] == '\0' && strcmp(found->d_name, OWN_FOLDER) == 0;

		if (strcmp(found->d_name, ".") == 0 || strcmp(found->d_name, "..") == 0 || own)
			continue;
		snprintf(inner, sizeof(inner), "%s%s%s", path, path[0] == '\0' ? "" : "/", found->d_name);

		const struct entry *entry = manifest_find(manifest, inner, strlen(inner));

		if (entry == NULL) {
			note(fault, inner, "is not part of the ingot");
			strangers++;
		} else if (entry->type == ENTRY_DIR)
			strangers += find_strangers(manifest, root, inner, fault);
	}
	closedir(folder);
	return (strangers);
}

bool
tree_check(const struct manifest *manifest, int root, bool contents, struct fault *fault)
{
	size_t wrong = 0;

	fail(fault, "E_INGOT_DAMAGED",
	    "remove it and add it again; `zpool status -v` tells whether the disk is to blame",
	    "%s %s is not what its manifest says", manifest->name, manifest->version);
	for (size_t i = 0; i < manifest->entries_count; i++) {
		const char *what = find_difference(&manifest->entries[i], root, contents);

		if (what != NULL)
			note(fault, manifest->entries[i].path, what);
		wrong += what != NULL;
	}
	if (contents)
		wrong += find_strangers(manifest, root, "", fault);
	if (wrong == 0)
		fault->code = NULL;
	return (wrong == 0);
}
