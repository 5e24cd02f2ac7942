/** What a user's image adds to the system: the parts of its root, and its kernel. */
import { keysOf, OWN, partsOf, usersOf, type ImageFields, type Network } from "../src/recipe/image.ts";
import { folderOf, type Recipe } from "../src/recipe/recipe.ts";
import type { Content, TreeFields } from "../src/recipe/tree.ts";
import { linux, linuxWith } from "./linux.ts";

type Shape = Required<Pick<TreeFields, "from" | "only" | "wins" | "files" | "folders" | "services">>;

interface Addition extends Shape {
  /** Shell text that runs in the finished tree. */
  readonly after: string;
  /** Others than root log in over SSH. */
  readonly ssh: boolean;
}

const NOTHING: Addition = {
  ...{ from: [], only: {}, wins: [], files: {}, folders: [], services: {}, after: "", ssh: false },
};

/** @param logins SSH public keys of root */
export function rootOf(own: ImageFields | undefined, logins: readonly string[]): Addition {
  if (own === undefined) return NOTHING;
  const { name, hostName = name, files = {}, folders = [], services = {}, network } = own;
  const parts = partsOf(own);
  const people = usersOf(own);
  const ssh = people.some(({ user }) => keysOf(user).length > 0);
  return {
    from: parts.map(({ from }) => from),
    only: Object.fromEntries(parts.flatMap(({ from, only }) => (only === undefined ? [] : [[folderOf(from), only]]))),
    wins: parts.flatMap(({ from, wins }) => (wins === true ? [from] : [])),
    files: {
      "etc/hostname": { text: `${hostName}\n`, wins: true },
      "etc/hosts": { text: `127.0.0.1 localhost ${hostName}\n::1       localhost ${hostName}\n`, wins: true },
      ...(network === undefined ? {} : { "etc/anvil/network": { text: networkText(network) } }),
      ...Object.fromEntries(
        people.flatMap(({ name, user }) => keyFile(`home/${name}/.ssh/authorized_keys`, keysOf(user))),
      ),
      ...(ssh ? Object.fromEntries(keyFile("root/.ssh/authorized_keys", logins)) : {}),
      ...ofTheUser(files),
    },
    folders: [...people.map(({ name }) => `home/${name}`), ...folders],
    services: {
      ...(network === undefined ? {} : { network: { from: "system/services/network/run", wins: true } as const }),
      ...(people.length === 0 ? {} : { home: "system/services/home/run" }),
      ...(ssh ? { ssh: "system/services/ssh/run" } : {}),
      ...ofTheUser(services),
    },
    after: [...people.map(accountOf), `echo 'VARIANT_ID=${name}' >> etc/os-release\n`].join(""),
    ssh,
  };
}

const kernels = new WeakMap<ImageFields, Recipe>();

/** The kernel of the image: that of every system, unless it asks for more. The same recipe each time. */
export function kernelOf(own?: ImageFields): Recipe {
  const { kernel = {}, limits = {} } = own ?? {};
  if (own === undefined || (Object.keys(kernel).length === 0 && limits.kernel === undefined)) return linux;
  const made = kernels.get(own) ?? linuxWith("", { options: kernel, ...atMostOf(limits.kernel) });
  kernels.set(own, made);
  return made;
}

const atMostOf = (bytes: number | undefined): { atMost?: number } => (bytes === undefined ? {} : { atMost: bytes });

const keyFile = (path: string, keys: readonly string[]): [string, Content][] =>
  keys.length === 0 ? [] : [[path, { text: keys.map((key) => `${key}\n`).join("") }]];

/** Names of files are those of the user's folder. */
function ofTheUser(contents: Readonly<Record<string, Content>>): Record<string, Content> {
  return Object.fromEntries(
    Object.entries(contents).map(([path, content]): [string, Content] => {
      if (typeof content === "string") return [path, OWN + content];
      return [path, "from" in content ? { ...content, from: OWN + content.from } : content];
    }),
  );
}

/** What system/services/network/run reads. */
function networkText({ interface: device = "eth0", address, gateway = "", dns = [] }: Network): string {
  return `interface=${device}\naddress=${address}\ngateway=${gateway}\ndns='${dns.join(" ")}'\n`;
}

/** Nobody has a password: a key is the only way in. */
const accountOf = ({ name, uid, user: { shell = "/bin/sh" } }: ReturnType<typeof usersOf>[number]): string => `\
echo '${name}:x:${uid}:${uid}:${name}:/home/${name}:${shell}' >> etc/passwd
echo '${name}:x:${uid}:' >> etc/group
echo '${name}:!:::::::' >> etc/shadow
`;
