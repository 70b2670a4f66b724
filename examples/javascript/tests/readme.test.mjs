import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { test } from "node:test";
import { file } from "../../../clients/js/tests/harness.mjs";

test("the README shows the client as it is", async () => {
  const src = file("clients/js/src");
  const texts = await Promise.all((await readdir(src)).map((name) => readFile(`${src}/${name}`, "utf8")));
  const readme = await readFile(file("examples/javascript/README.md"), "utf8");
  const shown = [...readme.matchAll(/```js\n(.*?)```/gs)].map((m) => m[1]);
  assert.equal(shown.length, 2);
  for (const part of shown) assert.ok(texts.some((text) => text.includes(part)), `not in the client:\n${part}`);
});
