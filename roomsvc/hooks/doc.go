// Package hooks asks the application about commands before they are decided.
//
// The application answers on a NATS subject of its choice, or over HTTP. It may let a command pass, refuse
// it, and, of a send, change what is said or have it heard by nobody. Whether the command is
// then carried out, the rooms decide as ever.
//
// A question takes a place among a bounded number, and a goroutine of its own: whoever takes
// commands in does not wait for it, and neither does anybody else's command. When no useful
// answer comes in time, a setting says what becomes of the command; the log tells of it, and
// counters do.
package hooks
