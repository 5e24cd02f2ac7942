/* SPDX-License-Identifier: Apache-2.0 */
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "frames.h"

/* ZFS_MODULE_LOADING: the ZFS tools would otherwise look for modprobe. */
static char *const environment[] = {
    "PATH=/usr/local/sbin:/usr/local/bin:/ingots/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/root",
    "LC_ALL=C",
    "ZFS_MODULE_LOADING=no",
    NULL,
};

/* In a process group of its own, with the signals that this process ignores or blocks as they are by default. */
static pid_t
spawn(const char *const argv[], const char *folder, int output)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	pid_t pid;
	int error;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, output, 1);
	posix_spawn_file_actions_adddup2(&actions, output, 2);
	posix_spawn_file_actions_addchdir_np(&actions, folder != NULL ? folder : "/");
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	error = posix_spawn(&pid, argv[0], &actions, &attributes, (char *const *)argv, environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	errno = error;
	return (error == 0 ? pid : -1);
}

/* Takes what is there. False at the end. */
static bool
take_output(int from, char *output, size_t size, size_t *length)
{
	char spare[4096];
	size_t room = size - 1 - *length;
	ssize_t got = room > 0 ? read(from, output + *length, room) : read(from, spare, sizeof(spare));

	if (got > 0 && room > 0)
		*length += (size_t)got;
	return (got > 0 || (got < 0 && (errno == EINTR || errno == EAGAIN)));
}

/*
 * Reads the output until the process ends, not until the last holder of the pipe has closed it: what it left behind in
 * the background does not matter. False when the time ran out first.
 */
static bool
follow(int process, int from, uint64_t deadline, char *output, size_t size, size_t *length)
{
	struct pollfd wanted[2] = {{.fd = process, .events = POLLIN}, {.fd = from, .events = POLLIN}};

	while ((wanted[0].revents & POLLIN) == 0) {
		uint64_t now = nanoseconds_now();
		int limit = deadline == 0 ? -1 : now >= deadline ? 0 : (int)((deadline - now) / 1000000) + 1;

		if (poll(wanted, 2, limit) == 0)
			return (false);
		if ((wanted[1].revents & (POLLIN | POLLHUP)) != 0 && !take_output(from, output, size, length))
			wanted[1].fd = -1;
	}
	while (poll(&wanted[1], 1, 0) > 0 && take_output(from, output, size, length))
		continue;
	return (true);
}

static void
run_into(const char *const argv[], const char *folder, unsigned seconds, struct run *run, char *output, size_t size)
{
	uint64_t deadline = seconds == 0 ? 0 : nanoseconds_now() + (uint64_t)seconds * 1000000000u;
	int ends[2] = {-1, -1};
	int process = -1, status = 127 << 8;
	pid_t pid = pipe2(ends, O_CLOEXEC) == 0 ? spawn(argv, folder, ends[1]) : -1;

	run->timed_out = false;
	run->length = 0;
	if (pid < 0) {
		run->length = (size_t)snprintf(output, size, "%s: %s", argv[0], strerror(errno));
	} else {
		close(ends[1]);
		ends[1] = -1;
		process = (int)syscall(SYS_pidfd_open, pid, 0);
		run->timed_out = !follow(process, ends[0], deadline, output, size, &run->length);
		if (run->timed_out)
			kill(-pid, SIGKILL);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			continue;
		output[run->length] = '\0';
	}
	run->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	for (int i = 0; i < 2; i++) {
		if (ends[i] >= 0)
			close(ends[i]);
	}
	if (process >= 0)
		close(process);
}

void
run_program(const char *const argv[], const char *folder, unsigned seconds, struct run *run)
{
	run_into(argv, folder, seconds, run, run->output, sizeof(run->output));
}

bool
run_zfs(const char *const argv[], char *output, size_t size, struct fault *fault)
{
	struct run run;

	if (output == NULL) {
		output = run.output;
		size = sizeof(run.output);
	}
	run_into(argv, NULL, 0, &run, output, size);
	if (run.status == 0)
		return (true);
	fail(fault, "E_INGOT_ZFS", "`zpool status` and `dmesg` may say more", "%s %s ended with status %d",
	    strrchr(argv[0], '/') + 1, argv[1], run.status);
	fault_detail(fault, output);
	return (false);
}
