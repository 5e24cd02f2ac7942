# What happens when there is no root: a shell, or a reboot when the kernel command line holds panic=. A system without root
# login has no shell here either: it would be root for whoever reaches the console.

closed=/etc/anvil/no-root-login

# rescue_shell SENTENCE: a root shell on the console; returns when it is left.
rescue_shell() {
  if [ -e "$closed" ]; then
    on_consoles <<TEXT

$1
There is none: this system was forged without root login. To look at its disks, boot another medium.

TEXT
    return
  fi
  on_consoles <<TEXT

$1
Rescue shell of the initramfs. \`exit\` tries again, \`reboot -f\` restarts the machine.
  what failed            cat /run/anvil/failure
  the kernel's log       dmesg | less
  disks and their labels cat /proc/partitions; busybox blkid
  pools in sight         zpool import -d /dev
  search somewhere else  edit /run/anvil/override (words as on the kernel command line), then exit

TEXT
  # cttyhack finds the terminal behind /dev/console, which itself cannot be a controlling terminal: Ctrl-C works.
  setsid cttyhack sh -i </dev/console >/dev/console 2>&1
}

# After a failure. panic=N asks for a reboot after N seconds, a negative N for one at once (as the kernel itself does).
give_way() {
  if [ "$panic_seconds" -eq 0 ] && [ -e "$closed" ]; then
    note "no rescue shell: this system was forged without root login; to look at its disks, boot another medium"
    note "another attempt follows at Enter, or in 60 s; Ctrl-Alt-Del restarts the machine"
    # a disk that is late, or was pulled out, may come back
    read -r -t 60 _ </dev/console
    return
  fi
  if [ "$panic_seconds" -eq 0 ]; then
    rescue_shell "The root was not found; the reason stands above."
    note "trying again"
    return
  fi
  if [ "$panic_seconds" -gt 0 ]; then
    note "reboot in $panic_seconds s, because the kernel command line holds panic=$panic_seconds"
    sleep "$panic_seconds"
  fi
  sync
  reboot -f
  # The kernel needs a moment to stop the machine.
  sleep 60
}
