# The same chain as in chain.ts, for Nix: each step needs the one before it.
{ length }:
let
  run = name: text: derivation {
    inherit name;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" text ];
  };
  next = before: n: run "step-${toString n}" "read -r n < ${before}; echo $((n + 1)) > $out";
in
builtins.foldl' next (run "step-0" "echo 0 > $out") (builtins.genList (n: n + 1) length)
