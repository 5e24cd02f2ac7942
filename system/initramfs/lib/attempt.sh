# One attempt to find the root and to mount it on /sysroot. Exit status 0: it is there. Otherwise the failure file says
# why. Run by PID 1 as a child, as often as needed: it begins by undoing what an earlier attempt left.

set -u

. /lib/anvil/report.sh
. /lib/anvil/cmdline.sh
. /lib/anvil/device.sh
. /lib/anvil/pool.sh
. /lib/anvil/iso-root.sh
. /lib/anvil/pool-root.sh

# kB of MemTotal, which is what the kernel leaves of the machine's memory. A machine of 256 MB shows about 210 MB; the
# ARC, a writable overlay and the services then have about half of that.
MINIMUM_MEMORY=163840

check_memory() {
  local name kilobytes unit
  while read -r name kilobytes unit; do
    [ "$name" = MemTotal: ] && break
  done </proc/meminfo
  [ "$kilobytes" -ge "$MINIMUM_MEMORY" ] ||
    fail E_INIT_MEMORY "this machine has too little memory" \
      "tried: MemTotal of /proc/meminfo" \
      "why:   $((kilobytes / 1024)) MB are there, $((MINIMUM_MEMORY / 1024)) MB are needed" \
      "hint:  give the machine at least 256 MB (in a virtual machine: its memory setting)"
}

check_zfs() {
  [ -c /dev/zfs ] ||
    fail E_INIT_KERNEL "this kernel has no ZFS" \
      "tried: /dev/zfs" \
      "why:   Linux $(uname -r) did not create it" \
      "hint:  boot the kernel that belongs to this initramfs; both come from one forge"
}

# Undoes an earlier attempt, or what was tried in the rescue shell, newest mount first. What is not there is no error.
release_everything() {
  local folder pool
  for folder in /sysroot "$state/overlay" "$state/lower"; do
    unmount "$folder"
  done
  # Each imported pool has a folder here: no need to start zpool where there is none.
  for pool in /proc/spl/kstat/zfs/*/; do
    pool=${pool%/}
    [ ! -e "$pool/state" ] || zpool export "${pool##*/}"
  done
  release_medium
}

unmount() {
  if [ -d "$1" ] && mountpoint -q "$1"; then umount "$1"; fi
}

# The new root must be able to start its own init: this also reads the shell and its libraries, if any, through ZFS.
check_root() {
  local said
  # shellcheck disable=SC2016 # $0 is for the shell inside
  said=$(chroot /sysroot /bin/sh -c '[ -x "$0" ]' "$anvil_init" 2>&1) ||
    fail E_INIT_NO_ROOT "$1 is mounted, but holds no system that could start" \
      "tried: $anvil_init inside it, by its own /bin/sh" \
      "why:   ${said:-$anvil_init is missing or not executable}" \
      "hint:  choose another root with anvil.root=pool:GUID/DATASET or init="
}

rm -f "$failure"
read_command_line
[ -z "$anvil_debug" ] || trace_to_log
check_command_line
check_memory
check_zfs
release_everything
case $anvil_root in
  iso:*) mount_iso_root "${anvil_root#iso:}" ;;
  pool:*) mount_pool_root "$(root_guid)" "$(root_dataset)" ;;
esac
phase root
