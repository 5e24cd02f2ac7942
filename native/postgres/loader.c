/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * dlopen(3) of a server that is one static program: what it loads is in it already. A module is found by the name of
 * its file, in whatever folder that lies. The server looks for the file before it loads it, so that one stands in the
 * place of each module (`$libdir/<module>.so`): paths, permissions and messages are upstream's.
 *
 * A module may be there for several levels of x86-64. It is chosen here, once for all of its functions, as there is no
 * dynamic loader that would choose each (ifunc). All processes of a server find the same. ANVIL_DB_LEVEL lowers it.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modules.h"

static char message[256];
static char *failure;

/* The level of the x86-64 ABI that the processor has. */
static int
processor_level(void)
{
	const char *most = getenv("ANVIL_DB_LEVEL");
	int level = 1;

	__builtin_cpu_init();
	if (__builtin_cpu_supports("x86-64-v4"))
		level = 4;
	else if (__builtin_cpu_supports("x86-64-v3"))
		level = 3;
	else if (__builtin_cpu_supports("x86-64-v2"))
		level = 2;
	return (most != NULL && atoi(most) < level ? atoi(most) : level);
}

void *
dlopen(const char *path, int flags)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;
	size_t length = strlen(name);
	int level = processor_level();

	(void)flags;
	if (length > 3 && strcmp(name + length - 3, ".so") == 0)
		length -= 3;
	for (size_t i = 0; i < modules_count; i++) {
		if (strlen(modules[i].name) == length && memcmp(modules[i].name, name, length) == 0 &&
		    (modules[i].level <= level || modules[i].level == 1))
			return ((void *)&modules[i]);
	}
	snprintf(message, sizeof(message), "%.*s: not one of the modules that are linked into this server",
	    (int)(length < 128 ? length : 128), name);
	failure = message;
	return (NULL);
}

static int
compare(const void *name, const void *symbol)
{
	return (strcmp(name, ((const struct symbol *)symbol)->name));
}

void *
dlsym(void *restrict handle, const char *restrict name)
{
	const struct module *module = handle;
	const struct symbol *found = bsearch(name, module->symbols, module->count, sizeof(struct symbol), compare);

	if (found != NULL)
		return ((void *)found->address);
	snprintf(message, sizeof(message), "%s: no such function: %.128s", module->name, name);
	failure = message;
	return (NULL);
}

int
dlclose(void *handle)
{
	(void)handle;
	return (0);
}

char *
dlerror(void)
{
	char *said = failure;

	failure = NULL;
	return (said);
}
