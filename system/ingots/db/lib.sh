# What the programs of ANVIL-DB share. Read with `.`, after `tree` names the tree of the ingot.
# docs/db.md says where everything is.

umask 022
export PATH="$tree/usr/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" LC_ALL=C ZFS_MODULE_LOADING=no

data=/ingots/db/data
state=/run/anvil-db
services=$state/.service
logs=/var/log/anvil-db
programs=$tree/usr/libexec/db
# Which version this is: the name of its tree.
key=${tree##*/}
first_port=5432
# Each cluster's server is a user of its own, by number only: main's, and the least of those that branches get.
# docs/db.md names the range; no other program of the system has users in it.
main_user=70
first_user=70000
last_user=79999

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

user_of() {
  property uid "$1"
}

# free_user CLUSTER: the user for one that has none yet. One that was given back left neither files nor processes.
free_user() {
  [ "$1" != main ] || {
    echo $main_user
    return
  }
  free=$(zfs get -H -o value -d 1 anvil:uid "$(dataset)" | sort -n |
    awk -v user=$first_user '$1 == user { user++ } END { print user }')
  [ "$free" -le $last_user ] || fail E_DB_SPACE "no user is left for another cluster" "destroy branches first"
  echo "$free"
}

# The program's major version, and that of a cluster. The file is the server's, so it is read as whom it belongs to.
program_major() {
  postgres --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/'
}
cluster_major() {
  "$programs/confine" read "$(stat -c %u "$data/$1/pgdata")" "$data/$1/pgdata/PG_VERSION" 2>/dev/null |
    sed -n '1s/^\([0-9][0-9]*\)$/\1/p'
}

# is_settled CLUSTER USER
is_settled() {
  mountpoint -q "$data/$1/wal" &&
    [ "$(stat -c %u.%a "$data/$1") $(stat -c %u "$data/$1/pgdata" "$data/$1/wal" | tr '\n' ' ')" = "0.711 $2 $2 " ]
}

# settle_files CLUSTER: its folder is root's, and what lies in its two datasets its user's. They are not when it was just
# cloned, came back from a snapshot of that, or was made by a version of this ingot in which all clusters had one user;
# such a snapshot may hold anything under any name.
settle_files() {
  owner=$(user_of "$1")
  set=$(dataset "$1")
  [ -n "$owner" ] || return
  if ! is_settled "$1" "$owner"; then
    "$programs/confine" top "$data/$1" || return
    mountpoint -q "$data/$1/wal" || zfs mount "$set/wal" || return
    for each in "$data/$1"/*; do
      [ -L "$each" ] || [ ! -d "$each" ] || "$programs/confine" own "$owner" "$each" || return
    done
  fi
  [ "$(zfs get -H -o value canmount "$set/wal")" = on ] || zfs set canmount=on "$set/wal"
}

# go_back CLUSTER SNAPSHOT: settle_files has to follow. Until then nothing is mounted at what the snapshot calls `wal`,
# not even when the machine starts anew. What is mounted there now would hide it, and is unmounted first.
go_back() {
  set=$(dataset "$1")
  zfs set canmount=noauto "$set/wal" &&
    { [ "$(zfs get -H -o value mounted "$set/wal")" != yes ] || zfs unmount "$set/wal"; } &&
    zfs rollback -r "$set@$2" && zfs rollback -r "$set/wal@$2"
}

# clear_state CLUSTER: what is in memory of it, but its lock. Where the folder is not root's (of an earlier version) names
# in it may lead anywhere, and nothing of ours is mounted there.
clear_state() {
  if [ "$(stat -c %u "$state/$1" 2>/dev/null)" = 0 ]; then
    while umount -l "$state/$1/socket" 2>/dev/null; do :; done
  fi
  rm -rf "${state:?}/$1"
}

# furnish CLUSTER: the folders of its state, which are root's; the server only writes to `socket`, which `confine` mounts.
furnish() {
  place=$state/$1
  mkdir -p "$place/etc" "$place/tls" "$place/socket"
  owner=$(user_of "$1")
  printf 'root:x:0:0:root:/:/bin/false\nanvil-db:x:%s:%s:ANVIL-DB:/tmp:/bin/false\n' "$owner" "$owner" >"$place/etc/passwd"
  printf 'root:x:0:\nanvil-db:x:%s:\n' "$owner" >"$place/etc/group"
  follow_network "$place/etc"
  # where programs looked for the socket before it had a folder of its own
  port=$(property port "$1")
  ln -sfn "socket/.s.PGSQL.$port" "$place/.s.PGSQL.$port"
}

# follow_network FOLDER: how the names of other machines are found, as the system has it now.
follow_network() {
  for file in hosts resolv.conf; do
    if [ -e "/etc/$file" ] && ! cmp -s "/etc/$file" "$1/$file"; then
      cat "/etc/$file" >"$1/.new" && mv "$1/.new" "$1/$file"
    fi
  done
}

# tls_of CLUSTER: where its key and certificate are kept.
tls_of() {
  if [ "$1" = main ]; then echo "$data/.anvil/tls"; else echo "$data/.anvil/tls/$1"; fi
}

# make_certificate CLUSTER: when it has none. A branch has one of its own: with main's key it could pass for main.
make_certificate() {
  (
    folder=$(tls_of "$1")
    mkdir -p "$folder"
    umask 077
    [ -s "$folder/server.crt" ] ||
      { cd "$folder" && "$programs/certificate" server.key server.crt "$(hostname)" && chmod 644 server.crt; }
  )
}

# What servers and clients wrote, for a terminal.
printable() {
  tr '\000-\010\013-\037\177' '?'
}

# Bytes that a cluster can still write; of others' reserves nothing.
free_bytes() {
  set -- $(stat -f -c '%a %S' "$1") && echo $(($1 * $2))
}

# Whether the server of a cluster answers. PORT may be given where this is asked again and again.
answers() {
  pg_isready -q -h "$state/$1/socket" -p "${2:-$(property port "$1")}"
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
  psql -X -q -A -t -v ON_ERROR_STOP=1 -U postgres -h "$state/$1/socket" -p "$(property port "$1")" -d "$2" -c "$3"
}
