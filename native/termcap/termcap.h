/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TERMCAP_H
#define TERMCAP_H

/* The functions of termcap(3) that line editors call. The database is in termcap.c. */

int tgetent(char *buffer, const char *name);
int tgetflag(const char *capability);
int tgetnum(const char *capability);
char *tgetstr(const char *capability, char **area);
char *tgoto(const char *string, int column, int row);
int tputs(const char *string, int lines, int (*put)(int));

#endif
