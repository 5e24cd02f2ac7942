/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * An extension for the tests of extensions. It goes in by every door that one which stores tables in its own way needs:
 * preloading, the planner and its paths, utility statements, accesses to objects, a table access method. It counts, and
 * lets the server do what it would have done; the rows of its tables are stored as those of any other.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/parallel.h"
#include "access/tableam.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_am.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "optimizer/paths.h"
#include "optimizer/planner.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/rel.h"

#ifdef PG_MODULE_MAGIC_EXT
PG_MODULE_MAGIC_EXT(.name = "witness", .version = "1.0");
#else
PG_MODULE_MAGIC;
#endif

void _PG_init(void);

enum called { ACCESS, INSERT, PATH, PLAN, PRELOAD, SCAN, UTILITY, CALLED_COUNT };

static const char *const names[CALLED_COUNT] = {
    "access",
    "insert",
    "path",
    "plan",
    "preload",
    "scan",
    "utility",
};
static int64 times[CALLED_COUNT];

static object_access_hook_type next_access;
static set_rel_pathlist_hook_type next_path;
static planner_hook_type next_plan;
static ProcessUtility_hook_type next_utility;
static TableAmRoutine methods;
static bool loud;

static void
on_access(ObjectAccessType access, Oid class, Oid object, int part, void *arg)
{
	times[ACCESS]++;
	if (next_access != NULL)
		next_access(access, class, object, part, arg);
}

static void
on_path(PlannerInfo *root, RelOptInfo *relation, Index index, RangeTblEntry *entry)
{
	times[PATH]++;
	if (next_path != NULL)
		next_path(root, relation, index, entry);
}

static PlannedStmt *
on_plan(Query *query, const char *text, int options, ParamListInfo parameters)
{
	times[PLAN]++;
	if (next_plan != NULL)
		return (next_plan(query, text, options, parameters));
	return (standard_planner(query, text, options, parameters));
}

static void
on_utility(PlannedStmt *statement, const char *text, bool keep, ProcessUtilityContext context, ParamListInfo parameters,
    QueryEnvironment *environment, DestReceiver *receiver, QueryCompletion *completion)
{
	times[UTILITY]++;
	if (loud)
		ereport(NOTICE, (errmsg("witness: %s", CreateCommandName(statement->utilityStmt))));
	if (next_utility != NULL)
		next_utility(statement, text, keep, context, parameters, environment, receiver, completion);
	else
		standard_ProcessUtility(statement, text, keep, context, parameters, environment, receiver, completion);
}

static void
insert(Relation relation, TupleTableSlot *slot, CommandId command, int options, BulkInsertState state)
{
	times[INSERT]++;
	GetHeapamTableAmRoutine()->tuple_insert(relation, slot, command, options, state);
}

static TableScanDesc
begin_scan(Relation relation, Snapshot snapshot, int count, ScanKey keys, ParallelTableScanDesc parallel, uint32 flags)
{
	times[SCAN]++;
	return (GetHeapamTableAmRoutine()->scan_begin(relation, snapshot, count, keys, parallel, flags));
}

/* What is too long for a row lies in a table of the ordinary kind. */
static Oid
toast_method(Relation relation)
{
	(void)relation;
	return (HEAP_TABLE_AM_OID);
}

void
_PG_init(void)
{
	if (process_shared_preload_libraries_in_progress)
		times[PRELOAD]++;
	DefineCustomBoolVariable("witness.loud", "Says which utility statements it sees.", NULL, &loud, false,
	    PGC_USERSET, 0, NULL, NULL, NULL);

	methods = *GetHeapamTableAmRoutine();
	methods.tuple_insert = insert;
	methods.scan_begin = begin_scan;
	methods.relation_toast_am = toast_method;

	next_access = object_access_hook;
	object_access_hook = on_access;
	next_path = set_rel_pathlist_hook;
	set_rel_pathlist_hook = on_path;
	next_plan = planner_hook;
	planner_hook = on_plan;
	next_utility = ProcessUtility_hook;
	ProcessUtility_hook = on_utility;
}

PG_FUNCTION_INFO_V1(witness_handler);
Datum
witness_handler(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(&methods);
}

/* How often each was called in this process, counted anew by each call. */
PG_FUNCTION_INFO_V1(witness);
Datum
witness(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result;

	InitMaterializedSRF(fcinfo, 0);
	result = (ReturnSetInfo *)fcinfo->resultinfo;
	for (int i = 0; i < CALLED_COUNT; i++) {
		Datum values[] = {CStringGetTextDatum(names[i]), Int64GetDatum(times[i])};
		bool nulls[] = {false, false};

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
		if (i != PRELOAD)
			times[i] = 0;
	}
	return ((Datum)0);
}

/* Whether the process that calls it is a parallel worker. */
PG_FUNCTION_INFO_V1(witness_worker);
Datum
witness_worker(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(IsParallelWorker());
}
