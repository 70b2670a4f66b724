#!/usr/bin/env node
// Tries whether a running room service keeps the contract. README.md beside it says how.

import { options, report, usage } from "./lib/report.mjs";
import { groups } from "./lib/run.mjs";

async function main(args) {
  let chosen;
  try {
    chosen = options(args);
  } catch (err) {
    console.error(`conform: ${err.message}\n\n${usage}`);
    return 2;
  }
  if (chosen.help) return void console.log(usage);
  if (chosen.list) return void Object.entries(groups).forEach(([name, { about }]) => console.log(`${name.padEnd(11)} ${about}`));
  return report(chosen).catch((err) => {
    console.error(`conform: ${chosen.server}: ${err.message}`);
    return 2;
  });
}

process.exitCode = await main(process.argv.slice(2));
