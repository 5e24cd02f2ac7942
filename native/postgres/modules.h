/* SPDX-License-Identifier: Apache-2.0 */
#ifndef POSTGRES_MODULES_H
#define POSTGRES_MODULES_H

#include <stddef.h>

/* The modules that are linked into the server. The list is made by system/postgres/modules. */

struct symbol {
	const char *name;
	void (*address)(void);
};

struct module {
	/* The name of its file without `.so`. */
	const char *name;
	/* What it is compiled for: 1 for any x86-64, 3 for x86-64-v3. Of one name, the highest comes first. */
	int level;
	/* Sorted by name, bytewise. */
	const struct symbol *symbols;
	size_t count;
};

extern const struct module modules[];
extern const size_t modules_count;

#endif
