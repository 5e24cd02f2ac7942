/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * Describing a machine on the command line, and starting it.
 */
#ifndef ANVILCTL_BOOT_H
#define ANVILCTL_BOOT_H

#include <limits.h>
#include <stdbool.h>

#include "anvil_vmm.h"
#include "state.h"

#define DRIVES_MAX 8
#define NETS_MAX   8
#define ID_MAX     64

/*
 * The console is the serial port, a reset by the keyboard controller ends the monitor, and there is no PCI. The rest keeps
 * the kernel from waiting for what is not there: a mouse, a multiplexer, answers of the keyboard, bounce buffers; nor for
 * each character of its messages, which the serial port takes one by one.
 */
#define DEFAULT_CMDLINE \
	"console=ttyS0 reboot=k panic=1 pci=off i8042.noaux i8042.nomux i8042.dumbkbd swiotlb=noforce quiet"

struct drive {
	char id[ID_MAX + 1];
	char path[PATH_MAX];
	bool read_only;
	bool root;
};

struct net {
	char id[ID_MAX + 1];
	char tap[16];
	char mac[18]; /* empty: the guest chooses */
};

struct boot {
	const char *name; /* NULL: the monitor that serves `socket` is taken */
	const char *socket;
	const char *monitor; /* program */
	const char *kernel;
	const char *initrd; /* or NULL */
	const char *cmdline;
	unsigned long cpus;
	unsigned long memory; /* MiB */
	struct drive drives[DRIVES_MAX];
	unsigned drives_count;
	struct net nets[NETS_MAX];
	unsigned nets_count;
	unsigned long cid; /* 0: no vsock */
	char uds[STATE_PATH]; /* empty: `vsock` in the machine's folder */
	const char *jail; /* "UID:GID"; NULL: the monitor chooses */
	bool no_jail;
	int timeout_ms; /* for each request */
};

/* "root=/pool/web.img,ro": id, path, then `ro` and `root`. A drive named root is the root. Fails with E_VMM_USAGE. */
bool boot_add_drive(struct boot *boot, const char *text, struct anvil_vmm_error *error);

/* "tap=NAME", then `mac=…` and `id=…`. */
bool boot_add_net(struct boot *boot, const char *text, struct anvil_vmm_error *error);

/* "cid=N", then `uds=PATH`. */
bool boot_set_vsock(struct boot *boot, const char *text, struct anvil_vmm_error *error);

/*
 * Looks at kernel, initrd and drives, starts a monitor unless there is one, tells it everything and starts the guest. After
 * a failure nothing is left of a monitor that was started here. Fails with E_VMM_USAGE when root starts a monitor that has no
 * jail and has not said `no_jail`, E_VMM_KERNEL, E_VMM_FILE, E_VMM_RUNNING,
 * E_VMM_MONITOR with its last words, E_VMM_REFUSED and what the library fails with.
 */
bool boot_machine(struct boot *boot, struct machine *machine, struct anvil_vmm_error *error);

#endif
