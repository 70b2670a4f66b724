// Package client is the Go client of the room service.
package client
