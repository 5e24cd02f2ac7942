# What the programs of ANVIL-DB share. Read with `.`, after `tree` names the tree of the ingot.
# docs/db.md says where everything is.

export PATH="$tree/usr/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" LC_ALL=C ZFS_MODULE_LOADING=no

data=/ingots/db/data
state=/run/anvil-db
services=$state/.service
logs=/var/log/anvil-db
programs=$tree/usr/libexec/db
# Which version this is: the name of its tree.
key=${tree##*/}
# The user that servers run as. No other program's files belong to it, so it needs no name outside their own namespace.
user=70
first_port=5432

# fail CODE MESSAGE [HINT]
fail() {
  printf '%s  %s\n' "$1" "$2" >&2
  [ -z "${3-}" ] || printf '  hint: %s\n' "$3" >&2
  exit 1
}

# try COMMAND…: runs what must not fail, of ZFS above all.
try() {
  said=$("$@" 2>&1) || fail E_DB_ZFS "$1 $2 failed: $said" "\`zpool status\` and \`dmesg\` may say more"
}

# Called once outside of a substitution, it need not ask ZFS again.
dataset() {
  [ -n "${data_dataset-}" ] || data_dataset=$(zfs list -H -o name "$data") || exit 1
  echo "$data_dataset${1+/$1}"
}

# property NAME CLUSTER: empty when it is not set.
property() {
  value=$(zfs get -H -o value "anvil:$1" "$(dataset)${2:+/$2}" 2>/dev/null)
  case $value in
    - | '') ;;
    *) echo "$value" ;;
  esac
}

# clusters: names of those that are complete, main first.
clusters() {
  zfs list -H -d 1 -o name,anvil:ready "$(dataset)" | while read -r name ready; do
    [ "$ready" != yes ] || [ "$name" = "$(dataset)" ] || echo "${name##*/}"
  done | awk '$0 == "main"; $0 != "main" { rest = rest $0 "\n" } END { printf "%s", rest }'
}

is_cluster() {
  [ "$(zfs get -H -o value anvil:ready "$(dataset "$1")" 2>/dev/null)" = yes ]
}

# The program's major version, and that of a cluster.
program_major() {
  postgres --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/'
}
cluster_major() {
  cat "$data/$1/pgdata/PG_VERSION" 2>/dev/null
}

# Bytes that a cluster can still write; of others' reserves nothing.
free_bytes() {
  set -- $(stat -f -c '%a %S' "$1") && echo $(($1 * $2))
}

# Whether the server of a cluster answers. PORT may be given where this is asked again and again.
answers() {
  pg_isready -q -h "$state/$1" -p "${2:-$(property port "$1")}"
}

# runs CLUSTER: whether there is a server, answering or not.
runs() {
  [ "$(cat "$services/$1/supervise/stat" 2>/dev/null)" = run ]
}

# The last checkpoint of a busy server can take its time.
stop_cluster() {
  [ ! -d "$services/$1" ] || sv -w 120 force-stop "$services/$1" >/dev/null
}

# sql CLUSTER DATABASE COMMAND: as superuser, bare values.
sql() {
  psql -X -q -A -t -v ON_ERROR_STOP=1 -U postgres -h "$state/$1" -p "$(property port "$1")" -d "$2" -c "$3"
}
