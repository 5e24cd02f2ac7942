# The kernel command line. docs/boot.md documents every word that is read here.

# Seconds to wait for a medium or a pool: slow USB sticks and disk controllers need up to about ten.
DEFAULT_WAIT=30
DEFAULT_ROOT=iso:ANVILOS
override=/run/anvil/override

# Sets anvil_root, anvil_pool, anvil_rescue, anvil_debug, anvil_force_import, anvil_wait, anvil_init and panic_seconds.
# A word without value sets its variable to "yes". The last of several equal words wins, as in the kernel; words that
# were written into the override file in the rescue shell come after those of the kernel command line.
read_command_line() {
  local word words more=''
  anvil_root=$DEFAULT_ROOT anvil_pool='' anvil_rescue='' anvil_debug='' anvil_force_import='' anvil_init=/sbin/init
  anvil_wait=$DEFAULT_WAIT panic_seconds=0
  read -r words </proc/cmdline
  [ ! -f "$override" ] || more=$(cat "$override")
  set -f
  for word in $words $more; do
    case $word in
      anvil.root=*) anvil_root=${word#*=} ;;
      anvil.pool=*) anvil_pool=${word#*=} ;;
      anvil.wait=*) anvil_wait=${word#*=} ;;
      anvil.rescue) anvil_rescue=yes ;;
      anvil.debug) anvil_debug=yes ;;
      anvil.force-import) anvil_force_import=yes ;;
      init=*) anvil_init=${word#*=} ;;
      panic=*) panic_seconds=${word#*=} ;;
    esac
  done
  set +f
  is_number "${panic_seconds#-}" || panic_seconds=0
}

is_number() {
  case $1 in
    '' | *[!0-9]*) return 1 ;;
  esac
}

# Ends the attempt when a value cannot be understood. Not in read_command_line: PID 1 must not stop for a typing error.
check_command_line() {
  local hint='hint:  correct the line in the boot menu (key e); docs/boot.md lists every parameter'
  is_number "$anvil_wait" ||
    fail E_INIT_PARAMETER "anvil.wait=$anvil_wait is not a number of seconds" "$hint"
  [ -z "$anvil_pool" ] || is_number "$anvil_pool" ||
    fail E_INIT_PARAMETER "anvil.pool=$anvil_pool is not a pool GUID, a decimal number" "$hint"
  case $anvil_root in
    iso:?*) ;;
    pool:*)
      is_number "$(root_guid)" ||
        fail E_INIT_PARAMETER "anvil.root=$anvil_root does not name a pool by its GUID, a decimal number" "$hint"
      ;;
    *)
      fail E_INIT_PARAMETER "anvil.root=$anvil_root is neither iso:LABEL nor pool:GUID nor pool:GUID/DATASET" "$hint"
      ;;
  esac
}

# The GUID in anvil.root=pool:GUID[/DATASET].
root_guid() {
  local rest="${anvil_root#pool:}"
  printf '%s' "${rest%%/*}"
}

# The dataset in anvil.root=pool:GUID/DATASET, without the pool's name; empty when bootfs decides.
root_dataset() {
  case $anvil_root in
    pool:*/*) printf '%s' "${anvil_root#*/}" ;;
  esac
}
