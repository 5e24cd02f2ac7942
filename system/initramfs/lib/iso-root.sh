# anvil.root=iso:LABEL: the root is a pool in the file rootfs.img on a read-only medium, under a writable layer in memory.

# Mounts it on /sysroot. Every medium with the label is tried, in the order in which they appear; what is wrong with one
# is reported when the time is over and no other turned up.
mount_iso_root() {
  local label="$1" device rejected=''
  start_waiting
  while :; do
    for device in $(block_devices); do
      case " $rejected " in *" $device "*) continue ;; esac
      [ "$(iso_label "$device")" = "$label" ] || continue
      (use_medium "$device") && return
      release_everything
      rejected="$rejected $device"
      note "$device does not serve ($(head -n 1 "$failure")); looking for another medium, $anvil_wait s in all"
    done
    keep_waiting || break
  done
  [ -z "$rejected" ] || exit 1 # the last medium's failure is recorded
  fail E_INIT_NO_MEDIUM "no block device carries an ISO 9660 volume labelled $label" \
    "tried: $(describe_devices) for $anvil_wait s" \
    "why:   $(why_no_medium)" \
    "hint:  attach the medium, or give a slow one more time with anvil.wait=SECONDS; another label: anvil.root=iso:LABEL"
}

describe_devices() {
  local device label all=''
  for device in $(block_devices); do
    label=$(iso_label "$device") && label="labelled $label" || label="no ISO 9660"
    all="$all${all:+, }$device ($label)"
  done
  printf '%s' "${all:-all of /sys/class/block}"
}

why_no_medium() {
  if [ -n "$(block_devices)" ]; then
    echo "none of these has that label"
  else
    echo "the kernel found no disk and no optical drive; dmesg tells which controllers it knows"
  fi
}

# use_medium DEVICE: the whole way from a device with the right label to /sysroot. Runs in a subshell: fail ends it.
use_medium() {
  local device="$1" said medium=$state/medium image loop guid name dataset
  image=$medium/rootfs.img
  phase medium
  mkdir -p "$medium"
  said=$(mount -t iso9660 -o ro "$device" "$medium" 2>&1) ||
    fail E_INIT_NO_MEDIUM "the volume on $device has the right label but cannot be mounted" \
      "tried: mount -t iso9660 -o ro $device" \
      "why:   $said" \
      "hint:  the medium may be damaged: write it again and compare it with the ISO's hash"
  [ -f "$image" ] ||
    fail E_INIT_NO_IMAGE "the medium on $device holds no rootfs.img" \
      "tried: /rootfs.img on it" \
      "why:   it holds only: $(cd "$medium" && echo *)" \
      "hint:  write the ISO to the medium again; copying its files is not enough when some are left out"
  loop=$(losetup -f)
  said=$(losetup -r "$loop" "$image" 2>&1) ||
    fail E_INIT_NO_IMAGE "rootfs.img on $device cannot be attached" \
      "tried: losetup -r $loop $image" \
      "why:   $said" \
      "hint:  dmesg tells whether the medium has read errors or the kernel lacks loop devices"
  phase image
  import_image "$device" "$loop"
  dataset=$(root_of_pool "$name" '') || exit 1
  mount_dataset "$dataset" "$state/lower" ro
  mount_overlay
  check_root "$dataset of $device"
  remember "ANVIL_KIND=iso" "ANVIL_MEDIUM=$device" "ANVIL_LOOP=$loop" "ANVIL_POOL=$name" "ANVIL_POOL_GUID=$guid" \
    "ANVIL_DATASET=$dataset"
}

# import_image DEVICE LOOP: imports the pool that anvil.pool names, or the only one. Sets guid and name.
import_image() {
  local pools count entry
  # The usual case takes no scan; what is wrong in any other, the scan below finds out.
  if [ -n "$anvil_pool" ] && try_import "$anvil_pool" -o readonly=on -d "$2" >/dev/null; then
    guid=$anvil_pool
    # It is the only pool that is imported now.
    for entry in /proc/spl/kstat/zfs/*/state; do
      name=${entry%/state}
      name=${name##*/}
    done
    phase pool
    return
  fi
  pools=$(scan_pools "$2")
  count=$(printf '%s' "$pools" | grep -c .)
  [ "$count" -gt 0 ] ||
    fail E_INIT_NO_POOL "rootfs.img on $1 holds no ZFS pool" \
      "tried: zpool import -d $2" \
      "why:   $(cat "$scan")" \
      "hint:  the medium is damaged or incomplete: write it again and compare it with the ISO's hash"
  if [ -n "$anvil_pool" ]; then
    guid=$anvil_pool
    name=$(pool_field 2 "$guid" "$pools")
    [ -n "$name" ] ||
      fail E_INIT_WRONG_GUID "rootfs.img on $1 is not the pool that anvil.pool names" \
        "tried: zpool import -d $2, to find $guid" \
        "why:   it holds (GUID, name, state): $pools" \
        "hint:  this medium belongs to another build: attach the right one, or leave anvil.pool out"
  else
    [ "$count" -eq 1 ] ||
      fail E_INIT_WRONG_GUID "rootfs.img on $1 holds several pools" \
        "tried: zpool import -d $2" \
        "why:   $pools" \
        "hint:  say which one with anvil.pool=GUID"
    guid=${pools%% *}
    name=$(pool_field 2 "$guid" "$pools")
  fi
  # readonly=on keeps ZFS from writing its labels: a plain import writes them even to a read-only device.
  import_pool "$guid" "the medium is damaged: write it again and compare it with the ISO's hash" \
    -o readonly=on -d "$2"
  phase pool
}

# The writable layer is a file system in memory, half of it at most.
mount_overlay() {
  local layers=$state/overlay said
  mkdir -p "$layers"
  said=$(
    {
      mount -t tmpfs -o mode=0755,size=50% overlay "$layers" &&
        mkdir -p "$layers/upper" "$layers/work" &&
        mount -t overlay -o "lowerdir=$state/lower,upperdir=$layers/upper,workdir=$layers/work" overlay /sysroot
    } 2>&1
  ) || fail E_INIT_NO_ROOT "the writable layer over the medium cannot be mounted" \
    "tried: mount -t overlay over $state/lower, upper layer in memory" \
    "why:   $said" \
    "hint:  dmesg | tail; the kernel needs CONFIG_OVERLAY_FS and CONFIG_TMPFS_XATTR"
}

release_medium() {
  local entry file
  for entry in /sys/block/loop*/loop/backing_file; do
    read -r file 2>/dev/null <"$entry" || continue
    case $file in
      "$state/medium/"*)
        entry=${entry#/sys/block/}
        losetup -d "/dev/${entry%%/*}"
        ;;
    esac
  done
  unmount "$state/medium"
}
