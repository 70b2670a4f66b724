// Package past reads what happened and was said in rooms: in one that exists, and in instances
// that have ended, for as long as the streams keep it.
//
// An ended instance is in no memory. Its ID says when it was made, so its first fact is found
// by halving the room's part of the journal, and its last one in the same way. What an end user
// may read of it are its own stays, from the fact that brought it in to the one that put it
// out. The instance's facts tell these, and they are kept in a small cache, because a whole
// audience asks when its room has ended.
//
// Who was in a room at a moment is what the facts up to then made of it, from the one that made
// the room. Where that one is no longer kept, those who were in before the first fact that is
// are found by what comes after it: they leave in some fact, or are in the room now.
package past
