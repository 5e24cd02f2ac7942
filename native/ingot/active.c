/* SPDX-License-Identifier: Apache-2.0 */
#include "active.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run.h"
#include "services.h"

/* What `unconfirmed` names when nothing was active before. */
#define NOTHING "none"

static bool
is_key(const char *text)
{
	return (strlen(text) == KEY_DISK_DIGITS && strspn(text, "0123456789abcdef") == KEY_DISK_DIGITS);
}

static int
open_name(const char *name)
{
	char path[PLACE_BYTES];

	return (open(store_path(name, NULL, path), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static bool
read_link(int folder, const char *link, char target[KEY_DISK_DIGITS + 1])
{
	ssize_t length = readlinkat(folder, link, target, KEY_DISK_DIGITS + 1);

	if (length < 0 || length > (ssize_t)KEY_DISK_DIGITS)
		length = 0;
	target[length] = '\0';
	return (length > 0);
}

bool
active_key(const char *name, const char *link, char key[KEY_DISK_DIGITS + 1])
{
	int folder = open_name(name);
	bool found = folder >= 0 && read_link(folder, link, key) && is_key(key);

	if (!found)
		key[0] = '\0';
	if (folder >= 0)
		close(folder);
	return (found);
}

static bool
is_accepted(const char *name, const char *key, struct fault *fault)
{
	struct manifest manifest;

	if (!store_read_signed(name, key, &manifest, fault))
		return (false);
	manifest_free(&manifest);
	return (true);
}

bool
active_used(const char *name, char key[KEY_DISK_DIGITS + 1])
{
	struct fault refused;

	if (active_key(name, "active", key) && is_accepted(name, key, &refused))
		return (true);
	key[0] = '\0';
	return (false);
}

/* Replaces a link in one step. */
static bool
set_link(int folder, const char *link, const char *target, struct fault *fault)
{
	static const char fresh[] = "fresh";

	unlinkat(folder, fresh, 0);
	return ((symlinkat(target, folder, fresh) == 0 && renameat(folder, fresh, folder, link) == 0) ||
	    fail_errno(fault, "cannot set the link %s to %s", link, target));
}

/* To `key`, or to nothing when that is empty. */
static bool
set_active(int folder, const char *key, struct fault *fault)
{
	if (key[0] != '\0')
		return (set_link(folder, "active", key, fault));
	return (unlinkat(folder, "active", 0) == 0 || errno == ENOENT ||
	    fail_errno(fault, "cannot remove the link active"));
}

/* The name of the program when the entry is one: what lies directly in usr/bin. */
static const char *
program_name(const struct entry *entry)
{
	static const char prefix[] = "usr/bin/";
	const char *name = entry->path + sizeof(prefix) - 1;

	if (strncmp(entry->path, prefix, sizeof(prefix) - 1) != 0 || strchr(name, '/') != NULL)
		return (NULL);
	return (entry->type == ENTRY_LINK || (entry->type == ENTRY_FILE && entry->mode == 0755) ? name : NULL);
}

/* The ingot that a link in /ingots/bin leads to; empty when it is no such link. */
static void
program_owner(const char *program, char owner[33])
{
	char path[PLACE_BYTES + PATH_BYTES], target[PLACE_BYTES];
	ssize_t length;

	snprintf(path, sizeof(path), PROGRAMS "/%s", program);
	length = readlink(path, target, sizeof(target) - 1);
	target[length > 0 ? length : 0] = '\0';
	owner[0] = '\0';
	if (strncmp(target, "../", 3) == 0)
		snprintf(owner, 33, "%.*s", (int)strcspn(target + 3, "/"), target + 3);
}

bool
programs_check(const struct manifest *manifest, struct fault *fault)
{
	char owner[33];

	for (size_t i = 0; i < manifest->entries_count; i++) {
		const char *program = program_name(&manifest->entries[i]);

		if (program == NULL)
			continue;
		program_owner(program, owner);
		if (owner[0] != '\0' && strcmp(owner, manifest->name) != 0)
			return (fail(fault, "E_INGOT_CONFLICT", "remove the other ingot first",
			    "the program %s belongs to the ingot %s", program, owner));
	}
	return (true);
}

/* Brings /ingots/bin in line with the manifest; NULL: the ingot has no programs any more. */
static bool
link_programs(const char *name, const struct manifest *manifest, struct fault *fault)
{
	char target[PLACE_BYTES + PATH_BYTES], path[PATH_BYTES + 1], owner[33];
	int folder = open(PROGRAMS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *programs = folder < 0 ? NULL : fdopendir(folder);
	struct dirent *entry;
	bool well = programs != NULL || fail_errno(fault, "cannot read " PROGRAMS);

	while (well && (entry = readdir(programs)) != NULL) {
		snprintf(path, sizeof(path), "usr/bin/%s", entry->d_name);

		const struct entry *wanted = manifest == NULL ? NULL : manifest_find(manifest, path, strlen(path));

		program_owner(entry->d_name, owner);
		if (strcmp(owner, name) == 0 && (wanted == NULL || program_name(wanted) == NULL))
			well = unlinkat(folder, entry->d_name, 0) == 0 || fail_errno(fault, "cannot write " PROGRAMS);
	}
	for (size_t i = 0; well && manifest != NULL && i < manifest->entries_count; i++) {
		const char *program = program_name(&manifest->entries[i]);

		snprintf(target, sizeof(target), "../%s/active/usr/bin/%s", name, program != NULL ? program : "");
		well = program == NULL || symlinkat(target, folder, program) == 0 || errno == EEXIST ||
		    fail_errno(fault, "cannot write " PROGRAMS);
	}
	if (programs != NULL)
		closedir(programs);
	return (well);
}

static bool
check_health(const struct manifest *manifest, const struct report *report, struct fault *fault)
{
	char folder[PLACE_BYTES], program[PLACE_BYTES + PATH_BYTES];
	const char *const argv[] = {program, NULL};
	struct run run;

	if (manifest->health == NULL)
		return (true);
	report->progress(report->to, "health");
	store_path(manifest->name, "active", folder);
	snprintf(program, sizeof(program), "%s/%s", folder, manifest->health);
	run_program(argv, folder, manifest->health_seconds, &run);
	if (run.status == 0 && !run.timed_out)
		return (true);
	if (run.timed_out)
		fail(fault, "E_INGOT_HEALTH", NULL, "the health check of %s %s was not done after %u s", manifest->name,
		    manifest->version, manifest->health_seconds);
	else
		fail(fault, "E_INGOT_HEALTH", NULL, "the health check of %s %s ended with status %d", manifest->name,
		    manifest->version, run.status);
	fault_detail(fault, run.output);
	return (false);
}

/* Programs and services of what is active now; none of what no accepted key has signed. */
static bool
bring_up(const char *name, bool services, struct fault *fault)
{
	char key[KEY_DISK_DIGITS + 1];
	struct manifest manifest;
	bool well;

	if (!active_key(name, "active", key))
		return (link_programs(name, NULL, fault));
	if (!store_read_signed(name, key, &manifest, fault)) {
		struct fault second;

		services_stop(name);
		link_programs(name, NULL, &second);
		return (false);
	}
	well = link_programs(name, &manifest, fault) && (!services || services_place(&manifest, fault));
	manifest_free(&manifest);
	return (well);
}

static bool
wait_for_services(const char *name, const char *key, const struct report *report, struct fault *fault)
{
	struct manifest manifest;
	bool well = store_read(name, key, &manifest, fault);

	if (well) {
		well = services_wait(&manifest, report, fault);
		manifest_free(&manifest);
	}
	return (well);
}

/* Back to `key`. The fault that led here stays; what fails on the way back is added to it. */
static void
switch_back(int folder, const char *name, const char *key, const struct report *report, struct fault *fault)
{
	struct fault second;

	services_stop(name);
	if (!set_active(folder, key, &second) || !bring_up(name, true, &second) ||
	    (key[0] != '\0' && !wait_for_services(name, key, report, &second))) {
		fault_detail(fault, "and the way back failed:");
		fault_detail(fault, second.message);
		return;
	}
	unlinkat(folder, "unconfirmed", 0);
	fault_detail(
	    fault, key[0] != '\0' ? "the version before is active again" : "nothing was active before, and is now");
}

/* The version that was active becomes `previous`; with that the switch is done. */
static bool
confirm(int folder, const char *old, struct fault *fault)
{
	if (old[0] == '\0' ? unlinkat(folder, "unconfirmed", 0) != 0
			   : renameat(folder, "unconfirmed", folder, "previous") != 0)
		return (fail_errno(fault, "cannot set the link previous"));
	return (syncfs(folder) == 0 || fail_errno(fault, "cannot write " INGOTS));
}

bool
active_switch(const char *name, const struct manifest *manifest, const char *key, const struct report *report,
    struct fault *fault)
{
	char old[KEY_DISK_DIGITS + 1];
	int folder = open_name(name);
	bool well;

	if (folder < 0)
		return (fail_errno(fault, "cannot open " INGOTS "/%s", name));
	/* what is signed anew, and was refused until now, was not active */
	if (active_used(name, old) && strcmp(old, key) == 0)
		old[0] = '\0';
	report->progress(report->to, "activate");
	/* from here on a kill is noticed, and leads back to the old one */
	if (!set_link(folder, "unconfirmed", old[0] != '\0' ? old : NOTHING, fault)) {
		close(folder);
		return (false);
	}
	services_stop(name);
	well = set_active(folder, key, fault) && (syncfs(folder) == 0 || fail_errno(fault, "cannot write " INGOTS)) &&
	    link_programs(name, manifest, fault) && services_place(manifest, fault) &&
	    services_wait(manifest, report, fault) && check_health(manifest, report, fault);
	if (!well)
		switch_back(folder, name, old, report, fault);
	else
		well = confirm(folder, old, fault);
	close(folder);
	return (well);
}

bool
active_settle(const char *name, bool services, struct fault *fault)
{
	char before[KEY_DISK_DIGITS + 1], active[KEY_DISK_DIGITS + 1];
	int folder = open_name(name);
	bool well = true;

	if (folder < 0)
		return (true);
	if (read_link(folder, "unconfirmed", before)) {
		if (!is_key(before) ||
		    (!is_accepted(name, before, fault) && strcmp(fault->code, "E_INGOT_SIGNATURE") == 0))
			before[0] = '\0';
		read_link(folder, "active", active);
		if (strcmp(before, active) != 0) {
			services_stop(name);
			well = set_active(folder, before, fault);
		}
		well = well && bring_up(name, services, fault) &&
		    (unlinkat(folder, "unconfirmed", 0) == 0 || fail_errno(fault, "cannot write " INGOTS));
	}
	close(folder);
	return (well);
}

bool
active_retire(const char *name, struct fault *fault)
{
	int folder = open_name(name);
	bool well = true;

	if (folder < 0)
		return (true);
	services_stop(name);
	if (renameat(folder, "active", folder, "retired") != 0 && errno != ENOENT)
		well = fail_errno(fault, "cannot remove the link active");
	close(folder);
	return (well && link_programs(name, NULL, fault));
}

bool
active_restore(const char *name, struct fault *fault)
{
	int folder = open_name(name);

	if (folder < 0)
		return (true);
	renameat(folder, "retired", folder, "active");
	close(folder);
	return (bring_up(name, true, fault));
}

void
active_forget(const char *name, const char *key)
{
	char named[KEY_DISK_DIGITS + 1];
	struct fault none;
	int folder = open_name(name);

	if (folder < 0)
		return;
	if (read_link(folder, "previous", named) && strcmp(named, key) == 0)
		unlinkat(folder, "previous", 0);
	if (read_link(folder, "active", named) && strcmp(named, key) == 0) {
		/* started before its key was withdrawn */
		services_stop(name);
		link_programs(name, NULL, &none);
		unlinkat(folder, "active", 0);
	}
	close(folder);
}

/* One that cannot be started does not keep the others from it; the first failure is told. */
bool
active_start(struct fault *fault)
{
	static struct names names;
	struct fault one;
	bool well = store_names(&names, fault);

	for (size_t i = 0; i < names.count; i++) {
		if (active_settle(names.all[i], false, &one) && bring_up(names.all[i], true, &one))
			continue;
		if (well)
			*fault = one;
		well = false;
	}
	return (well);
}

bool
needs_check(const struct manifest *manifest, struct fault *fault)
{
	for (size_t i = 0; i < manifest->needs_count; i++) {
		const struct need *need = &manifest->needs[i];
		char key[KEY_DISK_DIGITS + 1];
		struct manifest other;
		bool well;

		if (!active_used(need->name, key))
			return (fail(fault, "E_INGOT_NEEDS", "add that one first", "%s needs the ingot %s%s%s",
			    manifest->name, need->name, need->version != NULL ? ", at least " : "",
			    need->version != NULL ? need->version : ""));
		if (need->version == NULL)
			continue;
		if (!store_read(need->name, key, &other, fault))
			return (false);
		well = version_compare(other.version, need->version) >= 0 ||
		    fail(fault, "E_INGOT_NEEDS", "add a newer one first", "%s needs %s %s or later; %s is active",
			manifest->name, need->name, need->version, other.version);
		manifest_free(&other);
		if (!well)
			return (false);
	}
	return (true);
}

/* Whether this version will do for the other ingot. */
static bool
suffices(const struct manifest *other, const char *name, const char *version)
{
	for (size_t i = 0; i < other->needs_count; i++) {
		const struct need *need = &other->needs[i];

		if (strcmp(need->name, name) == 0 &&
		    (version == NULL || (need->version != NULL && version_compare(version, need->version) < 0)))
			return (false);
	}
	return (true);
}

bool
needed_check(const char *name, const char *version, const char *code, struct fault *fault)
{
	static struct names names;
	char key[KEY_DISK_DIGITS + 1];
	struct manifest other;
	bool well = store_names(&names, fault);

	for (size_t i = 0; well && i < names.count; i++) {
		if (strcmp(names.all[i], name) == 0 || !active_used(names.all[i], key))
			continue;
		if (!store_read(names.all[i], key, &other, fault))
			return (false);
		if (!suffices(&other, name, version))
			well = fail(fault, code, "remove that one first, or add another version of it",
			    "the ingot %s needs %s%s", other.name, name, version == NULL ? "" : " in a later version");
		manifest_free(&other);
	}
	return (well);
}
