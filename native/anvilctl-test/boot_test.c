/* SPDX-License-Identifier: Apache-2.0 */
#include "../anvilctl/boot.h"
#include "../anvilctl/error.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests.h"

static struct anvil_vmm_error error;

static bool
is(const char *text, const char *expected)
{
	return (strcmp(text, expected) == 0);
}

static void
understands_drives(void)
{
	static struct boot boot;

	CHECK(boot_add_drive(&boot, "root=/pool/web.img", &error) && boot.drives[0].root && !boot.drives[0].read_only);
	CHECK(boot_add_drive(&boot, "data=/a=b,c,ro", &error) && is(boot.drives[1].path, "/a=b,c") &&
	    boot.drives[1].read_only);
	CHECK(!boot_add_drive(&boot, "other=/x,root,ro", &error) && strstr(error.message, "two roots") != NULL);
	CHECK(!boot_add_drive(&boot, "data=/y", &error) && !boot_add_drive(&boot, "/y", &error) &&
	    !boot_add_drive(&boot, "a=", &error));
	CHECK(!boot_add_drive(&boot, "a/b=/y", &error) && !boot_add_drive(&boot, "=/y", &error) &&
	    is(error.code, "E_VMM_USAGE"));
	for (int i = 2; i < DRIVES_MAX; i++) {
		char text[] = "d0=/y";

		text[1] = (char)('0' + i);
		CHECK(boot_add_drive(&boot, text, &error));
	}
	CHECK(!boot_add_drive(&boot, "more=/y", &error) && boot.drives_count == DRIVES_MAX);
}

static void
understands_network_and_vsock(void)
{
	static struct boot boot;

	CHECK(boot_add_net(&boot, "tap=tap0", &error) && is(boot.nets[0].id, "eth0") && is(boot.nets[0].tap, "tap0"));
	CHECK(boot_add_net(&boot, "mac=02:00:00:00:00:01,tap=tap1,id=lan", &error) && is(boot.nets[1].id, "lan"));
	CHECK(!boot_add_net(&boot, "tap=", &error) && !boot_add_net(&boot, "tap0", &error) &&
	    !boot_add_net(&boot, "tap=a,", &error));
	CHECK(!boot_add_net(&boot, "tap=abcdefghijklmnop", &error) && !boot_add_net(&boot, "tap=a,x=y", &error));
	CHECK(!boot_add_net(&boot, "", &error) && is(error.code, "E_VMM_USAGE"));
	CHECK(boot_set_vsock(&boot, "cid=3", &error) && boot.cid == 3 && boot.uds[0] == '\0');
	CHECK(boot_set_vsock(&boot, "uds=/run/v,cid=52", &error) && boot.cid == 52 && is(boot.uds, "/run/v"));
	CHECK(!boot_set_vsock(&boot, "cid=2", &error) && !boot_set_vsock(&boot, "cid=4294967295", &error));
	CHECK(!boot_set_vsock(&boot, "cid=x", &error) && !boot_set_vsock(&boot, "cid=3x", &error) &&
	    !boot_set_vsock(&boot, "uds=/a", &error) == false);
}

static void
knows_names(void)
{
	CHECK(name_is_valid("web") && name_is_valid("a1-B") && !name_is_valid("a_b") && !name_is_valid("") &&
	    !name_is_valid("-a") && !name_is_valid("a/b"));
	CHECK(!name_is_valid("..") && !name_is_valid("a b") && !name_is_valid("123456789012345678901234567890123"));
}

static void
shows_no_control_characters(void)
{
	char text[] = "a\nb\033[2J\177 \xc2\x9b"
		      "2J \x9b"
		      "2J \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80 \xc3 \xe2\x82 \xed\xa0\x80 \xc0\x80";

	make_printable(text);
	CHECK(is(text, "a b?[2J? ??2J ?2J \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80 ? ?? ??? ??"));
}

static void
write_file(const char *path, const char *bytes, size_t length)
{
	int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	CHECK(file >= 0 && write(file, bytes, length) == (ssize_t)length);
	close(file);
}

/* Kernels and drives are looked at before anything is started: the monitor here cannot be executed, and is not tried. */
static void
looks_at_files_first(void)
{
	static char elf[1024] = "\177ELF\2\1\1", image[1024];
	static struct boot boot = {.name = "web",
	    .monitor = "./no-monitor",
	    .cmdline = "",
	    .cpus = 1,
	    .memory = 1,
	    .timeout_ms = 1000,
	    .no_jail = true};
	struct machine machine;

	elf[18] = 62;
	memcpy(image + 0x202, "HdrS", 4);
	write_file("vmlinux", elf, sizeof(elf));
	write_file("bzImage", image, sizeof(image));
	write_file("short", "MZ", 2);
	boot.kernel = "absent";
	CHECK(!boot_machine(&boot, &machine, &error) && is(error.code, "E_VMM_KERNEL") &&
	    strstr(error.message, "cannot be read") != NULL);
	boot.kernel = "bzImage";
	CHECK(!boot_machine(&boot, &machine, &error) && is(error.code, "E_VMM_KERNEL") &&
	    strstr(error.hint, "vmlinux") != NULL);
	boot.kernel = "short";
	CHECK(!boot_machine(&boot, &machine, &error) && is(error.code, "E_VMM_KERNEL") &&
	    strstr(error.message, "no ELF") != NULL);
	boot.kernel = "vmlinux";
	boot.initrd = "absent";
	CHECK(!boot_machine(&boot, &machine, &error) && is(error.code, "E_VMM_FILE"));
	boot.initrd = NULL;
	CHECK(boot_add_drive(&boot, "root=absent", &error) && !boot_machine(&boot, &machine, &error) &&
	    is(error.code, "E_VMM_FILE"));
	boot.drives_count = 0;
	CHECK(boot_add_drive(&boot, "root=/dev/null,ro", &error) && !boot_machine(&boot, &machine, &error) &&
	    is(error.code, "E_VMM_FILE"));
	boot.drives_count = 0;
	CHECK(access("run/web", F_OK) != 0);
	/* root does not run what has no jail without being told so */
	boot.no_jail = false;
	CHECK(geteuid() != 0 ||
	    (!boot_machine(&boot, &machine, &error) && is(error.code, "E_VMM_USAGE") &&
		strstr(error.hint, "--no-jail") != NULL));
	boot.jail = "1:1";
	CHECK(!boot_machine(&boot, &machine, &error) && is(error.code, "E_VMM_USAGE"));
	boot.jail = NULL;
	boot.no_jail = true;
	boot.name = "we b";
	CHECK(!boot_machine(&boot, &machine, &error) && is(error.code, "E_VMM_NAME"));
	/* now it is tried, and nothing is left of it */
	boot.name = "web";
	CHECK(
	    !boot_machine(&boot, &machine, &error) && is(error.code, "E_VMM_MONITOR") && access("run/web", F_OK) != 0);
	boot.monitor = "/bin/false";
	CHECK(
	    !boot_machine(&boot, &machine, &error) && is(error.code, "E_VMM_MONITOR") && access("run/web", F_OK) != 0);
}

/* A name is taken as long as its process runs, and by nobody that was only given the same number. */
static void
remembers_processes(void)
{
	struct machine machine, again;
	pid_t pid = fork();
	int lock;

	if (pid == 0) {
		pause();
		_exit(0);
	}
	CHECK(pid > 0 && machine_paths("db", &machine, &error) && !machine_find("db", &again, &error) &&
	    is(error.code, "E_VMM_UNKNOWN"));
	lock = machine_create(&machine, &error);
	CHECK(lock >= 0 && machine_started(&machine, pid, &error));
	close(lock);
	CHECK(machine_running("db", &again, &error) && again.pid == pid);
	CHECK(machine_create(&again, &error) < 0 && is(error.code, "E_VMM_RUNNING"));
	write_file(machine.output, "one\nlast \033 words\n", 17);
	kill(pid, SIGKILL);
	CHECK(waitpid(pid, NULL, 0) == pid);
	CHECK(!machine_running("db", &again, &error) && is(error.code, "E_VMM_ENDED") &&
	    strstr(error.message, "last ? words") != NULL);
	/* its number, given to another process */
	CHECK(machine_started(&machine, getpid(), &error));
	write_file("run/db/process", "1 1\n", 4);
	CHECK(!machine_running("db", &again, &error) && is(error.code, "E_VMM_ENDED"));
	lock = machine_create(&again, &error);
	CHECK(lock >= 0 && access(machine.output, F_OK) != 0);
	close(lock);
	machine_remove(&machine);
	CHECK(access(machine.folder, F_OK) != 0);
}

/* The folder of all machines says which processes are killed: whoever may write to it could name any. */
static void
trusts_no_folder_of_others(void)
{
	struct machine machine, again;
	int lock;

	CHECK(machine_paths("db", &machine, &error));
	lock = machine_create(&machine, &error);
	CHECK(lock >= 0 && machine_started(&machine, getpid(), &error));
	close(lock);
	CHECK(machine_running("db", &again, &error));
	CHECK(chmod("run", 0777) == 0 && !machine_running("db", &again, &error) && is(error.code, "E_VMM_SYSTEM"));
	CHECK(machine_create(&again, &error) < 0 && is(error.code, "E_VMM_SYSTEM"));
	CHECK(rename("run", "elsewhere") == 0 && symlink("elsewhere", "run") == 0 && chmod("elsewhere", 0700) == 0);
	CHECK(!machine_running("db", &again, &error) && is(error.code, "E_VMM_SYSTEM"));
	CHECK(unlink("run") == 0 && rename("elsewhere", "run") == 0 && machine_running("db", &again, &error));
	machine_remove(&machine);
}

static void
finds_the_process_of_a_guest(void)
{
	uid_t user = 12345;
	pid_t pid = fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	CHECK(pid > 0 && process_child(getpid(), &user) == pid && user == geteuid() && process_child(pid, &user) == 0);
	kill(pid, SIGKILL);
	CHECK(waitpid(pid, NULL, 0) == pid);
}

void
test_boot(void)
{
	char here[4096];
	char run[sizeof(here) + sizeof("/run")];

	CHECK(getcwd(here, sizeof(here)) != NULL);
	snprintf(run, sizeof(run), "%s/run", here);
	CHECK(setenv(STATE_FOLDER_VARIABLE, run, 1) == 0);
	understands_drives();
	understands_network_and_vsock();
	knows_names();
	shows_no_control_characters();
	looks_at_files_first();
	remembers_processes();
	trusts_no_folder_of_others();
	finds_the_process_of_a_guest();
}
