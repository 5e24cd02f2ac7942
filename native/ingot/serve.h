/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * The agent: one session with a host after the other, on the virtio port or on the standard streams.
 */
#ifndef INGOT_SERVE_H
#define INGOT_SERVE_H

#include <stdbool.h>

#include "fault.h"

/* On standard input and output, until the host closes them. */
void serve_stdio(void);

/* On the port of this name, one host after the other; returns only when that cannot be had any more. */
bool serve_port(struct fault *fault);

#endif
