import { Fault } from "../fault/fault.ts";
import { clustersIn, databaseAction, psql, type Cluster } from "../project/database.ts";
import { size } from "../ui/units.ts";
import { command as define } from "./command.ts";
import { connectHelp, connectOptions, flag } from "./options.ts";

const help = `
usage: anvil db psql [<cluster>] [options] [-- <arguments of psql>…]
       anvil db list
       anvil db snapshot <cluster>@<name>
       anvil db branch <cluster>[@<snapshot>] <new>
       anvil db rollback <cluster>@<snapshot> [--discard-later]
       anvil db destroy <cluster> | <cluster>@<snapshot>
       anvil db set <cluster> listen <address>[,<address>…] | off
       anvil db restart|log <cluster>

The databases of a running Monolith: \`anvil inject db\` sends them there. It calls \`anvil-db\` inside; the first cluster is
called main.

  psql        a session as the superuser postgres; without a terminal standard input, output and error are psql's
  list        clusters: name, state, port, size, where it comes from; and snapshots
  snapshot    keeps the state of this moment
  branch      a second, writable cluster that shares with the first what neither has changed
  rollback    back to a snapshot, which ends all sessions
  destroy     removes a branch or a snapshot
  set listen  opens TCP, for TLS and passwords only; off closes it

${connectHelp}
  --discard-later      with rollback: give up the snapshots that were taken after this one
  --json               list: [{cluster, state, port, bytes, origin, snapshots: [{name, bytes}]}]

examples:
  anvil db psql
  anvil db psql main -- -c "select version()"
  anvil db branch main try-1 && anvil db psql try-1
  anvil db set main listen "*"

exit status: 0 done, 1 refused or failed, 2 wrong usage; psql: its own
`;

const LATER = "discard-later";

export const command = define({
  summary: "databases of a running Monolith: psql, branches, snapshots",
  help,
  options: { ...connectOptions, [LATER]: flag, json: flag },
  actions: {
    psql: [0, 1],
    list: [0, 0],
    snapshot: [1, 1],
    branch: [2, 2],
    rollback: [1, 1],
    destroy: [1, 1],
    set: [3, 3],
    restart: [1, 1],
    log: [1, 1],
  },
  takesRest: true,
  async run({ values, action, words, rest, project, terminal }) {
    if (rest.length > 0 && action !== "psql") throw new Fault("E_USAGE", "only psql takes arguments after --");
    if (values[LATER] && action !== "rollback") throw new Fault("E_USAGE", `--${LATER} goes with rollback`);
    if (action === "psql") {
      const [cluster = "main"] = words;
      return psql(project, values, [cluster, ...rest], terminal.streams);
    }
    const line = [action, ...words, ...(values[LATER] ? [`--${LATER}`] : [])];
    const output = await databaseAction(project, values, line, (text) => terminal.complain(text));
    if (action === "list") {
      const clusters = clustersIn(output);
      return { text: clusters.flatMap(rows), document: clusters };
    }
    terminal.foreign(output);
    return 0;
  },
});

function rows({ cluster, state, port, bytes, origin, snapshots }: Cluster): string[] {
  const from = origin === null ? "" : `  from ${origin}`;
  return [
    `${cluster.padEnd(24)}  ${state.padEnd(10)}  port ${port}  ${size(bytes)}${from}`,
    ...snapshots.map(({ name, bytes: own }) => `  ${name.padEnd(22)}  snapshot    ${size(own)}`),
  ];
}
