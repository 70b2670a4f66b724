// The JavaScript client of the room service; README.md is its manual.

export { Client } from "./client.js";
export { RoomError } from "./errors.js";
export { connectOptions, token, type } from "./wire.js";
