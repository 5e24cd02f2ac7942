/*
 * What Rust's standard library asks of an unwinder when nothing unwinds: a panic ends the process, and a backtrace has no
 * frames. A real one, with the tables that it reads, would be a tenth of the program.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

enum { END_OF_STACK = 5 };

int
_Unwind_Backtrace(int (*step)(void *, void *), void *argument)
{
	(void)step;
	(void)argument;
	return END_OF_STACK;
}

int
_Unwind_RaiseException(void *exception)
{
	(void)exception;
	return END_OF_STACK;
}

void
_Unwind_Resume(void *exception)
{
	(void)exception;
	abort();
}

void
_Unwind_DeleteException(void *exception)
{
	(void)exception;
}

uintptr_t
_Unwind_GetIP(void *context)
{
	(void)context;
	return 0;
}

uintptr_t
_Unwind_GetIPInfo(void *context, int *before)
{
	(void)context;
	*before = 0;
	return 0;
}

uintptr_t
_Unwind_GetCFA(void *context)
{
	(void)context;
	return 0;
}

uintptr_t
_Unwind_GetDataRelBase(void *context)
{
	(void)context;
	return 0;
}

uintptr_t
_Unwind_GetTextRelBase(void *context)
{
	(void)context;
	return 0;
}

uintptr_t
_Unwind_GetRegionStart(void *context)
{
	(void)context;
	return 0;
}

void *
_Unwind_GetLanguageSpecificData(void *context)
{
	(void)context;
	return NULL;
}

void
_Unwind_SetGR(void *context, int index, uintptr_t value)
{
	(void)context;
	(void)index;
	(void)value;
}

void
_Unwind_SetIP(void *context, uintptr_t value)
{
	(void)context;
	(void)value;
}

void *
_Unwind_FindEnclosingFunction(void *pc)
{
	return pc;
}
