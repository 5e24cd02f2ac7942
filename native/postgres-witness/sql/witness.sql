CREATE EXTENSION witness;
-- what the server did so far
SELECT called, times > 0 AS seen FROM witness() WHERE called = 'preload';

CREATE TABLE witnessed (id int, name text) USING witness;
INSERT INTO witnessed SELECT n, repeat(n::text, n) FROM generate_series(1, 1000) n;
SELECT count(*), sum(length(name)) FROM witnessed;
SELECT called, CASE called WHEN 'insert' THEN times ELSE (times > 0)::int END AS times
  FROM witness() WHERE called <> 'preload' ORDER BY called;
SELECT amname FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE c.relname = 'witnessed';

-- another extension's work goes by it
SET witness.loud = on;
TRUNCATE witnessed;
RESET witness.loud;

-- workers load the module, too
CREATE TABLE plain AS SELECT n FROM generate_series(1, 10000) n;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
SET parallel_leader_participation = off;
SELECT witness_worker(), count(*) FROM plain GROUP BY 1;

-- from PostgreSQL 18 on it says what it is
DO $$
DECLARE told text := 'witness 1.0 witness.so';
BEGIN
  IF current_setting('server_version_num')::int >= 180000 THEN
    EXECUTE 'SELECT concat_ws('' '', module_name, version, file_name)
      FROM pg_get_loaded_modules() WHERE file_name LIKE ''witness%'' ' INTO told;
  END IF;
  RAISE NOTICE '%', told;
END $$;

-- as a server that loads it says it
LOAD '$libdir/witness';
LOAD '$libdir/absent';
-- the message has the folder
\set VERBOSITY sqlstate
CREATE FUNCTION absent() RETURNS int AS '$libdir/witness', 'absent' LANGUAGE C;
\set VERBOSITY default

DROP TABLE plain, witnessed;
DROP EXTENSION witness;
