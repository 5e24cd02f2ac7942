/* SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "error.h"

static const char *
state_folder(void)
{
	const char *folder = getenv(STATE_FOLDER_VARIABLE);

	return (folder != NULL && folder[0] == '/' ? folder : STATE_FOLDER);
}

bool
name_is_valid(const char *name)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-";
	size_t length = strlen(name);

	return (length > 0 && length <= NAME_MAX_BYTES && name[0] != '-' && strspn(name, letters) == length);
}

/* False when it does not fit. */
static bool
join(char *path, const char *folder, const char *name)
{
	int length = snprintf(path, STATE_PATH, "%s/%s", folder, name);

	return (length > 0 && length < STATE_PATH);
}

bool
machine_paths(const char *name, struct machine *machine, struct anvil_vmm_error *error)
{
	*machine = (struct machine){0};
	if (!name_is_valid(name))
		return (fail(error, "E_VMM_NAME", "letters, digits and `-`, which is not the first one",
		    "\"%.64s\" is no name of a machine: it has 1 to %d characters of a few kinds", name,
		    NAME_MAX_BYTES));
	memcpy(machine->name, name, strlen(name));
	if (!join(machine->folder, state_folder(), name) || !join(machine->socket, machine->folder, "sock") ||
	    !join(machine->console, machine->folder, "console") || !join(machine->vsock, machine->folder, "vsock") ||
	    !join(machine->output, machine->folder, "output") || strlen(machine->vsock) + 11 >= STATE_PATH)
		return (fail(error, "E_VMM_NAME", "take a shorter name, or a shorter folder in " STATE_FOLDER_VARIABLE,
		    "the paths of \"%s\" are too long for sockets", name));
	return (true);
}

/* Field 22 of /proc/<pid>/stat, counted after the name of the program, which may hold anything. 0 when there is none. */
static unsigned long long
start_time(pid_t pid)
{
	char path[64], stat[1024], state = 'Z';
	unsigned long long ticks = 0;
	ssize_t length;
	const char *at;
	int file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return (0);
	length = read(file, stat, sizeof(stat) - 1);
	close(file);
	stat[length > 0 ? length : 0] = '\0';
	at = strrchr(stat, ')');
	if (at == NULL ||
	    sscanf(at + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &state,
		&ticks) != 2)
		return (0);
	/* one that has ended and that nobody has waited for */
	return (state == 'Z' || state == 'X' ? 0 : ticks);
}

static bool
process_file(const struct machine *machine, char *path)
{
	return (join(path, machine->folder, "process"));
}

static pid_t
read_process(const struct machine *machine)
{
	unsigned long long started = 0;
	char path[STATE_PATH];
	int pid = 0;
	FILE *file;

	if (!process_file(machine, path) || (file = fopen(path, "re")) == NULL)
		return (0);
	if (fscanf(file, "%d %llu", &pid, &started) != 2)
		pid = 0;
	fclose(file);
	return (pid > 0 && started != 0 && start_time(pid) == started ? pid : 0);
}

static bool
system_failed(struct anvil_vmm_error *error, const char *what)
{
	return (fail(error, "E_VMM_SYSTEM", NULL, "%s: %s", what, strerror(errno)));
}

/* What is in it says which processes are ended, and is written to: nobody else may put something there. */
static bool
folder_is_ours(struct anvil_vmm_error *error)
{
	struct stat status;

	if (lstat(state_folder(), &status) != 0)
		return (system_failed(error, state_folder()));
	if (!S_ISDIR(status.st_mode) || (status.st_uid != 0 && status.st_uid != geteuid()) ||
	    (status.st_mode & 022) != 0)
		return (fail(error, "E_VMM_SYSTEM", "remove it; it is made anew",
		    "%s is no folder in which this user alone may write", state_folder()));
	return (true);
}

static bool
folder_is_there(const struct machine *machine)
{
	struct stat status;

	return (lstat(machine->folder, &status) == 0 && S_ISDIR(status.st_mode));
}

bool
machine_find(const char *name, struct machine *machine, struct anvil_vmm_error *error)
{
	if (!machine_paths(name, machine, error))
		return (false);
	if (folder_is_there(machine) && !folder_is_ours(error))
		return (false);
	if (!folder_is_there(machine))
		return (fail(error, "E_VMM_UNKNOWN", "`anvilctl list` shows those that there are",
		    "there is no machine \"%s\"", name));
	machine->pid = read_process(machine);
	return (true);
}

bool
machine_running(const char *name, struct machine *machine, struct anvil_vmm_error *error)
{
	char said[256];

	if (!machine_find(name, machine, error))
		return (false);
	if (machine->pid != 0)
		return (true);
	last_words(machine, said, sizeof(said));
	return (fail(error, "E_VMM_ENDED", "`anvilctl boot` starts it anew, `anvilctl stop` forgets it",
	    "%s has ended%s%s", name, said[0] == '\0' ? "" : "; its monitor said: ", said));
}

/* One lock for all names: it is held while a folder is made and its monitor started. */
static int
lock_names(struct anvil_vmm_error *error)
{
	char path[STATE_PATH];
	int lock;

	if (mkdir(state_folder(), 0700) != 0 && errno != EEXIST) {
		system_failed(error, state_folder());
		return (-1);
	}
	if (!folder_is_ours(error))
		return (-1);
	if (!join(path, state_folder(), ".lock"))
		return (-1);
	lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lock >= 0 && flock(lock, LOCK_EX) == 0)
		return (lock);
	system_failed(error, path);
	if (lock >= 0)
		close(lock);
	return (-1);
}

int
machine_create(struct machine *machine, struct anvil_vmm_error *error)
{
	int lock = lock_names(error);

	if (lock < 0)
		return (-1);
	machine->pid = read_process(machine);
	if (machine->pid != 0) {
		fail(error, "E_VMM_RUNNING", "`anvilctl stop` ends it", "%s runs already, as process %d", machine->name,
		    (int)machine->pid);
	} else {
		if (folder_is_there(machine))
			machine_remove(machine);
		if (mkdir(machine->folder, 0700) == 0)
			return (lock);
		system_failed(error, machine->folder);
	}
	close(lock);
	return (-1);
}

bool
machine_started(struct machine *machine, pid_t pid, struct anvil_vmm_error *error)
{
	char path[STATE_PATH], draft[STATE_PATH];
	FILE *file;

	machine->pid = pid;
	if (!process_file(machine, path) || !join(draft, machine->folder, "process.new"))
		return (system_failed(error, machine->folder));
	file = fopen(draft, "we");
	if (file == NULL)
		return (system_failed(error, draft));
	fprintf(file, "%d %llu\n", (int)pid, start_time(pid));
	if (fclose(file) != 0 || rename(draft, path) != 0)
		return (system_failed(error, path));
	return (true);
}

/* What guests' vsock ports are listened on at lies there too, so all of it goes; folders are not in it. */
void
machine_remove(const struct machine *machine)
{
	DIR *folder = opendir(machine->folder);
	const struct dirent *entry;

	while (folder != NULL && (entry = readdir(folder)) != NULL) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			unlinkat(dirfd(folder), entry->d_name, 0);
	}
	if (folder != NULL)
		closedir(folder);
	rmdir(machine->folder);
}

static int
is_machine(const struct dirent *entry)
{
	return (name_is_valid(entry->d_name));
}

bool
machines_each(void (*call)(const struct machine *machine), struct anvil_vmm_error *error)
{
	struct dirent **entries;
	int count = scandir(state_folder(), &entries, is_machine, alphasort);

	if (count < 0)
		return (errno == ENOENT ? true : system_failed(error, state_folder()));
	for (int i = 0; i < count; i++) {
		struct machine machine;
		struct anvil_vmm_error ignored;

		if (machine_find(entries[i]->d_name, &machine, &ignored))
			call(&machine);
		free(entries[i]);
	}
	free(entries);
	return (true);
}

/* The third and fourth field of /proc/<pid>/stat are state and parent; the owner of the folder is the process's user. */
pid_t
process_child(pid_t pid, uid_t *user)
{
	DIR *processes = opendir("/proc");
	const struct dirent *entry;
	pid_t found = 0;

	while (found == 0 && processes != NULL && (entry = readdir(processes)) != NULL) {
		char path[288], stat[512], state;
		int parent = 0, file;
		ssize_t length;
		const char *at;
		struct stat status;

		snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9' || (file = open(path, O_RDONLY | O_CLOEXEC)) < 0)
			continue;
		length = read(file, stat, sizeof(stat) - 1);
		close(file);
		stat[length > 0 ? length : 0] = '\0';
		at = strrchr(stat, ')');
		if (at == NULL || sscanf(at + 1, " %c %d", &state, &parent) != 2 || parent != (int)pid)
			continue;
		snprintf(path, sizeof(path), "/proc/%s", entry->d_name);
		found = lstat(path, &status) == 0 ? (pid_t)strtol(entry->d_name, NULL, 10) : 0;
		*user = found != 0 ? status.st_uid : 0;
	}
	if (processes != NULL)
		closedir(processes);
	return (found);
}

int
process_open(pid_t pid)
{
	int process = (int)syscall(SYS_pidfd_open, pid, 0);

	if (process >= 0)
		fcntl(process, F_SETFD, FD_CLOEXEC);
	return (process);
}

bool
process_ends(int process, int timeout_ms)
{
	struct pollfd wanted = {.fd = process, .events = POLLIN};

	return (process < 0 || poll(&wanted, 1, timeout_ms) > 0);
}

void
last_words(const struct machine *machine, char *line, size_t size)
{
	char tail[512];
	ssize_t length = -1;
	int file = open(machine->output, O_RDONLY | O_CLOEXEC);
	off_t end = file < 0 ? 0 : lseek(file, 0, SEEK_END);
	const char *start = tail;

	if (file >= 0) {
		length = pread(
		    file, tail, sizeof(tail) - 1, end > (off_t)sizeof(tail) - 1 ? end - (off_t)sizeof(tail) + 1 : 0);
		close(file);
	}
	while (length > 0 && tail[length - 1] == '\n')
		length--;
	tail[length > 0 ? length : 0] = '\0';
	if (strrchr(tail, '\n') != NULL)
		start = strrchr(tail, '\n') + 1;
	snprintf(line, size, "%s", start);
	make_printable(line);
}
