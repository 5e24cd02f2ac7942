/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * One program for psql, pg_dump and the other programs beside the server: they share most of what they are made of.
 * It is the one by whose name it was called; each name is a link to this file. TOOLS is `TOOL(name) …`.
 */
#include <stdio.h>
#include <string.h>

/* The main functions of the programs, renamed when they were linked. */
#define TOOL(name) int name##_main(int, char **);
TOOLS
#undef TOOL

static const struct {
	const char *name;
	int (*main)(int, char **);
} tools[] = {
#define TOOL(name) {#name, name##_main},
    TOOLS
#undef TOOL
};

int
main(int argc, char **argv)
{
	const char *name = argc > 0 ? argv[0] : "";
	const char *slash = strrchr(name, '/');

	if (slash != NULL)
		name = slash + 1;
	for (size_t i = 0; i < sizeof(tools) / sizeof(tools[0]); i++) {
		if (strcmp(name, tools[i].name) == 0)
			return (tools[i].main(argc, argv));
	}
	fprintf(stderr, "%s: not one of PostgreSQL's programs. It must be called by one of these names:", name);
	for (size_t i = 0; i < sizeof(tools) / sizeof(tools[0]); i++)
		fprintf(stderr, " %s", tools[i].name);
	fprintf(stderr, "\n");
	return (127);
}
