/* SPDX-License-Identifier: Apache-2.0 */
/* Files and processes of a user, as root deals with them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "confine.h"

/* Folders in folders; PostgreSQL has five. Each level holds two descriptors. */
#define DEPTH_MAX 64

#define READ_MAX 64

/* Five seconds in all. */
#define ATTEMPTS          50
#define PAUSE_NANOSECONDS 100000000L

static int
open_folder(int parent, const char *name)
{
	return (openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

/* What is in an open folder, which stays open. */
static bool
own_entries(int fd, dev_t device, uid_t user, unsigned depth)
{
	int again = depth < DEPTH_MAX ? dup(fd) : -1;
	DIR *folder = again < 0 ? NULL : fdopendir(again);
	const struct dirent *entry;
	bool well = folder != NULL;

	if (!well) {
		if (depth == DEPTH_MAX)
			errno = ELOOP;
		failed("go into", "a folder");
		if (again >= 0)
			close(again);
		return (false);
	}
	while (well && (entry = readdir(folder)) != NULL) {
		const char *name = entry->d_name;
		struct stat status;
		int below;

		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			continue;
		if (fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
			well = errno == ENOENT || failed("look at", name);
		} else if (!S_ISDIR(status.st_mode)) {
			well = (status.st_uid == user && status.st_gid == user) ||
			    fchownat(fd, name, user, user, AT_SYMLINK_NOFOLLOW) == 0 || errno == ENOENT ||
			    failed("hand over", name);
		} else if ((below = open_folder(fd, name)) < 0) {
			well = failed("open", name);
		} else {
			well = fstat(below, &status) == 0 || failed("look at", name);
			/* another dataset is handed over by a call of its own */
			if (well && status.st_dev == device)
				well = own_entries(below, device, user, depth + 1) &&
				    (fchown(below, user, user) == 0 || failed("hand over", name));
			close(below);
		}
	}
	closedir(folder);
	return (well);
}

bool
own_folder(const char *path, uid_t user)
{
	int fd = open_folder(AT_FDCWD, path);
	struct stat status;
	bool well;

	if (fd < 0 || fstat(fd, &status) != 0) {
		failed("open", path);
		if (fd >= 0)
			close(fd);
		return (false);
	}
	well = own_entries(fd, status.st_dev, user, 0) && (fchown(fd, user, user) == 0 || failed("hand over", path)) &&
	    (fchmod(fd, 0700) == 0 || failed("close", path));
	close(fd);
	return (well);
}

static bool
is_folder(int fd, const char *name, const char *path)
{
	struct stat status;
	bool is = fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);

	if (!is)
		fprintf(stderr, "confine: %s/%s is not a folder\n", path, name);
	return (is);
}

bool
own_top(const char *path)
{
	int fd = open_folder(AT_FDCWD, path);
	bool well;

	if (fd < 0)
		return (failed("open", path));
	/* first of all, so that nobody changes what is looked at */
	well = (fchown(fd, 0, 0) == 0 && fchmod(fd, 0711) == 0) || failed("take over", path);
	well = well && is_folder(fd, "pgdata", path) && is_folder(fd, "wal", path);
	close(fd);
	return (well);
}

bool
read_as(uid_t user, const char *path)
{
	char bytes[READ_MAX];
	struct stat status;
	ssize_t got;
	int fd;

	if (!become(user))
		return (false);
	/* a pipe would be waited for */
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return (failed("open", path));
	if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
		fprintf(stderr, "confine: %s is not a file\n", path);
		return (false);
	}
	got = read(fd, bytes, sizeof(bytes));
	return (got >= 0 && write(STDOUT_FILENO, bytes, (size_t)got) == got);
}

/* kill(2) of all that this process may signal, but itself: as the user, those are the user's. Nobody can fork past it. */
static bool
signal_all(uid_t user)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		if (!become(user))
			_exit(1);
		kill(-1, SIGKILL);
		_exit(0);
	}
	return (child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Whether a process runs as the user; one that has ended and was not waited for does not. */
static bool
is_of(const char *number, uid_t user)
{
	char path[32], line[256];
	unsigned real, effective, saved;
	bool is = false, ended = false;
	FILE *file;

	if ((size_t)snprintf(path, sizeof(path), "/proc/%s/status", number) >= sizeof(path) ||
	    (file = fopen(path, "re")) == NULL)
		return (false);
	while (fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, "State:", 6) == 0)
			ended = strchr(line, 'Z') != NULL || strchr(line, 'X') != NULL;
		if (sscanf(line, "Uid: %u %u %u", &real, &effective, &saved) == 3)
			is = real == user || effective == user || saved == user;
	}
	fclose(file);
	return (is && !ended);
}

static bool
is_alone(uid_t user)
{
	DIR *folder = opendir("/proc");
	const struct dirent *entry;
	bool found = folder == NULL;

	while (!found && (entry = readdir(folder)) != NULL)
		found = strspn(entry->d_name, "0123456789") == strlen(entry->d_name) && is_of(entry->d_name, user);
	if (folder != NULL)
		closedir(folder);
	return (!found);
}

bool
end_processes(uid_t user)
{
	static const struct timespec pause = {0, PAUSE_NANOSECONDS};

	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		if (!signal_all(user))
			return (false);
		if (is_alone(user))
			return (true);
		nanosleep(&pause, NULL);
	}
	fprintf(stderr, "confine: processes of user %u do not end\n", user);
	return (false);
}
