// Lint for the whole project: the type-checked strict rules of typescript-eslint, and the order of the rooms in src/.
import tseslint from "typescript-eslint";

/** The rooms of src/ in their order: each may import itself and those before it (docs/architecture.md). */
export const ROOMS = [
  "fault",
  "host",
  "recipe",
  "format",
  "source",
  "store",
  "sandbox",
  "forge",
  "vm",
  "inject",
  "ui",
  "project",
  "cli",
];

/** Byte formats stand alone: they know nothing of the rest. */
const ALONE = ["format"];

const UP = String.raw`^(?:\.{1,2}/)+(?:src/)?`;

/** What a room must not import: regular expressions on the imported name, each with a reason. */
function restrictionsOf(room) {
  const allowed = ALONE.includes(room) ? [room] : ROOMS.slice(0, ROOMS.indexOf(room) + 1);
  const above = ROOMS.filter((other) => !allowed.includes(other));
  const restrictions = [
    {
      regex: `${UP}(?:test|bench|scripts|dist)/`,
      message: "The program does not depend on what tests, measures or bundles it.",
    },
  ];
  if (above.length > 0) {
    restrictions.push({
      regex: `${UP}(?:${above.join("|")})/`,
      message: `src/${room} may import only ${allowed.map((name) => `src/${name}`).join(", ")}.`,
    });
  }
  restrictions.push({
    regex: `${UP}(?:recipes|bin)/`,
    message: "Recipes are handed in as one value, by bin/anvil.ts.",
  });
  if (room === "recipe") restrictions.push(PURE);
  if (room === "cli") restrictions.push(WORK);
  return restrictions;
}

const PURE = {
  regex: String.raw`^[^.]`,
  message: "Recipes are pure values: no modules of Node.js and no packages.",
};

const RECIPES = [
  PURE,
  {
    regex: String.raw`^(?:\.{1,2}/)+(?:src/(?!recipe/)|test/|bench/|scripts/|dist/)`,
    message: "A recipe imports only src/recipe and other recipes.",
  },
];

/** The same restrictions for `import … from`, `export … from` and `import(…)`. */
function restrict(files, restrictions, syntax = []) {
  return {
    files,
    rules: {
      "no-restricted-imports": ["error", { patterns: restrictions }],
      "no-restricted-syntax": [
        "error",
        ...restrictions.map(({ regex, message }) => ({
          selector: `ImportExpression[source.value=/${regex.replaceAll("/", String.raw`\/`)}/]`,
          message,
        })),
        ...syntax,
      ],
    },
  };
}

/** No input or output, no clock, no environment: what stands in for them by name. */
const impure = {
  files: ["src/recipe/**/*.ts", "recipes/**/*.ts"],
  rules: {
    "no-restricted-globals": [
      "error",
      ...[
        "process",
        "console",
        "fetch",
        "Date",
        "performance",
        "setTimeout",
        "setInterval",
        "setImmediate",
        "crypto",
      ].map((name) => ({ name, message: "Recipes are pure values: no I/O, no clock, no environment." })),
    ],
    "no-restricted-properties": [
      "error",
      { object: "Math", property: "random", message: "The same recipe is always the same value." },
    ],
  },
};

/** Text of others must not steer the user's terminal: one file writes to it. */
const DIRECT_WRITE = {
  selector: "MemberExpression[property.name='write'][object.property.name=/^(?:stdout|stderr|output|errors)$/]",
  message: "Print with src/cli/terminal.ts, which makes text of others harmless.",
};

/** A test calls a command with streams and an environment of its own. */
const THIS_PROCESS = {
  selector: "MemberExpression[object.name='process'][property.name=/^(?:stdin|stdout|stderr|env)$/]",
  message: "A command has its terminal and its project's environment; those of this process are named in main.ts.",
};

/** A command parses, calls and renders. */
const WORK = {
  regex: String.raw`^(?:node:)?(?:fs|child_process|net|http|https|tls|dgram)(?:/|$)`,
  message: "A command parses, calls and renders: what works with files, processes and sockets is in src/project.",
};

/** Only a command speaks to the user, on its terminal; everything below it emits events or returns values. */
const silent = {
  files: ["src/**/*.ts"],
  rules: {
    "no-console": "error",
  },
};

export default tseslint.config(
  { ignores: ["dist/", "out/", "node_modules/"] },
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      eqeqeq: "error",
      "no-var": "error",
      "prefer-const": "error",
      "@typescript-eslint/consistent-type-imports": ["error", { fixStyle: "inline-type-imports" }],
      "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      // `return close();` and `() => close()` say in one line that nothing follows
      "@typescript-eslint/no-confusing-void-expression": "off",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      // `while (true)` and `for (;;)` are how a loop with its end in the middle is written
      "@typescript-eslint/no-unnecessary-condition": [
        "error",
        { allowConstantLoopConditions: "only-allowed-literals" },
      ],
      // the runner waits for the tests that it was given
      "@typescript-eslint/no-floating-promises": [
        "error",
        {
          allowForKnownSafeCalls: [
            { from: "package", package: "node:test", name: ["test", "it", "describe", "suite"] },
          ],
        },
      ],
    },
  },
  ...ROOMS.map((room) =>
    restrict([`src/${room}/**/*.ts`], restrictionsOf(room), room === "cli" ? [DIRECT_WRITE, THIS_PROCESS] : []),
  ),
  restrict(["src/cli/terminal.ts"], restrictionsOf("cli")),
  restrict(["src/cli/main.ts"], restrictionsOf("cli"), [DIRECT_WRITE]),
  restrict(["recipes/**/*.ts"], RECIPES),
  impure,
  silent,
  {
    // an assertion on what may be absent reads better as one chain, whatever the type says
    files: ["test/**/*.ts"],
    rules: { "@typescript-eslint/no-unnecessary-condition": "off" },
  },
);
