/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * anvilctl: boots micro virtual machines and tells their monitors what to do. docs/vmm.md describes it.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boot.h"
#include "commands.h"
#include "error.h"

static const char usage[] =
    "usage: anvilctl boot --name NAME --kernel FILE [options]   starts a monitor and the guest in it\n"
    "       anvilctl console NAME                               its serial port; Ctrl-] leaves\n"
    "       anvilctl status [NAME] · pause [NAME] · resume [NAME]\n"
    "       anvilctl stop [NAME] [--force]                      Ctrl-Alt-Del, and waits; --force: kills after the limit\n"
    "       anvilctl list                                       machines that were booted by name\n"
    "       anvilctl vsock [NAME] PORT [--listen]               a port of the guest, or of this side, as standard input and output\n"
    "       anvilctl request METHOD PATH [BODY]                 any request; BODY - is standard input\n"
    "       anvilctl check                                      whether guests can run here, and if not, why\n"
    "\n"
    "boot:  --initrd FILE · --cmdline TEXT · --cpus N · --mem MIB\n"
    "       --drive ID=PATH[,ro][,root]             the drive with the ID root is the root; repeated for more\n"
    "       --net tap=NAME[,mac=MAC][,id=ID] · --vsock cid=N[,uds=PATH]\n"
    "       --jail UID:GID                          the user of the guest's process, instead of one that no other machine has\n"
    "       --no-jail                               the guest runs as the user who boots it\n"
    "       --monitor PROGRAM                       anvil-vmm; Firecracker takes the same requests\n"
    "all:   --sock PATH                             a monitor by its socket, /tmp/anvil.sock, instead of a name\n"
    "       --timeout SECONDS                       of a request (10); of stop, until the guest has ended (30);\n"
    "                                               of console and vsock, of all of it\n"
    "console: --until TEXT                          leaves when that has come\n"
    "\n"
    "exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 no such machine or nobody there, 4 not in time\n";

struct options {
	struct boot boot;
	const char *socket;
	const char *until;
	bool force;
	bool listen;
	long timeout; /* seconds; -1: not said */
	char *words[8];
	int words_count;
};

static int
exit_status(const char *code)
{
	if (strcmp(code, "E_VMM_USAGE") == 0 || strcmp(code, "E_VMM_NAME") == 0)
		return (2);
	if (strcmp(code, "E_VMM_UNKNOWN") == 0 || strcmp(code, "E_VMM_ENDED") == 0 ||
	    strcmp(code, "E_VMM_CONNECT") == 0)
		return (3);
	return (strcmp(code, "E_VMM_TIMEOUT") == 0 ? 4 : 1);
}

static int
finish(bool well, const struct anvil_vmm_error *error)
{
	if (well && fflush(stdout) == 0)
		return (0);
	if (well)
		return (1);
	fprintf(stderr, "%s  %s\n", error->code, error->message);
	if (error->status != 0)
		fprintf(stderr, "  status %d\n", error->status);
	if (error->hint[0] != '\0')
		fprintf(stderr, "  hint: %s\n", error->hint);
	return (exit_status(error->code));
}

static bool
take_number(const char *option, const char *text, unsigned long least, unsigned long most, unsigned long *number,
    struct anvil_vmm_error *error)
{
	char *end;

	*number = strtoul(text, &end, 10);
	if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && *number >= least && *number <= most)
		return (true);
	return (fail(error, "E_VMM_USAGE", NULL, "%s wants a whole number from %lu to %lu, not \"%.64s\"", option,
	    least, most, text));
}

/* An option that has a value. */
static bool
take_option(struct options *options, const char *option, const char *value, struct anvil_vmm_error *error)
{
	struct boot *boot = &options->boot;
	unsigned long number;

	if (strcmp(option, "--drive") == 0)
		return (boot_add_drive(boot, value, error));
	if (strcmp(option, "--net") == 0)
		return (boot_add_net(boot, value, error));
	if (strcmp(option, "--vsock") == 0)
		return (boot_set_vsock(boot, value, error));
	if (strcmp(option, "--cpus") == 0)
		return (take_number(option, value, 1, 32, &boot->cpus, error));
	if (strcmp(option, "--mem") == 0)
		return (take_number(option, value, 1, 1ul << 24, &boot->memory, error));
	if (strcmp(option, "--timeout") == 0) {
		bool well = take_number(option, value, 0, 86400, &number, error);

		options->timeout = (long)number;
		return (well);
	}

	const struct {
		const char *option;
		const char **value;
	} texts[] = {
	    {"--name", &boot->name},
	    {"--kernel", &boot->kernel},
	    {"--initrd", &boot->initrd},
	    {"--cmdline", &boot->cmdline},
	    {"--monitor", &boot->monitor},
	    {"--sock", &options->socket},
	    {"--until", &options->until},
	    {"--jail", &boot->jail},
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (strcmp(option, texts[i].option) == 0) {
			*texts[i].value = value;
			return (true);
		}
	}
	return (fail(error, "E_VMM_USAGE", "`anvilctl --help`", "there is no option %.64s", option));
}

/* Options may stand anywhere after the command. */
static bool
parse(int argc, char **argv, struct options *options, struct anvil_vmm_error *error)
{
	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "--force") == 0) {
			options->force = true;
		} else if (strcmp(argv[i], "--listen") == 0) {
			options->listen = true;
		} else if (strcmp(argv[i], "--no-jail") == 0) {
			options->boot.no_jail = true;
		} else if (strncmp(argv[i], "--", 2) == 0) {
			if (i + 1 == argc)
				return (fail(error, "E_VMM_USAGE", "`anvilctl --help`",
				    "%.64s wants a value, or is none of the options", argv[i]));
			if (!take_option(options, argv[i], argv[i + 1], error))
				return (false);
			i++;
		} else if (options->words_count == (int)(sizeof(options->words) / sizeof(options->words[0]))) {
			return (fail(error, "E_VMM_USAGE", NULL, "\"%.64s\" means nothing here", argv[i]));
		} else {
			options->words[options->words_count++] = argv[i];
		}
	}
	return (true);
}

static bool
run_boot(struct options *options, struct anvil_vmm_error *error)
{
	struct boot *boot = &options->boot;
	struct machine machine;

	if (options->words_count > 0)
		return (fail(
		    error, "E_VMM_USAGE", "options begin with --", "\"%.64s\" means nothing here", options->words[0]));
	if (boot->kernel == NULL || (boot->name == NULL) == (options->socket == NULL))
		return (fail(error, "E_VMM_USAGE", NULL,
		    "boot wants --kernel FILE, and --name NAME or the --sock of a monitor"));
	if (boot->no_jail && boot->jail != NULL)
		return (fail(error, "E_VMM_USAGE", NULL, "--jail and --no-jail do not go together"));
	if (boot->name == NULL && (boot->no_jail || boot->jail != NULL))
		return (fail(
		    error, "E_VMM_USAGE", "`anvil-vmm --help`", "a monitor that runs already was told about its jail"));
	boot->socket = options->socket;
	if (!boot_machine(boot, &machine, error))
		return (false);
	if (boot->name != NULL)
		printf("%s runs, process %d, %s\n", boot->name, (int)machine.pid, machine.socket);
	return (true);
}

/* `fixed` words follow an optional name, `more` further ones may. */
static bool
take_target(struct options *options, int fixed, int more, struct target *target, struct anvil_vmm_error *error)
{
	bool named = options->socket == NULL && options->words_count > fixed + more;

	*target = (struct target){
	    .socket = options->socket, .timeout_ms = options->timeout < 0 ? 10000 : (int)options->timeout * 1000};
	if (named) {
		target->name = options->words[0];
		options->words_count--;
		memmove(options->words, options->words + 1, (size_t)options->words_count * sizeof(options->words[0]));
	} else if (target->socket == NULL) {
		target->socket = ANVIL_VMM_SOCKET;
	}
	if (options->words_count < fixed || options->words_count > fixed + more)
		return (
		    fail(error, "E_VMM_USAGE", "`anvilctl --help`", "these are not the words that the command wants"));
	return (true);
}

static bool
run(const char *command, struct options *options, struct anvil_vmm_error *error)
{
	int all = options->timeout < 0 ? -1 : (int)options->timeout * 1000;
	struct target target;
	unsigned long port;

	if (strcmp(command, "boot") == 0)
		return (run_boot(options, error));
	if (strcmp(command, "request") == 0) {
		/* its machine is named by --name, as it has words of its own */
		if (options->words_count < 2 || options->words_count > 3)
			return (fail(error, "E_VMM_USAGE", NULL, "anvilctl request [--name NAME] METHOD PATH [BODY]"));
		if (!take_target(options, 2, 1, &target, error))
			return (false);
		target.name = options->boot.name;
		return (command_request(&target, options->words[0], options->words[1],
		    options->words_count == 3 ? options->words[2] : NULL, error));
	}
	if (!take_target(options, strcmp(command, "vsock") == 0, 0, &target, error))
		return (false);
	if (strcmp(command, "vsock") == 0)
		return (take_number("vsock", options->words[0], 1, 0xfffffffe, &port, error) &&
		    command_vsock(&target, port, options->listen, all, error));
	if (strcmp(command, "console") == 0) {
		target.timeout_ms = 10000;
		return (command_console(&target, options->until, all, error));
	}
	if (strcmp(command, "stop") == 0) {
		target.timeout_ms = 10000;
		return (command_stop(&target, options->force, all < 0 ? 30000 : all, error));
	}
	if (strcmp(command, "status") == 0)
		return (command_status(&target, error));
	if (strcmp(command, "pause") == 0 || strcmp(command, "resume") == 0)
		return (command_state(&target, command[0] == 'p' ? "Paused" : "Resumed", error));
	if (strcmp(command, "list") == 0 && target.name == NULL)
		return (command_list(error));
	if (strcmp(command, "check") == 0 && target.name == NULL)
		return (command_check(error));
	return (fail(error, "E_VMM_USAGE", "`anvilctl --help`", "there is no command \"%.64s\"", command));
}

int
main(int argc, char **argv)
{
	static struct options options = {.timeout = -1};
	static struct anvil_vmm_error error;

	signal(SIGPIPE, SIG_IGN);
	if (argc < 2 || strcmp(argv[1], "--help") == 0) {
		fputs(usage, argc < 2 ? stderr : stdout);
		return (argc < 2 ? 2 : 0);
	}
	options.boot = (struct boot){
	    .monitor = "anvil-vmm",
	    .cmdline = DEFAULT_CMDLINE,
	    .cpus = 1,
	    .memory = 128,
	    .timeout_ms = 10000,
	};
	if (!parse(argc, argv, &options, &error))
		return (finish(false, &error));
	if (options.timeout >= 0)
		options.boot.timeout_ms = (int)options.timeout * 1000;
	return (finish(run(argv[1], &options, &error), &error));
}
