/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * Responses of HTTP/1.1 (RFC 9112), as far as a monitor sends them: no chunks, one at a time.
 */
#ifndef ANVILCTL_HTTP_H
#define ANVILCTL_HTTP_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the status line and all fields. */
#define HTTP_HEAD_MAX 8192

enum http_progress {
	HTTP_WHOLE,
	HTTP_MORE, /* it may become one */
	HTTP_BAD,
};

struct http_response {
	int status;
	size_t body; /* where the body begins */
	size_t length; /* of the body, in bytes */
	const char *why; /* after HTTP_BAD */
};

/* Looks at what has come so far. `limit` is how many bytes the whole response may have. */
enum http_progress http_response(const char *bytes, size_t length, size_t limit, struct http_response *response);

#endif
