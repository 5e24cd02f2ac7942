/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage: judge JOBS SECONDS < LIST
 *
 * Runs each program of the list (a path below this folder per line), so many at once, each in a process group of its own
 * that is killed after so many seconds. Prints a line for each that did not end with status 0, in the order of the list:
 * its path, and `status N`, `signal N` or `timeout`. The last line says how many ran.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct test {
	char *path;
	/* 0 when it does not run */
	pid_t pid;
	time_t deadline;
	bool timed_out;
	int status;
};

static void
die(const char *what)
{
	fprintf(stderr, "judge: %s: %s\n", what, strerror(errno));
	exit(2);
}

static time_t
seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec);
}

static struct test *
read_list(size_t *count)
{
	struct test *tests = NULL;
	char *line = NULL;
	size_t size = 0;

	for (*count = 0; getline(&line, &size, stdin) > 0; (*count)++) {
		line[strcspn(line, "\n")] = '\0';
		tests = realloc(tests, (*count + 1) * sizeof(*tests));
		if (tests == NULL)
			die("the list");
		tests[*count] = (struct test){.path = strdup(line)};
	}
	free(line);
	return (tests);
}

/* The child: nothing to read, nobody who listens, no core, and a folder in which it may write. */
static void
become(const char *path)
{
	const struct rlimit none = {0, 0};
	int null = open("/dev/null", O_RDWR);
	char program[PATH_MAX];

	setpgid(0, 0);
	setrlimit(RLIMIT_CORE, &none);
	if (getcwd(program, sizeof(program)) != NULL && chdir("/tmp") == 0) {
		size_t length = strlen(program);

		snprintf(program + length, sizeof(program) - length, "/%s", path);
		for (int fd = 0; fd < 3; fd++)
			dup2(null, fd);
		close(null);
		execl(program, program, (char *)NULL);
	}
	_exit(127);
}

static void
start(struct test *test, time_t limit)
{
	test->deadline = seconds_now() + limit;
	test->pid = fork();
	if (test->pid < 0)
		die("fork");
	if (test->pid == 0)
		become(test->path);
	/* in both, so that it holds whichever goes on first */
	setpgid(test->pid, test->pid);
}

static void
ended(struct test tests[], size_t started, pid_t pid, int status)
{
	size_t i = started;

	while (i-- > 0 && tests[i].pid != pid)
		continue;
	tests[i].status = status;
	tests[i].pid = 0;
	/* what it left behind */
	kill(-pid, SIGKILL);
}

static void
kill_late(struct test tests[], size_t started)
{
	for (size_t i = 0; i < started; i++) {
		if (tests[i].pid == 0 || seconds_now() < tests[i].deadline)
			continue;
		tests[i].timed_out = true;
		kill(-tests[i].pid, SIGKILL);
	}
}

static void
run_all(struct test tests[], size_t count, size_t jobs, time_t limit)
{
	size_t started = 0, running = 0;
	int status;

	while (started < count || running > 0) {
		for (; started < count && running < jobs; running++)
			start(&tests[started++], limit);

		pid_t pid = wait(&status);

		if (pid > 0) {
			ended(tests, started, pid, status);
			running--;
		} else {
			kill_late(tests, started);
		}
	}
}

static void
report(const struct test *test)
{
	if (test->timed_out)
		printf("%s timeout\n", test->path);
	else if (WIFSIGNALED(test->status))
		printf("%s signal %d\n", test->path, WTERMSIG(test->status));
	else if (WEXITSTATUS(test->status) != 0)
		printf("%s status %d\n", test->path, WEXITSTATUS(test->status));
}

/* Only interrupts wait(2). */
static void
tick(int signal)
{
	(void)signal;
}

int
main(int argc, char *argv[])
{
	const struct sigaction on_tick = {.sa_handler = tick};
	const struct itimerval each_second = {{1, 0}, {1, 0}};
	size_t count;

	if (argc != 3) {
		fprintf(stderr, "usage: judge JOBS SECONDS < LIST\n");
		return (2);
	}

	static struct test *tests;

	tests = read_list(&count);

	sigaction(SIGALRM, &on_tick, NULL);
	setitimer(ITIMER_REAL, &each_second, NULL);
	run_all(tests, count, strtoul(argv[1], NULL, 10), strtol(argv[2], NULL, 10));
	for (size_t i = 0; i < count; i++)
		report(&tests[i]);
	printf("%zu ran\n", count);
	return (0);
}
