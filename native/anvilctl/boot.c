/* SPDX-License-Identifier: Apache-2.0 */
#include "boot.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "error.h"
#include "json.h"

#define START_LIMIT_MS 10000
#define END_LIMIT_MS   5000

/* Takes `,word` off the end. */
static bool
take_suffix(char *text, const char *word)
{
	size_t length = strlen(text), size = strlen(word);

	if (length <= size + 1 || strcmp(text + length - size, word) != 0 || text[length - size - 1] != ',')
		return (false);
	text[length - size - 1] = '\0';
	return (true);
}

static bool
misunderstood(struct anvil_vmm_error *error, const char *option, const char *text, const char *form)
{
	return (fail(error, "E_VMM_USAGE", form, "%s does not understand \"%.200s\"", option, text));
}

/* As monitors want ids. */
static bool
id_is_valid(const char *id)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";

	return (id[0] != '\0' && strspn(id, letters) == strlen(id));
}

bool
boot_add_drive(struct boot *boot, const char *text, struct anvil_vmm_error *error)
{
	static const char form[] = "--drive ID=PATH[,ro][,root]; an ID has up to 64 letters, digits and `_`";
	const char *sign = strchr(text, '=');
	struct drive drive = {.root = false};
	bool more = true;

	if (sign == NULL || sign - text > ID_MAX || strlen(sign + 1) >= sizeof(drive.path))
		return (misunderstood(error, "--drive", text, form));
	memcpy(drive.id, text, (size_t)(sign - text));
	strcpy(drive.path, sign + 1);
	while (more) {
		bool read_only = take_suffix(drive.path, "ro"), root = take_suffix(drive.path, "root");

		drive.read_only |= read_only;
		drive.root |= root;
		more = read_only || root;
	}
	drive.root |= strcmp(drive.id, "root") == 0;
	if (!id_is_valid(drive.id) || drive.path[0] == '\0')
		return (misunderstood(error, "--drive", text, form));
	if (boot->drives_count == DRIVES_MAX)
		return (fail(error, "E_VMM_USAGE", NULL, "a machine has at most %d drives", DRIVES_MAX));
	for (unsigned i = 0; i < boot->drives_count; i++) {
		if (strcmp(boot->drives[i].id, drive.id) == 0)
			return (fail(error, "E_VMM_USAGE", NULL, "two drives are called %s", drive.id));
		if (boot->drives[i].root && drive.root)
			return (fail(error, "E_VMM_USAGE", "the drive that is called root is one",
			    "there are two roots: %s and %s", boot->drives[i].id, drive.id));
	}
	boot->drives[boot->drives_count++] = drive;
	return (true);
}

/* Takes the next "word=value" of a list into `value`; false when the word is another one or the value does not fit. */
static bool
take_value(const char **list, const char *word, char *value, size_t size)
{
	size_t length = strlen(word), end;

	if (strncmp(*list, word, length) != 0 || (*list)[length] != '=')
		return (false);
	*list += length + 1;
	end = strcspn(*list, ",");
	if (end == 0 || end >= size)
		return (false);
	memcpy(value, *list, end);
	value[end] = '\0';
	*list += end;
	if (**list == ',' && (*list)[1] != '\0')
		++*list;
	return (true);
}

bool
boot_add_net(struct boot *boot, const char *text, struct anvil_vmm_error *error)
{
	struct net net = {.tap = ""};
	const char *at = text;

	snprintf(net.id, sizeof(net.id), "eth%u", boot->nets_count);
	while (*at != '\0') {
		if (!take_value(&at, "tap", net.tap, sizeof(net.tap)) &&
		    !take_value(&at, "mac", net.mac, sizeof(net.mac)) && !take_value(&at, "id", net.id, sizeof(net.id)))
			break;
	}
	if (*at != '\0' || net.tap[0] == '\0' || !id_is_valid(net.id))
		return (misunderstood(
		    error, "--net", text, "--net tap=NAME[,mac=aa:bb:cc:dd:ee:ff][,id=ID]; NAME has up to 15 bytes"));
	if (boot->nets_count == NETS_MAX)
		return (fail(error, "E_VMM_USAGE", NULL, "a machine has at most %d network interfaces", NETS_MAX));
	boot->nets[boot->nets_count++] = net;
	return (true);
}

bool
boot_set_vsock(struct boot *boot, const char *text, struct anvil_vmm_error *error)
{
	char cid[11] = "", *end = cid;
	const char *at = text;

	while (*at != '\0') {
		if (!take_value(&at, "cid", cid, sizeof(cid)) && !take_value(&at, "uds", boot->uds, sizeof(boot->uds)))
			break;
	}
	if (cid[0] >= '0' && cid[0] <= '9')
		boot->cid = strtoul(cid, &end, 10);
	if (*at != '\0' || *end != '\0' || boot->cid < 3 || boot->cid > 0xfffffffe)
		return (misunderstood(error, "--vsock", text, "--vsock cid=N[,uds=PATH]; N is 3 to 4294967294"));
	return (true);
}

/*
 * A monitor boots what the kernel's build leaves as `vmlinux`: ELF, little endian, 64 bits, for this processor. What lies
 * below /boot is mostly a bzImage ("HdrS" at 0x202; Documentation/arch/x86/boot.rst), which has an ELF packed inside.
 */
static bool
check_kernel(const char *path, struct anvil_vmm_error *error)
{
	static const unsigned char elf[] = {0x7f, 'E', 'L', 'F', 2, 1};
	unsigned char head[0x206];
	int file = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = file < 0 ? -1 : pread(file, head, sizeof(head), 0);
	int problem = errno;

	if (file >= 0)
		close(file);
	if (length < 0)
		return (fail(error, "E_VMM_KERNEL", NULL, "the kernel %s cannot be read: %s", path, strerror(problem)));
	if (length == sizeof(head) && memcmp(head + 0x202, "HdrS", 4) == 0)
		return (fail(error, "E_VMM_KERNEL", "take the `vmlinux` of the same build",
		    "%s is a bzImage, for boot loaders", path));
	if (length < 20 || memcmp(head, elf, sizeof(elf)) != 0 || head[18] != 62 || head[19] != 0)
		return (fail(error, "E_VMM_KERNEL", "an uncompressed `vmlinux` is wanted",
		    "%s is no ELF file for x86-64", path));
	return (true);
}

static bool
check_file(const char *what, const char *path, bool writable, struct anvil_vmm_error *error)
{
	struct stat status;

	if (stat(path, &status) != 0 || faccessat(AT_FDCWD, path, writable ? R_OK | W_OK : R_OK, AT_EACCESS) != 0)
		return (fail(error, "E_VMM_FILE",
		    errno == EROFS || errno == EACCES ? "`,ro` is for what is only read" : NULL,
		    "%s %s cannot be %s: %s", what, path, writable ? "written" : "read", strerror(errno)));
	if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
		return (fail(error, "E_VMM_FILE", NULL, "%s %s is neither a file nor a block device", what, path));
	return (true);
}

/* Before anything is started. */
static bool
check_files(const struct boot *boot, struct anvil_vmm_error *error)
{
	if (!check_kernel(boot->kernel, error))
		return (false);
	if (boot->initrd != NULL && !check_file("the initrd", boot->initrd, false, error))
		return (false);
	for (unsigned i = 0; i < boot->drives_count; i++) {
		if (!check_file("the drive", boot->drives[i].path, !boot->drives[i].read_only, error))
			return (false);
	}
	return (true);
}

/* The monitor's own folder is the root: it keeps no file system from being unmounted. */
static const char *
absolute(const char *path, char *buffer)
{
	return (realpath(path, buffer) != NULL ? buffer : path);
}

/* What follows is a request each; `body` is big enough for a path of which every byte is escaped. */
static char body[8 * PATH_MAX];
static struct anvil_vmm_response response;

static bool
put(const struct boot *boot, struct json_writer *writer, const char *path, struct anvil_vmm_error *error)
{
	json_end(writer);
	if (writer->full || writer->length > ANVIL_VMM_BODY_MAX)
		return (
		    fail(error, "E_VMM_BODY", NULL, "PUT %s would have more than %d bytes", path, ANVIL_VMM_BODY_MAX));
	return (anvil_vmm_request(boot->socket, "PUT", path, writer->text, boot->timeout_ms, &response, error));
}

static bool
put_machine(const struct boot *boot, struct anvil_vmm_error *error)
{
	struct json_writer writer;

	json_begin(&writer, body, sizeof(body));
	json_put_number(&writer, "vcpu_count", boot->cpus);
	json_put_number(&writer, "mem_size_mib", boot->memory);
	return (put(boot, &writer, "/machine-config", error));
}

static bool
put_kernel(const struct boot *boot, struct anvil_vmm_error *error)
{
	struct json_writer writer;
	char path[PATH_MAX];

	json_begin(&writer, body, sizeof(body));
	json_put_string(&writer, "kernel_image_path", absolute(boot->kernel, path));
	if (boot->initrd != NULL)
		json_put_string(&writer, "initrd_path", absolute(boot->initrd, path));
	json_put_string(&writer, "boot_args", boot->cmdline);
	return (put(boot, &writer, "/boot-source", error));
}

static bool
put_drive(const struct boot *boot, const struct drive *drive, struct anvil_vmm_error *error)
{
	struct json_writer writer;
	char path[PATH_MAX], resource[ID_MAX + 16];

	json_begin(&writer, body, sizeof(body));
	json_put_string(&writer, "drive_id", drive->id);
	json_put_string(&writer, "path_on_host", absolute(drive->path, path));
	json_put_bool(&writer, "is_root_device", drive->root);
	json_put_bool(&writer, "is_read_only", drive->read_only);
	/* Firecracker's default leaves out the guest's flushes */
	json_put_string(&writer, "cache_type", "Writeback");
	snprintf(resource, sizeof(resource), "/drives/%s", drive->id);
	return (put(boot, &writer, resource, error));
}

static bool
put_net(const struct boot *boot, const struct net *net, struct anvil_vmm_error *error)
{
	struct json_writer writer;
	char resource[ID_MAX + 24];

	json_begin(&writer, body, sizeof(body));
	json_put_string(&writer, "iface_id", net->id);
	json_put_string(&writer, "host_dev_name", net->tap);
	if (net->mac[0] != '\0')
		json_put_string(&writer, "guest_mac", net->mac);
	snprintf(resource, sizeof(resource), "/network-interfaces/%s", net->id);
	return (put(boot, &writer, resource, error));
}

static bool
put_vsock(const struct boot *boot, struct anvil_vmm_error *error)
{
	struct json_writer writer;

	json_begin(&writer, body, sizeof(body));
	json_put_number(&writer, "guest_cid", boot->cid);
	json_put_string(&writer, "uds_path", boot->uds);
	return (put(boot, &writer, "/vsock", error));
}

static bool
start_guest(const struct boot *boot, struct anvil_vmm_error *error)
{
	struct json_writer writer;

	json_begin(&writer, body, sizeof(body));
	json_put_string(&writer, "action_type", "InstanceStart");
	return (put(boot, &writer, "/actions", error));
}

static bool
configure(const struct boot *boot, struct anvil_vmm_error *error)
{
	if (!put_machine(boot, error) || !put_kernel(boot, error))
		return (false);
	for (unsigned i = 0; i < boot->drives_count; i++) {
		if (!put_drive(boot, &boot->drives[i], error))
			return (false);
	}
	for (unsigned i = 0; i < boot->nets_count; i++) {
		if (!put_net(boot, &boot->nets[i], error))
			return (false);
	}
	return ((boot->cid == 0 || put_vsock(boot, error)) && start_guest(boot, error));
}

/* Firecracker's serial port is its standard output: only anvil-vmm has a socket for it, and a jail of its own. */
static bool
is_ours(const struct boot *boot)
{
	const char *base = strrchr(boot->monitor, '/') == NULL ? boot->monitor : strrchr(boot->monitor, '/') + 1;

	return (strncmp(base, "anvil-vmm", 9) == 0);
}

/* The child: a session of its own, nothing to read, and its words in a file. Returns only when it cannot. */
static void
become_monitor(const struct boot *boot, const struct machine *machine)
{
	const char *argv[16] = {boot->monitor, "--id", machine->name, "--api-sock", machine->socket};
	unsigned count = 5;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int output = open(machine->output, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (is_ours(boot)) {
		argv[count++] = "--console-sock";
		argv[count++] = machine->console;
		argv[count++] = "--no-stdio";
	}
	if (boot->jail != NULL) {
		argv[count++] = "--jail";
		argv[count++] = boot->jail;
	} else if (boot->no_jail && is_ours(boot)) {
		argv[count++] = "--no-jail";
	}
	argv[count] = NULL;
	if (null < 0 || output < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0 ||
	    chdir("/") != 0)
		return;
	setsid();
	signal(SIGPIPE, SIG_DFL);
	execvp(boot->monitor, (char *const *)argv);
}

/* -1 when the program cannot be executed. */
static pid_t
spawn_monitor(const struct boot *boot, const struct machine *machine, struct anvil_vmm_error *error)
{
	int ends[2] = {-1, -1}, problem = 0;
	pid_t pid = pipe2(ends, O_CLOEXEC) == 0 ? fork() : -1;

	if (pid == 0) {
		become_monitor(boot, machine);
		problem = errno;
		if (write(ends[1], &problem, sizeof(problem)) < 0)
			_exit(126);
		_exit(127);
	}
	if (pid < 0)
		problem = errno;
	if (ends[1] >= 0)
		close(ends[1]);
	/* the end of the pipe: it is executed */
	if (pid > 0 && read(ends[0], &problem, sizeof(problem)) > 0) {
		waitpid(pid, NULL, 0);
		pid = -1;
	}
	if (ends[0] >= 0)
		close(ends[0]);
	if (pid < 0)
		fail(error, "E_VMM_MONITOR", "the ingot vmm has anvil-vmm; --monitor names another program",
		    "%s cannot be started: %s", boot->monitor, strerror(problem));
	return (pid);
}

/* Ends a monitor that was started here and does not do. */
static void
end_monitor(const struct machine *machine, int process)
{
	kill(machine->pid, SIGTERM);
	if (!process_ends(process, END_LIMIT_MS))
		kill(machine->pid, SIGKILL);
	waitpid(machine->pid, NULL, 0);
}

/* Waits until it takes connections. */
static bool
await_api(const struct machine *machine, int process, struct anvil_vmm_error *error)
{
	char said[256];

	for (int waited = 0; waited < START_LIMIT_MS; waited += 5) {
		int connection = anvil_vmm_connect(machine->socket, START_LIMIT_MS, error);

		if (connection >= 0) {
			close(connection);
			return (true);
		}
		if (process_ends(process, 5)) {
			last_words(machine, said, sizeof(said));
			return (fail(error, "E_VMM_MONITOR", "`anvilctl check` says whether guests can run here",
			    "the monitor ended as it started%s%s", said[0] == '\0' ? "" : ": ", said));
		}
	}
	return (fail(error, "E_VMM_TIMEOUT", NULL, "the monitor has not made %s within %d s", machine->socket,
	    START_LIMIT_MS / 1000));
}

/* The words of a monitor that has died say more than that the connection was closed. */
static void
add_last_words(const struct machine *machine, int process, struct anvil_vmm_error *error)
{
	char said[256];

	if (strcmp(error->code, "E_VMM_CLOSED") != 0 || !process_ends(process, 1000))
		return;
	last_words(machine, said, sizeof(said));
	fail(error, "E_VMM_MONITOR", NULL, "the monitor ended while it was told what to run%s%s",
	    said[0] == '\0' ? "" : ": ", said);
}

static bool
boot_named(struct boot *boot, struct machine *machine, struct anvil_vmm_error *error)
{
	int lock = machine_create(machine, error), process = -1;
	pid_t pid = lock < 0 ? -1 : spawn_monitor(boot, machine, error);
	bool well = false;

	boot->socket = machine->socket;
	if (boot->uds[0] == '\0')
		memcpy(boot->uds, machine->vsock, sizeof(boot->uds));
	if (pid > 0) {
		process = process_open(pid);
		well = machine_started(machine, pid, error) && await_api(machine, process, error) &&
		    configure(boot, error);
		if (!well) {
			add_last_words(machine, process, error);
			end_monitor(machine, process);
		}
		close(process);
	}
	if (lock >= 0 && !well)
		machine_remove(machine);
	if (lock >= 0)
		close(lock);
	return (well);
}

bool
boot_machine(struct boot *boot, struct machine *machine, struct anvil_vmm_error *error)
{
	if (boot->name != NULL && !machine_paths(boot->name, machine, error))
		return (false);
	if (boot->name == NULL && boot->cid != 0 && boot->uds[0] == '\0')
		return (fail(error, "E_VMM_USAGE", "--vsock cid=N,uds=PATH", "with --sock the vsock needs a path"));
	if (boot->name != NULL && !is_ours(boot) && boot->jail != NULL)
		return (fail(error, "E_VMM_USAGE", NULL, "%.200s has no jail of this kind", boot->monitor));
	if (boot->name != NULL && !is_ours(boot) && !boot->no_jail && geteuid() == 0)
		return (fail(error, "E_VMM_USAGE", "--no-jail runs it so; a guest that breaks it is root then",
		    "%.200s would run as root: only anvil-vmm has a jail", boot->monitor));
	if (!check_files(boot, error))
		return (false);
	return (boot->name == NULL ? configure(boot, error) : boot_named(boot, machine, error));
}
