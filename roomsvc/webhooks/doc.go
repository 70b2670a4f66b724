// Package webhooks delivers facts and messages over HTTP.
//
// The instance that leads reads the streams with a durable consumer for each webhook, and posts
// each event to the webhook's address. A room's events are delivered one after the other, rooms
// side by side. An event is acknowledged to the consumer once it was delivered, so that whoever
// leads next goes on where this one stopped: it has the consumer deliver again from the first
// event that was not acknowledged. So an event may be delivered more than once; its ID is the same.
//
//	consumer --> lane of a room --> post --> acknowledged
//	                 |  it failed
//	                 v
//	             the room is behind: its place is noted in the bucket, its events in the consumer
//	             are acknowledged, and it goes on from the stream, with pauses
//	                 |  too old, or refused for good
//	                 v
//	             dead letter in the bucket
//
// A room that is behind takes nothing of what the consumer may have unacknowledged, so it holds
// nobody up. As many as [MostBehind] rooms may be behind at a time; only if there are more, the
// webhook waits. What is noted and what is dead names an event by its place in its stream and does
// not hold it, so that what was erased there is nowhere.
package webhooks
