// Package faults holds tests of the service on a broken world: answers of the server
// that get lost, stores that lost a part, leaders that stop, processes that stand
// still. There is nothing in it to import.
package faults
