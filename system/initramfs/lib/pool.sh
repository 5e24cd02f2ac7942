# Pools: what is in sight, import, the root that bootfs names. Pools are told apart by GUID alone: the pool of the
# medium and that of an installed disk bear the same name.

scan=$state/scan

# scan_pools DEVICE…: prints `GUID NAME STATE` for every pool that can be imported from the devices. What zpool itself
# said stays in the file $scan.
scan_pools() {
  local device
  if [ $# -eq 0 ]; then
    echo "the kernel found no disk" >"$scan"
    return
  fi
  for device; do
    shift
    set -- "$@" -d "$device"
  done
  zpool import "$@" >"$scan" 2>&1
  awk '$1 == "pool:" { name = $2 } $1 == "id:" { guid = $2 } $1 == "state:" { print guid, name, $2 }' "$scan"
}

# pool_field FIELD GUID LIST: field 2 (name) or 3 (state) of one pool of a list that scan_pools printed.
pool_field() {
  printf '%s\n' "$3" | awk -v field="$1" -v guid="$2" '$1 == guid { print $field; exit }'
}

# try_import GUID OPTION…: imports without mounting anything and without a cache file. anvil.force-import sets -f. Prints
# what zpool says.
try_import() {
  local guid="$1" force=''
  shift
  [ -z "$anvil_force_import" ] || force=-f
  # shellcheck disable=SC2086 # an empty $force is no argument
  zpool import -N -o cachefile=none $force "$@" "$guid" 2>&1
}

# import_pool GUID REMEDY OPTION…: as try_import, or fails; REMEDY is what to do when the pool is damaged.
import_pool() {
  local guid="$1" remedy="$2" said
  shift 2
  said=$(try_import "$guid" "$@") && return
  case $said in
    *'another system'* | *'imported by'* | *'imported on'*)
      fail E_INIT_POOL_IN_USE "pool $guid belongs to another system" \
        "tried: zpool import -N $* $guid, as the host $(hostid_of_kernel)" \
        "why:   $said" \
        "hint:  when no other machine uses the pool now, boot once with anvil.force-import"
      ;;
    *)
      fail E_INIT_POOL_DAMAGED "pool $guid cannot be imported" \
        "tried: zpool import -N $* $guid" \
        "why:   $said" \
        "hint:  $remedy"
      ;;
  esac
}

hostid_of_kernel() {
  cat /proc/sys/kernel/spl/hostid 2>/dev/null || echo unknown
}

# root_of_pool NAME DATASET: prints the dataset to boot: NAME/DATASET when one is asked for, otherwise what bootfs names.
# ZFS clears bootfs when that dataset is destroyed.
root_of_pool() {
  local dataset said
  if [ -n "$2" ]; then
    dataset=$1/$2
    said=$(zfs list -H -o name "$dataset" 2>&1) ||
      fail E_INIT_NO_ROOT "pool $1 has no dataset $dataset" \
        "tried: zfs list $dataset" \
        "why:   $said" \
        "$(list_roots "$1")" \
        "hint:  boot one of them with anvil.root=pool:GUID/DATASET (the dataset without the pool's name)"
  else
    dataset=$(zpool get -H -o value bootfs "$1")
    [ "$dataset" != - ] ||
      fail E_INIT_NO_ROOT "pool $1 does not say which dataset is the root" \
        "tried: zpool get bootfs $1" \
        "why:   the property is not set" \
        "$(list_roots "$1")" \
        "hint:  boot one of them with anvil.root=pool:GUID/DATASET, then zpool set bootfs=… $1"
  fi
  printf '%s\n' "$dataset"
}

list_roots() {
  printf 'there: '
  zfs list -H -r -o name -t filesystem "$1" 2>/dev/null | tr '\n' ' '
}

# mount_dataset DATASET FOLDER OPTIONS. -i: the kernel mounts a dataset anywhere, whatever its property mountpoint says;
# it is mount.zfs that does not.
mount_dataset() {
  local said
  mkdir -p "$2"
  said=$(mount -i -t zfs -o "$3" "$1" "$2" 2>&1) ||
    fail E_INIT_NO_ROOT "dataset $1 cannot be mounted" \
      "tried: mount -i -t zfs -o $3 $1 $2" \
      "why:   $said" \
      "hint:  in the rescue shell: zfs get all $1; zpool status -v; dmesg | tail"
}

# remember KEY=VALUE…: how this system was booted, in shell syntax, for /etc/anvil and anvil-install.
remember() {
  local pair
  for pair; do
    printf "%s='%s'\n" "${pair%%=*}" "${pair#*=}"
  done >"$state/boot.env"
}
