//go:build !race

package faults_test

// racing says that the race detector is on.
const racing = false
