/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "error.h"
#include "kvm.h"
#include "relay.h"
#include "state.h"

#define KILL_LIMIT_MS 10000
/* A monitor that is well takes its sockets and its guest's process along within it. */
#define TERM_LIMIT_MS 2000

static struct anvil_vmm_response response;

/* Fills in the machine when it has a name, and says where its monitor listens. */
static bool
find(const struct target *target, struct machine *machine, const char **socket, struct anvil_vmm_error *error)
{
	*machine = (struct machine){.pid = 0};
	*socket = target->socket;
	if (target->name == NULL)
		return (true);
	*socket = machine->socket;
	return (machine_running(target->name, machine, error));
}

static bool
ask(const char *socket, const char *path, int timeout_ms, struct anvil_vmm_error *error)
{
	return (anvil_vmm_request(socket, "GET", path, NULL, timeout_ms, &response, error));
}

static void
print_member(const char *label, const char *path)
{
	char value[512];

	if (anvil_vmm_member(&response, path, value, sizeof(value))) {
		make_printable(value);
		printf("%-8s %s\n", label, value);
	}
}

bool
command_status(const struct target *target, struct anvil_vmm_error *error)
{
	struct machine machine;
	const char *socket;

	if (!find(target, &machine, &socket, error) || !ask(socket, "/", target->timeout_ms, error))
		return (false);
	print_member("id", "id");
	print_member("state", "state");
	print_member("monitor", "app_name");
	print_member("version", "vmm_version");
	printf("%-8s %s\n", "socket", socket);
	if (machine.pid != 0) {
		uid_t user;
		pid_t guest = process_child(machine.pid, &user);

		printf("%-8s %d\n", "process", (int)machine.pid);
		if (guest != 0)
			printf("%-8s process %d, user %lu\n", "jail", (int)guest, (unsigned long)user);
	}
	if (!ask(socket, "/vm/config", target->timeout_ms, error))
		return (false);
	print_member("cpus", "machine-config/vcpu_count");
	print_member("memory", "machine-config/mem_size_mib");
	print_member("kernel", "boot-source/kernel_image_path");
	print_member("initrd", "boot-source/initrd_path");
	print_member("cmdline", "boot-source/boot_args");
	for (int i = 0;; i++) {
		char path[64], id[128];

		snprintf(path, sizeof(path), "drives/%d/drive_id", i);
		if (!anvil_vmm_member(&response, path, id, sizeof(id)))
			break;
		snprintf(path, sizeof(path), "drives/%d/path_on_host", i);
		print_member("drive", path);
	}
	for (int i = 0;; i++) {
		char path[64], tap[128];

		snprintf(path, sizeof(path), "network-interfaces/%d/host_dev_name", i);
		if (!anvil_vmm_member(&response, path, tap, sizeof(tap)))
			break;
		print_member("tap", path);
	}
	print_member("cid", "vsock/guest_cid");
	print_member("vsock", "vsock/uds_path");
	return (true);
}

#define LIST_LIMIT_MS 2000

static void
list_one(const struct machine *machine)
{
	struct anvil_vmm_error error;
	char state[64] = "does not answer";
	char cpus[16] = "-", memory[16] = "-";

	if (machine->pid == 0) {
		printf("%-16s ended\n", machine->name);
		return;
	}
	if (ask(machine->socket, "/", LIST_LIMIT_MS, &error)) {
		(void)anvil_vmm_member(&response, "state", state, sizeof(state));
		if (ask(machine->socket, "/machine-config", LIST_LIMIT_MS, &error)) {
			(void)anvil_vmm_member(&response, "vcpu_count", cpus, sizeof(cpus));
			(void)anvil_vmm_member(&response, "mem_size_mib", memory, sizeof(memory));
		}
	}
	make_printable(state);
	printf("%-16s %-16s %8d %4s %6s\n", machine->name, state, (int)machine->pid, cpus, memory);
}

bool
command_list(struct anvil_vmm_error *error)
{
	printf("%-16s %-16s %8s %4s %6s\n", "NAME", "STATE", "PROCESS", "CPUS", "MEMORY");
	return (machines_each(list_one, error));
}

bool
command_state(const struct target *target, const char *state, struct anvil_vmm_error *error)
{
	struct machine machine;
	const char *socket;
	char body[64];

	snprintf(body, sizeof(body), "{\"state\":\"%s\"}", state);
	return (find(target, &machine, &socket, error) &&
	    anvil_vmm_request(socket, "PATCH", "/vm", body, target->timeout_ms, &response, error));
}

/* Who listens there; 0 when nobody does. */
static pid_t
listener(const char *socket, int timeout_ms, struct anvil_vmm_error *error)
{
	struct ucred peer = {.pid = 0};
	socklen_t size = sizeof(peer);
	int connection = anvil_vmm_connect(socket, timeout_ms, error);

	if (connection < 0)
		return (0);
	if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.pid <= 0) {
		peer.pid = 0;
		fail(error, "E_VMM_SYSTEM", NULL, "the process behind %s is not to be seen from here", socket);
	}
	close(connection);
	return (peer.pid);
}

/* True when the guest was asked. */
static bool
ask_guest(const char *socket, int timeout_ms, struct anvil_vmm_error *error)
{
	static const char action[] = "{\"action_type\":\"SendCtrlAltDel\"}";
	char state[64] = "";

	if (!ask(socket, "/", timeout_ms, error))
		return (false);
	(void)anvil_vmm_member(&response, "state", state, sizeof(state));
	if (strcmp(state, "Paused") == 0)
		return (fail(error, "E_VMM_PAUSED", "`anvilctl resume` first, or `--force`",
		    "the guest is paused and hears nothing"));
	return (anvil_vmm_request(socket, "PUT", "/actions", action, timeout_ms, &response, error));
}

static bool
end(const char *socket, pid_t pid, int process, const struct target *target, bool force, int limit_ms,
    struct anvil_vmm_error *error)
{
	bool asked = !(force && limit_ms == 0) && ask_guest(socket, target->timeout_ms, error);

	/* it may end before it has answered */
	if (!asked && !force && !process_ends(process, 0))
		return (false);
	if (process_ends(process, asked || !force ? limit_ms : 0))
		return (true);
	if (!force)
		return (fail(error, "E_VMM_TIMEOUT", "`--force` kills it after the limit, `--timeout` sets that",
		    "the guest has not ended within %d s", limit_ms / 1000));
	kill(pid, SIGTERM);
	if (process_ends(process, TERM_LIMIT_MS))
		return (true);
	kill(pid, SIGKILL);
	if (!process_ends(process, KILL_LIMIT_MS))
		return (fail(error, "E_VMM_TIMEOUT", "the kernel does not let go of it: dmesg",
		    "process %d does not end", (int)pid));
	return (true);
}

bool
command_stop(const struct target *target, bool force, int limit_ms, struct anvil_vmm_error *error)
{
	struct machine machine = {.pid = 0};
	const char *socket = target->socket;
	int process;
	pid_t pid;
	bool well = true;

	if (target->name != NULL) {
		if (!machine_find(target->name, &machine, error))
			return (false);
		socket = machine.socket;
		pid = machine.pid;
	} else {
		pid = listener(socket, target->timeout_ms, error);
		if (pid == 0)
			return (false);
	}
	if (pid != 0) {
		process = process_open(pid);
		well = end(socket, pid, process, target, force, limit_ms, error);
		if (process >= 0)
			close(process);
	}
	if (well && target->name != NULL)
		machine_remove(&machine);
	return (well);
}

/* NULL when it is too long. */
static const char *
read_body(struct anvil_vmm_error *error)
{
	static char body[ANVIL_VMM_BODY_MAX + 2];
	size_t length = fread(body, 1, sizeof(body) - 1, stdin);

	body[length] = '\0';
	if (length <= ANVIL_VMM_BODY_MAX && strlen(body) == length)
		return (body);
	fail(error, "E_VMM_BODY", NULL, "the body has more than %d bytes, or a NUL", ANVIL_VMM_BODY_MAX);
	return (NULL);
}

bool
command_request(
    const struct target *target, const char *method, const char *path, const char *body, struct anvil_vmm_error *error)
{
	struct machine machine;
	const char *socket;

	if (!find(target, &machine, &socket, error))
		return (false);
	if (body != NULL && strcmp(body, "-") == 0 && (body = read_body(error)) == NULL)
		return (false);
	if (!anvil_vmm_request(socket, method, path, body, target->timeout_ms, &response, error))
		return (false);
	if (response.length > 0)
		printf("%s\n", response.body);
	return (true);
}

static bool
join(int socket, const char *until, int timeout_ms, struct anvil_vmm_error *error)
{
	struct relay both = {.socket = socket, .terminal = isatty(0), .until = until, .timeout_ms = timeout_ms};
	bool well;

	if (both.terminal)
		fputs("Ctrl-] leaves\r\n", stderr);
	well = relay(&both, error);
	if (both.terminal)
		fputs("\r\n", stderr);
	close(socket);
	return (well);
}

bool
command_console(const struct target *target, const char *until, int timeout_ms, struct anvil_vmm_error *error)
{
	struct machine machine;
	const char *socket;
	int console;

	if (target->name == NULL)
		return (fail(error, "E_VMM_USAGE", "`anvilctl boot --name` gives it one",
		    "only a machine with a name has a console"));
	if (!find(target, &machine, &socket, error))
		return (false);
	if (access(machine.console, F_OK) != 0)
		return (fail(error, "E_VMM_CONNECT", NULL,
		    "the monitor of %s has no socket for a console; what it prints is in %s", machine.name,
		    machine.output));
	console = anvil_vmm_connect(machine.console, target->timeout_ms, error);
	return (console >= 0 && join(console, until, timeout_ms, error));
}

bool
command_vsock(
    const struct target *target, unsigned long port, bool listen, int timeout_ms, struct anvil_vmm_error *error)
{
	struct machine machine;
	const char *socket;
	char uds[STATE_PATH];
	int limit = timeout_ms < 0 ? target->timeout_ms : timeout_ms, connection;

	if (!find(target, &machine, &socket, error) || !ask(socket, "/vm/config", target->timeout_ms, error))
		return (false);
	if (!anvil_vmm_member(&response, "vsock/uds_path", uds, sizeof(uds)))
		return (fail(
		    error, "E_VMM_USAGE", "`anvilctl boot --vsock cid=3` gives it one", "this machine has no vsock"));
	connection = listen ? vsock_accept(uds, port, listen && timeout_ms < 0 ? -1 : limit, error)
			    : vsock_connect(uds, port, limit, error);
	return (connection >= 0 && join(connection, NULL, timeout_ms, error));
}

bool
command_check(struct anvil_vmm_error *error)
{
	struct kvm_facts facts;

	kvm_look(&facts);
	if (!kvm_judge(&facts, error))
		return (false);
	printf("guests can run here: /dev/kvm, API version %d, %s%s\n", facts.version, facts.amd ? "SVM" : "VMX",
	    facts.virtual ? ", nested" : "");
	return (true);
}
