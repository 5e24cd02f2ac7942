/* SPDX-License-Identifier: Apache-2.0 */
/*
 * confine: the boundary around what belongs to a cluster of ANVIL-DB. Each has a user of its own, which may be hostile:
 * its superuser can run programs. What root does with its files and processes is done by this program.
 */
#include "confine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: confine run CLUSTER USER TREE PROGRAM [ARGUMENTS…]   in namespaces and a root of the cluster's own\n"
    "       confine top FOLDER                                   makes a cluster's folder root's, and looks at it\n"
    "       confine own USER FOLDER                              hands over what is in it\n"
    "       confine read USER FILE                               prints a short file, read as the user\n"
    "       confine end USER                                     ends the user's processes\n";

bool
failed(const char *what, const char *of)
{
	fprintf(stderr, "confine: cannot %s %s: %s\n", what, of, strerror(errno));
	return (false);
}

static int
misused(void)
{
	fputs(usage, stderr);
	return (2);
}

/* The number of a user other than root. */
static bool
parse_user(const char *text, uid_t *user)
{
	char *end;
	unsigned long number;

	errno = 0;
	number = strtoul(text, &end, 10);
	*user = (uid_t)number;
	return (*text >= '1' && *text <= '9' && *end == '\0' && errno == 0 && number < 0x7fffffff);
}

/* As anvil-db has them: nothing that leads out of a folder. */
static bool
is_cluster_name(const char *name)
{
	size_t length = strlen(name);

	return (length > 0 && length <= 32 && name[0] != '-' &&
	    strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == length);
}

int
main(int argc, char **argv)
{
	const char *action = argc > 1 ? argv[1] : "";
	uid_t user;

	if (strcmp(action, "--help") == 0) {
		fputs(usage, stdout);
		return (0);
	}
	if (strcmp(action, "run") == 0) {
		if (argc < 6 || !is_cluster_name(argv[2]) || !parse_user(argv[3], &user))
			return (misused());
		return (run_confined(argv[2], user, argv[4], argv + 5));
	}
	if (strcmp(action, "top") == 0 && argc == 3)
		return (own_top(argv[2]) ? 0 : 1);
	if (argc < 3 || !parse_user(argv[2], &user))
		return (misused());
	if (strcmp(action, "own") == 0 && argc == 4)
		return (own_folder(argv[3], user) ? 0 : 1);
	if (strcmp(action, "read") == 0 && argc == 4)
		return (read_as(user, argv[3]) ? 0 : 1);
	if (strcmp(action, "end") == 0 && argc == 3)
		return (end_processes(user) ? 0 : 1);
	return (misused());
}
