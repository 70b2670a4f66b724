// The contract as files: which verbs, codes and types there are, and whether a body is one.

import { readdirSync, readFileSync } from "node:fs";
import { Ajv2020 } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import { HTTP } from "cloudevents";

const read = (path) => JSON.parse(readFileSync(new URL(`../../${path}`, import.meta.url), "utf8"));
const ajv = formats(new Ajv2020({ strict: false }));
const compiled = new Map(); // by path

/** Throws if value is not what the schema says. */
export function valid(schema, value) {
  const path = `schemas/${schema}.json`;
  if (!compiled.has(path)) compiled.set(path, ajv.compile(read(path)));
  const validate = compiled.get(path);
  if (validate(value)) return;
  const why = validate.errors.map((e) => `${e.instancePath || "it"} ${e.message}`).join("; ");
  throw new Error(`${path} does not allow ${short(value)}: ${why}`);
}

/** A value as people can read it. */
export function short(value) {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text?.length > 700 ? `${text.slice(0, 700)}... (${text.length} characters)` : text;
}

const { channels } = read("asyncapi.json");
const addresses = Object.values(channels).map((c) => c.address ?? "");
const matching = (pattern) => addresses.flatMap((a) => pattern.exec(a)?.[1] ?? []);

/** The verbs, and those that end users may use too. */
export const verbs = matching(/^room\.cmd\.([^.]+)$/);
export const userVerbs = matching(/^room\.cmd\.([^.]+)\.\{user\}$/);

/** The fields of a verb's body that must be there. */
export const required = (verb) => read(`schemas/commands/${verb}.json`).required ?? [];

/** The types of events, without io.natsrooms. in front. */
export const types = readdirSync(new URL("../../schemas/events", import.meta.url)).map((f) => f.replace(/\.json$/, ""));

/** The codes of refusals, and their numbers. */
export const codes = Object.fromEntries(read("schemas/error.json").$defs.ErrorInfo.oneOf.map(({ properties: p }) => [p.code.const, p.number.const]));

const prefix = "io.natsrooms.";

/** The type of an event without its prefix and version, such as member.joined. */
export const nameOf = (event) => event.type.slice(prefix.length).replace(/\.v\d+$/, "");

/** Reads an event that arrived; throws if it is no CloudEvent, or not what its schema says. */
export function readEvent(msg) {
  const contentType = msg.headers?.get("Content-Type");
  if (contentType !== "application/cloudevents+json") throw new Error(`the header Content-Type is "${contentType ?? ""}", not application/cloudevents+json`);
  return checkEvent(msg.string(), contentType);
}

/** The same for the text of an event. */
export function checkEvent(text, contentType = "application/cloudevents+json") {
  const event = JSON.parse(text);
  if (!event.type?.startsWith(prefix)) throw new Error(`the type is ${event.type}, which does not begin with ${prefix}`);
  const name = event.type.slice(prefix.length);
  if (types.includes(name)) valid(`events/${name}`, event); // a later version may have more types
  const parsed = HTTP.toEvent({ headers: { "content-type": contentType }, body: text });
  for (const field of ["id", "source", "type", "subject"]) {
    if (parsed[field] !== event[field]) throw new Error(`the CloudEvents SDK reads ${field} as ${parsed[field]}, not ${event[field]}`);
  }
  return event;
}
