/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * libanvil_vmm: speaks to a monitor of micro virtual machines, anvil-vmm or Firecracker, over its unix socket. No memory is
 * allocated, no signal and no global state is touched. Functions return false and fill in the error when they fail.
 * docs/vmm.md has the API; what it calls by a path here is one of HTTP.
 */
#ifndef ANVIL_VMM_H
#define ANVIL_VMM_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Where a monitor serves its API when nothing else is said. Of one that root has started it leads to ANVIL_VMM_ROOT_SOCKET, as
 * anybody may make names in /tmp.
 */
#define ANVIL_VMM_ROOT_SOCKET "/run/anvil-vmm.sock"
#define ANVIL_VMM_SOCKET      "/tmp/anvil.sock"

/* Bytes of a request's body that a monitor takes, and of a whole response that is read. */
#define ANVIL_VMM_BODY_MAX     51200
#define ANVIL_VMM_RESPONSE_MAX ((size_t)128 * 1024)

struct anvil_vmm_error {
	const char *code; /* docs/errors.md lists them; NULL as long as nothing failed */
	int status; /* of HTTP, when the monitor has refused; else 0 */
	char message[768]; /* one line, printable */
	char hint[256]; /* a way out; may be empty */
};

struct anvil_vmm_response {
	int status;
	const char *body; /* in `bytes`, ended by a NUL that is not counted; strict JSON when it is not empty */
	size_t length;
	char bytes[ANVIL_VMM_RESPONSE_MAX + 1];
};

/*
 * Connects. The descriptor, closed on exec, or -1. Fails with E_VMM_CONNECT when nobody listens or it is not permitted,
 * E_VMM_TIMEOUT, E_VMM_PEER when it is neither root nor this user that listens.
 */
int anvil_vmm_connect(const char *socket, int timeout_ms, struct anvil_vmm_error *error);

/*
 * Sends a request over the connection and reads the whole response; `body` is JSON, or NULL. After a failure the
 * connection is of no use. Fails with E_VMM_BODY before anything is sent, E_VMM_TIMEOUT when it takes longer in all,
 * E_VMM_CLOSED when the monitor goes, E_VMM_RESPONSE for what is not HTTP with JSON, or larger than the limit.
 * A status other than 2xx is no failure here.
 */
bool anvil_vmm_send(int connection, const char *method, const char *path, const char *body, int timeout_ms,
    struct anvil_vmm_response *response, struct anvil_vmm_error *error);

/* Connects, sends, closes. Fails as both do, and with E_VMM_REFUSED and the monitor's words when the status is not 2xx. */
bool anvil_vmm_request(const char *socket, const char *method, const char *path, const char *body, int timeout_ms,
    struct anvil_vmm_response *response, struct anvil_vmm_error *error);

/*
 * A member of the response's object as text: `path` joins names by a slash, "machine-config/vcpu_count", an element of an
 * array is its number. Strings are decoded, everything else is as it was written. False when it is not there or too long.
 */
bool anvil_vmm_member(const struct anvil_vmm_response *response, const char *path, char *value, size_t size);

#endif
