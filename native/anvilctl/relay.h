/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * Standard input and output joined with a socket: consoles and vsock.
 */
#ifndef ANVILCTL_RELAY_H
#define ANVILCTL_RELAY_H

#include <stdbool.h>

#include "anvil_vmm.h"

/* Ctrl-] */
#define ESCAPE_KEY 0x1d

struct relay {
	int socket;
	bool terminal; /* standard input is made raw, and the escape key leaves */
	const char *until; /* leaves when this has come; or NULL */
	int timeout_ms; /* for all of it; -1: none */
};

/*
 * True when the other end closed, the escape key was pressed or `until` came. The end of standard input is passed on, and
 * does not end it. Fails with E_VMM_TIMEOUT, E_VMM_CLOSED when the end came before `until`, E_VMM_SYSTEM.
 */
bool relay(const struct relay *relay, struct anvil_vmm_error *error);

/* Connects to a guest's port over the socket of its vsock: the handshake "CONNECT <port>". -1 as anvil_vmm_connect does. */
int vsock_connect(const char *uds, unsigned long port, int timeout_ms, struct anvil_vmm_error *error);

/* Waits for one connection of the guest to that port of the host, which is the socket <uds>_<port>. */
int vsock_accept(const char *uds, unsigned long port, int timeout_ms, struct anvil_vmm_error *error);

#endif
