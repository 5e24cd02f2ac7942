/**
 * The user namespaces of a forge that runs as root, and the process that holds them. Written in Perl, which every seed has:
 * Node cannot make namespaces. The kernel's rules for the maps are in user_namespaces(7).
 */

/**
 * Arguments: a kernel id, the lines of a uid map and of a gid map, and the command that holds the namespaces from then on.
 * Prints the number of the descriptor that is the outer namespace; its own namespace is the inner one.
 *
 * The id owns both namespaces, so that a process with this id and no capability can enter them. In the outer one, root's
 * files can be reached with the capabilities that bubblewrap has there while it mounts. In the inner one there is no id
 * but 1000, and commands run in that.
 *
 * The holder makes the namespace with CAP_SYS_ADMIN, if it has that: a machine may deny the call to others. Only a process
 * outside can write the first map, hence the helper; it needs CAP_SETUID, CAP_SETGID and CAP_SETFCAP.
 */
export const holderProgram = String.raw`
my ($id, $uids, $gids, @hold) = @ARGV;
$id += 0;
# descriptors up to this number outlive the last exec
$^F = 9;

sub fail { print STDERR "$_[0]: $!\n"; exit 1 }

# another user and group, no others, and the capabilities as before: prctl, setgroups, setresgid, setresuid, capget, capset
sub become {
  syscall(157, 8, 1, 0, 0, 0) == 0 or fail("PR_SET_KEEPCAPS");
  syscall(116, 0, 0) == 0 or fail("setgroups");
  syscall(119, $id, $id, $id) == 0 or fail("setresgid");
  syscall(117, $id, $id, $id) == 0 or fail("setresuid");
  my $head = pack("LL", 0x20080522, 0);
  my $sets = "\0" x 24;
  syscall(125, $head, $sets) == 0 or fail("capget");
  my @sets = unpack("L6", $sets);
  my $wanted = pack("L6", $sets[1], $sets[1], 0, $sets[4], $sets[4], 0);
  syscall(126, $head, $wanted) == 0 or fail("capset");
}

# unshare(CLONE_NEWUSER), after which /proc/<pid> is to be the user's again
sub enter {
  syscall(272, 0x10000000) == 0 or fail("a user namespace");
  syscall(157, 4, 1, 0, 0, 0) == 0 or fail("PR_SET_DUMPABLE");
}

sub note {
  my ($name, $text) = @_;
  open(my $file, ">", $name) or fail($name);
  defined(syswrite($file, $text)) or fail($name);
  close($file);
}

pipe(my $entered, my $say_entered) && pipe(my $mapped, my $say_mapped) or fail("a pipe");
my $holder = $$;
my $helper = fork();
defined($helper) or fail("a process");
if ($helper == 0) {
  close($say_entered);
  close($mapped);
  become();
  sysread($entered, my $byte, 1) or exit 1;
  note("/proc/$holder/uid_map", $uids);
  note("/proc/$holder/gid_map", $gids);
  syswrite($say_mapped, "x");
  exit 0;
}
close($entered);
close($say_mapped);
become();
enter();
syswrite($say_entered, "x");
sysread($mapped, my $byte, 1) or exit 1;
waitpid($helper, 0);
close($say_entered);
close($mapped);
open(my $outer, "<", "/proc/self/ns/user") or fail("/proc/self/ns/user");
my $number = fileno($outer);
enter();
note("/proc/self/setgroups", "deny");
note("/proc/self/uid_map", "1000 1000 1\n");
note("/proc/self/gid_map", "1000 1000 1\n");
syswrite(STDOUT, "$number\n");
open(STDOUT, ">", "/dev/null");
open(STDERR, ">", "/dev/null");
exec(@hold) or exit 1;
`;
