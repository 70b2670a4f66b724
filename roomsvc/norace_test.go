//go:build !race

package roomsvc_test

// racing says whether the race detector is on.
const racing = false
