// The command line, and what is printed.

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { conform, groups } from "./run.mjs";

export const usage = `node conform.mjs [--server URL] [--token FILE | --creds FILE] [--users FILE] [--only GROUP,...]

  --server URL     the NATS server (nats://127.0.0.1:4222)
  --token FILE     the token of a back end
  --creds FILE     its .creds file, or a line user:password
  --users FILE     two end users, as in README.md, for a service with feeds
  --only GROUP,... these groups only; --groups lists them
  --grace SECONDS  the service hears of closed connections, and waits so long
  --one            only one instance of the service runs
  --small          try only the numbers that the deployment allows, which must be small
  --groups         list the groups of checks, and end
`;

/** The options on the command line; says what is wrong with them. */
export function options(args) {
  const { values } = parseArgs({
    args,
    options: {
      ...Object.fromEntries(["server", "token", "creds", "users", "only", "grace"].map((name) => [name, { type: "string" }])),
      ...Object.fromEntries(["one", "small", "groups", "help"].map((name) => [name, { type: "boolean" }])),
    },
  });
  const only = values.only?.split(",");
  const unknown = only?.find((name) => !groups[name]);
  if (unknown !== undefined) throw new Error(`there is no group ${unknown}; there are ${Object.keys(groups).join(", ")}`);
  if (values.grace !== undefined && !(values.grace > 0)) throw new Error(`--grace is ${values.grace}; it must be seconds`);
  return {
    server: values.server ?? "nats://127.0.0.1:4222",
    tokenFile: values.token,
    creds: values.creds,
    users: values.users && JSON.parse(readFileSync(values.users, "utf8")),
    grace: values.grace && Number(values.grace),
    one: values.one,
    small: values.small,
    help: values.help,
    list: values.groups,
    only,
  };
}

/** Runs the checks and prints what came of them; gives the exit code. */
export async function report(chosen, print = console.log) {
  let group;
  const { passed, failed, left } = await conform(chosen, (result) => {
    if (result.group !== group) print(`\n${(group = result.group)}${groups[group] ? `: ${groups[group].about}` : ""}`);
    if (!result.error) return print(`  ok    ${result.name}`);
    print(`  FAIL  ${result.name}`);
    for (const line of result.error.message.split("\n")) print(`        ${line}`);
  });
  print("");
  for (const { group: name, why } of left) print(`not tried: ${name}, ${why}`);
  print(`${passed.length} ok, ${failed.length} failed`);
  return failed.length > 0 ? 1 : 0;
}

