// Package lead finds the one instance that does what only one instance should do at a time. It
// does nothing else: what is to be done is a list of duties that it is given.
//
//	           the key is free, or was this instance's
//	standing ---------------------------------------------> leading
//	   ^  |                                                    |
//	   |  | another one holds the key: look again in 1 s       | the key is renewed every 2 s
//	   |  v                                                    v
//	following <------------------------------------------- stepping down
//	           the key was lost, a duty failed, or no
//	           renewal was stored for 6 s; the instance ends
//
// The lead is a key of the bucket `room_sessions` with a TTL of 8 s. The TTL is counted from
// before a claim was sent, on the monotonic clock, so an instance that stood still knows on
// its own that it no longer leads. Between the moment when an instance lost the key and the
// moment when it learns so, another instance may lead already: whatever a duty writes must be
// guarded once more by what it follows. A duty that publishes without a guard asks
// [Term.Until].
//
// When a term is over, for whatever reason, all its duties have returned before the instance
// stands again. An instance that ends in order gives up the key, so that the next one need not
// wait for it to expire.
package lead
