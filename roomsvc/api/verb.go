package api

import "natsrooms/roomsvc/commit"

// Verb is one row of the table of verbs: how a command is taken in and, if it changes or says
// something, how it is answered.
type Verb struct {
	Take   func(*API, *Request)                         // checks a request's form and hands it on
	Answer func(*API, *Request, *commit.Result, *Cache) // of a change that was carried out
	Repeat func(*API, *Request, *commit.Result)         // of a request that was carried out before
}
