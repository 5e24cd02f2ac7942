/* SPDX-License-Identifier: Apache-2.0 */
#include "services.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "frames.h"
#include "run.h"
#include "store.h"

#define SV "/usr/bin/sv"

/* runsvdir looks at its folder every 5 seconds; the rest is for slow machines. */
#define START_SECONDS 30u

/* The ingot that a folder of /run/service belongs to; empty for the system's own. False when there is none. */
static bool
find_owner(const char *service, char owner[33])
{
	static const char prefix[] = INGOTS "/";
	char link[PLACE_BYTES], target[PLACE_BYTES];
	struct stat status;
	ssize_t length;

	snprintf(link, sizeof(link), SERVICES "/%s", service);
	if (lstat(link, &status) != 0)
		return (false);
	snprintf(link, sizeof(link), SERVICES "/%s/run", service);
	length = readlink(link, target, sizeof(target) - 1);
	target[length > 0 ? length : 0] = '\0';
	owner[0] = '\0';
	if (strncmp(target, prefix, sizeof(prefix) - 1) == 0) {
		const char *name = target + sizeof(prefix) - 1;

		snprintf(owner, 33, "%.*s", (int)strcspn(name, "/"), name);
	}
	return (true);
}

bool
services_check(const struct manifest *manifest, struct fault *fault)
{
	char owner[33];

	for (size_t i = 0; i < manifest->services_count; i++) {
		const char *service = manifest->services[i];

		if (find_owner(service, owner) && strcmp(owner, manifest->name) != 0)
			return (fail(fault, "E_INGOT_CONFLICT", NULL, "there is a service %s already, of %s%s", service,
			    owner[0] != '\0' ? "the ingot " : "the system", owner));
	}
	return (true);
}

/* Removes a folder and what is in it; nothing below a link. */
static void
remove_folder(int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (folder != NULL && (entry = readdir(folder)) != NULL) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    unlinkat(fd, entry->d_name, 0) != 0)
			remove_folder(fd, entry->d_name);
	}
	if (folder != NULL)
		closedir(folder);
	unlinkat(parent, name, AT_REMOVEDIR);
}

/* Moved out of runsvdir's sight first, which would start its runsv again. */
static void
stop_service(const char *service)
{
	char from[PLACE_BYTES], to[PLACE_BYTES];
	const char *const stop[] = {SV, "-w", "20", "force-shutdown", to, NULL};
	struct run run;

	snprintf(from, sizeof(from), SERVICES "/%s", service);
	snprintf(to, sizeof(to), STATE_FOLDER "/stopped.%s", service);
	remove_folder(AT_FDCWD, to);
	if (rename(from, to) != 0)
		return;
	run_program(stop, NULL, 60, &run);
	remove_folder(AT_FDCWD, to);
}

void
services_stop(const char *name)
{
	DIR *folder = opendir(SERVICES);
	struct dirent *entry;
	char owner[33];

	while (folder != NULL && (entry = readdir(folder)) != NULL) {
		if (entry->d_name[0] != '.' && find_owner(entry->d_name, owner) && strcmp(owner, name) == 0)
			stop_service(entry->d_name);
	}
	if (folder != NULL)
		closedir(folder);
}

/* Links to what lies in service/<service>/ of the tree; a folder there (`log`) becomes a folder. */
static bool
fill_service(const struct manifest *manifest, const char *service, int folder, struct fault *fault)
{
	char prefix[64], target[PLACE_BYTES + PATH_BYTES];
	size_t length = (size_t)snprintf(prefix, sizeof(prefix), "service/%s/", service);

	for (size_t i = 0; i < manifest->entries_count; i++) {
		const struct entry *entry = &manifest->entries[i];

		if (strncmp(entry->path, prefix, length) != 0)
			continue;
		snprintf(target, sizeof(target), INGOTS "/%s/active/%s", manifest->name, entry->path);
		if (entry->type == ENTRY_DIR ? mkdirat(folder, entry->path + length, 0755) != 0
					     : symlinkat(target, folder, entry->path + length) != 0)
			return (fail_errno(fault, "cannot make the service %s", service));
	}
	return (true);
}

/* Made aside, so that runsvdir sees all of it or nothing. */
static bool
place_service(const struct manifest *manifest, const char *service, struct fault *fault)
{
	char fresh[PLACE_BYTES], place[PLACE_BYTES];
	bool well;
	int folder;

	snprintf(fresh, sizeof(fresh), STATE_FOLDER "/starting.%s", service);
	snprintf(place, sizeof(place), SERVICES "/%s", service);
	remove_folder(AT_FDCWD, fresh);
	if (mkdir(fresh, 0755) != 0 || (folder = open(fresh, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return (fail_errno(fault, "cannot make %s", fresh));
	well = fill_service(manifest, service, folder, fault) &&
	    (rename(fresh, place) == 0 || fail_errno(fault, "cannot make %s", place));
	close(folder);
	return (well);
}

bool
services_place(const struct manifest *manifest, struct fault *fault)
{
	char owner[33];

	for (size_t i = 0; i < manifest->services_count; i++) {
		if (!find_owner(manifest->services[i], owner) && !place_service(manifest, manifest->services[i], fault))
			return (false);
	}
	return (true);
}

/* The process of a service while it runs, else 0. */
static long
running_process(const char *service)
{
	char path[PLACE_BYTES], state[16] = "", number[16] = "";
	long pid = 0;

	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), SERVICES "/%s/supervise/%s", service, i == 0 ? "stat" : "pid");
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			return (0);
		(void)!read(fd, i == 0 ? state : number, sizeof(state) - 1);
		close(fd);
	}
	if (strcmp(state, "run\n") == 0)
		sscanf(number, "%ld", &pid);
	return (pid);
}

static bool
wait_for_service(const char *service)
{
	const struct timespec tenth = {.tv_nsec = 100000000};
	uint64_t begin = nanoseconds_now(), since = begin;
	long pid = 0;

	for (;;) {
		uint64_t now = nanoseconds_now();
		long running = running_process(service);

		if (running == 0 || running != pid)
			since = now;
		pid = running;
		if (pid != 0 && now - since >= UINT64_C(1000000000))
			return (true);
		if (now - begin >= START_SECONDS * UINT64_C(1000000000))
			return (false);
		nanosleep(&tenth, NULL);
	}
}

bool
services_wait(const struct manifest *manifest, const struct report *report, struct fault *fault)
{
	char text[64];

	for (size_t i = 0; i < manifest->services_count; i++) {
		const char *service = manifest->services[i];

		snprintf(text, sizeof(text), "start %s", service);
		report->progress(report->to, text);
		if (!wait_for_service(service))
			return (fail(fault, "E_INGOT_HEALTH", "its run script says why: start it by hand",
			    "the service %s does not stay up", service));
	}
	return (true);
}
