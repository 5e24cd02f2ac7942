/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "active.h"
#include "add.h"
#include "frames.h"
#include "services.h"
#include "store.h"
#include "trust.h"

#define KEY_PREFIX_LEAST 8u

static struct versions versions;

static bool
unknown(const char *name, struct fault *fault)
{
	return (fail(fault, "E_INGOT_UNKNOWN", "`anvil-ingot list` shows what there is", "there is no ingot %s", name));
}

static bool
knows(const char *name)
{
	bool found = false;

	for (size_t i = 0; i < versions.count; i++)
		found = found || strcmp(versions.all[i].name, name) == 0;
	return (found);
}

static const char *
state_of(const struct version *version)
{
	char key[KEY_DISK_DIGITS + 1];

	if (!version->complete)
		return ("incoming");
	if (active_key(version->name, "active", key) && strcmp(key, version->key) == 0)
		return (active_used(version->name, key) ? "active" : "refused");
	if (active_key(version->name, "previous", key) && strcmp(key, version->key) == 0)
		return ("previous");
	return ("complete");
}

/* How far an incoming version has come: " <chunks there>/<chunks>". */
static void
describe_progress(const struct version *version, char *text, size_t size)
{
	char folder[PLACE_BYTES], path[PLACE_BYTES + 32];
	uint8_t count[4] = {0};
	struct manifest manifest;
	struct fault none;

	snprintf(path, sizeof(path), "%s/" OWN_FOLDER "/received", store_path(version->name, version->key, folder));
	int file = open(path, O_RDONLY | O_CLOEXEC);

	if (file >= 0) {
		(void)read_fully(file, count, sizeof(count));
		close(file);
	}
	if (store_read(version->name, version->key, &manifest, &none)) {
		snprintf(text, size, " %u/%zu", load_u32le(count), manifest.chunks_count);
		manifest_free(&manifest);
	}
}

bool
command_list(const struct report *report, struct fault *fault)
{
	struct store store;

	if (!store_find(&store, fault) || !store_list(&store, &versions, fault))
		return (false);
	for (size_t i = 0; i < versions.count; i++) {
		const struct version *version = &versions.all[i];
		char line[PLACE_BYTES], progress[32] = "";

		if (!version->complete)
			describe_progress(version, progress, sizeof(progress));
		snprintf(line, sizeof(line), "%s %s %.*s %s %llu%s", version->name, version->number,
		    (int)KEY_SHOWN_DIGITS, version->key, state_of(version), (unsigned long long)version->used,
		    progress);
		report->line(report->to, line);
	}
	return (true);
}

static bool
verify_version(const struct version *version, struct fault *fault)
{
	char path[PLACE_BYTES];
	struct manifest manifest;
	bool well;
	int tree;

	if (!store_read_signed(version->name, version->key, &manifest, fault))
		return (false);
	tree = open(store_path(version->name, version->key, path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	well = tree >= 0 ? tree_check(&manifest, tree, true, fault) : fail_errno(fault, "cannot open %s", path);
	if (tree >= 0)
		close(tree);
	manifest_free(&manifest);
	return (well);
}

bool
command_verify(const char *name, const struct report *report, struct fault *fault)
{
	struct store store;
	struct fault one;
	bool well = true;

	if (!store_find(&store, fault) || !store_list(&store, &versions, fault))
		return (false);
	if (name != NULL && !knows(name))
		return (unknown(name, fault));
	for (size_t i = 0; i < versions.count; i++) {
		const struct version *version = &versions.all[i];
		char line[PLACE_BYTES];
		const char *is = "well";
		bool good;

		if (!version->complete || (name != NULL && strcmp(name, version->name) != 0))
			continue;
		good = verify_version(version, &one);
		if (!good)
			is = strcmp(one.code, "E_INGOT_SIGNATURE") == 0 ? "refused" : "damaged";
		snprintf(line, sizeof(line), "%s %s %.*s %s", version->name, version->number, (int)KEY_SHOWN_DIGITS,
		    version->key, is);
		report->line(report->to, line);
		if (!good && well)
			*fault = one;
		well = well && good;
	}
	return (well);
}

/* Locked, settled and listed: what a command that changes an ingot begins with. The lock, or -1. */
static int
begin(const char *name, struct store *store, struct fault *fault)
{
	int lock = store_lock(fault);

	if (lock < 0)
		return (-1);
	if (name_is_valid(name) && store_find(store, fault) && active_settle(name, true, fault) &&
	    store_list(store, &versions, fault)) {
		if (knows(name) || store_has_data(name))
			return (lock);
		unknown(name, fault);
	} else if (!name_is_valid(name))
		unknown(name, fault);
	close(lock);
	return (-1);
}

static bool
switch_to_previous(const char *name, const char *key, const char *was, const struct report *report, struct fault *fault)
{
	struct manifest manifest;
	char line[PLACE_BYTES];
	bool well;

	if (!store_read_signed(name, key, &manifest, fault))
		return (false);
	well = needs_check(&manifest, fault) && needed_check(name, manifest.version, "E_INGOT_NEEDS", fault) &&
	    services_check(&manifest, fault) && programs_check(&manifest, fault) &&
	    active_switch(name, &manifest, key, report, fault);
	if (well) {
		snprintf(line, sizeof(line), "name %s", name);
		report->line(report->to, line);
		snprintf(line, sizeof(line), "version %s", manifest.version);
		report->line(report->to, line);
		snprintf(line, sizeof(line), "key %s", key);
		report->line(report->to, line);
		snprintf(line, sizeof(line), "was %s", was[0] != '\0' ? was : "none");
		report->line(report->to, line);
	}
	manifest_free(&manifest);
	return (well);
}

bool
command_rollback(const char *name, const struct report *report, struct fault *fault)
{
	char previous[KEY_DISK_DIGITS + 1], active[KEY_DISK_DIGITS + 1];
	const struct version *version;
	struct store store;
	int lock = begin(name, &store, fault);
	bool well;

	if (lock < 0)
		return (false);
	active_key(name, "active", active);
	version = active_key(name, "previous", previous) ? versions_find(&versions, name, previous) : NULL;
	if (version == NULL || !version->complete || strcmp(active, previous) == 0)
		well = fail(fault, "E_INGOT_UNKNOWN", "`anvil-ingot list` shows what there is",
		    "no version of %s was active before this one", name);
	else
		well = switch_to_previous(name, previous, active, report, fault);
	close(lock);
	return (well);
}

/* A version by the beginning of its key. */
static const struct version *
find_by_prefix(const char *name, const char *prefix)
{
	const struct version *found = NULL;
	size_t length = strlen(prefix);

	if (length < KEY_PREFIX_LEAST)
		return (NULL);
	if (length > KEY_DISK_DIGITS)
		length = KEY_DISK_DIGITS;
	for (size_t i = 0; i < versions.count; i++) {
		const struct version *version = &versions.all[i];

		if (strcmp(version->name, name) != 0 || strncmp(version->key, prefix, length) != 0)
			continue;
		if (found != NULL)
			return (NULL);
		found = version;
	}
	return (found);
}

static bool
remove_version(const struct store *store, const char *name, const char *prefix, struct fault *fault)
{
	const struct version *version = find_by_prefix(name, prefix);

	if (version == NULL)
		return (fail(fault, "E_INGOT_UNKNOWN", "give at least 8 digits of it, as `anvil-ingot list` shows them",
		    "the ingot %s has no version with the key %s", name, prefix));
	if (strcmp(state_of(version), "active") == 0)
		return (fail(fault, "E_INGOT_ACTIVE", "roll it back first, or remove all of it", "%s %s is active",
		    name, version->number));
	active_forget(name, version->key);
	return (store_destroy(store, name, version->key, fault));
}

static bool
remove_all(const struct store *store, const char *name, bool data, struct fault *fault)
{
	char key[KEY_DISK_DIGITS + 1];
	struct fault second;

	if (!data && store_has_data(name))
		return (fail(fault, "E_INGOT_DATA", "with --data they are removed too",
		    "the ingot %s keeps data, in " INGOTS "/%s/" DATA, name, name));
	if (active_key(name, "active", key) && !needed_check(name, NULL, "E_INGOT_ACTIVE", fault))
		return (false);
	if (!active_retire(name, fault))
		return (false);
	if (store_unmount(store, name, fault))
		return (store_destroy(store, name, NULL, fault));
	active_restore(name, &second);
	return (false);
}

bool
command_remove(const char *name, const char *key, bool data, const struct report *report, struct fault *fault)
{
	struct store store;
	int lock = begin(name, &store, fault);
	bool well;

	(void)report;
	if (lock < 0)
		return (false);
	well = key != NULL ? remove_version(&store, name, key, fault) : remove_all(&store, name, data, fault);
	close(lock);
	return (well);
}

int
command_open_data(const char *name, char *path, uint64_t *size, struct fault *fault)
{
	struct open_how how = {
	    .flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
	char place[PLACE_BYTES];
	struct stat status;
	int folder, file = -1;

	if (!name_is_valid(name) || !store_has_data(name) || path_decode(path) == NULL) {
		fail(fault, "E_INGOT_UNKNOWN", NULL, "there are no such data");
		return (-1);
	}
	folder = open(store_path(name, DATA, place), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder >= 0)
		file = (int)syscall(SYS_openat2, folder, path, &how, sizeof(how));
	if (file < 0 || fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
		fail(fault, "E_INGOT_UNKNOWN", NULL, "there is no file %s in the data of %s", path, name);
		if (file >= 0)
			close(file);
		file = -1;
	}
	if (folder >= 0)
		close(folder);
	*size = file < 0 ? 0 : (uint64_t)status.st_size;
	return (file);
}

/* Head and manifest of a file; NULL with a fault. */
static char *
read_beginning(int file, const char *path, size_t *length, struct fault *fault)
{
	char first[HEAD_MAX];
	struct head head;
	ssize_t got = pread(file, first, sizeof(first), 0);
	char *text;

	if (got < 0) {
		fail_errno(fault, "cannot read %s", path);
		return (NULL);
	}
	if (!head_parse(first, (size_t)got, &head, fault))
		return (NULL);
	*length = head.length + head.manifest_length;
	text = malloc(*length);
	if (text == NULL || !read_fully(file, text, *length)) {
		free(text);
		fail(fault, "E_INGOT_MANIFEST", "copy the file again", "%s ends within the manifest", path);
		return (NULL);
	}
	return (text);
}

static bool
add_chunks(struct addition *addition, int file, const char *path, uint64_t *nanoseconds, struct fault *fault)
{
	const struct manifest *manifest = &addition->manifest;
	uint8_t *bytes = malloc(CHUNK_STORED_MAX);
	bool well = bytes != NULL || fail(fault, "E_INGOT_SYSTEM", NULL, "no memory for a chunk");

	for (uint32_t i = 0; well && i < addition->next; i++)
		lseek(file, manifest->chunks[i].stored, SEEK_CUR);
	while (well && addition->next < manifest->chunks_count) {
		size_t stored = manifest->chunks[addition->next].stored;
		uint64_t start = nanoseconds_now();

		well = read_fully(file, bytes, stored);
		*nanoseconds += nanoseconds_now() - start;
		well = well ? addition_chunk(addition, bytes, stored, fault)
			    : fail(fault, "E_INGOT_CHUNK", "copy the file again", "%s ends within chunk %u", path,
				  addition->next);
	}
	free(bytes);
	return (well);
}

bool
command_add(const char *path, bool allow_downgrade, const struct report *report, struct fault *fault)
{
	struct addition addition;
	uint64_t nanoseconds = 0;
	size_t length = 0;
	int file = open(path, O_RDONLY | O_CLOEXEC);
	char *text;
	bool well;

	if (file < 0)
		return (fail_errno(fault, "cannot open %s", path));
	text = read_beginning(file, path, &length, fault);
	well = text != NULL && addition_begin(&addition, text, length, allow_downgrade, report, fault);
	free(text);
	if (well) {
		well = (addition.complete || add_chunks(&addition, file, path, &nanoseconds, fault)) &&
		    addition_finish(&addition, nanoseconds, report, fault);
		addition_end(&addition);
	}
	close(file);
	return (well);
}

bool
command_settle(struct fault *fault)
{
	static struct names names;
	bool well = true;
	int lock;

	if (!store_exists())
		return (true);
	lock = store_lock(fault);
	if (lock < 0)
		return (false);
	well = store_names(&names, fault);
	for (size_t i = 0; well && i < names.count; i++)
		well = active_settle(names.all[i], true, fault);
	close(lock);
	return (well);
}
