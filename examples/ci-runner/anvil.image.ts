/** A CI runner: takes scripts over SSH, runs one after the other as a user without rights, keeps their output. */
import { bash, gawk, image, lz4, m4, make, zstdProgram } from "anvilos";

export default image({
  name: "ci-runner",
  packages: [
    bash,
    // "awk" of busybox gives way to it
    { from: gawk, wins: true },
    m4,
    make,
    lz4,
    zstdProgram,
  ],
  users: {
    // put your own keys here: root looks after the machine, ci hands jobs in
    root: { keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM1UExYwUwEiltx5y++zsDgs5ZeSqm9G56bqwXt0fxIQ you@there"] },
    ci: { keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM1UExYwUwEiltx5y++zsDgs5ZeSqm9G56bqwXt0fxIQ you@there"] },
    // a job runs as this one
    job: {},
  },
  services: { runner: "runner" },
  files: { "usr/local/bin/submit": "submit" },
  network: { address: "192.168.1.20/24", gateway: "192.168.1.1", dns: ["192.168.1.1"] },
  limits: { root: 96 * 1024 * 1024 },
});
