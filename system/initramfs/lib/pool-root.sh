# anvil.root=pool:GUID[/DATASET]: the root is a dataset of a pool on this machine's disks, mounted writable.

mount_pool_root() {
  local guid="$1" wanted="$2" pools name dataset
  wait_for_pool "$guid"
  # The pool of another machine is refused here; the parameter spl.spl_hostid, which anvil-install put on the
  # kernel command line, makes this machine known to the kernel before anything is read.
  # shellcheck disable=SC2046 # a list of options
  import_pool "$guid" \
    "in the rescue shell, \`zpool import -d /dev -F -n $guid\` says whether going back a few seconds repairs it" \
    $(block_devices | sed 's/^/-d /')
  phase pool
  dataset=$(root_of_pool "$name" "$wanted") || exit 1
  mount_dataset "$dataset" /sysroot rw
  check_root "$dataset"
  remember "ANVIL_KIND=pool" "ANVIL_POOL=$name" "ANVIL_POOL_GUID=$guid" "ANVIL_DATASET=$dataset"
}

# Waits until the pool is ONLINE, so that a disk that appears late is not taken for a dead one. After the limit a
# DEGRADED pool is good enough, with a warning. Sets name.
wait_for_pool() {
  local guid="$1" pool_state='' disks seen=nothing
  name='' pools=''
  start_waiting
  while :; do
    disks=$(block_devices)
    # A scan reads every disk: only when there is something new to read.
    if [ "$disks" != "$seen" ] || [ -n "$name" ]; then
      seen=$disks
      # shellcheck disable=SC2086 # a list
      pools=$(scan_pools $disks)
      name=$(pool_field 2 "$guid" "$pools")
      pool_state=$(pool_field 3 "$guid" "$pools")
      [ "$pool_state" != ONLINE ] || return 0
    fi
    keep_waiting || break
  done
  case $pool_state in
    DEGRADED) note "pool $guid is DEGRADED after $anvil_wait s: booting from the disks that are there" ;;
    '') fail_no_pool "$guid" ;;
    *)
      fail E_INIT_POOL_DAMAGED "pool $guid ($name) is $pool_state" \
        "tried: zpool import, for $anvil_wait s" \
        "why:   $(cat "$scan")" \
        "hint:  attach the missing disks; slow ones may need anvil.wait=SECONDS"
      ;;
  esac
}

fail_no_pool() {
  if [ -n "$pools" ]; then
    fail E_INIT_WRONG_GUID "there is no pool $1, but there are others" \
      "tried: zpool import, for $anvil_wait s" \
      "why:   in sight (GUID, name, state): $pools" \
      "hint:  attach the right disk, or correct the GUID in anvil.root"
  fi
  fail E_INIT_NO_POOL "there is no pool $1" \
    "tried: zpool import, for $anvil_wait s" \
    "why:   $(cat "$scan")" \
    "disks: $(block_devices | tr '\n' ' ')" \
    "hint:  attach the disk; slow ones may need anvil.wait=SECONDS; dmesg tells which controllers the kernel knows"
}
