/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server in a root and in namespaces of its own. Three processes: the one that was called, which is outside and hands
 * signals on; the first one of the namespace for processes, with whose end everything in it ends; and the server. Both
 * of the latter are the cluster's user, so nothing inside is root.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "confine.h"

#define STATE "/run/anvil-db"
#define LOCKS STATE "/.lock"
#define ROOT  STATE "/.root"
#define DATA  "/ingots/db/data"

#define PATH_BYTES 512

/* 30 seconds: as long as the processes of a server that was killed may take. */
#define LOCK_ATTEMPTS          60
#define LOCK_PAUSE_NANOSECONDS 500000000L

#ifndef MS_NOSYMFOLLOW
#	define MS_NOSYMFOLLOW 256
#endif

#define INERT    (MS_NOSUID | MS_NODEV)
#define WRITABLE (INERT | MS_NOEXEC)

static const char *const devices[] = {"null", "zero", "full", "random", "urandom"};

struct path {
	char text[PATH_BYTES];
};

static struct path
join(const char *first, const char *second, const char *third)
{
	struct path path;

	if (snprintf(path.text, sizeof(path.text), "%s%s%s", first, second, third) >= (int)sizeof(path.text)) {
		fprintf(stderr, "confine: a path is too long\n");
		exit(1);
	}
	return (path);
}

static void
handed_on(sigset_t *signals)
{
	static const int numbers[] = {SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

	sigemptyset(signals);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaddset(signals, numbers[i]);
}

/* Waits for the end of a child, hands signals to it, and buries whatever else ends. The status as a shell has it. */
static int
attend(pid_t child, const sigset_t *signals)
{
	for (;;) {
		int number = sigwaitinfo(signals, NULL);
		int status;
		pid_t ended;

		if (number != SIGCHLD && number > 0)
			kill(child, number);
		while ((ended = waitpid(-1, &status, WNOHANG)) > 0) {
			if (ended == child)
				return (WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
		}
	}
}

/* Held by this process and all of the server's: also what a killed server leaves behind keeps the next one out. */
static bool
take_lock(const char *cluster)
{
	static const struct timespec pause = {0, LOCK_PAUSE_NANOSECONDS};
	const struct path lock = join(LOCKS "/", cluster, "");
	const char *path = lock.text;
	int fd;

	if (mkdir(LOCKS, 0700) != 0 && errno != EEXIST)
		return (failed("make", LOCKS));
	fd = open(path, O_RDONLY | O_CREAT | O_NOFOLLOW, 0600);
	if (fd < 0)
		return (failed("open", path));
	for (int attempt = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; attempt++) {
		if (errno != EWOULDBLOCK)
			return (failed("lock", path));
		if (attempt == LOCK_ATTEMPTS) {
			fprintf(stderr, "E_DB_RUNNING  processes of a server of %s still run on its data\n", cluster);
			return (false);
		}
		nanosleep(&pause, NULL);
	}
	return (true);
}

/*
 * The folder of the socket, the only one outside of its data that the server writes to, is a small file system of its
 * own, in which no link is followed: who connects to this server gets to no other.
 */
static bool
mount_socket(const char *cluster, uid_t user)
{
	const struct path folder = join(STATE "/", cluster, "/socket");
	const char *path = folder.text;
	char options[96];

	if (mkdir(path, 0755) != 0 && errno != EEXIST)
		return (failed("make", path));
	while (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		;
	snprintf(options, sizeof(options), "mode=0755,uid=%u,gid=%u,size=64k,nr_inodes=32", user, user);
	return (mount("socket", path, "tmpfs", WRITABLE | MS_NOSYMFOLLOW, options) == 0 || failed("mount", path));
}

/* Folders of the new root. */
static bool
make_folders(const char *path)
{
	struct path folder = join(ROOT, path, "");
	char *full = folder.text;

	for (char *slash = full + sizeof(ROOT); (slash = strchr(slash, '/')) != NULL; *slash++ = '/') {
		*slash = '\0';
		if (mkdir(full, 0755) != 0 && errno != EEXIST)
			return (failed("make", full));
	}
	return (mkdir(full, 0755) == 0 || errno == EEXIST || failed("make", full));
}

/* A folder of the old root at a place in the new one. */
static bool
show(const char *from, const char *at, unsigned long flags)
{
	const struct path full = join(ROOT, at, "");
	const char *path = full.text;

	return (make_folders(at) &&
	    ((mount(from, path, NULL, MS_BIND, NULL) == 0 &&
		 mount(NULL, path, NULL, MS_BIND | MS_REMOUNT | flags, NULL) == 0) ||
		failed("show", from)));
}

static bool
mount_memory(const char *at, unsigned long flags, const char *options)
{
	const struct path full = join(ROOT, at, "");

	return (make_folders(at) && (mount("memory", full.text, "tmpfs", flags, options) == 0 || failed("mount", at)));
}

static bool
make_devices(void)
{
	static const char *const links[][2] = {{"/proc/self/fd", ROOT "/dev/fd"},
	    {"/proc/self/fd/0", ROOT "/dev/stdin"}, {"/proc/self/fd/1", ROOT "/dev/stdout"},
	    {"/proc/self/fd/2", ROOT "/dev/stderr"}};
	struct stat status;

	if (!mount_memory("/dev", MS_NOSUID | MS_NOEXEC, "mode=0755,size=64k"))
		return (false);
	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		const struct path node = join(ROOT "/dev/", devices[i], ""), from = join("/dev/", devices[i], "");

		if (stat(from.text, &status) != 0 || mknod(node.text, S_IFCHR | 0666, status.st_rdev) != 0 ||
		    chmod(node.text, 0666) != 0)
			return (failed("make", node.text));
	}
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		if (symlink(links[i][0], links[i][1]) != 0)
			return (failed("make", links[i][1]));
	}
	return (mount_memory("/dev/shm", WRITABLE, "mode=1777"));
}

/* What the server sees of the machine; everything else is not there. */
static bool
build_root(const char *cluster, const char *tree)
{
	const struct path data = join(DATA "/", cluster, ""), wal = join(data.text, "/wal", "");
	const struct path place = join(STATE "/", cluster, ""), socket = join(place.text, "/socket", "");
	const struct path etc = join(place.text, "/etc", "");

	return ((mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 || failed("keep apart", "mounts")) &&
	    (mount("root", ROOT, "tmpfs", INERT, "mode=0755,size=256k") == 0 || failed("mount", ROOT)) &&
	    show("/usr", "/usr", INERT | MS_RDONLY) &&
	    ((symlink("usr/bin", ROOT "/bin") == 0 && symlink("usr/sbin", ROOT "/sbin") == 0) ||
		failed("make", "links")) &&
	    show(tree, tree, INERT | MS_RDONLY) && show(data.text, data.text, WRITABLE) &&
	    show(wal.text, wal.text, WRITABLE) && show(place.text, place.text, INERT | MS_NOEXEC | MS_RDONLY) &&
	    show(socket.text, socket.text, WRITABLE | MS_NOSYMFOLLOW) &&
	    show(etc.text, "/etc", INERT | MS_NOEXEC | MS_RDONLY) &&
	    mount_memory("/tmp", WRITABLE, "mode=1777,size=16m") && make_devices() && make_folders("/proc") &&
	    (mount("proc", ROOT "/proc", "proc", WRITABLE, NULL) == 0 || failed("mount", "/proc")));
}

/* The old root is gone afterwards. */
static bool
enter_root(void)
{
	return ((chdir(ROOT) == 0 && syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0 &&
		    chdir("/") == 0 && mount(NULL, "/", NULL, MS_BIND | MS_REMOUNT | INERT | MS_RDONLY, NULL) == 0) ||
	    failed("enter", "the new root"));
}

/* What a server of another boot left would make this one believe that it runs twice: here only the lock counts. */
static bool
forget_server(const char *cluster)
{
	const struct path data = join(DATA "/", cluster, "");

	return ((chdir(data.text) == 0 || failed("enter", data.text)) &&
	    (unlink("pgdata/postmaster.pid") == 0 || errno == ENOENT || failed("remove", "pgdata/postmaster.pid")));
}

static void
start(const char *cluster, const char *tree, char **command)
{
	const struct path path = join(tree, "/usr/bin", ":/usr/local/bin:/usr/bin:/usr/sbin");
	sigset_t none;
	int input = open("/dev/null", O_RDONLY);

	sigemptyset(&none);
	umask(077);
	if (input < 0 || dup2(input, STDIN_FILENO) < 0 || !forget_server(cluster) || clearenv() != 0 ||
	    setenv("PATH", path.text, 1) != 0 || setenv("LC_ALL", "C", 1) != 0 || setenv("HOME", "/tmp", 1) != 0 ||
	    sigprocmask(SIG_SETMASK, &none, NULL) != 0)
		return;
	if (input > STDERR_FILENO)
		close(input);
	execvp(command[0], command);
	failed("start", command[0]);
}

/* The first process in the namespaces. The pipe, of which the one outside has the other end, says whether it is there. */
static int
run_inside(const char *cluster, uid_t user, const char *tree, char **command, int pipe, const sigset_t *signals)
{
	char there;
	pid_t server;

	if (!build_root(cluster, tree) || !enter_root() || setsid() < 0 || !become(user) || !filter_system_calls())
		return (1);
	/* becoming another user takes this back, so it comes after that; an end before it is seen by the pipe */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || read(pipe, &there, 1) != -1 || errno != EAGAIN)
		return (1);
	close(pipe);
	server = fork();
	if (server == 0) {
		start(cluster, tree, command);
		_exit(127);
	}
	return (server < 0 ? 1 : attend(server, signals));
}

int
run_confined(const char *cluster, uid_t user, const char *tree, char **command)
{
	sigset_t signals;
	pid_t child;
	int pipes[2];

	handed_on(&signals);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	umask(022);
	if (mkdir(ROOT, 0700) != 0 && errno != EEXIST)
		return (failed("make", ROOT), 1);
	/* what else is open is the caller's */
	syscall(SYS_close_range, STDERR_FILENO + 1, ~0u, 0);
	if (!take_lock(cluster) || !mount_socket(cluster, user) || pipe2(pipes, O_CLOEXEC | O_NONBLOCK) != 0)
		return (1);
	child = (pid_t)syscall(SYS_clone, CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | SIGCHLD, NULL, NULL, NULL, NULL);
	if (child == 0) {
		close(pipes[1]);
		_exit(run_inside(cluster, user, tree, command, pipes[0], &signals));
	}
	if (child < 0)
		return (failed("make", "namespaces"), 1);
	close(pipes[0]);
	return (attend(child, &signals));
}
