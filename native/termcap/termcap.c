/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * termcap(3) with its database inside: terminals of today speak ECMA-48, and differ for a line editor only in what the
 * VT100 did not have yet. How many lines and columns there are the terminal itself says (TIOCGWINSZ).
 *
 * "dumb" is known and can do nothing. A name that is not known is no terminal: tgetent returns 0, as for a missing entry.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "termcap.h"

enum kind { DUMB, VT100, XTERM };

static const struct {
	const char *name;
	enum kind kind;
} terminals[] = {
    {"dumb", DUMB},
    {"unknown", DUMB},
    {"vt100", VT100},
    {"vt102", VT100},
    {"vt220", VT100},
    {"alacritty", XTERM},
    {"ansi", XTERM},
    {"contour", XTERM},
    {"cygwin", XTERM},
    {"eterm", XTERM},
    {"foot", XTERM},
    {"gnome", XTERM},
    {"kitty", XTERM},
    {"konsole", XTERM},
    {"linux", XTERM},
    {"putty", XTERM},
    {"rxvt", XTERM},
    {"screen", XTERM},
    {"st", XTERM},
    {"tmux", XTERM},
    {"vte", XTERM},
    {"wezterm", XTERM},
    {"xterm", XTERM},
};

static const struct {
	char name[3];
	enum kind since;
	const char *value;
} strings[] = {
    {"bl", VT100, "\a"},
    {"cd", VT100, "\033[J"},
    {"ce", VT100, "\033[K"},
    {"cl", VT100, "\033[H\033[2J"},
    {"cm", VT100, "\033[%i%d;%dH"},
    {"ho", VT100, "\033[H"},
    {"nd", VT100, "\033[C"},
    {"up", VT100, "\033[A"},
    {"DO", VT100, "\033[%dB"},
    {"LE", VT100, "\033[%dD"},
    {"RI", VT100, "\033[%dC"},
    {"UP", VT100, "\033[%dA"},
    {"md", VT100, "\033[1m"},
    {"me", VT100, "\033[m"},
    {"se", VT100, "\033[m"},
    {"so", VT100, "\033[7m"},
    {"ue", VT100, "\033[m"},
    {"us", VT100, "\033[4m"},
    {"al", XTERM, "\033[L"},
    {"ch", XTERM, "\033[%i%dG"},
    {"dc", XTERM, "\033[P"},
    {"dl", XTERM, "\033[M"},
    {"DC", XTERM, "\033[%dP"},
    {"ic", XTERM, "\033[@"},
    {"IC", XTERM, "\033[%d@"},
    /* what keys send, as far as libedit does not know it by itself */
    {"kD", VT100, "\033[3~"},
    {"kh", VT100, "\033[1~"},
    {"@7", VT100, "\033[4~"},
};

/* A character in the last column leaves the cursor there until the next one comes. */
static const char flags[][3] = {"am", "xn"};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static enum kind terminal;

/* A name may go on with a variant: xterm-256color, screen.linux. */
int
tgetent(char *buffer, const char *name)
{
	(void)buffer;
	terminal = DUMB;
	for (size_t i = 0; i < COUNT(terminals); i++) {
		size_t length = strlen(terminals[i].name);

		if (strncmp(name, terminals[i].name, length) == 0 && strchr("-.", name[length]) != NULL) {
			terminal = terminals[i].kind;
			return (1);
		}
	}
	return (0);
}

int
tgetflag(const char *capability)
{
	for (size_t i = 0; i < COUNT(flags); i++) {
		if (strcmp(flags[i], capability) == 0)
			return (terminal != DUMB);
	}
	return (0);
}

int
tgetnum(const char *capability)
{
	(void)capability;
	return (-1);
}

char *
tgetstr(const char *capability, char **area)
{
	for (size_t i = 0; i < COUNT(strings); i++) {
		if (strings[i].since <= terminal && strcmp(strings[i].name, capability) == 0) {
			char *copy = *area;

			*area = stpcpy(copy, strings[i].value) + 1;
			return (copy);
		}
	}
	return (NULL);
}

/* %d is the row, the next one the column; after %i both are counted from 1; %% is a percent sign. */
char *
tgoto(const char *string, int column, int row)
{
	static char result[64];
	int values[] = {row, column};
	size_t used = 0;
	int from = 0, next = 0;

	for (; *string != '\0' && used < sizeof(result) - 12; string++) {
		if (*string != '%') {
			result[used++] = *string;
			continue;
		}
		switch (*++string) {
		case 'i':
			from = 1;
			break;
		case 'd':
			used += (size_t)sprintf(result + used, "%d", values[next] + from);
			next = 1;
			break;
		case '\0':
			string--;
			break;
		default:
			result[used++] = *string;
		}
	}
	result[used] = '\0';
	return (result);
}

/* None of these terminals needs to be waited for, so that no string has padding. */
int
tputs(const char *string, int lines, int (*put)(int))
{
	(void)lines;
	for (; *string != '\0'; string++)
		put((unsigned char)*string);
	return (0);
}
