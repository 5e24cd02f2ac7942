/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * What a command tells while it runs: to a host in frames, to a terminal in lines.
 */
#ifndef INGOT_REPORT_H
#define INGOT_REPORT_H

struct report {
	void (*progress)(void *to, const char *text);
	void (*line)(void *to, const char *text); /* of the result */
	void *to;
};

#endif
