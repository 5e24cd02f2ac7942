import path from "node:path";
import { startImage } from "../project/starter.ts";
import { command as define } from "./command.ts";

const help = `
usage: anvil init [folder] [options]

Starts an image of your own: a folder with \`anvil.image.ts\`, which says what the system has beside that of every AnvilOS:
packages, services, files, kernel options, users and keys, network, host name, limits of size. In that folder
\`anvil forge\`, \`anvil boot\` and all other commands mean this image. docs/images.md describes it.

  --from <example>   what to start from: starter, nas, database, ci-runner (default: starter)

examples:
  anvil init mine && cd mine && anvil forge
  anvil init nas --from nas

exit status: 0 done, 1 failed, 2 wrong usage
`;

export const command = define({
  summary: "start a folder with an image of your own",
  help,
  options: { from: { type: "string", default: "starter" } },
  words: [0, 1],
  run({ values, words: [folder = "."], project }) {
    const files = startImage(project.root, path.resolve(folder), values.from);
    return { text: [`${folder} has ${files.join(", ")}`, "edit anvil.image.ts, then `anvil forge` there"] };
  },
});
