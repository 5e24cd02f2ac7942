# Block devices and time limits. There is no udev: devtmpfs makes the nodes, /sys/class/block is the list.

# Prints the node of every block device that can hold a medium: whole disks, partitions and optical drives.
block_devices() {
  local entry name size
  for entry in /sys/class/block/*; do
    name=${entry##*/}
    case $name in
      loop* | ram* | zram* | fd* | 'sys/class/block/*') continue ;;
    esac
    # An empty drive says 0; opening it would only make the kernel complain.
    read -r size 2>/dev/null <"$entry/size" || continue
    [ "$size" -gt 0 ] || continue
    # The kernel writes the / of a name like cciss/c0d0 as ! in sysfs.
    printf '/dev/%s\n' "$name" | tr '!' /
  done
}

# iso_label DEVICE: prints the volume label of the ISO 9660 file system on the device; status 1 when there is none.
# ECMA-119, 8.4: the primary volume descriptor is sector 16, "CD001" its bytes 2–6, the label its bytes 41–72.
iso_label() {
  local descriptor label
  descriptor=$(dd if="$1" bs=2048 skip=16 count=1 2>/dev/null | head -c 72 | tr '\000-\037' ' ')
  case $descriptor in
    ' CD001'*) ;;
    *) return 1 ;;
  esac
  label=$(printf '%s' "$descriptor" | tail -c +41)
  # Padded with spaces on the right.
  printf '%s\n' "${label%"${label##*[! ]}"}"
}

# A limit of anvil.wait seconds, from now.
start_waiting() {
  local uptime rest
  read -r uptime rest </proc/uptime
  deadline=$((${uptime%%.*} + anvil_wait))
}

# Pauses a little; status 1 once the limit has passed.
keep_waiting() {
  local uptime rest
  read -r uptime rest </proc/uptime
  [ "${uptime%%.*}" -lt "$deadline" ] || return 1
  # A busybox without FEATURE_FANCY_SLEEP knows whole seconds only.
  sleep 0.2 2>/dev/null || sleep 1
}
