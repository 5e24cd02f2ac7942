/** Commands whose standard output is a terminal, by the seed's perl: Node makes none. */
import { seedProgram, type Command } from "../../src/sandbox/sandbox.ts";

/** TIOCSPTLCK unlocks the slave, TIOCGPTN tells its number: ioctl_tty(2). The master's end comes as an error. */
const SCRIPT = `
open(my $master, "+<", "/dev/ptmx") or die;
ioctl($master, 0x40045431, my $unlocked = pack("i", 0)) or die;
ioctl($master, 0x80045430, my $number = pack("I", 0)) or die;
open(my $slave, "+<", "/dev/pts/" . unpack("I", $number)) or die;
my $child = fork;
if (!$child) { open(STDOUT, ">&", $slave) or die; exec @ARGV; die }
close $slave;
while (sysread($master, my $bytes, 65536)) { syswrite(STDOUT, $bytes) }
waitpid($child, 0);
exit($? >> 8);
`;

export function onTerminal(seedTree: string, argv: readonly string[]): Command {
  return seedProgram(seedTree, "usr/bin/perl", ["-e", SCRIPT, ...argv]);
}
