# What the init says, and where.
#
# Failures have one form, which tests and people read:
#
#   E_INIT_NO_MEDIUM  no block device carries a volume labelled ANVILOS
#     tried: …
#     why:   …
#     hint:  …

# The folder of everything that the init leaves behind; it stays in /run of the booted system.
state=/run/anvil
failure=$state/failure

# Prints stdin on every console of the kernel (/dev/console is only the last of them) and into the kernel's log, there at
# level debug, so that the consoles do not show it twice.
on_consoles() {
  local text line console consoles
  text=$(cat)
  read -r consoles </sys/class/tty/console/active || consoles=console
  for console in $consoles; do
    # The kernel lists tty0 (the current virtual terminal) also where no screen is attached.
    printf '%s\n' "$text" 2>/dev/null >"/dev/$console"
  done
  printf '%s\n' "$text" | while IFS= read -r line; do
    [ -z "$line" ] || printf '<7>anvil-init: %s\n' "${line#anvil-init: }" 2>/dev/null >/dev/kmsg
  done
}

# note SENTENCE: one line that says what is happening.
note() {
  printf 'anvil-init: %s\n' "$1" | on_consoles
}

# phase NAME: a time stamp in the kernel's log, `anvil-init: <seconds since the kernel started> <name>`.
phase() {
  local uptime rest
  read -r uptime rest </proc/uptime
  printf '<6>anvil-init: %s %s\n' "$uptime" "$1" >/dev/kmsg
}

# fail CODE SENTENCE LINE…: records a failure and ends the (sub)shell with status 1. The tools' own words may have several
# lines: those after the first are indented below it.
fail() {
  local code="$1" sentence="$2" line
  shift 2
  {
    printf '%s  %s\n' "$code" "$sentence"
    for line; do
      printf '%s\n' "$line" | sed -e '1s/^/  /' -e '2,$s/^[[:space:]]*/         /'
    done
  } >"$failure"
  exit 1
}

# Prints the recorded failure; an attempt that ended without one is itself a mistake worth showing.
show_failure() {
  if [ -s "$failure" ]; then
    { echo; cat "$failure"; } | on_consoles
  else
    printf '\n%s\n' "E_INIT_INTERNAL  the search for the root ended without saying why
  hint:  boot with anvil.debug, which traces every command into the kernel's log" | on_consoles
  fi
}

# Sends the trace of every command to the kernel's log, and the log to the consoles. A child of a shell that does so
# already has the pipe as its standard error.
trace_to_log() {
  local line
  if [ ! -p /proc/self/fd/2 ]; then
    echo on >/proc/sys/kernel/printk_devkmsg # else the kernel drops lines that come quickly
    dmesg -n 8
    rm -f $state/trace
    mkfifo $state/trace
    # Every write to /dev/kmsg is a line of its own, but ash writes its trace word by word.
    while IFS= read -r line; do
      printf '<7>anvil-init: %s\n' "$line" >/dev/kmsg
    done <$state/trace &
    exec 2>$state/trace
  fi
  set -x
}
