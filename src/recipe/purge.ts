/**
 * A purge: reviewed changes to the source of somebody else, as data. Each change is found by anchors, short texts that
 * stand exactly once in their file; nothing is changed unless all of them are found and all checks hold on the result.
 *
 * The unit tests at the end of a Rust file are neither searched nor kept: they are not compiled, and they test what goes.
 * `examinePurge` is the one engine; `purgeScript` is the same in perl, for a step, and docs/purge.md says how both are kept
 * the same.
 */
export type Change =
  /** `anchor` becomes `becomes`; removed when that is empty. */
  | { readonly file: string; readonly anchor: string; readonly becomes: string; readonly why: string }
  /** What begins with `from` and ends before `to` becomes `becomes`; `to` stays. */
  | {
      readonly file: string;
      readonly from: string;
      readonly to: string;
      readonly becomes: string;
      readonly why: string;
    }
  /** The whole file becomes `text`. It has to hold `anchor`, so that another file is not mistaken for it. */
  | { readonly file: string; readonly anchor: string; readonly text: string; readonly why: string }
  /** The file or folder is removed; it has to exist. */
  | { readonly removes: string; readonly why: string };

/** After the changes no file at or below `below` holds `lacks`, a regular expression of letters, `\b`, `|` and `[^…]`. */
export interface PurgeCheck {
  readonly below: string;
  readonly lacks: string;
  readonly why: string;
}

export interface Purge {
  /** What it is made for, for messages. */
  readonly of: string;
  readonly changes: readonly Change[];
  readonly checks: readonly PurgeCheck[];
}

/** Files of a source by their path from its top. */
export type SourceFiles = ReadonlyMap<string, string>;

/** One anchor, with how often its file holds it: once is right. */
export interface AnchorFound {
  readonly path: string;
  /** The anchor; empty for what is removed whole. */
  readonly anchor: string;
  readonly times: number;
  readonly why: string;
}

export interface PurgeResult {
  /** Every anchor, in the order of the changes. */
  readonly anchors: readonly AnchorFound[];
  /** What is wrong, a line each: anchors that moved, else checks that do not hold. Empty: `files` is the purged source. */
  readonly complaints: readonly string[];
  readonly files: SourceFiles;
}

/** Applies a purge to files in memory. The given files are left as they are. */
export function examinePurge(purge: Purge, files: SourceFiles): PurgeResult {
  const bodies = new Map<string, string>();
  for (const change of purge.changes) {
    const text = "removes" in change ? undefined : files.get(change.file);
    if (!("removes" in change) && text !== undefined) bodies.set(change.file, withoutTests(text));
  }
  const anchors = purge.changes.flatMap((change) => anchorsOf(change, bodies, files));
  const moved = anchors.filter(({ times }) => times !== 1).map(describeAnchor);
  if (moved.length > 0) return { anchors, complaints: moved, files };

  const edits = new Map<string, Edit[]>();
  for (const change of purge.changes) {
    if ("removes" in change) continue;
    const body = bodies.get(change.file) ?? "";
    edits.set(change.file, [...(edits.get(change.file) ?? []), editOf(change, body)]);
  }
  const result = new Map([...files].filter(([path]) => !isRemoved(purge, path)));
  const complaints: string[] = [];
  for (const [file, list] of edits) {
    const sorted = [...list].sort((a, b) => a.start - b.start);
    const misplaced = sorted.some(
      ({ start, end }, index) => end < start || (index > 0 && start < (sorted[index - 1]?.end ?? 0)),
    );
    if (misplaced) complaints.push(`${file}: anchors stand in another order`);
    else result.set(file, rewrite(bodies.get(file) ?? "", sorted));
  }
  if (complaints.length > 0) return { anchors, complaints: complaints.sort(), files };
  for (const { below, lacks, why } of purge.checks) {
    const pattern = new RegExp(lacks);
    for (const [path, text] of result) {
      if (!isAt(path, below)) continue;
      const hit = pattern.exec(withoutTests(text))?.[0];
      if (hit !== undefined) complaints.push(`${path}: still holds ${hit} (${why})`);
    }
  }
  return { anchors, complaints: complaints.sort(), files: complaints.length > 0 ? files : result };
}

interface Edit {
  readonly start: number;
  readonly end: number;
  readonly becomes: string;
}

function anchorsOf(change: Change, bodies: SourceFiles, files: SourceFiles): AnchorFound[] {
  const { why } = change;
  if ("removes" in change) {
    const path = change.removes;
    return [{ path, anchor: "", times: [...files.keys()].some((file) => isAt(file, path)) ? 1 : 0, why }];
  }
  const path = change.file;
  const body = bodies.get(path) ?? "";
  const texts = "from" in change ? [change.from, change.to] : [change.anchor];
  return texts.map((anchor) => ({ path, anchor, times: body.split(anchor).length - 1, why }));
}

function describeAnchor({ path, anchor, times }: AnchorFound): string {
  return anchor === "" ? `${path}: is not there` : `${path}: ${times} times ${JSON.stringify(anchor)}`;
}

function editOf(change: Exclude<Change, { removes: string }>, body: string): Edit {
  if ("text" in change) return { start: 0, end: body.length, becomes: change.text };
  if ("from" in change)
    return { start: body.indexOf(change.from), end: body.indexOf(change.to), becomes: change.becomes };
  const start = body.indexOf(change.anchor);
  return { start, end: start + change.anchor.length, becomes: change.becomes };
}

function rewrite(body: string, edits: readonly Edit[]): string {
  let at = 0;
  let text = "";
  for (const { start, end, becomes } of edits) {
    text += body.slice(at, start) + becomes;
    at = end;
  }
  return text + body.slice(at);
}

function isRemoved(purge: Purge, path: string): boolean {
  return purge.changes.some((change) => "removes" in change && isAt(path, change.removes));
}

/** Whether a path is this one or stands below it; everything stands below "". */
function isAt(path: string, top: string): boolean {
  return top === "" || path === top || path.startsWith(`${top}/`);
}

/** Where the unit tests of a Rust file begin: an attribute and a module, on two lines without indentation. */
function withoutTests(text: string): string {
  const start = /\n#\[cfg\(test\)\]\n(?:pub |pub\(crate\) )?mod tests \{\n/.exec(text)?.index;
  return start === undefined ? text : text.slice(0, start + 1);
}

/**
 * Shell text that applies a purge to the source in `folder`, or ends with a status other than 0, every complaint of
 * `examinePurge` on a line of its own, and the source as it was.
 */
export function purgeScript(purge: Purge, folder: string): string {
  return `\
cat > /build/purge.json <<'END_OF_PURGE'
${JSON.stringify(purge)}
END_OF_PURGE
cat > /build/purge.pl <<'END_OF_PERL'
${engine}END_OF_PERL
perl /build/purge.pl /build/purge.json ${folder}
`;
}

// The engine above once more, in the same order. Only core modules of perl.
const engine = `\
use strict;
use warnings;
use File::Find;
use File::Path qw(remove_tree);
use JSON::PP;

my ($data, $top) = @ARGV;
sub content { open my $in, '<:raw', $_[0] or die "$_[0]: $!\\n"; local $/; my $text = <$in>; return $text // '' }
my $json = JSON::PP->new->utf8->allow_nonref;
my $purge = $json->decode(content($data));
# what is searched and written are bytes
sub bytes { my $text = $_[0]; utf8::encode($text); return $text }

my %files;
find({ no_chdir => 1, wanted => sub {
  return if -l $_ || !-f $_;
  my $path = substr($_, length($top) + 1);
  $files{$path} = 1;
} }, $top);

sub is_at { my ($path, $below) = @_; return $below eq '' || $path eq $below || index($path, "$below/") == 0 }
sub without_tests {
  my $text = $_[0];
  return $text =~ /\\n#\\[cfg\\(test\\)\\]\\n(?:pub |pub\\(crate\\) )?mod tests \\{\\n/ ? substr($text, 0, $-[0] + 1) : $text;
}
sub occurrences { my ($body, $anchor) = @_; my ($count, $at) = (0, 0);
  while (($at = index($body, $anchor, $at)) >= 0) { $count++; $at += length $anchor }
  return $count;
}
sub refuse { print STDERR "E_PURGE_ANCHOR  the source is not the one that the purge was made for\\n" if $_[0] eq 'anchor';
  print STDERR "E_PURGE_CHECK  what has to go is still there\\n" if $_[0] eq 'check';
  print STDERR "  $_\\n" for @{$_[1]};
  exit 1;
}

my (%bodies, @moved);
for my $change (@{$purge->{changes}}) {
  if (defined $change->{removes}) {
    push @moved, "$change->{removes}: is not there" unless grep { is_at($_, $change->{removes}) } keys %files;
    next;
  }
  my $file = $change->{file};
  $bodies{$file} //= $files{$file} ? without_tests(content("$top/$file")) : '';
  for my $anchor (defined $change->{from} ? ($change->{from}, $change->{to}) : ($change->{anchor})) {
    my $count = occurrences($bodies{$file}, bytes($anchor));
    push @moved, "$file: $count times " . $json->encode($anchor) if $count != 1;
  }
}
refuse('anchor', \\@moved) if @moved;

my %edits;
for my $change (@{$purge->{changes}}) {
  next if defined $change->{removes};
  my $file = $change->{file};
  my $body = $bodies{$file};
  my ($start, $end, $becomes) = (0, length $body, $change->{text});
  if (defined $change->{from}) {
    ($start, $end) = (index($body, bytes($change->{from})), index($body, bytes($change->{to})));
    $becomes = $change->{becomes};
  } elsif (!defined $becomes) {
    $start = index($body, bytes($change->{anchor}));
    $end = $start + length bytes($change->{anchor});
    $becomes = $change->{becomes};
  }
  push @{$edits{$file}}, [$start, $end, bytes($becomes)];
}
my (%changed, @complaints);
for my $file (keys %edits) {
  my ($at, $text, $misplaced) = (0, '', 0);
  for my $edit (sort { $a->[0] <=> $b->[0] } @{$edits{$file}}) {
    $misplaced = 1, last if $edit->[0] < $at || $edit->[1] < $edit->[0];
    $text .= substr($bodies{$file}, $at, $edit->[0] - $at) . $edit->[2];
    $at = $edit->[1];
  }
  push @complaints, "$file: anchors stand in another order" if $misplaced;
  $changed{$file} = $text . substr($bodies{$file}, $at);
}
refuse('anchor', [sort @complaints]) if @complaints;

my @removed = map { $_->{removes} } grep { defined $_->{removes} } @{$purge->{changes}};
for my $check (@{$purge->{checks}}) {
  my $pattern = qr/$check->{lacks}/a;
  for my $path (keys %files) {
    next unless is_at($path, $check->{below});
    next if grep { is_at($path, $_) } @removed;
    my $text = without_tests($changed{$path} // content("$top/$path"));
    push @complaints, "$path: still holds $& (" . bytes($check->{why}) . ")" if $text =~ $pattern;
  }
}
refuse('check', [sort @complaints]) if @complaints;

for my $file (keys %changed) {
  open my $out, '>:raw', "$top/$file" or die "$top/$file: $!\\n";
  print $out $changed{$file};
  close $out or die "$top/$file: $!\\n";
}
remove_tree(map { "$top/$_" } @removed);
my $count = keys %changed;
print "purged: $count files changed, " . @removed . " files and folders removed\\n";
`;
